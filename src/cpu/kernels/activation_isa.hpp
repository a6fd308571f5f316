// The activations that end most convolutions and matrix products, in one pass over the tile, for ISA files only.
#pragma once
#include "cpu/kernels/epilogue_steps_isa.hpp"
#include "cpu/kernels/fused.hpp"
#include "cpu/kernels/gated_isa.hpp"
#include "cpu/kernels/requantize_isa.hpp"

namespace hone::cpu::HONE_NS {

template <bool INTEGER>
HONE_INLINE vf real_result(const TileView& t, int64_t i, vi comp, vf dequant) {
  if constexpr (INTEGER) return to_float(load_i32(static_cast<const int32_t*>(t.acc) + i) - comp) * dequant;
  return load(static_cast<const float*>(t.acc) + i);
}

template <EpilogueOp OP, Num OUT>
HONE_INLINE vf activated(const EpilogueView& e, vf v) {
  if constexpr (OP == EpilogueOp::gelu_erf && OUT != Num::f32) return rough_gelu_by_erf(v);
  if constexpr (OP == EpilogueOp::swish && OUT == Num::bf16) return v * coarse_logistic(e.alpha * v);
  return one_operand(OP, v, e.alpha, e.beta);
}

#if HONE_LANES == 16
// Activations of whole blocks of 64 columns to bytes, packed four vectors at a time. Returns how many columns are done.
template <bool INTEGER, EpilogueOp OP>
HONE_INLINE int blocks_to_bytes(const EpilogueView& e, const TileView& t) {
  alignas(64) static const float no_bias[64] = {};
  const bool is_signed = e.out_type == Num::s8;
  const vf inverse = set1(e.out_inv_scale), most = set1(32767.0f);
  const __m512i zero = _mm512_set1_epi16(int16_t(e.out_zero));
  // Packing leaves four bytes of each vector in each 128 bits.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  auto* out = static_cast<uint8_t*>(e.out);
  int j = 0;
  for (; j + 64 <= t.cols; j += 64) {
    const int64_t c = t.col0 + j;
    const float* bias = e.bias ? e.bias + c : no_bias;
    int64_t at = t.row0 * e.ld_out + c;
    for (int r = 0; r < t.rows; ++r, at += e.ld_out) {
      __m512i level[4];
      for (int k = 0; k < 4; ++k) {
        const int i = k * 16;
        const vi comp = INTEGER ? load_i32(e.comp + c + i) : vi{};
        const vf dequant = INTEGER ? load(e.dequant + c + i) : vf{};
        const vf v = real_result<INTEGER>(t, r * t.ld + j + i, comp, dequant) + load(bias + i);
        // Beyond the range of bytes nothing changes; to below, what does not fit becomes the least integer.
        level[k] = (__m512i)round_to_int(minimum(activated<OP, Num::u8>(e, v) * inverse, most));
      }
      const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(level[0], level[1]), zero);
      const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(level[2], level[3]), zero);
      const __m512i bytes = is_signed ? _mm512_packs_epi16(ab, cd) : _mm512_packus_epi16(ab, cd);
      _mm512_storeu_si512(out + at, _mm512_permutexvar_epi32(order, bytes));
    }
  }
  return j;
}

// HardSwish to bytes: with a = (v + 3) k, where 6 k^2 is what turns results into levels, a level is (a - 3 k) times a
// clamped to [0, 6 k]. VECTORS of 16 columns of 4 / VECTORS rows at a time, from column `j` on.
template <bool INTEGER, int VECTORS>
HONE_INLINE void hard_swish_columns(const EpilogueView& e, const TileView& t, int j) {
  constexpr int rows = 4 / VECTORS;
  const Requantizer<Between::nothing> q(all_bytes(e));
  const vf k = square_root(set1(e.out_inv_scale * (1.0f / 6.0f))), three = k * 3.0f, six = k * 6.0f, most = set1(1e9f);
  const int64_t c = t.col0 + j;
  const int n = t.cols - j;
  vf scale[VECTORS], offset[VECTORS];
  for (int i = 0; i < VECTORS; ++i) {
    scale[i] = k;
    offset[i] = three;
    if (e.bias) offset[i] = fused(load(e.bias + c + i * 16), k, three);
    if constexpr (INTEGER) {
      scale[i] = load(e.dequant + c + i * 16) * k;
      offset[i] = fused(-to_float(load_i32(e.comp + c + i * 16)), scale[i], offset[i]);
    }
  }
  auto* to = static_cast<uint8_t*>(e.out) + t.row0 * e.ld_out + c;
  for (int r = 0; r < t.rows; r += rows, to += rows * e.ld_out) {
    vi level[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int row = r + i / VECTORS < t.rows ? r + i / VECTORS : t.rows - 1;
      const int64_t at = row * t.ld + j + i % VECTORS * 16;
      vf v;
      if constexpr (INTEGER) {
        v = to_float(load_i32(static_cast<const int32_t*>(t.acc) + at));
      } else {
        v = load(static_cast<const float*>(t.acc) + at);
      }
      const vf a = fused(v, scale[i % VECTORS], offset[i % VECTORS]);
      level[i] = round_to_int(minimum(most, (a - three) * clamp_to(a, vf{}, six)));
    }
    const __m512i bytes = q.pack(level[0], level[1], level[2], level[3]);
    if constexpr (VECTORS == 4) {
      _mm512_storeu_si512(to, bytes);
    } else {
      const __m128i part[4] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
                               _mm512_extracti32x4_epi32(bytes, 2), _mm512_extracti32x4_epi32(bytes, 3)};
      for (int i = 0; i < 4 && r + i < t.rows; ++i) {
        if (n >= 16) {
          _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * e.ld_out), part[i]);
        } else {
          _mm_mask_storeu_epi8(to + i * e.ld_out, first_lanes(n), part[i]);
        }
      }
    }
  }
}
template <bool INTEGER>
static void hard_swish_to_bytes(const EpilogueView& view, const TileView& tile) {
  const EpilogueView e = view;
  const TileView t = tile;
  int j = 0;
  for (; j + 64 <= t.cols; j += 64) hard_swish_columns<INTEGER, 4>(e, t, j);
  for (; j < t.cols; j += 16) hard_swish_columns<INTEGER, 1>(e, t, j);
}
#endif

// The activations that end most convolutions and matrix products, in one pass.
template <bool INTEGER, EpilogueOp OP, Num OUT>
static void one_pass(const EpilogueView& view, const TileView& tile) {
  const EpilogueView e = view;
  const TileView t = tile;
  int j = 0;
#if HONE_LANES == 16
  if constexpr (OUT == Num::u8) {
    if (OP != EpilogueOp::hswish && !e.has_residual) j = blocks_to_bytes<INTEGER, OP>(e, t);
  }
#endif
  for (; j < t.cols; j += lanes) {
    const int n = t.cols - j < lanes ? t.cols - j : lanes;
    const int64_t c = t.col0 + j;
    const vf bias = e.bias ? load(e.bias + c) : vf{};
    const vi comp = INTEGER ? load_i32(e.comp + c) : vi{};
    const vf dequant = INTEGER ? load(e.dequant + c) : vf{};
    int64_t at = t.row0 * e.ld_out + c;
    for (int r = 0; r < t.rows; ++r, at += e.ld_out) {
      vf v = real_result<INTEGER>(t, r * t.ld + j, comp, dequant) + bias;
      if (e.has_residual && !e.residual_last) v = v + load_operand(e.residual, at);
      v = activated<OP, OUT>(e, v);
      if (e.residual_last) v = v + load_operand(e.residual, at);
      store_out<OUT>(e, at, v, n);
    }
  }
}
template <bool INTEGER, EpilogueOp OP>
HONE_INLINE bool one_pass_to(const EpilogueView& e, const TileView& t) {
  if constexpr (only_bf16) return one_pass<INTEGER, OP, Num::bf16>(e, t), true;
  switch (e.out_type) {
    case Num::f32:
      return one_pass<INTEGER, OP, Num::f32>(e, t), true;
    case Num::bf16:
      return one_pass<INTEGER, OP, Num::bf16>(e, t), true;
    case Num::u8:
    case Num::s8:
#if HONE_LANES == 16
      if constexpr (OP == EpilogueOp::hswish) {
        if (!e.has_residual) return hard_swish_to_bytes<INTEGER>(e, t), true;
      }
#endif
      return one_pass<INTEGER, OP, Num::u8>(e, t), true;
    default:
      return false;
  }
}
// False: another activation or type.
template <bool INTEGER>
HONE_INLINE bool ran_in_one_pass(const EpilogueView& e, const TileView& t) {
  if (e.activation == 0) return false;
  switch (EpilogueOp(e.activation - 1)) {
    case EpilogueOp::swish:
      return one_pass_to<INTEGER, EpilogueOp::swish>(e, t);
    case EpilogueOp::hswish:
      return one_pass_to<INTEGER, EpilogueOp::hswish>(e, t);
    case EpilogueOp::gelu_erf:
      return one_pass_to<INTEGER, EpilogueOp::gelu_erf>(e, t);
    case EpilogueOp::gelu_tanh:
      return one_pass_to<INTEGER, EpilogueOp::gelu_tanh>(e, t);
    default:
      return false;
  }
}

}  // namespace hone::cpu::HONE_NS
