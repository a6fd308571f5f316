#include "cpu/kernels/gemm/packed_b.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "cpu/kernels/shuffle.hpp"
#include "hone/tensor.hpp"

namespace hone::cpu {
namespace {

uint16_t bf16_bits(float v) {
  uint32_t u;
  std::memcpy(&u, &v, 4);
  if ((u & 0x7fffffffu) > 0x7f800000u) return uint16_t((u >> 16) | 0x40u);
  return uint16_t((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
float f32_value(uint16_t bits) {
  const uint32_t u = uint32_t(bits) << 16;
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}

template <class From, class To>
To convert(From v) {
  if constexpr (std::is_same_v<From, To>)
    return v;
  else if constexpr (std::is_same_v<To, uint16_t>)
    return bf16_bits(v);
  else
    return f32_value(v);
}

typedef uint32_t Words __attribute__((vector_size(16)));  // the smallest vector of every CPU

// src = column/16-step  dst = step-column/16: steps of 4 bytes, `column` bytes from column to column.
void transpose_steps(const uint8_t* from, int64_t column, int64_t steps, uint8_t* to) {
  const auto load = [](const uint8_t* p) {
    Words w;
    std::memcpy(&w, p, 16);
    return w;
  };
  const int64_t whole = steps / 4 * 4;
  for (int64_t c = 0; c < 16; c += 4) {
    const uint8_t* p = from + c * column;
    for (int64_t s = 0; s < whole; s += 4) {
      const Words a = load(p + 4 * s), b = load(p + column + 4 * s), d = load(p + 2 * column + 4 * s),
                  e = load(p + 3 * column + 4 * s);
      const Words ab = in_turns<0>(a, b), ab2 = in_turns<2>(a, b), de = in_turns<0>(d, e), de2 = in_turns<2>(d, e);
      const Words rows[4] = {__builtin_shufflevector(ab, de, 0, 1, 4, 5), __builtin_shufflevector(ab, de, 2, 3, 6, 7),
                             __builtin_shufflevector(ab2, de2, 0, 1, 4, 5),
                             __builtin_shufflevector(ab2, de2, 2, 3, 6, 7)};
      for (int64_t r = 0; r < 4; ++r) std::memcpy(to + (s + r) * 64 + c * 4, &rows[r], 16);
    }
    for (int64_t s = whole; s < steps; ++s) {
      for (int64_t i = 0; i < 4; ++i) std::memcpy(to + s * 64 + (c + i) * 4, p + i * column + 4 * s, 4);
    }
  }
}

// A step of 16 columns from V rows `row` values apart.
template <class From, class To, int V>
void interleave_rows(const From* from, int64_t row, To* to) {
  constexpr int bits = 32 / V;
  uint32_t words[16];
  for (int c = 0; c < 16; ++c) {
    uint32_t word = 0;
    for (int v = 0; v < V; ++v) {
      const To value = convert<From, To>(from[v * row + c]);
      word |= uint32_t(std::make_unsigned_t<To>(value)) << (v * bits);
    }
    words[c] = word;
  }
  std::memcpy(to, words, 64);
}

// src = column-run-k (any strides)  dst = column/16-run-k/V-16-V
template <class From, class To, int V>
void pack_panel(const PackedB& s, const SourceB& b, int64_t group, int64_t panel, To* to) {
  const From* base = static_cast<const From*>(b.data) + group * b.group + panel * 16 * b.column;
  const int64_t columns = std::min<int64_t>(16, s.columns - panel * 16);
  for (int64_t r = 0; r < s.runs; ++r) {
    To* run = to + r * s.padded_steps() * 16 * V;
    std::memset(run, 0, size_t(s.padded_steps()) * 64);
    const From* from = base + b.run_offsets[r];
    for (int64_t tap = 0, k0 = 0; k0 < s.run_length; ++tap, k0 += b.inner) {
      const From* p = from + tap * b.outer_step;
      const int64_t n = std::min(b.inner, s.run_length - k0);
      // The walk follows the smaller stride of the source.
      if constexpr (std::is_same_v<From, To> && V == 1) {
        if (b.column == 1 && columns == 16) {
          for (int64_t i = 0; i < n; ++i) std::memcpy(run + (k0 + i) * 16, p + i * b.inner_step, 16 * sizeof(To));
          continue;
        }
      }
      // Whole steps of whole panels, by rows or by columns of the source.
      int64_t done = 0;
      if (columns == 16 && k0 % V == 0) {
        To* steps = run + k0 * 16;
        if constexpr (V > 1) {
          if (b.column == 1) {
            for (; done + V <= n; done += V)
              interleave_rows<From, To, V>(p + done * b.inner_step, b.inner_step, steps + done * 16);
          }
        }
        if constexpr (std::is_same_v<From, To>) {
          if (b.column != 1 && b.inner_step == 1) {
            done = n / V * V;
            transpose_steps(reinterpret_cast<const uint8_t*>(p), b.column * int64_t(sizeof(From)), n / V,
                            reinterpret_cast<uint8_t*>(steps));
          }
        }
      }
      if (b.column <= b.inner_step) {
        for (int64_t i = done; i < n; ++i) {
          const int64_t k = k0 + i;
          To* t = run + (k / V) * 16 * V + k % V;
          for (int64_t c = 0; c < columns; ++c) t[c * V] = convert<From, To>(p[i * b.inner_step + c * b.column]);
        }
      } else {
        for (int64_t c = 0; c < columns; ++c) {
          for (int64_t i = done; i < n; ++i) {
            const int64_t k = k0 + i;
            run[(k / V) * 16 * V + c * V + k % V] = convert<From, To>(p[i * b.inner_step + c * b.column]);
          }
        }
      }
    }
  }
}

// Of columns of a panel; those of run r lie `stride` further than those of the run before.
void column_sums(const PackedB& s, const int8_t* panel, int64_t columns, int32_t* sums, int32_t* run_sums) {
  const int64_t stride = s.sums_stride();
  for (int64_t c = 0; c < columns; ++c) sums[c] = 0;
  for (int64_t r = 0; r < s.runs; ++r) {
    int32_t run[16] = {};
    for (int64_t k = r * s.padded_steps(); k < (r + 1) * s.padded_steps(); ++k) {
      for (int64_t c = 0; c < columns; ++c) {
        const int8_t* v = panel + (k * 16 + c) * 4;
        run[c] += v[0] + v[1] + v[2] + v[3];
      }
    }
    for (int64_t c = 0; c < columns; ++c) {
      sums[c] += run[c];
      if (s.run_sums) run_sums[r * stride + c] = run[c];
    }
  }
}

}  // namespace

const char* packed_form(DenseKind kind, bool deep) {
  if (deep && kind != DenseKind::f32) return kind == DenseKind::bf16 ? "b16x4_bf16" : "b16x8_s8_colsum";
  return kind == DenseKind::f32 ? "b16_f32" : kind == DenseKind::bf16 ? "b16x2_bf16" : "b16x4_s8_colsum";
}

// src = step/2-2-16-4  dst = step/2-16-2-4
void deepen(uint8_t* panel, int64_t steps) {
  for (int64_t s = 0; s < steps; s += 2, panel += 128) {
    Words word[8];
    std::memcpy(word, panel, 128);
    for (int i = 0; i < 4; ++i) {
      const Words low = in_turns<0>(word[i], word[i + 4]), high = in_turns<2>(word[i], word[i + 4]);
      std::memcpy(panel + 32 * i, &low, 16);
      std::memcpy(panel + 32 * i + 16, &high, 16);
    }
  }
}

void pack_panels(const PackedB& s, const SourceB& from, uint8_t* to, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t group = i / s.panels(), panel = i % s.panels();
    uint8_t* at = to + i * s.panel_stride();
    if (s.kind == DenseKind::f32) {
      if (from.type == Num::f32) {
        pack_panel<float, float, 1>(s, from, group, panel, reinterpret_cast<float*>(at));
      } else {
        pack_panel<uint16_t, float, 1>(s, from, group, panel, reinterpret_cast<float*>(at));
      }
    } else if (s.kind == DenseKind::bf16) {
      if (from.type == Num::f32) {
        pack_panel<float, uint16_t, 2>(s, from, group, panel, reinterpret_cast<uint16_t*>(at));
      } else {
        pack_panel<uint16_t, uint16_t, 2>(s, from, group, panel, reinterpret_cast<uint16_t*>(at));
      }
    } else {
      pack_panel<int8_t, int8_t, 4>(s, from, group, panel, reinterpret_cast<int8_t*>(at));
      const int64_t column = group * s.columns + panel * 16;
      int32_t* sums = reinterpret_cast<int32_t*>(to + s.sums_offset()) + column;
      int32_t* run_sums = reinterpret_cast<int32_t*>(to + s.run_sums_offset()) + column;
      column_sums(s, reinterpret_cast<const int8_t*>(at), std::min<int64_t>(16, s.columns - panel * 16), sums,
                  run_sums);
    }
    if (s.deep) deepen(at, s.runs * s.padded_steps());
  }
}

void pack_b(const PackedB& s, const SourceB& from, uint8_t* to, ThreadPool* pool) {
  const int64_t n = s.groups * s.panels();
  if (!pool) return pack_panels(s, from, to, 0, n);
  pool->parallel_for(n, 1, [&](int64_t begin, int64_t end, int) { pack_panels(s, from, to, begin, end); });
}

}  // namespace hone::cpu
