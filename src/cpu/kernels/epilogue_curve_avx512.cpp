// Bytes by way of polynomials whose coefficients lie in registers, 64 results at a time.
#define HONE_NS avx512
#define HONE_LANES 16
#include "cpu/kernels/epilogue_view.hpp"
#include "cpu/kernels/gated_isa.hpp"
#include "cpu/kernels/requantize_isa.hpp"
#include "cpu/kernels/simd.hpp"

namespace hone::cpu::avx512 {
namespace {

// Multiplications and sums are fused by hand: which copy of this code meets a result depends on the number of threads,
// and the compiler fuses some and not others.
HONE_INLINE __m512 multiply_add(__m512 a, __m512 b, __m512 c) {
  return _mm512_fmadd_ps(a, b, c);
}

// Added to a number below 2^21, this leaves the nearest whole number in the last bits of the sum.
constexpr float round_magic = 12582912.0f;

// Between two positive numbers: those are in the order of their bits, and integers are compared in half the time.
HONE_INLINE __m512 clamp_bits(__m512 x, float low, float high) {
  const __m512i least = _mm512_castps_si512(_mm512_set1_ps(low)), most = _mm512_castps_si512(_mm512_set1_ps(high));
  return _mm512_castsi512_ps(_mm512_min_epi32(_mm512_max_epi32(_mm512_castps_si512(x), least), most));
}

template <int DEGREE>
struct Curve {
  __m512 coefficients[DEGREE + 1][2];

  HONE_MEMBER explicit Curve(const EpilogueView& e) {
    for (int i = 0; i <= DEGREE; ++i) {
      for (int k = 0; k < 2; ++k)
        coefficients[i][k] = _mm512_loadu_ps(e.curve.coefficients + i * curve_pieces + k * 16);
    }
  }
  // x in pieces, the first one around 1; beyond them the ends.
  HONE_MEMBER __m512 operator()(__m512 sum) const {
    const __m512 x = clamp_bits(sum, 0.50000006f, curve_pieces + 0.5f), magic = _mm512_set1_ps(round_magic);
    // The nearest whole number is in the last bits of the sum, of which five choose the piece.
    const __m512 whole = _mm512_add_ps(x, magic), t = _mm512_sub_ps(x, _mm512_sub_ps(whole, magic));
    const __m512i piece = _mm512_castps_si512(whole);
    __m512 y = of(DEGREE, piece);
#pragma GCC unroll 8
    for (int i = DEGREE - 1; i >= 0; --i) y = multiply_add(y, t, of(i, piece));
    return y;
  }
  HONE_MEMBER __m512 of(int i, __m512i piece) const {
    return _mm512_permutex2var_ps(coefficients[i][0], piece, coefficients[i][1]);
  }
};

// A linear function of the biased results, for VECTORS of 16 columns.
template <bool INTEGER, int VECTORS>
struct Line {
  __m512 scale[VECTORS], offset[VECTORS];

  HONE_MEMBER Line(const EpilogueView& e, int64_t c, int n, float by, float plus) {
    for (int k = 0; k < VECTORS; ++k) {
      scale[k] = _mm512_set1_ps(by);
      offset[k] = _mm512_set1_ps(plus);
      if (k * 16 >= n) continue;
      if (e.bias) offset[k] = multiply_add(_mm512_loadu_ps(e.bias + c + k * 16), scale[k], offset[k]);
      if (INTEGER) {
        scale[k] = _mm512_mul_ps(scale[k], _mm512_loadu_ps(e.dequant + c + k * 16));
        const __m512 comp = _mm512_cvtepi32_ps(_mm512_loadu_si512(e.comp + c + k * 16));
        offset[k] = _mm512_fnmadd_ps(comp, scale[k], offset[k]);
      }
    }
  }
};

// Bytes of the last 16 bits of four vectors.
HONE_INLINE __m512i pack_words(const Requantizer<Between::nothing>& q, const vi* level) {
  alignas(64) static constexpr uint16_t even[32] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30,
                                                    32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62};
  const __m512i words = _mm512_load_si512(even), order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  const __m512i ab = _mm512_permutex2var_epi16((__m512i)level[0], words, (__m512i)level[1]),
                cd = _mm512_permutex2var_epi16((__m512i)level[2], words, (__m512i)level[3]);
  const __m512i bytes = _mm512_packus_epi16(_mm512_adds_epi16(ab, q.zero), _mm512_adds_epi16(cd, q.zero));
  return _mm512_xor_si512(_mm512_permutexvar_epi64(order, bytes), q.flip);
}

// Calls `level(sum, k, at)` for each vector of 16 results, k-th of VECTORS beside each other and `at` in the output,
// and stores bytes of what it returns. From column `col` on, `n` in all, of 4 / VECTORS rows at a time.
template <bool INTEGER, int VECTORS, bool WORDS, class Level>
HONE_INLINE void store_levels(const EpilogueView& e, const TileView& t, int col, int n, const Level& level_of) {
  constexpr int rows = 4 / VECTORS, width = VECTORS * 16;
  const Requantizer<Between::nothing> q(all_bytes(e));
  const int64_t ld = t.ld, ld_out = e.ld_out;
  const __mmask64 all = n >= width ? ~__mmask64(0) >> (64 - width) : (__mmask64(1) << n) - 1;
  const auto* acc = static_cast<const uint32_t*>(t.acc) + col;
  int64_t at = t.row0 * ld_out + t.col0 + col;
  for (int r = 0; r < t.rows; r += rows, at += rows * ld_out) {
    vi level[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const int row = r + k / VECTORS < t.rows ? k / VECTORS : t.rows - 1 - r, i = k % VECTORS;
      const int first = i * 16 < n ? i * 16 : 0;
      const uint32_t* from = acc + (r + row) * ld + first;
      const __m512 sum = INTEGER ? _mm512_cvtepi32_ps(_mm512_loadu_si512(from)) : _mm512_loadu_ps(from);
      level[k] = level_of(sum, i, at + row * ld_out + first);
    }
    const __m512i bytes = WORDS ? pack_words(q, level) : q.pack(level[0], level[1], level[2], level[3]);
    auto* to = static_cast<uint8_t*>(e.out) + at;
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
  }
}

// Calls `columns` with 4, 2 or 1 vectors at a time.
template <class Columns>
HONE_INLINE void all_columns(const TileView& t, const Columns& columns) {
  for (int j = 0; j < t.cols; j += 64) {
    const int n = t.cols - j;
    if (n > 32) {
      columns.template run<4>(j, n);
    } else if (n > 16) {
      columns.template run<2>(j, n);
    } else {
      columns.template run<1>(j, n);
    }
  }
}

// (Each run makes copies: stores of bytes might change the originals, as far as the compiler knows.)
template <bool INTEGER, int DEGREE>
struct CurveColumns {
  const EpilogueView& view;
  const TileView& tile;
  template <int VECTORS>
  __attribute__((noinline)) void run(int col, int n) const {
    const EpilogueView e = view;
    const TileView t = tile;
    const Curve<DEGREE> curve(e);
    const Line<INTEGER, VECTORS> line(e, t.col0 + col, n, e.curve.scale, e.curve.offset);
    store_levels<INTEGER, VECTORS, false>(
        e, t, col, n, [&](__m512 sum, int k, int64_t) __attribute__((always_inline)) {
          return round_to_int((vf)curve(multiply_add(sum, line.scale[k], line.offset[k])));
        });
  }
};

// Levels of the gate, by levels of the value before they are rounded.
template <int DEGREE>
struct Gate {
  const Curve<DEGREE> curve;
  __m512 scale, offset;
  HONE_MEMBER explicit Gate(const EpilogueView& e) : curve(e) {
    scale = _mm512_set1_ps(e.curve.scale / e.gate.value.inverse);
    offset = _mm512_set1_ps(e.curve.offset);
  }
  HONE_MEMBER vf operator()(__m512 value) const { return nearest((vf)curve(multiply_add(value, scale, offset))); }
};
// Degree 0: hard ones. Rounding is monotonic: what stays between 0 and 1 has levels between those of these.
template <>
struct Gate<0> {
  __m512 scale, offset;
  vf low, high;
  HONE_MEMBER explicit Gate(const EpilogueView& e) {
    const LevelsView& g = e.gate.gate;
    scale = _mm512_set1_ps(g.inverse / (6 * e.gate.value.inverse));
    offset = _mm512_set1_ps(g.inverse / 2);
    low = clamp_to(vf{}, set1(g.low), set1(g.high));
    high = clamp_to(nearest(set1(g.inverse)), set1(g.low), set1(g.high));
  }
  HONE_MEMBER vf operator()(__m512 value) const {
    return clamp_to(nearest((vf)multiply_add(value, scale, offset)), low, high);
  }
};

// Levels of the value times those of its gate. PLAIN: and nothing else, which fits 16 bits.
template <bool INTEGER, int DEGREE, bool PLAIN>
struct GateColumns {
  const EpilogueView& view;
  const TileView& tile;
  template <int VECTORS>
  __attribute__((noinline)) void run(int col, int n) const {
    const EpilogueView e = view;
    const TileView t = tile;
    const GateView& g = e.gate;
    const int64_t c = t.col0 + col;
    const bool tail = g.rounds_result || g.has_residual;
    // Bytes are stored from their levels; without a tail the product of levels is scaled to them at once.
    const float unit = g.value.step * g.gate.step * (tail ? 1.0f : e.out_inv_scale);
    vf factor[VECTORS];
    for (int k = 0; k < VECTORS; ++k)
      factor[k] = !PLAIN && g.factor && k * 16 < n ? load(g.factor + c + k * 16) * unit : set1(unit);
    const Gate<DEGREE> gate(e);
    const Line<INTEGER, VECTORS> line(e, c, n, g.value.inverse, 0);
    const __m512 magic = _mm512_set1_ps(round_magic);
    const float low = round_magic + g.value.low, high = round_magic + g.value.high;
    store_levels<INTEGER, VECTORS, PLAIN>(
        e, t, col, n, [&](__m512 sum, int k, int64_t at) __attribute__((always_inline)) {
          const __m512 value = multiply_add(sum, line.scale[k], line.offset[k]);
          const __m512 rounded = _mm512_sub_ps(clamp_bits(_mm512_add_ps(value, magic), low, high), magic);
          const vf levels = (vf)rounded * gate(value);
          if constexpr (PLAIN) {
            return (vi)multiply_add((__m512)levels, (__m512)factor[k], magic);
          } else {
            vf v = levels * factor[k];
            if (tail) v = gated_tail(e, v, at) * e.out_inv_scale;
            return round_to_int(minimum(set1(1e9f), v));
          }
        });
  }
};

template <int DEGREE>
static void gate_kind(const EpilogueView& e, const TileView& t) {
  const GateView& g = e.gate;
  const auto largest = [](const LevelsView& l) { return -l.low > l.high ? -l.low : l.high; };
  const bool plain = !g.factor && !g.rounds_result && !g.has_residual &&
                     largest(g.value) * largest(g.gate) * g.value.step * g.gate.step * e.out_inv_scale < 32000;
  if (!e.integer) return all_columns(t, GateColumns<false, DEGREE, false>{e, t});
  if (plain) return all_columns(t, GateColumns<true, DEGREE, true>{e, t});
  all_columns(t, GateColumns<true, DEGREE, false>{e, t});
}

}  // namespace

void curve_tile(const EpilogueView& e, const TileView& t) {
  const bool cubic = e.curve.degree == 3;
  if (e.integer) {
    return cubic ? all_columns(t, CurveColumns<true, 3>{e, t}) : all_columns(t, CurveColumns<true, 4>{e, t});
  }
  cubic ? all_columns(t, CurveColumns<false, 3>{e, t}) : all_columns(t, CurveColumns<false, 4>{e, t});
}

void gate_tile(const EpilogueView& e, const TileView& t) {
  if (e.gate.hard) return gate_kind<0>(e, t);
  e.curve.degree == 3 ? gate_kind<3>(e, t) : gate_kind<4>(e, t);
}

}  // namespace hone::cpu::avx512
