// Results of dense products straight from their accumulators, for ISA files only: no way through memory, which costs
// thin layers more than their products.
#pragma once
#include "cpu/kernels/gemm/dense_view.hpp"
#include "cpu/kernels/math.hpp"

namespace hone::cpu::HONE_NS {

// A residual is added right before each store: as a step of its own it made thin layers up to a tenth slower.
template <Num TYPE, bool RESIDUAL, int ROWS, int VECTORS>
HONE_INLINE void store_clamped(const RealEnd& e, vf low, vf high, const vf (&acc)[ROWS][VECTORS]) {
#pragma GCC unroll 16
  for (int j = 0; j < VECTORS; ++j) {
    const int64_t at = j * lanes;
    const int n = e.cols - at < lanes ? int(e.cols - at) : lanes;
    if (n <= 0) return;
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) {
      if (m == ROWS - 1 && e.rows != ROWS) break;
      vf v = acc[m][j];
      if constexpr (RESIDUAL && TYPE == Num::bf16) {
        v = v + load_bf16(static_cast<const uint16_t*>(e.residual) + m * e.ld + at);
      } else if constexpr (RESIDUAL) {
        v = v + load(static_cast<const float*>(e.residual) + m * e.ld + at);
      }
      v = clamp_to(v, low, high);
      if constexpr (TYPE == Num::bf16) {
        store_words(static_cast<uint16_t*>(e.out) + m * e.ld + at, to_bf16(v), n);
      } else if (n == lanes) {
        store(static_cast<float*>(e.out) + m * e.ld + at, v);
      } else {
        store_n(static_cast<float*>(e.out) + m * e.ld + at, v, n);
      }
    }
  }
}
template <Num TYPE, int ROWS, int VECTORS>
HONE_INLINE void store_results(const RealEnd& e, vf low, vf high, const vf (&acc)[ROWS][VECTORS]) {
  if (e.residual) return store_clamped<TYPE, true>(e, low, high, acc);
  store_clamped<TYPE, false>(e, low, high, acc);
}

// Bias and HardSwish are steps of their own over the whole tile, which stays in its registers: a loop for each
// combination of steps and types would be a multiple of the code.
template <bool BF16, int ROWS, int VECTORS>
HONE_INLINE void put_results(const RealEnd& end, vf (&acc)[ROWS][VECTORS]) {
  const RealEnd e = end;  // a copy: stores might change the original, as far as the compiler knows
  vf low = set1(e.low), high = set1(e.high);
#pragma GCC unroll 16
  for (int j = 0; j < VECTORS; ++j) {
    const vf bias = load(e.bias + j * lanes);
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) acc[m][j] = acc[m][j] + bias;
  }
  if (e.hard_swish) {
    low = set1(-__builtin_inff());
    high = set1(__builtin_inff());
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) {
#pragma GCC unroll 16
      for (int j = 0; j < VECTORS; ++j) acc[m][j] = hard_swish(acc[m][j]);
    }
  }
  if constexpr (BF16) {
    if (e.type == Num::bf16) return store_results<Num::bf16>(e, low, high, acc);
  }
  store_results<Num::f32>(e, low, high, acc);
}

}  // namespace hone::cpu::HONE_NS
