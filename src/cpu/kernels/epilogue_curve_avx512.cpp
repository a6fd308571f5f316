#define HONE_NS avx512
#define HONE_LANES 16
#include "cpu/kernels/epilogue_lookup_isa.hpp"

namespace hone::cpu::avx512 {
namespace {

// Coefficients of 64 parabolas in six registers.
struct Curve {
  static constexpr bool checks = false;
  __m512i coefficients[6], order, top, flip;

  HONE_MEMBER explicit Curve(const EpilogueView& e) {
    for (int i = 0; i < 6; ++i) coefficients[i] = load512(e.table.bytes + i * 64);
    // Packing leaves four bytes of each vector in each 128 bits.
    order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    top = _mm512_set1_epi16(int16_t(0x8000));
    flip = _mm512_set1_epi8(char(e.out_type == Num::u8 ? 0x80 : 0));
  }
  HONE_MEMBER __m512i level(__m512i x) const {
    const __m512i piece = _mm512_srai_epi16(x, 10), t = _mm512_xor_si512(_mm512_slli_epi16(x, 6), top);
    const auto coefficient = [&](int i) __attribute__((always_inline)) {
      return _mm512_permutex2var_epi16(coefficients[2 * i], piece, coefficients[2 * i + 1]);
    };
    const __m512i slope = _mm512_add_epi16(_mm512_mulhrs_epi16(coefficient(2), t), coefficient(1));
    return _mm512_srai_epi16(_mm512_adds_epi16(_mm512_mulhrs_epi16(slope, t), coefficient(0)), curve_bits);
  }
  HONE_MEMBER __m512i bytes(__m512i ab, __m512i cd, bool*) const {
    const __m512i packed = _mm512_packs_epi16(level(ab), level(cd));
    return _mm512_xor_si512(_mm512_permutexvar_epi32(order, packed), flip);
  }
};

}  // namespace

void curve_tile(const EpilogueView& e, const TileView& t) {
  lookup_tile<Curve>(e, t);
}

}  // namespace hone::cpu::avx512
