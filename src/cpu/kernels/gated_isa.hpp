// Values times a function of themselves, as SiLU and HardSwish come out of quantizers, in one pass; for ISA files only.
#pragma once
#include "cpu/kernels/epilogue_view.hpp"
#include "cpu/kernels/math.hpp"
#include "cpu/kernels/real_isa.hpp"
#include "cpu/kernels/requantize_isa.hpp"

namespace hone::cpu::HONE_NS {

#ifdef HONE_ONLY_BF16
constexpr bool only_bf16 = true;
#else
constexpr bool only_bf16 = false;
#endif

// What a tile needs of its view: copies, since stores might change the originals, as far as the compiler knows.
template <bool INTEGER, bool HARD, bool LEVELS, bool TAIL>
struct GatedColumns {
  vf bias, dequant, factor;
  vf value_scale, value_low, value_high, gate_scale, gate_low, gate_high;
  vi comp;

  HONE_MEMBER GatedColumns(const EpilogueView& e, int64_t c, float unit) {
    const GateView& g = e.gate;
    bias = e.bias ? load(e.bias + c) : vf{};
    comp = INTEGER ? load_i32(e.comp + c) : vi{};
    dequant = INTEGER ? load(e.dequant + c) : vf{};
    factor = g.factor ? load(g.factor + c) * unit : set1(unit);
    value_scale = set1(g.value.inverse);
    value_low = set1(g.value.low);
    value_high = set1(g.value.high);
    gate_scale = set1(g.gate.inverse);
    gate_low = set1(g.gate.low);
    gate_high = set1(g.gate.high);
  }
  HONE_MEMBER vf result(const void* acc, int64_t i) const {
    vf v;
    if constexpr (INTEGER) {
      v = to_float(load_i32(static_cast<const int32_t*>(acc) + i) - comp) * dequant + bias;
    } else {
      v = load(static_cast<const float*>(acc) + i) + bias;
    }
    vf gate = HARD ? hard_sigmoid_6(v) : logistic(v);
    if constexpr (LEVELS) {
      v = clamp_to(nearest(v * value_scale), value_low, value_high);
      gate = clamp_to(nearest(gate * gate_scale), gate_low, gate_high);
    }
    return v * gate * factor;
  }
};

// Barriers keep gcc from contracting a product with the sum in some copies of this code and not in others: which row
// meets which copy depends on the number of threads.
HONE_INLINE vf gated_tail(const EpilogueView& e, vf v, int64_t at) {
  const GateView& g = e.gate;
  if (g.rounds_result)
    v = clamp_to(nearest(v * g.result.inverse), set1(g.result.low), set1(g.result.high)) * g.result.step;
  HONE_KEEP(v);
  if (g.has_residual) {
    vf residual = load_operand(g.residual, at);
    HONE_KEEP(residual);
    v = v + residual;
  }
  return v;
}

template <bool INTEGER, bool HARD, bool LEVELS, bool TAIL>
static void gated_tile(const EpilogueView& view, const TileView& tile) {
  const EpilogueView e = view;
  const TileView t = tile;
  const bool bytes = !only_bf16 && (e.out_type == Num::u8 || e.out_type == Num::s8);
  const float steps = LEVELS ? e.gate.value.step * e.gate.gate.step : 1.0f;
  // Bytes are stored from their levels; without a tail the product of levels is scaled to them at once.
  const float unit = bytes && !TAIL ? steps * e.out_inv_scale : steps;
  const Requantizer<Between::nothing> q(all_bytes(e));
  const vf largest = set1(1e9f);
  for (int j = 0; j < t.cols; j += lanes) {
    const int n = t.cols - j < lanes ? t.cols - j : lanes;
    const int64_t c = t.col0 + j;
    const GatedColumns<INTEGER, HARD, LEVELS, TAIL> columns(e, c, unit);
    int64_t at = t.row0 * e.ld_out + c;
    if (!bytes) {
      for (int r = 0; r < t.rows; ++r, at += e.ld_out) {
        vf v = columns.result(t.acc, r * t.ld + j);
        if constexpr (TAIL) v = gated_tail(e, v, at);
        store_any(e, at, v, n);
      }
      continue;
    }
#if HONE_LANES == 16
    for (int r = 0; r < t.rows; r += 4) {
      vi level[4];
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        const int row = r + k < t.rows ? r + k : t.rows - 1;
        vf v = columns.result(t.acc, row * t.ld + j);
        if constexpr (TAIL) v = gated_tail(e, v, at + (row - r) * e.ld_out) * e.out_inv_scale;
        level[k] = round_to_int(minimum(largest, v));
      }
      const __m512i packed = q.pack(level[0], level[1], level[2], level[3]);
      const __m128i chunk[4] = {_mm512_castsi512_si128(packed), _mm512_extracti32x4_epi32(packed, 1),
                                _mm512_extracti32x4_epi32(packed, 2), _mm512_extracti32x4_epi32(packed, 3)};
      uint8_t* to = static_cast<uint8_t*>(e.out) + at;
      for (int k = 0; k < 4 && r + k < t.rows; ++k, to += e.ld_out) {
        if (n == lanes) {
          _mm_storeu_si128(reinterpret_cast<__m128i*>(to), chunk[k]);
        } else {
          _mm_mask_storeu_epi8(to, first_lanes(n), chunk[k]);
        }
      }
      at += 4 * e.ld_out;
    }
#else
    for (int r = 0; r < t.rows; ++r, at += e.ld_out) {
      vf v = columns.result(t.acc, r * t.ld + j);
      if constexpr (TAIL) v = gated_tail(e, v, at) * e.out_inv_scale;
      store_bytes(static_cast<uint8_t*>(e.out) + at, q.bytes(round_to_int(minimum(largest, v))), n);
    }
#endif
  }
}

template <bool INTEGER, bool HARD>
HONE_INLINE void gated_kind(const EpilogueView& e, const TileView& t) {
  const bool tail = e.gate.rounds_result || e.gate.has_residual;
  if (e.gate.levels)
    return tail ? gated_tile<INTEGER, HARD, true, true>(e, t) : gated_tile<INTEGER, HARD, true, false>(e, t);
  tail ? gated_tile<INTEGER, HARD, false, true>(e, t) : gated_tile<INTEGER, HARD, false, false>(e, t);
}
HONE_INLINE void gated_form(const EpilogueView& e, const TileView& t) {
  if (e.integer) return e.gate.hard ? gated_kind<true, true>(e, t) : gated_kind<true, false>(e, t);
  e.gate.hard ? gated_kind<false, true>(e, t) : gated_kind<false, false>(e, t);
}

}  // namespace hone::cpu::HONE_NS
