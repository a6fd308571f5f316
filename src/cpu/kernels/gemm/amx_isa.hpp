// Dense products on AMX tiles. Blocks of 32 rows x 32 columns load four tiles for four products; a single tile of rows
// meets up to four of columns, and 48 columns are three. So there are four accumulators (three, two where there is no
// more to do), which hide the latency of a product. `HONE_NS::Tiles` gives the tile instructions: the real ones, or
// scalar code that does the same (the stand-in, for tests anywhere). Rows of A that lie evenly are loaded where they
// are; others, and bf16 runs that end inside a tile, are gathered first, some tiles ahead: a tile load has to wait for
// stores to the same lines to leave the core's queues.
#pragma once
#include <stdint.h>

#include "cpu/kernels/gemm/dense_view.hpp"

namespace hone::cpu::HONE_NS {

constexpr int64_t tile_bytes = 64;
constexpr int64_t tiles_ahead = 4;

/// 16 rows of A: where they lie in this run.
struct TileRows {
  const uint8_t* const* row;
  int64_t stride;
  bool even;

  void look_at(const uint8_t* const* rows) {
    row = rows;
    const auto at = [rows](int m) __attribute__((always_inline)) {
      return reinterpret_cast<int64_t>(rows[m]);
    };
    stride = at(1) - at(0);
    int64_t differ = 0;
#pragma GCC unroll 16
    for (int m = 2; m < 16; ++m) differ |= (at(m) - at(m - 1)) ^ stride;
    even = differ == 0;
  }
};

template <bool BF16, int GROUPS, int PANELS>
static void amx_tile(const TileArgs& t) {
  static_assert(GROUPS * PANELS <= 4 && GROUPS <= 2);
  constexpr int64_t pitch = tiles_ahead * tile_bytes;
  TileRows rows[GROUPS] = {};
  int64_t rows_of = -1;
  alignas(64) uint8_t gathered[GROUPS][16 * pitch];
  Tiles tiles;
  tiles.template zero<0>();
  if constexpr (GROUPS * PANELS > 1) tiles.template zero<1>();
  if constexpr (GROUPS * PANELS > 2) tiles.template zero<2>();
  if constexpr (GROUPS * PANELS > 3) tiles.template zero<3>();
  // What lies behind the end of a run meets zeros of B: harmless for integers, but it could be no number.
  const int64_t whole = BF16 ? t.steps / 16 : (t.steps + 15) / 16, rest = BF16 ? t.steps % 16 * 4 : 0;
  for (int64_t r = 0; r < t.runs; ++r) {
    const TileRun run = t.run[r];
    const uint8_t* b = t.b + run.b_bytes;
    if (run.a_rows != rows_of) {
      rows_of = run.a_rows;
      for (int g = 0; g < GROUPS; ++g) rows[g].look_at(t.a + run.a_rows + 16 * g);
    }
    for (int64_t k = 0; k < whole || (k == whole && rest > 0);) {
      const int64_t n = k == whole ? 1 : whole - k < tiles_ahead ? whole - k : tiles_ahead;
      const int64_t at = run.a_bytes + k * tile_bytes;
      const uint8_t* a[GROUPS];
      int64_t stride[GROUPS];
      for (int g = 0; g < GROUPS; ++g) {
        a[g] = rows[g].row[0] + at;
        stride[g] = rows[g].stride;
        if (rows[g].even && k < whole) continue;
        a[g] = gathered[g];
        stride[g] = pitch;
        for (int m = 0; m < 16; ++m) {
          const uint8_t* from = rows[g].row[m] + at;
          uint8_t* to = gathered[g] + m * pitch;
          if (k == whole) {
            Tiles::copy_part(to, from, rest);
          } else {
            for (int64_t i = 0; i < n; ++i) Tiles::copy_line(to + i * tile_bytes, from + i * tile_bytes);
          }
        }
      }
      for (int64_t i = 0; i < n; ++i, b += 16 * tile_bytes) {
        tiles.template load<4>(a[0] + i * tile_bytes, stride[0]);
        if constexpr (GROUPS == 2) {
          tiles.template load<6>(b, tile_bytes);
          tiles.template multiply<BF16, 0, 4, 6>();
          tiles.template load<5>(a[GROUPS - 1] + i * tile_bytes, stride[GROUPS - 1]);
          tiles.template multiply<BF16, PANELS, 5, 6>();
          if constexpr (PANELS == 2) {
            tiles.template load<7>(b + t.panel_stride, tile_bytes);
            tiles.template multiply<BF16, 1, 4, 7>();
            tiles.template multiply<BF16, 3, 5, 7>();
          }
        } else {
          tiles.template load<5>(b, tile_bytes);
          tiles.template multiply<BF16, 0, 4, 5>();
          if constexpr (PANELS > 1) {
            tiles.template load<6>(b + t.panel_stride, tile_bytes);
            tiles.template multiply<BF16, 1, 4, 6>();
          }
          if constexpr (PANELS > 2) {
            tiles.template load<7>(b + 2 * t.panel_stride, tile_bytes);
            tiles.template multiply<BF16, 2, 4, 7>();
          }
          if constexpr (PANELS > 3) {
            tiles.template load<5>(b + 3 * t.panel_stride, tile_bytes);
            tiles.template multiply<BF16, 3, 4, 5>();
          }
        }
      }
      k += n;
    }
  }
  constexpr int64_t ld = PANELS * tile_bytes;
  auto* c = static_cast<uint8_t*>(t.c);
  const auto place = [c](int i) __attribute__((always_inline)) {
    return c + i / PANELS * 16 * ld + i % PANELS * tile_bytes;
  };
  tiles.template store<0>(place(0), ld);
  if constexpr (GROUPS * PANELS > 1) tiles.template store<1>(place(1), ld);
  if constexpr (GROUPS * PANELS > 2) tiles.template store<2>(place(2), ld);
  if constexpr (GROUPS * PANELS > 3) tiles.template store<3>(place(3), ld);
}

template <bool BF16>
constexpr DenseIsa amx_table(EpilogueFn epilogue, void (*f32_to_bf16)(const float*, uint16_t*, int64_t),
                             void (*bf16_to_f32)(const uint16_t*, float*, int64_t),
                             void (*f16_to_f32)(const uint16_t*, float*, int64_t)) {
  DenseIsa isa{};
  isa.tiles[0][15] = amx_tile<BF16, 1, 1>;
  isa.tiles[1][15] = amx_tile<BF16, 1, 2>;
  isa.tiles[2][15] = amx_tile<BF16, 1, 3>;
  isa.tiles[3][15] = amx_tile<BF16, 1, 4>;
  isa.tiles[0][31] = amx_tile<BF16, 2, 1>;
  isa.tiles[1][31] = amx_tile<BF16, 2, 2>;
  isa.max_rows[0] = isa.max_rows[1] = 32;
  isa.max_rows[2] = isa.max_rows[3] = 16;
  isa.max_panels = 4;
  isa.row_block = 16;
  isa.epilogue = epilogue;
  isa.f32_to_bf16 = f32_to_bf16;
  isa.bf16_to_f32 = bf16_to_f32;
  isa.f16_to_f32 = f16_to_f32;
  isa.begin = begin_tiles;
  isa.end = end_tiles;
  return isa;
}
#define HONE_AMX_TABLE(NAME, BF16, EPILOGUE_NS)                                               \
  extern const DenseIsa NAME;                                                                 \
  const DenseIsa NAME = amx_table<BF16>(EPILOGUE_NS::epilogue_tile, EPILOGUE_NS::f32_to_bf16, \
                                        EPILOGUE_NS::bf16_to_f32, EPILOGUE_NS::f16_to_f32);

}  // namespace hone::cpu::HONE_NS
