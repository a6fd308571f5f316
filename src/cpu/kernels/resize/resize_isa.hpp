// Weighted sums of rows and of pixels, for ISA files only.
#pragma once
#include "cpu/kernels/real_isa.hpp"
#include "cpu/kernels/resize/resize_view.hpp"

namespace hone::cpu::HONE_NS {

template <Num TYPE>
static void sum_rows(const RealInput& x, int64_t begin, const ResizeTaps& t, int64_t n, float* to) {
  const void* data = x.data;
  const bool quantized = x.quantized;
  const vf zero = set1(quantized ? x.zero : 0), scale = set1(quantized ? x.scale : 1);
  for (int64_t i = 0; i < n; i += lanes) {
    vf sum = {};
    for (int64_t k = 0; k < t.taps; ++k) sum = sum + t.weight[k] * load_raw(TYPE, data, begin + t.at[k] + i);
    // The weights of all taps may sum up to less than 1: the zero point is part of each value.
    if (TYPE == Num::u8 || TYPE == Num::s8) {
      float total = 0;
      for (int64_t k = 0; k < t.taps; ++k) total += t.weight[k];
      sum = (sum - total * zero) * scale;
    }
    store(to + i, sum);
  }
}

void resize_rows(const RealInput& x, int64_t begin, const ResizeTaps& t, int64_t n, float* to) {
  switch (x.type) {
    case Num::f32:
      return sum_rows<Num::f32>(x, begin, t, n, to);
    case Num::bf16:
      return sum_rows<Num::bf16>(x, begin, t, n, to);
    case Num::f16:
      return sum_rows<Num::f16>(x, begin, t, n, to);
    case Num::u8:
      return sum_rows<Num::u8>(x, begin, t, n, to);
    default:
      return sum_rows<Num::s8>(x, begin, t, n, to);
  }
}

template <Num OUT, int TAPS>
static void sum_pixels(const float* row, const ResizeTaps& t, int64_t pixels, int64_t channels, const EpilogueView& e,
                       int64_t begin) {
  const int64_t taps = TAPS > 0 ? TAPS : t.taps;
  for (int64_t p = 0; p < pixels; ++p) {
    const int64_t* at = t.at + p * taps;
    const float* weight = t.weight + p * taps;
    for (int64_t c = 0; c < channels; c += lanes) {
      vf sum = weight[0] * load(row + at[0] + c);
      for (int64_t k = 1; k < taps; ++k) sum = sum + weight[k] * load(row + at[k] + c);
      store_out<OUT>(e, begin + p * channels + c, sum, int(channels - c < lanes ? channels - c : lanes));
    }
  }
}
template <Num OUT>
static void sum_pixels_to(const float* row, const ResizeTaps& t, int64_t pixels, int64_t channels,
                          const EpilogueView& e, int64_t begin) {
  if (t.taps == 2) return sum_pixels<OUT, 2>(row, t, pixels, channels, e, begin);
  sum_pixels<OUT, 0>(row, t, pixels, channels, e, begin);
}

template <Num OUT>
static void sum_line(const float* line, const LineTaps& t, int64_t n, const EpilogueView& e, int64_t begin) {
  for (int64_t p = 0; p < n; p += 16) {
    const float* from = line + t.base[p / 16];
    const int32_t* index = t.index + p * t.taps;
    const float* weight = t.weight + p * t.taps;
#if HONE_LANES == 16
    if (t.near) {
      const __m512 low = (__m512)load(from), high = (__m512)load(from + 16);
      vf sum = {};
      for (int64_t k = 0; k < t.taps; ++k) {
        const __m512i at = (__m512i)load_i32(index + 16 * k);
        sum = sum + load(weight + 16 * k) * (vf)_mm512_permutex2var_ps(low, at, high);
      }
      store_out<OUT>(e, begin + p, sum, n - p < 16 ? int(n - p) : 16);
      continue;
    }
#endif
    alignas(64) float sums[16] = {};
    for (int64_t k = 0; k < t.taps; ++k) {
      // Taps are few, but gcc would vectorize over many of them, in 60 kB of code.
      const int32_t* at = index + 16 * k;
      __asm__("" : "+r"(at));
      for (int i = 0; i < 16; ++i) sums[i] += weight[16 * k + i] * from[at[i]];
    }
    for (int i = 0; i < 16 && p + i < n; i += lanes) {
      store_out<OUT>(e, begin + p + i, load(sums + i), n - p - i < lanes ? int(n - p - i) : lanes);
    }
  }
}

HONE_INLINE EpilogueView view_of(const RealOutput& y) {
  EpilogueView e;
  e.out = y.data;
  e.out_inv_scale = y.inv_scale;
  e.out_zero = y.zero;
  e.out_low = y.low;
  e.out_high = y.high;
  return e;
}

void resize_line(const float* line, const LineTaps& t, int64_t n, const RealOutput& y, int64_t begin) {
  const EpilogueView e = view_of(y);
  switch (y.type) {
    case Num::f32:
      return sum_line<Num::f32>(line, t, n, e, begin);
    case Num::bf16:
      return sum_line<Num::bf16>(line, t, n, e, begin);
    case Num::f16:
      return sum_line<Num::f16>(line, t, n, e, begin);
    default:
      return sum_line<Num::u8>(line, t, n, e, begin);
  }
}

void resize_pixels(const float* row, const ResizeTaps& t, int64_t pixels, int64_t channels, const RealOutput& y,
                   int64_t begin) {
  const EpilogueView e = view_of(y);
  switch (y.type) {
    case Num::f32:
      return sum_pixels_to<Num::f32>(row, t, pixels, channels, e, begin);
    case Num::bf16:
      return sum_pixels_to<Num::bf16>(row, t, pixels, channels, e, begin);
    case Num::f16:
      return sum_pixels_to<Num::f16>(row, t, pixels, channels, e, begin);
    default:
      return sum_pixels_to<Num::u8>(row, t, pixels, channels, e, begin);
  }
}

}  // namespace hone::cpu::HONE_NS
