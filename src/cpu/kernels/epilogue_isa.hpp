// Execution of epilogues, for ISA files only: one pass in registers for bias, residual and clamp; one or three passes
// over the tile in L1 with one other activation; else step by step.
#pragma once
#include "cpu/kernels/activation_isa.hpp"
#include "cpu/kernels/epilogue_steps_isa.hpp"
#include "cpu/kernels/epilogue_view.hpp"
#include "cpu/kernels/gated_isa.hpp"
#include "cpu/kernels/math.hpp"
#include "cpu/kernels/real_isa.hpp"
#include "cpu/kernels/requantized_tile_isa.hpp"
#include "device/epilogue_op.hpp"

namespace hone::cpu::HONE_NS {

template <bool INTEGER, bool RESIDUAL, Num OUT>
HONE_INLINE void clamped_tile(const EpilogueView& view, const TileView& tile) {
  // Copies: stores might change the originals, as far as the compiler knows.
  const EpilogueView e = view;
  const TileView t = tile;
  const vf low = set1(e.clamp_low), high = set1(e.clamp_high);
  for (int j = 0; j < t.cols; j += lanes) {
    const int n = t.cols - j < lanes ? t.cols - j : lanes;
    const int64_t c = t.col0 + j;
    const vf bias = e.bias ? load(e.bias + c) : vf{};
    const vi comp = INTEGER ? load_i32(e.comp + c) : vi{};
    const vf dequant = INTEGER ? load(e.dequant + c) : vf{};
    int64_t at = t.row0 * e.ld_out + c;
    for (int r = 0; r < t.rows; ++r, at += e.ld_out) {
      vf v = real_result<INTEGER>(t, r * t.ld + j, comp, dequant) + bias;
      if constexpr (RESIDUAL) v = v + load_operand(e.residual, at);
      store_out<OUT>(e, at, clamp_to(v, low, high), n);
    }
  }
}
template <bool INTEGER, bool RESIDUAL>
HONE_INLINE void clamped_form(const EpilogueView& e, const TileView& t) {
  if constexpr (only_bf16) return clamped_tile<INTEGER, RESIDUAL, Num::bf16>(e, t);
  switch (e.out_type) {
    case Num::f32:
      return clamped_tile<INTEGER, RESIDUAL, Num::f32>(e, t);
    case Num::bf16:
      return clamped_tile<INTEGER, RESIDUAL, Num::bf16>(e, t);
    case Num::f16:
      return clamped_tile<INTEGER, RESIDUAL, Num::f16>(e, t);
    default:
      return clamped_tile<INTEGER, RESIDUAL, Num::u8>(e, t);
  }
}

template <Num OUT>
HONE_INLINE void store_tile(const EpilogueView& e, const TileView& t) {
  const bool residual = e.residual_last;
  for (int r = 0; r < t.rows; ++r) {
    const int64_t at = (t.row0 + r) * e.ld_out + t.col0;
    const float* row = static_cast<const float*>(t.acc) + r * t.ld;
    for (int j = 0; j < t.cols; j += lanes) {
      vf v = load(row + j);
      if (residual) v = v + load_operand(e.residual, at + j);
      store_out<OUT>(e, at + j, v, t.cols - j < lanes ? t.cols - j : lanes);
    }
  }
}

// Other chains with an activation pass over the tile in L1 three times: a loop of its own for the activation keeps its
// constants in registers, and one copy of the code serves all types.
template <bool INTEGER>
static void activated_form(const EpilogueView& e, const TileView& t) {
  if (ran_in_one_pass<INTEGER>(e, t)) return;
  const vf low = set1(e.clamp_low), high = set1(e.clamp_high);
  const bool residual = e.has_residual && !e.residual_last;
  float* acc = static_cast<float*>(t.acc);
  for (int j = 0; j < t.cols; j += lanes) {
    const int64_t c = t.col0 + j;
    const vf bias = e.bias ? load(e.bias + c) : vf{};
    const vi comp = INTEGER ? load_i32(e.comp + c) : vi{};
    const vf dequant = INTEGER ? load(e.dequant + c) : vf{};
    for (int r = 0; r < t.rows; ++r) {
      vf v = real_result<INTEGER>(t, r * t.ld + j, comp, dequant) + bias;
      if (residual) v = v + load_operand(e.residual, (t.row0 + r) * e.ld_out + c);
      store(acc + r * t.ld + j, clamp_to(v, low, high));
    }
  }
  if (e.activation != 0) {
    const SlotStep step{uint8_t(e.activation - 1), 0, 0, -1, -1, e.alpha, e.beta, 0, 0};
    if (t.cols + lanes > t.ld) {
      run_step(step, acc, acc, nullptr, (t.rows - 1) * t.ld + t.cols);
    } else {
      for (int r = 0; r < t.rows; ++r) run_step(step, acc + r * t.ld, acc + r * t.ld, nullptr, t.cols);
    }
  }
  if constexpr (only_bf16) return store_tile<Num::bf16>(e, t);
  switch (e.out_type) {
    case Num::f32:
      return store_tile<Num::f32>(e, t);
    case Num::bf16:
      return store_tile<Num::bf16>(e, t);
    case Num::f16:
      return store_tile<Num::f16>(e, t);
    default:
      return store_tile<Num::u8>(e, t);
  }
}

template <bool INTEGER>
static void fast_form(const EpilogueView& e, const TileView& t) {
  if (e.activation != 0 || e.residual_last) return activated_form<INTEGER>(e, t);
  if (e.has_residual) return clamped_form<INTEGER, true>(e, t);
  clamped_form<INTEGER, false>(e, t);
}

void epilogue_tile(const EpilogueView& e, const TileView& t) {
#ifdef HONE_ONLY_BF16
  if (e.out_type != Num::bf16) return avx512::epilogue_tile(e, t);
#else
  if (e.requant.scale) return requantized_tile(e, t);
#if HONE_LANES == 16
  if (e.curve.run) return e.curve.run(e, t);
#endif
#endif
  if (e.gate.on) return gated_form(e, t);
  if (!e.fast) return general_form(e, t);
  if (e.integer) return fast_form<true>(e, t);
  fast_form<false>(e, t);
}

void f32_to_bf16(const float* from, uint16_t* to, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store_bf16(to + i, load(from + i));
  if (i < n) {
    const vh h = to_bf16(load_n(from + i, int(n - i)));
    for (int k = 0; i + k < n; ++k) to[i + k] = h[k];
  }
}
void f16_to_f32(const uint16_t* from, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(to + i, load_f16(from + i));
  for (; i < n; ++i) to[i] = one_f16(from[i]);
}
void bf16_to_f32(const uint16_t* from, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(to + i, load_bf16(from + i));
  for (; i < n; ++i) {
    const uint32_t u = uint32_t(from[i]) << 16;
    __builtin_memcpy(to + i, &u, 4);
  }
}

}  // namespace hone::cpu::HONE_NS
