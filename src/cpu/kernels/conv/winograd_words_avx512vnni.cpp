#define HONE_NS avx512vnni
#define HONE_LANES 16
#define HONE_EPILOGUE_NS avx512
#include "cpu/kernels/conv/winograd_isa.hpp"
#include "cpu/kernels/gemm/tile_isa.hpp"

namespace hone::cpu::avx512vnni {

// Two products of 16 bits a lane, exact in 32 bits.
struct DotInt16 : IntegerDot {
  static constexpr bool requantizes = false;
  HONE_INLINE Acc step(Acc c, A a, B b) { return (vi)_mm512_dpwssd_epi32((__m512i)c, (__m512i)a, (__m512i)b); }
  HONE_INLINE Half half_step(Half c, auto a, __m256i b) { return _mm256_dpwssd_epi32(c, half_a(a), b); }
};

HONE_DENSE_TABLE_32(dense_int16, DotInt16)

// As source_line<4>, with values 3 and 4 doubled: all six then have about one magnitude.
template <int TO>
HONE_INLINE void even_line(const vf* d, vf* t) {
  const vf a = fused(-4.0f, d[2], d[4]), b = fused(-4.0f, d[1], d[3]), c = d[4] - d[2], e = 2.0f * (d[3] - d[1]);
  t[0] = fused(4.0f, d[0], fused(-5.0f, d[2], d[4]));
  t[TO] = a + b;
  t[2 * TO] = a - b;
  t[3 * TO] = 2.0f * (c + e);
  t[4 * TO] = 2.0f * (c - e);
  t[5 * TO] = fused(4.0f, d[1], fused(-5.0f, d[3], d[5]));
}

template <Num TYPE>
static float source_words(const void* const* pixels, int64_t channels, float* work, int64_t row, int16_t* to,
                          int64_t step, float most) {
  vu largest = {};  // bits of magnitudes, ordered as the numbers are; a NaN is larger than all
  for (int64_t c = 0; c < channels; c += lanes) {
    // Beyond the channels lie those of other pixels, or nothing.
    const vi inside = (vi)_mm512_maskz_set1_epi32(first_lanes(int(channels - c < lanes ? channels - c : lanes)), -1);
    vf half[36];
    for (int x = 0; x < 6; ++x) {
      vf d[6];
      for (int y = 0; y < 6; ++y) d[y] = (vf)((vi)load_raw(TYPE, pixels[y * 6 + x], c) & inside);
      even_line<6>(d, half + x);
    }
    for (int y = 0; y < 6; ++y) {
      vf t[6];
      even_line<1>(half + y * 6, t);
      for (int x = 0; x < 6; ++x) {
        largest = (vu)_mm512_max_epu32((__m512i)largest, (__m512i)absolute(t[x]));
        store(work + (y * 6 + x) * row + c, t[x]);
      }
    }
  }
  const uint32_t bits = _mm512_reduce_max_epu32((__m512i)largest);
  float bound;
  __builtin_memcpy(&bound, &bits, 4);
  if (bound < 1e-30f) bound = 1e-30f;
  const vf factor = set1(most / bound);
  for (int f = 0; f < 36; ++f, work += row, to += step) {
    for (int64_t c = 0; c < channels; c += lanes) {
      const __m512i q = _mm512_cvtps_epi32((__m512)(load(work + c) * factor));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + c), _mm512_cvtsepi32_epi16(q));
    }
  }
  return bound / most;
}

float winograd_source_words(Num type, const void* const* pixels, int64_t channels, float* work, int64_t row,
                            int16_t* to, int64_t step, float most) {
  if (type == Num::f32) return source_words<Num::f32>(pixels, channels, work, row, to, step, most);
  return source_words<Num::bf16>(pixels, channels, work, row, to, step, most);
}

// G g.
template <int FROM, int TO>
HONE_INLINE void weight_line(const vf* g, vf* u) {
  const vf g0 = g[0], g1 = g[FROM], g2 = g[2 * FROM];
  const vf even = g0 * (1.0f / 24) + g2 * (1.0f / 6), odd = g1 * (1.0f / 12), outer = g0 + g2;
  u[0] = g0 * 0.25f;
  u[TO] = (outer + g1) * (-1.0f / 6);
  u[2 * TO] = (outer - g1) * (-1.0f / 6);
  u[3 * TO] = even + odd;
  u[4 * TO] = even - odd;
  u[5 * TO] = g2;
}
HONE_INLINE void weight_tile(const vf* g, vf* u) {
  vf half[18];
#pragma GCC unroll 3
  for (int x = 0; x < 3; ++x) weight_line<3, 3>(g + x, half + x);
#pragma GCC unroll 6
  for (int y = 0; y < 6; ++y) weight_line<1, 1>(half + y * 3, u + y * 6);
}

void winograd_weight_sums(const float* from, int64_t column, int64_t columns, int64_t channels, float* taps,
                          float* sums, float* most) {
  const __m512i at = _mm512_mullo_epi32(_mm512_set1_epi32(int(column)),
                                        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  const __mmask16 present = first_lanes(int(columns));
  vf sum[36] = {}, largest[36] = {};
  for (int64_t c = 0; c < channels; ++c, from += 9, taps += 9 * lanes) {
    vf g[9], u[36];
    for (int t = 0; t < 9; ++t) {
      g[t] = (vf)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), present, at, from + t, 4);
      store(taps + t * lanes, g[t]);
    }
    weight_tile(g, u);
    for (int f = 0; f < 36; ++f) {
      const vf magnitude = (vf)absolute(u[f]);
      sum[f] += magnitude;
      largest[f] = maximum(largest[f], magnitude);
    }
  }
  for (int f = 0; f < 36; ++f) {
    store(sums + f * lanes, sum[f]);
    store(most + f * lanes, largest[f]);
  }
}

void winograd_weight_words(const float* taps, int64_t channels, const float* factors, int16_t* to, int64_t step) {
  for (int64_t c = 0; c < channels; c += 2, taps += 18 * lanes, to += 2 * lanes) {
    vf g[18] = {}, even[36], odd[36];
    for (int t = 0; t < (c + 1 < channels ? 18 : 9); ++t) g[t] = load(taps + t * lanes);
    weight_tile(g, even);
    weight_tile(g + 9, odd);
    for (int f = 0; f < 36; ++f) {
      const vf factor = load(factors + f * lanes);
      const vi low = round_to_int(even[f] * factor), high = round_to_int(odd[f] * factor);
      store_i32(reinterpret_cast<int32_t*>(to + f * step), (low & 0xffff) | (high << 16));
    }
  }
}

// B^T d in 16 bits.
template <int TO>
HONE_INLINE void short_line(const __m512i* d, __m512i* t) {
  const __m512i a = _mm512_sub_epi16(d[4], _mm512_slli_epi16(d[2], 2)),
                b = _mm512_sub_epi16(d[3], _mm512_slli_epi16(d[1], 2)), c = _mm512_sub_epi16(d[4], d[2]),
                e = _mm512_sub_epi16(d[3], d[1]), e2 = _mm512_slli_epi16(e, 1);
  t[0] = _mm512_add_epi16(_mm512_slli_epi16(_mm512_sub_epi16(d[0], d[2]), 2), c);
  t[TO] = _mm512_add_epi16(a, b);
  t[2 * TO] = _mm512_sub_epi16(a, b);
  t[3 * TO] = _mm512_add_epi16(c, e2);
  t[4 * TO] = _mm512_sub_epi16(c, e2);
  t[5 * TO] = _mm512_sub_epi16(_mm512_sub_epi16(d[5], d[3]), _mm512_slli_epi16(e, 2));
}

template <bool SIGNED>
static void source_bytes(const void* const* pixels, int64_t channels, int32_t zero, int16_t* to, int64_t step) {
  const __m512i shift = _mm512_set1_epi16(int16_t(zero));
  for (int64_t c = 0; c < channels; c += 32, to += 32) {
    // Weights beyond the channels are 0, whatever the pixels.
    const int64_t n = channels - c;
    const __mmask32 inside = n >= 32 ? ~__mmask32(0) : (__mmask32(1) << n) - 1;
    __m512i half[36];
#pragma GCC unroll 6
    for (int x = 0; x < 6; ++x) {
      __m512i d[6];
#pragma GCC unroll 6
      for (int y = 0; y < 6; ++y) {
        const __m256i bytes = _mm256_maskz_loadu_epi8(inside, static_cast<const uint8_t*>(pixels[y * 6 + x]) + c);
        d[y] = _mm512_sub_epi16(SIGNED ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes), shift);
      }
      short_line<6>(d, half + x);
    }
#pragma GCC unroll 6
    for (int y = 0; y < 6; ++y) {
      __m512i t[6];
      short_line<1>(half + y * 6, t);
#pragma GCC unroll 6
      for (int x = 0; x < 6; ++x) {
        int16_t* at = to + (y * 6 + x) * step;
        if (n > 16) {
          _mm512_storeu_si512(at, t[x]);
        } else {
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), _mm512_castsi512_si256(t[x]));
        }
      }
    }
  }
}

void winograd_source_bytes(Num type, const void* const* pixels, int64_t channels, int32_t zero, int16_t* to,
                           int64_t step) {
  if (type == Num::s8) return source_bytes<true>(pixels, channels, zero, to, step);
  source_bytes<false>(pixels, channels, zero, to, step);
}

void winograd_result_sums(const int32_t* from, int64_t step, const float* scales, int64_t scale_step, int64_t columns,
                          int32_t* to) {
  for (int64_t c = 0; c < columns; c += lanes) {
    vf half[24];
#pragma GCC unroll 6
    for (int x = 0; x < 6; ++x) {
      vf m[6];
#pragma GCC unroll 6
      for (int y = 0; y < 6; ++y) {
        const int f = y * 6 + x;
        m[y] = to_float(load_i32(from + f * step + c)) * load(scales + f * scale_step + c);
      }
      result_line<4, 1, 6>(m, half + x);
    }
#pragma GCC unroll 4
    for (int y = 0; y < 4; ++y) {
      vf r[4];
      result_line<4, 1, 1>(half + y * 6, r);
      for (int x = 0; x < 4; ++x) store_i32(to + (y * 4 + x) * columns + c, round_to_int(r[x]));
    }
  }
}

void winograd_result_words(const int32_t* from, int64_t step, const float* scales, int64_t scale_step, float scale,
                           int64_t columns, float* to) {
  for (int64_t c = 0; c < columns; c += lanes) {
    vf half[24];
    for (int x = 0; x < 6; ++x) {
      vf m[6];
      for (int y = 0; y < 6; ++y) {
        const int f = y * 6 + x;
        m[y] = to_float(load_i32(from + f * step + c)) * load(scales + f * scale_step + c);
      }
      result_line<4, 1, 6>(m, half + x);
    }
    for (int y = 0; y < 4; ++y) {
      vf r[4];
      result_line<4, 1, 1>(half + y * 6, r);
      for (int x = 0; x < 4; ++x) store(to + (y * 4 + x) * columns + c, r[x] * scale);
    }
  }
}

}  // namespace hone::cpu::avx512vnni
