// Integer accumulators straight to bytes, for ISA files only: a multiply-add, perhaps the residual of a skip
// connection, one rounding, and clamping on bytes. Where vectors have 16 lanes, four of them are packed at a time.
#pragma once
#include "cpu/kernels/epilogue_view.hpp"
#include "cpu/kernels/simd.hpp"

#undef HONE_MEMBER
#define HONE_MEMBER inline __attribute__((always_inline))

namespace hone::cpu::HONE_NS {

/// For levels that are whole already: all bytes of the results' type, shifted by their zero point.
HONE_INLINE RequantView all_bytes(const EpilogueView& e) {
  RequantView whole{};
  const bool is_signed = e.out_type == Num::s8;
  whole.zero = int32_t(e.out_zero) + (is_signed ? 128 : 0);
  whole.high = 255;
  whole.flip = is_signed ? 0x80 : 0;
  return whole;
}

/// What lies between the multiply-add and the rounding.
enum class Between { nothing, residual, levels_and_residual };

// Constants of a tile. Everything is in terms of u8: signed bytes are shifted by 128 and flipped at the end.
template <Between BETWEEN>
struct Requantizer {
#if HONE_LANES == 16
  __m512i zero, low, high, flip, order;
  __m128i residual_flip;
#else
  vi zero, low, high;
  uint8_t flip;
#endif
  vf level_low, level_high, level_scale, residual_scale, residual_offset;
  bool residual_signed;

  HONE_MEMBER explicit Requantizer(const RequantView& q) {
#if HONE_LANES == 16
    zero = _mm512_set1_epi16(int16_t(q.zero));
    low = _mm512_set1_epi8(char(q.low));
    high = _mm512_set1_epi8(char(q.high));
    flip = _mm512_set1_epi8(char(q.flip));
    // Packing leaves four bytes of each vector in each 128 bits.
    order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    residual_flip = _mm_set1_epi8(char(q.residual_signed ? 0x80 : 0));
#else
    zero = set1i(q.zero);
    low = set1i(q.low);
    high = set1i(q.high);
    flip = q.flip;
#endif
    residual_signed = q.residual_signed;
    if constexpr (BETWEEN != Between::nothing) {
      level_low = set1(q.level_low);
      level_high = set1(q.level_high);
      level_scale = set1(q.level_scale);
      residual_scale = set1(q.residual_scale);
      residual_offset = set1(q.residual_offset);
    }
  }

  // The level of 16 (8, 4) results, without the zero point. `residual`: their bytes.
  HONE_MEMBER vi level(vi acc, vf scale, vf offset, const uint8_t* residual) const {
    vf v = to_float(acc) * scale + offset;
    if constexpr (BETWEEN != Between::nothing) {
      if constexpr (BETWEEN == Between::levels_and_residual) v = clamp_to(nearest(v), level_low, level_high);
#if HONE_LANES == 16
      const __m128i bytes = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(residual)), residual_flip);
      const vf r = (vf)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
#else
      const vf r = residual_signed ? load_s8(reinterpret_cast<const int8_t*>(residual)) + 128.0f : load_u8(residual);
#endif
      if constexpr (BETWEEN == Between::levels_and_residual) v = v * level_scale;
      v = v + (r * residual_scale + residual_offset);
    }
    return round_to_int(v);
  }
#if HONE_LANES == 4
  // The same of accumulators beside the residual `r` that `widened` made of its bytes.
  HONE_MEMBER vi level_beside(vi acc, vf scale, vf offset, vf r) const {
    vf v = to_float(acc) * scale + offset;
    if constexpr (BETWEEN == Between::levels_and_residual)
      v = clamp_to(nearest(v), level_low, level_high) * level_scale;
    if constexpr (BETWEEN != Between::nothing) v = v + (r * residual_scale + residual_offset);
    return round_to_int(v);
  }
  HONE_MEMBER void widened(const uint8_t* residual, vf (&to)[4]) const {
    const uint8x16_t bytes = veorq_u8(vld1q_u8(residual), vdupq_n_u8(residual_signed ? 0x80 : 0));
    const uint16x8_t low_half = vmovl_u8(vget_low_u8(bytes)), high_half = vmovl_high_u8(bytes);
    to[0] = (vf)vcvtq_f32_u32(vmovl_u16(vget_low_u16(low_half)));
    to[1] = (vf)vcvtq_f32_u32(vmovl_high_u16(low_half));
    to[2] = (vf)vcvtq_f32_u32(vmovl_u16(vget_low_u16(high_half)));
    to[3] = (vf)vcvtq_f32_u32(vmovl_high_u16(high_half));
  }
  // Bytes of four vectors of levels, one after the other.
  HONE_MEMBER uint8x16_t pack(vi a, vi b, vi c, vi d) const {
    const auto words = [this](vi x, vi y) __attribute__((always_inline)) {
      const int16x8_t both = vqmovn_high_s32(vqmovn_s32((int32x4_t)x), (int32x4_t)y);
      return vqaddq_s16(both, vuzp1q_s16((int16x8_t)zero, (int16x8_t)zero));
    };
    const uint8x16_t bytes = vqmovun_high_s16(vqmovun_s16(words(a, b)), words(c, d));
    const auto limit = [](vi v) __attribute__((always_inline)) {
      return vdupq_laneq_u8((uint8x16_t)v, 0);
    };
    return veorq_u8(vminq_u8(vmaxq_u8(bytes, limit(low)), limit(high)), vdupq_n_u8(flip));
  }
#endif
  // The same of a sum that is no integer, however large.
  HONE_MEMBER static vi level(vf sum, vf scale, vf offset) {
    return round_to_int(minimum(set1(1e9f), sum * scale + offset));
  }
#if HONE_LANES != 16
  HONE_MEMBER vb bytes(vi level) const {
    return narrow_u8(minimum_i(maximum_i(level + zero, low), high)) ^ flip;
  }
#endif
#if HONE_LANES == 16
  // Bytes of four vectors of levels, one after the other.
  HONE_MEMBER __m512i pack(vi a, vi b, vi c, vi d) const {
    const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32((__m512i)a, (__m512i)b), zero);
    const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32((__m512i)c, (__m512i)d), zero);
    const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(ab, cd));
    return _mm512_xor_si512(_mm512_min_epu8(_mm512_max_epu8(bytes, low), high), flip);
  }
#endif
};

#if HONE_LANES == 16
template <int I>
HONE_INLINE void store_chunk(uint8_t* to, __m512i bytes) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_extracti32x4_epi32(bytes, I));
}
HONE_INLINE void store_first_bytes(uint8_t* to, __m512i bytes, int n) {
  _mm512_mask_storeu_epi8(to, n >= 64 ? ~__mmask64(0) : (__mmask64(1) << n) - 1, bytes);
}
#endif

}  // namespace hone::cpu::HONE_NS
