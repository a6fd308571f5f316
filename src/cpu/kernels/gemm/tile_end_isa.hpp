// Results of dense products straight from their accumulators, for ISA files only: no way through memory, which costs
// thin layers more than their products.
#pragma once
#include "cpu/kernels/gemm/dense_view.hpp"
#include "cpu/kernels/math.hpp"

namespace hone::cpu::HONE_NS {

template <Num TYPE, int ROWS, int VECTORS>
HONE_INLINE void add_residual(const RealEnd& e, vf (&acc)[ROWS][VECTORS]) {
#pragma GCC unroll 16
  for (int j = 0; j < VECTORS; ++j) {
    const int64_t at = j * lanes;
    if (at >= e.cols) return;
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) {
      if (m == ROWS - 1 && e.rows != ROWS) break;
      if constexpr (TYPE == Num::bf16) {
        acc[m][j] = acc[m][j] + load_bf16(static_cast<const uint16_t*>(e.residual) + m * e.ld + at);
      } else {
        acc[m][j] = acc[m][j] + load(static_cast<const float*>(e.residual) + m * e.ld + at);
      }
    }
  }
}
template <Num TYPE, int ROWS, int VECTORS>
HONE_INLINE void store_results(const RealEnd& e, const vf (&acc)[ROWS][VECTORS]) {
#pragma GCC unroll 16
  for (int j = 0; j < VECTORS; ++j) {
    const int at = j * lanes, n = e.cols - at < lanes ? e.cols - at : lanes;
    if (n <= 0) return;
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) {
      if (m == ROWS - 1 && e.rows != ROWS) break;
      if constexpr (TYPE == Num::bf16) {
        store_words(static_cast<uint16_t*>(e.out) + m * e.ld + at, to_bf16(acc[m][j]), n);
      } else if (n == lanes) {
        store(static_cast<float*>(e.out) + m * e.ld + at, acc[m][j]);
      } else {
        store_n(static_cast<float*>(e.out) + m * e.ld + at, acc[m][j], n);
      }
    }
  }
}

// One step after the other over the whole tile, which stays in its registers: that is the sum of the steps' code, where
// a loop for each combination of them would be their product.
template <bool BF16, int ROWS, int VECTORS>
HONE_INLINE void put_results(const RealEnd& end, vf (&acc)[ROWS][VECTORS]) {
  const RealEnd e = end;  // a copy: stores might change the original, as far as the compiler knows
  const bool bf16 = BF16 && e.type == Num::bf16;
#pragma GCC unroll 16
  for (int j = 0; j < VECTORS; ++j) {
    const vf bias = load(e.bias + j * lanes);
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) acc[m][j] = acc[m][j] + bias;
  }
  if (e.residual) {
    if constexpr (BF16) {
      if (bf16) add_residual<Num::bf16>(e, acc);
    }
    if (!bf16) add_residual<Num::f32>(e, acc);
  }
  if (e.hard_swish) {
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) {
#pragma GCC unroll 16
      for (int j = 0; j < VECTORS; ++j) acc[m][j] = hard_swish(acc[m][j]);
    }
  } else {
    const vf low = set1(e.low), high = set1(e.high);
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) {
#pragma GCC unroll 16
      for (int j = 0; j < VECTORS; ++j) acc[m][j] = clamp_to(acc[m][j], low, high);
    }
  }
  if constexpr (BF16) {
    if (bf16) return store_results<Num::bf16>(e, acc);
  }
  store_results<Num::f32>(e, acc);
}

}  // namespace hone::cpu::HONE_NS
