// Tiles of integer accumulators straight to bytes (see requantize_isa.hpp), for ISA files only.
#pragma once
#include "cpu/kernels/epilogue_view.hpp"
#include "cpu/kernels/requantize_isa.hpp"

namespace hone::cpu::HONE_NS {

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

}  // namespace hone::cpu::HONE_NS
