// Resizing of channels-last images, one axis after the other, as plain data for ISA files.
#pragma once
#include <stdint.h>

#include "cpu/kernels/reduce/reduce_view.hpp"

namespace hone::cpu {

/// Weighted sums: `taps` elements (or pixels) make each position of an axis.
struct ResizeTaps {
  const int64_t* at;
  const float* weight;
  int64_t taps;
};

/// The same for one channel, in blocks of 16 positions: position i of block b is the sum over taps k of
/// weight[(b * taps + k) * 16 + i] * line[base[b] + index[(b * taps + k) * 16 + i]].
struct LineTaps {
  const int64_t* base;
  const int32_t* index;
  const float* weight;
  int64_t taps;
  bool near;  ///< all indices are below 32
};

#define HONE_RESIZE_ISA(ISA)                                                                                       \
  namespace ISA {                                                                                                  \
  /* to[i] = sum over taps of weight * x[begin + at + i], i < n; `to` has room for a vector more */                \
  void resize_rows(const RealInput& x, int64_t begin, const ResizeTaps& t, int64_t n, float* to);                  \
  /* pixels of a row: y[begin + p * channels + c] = sum over taps of weight[p] * row[at[p] + c] */                 \
  void resize_pixels(const float* row, const ResizeTaps& t, int64_t pixels, int64_t channels, const RealOutput& y, \
                     int64_t begin);                                                                               \
  /* y[begin + i], i < n, of one channel; 32 floats behind the line are readable */                                \
  void resize_line(const float* line, const LineTaps& t, int64_t n, const RealOutput& y, int64_t begin);           \
  }
HONE_RESIZE_ISA(avx2)
HONE_RESIZE_ISA(avx512)
HONE_RESIZE_ISA(neon)
#undef HONE_RESIZE_ISA

}  // namespace hone::cpu
