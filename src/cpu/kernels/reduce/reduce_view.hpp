// Reductions, softmax, normalization and pooling on rows, as plain data for ISA files.
#pragma once
#include <stdint.h>

#include "cpu/kernels/epilogue_view.hpp"

namespace hone::cpu {

/// A tensor that is read as real numbers.
struct RealInput {
  const void* data;
  Num type;
  bool quantized;
  float scale, zero;
};
/// A tensor that real numbers are written to.
struct RealOutput {
  void* data;
  Num type;
  float inv_scale, zero, low, high;
};

enum class ReduceOp : uint8_t { sum, max, min };

/// A window of `ny` x `nx` pixels, `cols` channels each.
struct PoolWindow {
  int64_t in, out;  ///< elements to the first pixel, to the result
  int64_t row_step, pixel_step;
  int64_t ny, nx, cols;
  float factor;  ///< of the sum
};

/// Neighbouring windows that lie inside of the image, of elements that stay as they are. Steps are in elements.
struct LargestOf {
  const void* in;  ///< the first pixel of the first window
  void* out;
  Num type;  ///< f32, bf16, u8 or s8; a pixel has 16 bytes at least
  int64_t windows, step, row_step, pixel_step;
  int64_t ny, nx, cols;
};

struct NormRow {
  const float* gamma;  ///< null: 1
  const float* beta;   ///< null: 0
  float epsilon;
  bool center;          ///< subtract the mean
  bool scale;           ///< divide by the deviation
  bool epsilon_inside;  ///< under the root
  bool epsilon_bounds;  ///< the least that stands there, not added
  float count;          ///< times the mean square: 1, or the length of the row
};

#define HONE_REDUCE_ISA(ISA)                                                                                          \
  namespace ISA {                                                                                                     \
  /* softmax over n elements that lie `step` apart, for `cols` neighbouring columns (step 1: cols is 1) */            \
  void softmax(const RealInput& x, const RealOutput& y, int64_t at, int64_t n, int64_t step, int64_t cols, bool log); \
  /* y[out] = factor * reduction of n neighbours at x[in] */                                                          \
  void reduce_row(const RealInput& x, const RealOutput& y, int64_t in, int64_t out, int64_t n, ReduceOp op,           \
                  float factor);                                                                                      \
  /* a window per channel */                                                                                          \
  void reduce_window(const RealInput& x, const RealOutput& y, const PoolWindow& w, ReduceOp op);                      \
  /* the largest elements of windows, a window per channel and place */                                               \
  void largest_of_windows(const LargestOf& l);                                                                        \
  /* rows of n neighbours, one behind another from element `at` on, on both sides */                                  \
  void normalize_rows(const RealInput& x, const RealOutput& y, int64_t at, int64_t n, int64_t rows,                   \
                      const NormRow& norm);                                                                           \
  /* means and sums of squares around them of `n` columns of `rows` pixels from element `at` on; of integers as they  \
   * stand */                                                                                                         \
  void column_moments(const RealInput& x, int64_t at, int64_t rows, int64_t n, float* mean, float* square);           \
  /* tile[r][c] = (as it stands, x[at + r * step + c] - centre[c]) * factor[c] + shift[c], times slope below 0 */     \
  void normalize_columns(const RealInput& x, int64_t at, int64_t step, int64_t rows, int64_t n, const float* centre,  \
                         const float* factor, const float* shift, float slope, float* tile, int64_t ld);              \
  }
HONE_REDUCE_ISA(avx2)
HONE_REDUCE_ISA(avx512)
HONE_REDUCE_ISA(neon)
#undef HONE_REDUCE_ISA

}  // namespace hone::cpu
