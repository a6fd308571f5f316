// Attention to a cache in bytes, for ISA files only.
//
// A row of the query becomes 16-bit integers, so that a multiply-add takes two products a lane and nothing is converted
// to floats but the sums; for a query of f32 the rounding errors become integers of their own. Keys that several rows
// meet are widened once for all of them. Values are widened to floats, once for up to four rows of weights: heads that
// share them read them together.
#pragma once
#include "cpu/kernels/attention/cached_attention_view.hpp"
#include "cpu/kernels/fused.hpp"
#include "cpu/kernels/real_isa.hpp"

namespace hone::cpu::HONE_NS {

void cached_words(const float* from, int64_t n, int64_t padded, float factor, int16_t* to, float* rest) {
  for (int64_t i = 0; i < padded; i += lanes) {
    const int left = n - i < lanes ? int(n - i) : lanes;
    const vf v = left >= lanes ? load(from + i) : left > 0 ? load_n(from + i, left) : vf{};
    const vi whole = round_to_int(v * factor);
    store_words(reinterpret_cast<uint16_t*>(to + i), narrow_u16((vu)whole & 0xffff), lanes);
    if (rest) store(rest + i, v * factor - to_float(whole));
  }
}

// 2 * lanes bytes or words as words, and the sums of products of two neighbours each added to `sum`.
#if HONE_LANES == 16
typedef __m512i Words;
HONE_INLINE Words words_at(const int8_t* p) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
HONE_INLINE Words words_at(const int16_t* p) {
  return _mm512_loadu_si512(p);
}
HONE_INLINE void store_words_at(int16_t* p, Words w) {
  _mm512_storeu_si512(p, w);
}
HONE_INLINE vi add_products(vi sum, Words a, Words b) {
#if defined(__AVX512VNNI__)
  return (vi)_mm512_dpwssd_epi32((__m512i)sum, a, b);
#else
  return sum + (vi)_mm512_madd_epi16(a, b);
#endif
}
#elif HONE_LANES == 8
typedef __m256i Words;
HONE_INLINE Words words_at(const int8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
HONE_INLINE Words words_at(const int16_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
HONE_INLINE void store_words_at(int16_t* p, Words w) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), w);
}
HONE_INLINE vi add_products(vi sum, Words a, Words b) {
  return sum + (vi)_mm256_madd_epi16(a, b);
}
#else
typedef int16x8_t Words;
HONE_INLINE Words words_at(const int8_t* p) {
  return vmovl_s8(vld1_s8(p));
}
HONE_INLINE Words words_at(const int16_t* p) {
  return vld1q_s16(p);
}
HONE_INLINE void store_words_at(int16_t* p, Words w) {
  vst1q_s16(p, w);
}
HONE_INLINE vi add_products(vi sum, Words a, Words b) {
  const int32x4_t low = vmlal_s16((int32x4_t)sum, vget_low_s16(a), vget_low_s16(b));
  return (vi)vmlal_s16(low, vget_high_s16(a), vget_high_s16(b));
}
#endif

void cached_widen(const int8_t* from, int64_t n, int16_t* to) {
  for (int64_t i = 0; i < n; i += 2 * lanes) store_words_at(to + i, words_at(from + i));
}

void cached_scale(float* weights, const float* scales, int64_t n) {
  for (int64_t i = 0; i < n; i += lanes) store(weights + i, load(weights + i) * load(scales + i));
}

// Lanes of a and b summed in pairs that are D apart; those with bit D in their number are of b.
template <int D>
HONE_INLINE vi fold(vi a, vi b) {
  return shuffled(a, b, [](int i) { return i & D ? lanes + i - D : i; }) +
         shuffled(a, b, [](int i) { return i & D ? lanes + i : i + D; });
}
// Lane i: the sum of v[i].
template <int D = 1>
HONE_INLINE vi sums_of(vi* v) {
  if constexpr (D == lanes) {
    return v[0];
  } else {
    for (int i = 0; i < lanes / (2 * D); ++i) v[i] = fold<D>(v[2 * i], v[2 * i + 1]);
    return sums_of<2 * D>(v);
  }
}

template <class T>
HONE_INLINE void dots(const CachedDots& d, const T* keys) {
  const vf factor = set1(d.factor);
  for (int64_t t = 0; t < d.count; t += lanes) {
    const T* key[lanes];
    for (int i = 0; i < lanes; ++i) key[i] = keys + (t + i < d.count ? t + i : d.count - 1) * d.features;
    vi sum[lanes] = {};
    for (int64_t e = 0; e < d.features; e += 2 * lanes) {
      const Words row = words_at(d.row + e);
      for (int i = 0; i < lanes; ++i) sum[i] = add_products(sum[i], words_at(key[i] + e), row);
    }
    const int n = d.count - t < lanes ? int(d.count - t) : lanes;
    vf scale = factor;
    if (d.scales) scale = scale * (n == lanes ? load(d.scales + t) : load_n(d.scales + t, n));
    const vf dots = to_float(sums_of(sum)) * scale;
    store(d.to + t, d.adds ? load(d.to + t) + dots : dots);
  }
}

void cached_dots(const CachedDots& view) {
  const CachedDots d = view;
  d.wide ? dots(d, static_cast<const int16_t*>(d.keys)) : dots(d, static_cast<const int8_t*>(d.keys));
}

template <int ROWS, int N>
HONE_INLINE void mix_columns(const CachedMix& m, int64_t row, int64_t column) {
  vf sum[ROWS][N];
  float* to = m.to + row * m.ld_to + column;
  const float* weights = m.weights + row * m.ld_weights;
  for (int r = 0; r < ROWS; ++r) {
    for (int i = 0; i < N; ++i) sum[r][i] = load(to + r * m.ld_to + i * lanes);
  }
  const int8_t* value = m.values + column;
  for (int64_t t = 0; t < m.count; ++t, value += m.columns) {
    vf v[N];
    for (int i = 0; i < N; ++i) v[i] = load_s8(value + i * lanes);
    for (int r = 0; r < ROWS; ++r) {
      const vf w = set1(weights[r * m.ld_weights + t]);
      for (int i = 0; i < N; ++i) sum[r][i] = fused(v[i], w, sum[r][i]);
    }
  }
  for (int r = 0; r < ROWS; ++r) {
    for (int i = 0; i < N; ++i) store(to + r * m.ld_to + i * lanes, sum[r][i]);
  }
}

template <int ROWS>
HONE_INLINE void mix_rows(const CachedMix& m, int64_t row) {
  int64_t c = 0;
  for (; c + 3 * lanes < m.columns; c += 4 * lanes) mix_columns<ROWS, 4>(m, row, c);
  for (; c < m.columns; c += lanes) mix_columns<ROWS, 1>(m, row, c);
}

void cached_mix(const CachedMix& view) {
  const CachedMix m = view;
  int row = 0;
#if HONE_LANES == 16
  for (; row + 4 <= m.rows; row += 4) mix_rows<4>(m, row);
#endif
  for (; row + 2 <= m.rows; row += 2) mix_rows<2>(m, row);
  if (row < m.rows) mix_rows<1>(m, row);
}

}  // namespace hone::cpu::HONE_NS
