// The transforms of Winograd's convolution, for ISA files only.
#pragma once
#include "cpu/kernels/conv/winograd_view.hpp"
#include "cpu/kernels/fused.hpp"
#include "cpu/kernels/real_isa.hpp"

namespace hone::cpu::HONE_NS {

// B^T d, values `from` apart to `to` apart.
template <int M, int FROM, int TO>
HONE_INLINE void source_line(const vf* d, vf* t) {
  if constexpr (M == 4) {
    const vf d1 = d[FROM], d2 = d[2 * FROM], d3 = d[3 * FROM], d4 = d[4 * FROM];
    const vf a = fused(-4.0f, d2, d4), b = fused(-4.0f, d1, d3), c = d4 - d2, e = d3 - d1;
    t[0] = fused(4.0f, d[0], fused(-5.0f, d2, d4));
    t[TO] = a + b;
    t[2 * TO] = a - b;
    t[3 * TO] = fused(2.0f, e, c);
    t[4 * TO] = fused(-2.0f, e, c);
    t[5 * TO] = fused(4.0f, d1, fused(-5.0f, d3, d[5 * FROM]));
  } else {
    t[0] = d[0] - d[2 * FROM];
    t[TO] = d[FROM] + d[2 * FROM];
    t[2 * TO] = d[2 * FROM] - d[FROM];
    t[3 * TO] = d[FROM] - d[3 * FROM];
  }
}
// A^T m.
template <int M, int FROM, int TO>
HONE_INLINE void result_line(const vf* m, vf* y) {
  const vf sum = m[FROM] + m[2 * FROM], difference = m[FROM] - m[2 * FROM];
  if constexpr (M == 4) {
    const vf far_sum = m[3 * FROM] + m[4 * FROM], far_difference = m[3 * FROM] - m[4 * FROM];
    y[0] = m[0] + sum + far_sum;
    y[TO] = fused(2.0f, far_difference, difference);
    y[2 * TO] = fused(4.0f, far_sum, sum);
    y[3 * TO] = fused(8.0f, far_difference, difference) + m[5 * FROM];
  } else {
    y[0] = m[0] + sum;
    y[TO] = difference - m[3 * FROM];
  }
}

template <int M, Num TYPE>
static void source_tile(const void* const* pixels, int64_t channels, float* to, int64_t step) {
  constexpr int n = M + 2;
  for (int64_t c = 0; c < channels; c += lanes) {
    vf half[n * n];
    for (int x = 0; x < n; ++x) {
      vf d[n];
      for (int y = 0; y < n; ++y) d[y] = load_raw(TYPE, pixels[y * n + x], c);
      source_line<M, 1, n>(d, half + x);
    }
    for (int y = 0; y < n; ++y) {
      vf t[n];
      source_line<M, 1, 1>(half + y * n, t);
      for (int x = 0; x < n; ++x) store(to + (y * n + x) * step + c, t[x]);
    }
  }
}

template <int M>
static void result_tile(const float* from, int64_t step, int64_t columns, float* to) {
  constexpr int n = M + 2;
  for (int64_t c = 0; c < columns; c += lanes) {
    vf half[M * n];
    for (int x = 0; x < n; ++x) {
      vf m[n];
      for (int y = 0; y < n; ++y) m[y] = load(from + (y * n + x) * step + c);
      result_line<M, 1, n>(m, half + x);
    }
    for (int y = 0; y < M; ++y) {
      vf r[M];
      result_line<M, 1, 1>(half + y * n, r);
      for (int x = 0; x < M; ++x) store(to + (y * M + x) * columns + c, r[x]);
    }
  }
}

void winograd_source(int m, Num type, const void* const* pixels, int64_t channels, float* to, int64_t step) {
  if (m == 4) {
    if (type == Num::f32) return source_tile<4, Num::f32>(pixels, channels, to, step);
    return source_tile<4, Num::bf16>(pixels, channels, to, step);
  }
  if (type == Num::f32) return source_tile<2, Num::f32>(pixels, channels, to, step);
  source_tile<2, Num::bf16>(pixels, channels, to, step);
}
void winograd_result(int m, const float* from, int64_t step, int64_t columns, float* to) {
  if (m == 4) return result_tile<4>(from, step, columns, to);
  result_tile<2>(from, step, columns, to);
}

}  // namespace hone::cpu::HONE_NS
