// Depthwise convolution tiles as plain data for ISA files.
#pragma once
#include <stdint.h>

#include "cpu/kernels/epilogue_view.hpp"

namespace hone::cpu {

struct DepthwiseView {
  const void* x;
  Num type;
  float zero;          ///< subtracted from integers
  const float* w;      ///< [kernel h][kernel w][channels, padded to 16]
  int64_t w_tap;       ///< padded channels
  int64_t row_step;    ///< elements between two taps of a column
  int64_t tap_step;    ///< elements between two taps of a row
  int64_t pixel_step;  ///< elements between the windows of two neighbouring results
  int kernel_w;
  int stride_w;  ///< in pixels; 0 where taps are dilated
  const EpilogueView* epilogue;
  bool fused;           ///< the epilogue is no more than bias and clamp: done in registers
  const TileView* out;  ///< where results go; `acc` where they are not fused
};

/// Results of `pixels` (1, 2, 4, 5 or 6) neighbouring windows for `cols` (<= 64) channels: finished, or in the tile (64
/// apart, f32 or i32). `x` and `w` are the elements of the first tap; taps [0, ny) x [0, nx) of each window are inside
/// of the input.
using DepthwiseFn = void (*)(const DepthwiseView&, int64_t x, int64_t w, int ny, int nx, int pixels, int cols);

#define HONE_DEPTHWISE_ISA(ISA)                                                                            \
  namespace ISA {                                                                                          \
  void depthwise_tile(const DepthwiseView& d, int64_t x, int64_t w, int ny, int nx, int pixels, int cols); \
  }
HONE_DEPTHWISE_ISA(avx2)
HONE_DEPTHWISE_ISA(avx512)
HONE_DEPTHWISE_ISA(neon)
#undef HONE_DEPTHWISE_ISA

}  // namespace hone::cpu
