// The steps of attention between its products, for ISA files only.
#pragma once
#include "cpu/kernels/attention/attention_view.hpp"
#include "cpu/kernels/math.hpp"
#include "cpu/kernels/real_isa.hpp"

namespace hone::cpu::HONE_NS {

// Turns lanes x lanes words: after the step with distance d, blocks of d x d words are in place.
template <int D>
HONE_INLINE void turn(vi (&v)[lanes]) {
  for (int i = 0; i < lanes; ++i) {
    if (i & D) continue;
    const vi a = v[i], b = v[i + D];
    v[i] = shuffled(a, b, [](int j) { return j & D ? lanes + j - D : j; });
    v[i + D] = shuffled(a, b, [](int j) { return j & D ? lanes + j : j + D; });
  }
}

void attention_columns(const uint8_t* from, int64_t ld, int rows, int64_t words, uint32_t* to) {
  for (int64_t w = 0; w < words; w += lanes) {
    const int n = words - w < lanes ? int(words - w) : lanes;
    for (int r0 = 0; r0 < 16; r0 += lanes) {
      vi v[lanes];
      for (int r = 0; r < lanes; ++r) {
        v[r] = r0 + r < rows ? load_i32(reinterpret_cast<const int32_t*>(from + (r0 + r) * ld) + w) : vi{};
      }
      turn<1>(v);
      turn<2>(v);
      if constexpr (lanes > 4) turn<4>(v);
      if constexpr (lanes > 8) turn<8>(v);
      auto* t = reinterpret_cast<int32_t*>(to) + w * 16 + r0;
      for (int i = 0; i < lanes; ++i) {
        if (i < n) store_i32(t + i * 16, v[i]);
      }
    }
  }
}

HONE_INLINE vi lane_index() {
  vi index;
  for (int i = 0; i < lanes; ++i) index[i] = i;
  return index;
}

void attention_panel(const float* from, int64_t ld, int64_t rows, int columns, float* to) {
  for (int64_t r = 0; r < rows; ++r, from += ld, to += 16) {
    for (int c = 0; c < 16; c += lanes) {
      const int n = columns - c;
      store(to + c, n >= lanes ? load(from + c) : n > 0 ? load_n(from + c, n) : vf{});
    }
  }
}

void attention_pairs(const uint16_t* from, int64_t ld, int64_t rows, int columns, uint16_t* to) {
  for (int64_t r = 0; r < rows; r += 2, from += 2 * ld, to += 32) {
    for (int c = 0; c < 16; c += lanes) {
      const int n = columns - c;
      vu even = {}, odd = {};
      if (n > 0) even = widen_u16(from + c);
      if (n > 0 && r + 1 < rows) odd = widen_u16(from + ld + c);
      vu both = even | (odd << 16);
      store_i32(reinterpret_cast<int32_t*>(to + 2 * c), (vi)both & (lane_index() < n));
    }
  }
}

// exp(x) for x <= 0 within 2 ulp, as 2^n 2^f with x log2(e) = n + f; nothing below 2^-126 counts.
HONE_INLINE vf exp_of_negative(vf x0) {
#if HONE_LANES == 16
  const vf x = maximum(set1(-140.0f), x0);
#else
  const vf x = maximum(set1(-87.33654f), x0);
#endif
  const vf n = nearest(x * 1.44269504088896341f), f = (x * 1.44269502f - n) + x * 1.92596303e-8f;
  vf p = set1(1.5384008e-4f);
  p = p * f + 1.3408952e-3f;
  p = p * f + 9.618375e-3f;
  p = p * f + 5.550301e-2f;
  p = p * f + 2.4022648e-1f;
  p = p * f + 6.9314724e-1f;
  p = p * f + 1.0f;
#if HONE_LANES == 16
  return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  return (vf)((vi)p + (round_to_int(n) << 23));
#endif
}

template <bool BF16>
HONE_INLINE void store_weights(const AttentionRows& a, int r, int64_t c, vf v) {
  if constexpr (BF16) {
    store_bf16(static_cast<uint16_t*>(a.weights) + r * a.ld + c, v);
  } else {
    store(static_cast<float*>(a.weights) + r * a.ld + c, v);
  }
}
HONE_INLINE float* score_block(const AttentionRows& a, int r, int64_t begin) {
  return a.scores + begin * a.height + r * (begin == a.last_block ? a.last_width : a.block);
}
HONE_INLINE int64_t seen_by(const AttentionRows& a, int r) {
  return a.causal && a.seen + r < a.keys ? a.seen + r : a.keys;
}
HONE_INLINE vf mask_at(const float* mask, int64_t column_step, int64_t c) {
  return column_step == 0 ? set1(mask[0]) : load(mask + c);
}
template <bool BF16>
HONE_INLINE void end_row(const AttentionRows& a, int r, float total, int64_t seen) {
  for (int64_t c = (seen + lanes - 1) / lanes * lanes; c < a.padded; c += lanes) store_weights<BF16>(a, r, c, vf{});
  a.factors[r] = 1.0f / total;
  if (a.zero_empty_rows && !(total > 0.0f)) {
    a.factors[r] = 0.0f;
    for (int64_t c = 0; c < a.padded; c += lanes) store_weights<BF16>(a, r, c, vf{});
  }
}

template <bool MASKED, bool BF16>
HONE_INLINE void softmax_of_row(const AttentionRows& a, int r) {
  const vf scale = set1(a.scale), outside = set1(-__builtin_inff());
  const int64_t seen = seen_by(a, r);
  const float* mask = MASKED ? a.mask + r * a.mask_row : nullptr;
  const auto score = [&](const float* p, int64_t c) {
    vf s = load(p + c) * scale;
    if constexpr (MASKED) s = s + mask_at(mask, a.mask_column, c);
    return c + lanes > seen ? select(lane_index() < int(seen - c), s, outside) : s;
  };
  vf high = outside;
  for (int64_t begin = 0; begin < seen; begin += a.block) {
    float* p = score_block(a, r, begin) - begin;
    const int64_t end = begin + a.block < seen ? begin + a.block : seen;
    for (int64_t c = begin; c < end; c += lanes) {
      const vf s = score(p, c);
      if constexpr (MASKED) store(p + c, s);
      high = maximum(high, s);
    }
  }
  const vf top = set1(max_of(high));
  vf sum = {};
  for (int64_t begin = 0; begin < seen; begin += a.block) {
    const float* p = score_block(a, r, begin) - begin;
    const int64_t end = begin + a.block < seen ? begin + a.block : seen;
    for (int64_t c = begin; c < end; c += lanes) {
      const vf e = exp_of_negative((MASKED ? load(p + c) : score(p, c)) - top);
      sum = sum + e;
      store_weights<BF16>(a, r, c, e);
    }
  }
  end_row<BF16>(a, r, sum_of(sum), seen);
}

// Rows short enough for registers, some side by side.
template <bool MASKED, bool BF16, int N, int ROWS>
HONE_INLINE void softmax_in_registers(const AttentionRows& a, int first) {
  const vf scale = set1(a.scale), outside = set1(-__builtin_inff());
  const int64_t width = a.last_block == 0 ? a.last_width : a.block;
  vf s[ROWS][N];
  for (int k = 0; k < ROWS; ++k) {
    const float *p = a.scores + (first + k) * width, *mask = MASKED ? a.mask + (first + k) * a.mask_row : nullptr;
    vf high = outside;
    for (int i = 0; i < N; ++i) {
      const int64_t c = i * lanes;
      vf v = load(p + c) * scale;
      if constexpr (MASKED) v = v + mask_at(mask, a.mask_column, c);
      if (c + lanes > a.keys) v = select(lane_index() < int(a.keys - c), v, outside);
      s[k][i] = v;
      high = maximum(high, v);
    }
    const vf top = set1(max_of(high));
    for (int i = 0; i < N; ++i) s[k][i] = s[k][i] - top;
  }
  for (int k = 0; k < ROWS; ++k) {
    vf sum = {};
    for (int i = 0; i < N; ++i) {
      const vf e = exp_of_negative(s[k][i]);
      sum = sum + e;
      store_weights<BF16>(a, first + k, i * lanes, e);
    }
    end_row<BF16>(a, first + k, sum_of(sum), a.keys);
  }
}

template <bool MASKED, bool BF16>
static void softmax_of_rows(const AttentionRows& view) {
  const AttentionRows a = view;
  const int64_t vectors = (a.keys + lanes - 1) / lanes;
  int r = 0;
  if (!a.causal && a.block >= vectors * lanes) {
    for (; vectors == 4 && r + 2 <= a.rows; r += 2) softmax_in_registers<MASKED, BF16, 4, 2>(a, r);
    for (; vectors == 3 && r + 2 <= a.rows; r += 2) softmax_in_registers<MASKED, BF16, 3, 2>(a, r);
    for (; vectors == 2 && r + 2 <= a.rows; r += 2) softmax_in_registers<MASKED, BF16, 2, 2>(a, r);
  }
  for (; r < a.rows; ++r) softmax_of_row<MASKED, BF16>(a, r);
}

void attention_softmax(const AttentionRows& a) {
  if (a.bf16) return a.mask ? softmax_of_rows<true, true>(a) : softmax_of_rows<false, true>(a);
  a.mask ? softmax_of_rows<true, false>(a) : softmax_of_rows<false, false>(a);
}

void attention_result(const AttentionResult& r) {
  EpilogueView e{};
  e.out_type = r.type;
  e.out = r.out;
  for (int i = 0; i < r.rows; ++i) {
    for (int c = 0; c < r.columns; c += lanes) {
      const int n = r.columns - c < lanes ? r.columns - c : lanes;
      store_any(e, i * r.ld + c, load(r.tile + i * r.ld_tile + c) * r.factors[i], n);
    }
  }
}

void attention_dots(const float* row, const void* with, Num type, int64_t ld, int64_t keys, int64_t features,
                    float* to) {
  for (int64_t k = 0; k < keys; ++k) {
    vf sum = {}, other = {};
    int64_t i = 0;
    for (; i + 2 * lanes <= features; i += 2 * lanes) {
      sum = sum + load(row + i) * load_raw(type, with, k * ld + i);
      other = other + load(row + i + lanes) * load_raw(type, with, k * ld + i + lanes);
    }
    for (; i < features; i += lanes) {
      // The row ends in zeros; what lies behind the features of the other is masked away.
      const vf v = load_raw(type, with, k * ld + i);
      sum = sum + load(row + i) * select(lane_index() < int(features - i), v, vf{});
    }
    to[k] = sum_of(sum + other);
  }
}

void attention_mix(const float* weights, const void* rows, Num type, int64_t ld, int64_t keys, int64_t columns,
                   float* to) {
  for (int64_t c = 0; c < columns; c += 4 * lanes) {
    vf sum[4] = {};
    const int64_t n = (columns - c + lanes - 1) / lanes;
    for (int64_t k = 0; k < keys; ++k) {
      const vf w = set1(weights[k]);
      for (int i = 0; i < 4; ++i) {
        if (i < n) sum[i] = sum[i] + w * load_raw(type, rows, k * ld + c + i * lanes);
      }
    }
    for (int i = 0; i < 4; ++i) {
      if (i < n) store(to + c + i * lanes, sum[i]);
    }
  }
}

void attention_widen(const void* from, Num type, int64_t n, float* to) {
  for (int64_t i = 0; i < n; i += lanes) {
    const vf v = load_raw(type, from, i);
    store(to + i, n - i < lanes ? select(lane_index() < int(n - i), v, vf{}) : v);
  }
}

}  // namespace hone::cpu::HONE_NS
