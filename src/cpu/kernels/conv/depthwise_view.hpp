// Depthwise convolution tiles as plain data for ISA files.
#pragma once
#include <stdint.h>

#include "cpu/kernels/epilogue_view.hpp"

namespace hone::cpu {

constexpr int depthwise_pixels = 7;  ///< results of a tile: divides the rows of the usual networks
constexpr int slide_results = 32;    ///< of a row in a tile of 16 channels

struct DepthwiseView {
  const void* x;
  Num type;
  float zero;      ///< subtracted from integers
  const float* w;  ///< [kernel h][kernel w][channels, padded to 16]
  int64_t w_tap;   ///< padded channels
  /// bf16 weights of two rows beside each other, or none: [pair of rows][kernel w][channels, padded to 16][2].
  const uint32_t* pairs;
  int64_t row_step;  ///< elements between two taps of a column
  int64_t tap_step;  ///< elements between two taps of a row
  int kernel_w;
  bool real_weights;   ///< integers are multiplied with real weights: sums are no integers
  int stride;          ///< of a row tile: taps between the windows of two neighbouring results
  int64_t out_step;    ///< pixels between these in the result
  int64_t out_row;     ///< pixels between two rows of results
  int64_t pixel_step;  ///< elements between them in the input
  int tiles;           ///< of rows: tiles side by side, each next to the one before
  const EpilogueView* epilogue;
  bool fused;           ///< the epilogue is no more than bias and clamp, to the type of the input: done in registers
  const TileView* out;  ///< where results go; `acc` (rows 64 apart) where they are not fused
};

#define HONE_DEPTHWISE_ISA(ISA)                                                                                      \
  namespace ISA {                                                                                                    \
  /* A row of `depthwise_pixels` results, windows 5 or 7 wide with stride 1 or 2 (not 7 with 2): `x` is the          \
     element of tap (0, 0) of the first window, inside of the image or not; taps of the rows [0, ny) and of the      \
     columns first <= result * stride + tap < last lie inside. Not fused: at most 64 channels. */                    \
  void depthwise_row(const DepthwiseView& d, int64_t x, int64_t w, int ny, int first, int last, int cols);           \
  /* The same with weights in pairs of rows, by dot products; `w` counts pairs. Where BF16 is an instruction set. */ \
  void depthwise_row_pairs(const DepthwiseView& d, int64_t x, int64_t w, int ny, int first, int last, int cols);     \
  /* `rows` (1 or 2) rows of `results`, windows 3 wide and at most 3 high (3 where there are two rows), stride 1     \
     or 2: input rows [top, bottom) and columns [first, last), counted from `x`, lie inside. Not fused: at most 16   \
     channels and `slide_results`, a row of them `slide_results` x 16 of the tile. */                                \
  void depthwise_slide(const DepthwiseView& d, int64_t x, int64_t w, int rows, int top, int bottom, int64_t results, \
                       int64_t first, int64_t last, int cols);                                                       \
  /* 1 or 4 results; taps [0, ny) x [0, nx) of each window lie inside. */                                            \
  void depthwise_taps(const DepthwiseView& d, int64_t x, int64_t w, int ny, int nx, int pixels, int cols);           \
  }
HONE_DEPTHWISE_ISA(avx2)
HONE_DEPTHWISE_ISA(avx512)
HONE_DEPTHWISE_ISA(avx512bf16)
HONE_DEPTHWISE_ISA(neon)
#undef HONE_DEPTHWISE_ISA

}  // namespace hone::cpu
