#define HONE_NS avx512vbmi
#define HONE_LANES 16
#include "cpu/kernels/epilogue_lookup_isa.hpp"
#include "cpu/kernels/gated_isa.hpp"

namespace hone::cpu::avx512vbmi {
namespace {

// Packing to 16 bits leaves four numbers of each of two vectors in each 128 bits; these bytes are in order again.
struct Order {
  alignas(64) uint8_t low[64], high[64];
  constexpr Order() : low(), high() {
    for (int p = 0; p < 64; ++p) {
      const int v = p / 16, i = p % 16;
      low[p] = uint8_t(v / 2 * 64 + 2 * (i / 4 * 8 + v % 2 * 4 + i % 4));
      high[p] = uint8_t(low[p] + 1);
    }
  }
};
constexpr Order order;

// A table of 512 bytes in eight registers.
struct Lookup {
  static constexpr bool checks = true;
  __m512i table[8], low, high, margin, last, limit;

  HONE_MEMBER explicit Lookup(const EpilogueView& e) {
    for (int i = 0; i < 8; ++i) table[i] = load512(e.table.bytes + i * 64);
    low = load512(order.low);
    high = load512(order.high);
    margin = _mm512_set1_epi16(table_margin);
    last = _mm512_set1_epi16(table_entries - 1);
    limit = _mm512_set1_epi16(table_entries - 1 + 2 * table_margin);
  }
  HONE_MEMBER __m512i entry(__m512i words) const { return _mm512_min_epu16(_mm512_subs_epu16(words, margin), last); }
  HONE_MEMBER __m512i bytes(__m512i ab, __m512i cd, bool* outside) const {
    *outside = _mm512_cmpgt_epu16_mask(_mm512_max_epu16(ab, cd), limit) != 0;
    const __m512i a = entry(ab), c = entry(cd);
    const __m512i i = _mm512_permutex2var_epi8(a, low, c), h = _mm512_permutex2var_epi8(a, high, c);
    const __mmask64 odd = _mm512_movepi8_mask(i), upper = _mm512_test_epi8_mask(h, h);
    const __m512i first = _mm512_mask_blend_epi8(odd, _mm512_permutex2var_epi8(table[0], i, table[1]),
                                                 _mm512_permutex2var_epi8(table[2], i, table[3]));
    const __m512i second = _mm512_mask_blend_epi8(odd, _mm512_permutex2var_epi8(table[4], i, table[5]),
                                                  _mm512_permutex2var_epi8(table[6], i, table[7]));
    return _mm512_mask_blend_epi8(upper, first, second);
  }
  HONE_MEMBER uint64_t outside(__m512i ab, __m512i cd) const {
    const __m512i a = _mm512_movm_epi16(_mm512_cmpgt_epu16_mask(ab, limit)),
                  c = _mm512_movm_epi16(_mm512_cmpgt_epu16_mask(cd, limit));
    return _mm512_movepi8_mask(_mm512_permutex2var_epi8(a, low, c));
  }
};

// Levels of the value times those of its gate, which the table has. VECTORS of 16 columns from `col` on, `n` in all, of
// 4 / VECTORS rows at a time.
template <int VECTORS, bool TAIL>
static void gate_columns(const EpilogueView& e, const TileView& t, int col, int n) {
  constexpr int rows = 4 / VECTORS, width = VECTORS * 16;
  const Lookup lookup(e);
  const GateView g = e.gate;
  const bool is_signed = e.out_type == Num::s8;
  RequantView whole{};
  whole.zero = int32_t(e.out_zero) + (is_signed ? 128 : 0);
  whole.high = 255;
  whole.flip = is_signed ? 0x80 : 0;
  const Requantizer<Between::nothing> q(whole);
  // Bytes are stored from their levels; without a tail the product of levels is scaled to them at once.
  const float unit = g.value.step * g.gate.step * (TAIL ? 1.0f : e.out_inv_scale);
  const int64_t c = t.col0 + col, ld = t.ld, ld_out = e.ld_out;
  const vf inverse = set1(g.value.inverse), low = set1(g.value.low), high = set1(g.value.high), most = set1(1e9f);
  const __m512 parts = _mm512_set1_ps(e.table.scale), first = _mm512_set1_ps(e.table.offset);
  __m512 scale[VECTORS], offset[VECTORS];
  vf factor[VECTORS];
  for (int k = 0; k < VECTORS; ++k) {
    scale[k] = offset[k] = _mm512_setzero_ps();
    factor[k] = set1(unit);
    if (k * 16 >= n) continue;
    const vf dequant = load(e.dequant + c + k * 16) * inverse;
    const __m512 comp = _mm512_cvtepi32_ps(load512(e.comp + c + k * 16));
    const __m512 bias = e.bias ? _mm512_loadu_ps(e.bias + c + k * 16) : _mm512_setzero_ps();
    scale[k] = (__m512)dequant;
    offset[k] = _mm512_fnmadd_ps(comp, scale[k], _mm512_mul_ps(bias, (__m512)inverse));
    if (g.factor) factor[k] = load(g.factor + c + k * 16) * unit;
  }
  const __mmask64 all = n >= width ? ~__mmask64(0) >> (64 - width) : (__mmask64(1) << n) - 1;
  const auto* acc = static_cast<const int32_t*>(t.acc) + col;
  int64_t at = t.row0 * ld_out + c;
  for (int r = 0; r < t.rows; r += rows, at += rows * ld_out) {
    __m512i number[4];
    vf value[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const int row = r + k / VECTORS < t.rows ? r + k / VECTORS : t.rows - 1, i = k % VECTORS;
      const int32_t* from = acc + row * ld + (i * 16 < n ? i * 16 : 0);
      const __m512 v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(load512(from)), scale[i], offset[i]);
      number[k] = _mm512_cvtps_epi32(_mm512_fmadd_ps(v, parts, first));
      value[k] = clamp_to(nearest((vf)v), low, high);
    }
    const __m512i ab = _mm512_packs_epi32(number[0], number[1]), cd = _mm512_packs_epi32(number[2], number[3]);
    bool outside = false;
    const __m512i gates = lookup.bytes(ab, cd, &outside);
    const __m128i gate[4] = {_mm512_castsi512_si128(gates), _mm512_extracti32x4_epi32(gates, 1),
                             _mm512_extracti32x4_epi32(gates, 2), _mm512_extracti32x4_epi32(gates, 3)};
    vi level[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const int row = r + k / VECTORS < t.rows ? k / VECTORS : t.rows - 1 - r, i = k % VECTORS;
      vf v = value[k] * (vf)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(gate[k])) * factor[i];
      if constexpr (TAIL) v = gated_tail(e, v, at + row * ld_out + (i * 16 < n ? i * 16 : 0)) * e.out_inv_scale;
      level[k] = round_to_int(minimum(most, v));
    }
    const __m512i bytes = q.pack(level[0], level[1], level[2], level[3]);
    auto* to = static_cast<uint8_t*>(e.out) + at;
    if constexpr (VECTORS == 4) {
      if (n >= 64) {
        _mm512_storeu_si512(to, bytes);
      } else {
        _mm512_mask_storeu_epi8(to, all, bytes);
      }
    } else {
      const __m128i part[4] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
                               _mm512_extracti32x4_epi32(bytes, 2), _mm512_extracti32x4_epi32(bytes, 3)};
      for (int k = 0; k < 4 && r + k < t.rows; ++k) _mm_mask_storeu_epi8(to + k * ld_out, __mmask16(all), part[k]);
    }
    if (outside) [[unlikely]] {
      const uint64_t which = lookup.outside(ab, cd);
      for (int k = 0; k < rows && r + k < t.rows; ++k) {
        const uint64_t of_row = which >> (k * width) & all;
        if (of_row) exact_results(e, t, r + k, col, n < width ? n : width, of_row);
      }
    }
  }
}
template <bool TAIL>
static void gate_rows(const EpilogueView& view, const TileView& tile) {
  // Copies: stores of bytes might change the originals, as far as the compiler knows.
  const EpilogueView e = view;
  const TileView t = tile;
  int j = 0;
  for (; t.cols - j > (TAIL ? 0 : 32); j += 64) gate_columns<4, TAIL>(e, t, j, t.cols - j);
  if constexpr (!TAIL) {
    for (; j < t.cols; j += 16) gate_columns<1, TAIL>(e, t, j, t.cols - j);
  }
}

}  // namespace

void gate_tile(const EpilogueView& e, const TileView& t) {
  e.gate.rounds_result || e.gate.has_residual ? gate_rows<true>(e, t) : gate_rows<false>(e, t);
}

void table_tile(const EpilogueView& e, const TileView& t) {
  lookup_tile<Lookup>(e, t);
}

}  // namespace hone::cpu::avx512vbmi
