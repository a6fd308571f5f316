// The panel of low_bit_view.hpp for one instruction set.
#pragma once
#include "cpu/kernels/low_bit/low_bit_view.hpp"
#include "cpu/kernels/simd.hpp"

namespace hone::cpu::HONE_NS {

constexpr int panel_parts = 16 / lanes;
typedef int32_t four_bytes __attribute__((may_alias, aligned(1)));

#if defined(__ARM_FEATURE_DOTPROD)
// Digits of a step are words of vectors, as sdot takes them: word I times four neighbours of each column. Of unsigned
// weights of 8 bits 128 is taken, and given back with the zero point.
constexpr bool weights_are_signed = true;
template <int I, int END, int DIGITS, int ROWS>
HONE_INLINE void dots(vi (&sum)[ROWS][DIGITS][panel_parts], int part, int8x16_t w, const int8x16_t* x) {
  if constexpr (I < END) {
    constexpr int row = I % (ROWS * DIGITS) / DIGITS, digit = I % DIGITS;
    vi& to = sum[row][digit][part];
    to = (vi)vdotq_laneq_s32((int32x4_t)to, w, x[I / 4], I % 4);
    dots<I + 1, END, DIGITS, ROWS>(sum, part, w, x);
  }
}
template <int BITS, int DIGITS, int ROWS, int S>
HONE_INLINE void step(vi (&sum)[S][ROWS][DIGITS][panel_parts], const uint8_t* w, const int8_t* x) {
  constexpr int words = ROWS * DIGITS, vectors = (2 * words + 3) / 4;
  int8x16_t digits[vectors];
  for (int i = 0; i < vectors; ++i) {
    // An odd half of a vector is the last: nothing behind it is read.
    digits[i] = 4 * i + 4 <= 2 * words ? vld1q_s8(x + 16 * i) : vcombine_s8(vld1_s8(x + 16 * i), vdup_n_s8(0));
  }
  for (int v = 0; v < panel_parts; ++v) {
    uint8x16_t first = vld1q_u8(w + 16 * v), second;
    if constexpr (BITS == 4) {
      second = vshrq_n_u8(first, 4);
      first = vandq_u8(first, vdupq_n_u8(15));
    } else {
      second = veorq_u8(vld1q_u8(w + 64 + 16 * v), vdupq_n_u8(128));
      first = veorq_u8(first, vdupq_n_u8(128));
    }
    dots<0, words, DIGITS, ROWS>(sum[0], v, vreinterpretq_s8_u8(first), digits);
    dots<words, 2 * words, DIGITS, ROWS>(sum[S - 1], v, vreinterpretq_s8_u8(second), digits);
  }
}
#else
constexpr bool weights_are_signed = false;
// Four neighbours of x, ready to be multiplied with those of each column.
struct FourX {
#if HONE_LANES >= 8 && !defined(__AVX512VNNI__)
  vi even, odd;  // as 16-bit numbers
#elif HONE_LANES >= 8
  vi all;
#else
  int32_t x[4];
#endif
};
HONE_INLINE FourX four_x(const int8_t* p) {
#if HONE_LANES == 16 && !defined(__AVX512VNNI__)
  const __m512i all = _mm512_set1_epi32(*(const four_bytes*)p);
  return {(vi)_mm512_srai_epi16(_mm512_slli_epi16(all, 8), 8), (vi)_mm512_srai_epi16(all, 8)};
#elif HONE_LANES == 8
  const __m256i all = _mm256_set1_epi32(*(const four_bytes*)p);
  return {(vi)_mm256_srai_epi16(_mm256_slli_epi16(all, 8), 8), (vi)_mm256_srai_epi16(all, 8)};
#elif HONE_LANES >= 8
  return {set1i(*(const four_bytes*)p)};
#else
  return {{p[0], p[1], p[2], p[3]}};
#endif
}

// Four neighbours of the weights for each column of a vector.
struct FourW {
#if HONE_LANES >= 8 && !defined(__AVX512VNNI__)
  vi even, odd;
#elif HONE_LANES >= 8
  vi all;
#else
  vi w[4];
#endif
};
HONE_INLINE FourW four_w(vi bytes) {
#if HONE_LANES >= 8 && !defined(__AVX512VNNI__)
  return {bytes & set1i(0x00ff00ff), (vi)((vu)bytes >> 8) & set1i(0x00ff00ff)};
#elif HONE_LANES >= 8
  return {bytes};
#else
  const vi mask = set1i(255);
  return {{bytes & mask, (vi)((vu)bytes >> 8) & mask, (vi)((vu)bytes >> 16) & mask, (vi)((vu)bytes >> 24)}};
#endif
}

HONE_INLINE vi dot(vi sum, FourW w, FourX x) {
#if HONE_LANES == 16 && defined(__AVX512VNNI__)
  return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w.all, (__m512i)x.all);
#elif HONE_LANES == 16
  sum += (vi)_mm512_madd_epi16((__m512i)w.even, (__m512i)x.even);
  return sum + (vi)_mm512_madd_epi16((__m512i)w.odd, (__m512i)x.odd);
#elif HONE_LANES == 8
  sum += (vi)_mm256_madd_epi16((__m256i)w.even, (__m256i)x.even);
  return sum + (vi)_mm256_madd_epi16((__m256i)w.odd, (__m256i)x.odd);
#else
  for (int i = 0; i < 4; ++i) sum += w.w[i] * set1i(x.x[i]);
  return sum;
#endif
}

template <int BITS, int DIGITS, int ROWS, int S>
HONE_INLINE void step(vi (&sum)[S][ROWS][DIGITS][panel_parts], const uint8_t* w, const int8_t* x) {
  constexpr int half = ROWS * DIGITS * 4;
  for (int v = 0; v < panel_parts; ++v) {
    vi first = load_i32((const int32_t*)(w + v * 4 * lanes)), second;
    if constexpr (BITS == 4) {
      second = (vi)((vu)first >> 4) & set1i(0x0f0f0f0f);
      first &= set1i(0x0f0f0f0f);
    } else {
      second = load_i32((const int32_t*)(w + 64 + v * 4 * lanes));
    }
    const FourW low = four_w(first), high = four_w(second);
    for (int r = 0; r < ROWS; ++r) {
      for (int d = 0; d < DIGITS; ++d) sum[0][r][d][v] = dot(sum[0][r][d][v], low, four_x(x + (r * DIGITS + d) * 4));
    }
    for (int r = 0; r < ROWS; ++r) {
      for (int d = 0; d < DIGITS; ++d)
        sum[S - 1][r][d][v] = dot(sum[S - 1][r][d][v], high, four_x(x + half + (r * DIGITS + d) * 4));
    }
  }
}
#endif

template <int BITS, int DIGITS, int ROWS>
static void low_bit_panel(const LowBitArgs& a) {
  constexpr int V = panel_parts;
  // One row alone has too few sums to hide the latency of a product: the two halves of a step get sums of their own.
  constexpr int S = ROWS == 1 ? 2 : 1;
  constexpr int half = ROWS * DIGITS * 4, step_bytes = BITS == 4 ? 64 : 128;
  vf total[ROWS][V];
  for (int r = 0; r < ROWS; ++r) {
    for (int v = 0; v < V; ++v) total[r][v] = vf{};
  }
  const uint8_t* w = a.weights;
  const int8_t* x = a.digits;
  for (int64_t g = 0; g < a.groups; ++g) {
    vi sum[S][ROWS][DIGITS][V];
    for (int s = 0; s < S; ++s) {
      for (int r = 0; r < ROWS; ++r) {
        for (int d = 0; d < DIGITS; ++d) {
          for (int v = 0; v < V; ++v) sum[s][r][d][v] = vi{};
        }
      }
    }
    for (int64_t s = 0; s < a.steps; ++s, w += step_bytes, x += 2 * half) {
      // Into L2, beyond the next page: the hardware's own streams end with the page, and what is asked for later than
      // this arrives late (measured: 10 KB reach 85 to 100 % of what plain reading does, 2 KB half of it).
      __builtin_prefetch(w + 10240, 0, 2);
      if constexpr (BITS == 8) __builtin_prefetch(w + 10304, 0, 2);
      step<BITS, DIGITS, ROWS, S>(sum, w, x);
    }
    for (int v = 0; v < V; ++v) {
      const int64_t at = g * 16 + v * lanes;
      const vf scale = a.scales_f16 ? load_f16((const uint16_t*)a.scales + at) : load((const float*)a.scales + at);
      vf zero = a.zeros ? load_u8(a.zeros + at) : set1(a.zero);
      if constexpr (weights_are_signed && BITS == 8) zero = zero - 128.0f;
      for (int r = 0; r < ROWS; ++r) {
        vf t = vf{};
        for (int d = DIGITS; d-- > 0;) {
          vi all = sum[0][r][d][v];
          if constexpr (S == 2) all += sum[1][r][d][v];
          t = to_float(all) + t * (1.0f / 256.0f);
        }
        t = t - zero * set1(a.x_sum[g * ROWS + r]);
        total[r][v] = total[r][v] + t * (scale * set1(a.x_scale[g * ROWS + r]));
      }
    }
  }
  for (int r = 0; r < ROWS; ++r) {
    for (int v = 0; v < V; ++v) store(a.out + r * a.ld + v * lanes, total[r][v]);
  }
}

HONE_INLINE vf load_x(const LowBitRow& a, int64_t at, int n) {
  if (a.type == Num::f32) return n == lanes ? load((const float*)a.x + at) : load_n((const float*)a.x + at, n);
  // Narrow elements behind the end are read and dropped: tensors are readable one vector past their end.
  const uint16_t* p = (const uint16_t*)a.x + at;
  const vf v = a.type == Num::bf16 ? load_bf16(p) : load_f16(p);
  if (n == lanes) return v;
  float all[lanes];
  store(all, v);
  return load_n(all, n);
}

template <int DIGITS>
static void low_bit_digits(const LowBitRow& a) {
  constexpr float unit = DIGITS == 3 ? 65536.0f : 256.0f;
  const int64_t half = int64_t(a.rows) * DIGITS * 4, groups = (a.depth + a.group - 1) / a.group;
  int8_t* to = a.digits + a.row * DIGITS * 4;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t begin = g * a.group, end = a.depth < begin + a.group ? a.depth : begin + a.group;
    vf high = vf{}, bad = vf{};
    for (int64_t k = begin; k < end; k += lanes) {
      const vf v = load_x(a, k, int(end - k < lanes ? end - k : lanes));
      high = maximum(absolute(v), high);
      bad = bad + v * 0.0f;  // not a number where v is infinite or none
    }
    const float largest = max_of(high), nan = sum_of(bad);
    const float scale = largest > 1e-30f ? largest / 127.0f : 0.0f;
    const vf inverse = set1(scale > 0 && nan == 0 ? unit / scale : 0.0f);
    double sum = 0;
    for (int64_t k = 0; k < a.steps * 8; k += lanes) {
      vi q = vi{};
      if (begin + k < end) {
        const int64_t n = end - begin - k;
        q = round_to_int(load_x(a, begin + k, int(n < lanes ? n : lanes)) * inverse);
      }
      float parts[lanes];
      store(parts, to_float(q));
      for (int i = 0; i < lanes; ++i) sum += parts[i];
      uint8_t bytes[DIGITS][lanes];
      for (int d = DIGITS; d-- > 0;) {
        const vi digit = d > 0 ? (q << 24) >> 24 : q;
        store_u8(bytes[d], digit);
        q = (q - digit) >> 8;
      }
      for (int i = 0; i < lanes && k + i < a.steps * 8; i += 4, to += half) {
        for (int d = 0; d < DIGITS; ++d) *(four_bytes*)(to + d * 4) = *(const four_bytes*)(bytes[d] + i);
      }
    }
    a.x_scale[g * a.rows + a.row] = scale + nan;
    a.x_sum[g * a.rows + a.row] = float(sum / double(unit));
  }
}

// Entries beyond the number of rows that fit the registers stay empty.
template <int BITS, int DIGITS, int ROWS, int MOST>
constexpr auto low_bit_entry() -> void (*)(const LowBitArgs&) {
  if constexpr (ROWS <= MOST)
    return low_bit_panel<BITS, DIGITS, ROWS>;
  else
    return nullptr;
}
#define HONE_LOW_BIT_ROWS(B, D, MOST)                                                                   \
  {                                                                                                     \
    low_bit_entry<B, D, 1, MOST>(), low_bit_entry<B, D, 2, MOST>(), low_bit_entry<B, D, 3, MOST>(),     \
        low_bit_entry<B, D, 4, MOST>(), low_bit_entry<B, D, 5, MOST>(), low_bit_entry<B, D, 6, MOST>(), \
        low_bit_entry<B, D, 7, MOST>(), low_bit_entry<B, D, 8, MOST>()                                  \
  }
#if defined(__AVX512VNNI__)
constexpr int two = 8, three = 6;
#elif HONE_LANES == 16
constexpr int two = 4, three = 4;
#elif defined(__ARM_FEATURE_DOTPROD)
constexpr int two = 3, three = 2;
#else
constexpr int two = 2, three = 1;
#endif
extern const LowBitIsa low_bit;
const LowBitIsa low_bit = {{{HONE_LOW_BIT_ROWS(4, 2, two), HONE_LOW_BIT_ROWS(4, 3, three)},
                            {HONE_LOW_BIT_ROWS(8, 2, two), HONE_LOW_BIT_ROWS(8, 3, three)}},
                           {two, three},
                           {low_bit_digits<2>, low_bit_digits<3>}};

}  // namespace hone::cpu::HONE_NS
