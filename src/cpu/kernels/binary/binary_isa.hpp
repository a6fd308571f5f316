// The tiles of binary_view.hpp for one instruction set.
#pragma once
#include "cpu/kernels/binary/binary_view.hpp"
#include "cpu/kernels/simd.hpp"

namespace hone::cpu::HONE_NS {

constexpr int panel_parts = 16 / lanes;

// Bits of each byte or, where there is an instruction for it, of each word.
HONE_INLINE vi count_bits(vi v) {
#if HONE_LANES == 16
  return (vi)_mm512_popcnt_epi32((__m512i)v);
#elif HONE_LANES == 8
  const __m256i table =
      _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i low = _mm256_set1_epi8(15);
  return (vi)_mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256((__m256i)v, low)),
                             _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16((__m256i)v, 4), low)));
#else
  return (vi)vcntq_u8((uint8x16_t)v);
#endif
}
HONE_INLINE vi add_counts(vi sum, vi count) {
#if HONE_LANES == 16
  return sum + count;
#elif HONE_LANES == 8
  return (vi)_mm256_add_epi8((__m256i)sum, (__m256i)count);
#else
  return (vi)vaddq_u8((uint8x16_t)sum, (uint8x16_t)count);
#endif
}
#if HONE_LANES != 16
constexpr int64_t most_counts = 31;  ///< of at most 8 that fit into a byte
// To whole words.
HONE_INLINE vi whole(vi sum) {
#if HONE_LANES == 8
  return (vi)_mm256_madd_epi16(_mm256_maddubs_epi16((__m256i)sum, _mm256_set1_epi8(1)), _mm256_set1_epi16(1));
#else
  return (vi)vpaddlq_u16(vpaddlq_u8((uint8x16_t)sum));
#endif
}
#endif

// Words [begin, end) of a tap, from its weights `w` on.
template <int ROWS, int PANELS, int V>
HONE_INLINE const uint32_t* count_words(const BinaryTile& t, const uint32_t* x, const uint32_t* w, int64_t begin,
                                        int64_t end, vi (&counts)[ROWS][V]) {
  for (int64_t i = begin; i < end; ++i, w += 16) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const vi weights = load_i32((const int32_t*)(w + v / panel_parts * t.panel_words + v % panel_parts * lanes));
#pragma GCC unroll 8
      for (int r = 0; r < ROWS; ++r)
        counts[r][v] = add_counts(counts[r][v], count_bits(weights ^ set1i((int32_t)x[r * t.pixel_step + i])));
    }
  }
  return w;
}

template <int ROWS, int PANELS>
static void binary_tile(const BinaryTile& tile) {
  constexpr int V = PANELS * panel_parts;
  const BinaryTile t = tile;  // a copy: stores might change the original, as far as the compiler knows
  vi sum[ROWS][V];
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[r][v] = vi{};
  }
  const uint32_t* w = t.weights;
#if HONE_LANES == 16
  for (int64_t tap = 0; tap < t.num_taps; ++tap)
    w = count_words<ROWS, PANELS>(t, t.x + t.taps[tap], w, 0, t.words, sum);
#else
  // Counts in bytes become whole words before they overflow.
  vi part[ROWS][V] = {};
  int64_t room = most_counts;
  const auto widen = [&] {
    room = most_counts;
    for (int r = 0; r < ROWS; ++r) {
      for (int v = 0; v < V; ++v) {
        sum[r][v] += whole(part[r][v]);
        part[r][v] = vi{};
      }
    }
  };
  for (int64_t tap = 0; tap < t.num_taps; ++tap) {
    for (int64_t begin = 0; begin < t.words;) {
      const int64_t end = t.words - begin < room ? t.words : begin + room;
      w = count_words<ROWS, PANELS>(t, t.x + t.taps[tap], w, begin, end, part);
      room -= end - begin;
      begin = end;
      if (room == 0) widen();
    }
  }
  widen();
#endif
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(t.to + r * t.ld + v * lanes, set1(t.base) - 2.0f * to_float(sum[r][v]));
  }
}

HONE_INLINE vf load_as_f32(const void* x, Num type, int64_t at) {
  switch (type) {
    case Num::bf16:
      return load_bf16((const uint16_t*)x + at);
    case Num::f16:
      return load_f16((const uint16_t*)x + at);
    default:
      return load((const float*)x + at);
  }
}

static void binary_signs(const void* x, Num type, int64_t pixels, int64_t channels, uint32_t* to) {
  const int64_t words = (channels + 31) / 32;
  for (int64_t p = 0; p < pixels; ++p) {
    for (int64_t w = 0; w < words; ++w) {
      uint32_t bits = 0;
      const int64_t left = channels - w * 32;
      // Tensors are readable one vector past their end; what is behind the last channel is masked away.
      for (int64_t k = 0; k < 32 && k < left; k += lanes) {
        const vf v = load_as_f32(x, type, p * channels + w * 32 + k);
#if HONE_LANES == 16
        const uint32_t some = _mm512_cmp_ps_mask((__m512)v, _mm512_setzero_ps(), _CMP_GT_OQ);
#elif HONE_LANES == 8
        const uint32_t some = (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps((__m256)v, _mm256_setzero_ps(), _CMP_GT_OQ));
#else
        const vi mask = v > 0.0f;
        const uint32_t some = (mask[0] & 1) | (mask[1] & 2) | (mask[2] & 4) | (mask[3] & 8);
#endif
        bits |= some << k;
      }
      to[p * words + w] = left >= 32 ? bits : bits & ((1u << left) - 1u);
    }
  }
}

#define HONE_BINARY_ROW(ROWS) \
  { binary_tile<ROWS, 1>, binary_tile<ROWS, 2>, binary_tile<ROWS, 3>, binary_tile<ROWS, 4> }
#if HONE_LANES == 16
extern const BinaryIsa binary;
const BinaryIsa binary = {{HONE_BINARY_ROW(1), HONE_BINARY_ROW(2), HONE_BINARY_ROW(3), HONE_BINARY_ROW(4),
                           HONE_BINARY_ROW(5), HONE_BINARY_ROW(6), HONE_BINARY_ROW(7)},
                          7,
                          4,
                          binary_signs};
#else
extern const BinaryIsa binary;
const BinaryIsa binary = {{{binary_tile<1, 1>}, {binary_tile<2, 1>}, {binary_tile<3, 1>}}, 3, 1, binary_signs};
#endif

}  // namespace hone::cpu::HONE_NS
