// Execution of epilogues, for ISA files only: one pass in registers for bias, residual and clamp; three passes over the
// tile in L1 with one other activation; else an interpreter that runs each step over the whole tile.
#pragma once
#include "cpu/kernels/epilogue_view.hpp"
#include "cpu/kernels/fused.hpp"
#include "cpu/kernels/gated_isa.hpp"
#include "cpu/kernels/math.hpp"
#include "cpu/kernels/real_isa.hpp"
#include "cpu/kernels/requantize_isa.hpp"
#include "device/epilogue_op.hpp"

namespace hone::cpu::HONE_NS {

HONE_INLINE vf one_operand(EpilogueOp op, vf a, float alpha, float beta) {
  switch (op) {
    case EpilogueOp::relu:
      return maximum(vf{}, a);
    case EpilogueOp::clamp:
      return clamp_to(a, set1(alpha), set1(beta));
    case EpilogueOp::sigmoid:
      return logistic(a);
    case EpilogueOp::tanh:
      return hyperbolic_tangent(a);
    case EpilogueOp::swish:
      return a * logistic(alpha * a);
    case EpilogueOp::hswish:
      return hard_swish(a);
    case EpilogueOp::hsigmoid:
      return hard_sigmoid_6(a);
    case EpilogueOp::hard_sigmoid:
      return clamp_to(alpha * a + beta, vf{}, set1(1.0f));
    case EpilogueOp::gelu_erf:
      return gelu_by_erf(a);
    case EpilogueOp::gelu_tanh:
      return gelu_by_tanh(a);
    case EpilogueOp::elu:
      return select(a > 0.0f, a, alpha * exp_minus_one(minimum(vf{}, a)));
    case EpilogueOp::leaky_relu:
      return select(a >= 0.0f, a, alpha * a);
    case EpilogueOp::softplus:
      return soft_plus(a);
    case EpilogueOp::mish:
      return mish_of(a);
    case EpilogueOp::exp:
      return exponential(a);
    case EpilogueOp::abs:
      return absolute(a);
    case EpilogueOp::negative:
      return -a;
    case EpilogueOp::sqrt:
      return square_root(a);
    case EpilogueOp::scale_shift:
      return alpha * a + beta;
    case EpilogueOp::round:
      return nearest(a);
    default:
      return a;
  }
}
HONE_INLINE vf two_operands(EpilogueOp op, vf a, vf b) {
  switch (op) {
    case EpilogueOp::add:
      return a + b;
    case EpilogueOp::subtract:
      return a - b;
    case EpilogueOp::multiply:
      return a * b;
    case EpilogueOp::divide:
      return a / b;
    case EpilogueOp::maximum:
      return select(a != a, a, maximum(a, b));  // what is not a number stays
    case EpilogueOp::minimum:
      return select(a != a, a, minimum(a, b));
    case EpilogueOp::prelu:
      return select(a >= 0.0f, a, a * b);
    default:
      return a;
  }
}

template <bool INTEGER>
HONE_INLINE vf real_result(const TileView& t, int64_t i, vi comp, vf dequant) {
  if constexpr (INTEGER) return to_float(load_i32(static_cast<const int32_t*>(t.acc) + i) - comp) * dequant;
  return load(static_cast<const float*>(t.acc) + i);
}

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

static void run_step(const SlotStep& s, float* dst, const float* a, const float* b, int64_t n);

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
  RequantView whole{};
  const bool is_signed = e.out_type == Num::s8;
  whole.zero = int32_t(e.out_zero) + (is_signed ? 128 : 0);
  whole.high = 255;
  whole.flip = is_signed ? 0x80 : 0;
  const Requantizer<Between::nothing> q(whole);
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

#if HONE_LANES == 16
// VECTORS of 16 columns of as many rows as fill a vector of bytes, from column `j` on.
template <Between BETWEEN, int VECTORS>
HONE_INLINE void requantized_columns(const Requantizer<BETWEEN>& q, const EpilogueView& e, const TileView& t, int j) {
  constexpr bool has_residual = BETWEEN != Between::nothing;
  constexpr int together = VECTORS > 2 ? 1 : 4 / VECTORS;
  // Copies: stores of bytes might change the originals, as far as the compiler knows.
  const int64_t ld_out = e.ld_out, ld = t.ld, first = t.row0 * ld_out + t.col0 + j;
  const int rows = t.rows, n = t.cols - j;
  uint8_t* to = static_cast<uint8_t*>(e.out) + first;
  const int32_t* acc = static_cast<const int32_t*>(t.acc) + j;
  const uint8_t* residual = has_residual ? e.requant.residual + first : nullptr;
  vf scale[VECTORS], offset[VECTORS];
#pragma GCC unroll 4
  for (int i = 0; i < VECTORS; ++i) {
    scale[i] = load(e.requant.scale + t.col0 + j + i * 16);
    offset[i] = load(e.requant.offset + t.col0 + j + i * 16);
  }
  for (int r = 0; r < rows; r += together, to += together * ld_out) {
    vi level[4] = {};
#pragma GCC unroll 4
    for (int i = 0; i < together * VECTORS; ++i) {
      const int row = r + i / VECTORS < rows ? r + i / VECTORS : rows - 1;
      const int v = i % VECTORS;
      level[i] = q.level(load_i32(acc + row * ld + v * 16), scale[v], offset[v],
                         has_residual ? residual + row * ld_out + v * 16 : nullptr);
    }
    const __m512i bytes = q.pack(level[0], level[1], level[2], level[3]);
    if constexpr (VECTORS > 2) {
      store_first_bytes(to, bytes, n);
    } else if constexpr (VECTORS == 2) {
      const __mmask32 some = n >= 32 ? ~__mmask32(0) : (__mmask32(1) << n) - 1;
      _mm256_mask_storeu_epi8(to, some, _mm512_castsi512_si256(bytes));
      if (r + 1 < rows) _mm256_mask_storeu_epi8(to + ld_out, some, _mm512_extracti64x4_epi64(bytes, 1));
    } else {
      const __m128i part[4] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
                               _mm512_extracti32x4_epi32(bytes, 2), _mm512_extracti32x4_epi32(bytes, 3)};
      const __mmask16 some = n >= 16 ? __mmask16(0xffff) : first_lanes(n);
      for (int i = 0; i < 4 && r + i < rows; ++i) _mm_mask_storeu_epi8(to + i * ld_out, some, part[i]);
    }
  }
}
template <Between BETWEEN>
static void requantized_rows(const EpilogueView& view, const TileView& tile) {
  const EpilogueView e = view;
  const TileView t = tile;
  const Requantizer<BETWEEN> q(e.requant);
  int j = 0;
  for (; j + 48 < t.cols; j += 64) requantized_columns<BETWEEN, 4>(q, e, t, j);
  const int n = t.cols - j;
  if (n > 32) return requantized_columns<BETWEEN, 3>(q, e, t, j);
  if (n > 16) return requantized_columns<BETWEEN, 2>(q, e, t, j);
  if (n > 0) requantized_columns<BETWEEN, 1>(q, e, t, j);
}
#else
template <Between BETWEEN>
static void requantized_rows(const EpilogueView& e, const TileView& t) {
  constexpr bool has_residual = BETWEEN != Between::nothing;
  const Requantizer<BETWEEN> q(e.requant);
  // Copies: stores of bytes might change the originals, as far as the compiler knows.
  const int64_t ld_out = e.ld_out, ld = t.ld, first = t.row0 * ld_out + t.col0;
  const int rows = t.rows, cols = t.cols;
  uint8_t* to = static_cast<uint8_t*>(e.out) + first;
  const float *scale = e.requant.scale + t.col0, *offset = e.requant.offset + t.col0;
  const int32_t* acc = static_cast<const int32_t*>(t.acc);
  const uint8_t* residual = has_residual ? e.requant.residual + first : nullptr;
  for (int r = 0; r < rows; ++r, acc += ld, to += ld_out, residual += has_residual ? ld_out : 0) {
    for (int j = 0; j < cols; j += lanes) {
      const vi level =
          q.level(load_i32(acc + j), load(scale + j), load(offset + j), has_residual ? residual + j : nullptr);
      store_bytes(to + j, q.bytes(level), cols - j < lanes ? cols - j : lanes);
    }
  }
}
#endif
[[maybe_unused]] static void requantized_tile(const EpilogueView& e, const TileView& t) {
  if (!e.requant.residual) return requantized_rows<Between::nothing>(e, t);
  if (e.requant.levels) return requantized_rows<Between::levels_and_residual>(e, t);
  requantized_rows<Between::residual>(e, t);
}

// The operand spread over the tile.
static void load_slot(const EpilogueView& e, const OperandView& o, const TileView& t, int64_t ld, float* slot) {
  for (int r = 0; r < t.rows; ++r) {
    float* row = slot + r * ld;
    int64_t at = 0;
    switch (Spread(o.spread)) {
      case Spread::scalar: {
        float x = load_one(o.type, o.data, 0);
        if (!is_real(o.type)) x = (x - o.zero) * o.scale;
        for (int j = 0; j < t.cols; j += lanes) store(row + j, set1(x));
        continue;
      }
      case Spread::per_channel:
        at = t.col0;
        break;
      case Spread::full:
        at = (t.row0 + r) * e.ld_out + t.col0;
        break;
      case Spread::per_row:
        at = (t.row0 + r) / e.rows_per_image * e.channels + t.col0;
        break;
    }
    for (int j = 0; j < t.cols; j += lanes) store(row + j, load_operand(o, at + j));
  }
}

// One loop for each operator keeps the switch out of it.
static void run_step(const SlotStep& s, float* dst, const float* a, const float* b, int64_t n) {
  if (s.op == levels_step) {
    const vf scale = set1(s.alpha), low = set1(s.beta), high = set1(s.gamma), width = set1(s.delta);
    for (int64_t i = 0; i < n; i += lanes) store(dst + i, clamp_to(nearest(load(a + i) * scale), low, high) * width);
    return;
  }
  const auto op = EpilogueOp(s.op);
  switch (op) {
#define HONE_TWO(OP)                                                                                               \
  case EpilogueOp::OP:                                                                                             \
    for (int64_t i = 0; i < n; i += lanes) store(dst + i, two_operands(EpilogueOp::OP, load(a + i), load(b + i))); \
    break;
    HONE_TWO(add)
    HONE_TWO(subtract)
    HONE_TWO(multiply)
    HONE_TWO(divide)
    HONE_TWO(maximum)
    HONE_TWO(minimum)
    HONE_TWO(prelu)
#undef HONE_TWO
#define HONE_ONE(OP)                                                                                                  \
  case EpilogueOp::OP:                                                                                                \
    for (int64_t i = 0; i < n; i += lanes) store(dst + i, one_operand(EpilogueOp::OP, load(a + i), s.alpha, s.beta)); \
    break;
    // clang-format off
    HONE_ONE(relu) HONE_ONE(clamp) HONE_ONE(sigmoid) HONE_ONE(tanh) HONE_ONE(swish) HONE_ONE(hswish)
    HONE_ONE(hsigmoid) HONE_ONE(hard_sigmoid) HONE_ONE(gelu_erf) HONE_ONE(gelu_tanh) HONE_ONE(elu)
    HONE_ONE(leaky_relu) HONE_ONE(softplus) HONE_ONE(mish) HONE_ONE(exp) HONE_ONE(abs) HONE_ONE(negative)
    HONE_ONE(sqrt) HONE_ONE(scale_shift) HONE_ONE(round)
    // clang-format on
#undef HONE_ONE
  }
}

static void general_form(const EpilogueView& e, const TileView& t) {
  alignas(64) float buffer[max_slots * tile_capacity];
  // Rows and slots follow each other without gaps: each step is one loop, and all of it stays in L1.
  const int64_t ld = (t.cols + lanes - 1) / lanes * lanes, size = t.rows * ld;
  for (int j = 0; j < t.cols; j += lanes) {
    const vf bias = e.bias ? load(e.bias + t.col0 + j) : vf{};
    vi comp = {};
    vf dequant = {};
    if (e.integer) {
      comp = load_i32(e.comp + t.col0 + j);
      dequant = load(e.dequant + t.col0 + j);
    }
    for (int r = 0; r < t.rows; ++r) {
      const int64_t at = r * t.ld + j;
      vf v;
      if (e.integer) {
        v = to_float(load_i32(static_cast<const int32_t*>(t.acc) + at) - comp) * dequant;
      } else {
        v = load(static_cast<const float*>(t.acc) + at);
      }
      store(buffer + r * ld + j, v + bias);
    }
  }
  for (int i = 0; i < e.num_steps; ++i) {
    const SlotStep& s = e.steps[i];
    if (s.operand >= 0) {
      load_slot(e, e.operands[s.operand], t, ld, buffer + s.dst * size);
    } else {
      run_step(s, buffer + s.dst * size, buffer + s.a * size, s.b >= 0 ? buffer + s.b * size : nullptr, size);
    }
  }
  for (int r = 0; r < t.rows; ++r) {
    const int64_t at = (t.row0 + r) * e.ld_out + t.col0;
    const float* row = buffer + e.result_slot * size + r * ld;
    for (int j = 0; j < t.cols; j += lanes)
      store_any(e, at + j, load(row + j), t.cols - j < lanes ? t.cols - j : lanes);
  }
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
