// Tiles of bytes that come out of tables in registers, for files of AVX-512 only: 64 results at a time, which begin as
// numbers of 16 bits, linear functions of the accumulators.
//
// A LOOKUP has `__m512i bytes(ab, cd, bool* outside)`: results of four vectors whose numbers were packed as ab and cd,
// in order; and where `checks`, `uint64_t outside(ab, cd)`: the results that the table does not have.
#pragma once
#include "cpu/kernels/epilogue_view.hpp"
#include "cpu/kernels/simd.hpp"

#undef HONE_MEMBER
#define HONE_MEMBER inline __attribute__((always_inline))

namespace hone::cpu::HONE_NS {

HONE_INLINE __m512i load512(const void* p) {
  return _mm512_loadu_si512(p);
}

// The results of one row whose bits are set, as the steps themselves give them.
__attribute__((noinline)) static void exact_results(const EpilogueView& e, const TileView& t, int row, int col, int n,
                                                    uint64_t which) {
  uint8_t bytes[64];
  EpilogueView v = e;
  v.table.bytes = nullptr;
  const int64_t at = (t.row0 + row) * e.ld_out + t.col0 + col;
  v.out = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(bytes) - uintptr_t(at));
  TileView one = t;
  one.acc = static_cast<uint32_t*>(t.acc) + row * t.ld + col;
  one.rows = 1;
  one.cols = n;
  one.row0 += row;
  one.col0 += col;
  e.table.exact(v, one);
  auto* to = static_cast<uint8_t*>(e.out) + at;
  for (int i = 0; i < n; ++i) {
    if (which >> i & 1) to[i] = bytes[i];
  }
}

// VECTORS of 16 columns from `col` on, `n` in all, of 4 / VECTORS rows at a time.
template <class LOOKUP, bool INTEGER, int VECTORS>
static void lookup_columns(const EpilogueView& e, const TileView& t, int col, int n) {
  constexpr int rows = 4 / VECTORS, width = VECTORS * 16;
  const LOOKUP lookup(e);
  const int64_t c = t.col0 + col, ld = t.ld, ld_out = e.ld_out;
  __m512 scale[VECTORS], offset[VECTORS];
  for (int k = 0; k < VECTORS; ++k) {
    scale[k] = _mm512_set1_ps(e.table.scale);
    offset[k] = _mm512_set1_ps(e.table.offset);
    if (k * 16 >= n) continue;
    if (e.bias) offset[k] = _mm512_fmadd_ps(_mm512_loadu_ps(e.bias + c + k * 16), scale[k], offset[k]);
    if (INTEGER) {
      scale[k] = _mm512_mul_ps(scale[k], _mm512_loadu_ps(e.dequant + c + k * 16));
      const __m512 comp = _mm512_cvtepi32_ps(load512(e.comp + c + k * 16));
      offset[k] = _mm512_fnmadd_ps(comp, scale[k], offset[k]);
    }
  }
  const __mmask64 all = n >= width ? ~__mmask64(0) >> (64 - width) : (__mmask64(1) << n) - 1;
  const auto* acc = static_cast<const uint32_t*>(t.acc) + col;
  auto* to = static_cast<uint8_t*>(e.out) + t.row0 * ld_out + c;
  for (int r = 0; r < t.rows; r += rows, to += rows * ld_out) {
    __m512i number[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const int row = r + k / VECTORS < t.rows ? r + k / VECTORS : t.rows - 1, i = k % VECTORS;
      const uint32_t* from = acc + row * ld + (i * 16 < n ? i * 16 : 0);
      const __m512 sum = INTEGER ? _mm512_cvtepi32_ps(load512(from)) : _mm512_loadu_ps(from);
      __m512 v = _mm512_fmadd_ps(sum, scale[i], offset[i]);
      // What no integer holds becomes the least: to be found outside, or kept from it.
      if (!LOOKUP::checks) v = _mm512_min_ps(v, _mm512_set1_ps(1e9f));
      number[k] = _mm512_cvtps_epi32(v);
    }
    const __m512i ab = _mm512_packs_epi32(number[0], number[1]), cd = _mm512_packs_epi32(number[2], number[3]);
    bool outside = false;
    const __m512i bytes = lookup.bytes(ab, cd, &outside);
    if constexpr (VECTORS == 4) {
      if (n >= 64) {
        _mm512_storeu_si512(to, bytes);
      } else {
        _mm512_mask_storeu_epi8(to, all, bytes);
      }
    } else if constexpr (VECTORS == 2) {
      _mm256_mask_storeu_epi8(to, __mmask32(all), _mm512_castsi512_si256(bytes));
      if (r + 1 < t.rows) _mm256_mask_storeu_epi8(to + ld_out, __mmask32(all), _mm512_extracti64x4_epi64(bytes, 1));
    } else {
      const __m128i part[4] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
                               _mm512_extracti32x4_epi32(bytes, 2), _mm512_extracti32x4_epi32(bytes, 3)};
      for (int k = 0; k < 4 && r + k < t.rows; ++k) _mm_mask_storeu_epi8(to + k * ld_out, __mmask16(all), part[k]);
    }
    if constexpr (LOOKUP::checks) {
      if (outside) [[unlikely]] {
        const uint64_t which = lookup.outside(ab, cd);
        for (int k = 0; k < rows && r + k < t.rows; ++k) {
          const uint64_t of_row = which >> (k * width) & all;
          if (of_row) exact_results(e, t, r + k, col, n < width ? n : width, of_row);
        }
      }
    }
  }
}

template <class LOOKUP, bool INTEGER>
HONE_INLINE void all_lookup_columns(const EpilogueView& e, const TileView& t) {
  for (int j = 0; j < t.cols; j += 64) {
    const int n = t.cols - j;
    if (n > 32) {
      lookup_columns<LOOKUP, INTEGER, 4>(e, t, j, n);
    } else if (n > 16) {
      lookup_columns<LOOKUP, INTEGER, 2>(e, t, j, n);
    } else {
      lookup_columns<LOOKUP, INTEGER, 1>(e, t, j, n);
    }
  }
}
template <class LOOKUP>
HONE_INLINE void lookup_tile(const EpilogueView& view, const TileView& tile) {
  // Copies: stores of bytes might change the originals, as far as the compiler knows.
  const EpilogueView e = view;
  const TileView t = tile;
  if (e.integer) return all_lookup_columns<LOOKUP, true>(e, t);
  all_lookup_columns<LOOKUP, false>(e, t);
}

}  // namespace hone::cpu::HONE_NS
