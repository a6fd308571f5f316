// Dense products on AMX tiles: 16 rows x 64 columns, one tile of A against four of B, so that four accumulators hide
// the latency. `HONE_NS::Tiles` gives the tile instructions: the real ones, or scalar code that does the same (the
// stand-in, for tests anywhere). Rows of A that lie evenly are loaded where they are; others, and bf16 runs that end
// inside a tile, are gathered first.
#pragma once
#include <stdint.h>

#include "cpu/kernels/gemm/dense_view.hpp"

namespace hone::cpu::HONE_NS {

template <bool BF16, int PANELS>
static void amx_tile(const TileArgs& t) {
  constexpr int64_t tile_bytes = 64;
  int64_t stride = 0, rows_of = -1;
  bool even = false;
  alignas(64) uint8_t gathered[16 * tile_bytes];
  Tiles tiles;
  tiles.template zero<0>();
  if constexpr (PANELS > 1) tiles.template zero<1>();
  if constexpr (PANELS > 2) tiles.template zero<2>();
  if constexpr (PANELS > 3) tiles.template zero<3>();
  for (int64_t r = 0; r < t.runs; ++r) {
    const TileRun run = t.run[r];
    const uint8_t* b = t.b + run.b_bytes;
    const uint8_t* const* a = t.a + run.a_rows;
    const int64_t offset = run.a_bytes;
    if (run.a_rows != rows_of) {
      rows_of = run.a_rows;
      stride = a[1] - a[0];
      even = stride >= 0 && !(BF16 && t.steps % 16 != 0);
      for (int m = 2; m < 16 && even; ++m) even = a[m] - a[m - 1] == stride;
    }
    for (int64_t k = 0; k < t.steps; k += 16, b += 16 * tile_bytes) {
      if (even) {
        tiles.template load<4>(a[0] + offset + 4 * k, stride);
      } else {
        const int64_t bytes = t.steps - k < 16 ? 4 * (t.steps - k) : tile_bytes;
        for (int m = 0; m < 16; ++m) {
          const uint8_t* from = a[m] + offset + 4 * k;
          uint8_t* to = gathered + m * tile_bytes;
          if (bytes == tile_bytes) {
            __builtin_memcpy(to, from, tile_bytes);
          } else {
            for (int64_t i = 0; i < bytes; ++i) to[i] = from[i];
            for (int64_t i = bytes; i < tile_bytes; ++i) to[i] = 0;
          }
        }
        tiles.template load<4>(gathered, tile_bytes);
      }
      tiles.template load<5>(b, tile_bytes);
      tiles.template multiply<BF16, 0, 5>();
      if constexpr (PANELS > 1) {
        tiles.template load<6>(b + t.panel_stride, tile_bytes);
        tiles.template multiply<BF16, 1, 6>();
      }
      if constexpr (PANELS > 2) {
        tiles.template load<7>(b + 2 * t.panel_stride, tile_bytes);
        tiles.template multiply<BF16, 2, 7>();
      }
      if constexpr (PANELS > 3) {
        tiles.template load<5>(b + 3 * t.panel_stride, tile_bytes);
        tiles.template multiply<BF16, 3, 5>();
      }
    }
  }
  auto* c = static_cast<uint8_t*>(t.c);
  tiles.template store<0>(c, PANELS * tile_bytes);
  if constexpr (PANELS > 1) tiles.template store<1>(c + tile_bytes, PANELS * tile_bytes);
  if constexpr (PANELS > 2) tiles.template store<2>(c + 2 * tile_bytes, PANELS * tile_bytes);
  if constexpr (PANELS > 3) tiles.template store<3>(c + 3 * tile_bytes, PANELS * tile_bytes);
}

#define HONE_SIXTEEN(FN)                                                                                        \
  {                                                                                                             \
    nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, \
        nullptr, nullptr, nullptr, FN                                                                           \
  }
#define HONE_AMX_TABLE(NAME, BF16, EPILOGUE_NS)                                                  \
  extern const DenseIsa NAME;                                                                    \
  const DenseIsa NAME = {{HONE_SIXTEEN((amx_tile<BF16, 1>)), HONE_SIXTEEN((amx_tile<BF16, 2>)),  \
                          HONE_SIXTEEN((amx_tile<BF16, 3>)), HONE_SIXTEEN((amx_tile<BF16, 4>))}, \
                         {16, 16, 16, 16},                                                       \
                         4,                                                                      \
                         EPILOGUE_NS::epilogue_tile,                                             \
                         EPILOGUE_NS::f32_to_bf16,                                               \
                         EPILOGUE_NS::bf16_to_f32,                                               \
                         EPILOGUE_NS::f16_to_f32,                                                \
                         begin_tiles,                                                            \
                         end_tiles};

}  // namespace hone::cpu::HONE_NS
