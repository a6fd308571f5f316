// Winograd's minimal filtering of 3x3 windows with stride 1, F(m x m, 3x3) for m = 4 and 2, as plain data for ISA files
// (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015; points 0, 1, -1 and for m = 4 also 2,
// -2). A tile of m x m results takes (m + 2)^2 products a channel instead of 9 m^2: 4 or 2.25 times fewer.
#pragma once
#include <stdint.h>

#include "cpu/kernels/epilogue_view.hpp"

namespace hone::cpu {

constexpr int winograd_products(int m) {
  return (m + 2) * (m + 2);
}

#define HONE_WINOGRAD_ISA(ISA)                                                                                         \
  namespace ISA {                                                                                                      \
  /* The (m + 2)^2 pixels of a tile, f32 or bf16, to B^T d B: to[product * step + channel]; `to` is written in whole   \
     vectors. */                                                                                                       \
  void winograd_source(int m, Num type, const void* const* pixels, int64_t channels, float* to, int64_t step);         \
  /* Products from[product * step + column] to A^T m A: to[pixel * columns + column]; columns are a multiple of 16. */ \
  void winograd_result(int m, const float* from, int64_t step, int64_t columns, float* to);                            \
  }
HONE_WINOGRAD_ISA(avx2)
HONE_WINOGRAD_ISA(avx512)
HONE_WINOGRAD_ISA(neon)
#undef HONE_WINOGRAD_ISA

struct DenseIsa;
/// F(4x4, 3x3) with products of 16-bit integers. A^T, B^T and G are whole numbers times 1/winograd_line_unit.
constexpr int winograd_line_unit[6] = {4, 6, 6, 24, 24, 1};
namespace avx512vnni {
extern const DenseIsa dense_int16;
/// B^T d B with lines 3 and 4 of B^T doubled, times a factor that brings the largest magnitude to `most`: to[product *
/// step + channel], written in whole vectors. `work` holds 36 rows of `row` floats, the channels in whole vectors.
/// Returns 1 / factor.
float winograd_source_words(Num type, const void* const* pixels, int64_t channels, float* work, int64_t row,
                            int16_t* to, int64_t step, float most);
/// Products from[product * step + column] times scales[product * scale_step + column] to scale * A^T m A.
void winograd_result_words(const int32_t* from, int64_t step, const float* scales, int64_t scale_step, float scale,
                           int64_t columns, float* to);
/// B^T d B of bytes less `zero`, exactly: none leaves 16 bits. `to` is written to a multiple of 16 channels.
void winograd_source_bytes(Num type, const void* const* pixels, int64_t channels, int32_t zero, int16_t* to,
                           int64_t step);
/// Products times scales[product * scale_step + column] to A^T m A, which are sums of products of bytes: rounded to
/// integers, since f32 on the way loses at most a few units of large sums.
void winograd_result_sums(const int32_t* from, int64_t step, const float* scales, int64_t scale_step, int64_t columns,
                          int32_t* to);
/// Of up to 16 columns of weights [column][channel][3][3], `column` floats apart: the taps as taps[channel * 9 +
/// tap][16], and for each product of G g G^T the sums of magnitudes over the channels and the largest, [product][16].
void winograd_weight_sums(const float* from, int64_t column, int64_t columns, int64_t channels, float* taps,
                          float* sums, float* most);
/// From these taps: G g G^T times factors[product][16], rounded, to[product * step + channel / 2 * 32 + column * 2 +
/// channel % 2].
void winograd_weight_words(const float* taps, int64_t channels, const float* factors, int16_t* to, int64_t step);
}  // namespace avx512vnni

}  // namespace hone::cpu
