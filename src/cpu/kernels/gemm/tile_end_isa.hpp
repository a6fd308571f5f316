// Results of dense products straight from their accumulators, for ISA files only: no way through memory, which costs
// thin layers more than their products.
#pragma once
#include "cpu/kernels/gemm/dense_view.hpp"
#include "cpu/kernels/math.hpp"

namespace hone::cpu::HONE_NS {

enum class End { clamp, residual, hard_swish };

template <Num OUT, End END, int ROWS, int VECTORS>
HONE_INLINE void put_in_form(const RealEnd& e, const vf (&acc)[ROWS][VECTORS]) {
  // Copies: stores might change the originals, as far as the compiler knows.
  const vf low = set1(e.low), high = set1(e.high);
  const int64_t ld = e.ld;
  const int cols = e.cols;
  const bool last = e.rows == ROWS;
  auto* words = static_cast<uint16_t*>(e.out);
  auto* floats = static_cast<float*>(e.out);
  const void* residual = e.residual;
  const float* biases = e.bias;
#pragma GCC unroll 16
  for (int j = 0; j < VECTORS; ++j) {
    const int at = j * lanes, n = cols - at < lanes ? cols - at : lanes;
    if (n <= 0) return;
    const vf bias = load(biases + at);
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) {
      if (m == ROWS - 1 && !last) break;
      vf v = acc[m][j] + bias;
      if constexpr (END == End::residual && OUT == Num::f32)
        v = v + load(static_cast<const float*>(residual) + m * ld + at);
      if constexpr (END == End::residual && OUT == Num::bf16)
        v = v + load_bf16(static_cast<const uint16_t*>(residual) + m * ld + at);
      if constexpr (END == End::hard_swish) {
        v = hard_swish(v);
      } else {
        v = clamp_to(v, low, high);
      }
      if constexpr (OUT == Num::bf16) {
        store_words(words + m * ld + at, to_bf16(v), n);
      } else if (n == lanes) {
        store(floats + m * ld + at, v);
      } else {
        store_n(floats + m * ld + at, v, n);
      }
    }
  }
}
template <Num OUT, int ROWS, int VECTORS>
HONE_INLINE void put_results_as(const RealEnd& e, const vf (&acc)[ROWS][VECTORS]) {
  if (e.hard_swish) return put_in_form<OUT, End::hard_swish>(e, acc);
  if (e.residual) return put_in_form<OUT, End::residual>(e, acc);
  put_in_form<OUT, End::clamp>(e, acc);
}
template <bool BF16, int ROWS, int VECTORS>
HONE_INLINE void put_results(const RealEnd& e, const vf (&acc)[ROWS][VECTORS]) {
  if constexpr (BF16) {
    if (e.type == Num::bf16) return put_results_as<Num::bf16>(e, acc);
  }
  put_results_as<Num::f32>(e, acc);
}

}  // namespace hone::cpu::HONE_NS
