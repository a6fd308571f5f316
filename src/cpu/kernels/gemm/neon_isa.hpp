// Register tiles of dense products on 32 registers of 128 bits, for the ISA files of NEON only: 6 rows of 16 columns
// are 24 accumulators, which leave 6 registers for rows of A and two for B. Rows are read where they lie, 16 bytes
// (four steps) at a time.
#pragma once
#include "cpu/kernels/gemm/dense_view.hpp"
#include "cpu/kernels/gemm/tile_end_isa.hpp"
#include "cpu/kernels/requantize_isa.hpp"
#include "cpu/kernels/simd.hpp"

namespace hone::cpu::HONE_NS {

// Loads stay where they are written: moved ahead of other products, they would need registers that there are not.
#define HONE_IN_ORDER() __asm__ volatile("" ::: "memory")

constexpr int tile_vectors = 4;  // 16 columns

HONE_INLINE void store_first(uint8_t* to, uint8x16_t bytes, int n) {
  if (n >= 16) return vst1q_u8(to, bytes);
  if (n & 8) {
    vst1_u8(to, vget_low_u8(bytes));
    bytes = vextq_u8(bytes, bytes, 8);
    to += 8;
  }
  if (n & 4) {
    const uint32_t four = vgetq_lane_u32(vreinterpretq_u32_u8(bytes), 0);
    __builtin_memcpy(to, &four, 4);
    bytes = vextq_u8(bytes, bytes, 4);
    to += 4;
  }
  for (int i = 0; i < (n & 3); ++i) to[i] = bytes[i];
}

// Accumulators to bytes. Only the last row may be none of the results'.
template <Between BETWEEN, int ROWS>
HONE_INLINE void put_bytes(const TileArgs& t, const vi (&acc)[ROWS][tile_vectors]) {
  const Requantizer<BETWEEN> q(*t.requant);
  vf scale[tile_vectors], offset[tile_vectors];
#pragma GCC unroll 16
  for (int j = 0; j < tile_vectors; ++j) {
    scale[j] = load(t.scale + j * lanes);
    offset[j] = load(t.offset + j * lanes);
  }
  uint8_t* to = t.out;
  const uint8_t* residual = t.residual;
  const int cols = t.cols;
  const int64_t ld = t.ld_out;
  const bool last = t.rows == ROWS;
#pragma GCC unroll 16
  for (int m = 0; m < ROWS; ++m, to += ld) {
    if (m == ROWS - 1 && !last) break;
    vi level[tile_vectors];
    vf beside[tile_vectors] = {};
    if constexpr (BETWEEN != Between::nothing) {
      q.widened(residual, beside);
      residual += ld;
    }
#pragma GCC unroll 16
    for (int j = 0; j < tile_vectors; ++j) level[j] = q.level_beside(acc[m][j], scale[j], offset[j], beside[j]);
    store_first(to, q.pack(level[0], level[1], level[2], level[3]), cols);
  }
}

HONE_INLINE vf as_lanes(float32x4_t v) {
  return (vf)v;
}
HONE_INLINE vi as_lanes(int32x4_t v) {
  return (vi)v;
}

template <class Dot, int ROWS>
HONE_INLINE void put_tile(const TileArgs& t, const vi (&acc)[ROWS][tile_vectors]) {
  if (t.requant) {
    if (t.residual) return put_bytes<Between::levels_and_residual>(t, acc);
    return put_bytes<Between::nothing>(t, acc);
  }
  auto* c = static_cast<int32_t*>(t.c);
#pragma GCC unroll 32
  for (int i = 0; i < ROWS * tile_vectors; ++i) store_i32(c + i * lanes, acc[i / tile_vectors][i % tile_vectors]);
}
template <class Dot, int ROWS>
HONE_INLINE void put_tile(const TileArgs& t, vf (&acc)[ROWS][tile_vectors]) {
  if (t.end) return put_results<Dot::ends_bf16>(*t.end, acc);
  auto* c = static_cast<float*>(t.c);
#pragma GCC unroll 32
  for (int i = 0; i < ROWS * tile_vectors; ++i) store(c + i * lanes, acc[i / tile_vectors][i % tile_vectors]);
}

template <class Dot, int STEP, int ROWS>
HONE_INLINE void lane_step(typename Dot::Acc (&acc)[ROWS][tile_vectors], const uint8x16_t (&a)[ROWS],
                           const uint8_t* b) {
#pragma GCC unroll 16
  for (int j = 0; j < tile_vectors; ++j) {
    const uint8x16_t columns = vld1q_u8(b + 64 * STEP + 16 * j);
    HONE_IN_ORDER();
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) acc[m][j] = Dot::template step<STEP>(acc[m][j], columns, a[m]);
  }
}

// Products of a vector of B with a lane of a row of A: one f32, or four bytes of integers.
template <class Dot, int ROWS>
static void lane_tile(const TileArgs& args) {
  const TileArgs t = args;  // a copy: stores might change the original, as far as the compiler knows
  typename Dot::Acc acc[ROWS][tile_vectors];
#pragma GCC unroll 16
  for (int m = 0; m < ROWS; ++m) {
#pragma GCC unroll 16
    for (int j = 0; j < tile_vectors; ++j) acc[m][j] = typename Dot::Acc{};
  }
  const uint8_t flip = t.flip;
  for (int64_t r = 0; r < t.runs; ++r) {
    const TileRun run = t.run[r];
    const uint8_t* b = t.b + run.b_bytes;
    const uint8_t* a[ROWS];
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) a[m] = t.a[run.a_rows + m] + run.a_bytes;
    int64_t k = 0;
    uint8x16_t x[ROWS];
    for (; k + 4 <= t.steps; k += 4, b += 256) {
#pragma GCC unroll 16
      for (int m = 0; m < ROWS; ++m) x[m] = Dot::flipped(vld1q_u8(a[m] + 4 * k), flip);
      lane_step<Dot, 0>(acc, x, b);
      lane_step<Dot, 1>(acc, x, b);
      lane_step<Dot, 2>(acc, x, b);
      lane_step<Dot, 3>(acc, x, b);
    }
    for (; k < t.steps; ++k, b += 64) {
#pragma GCC unroll 16
      for (int m = 0; m < ROWS; ++m) {
        uint32_t four;
        __builtin_memcpy(&four, a[m] + 4 * k, 4);
        x[m] = Dot::flipped(vreinterpretq_u8_u32(vdupq_n_u32(four)), flip);
      }
      lane_step<Dot, 0>(acc, x, b);
    }
  }
  decltype(as_lanes(typename Dot::Acc{})) out[ROWS][tile_vectors];
#pragma GCC unroll 32
  for (int i = 0; i < ROWS * tile_vectors; ++i)
    out[i / tile_vectors][i % tile_vectors] = as_lanes(acc[i / tile_vectors][i % tile_vectors]);
  put_tile<Dot>(t, out);
}

// Products of matrices of 2 x 8 bytes: pairs of rows times pairs of columns, so B lies in its deep form and an
// accumulator holds two columns of a row and the same two of the next row.
template <class Dot, int PAIRS>
static void pair_tile(const TileArgs& args) {
  const TileArgs t = args;  // a copy: stores might change the original, as far as the compiler knows
  constexpr int rows = 2 * PAIRS, pairs_of_columns = 8;
  typename Dot::Acc acc[PAIRS][pairs_of_columns];
#pragma GCC unroll 16
  for (int p = 0; p < PAIRS; ++p) {
#pragma GCC unroll 16
    for (int j = 0; j < pairs_of_columns; ++j) acc[p][j] = typename Dot::Acc{};
  }
  for (int64_t r = 0; r < t.runs; ++r) {
    const TileRun run = t.run[r];
    const uint8_t* b = t.b + run.b_bytes;
    const uint8_t* a[rows];
#pragma GCC unroll 16
    for (int m = 0; m < rows; ++m) a[m] = t.a[run.a_rows + m] + run.a_bytes;
    int64_t k = 0;
    for (; k + 4 <= t.steps; k += 4) {
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        uint64x2_t pair[PAIRS];
#pragma GCC unroll 16
        for (int p = 0; p < PAIRS; ++p) {
          pair[p] = vcombine_u64(vreinterpret_u64_u8(vld1_u8(a[2 * p] + 4 * k + 8 * half)),
                                 vreinterpret_u64_u8(vld1_u8(a[2 * p + 1] + 4 * k + 8 * half)));
        }
#pragma GCC unroll 16
        for (int j = 0; j < pairs_of_columns; ++j) {
          const uint8x16_t columns = vld1q_u8(b + 128 * half + 16 * j);
          HONE_IN_ORDER();
#pragma GCC unroll 16
          for (int p = 0; p < PAIRS; ++p) acc[p][j] = Dot::step(acc[p][j], vreinterpretq_u8_u64(pair[p]), columns);
        }
      }
      b += 256;
    }
    // Of an odd number of steps, the last is half a product: behind it may lie what is no number.
    for (; k < t.steps; k += 2, b += 128) {
      uint64x2_t pair[PAIRS];
#pragma GCC unroll 16
      for (int p = 0; p < PAIRS; ++p) {
        uint64_t first = 0, second = 0;
        if (k + 2 <= t.steps) {
          __builtin_memcpy(&first, a[2 * p] + 4 * k, 8);
          __builtin_memcpy(&second, a[2 * p + 1] + 4 * k, 8);
        } else {
          __builtin_memcpy(&first, a[2 * p] + 4 * k, 4);
          __builtin_memcpy(&second, a[2 * p + 1] + 4 * k, 4);
        }
        pair[p] = vcombine_u64(vcreate_u64(first), vcreate_u64(second));
      }
#pragma GCC unroll 16
      for (int j = 0; j < pairs_of_columns; ++j) {
        const uint8x16_t columns = vld1q_u8(b + 16 * j);
#pragma GCC unroll 16
        for (int p = 0; p < PAIRS; ++p) acc[p][j] = Dot::step(acc[p][j], vreinterpretq_u8_u64(pair[p]), columns);
      }
    }
  }
  decltype(as_lanes(typename Dot::Acc{})) out[rows][tile_vectors];
#pragma GCC unroll 16
  for (int p = 0; p < PAIRS; ++p) {
#pragma GCC unroll 16
    for (int j = 0; j < tile_vectors; ++j) {
      const auto left = (uint64x2_t)acc[p][2 * j], right = (uint64x2_t)acc[p][2 * j + 1];
      out[2 * p][j] = as_lanes((typename Dot::Acc)vtrn1q_u64(left, right));
      out[2 * p + 1][j] = as_lanes((typename Dot::Acc)vtrn2q_u64(left, right));
    }
  }
  put_tile<Dot>(t, out);
}

using ToBf16 = void (*)(const float*, uint16_t*, int64_t);
using FromHalves = void (*)(const uint16_t*, float*, int64_t);

template <class Dot>
constexpr DenseIsa table_of(EpilogueFn epilogue, ToBf16 f32_to_bf16, FromHalves bf16_to_f32, FromHalves f16_to_f32) {
  DenseIsa isa{};
  isa.max_rows[0] = 6;
  isa.max_panels = 1;
  isa.epilogue = epilogue;
  isa.f32_to_bf16 = f32_to_bf16;
  isa.bf16_to_f32 = bf16_to_f32;
  isa.f16_to_f32 = f16_to_f32;
  isa.requantizes = Dot::integer;
  isa.ends_f32 = !Dot::integer;
  isa.ends_bf16 = Dot::ends_bf16;
  return isa;
}
template <class Dot>
constexpr DenseIsa pair_table(EpilogueFn epilogue, ToBf16 f32_to_bf16, FromHalves bf16_to_f32, FromHalves f16_to_f32) {
  DenseIsa isa = table_of<Dot>(epilogue, f32_to_bf16, bf16_to_f32, f16_to_f32);
  isa.tiles[0][1] = pair_tile<Dot, 1>;
  isa.tiles[0][3] = pair_tile<Dot, 2>;
  isa.tiles[0][5] = pair_tile<Dot, 3>;
  isa.deep = true;
  isa.whole_tiles = true;
  return isa;
}
template <class Dot>
constexpr DenseIsa lane_table(EpilogueFn epilogue, ToBf16 f32_to_bf16, FromHalves bf16_to_f32, FromHalves f16_to_f32) {
  DenseIsa isa = table_of<Dot>(epilogue, f32_to_bf16, bf16_to_f32, f16_to_f32);
  isa.tiles[0][0] = lane_tile<Dot, 1>;
  isa.tiles[0][1] = lane_tile<Dot, 2>;
  isa.tiles[0][2] = lane_tile<Dot, 3>;
  isa.tiles[0][3] = lane_tile<Dot, 4>;
  isa.tiles[0][4] = lane_tile<Dot, 5>;
  isa.tiles[0][5] = lane_tile<Dot, 6>;
  isa.flips = Dot::integer;
  return isa;
}
constexpr DenseIsa with_signed(DenseIsa isa, const DenseIsa* of_signed) {
  isa.of_signed = of_signed;
  return isa;
}
// Conversions and epilogues are those of plain NEON.
#define HONE_NEON_TABLE(TABLE, DOT) \
  TABLE<DOT>(neon::epilogue_tile, neon::f32_to_bf16, neon::bf16_to_f32, neon::f16_to_f32)

}  // namespace hone::cpu::HONE_NS
