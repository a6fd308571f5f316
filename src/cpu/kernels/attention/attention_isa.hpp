// The steps of attention between its products, for ISA files only.
#pragma once
#include "cpu/kernels/attention/attention_view.hpp"
#include "cpu/kernels/math.hpp"
#include "cpu/kernels/real_isa.hpp"

namespace hone::cpu::HONE_NS {

// Turns lanes x lanes words: after the step with distance d, blocks of d x d words are in place.
template <int D>
HONE_INLINE void turn(vi (&v)[lanes]) {
  vi low, high;
  for (int i = 0; i < lanes; ++i) {
    low[i] = i & D ? lanes + i - D : i;
    high[i] = i & D ? lanes + i : i + D;
  }
  for (int i = 0; i < lanes; ++i) {
    if (i & D) continue;
    const vi a = v[i], b = v[i + D];
    v[i] = __builtin_shuffle(a, b, low);
    v[i + D] = __builtin_shuffle(a, b, high);
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

// exp(x) for x <= 0; below -87 it is zero.
HONE_INLINE vf exp_of_negative(vf x) {
  const vf v = maximum(set1(-87.33654f), x);
  vi n;
  const vf p = reduced_expm1(v, &n);
  const vf y = (vf)((vi)(p + 1.0f) + (n << 23));
  return select(x < -87.33654f, vf{}, y);
}

HONE_INLINE void store_weights(const AttentionRows& a, int r, int64_t c, vf v) {
  if (a.bf16) {
    store_bf16(static_cast<uint16_t*>(a.weights) + r * a.ld + c, v);
  } else {
    store(static_cast<float*>(a.weights) + r * a.ld + c, v);
  }
}
HONE_INLINE float* score_block(const AttentionRows& a, int r, int64_t begin) {
  return a.scores + begin * a.height + r * (begin == a.last_block ? a.last_width : a.block);
}

void attention_softmax(const AttentionRows& a) {
  const float inf = __builtin_inff();
  const vf scale = set1(a.scale);
  for (int r = 0; r < a.rows; ++r) {
    const int64_t seen = a.causal && a.seen + r < a.keys ? a.seen + r : a.keys;
    const float* mask = a.mask ? a.mask + r * a.mask_row : nullptr;
    const vf one_mask = set1(mask && a.mask_column == 0 ? mask[0] : 0.0f);
    vf high = set1(-inf);
    for (int64_t begin = 0; begin < seen; begin += a.block) {
      float* p = score_block(a, r, begin) - begin;
      const int64_t end = begin + a.block < seen ? begin + a.block : seen;
      for (int64_t c = begin; c < end; c += lanes) {
        vf s = load(p + c) * scale;
        if (mask) s = s + (a.mask_column == 0 ? one_mask : load(mask + c));
        if (c + lanes > seen) s = select(lane_index() < int(seen - c), s, set1(-inf));
        store(p + c, s);
        high = maximum(high, s);
      }
    }
    const vf top = set1(max_of(high));
    vf sum = {};
    for (int64_t begin = 0; begin < seen; begin += a.block) {
      const float* p = score_block(a, r, begin) - begin;
      const int64_t end = begin + a.block < seen ? begin + a.block : seen;
      for (int64_t c = begin; c < end; c += lanes) {
        const vf e = exp_of_negative(load(p + c) - top);
        sum = sum + e;
        store_weights(a, r, c, e);
      }
    }
    for (int64_t c = (seen + lanes - 1) / lanes * lanes; c < a.padded; c += lanes) store_weights(a, r, c, vf{});
    const float total = sum_of(sum);
    a.factors[r] = 1.0f / total;
    if (a.zero_empty_rows && !(total > 0.0f)) {
      a.factors[r] = 0.0f;
      for (int64_t c = 0; c < a.padded; c += lanes) store_weights(a, r, c, vf{});
    }
  }
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
