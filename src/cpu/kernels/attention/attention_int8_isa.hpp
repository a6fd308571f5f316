// The steps of quantized attention between its products, for ISA files only.
#pragma once
#include "cpu/kernels/attention/attention_isa.hpp"

namespace hone::cpu::HONE_NS {

template <class Load>
HONE_INLINE void quantize_rows(const AttentionLevels& l, int64_t rows, int64_t n, uint8_t* to, int64_t ld_to,
                               Load load_at) {
  const vf inverse = set1(l.inverse), low = set1(l.low), high = set1(l.high);
  const vi shift = set1i(l.shift);
  const int64_t whole = n / lanes * lanes;
  for (int64_t r = 0; r < rows; ++r, to += ld_to) {
    for (int64_t i = 0; i < whole; i += lanes)
      store_u8(to + i, round_to_int(clamp_to(load_at(r, i) * inverse, low, high)) - shift);
    if (whole < n)
      store_bytes(to + whole, narrow_u8(round_to_int(clamp_to(load_at(r, whole) * inverse, low, high)) - shift),
                  int(n - whole));
  }
}

void attention_quantize(const void* from, Num type, int64_t ld, int64_t rows, int64_t n, const AttentionLevels& levels,
                        uint8_t* to, int64_t ld_to) {
  const AttentionLevels l = levels;
  if (type == Num::bf16) {
    const auto* p = static_cast<const uint16_t*>(from);
    quantize_rows(l, rows, n, to, ld_to, [&](int64_t r, int64_t i) { return load_bf16(p + r * ld + i); });
  } else if (type == Num::u8) {
    const auto* p = static_cast<const uint8_t*>(from);
    quantize_rows(l, rows, n, to, ld_to, [&](int64_t r, int64_t i) { return load_u8(p + r * ld + i) - l.zero; });
  } else {
    const auto* p = static_cast<const float*>(from);
    quantize_rows(l, rows, n, to, ld_to, [&](int64_t r, int64_t i) { return load(p + r * ld + i); });
  }
}

typedef uint8_t v16 __attribute__((vector_size(16)));
typedef uint8_t v16_any __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint16_t v8h __attribute__((vector_size(16)));

void attention_flip(const uint8_t* from, int64_t ld, int64_t rows, int64_t n, uint8_t* to, int64_t ld_to) {
  const v16 sign = (v16){} + 128;
  for (int64_t r = 0; r < rows; ++r, from += ld, to += ld_to) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
      *reinterpret_cast<v16_any*>(to + i) = *reinterpret_cast<const v16_any*>(from + i) ^ sign;
    for (; i < n; ++i) to[i] = from[i] ^ 128;
  }
}

void attention_quads(const uint8_t* from, int64_t ld, int64_t rows, uint8_t* to) {
  for (int64_t r = 0; r < rows; r += 4, from += 4 * ld, to += 64) {
    v16 row[4];
    for (int i = 0; i < 4; ++i) row[i] = *reinterpret_cast<const v16_any*>(from + i * ld);
    const v8h even[2] = {(v8h)in_turns<0>(row[0], row[1]), (v8h)in_turns<8>(row[0], row[1])};
    const v8h odd[2] = {(v8h)in_turns<0>(row[2], row[3]), (v8h)in_turns<8>(row[2], row[3])};
    for (int i = 0; i < 2; ++i) {
      *reinterpret_cast<v16_any*>(to + 32 * i) = (v16)in_turns<0>(even[i], odd[i]);
      *reinterpret_cast<v16_any*>(to + 32 * i + 16) = (v16)in_turns<4>(even[i], odd[i]);
    }
  }
}

void attention_sums(const uint8_t* panel, int64_t steps, int32_t* to) {
  for (int c = 0; c < 16; c += lanes) {
    vi sum = {};
    const auto* p = reinterpret_cast<const int32_t*>(panel) + c;
    for (int64_t k = 0; k < steps; ++k, p += 16) {
      const vi four = load_i32(p);
      sum = sum + (four << 24 >> 24) + (four << 16 >> 24) + (four << 8 >> 24) + (four >> 24);
    }
    store_i32(to + c, sum);
  }
}

// exp(x) for x <= 0 within 1e-6, far finer than the steps of the weights; 2^-126 and what follows is zero to these.
HONE_INLINE vf rough_exp_of_negative(vf x) {
  const vf y = maximum(set1(-126.0f), x * 1.44269504088896341f);
  const vf n = nearest(y), f = y - n;
  vf p = set1(1.3333558e-3f);
  p = p * f + 9.6181291e-3f;
  p = p * f + 5.5504109e-2f;
  p = p * f + 2.4022651e-1f;
  p = p * f + 6.9314718e-1f;
  p = p * f + 1.0f;
#if HONE_LANES == 16
  return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  return (vf)((vi)p + (round_to_int(n) << 23));
#endif
}

template <bool MASKED, bool ROUNDED, int N, int ROWS>
HONE_INLINE void short_softmax(const AttentionRows& a, int first) {
  const vf scale = set1(a.scale), inverse = set1(a.score_levels.inverse), low = set1(a.score_levels.low),
           top_level = set1(a.score_levels.high), step = set1(a.score_step), outside = set1(-__builtin_inff());
  vf s[ROWS][N];
  float factor[ROWS];
  const int64_t width = a.last_block == 0 ? a.last_width : a.block;
  for (int k = 0; k < ROWS; ++k) {
    const int r = first + k;
    const int64_t seen = seen_by(a, r);
    const auto* p = reinterpret_cast<const int32_t*>(a.scores + r * width);
    const float *mask = a.mask ? a.mask + r * a.mask_row : nullptr,
                *late = a.late_mask ? a.late_mask + r * a.late_mask_row : nullptr;
    vf high = outside;
    for (int i = 0; i < N; ++i) {
      const int64_t c = i * lanes;
      vf v = to_float(load_i32(p + c) + load_i32(a.comp + c)) * scale;
      if constexpr (MASKED) {
        if (mask) v = v + mask_at(mask, a.mask_column, c);
        if constexpr (ROUNDED) v = clamp_to(nearest(v * inverse), low, top_level) * step;
        if (late) v = v + mask_at(late, a.late_mask_column, c);
      }
      if (c + lanes > seen) v = select(lane_index() < int(seen - c), v, outside);
      s[k][i] = v;
      high = maximum(high, v);
    }
    const vf top = set1(max_of(high));
    for (int i = 0; i < N; ++i) s[k][i] = s[k][i] - top;
  }
  for (int k = 0; k < ROWS; ++k) {
    vf sum = {};
    for (int i = 0; i < N; ++i) sum = sum + (s[k][i] = rough_exp_of_negative(s[k][i]));
    const float total = sum_of(sum);
    factor[k] = total > 0.0f ? a.weight_levels.inverse / total : 0.0f;
  }
  const vf most = set1(a.weight_levels.high);
  for (int k = 0; k < ROWS; ++k) {
    auto* weights = static_cast<uint8_t*>(a.weights) + (first + k) * a.ld;
    vi whole = {};
    for (int i = 0; i < N; ++i) {
      const vi q = round_to_int(minimum(most, s[k][i] * factor[k]));
      whole = whole + q;
      store_u8(weights + i * lanes, q);
    }
    for (int64_t c = N * lanes; c < a.padded; c += lanes) store_u8(weights + c, vi{});
    a.factors[first + k] = a.sums ? sum_of(to_float(whole)) : 0.0f;
  }
}
template <bool MASKED, bool ROUNDED, int N>
static void short_rows(const AttentionRows& view) {
  const AttentionRows a = view;
  int r = 0;
  for (; r + 2 <= a.rows; r += 2) short_softmax<MASKED, ROUNDED, N, 2>(a, r);
  if (r < a.rows) short_softmax<MASKED, ROUNDED, N, 1>(a, r);
}

template <bool MASKED, bool ROUNDED>
HONE_INLINE void softmax_of_integers(const AttentionRows& a, int r) {
  const float inf = __builtin_inff();
  const vf scale = set1(a.scale), inverse = set1(a.score_levels.inverse), low = set1(a.score_levels.low),
           top_level = set1(a.score_levels.high), step = set1(a.score_step);
  const int64_t seen = seen_by(a, r);
  const float *mask = a.mask ? a.mask + r * a.mask_row : nullptr,
              *late = a.late_mask ? a.late_mask + r * a.late_mask_row : nullptr;
  const int32_t* comp = a.comp;
  vf high = set1(-inf);
  for (int64_t begin = 0; begin < seen; begin += a.block) {
    float* p = score_block(a, r, begin) - begin;
    const int64_t end = begin + a.block < seen ? begin + a.block : seen;
    for (int64_t c = begin; c < end; c += lanes) {
      vf s = to_float(load_i32(reinterpret_cast<const int32_t*>(p) + c) + load_i32(comp + c)) * scale;
      if constexpr (MASKED) {
        if (mask) s = s + mask_at(mask, a.mask_column, c);
        if constexpr (ROUNDED) s = clamp_to(nearest(s * inverse), low, top_level) * step;
        if (late) s = s + mask_at(late, a.late_mask_column, c);
      }
      if (c + lanes > seen) s = select(lane_index() < int(seen - c), s, set1(-inf));
      store(p + c, s);
      high = maximum(high, s);
    }
  }
  const vf top = set1(max_of(high));
  vf sum = {};
  for (int64_t begin = 0; begin < seen; begin += a.block) {
    float* p = score_block(a, r, begin) - begin;
    const int64_t end = begin + a.block < seen ? begin + a.block : seen;
    for (int64_t c = begin; c < end; c += lanes) {
      const vf e = rough_exp_of_negative(load(p + c) - top);
      sum = sum + e;
      store(p + c, e);
    }
  }
  const float total = sum_of(sum);
  const bool empty = !(total > 0.0f);
  auto* weights = static_cast<uint8_t*>(a.weights) + r * a.ld;
  // Of rows without a sum nothing sensible comes out: zeros, as bytes know nothing else.
  const vf factor = set1(empty ? 0.0f : a.weight_levels.inverse / total), most = set1(a.weight_levels.high);
  vi whole = {};
  for (int64_t begin = 0; begin < seen; begin += a.block) {
    const float* p = score_block(a, r, begin) - begin;
    const int64_t end = begin + a.block < seen ? begin + a.block : seen;
    for (int64_t c = begin; c < end; c += lanes) {
      const vi q = round_to_int(minimum(most, load(p + c) * factor));
      whole = whole + q;
      store_u8(weights + c, q);
    }
  }
  for (int64_t c = (seen + lanes - 1) / lanes * lanes; c < a.padded; c += lanes) store_u8(weights + c, vi{});
  a.factors[r] = a.sums ? sum_of(to_float(whole)) : 0.0f;
}

template <bool MASKED, bool ROUNDED>
static void softmax_rows(const AttentionRows& a) {
  const int64_t vectors = (a.keys + lanes - 1) / lanes;
  const bool all_in_one_block = a.block >= vectors * lanes;
  if (all_in_one_block && !a.causal && vectors == 4) return short_rows<MASKED, ROUNDED, 4>(a);
  if (all_in_one_block && !a.causal && vectors == 3) return short_rows<MASKED, ROUNDED, 3>(a);
  if (all_in_one_block && !a.causal && vectors == 2) return short_rows<MASKED, ROUNDED, 2>(a);
  for (int r = 0; r < a.rows; ++r) softmax_of_integers<MASKED, ROUNDED>(a, r);
}

void attention_softmax_int8(const AttentionRows& a) {
  if (a.score_step != 0) return softmax_rows<true, true>(a);
  a.mask || a.late_mask ? softmax_rows<true, false>(a) : softmax_rows<false, false>(a);
}

void attention_result_int8(const AttentionResult& r) {
  EpilogueView e{};
  e.out_type = r.type;
  e.out = r.out;
  e.out_inv_scale = r.inverse_scale;
  e.out_zero = r.zero;
  e.out_low = r.type == Num::s8 ? -128.0f : 0.0f;
  e.out_high = r.type == Num::s8 ? 127.0f : 255.0f;
  const vf factor = set1(r.factor);
  for (int i = 0; i < r.rows; ++i) {
    const vf offset = set1(r.offsets[i]);
    const auto* row = reinterpret_cast<const int32_t*>(r.tile) + i * r.ld_tile;
    for (int c = 0; c < r.columns; c += lanes) {
      const int n = r.columns - c < lanes ? r.columns - c : lanes;
      store_any(e, i * r.ld + c, (to_float(load_i32(row + c)) + offset) * factor, n);
    }
  }
}

}  // namespace hone::cpu::HONE_NS
