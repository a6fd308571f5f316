// Vectors of one instruction set, on the vector extensions of GCC and Clang. For ISA files only: define HONE_NS (the
// namespace of the instruction set) and HONE_LANES (floats in a vector: 16 AVX-512, 8 AVX2, 4 NEON) before including
// it. Everything is static and forced inline and nothing comes from the standard library, so no function compiled for
// one instruction set can be linked into code for another.
#pragma once
#if !defined(HONE_NS) || !defined(HONE_LANES)
#error "define HONE_NS and HONE_LANES"
#endif
#include <stdint.h>

#include "cpu/kernels/shuffle.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define HONE_INLINE static inline __attribute__((always_inline, unused))

// Keeps a value in a register: gcc would fold its load into every use.
#undef HONE_KEEP
#if HONE_LANES == 16
#define HONE_KEEP(x) __asm__("" : "+v"(x))
#elif HONE_LANES == 8
#define HONE_KEEP(x) __asm__("" : "+x"(x))
#else
#define HONE_KEEP(x) __asm__("" : "+w"(x))
#endif

namespace hone::cpu {
extern bool native_bf16;  // see features.hpp
}

namespace hone::cpu::HONE_NS {

constexpr int lanes = HONE_LANES;
typedef float vf __attribute__((vector_size(4 * HONE_LANES)));
typedef int32_t vi __attribute__((vector_size(4 * HONE_LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * HONE_LANES)));
typedef float vf_any __attribute__((vector_size(4 * HONE_LANES), aligned(1), may_alias));
typedef int32_t vi_any __attribute__((vector_size(4 * HONE_LANES), aligned(1), may_alias));
typedef uint16_t vh __attribute__((vector_size(2 * HONE_LANES)));
typedef uint16_t vh_any __attribute__((vector_size(2 * HONE_LANES), aligned(1), may_alias));
typedef uint8_t vb __attribute__((vector_size(HONE_LANES)));
typedef uint8_t vb_any __attribute__((vector_size(HONE_LANES), aligned(1), may_alias));

HONE_INLINE vf set1(float x) {
  return x - vf{};
}
HONE_INLINE vi set1i(int32_t x) {
  return x - vi{};
}
HONE_INLINE vf load(const float* p) {
  return *reinterpret_cast<const vf_any*>(p);
}
HONE_INLINE void store(float* p, vf v) {
  *reinterpret_cast<vf_any*>(p) = v;
}
HONE_INLINE vi load_i32(const int32_t* p) {
  return *reinterpret_cast<const vi_any*>(p);
}
HONE_INLINE void store_i32(int32_t* p, vi v) {
  *reinterpret_cast<vi_any*>(p) = v;
}
HONE_INLINE vf to_float(vi v) {
  return __builtin_convertvector(v, vf);
}

// maximum(a, b) and minimum(a, b) give b where one of them is not a number (x86); so keep the data in b.
#if HONE_LANES == 16
HONE_INLINE vf maximum(vf a, vf b) {
  return (vf)_mm512_max_ps((__m512)a, (__m512)b);
}
HONE_INLINE vf minimum(vf a, vf b) {
  return (vf)_mm512_min_ps((__m512)a, (__m512)b);
}
HONE_INLINE vi round_to_int(vf v) {
  return (vi)_mm512_cvtps_epi32((__m512)v);
}
HONE_INLINE vf square_root(vf v) {
  return (vf)_mm512_sqrt_ps((__m512)v);
}
HONE_INLINE vf floor_of(vf v) {
  return (vf)_mm512_roundscale_ps((__m512)v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
HONE_INLINE vf nearest(vf v) {
  return (vf)_mm512_roundscale_ps((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// a / b for b that neither overflows nor leaves the normal numbers; within 2 ulp, in half the time of a division.
HONE_INLINE vf quotient(vf a, vf b) {
  const vf r = (vf)_mm512_rcp14_ps((__m512)b);
  return a * (r * (2.0f - b * r));
}
HONE_INLINE __mmask16 first_lanes(int n) {
  return (__mmask16)((1u << n) - 1u);
}
HONE_INLINE vf load_n(const float* p, int n) {
  return (vf)_mm512_maskz_loadu_ps(first_lanes(n), p);
}
HONE_INLINE void store_n(float* p, vf v, int n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), (__m512)v);
}
#elif HONE_LANES == 8
HONE_INLINE vf maximum(vf a, vf b) {
  return (vf)_mm256_max_ps((__m256)a, (__m256)b);
}
HONE_INLINE vf minimum(vf a, vf b) {
  return (vf)_mm256_min_ps((__m256)a, (__m256)b);
}
HONE_INLINE vi round_to_int(vf v) {
  return (vi)_mm256_cvtps_epi32((__m256)v);
}
HONE_INLINE vf square_root(vf v) {
  return (vf)_mm256_sqrt_ps((__m256)v);
}
HONE_INLINE vf floor_of(vf v) {
  return (vf)_mm256_floor_ps((__m256)v);
}
HONE_INLINE vf nearest(vf v) {
  return (vf)_mm256_round_ps((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
HONE_INLINE __m256i first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
HONE_INLINE vf load_n(const float* p, int n) {
  return (vf)_mm256_maskload_ps(p, first_lanes(n));
}
HONE_INLINE void store_n(float* p, vf v, int n) {
  _mm256_maskstore_ps(p, first_lanes(n), (__m256)v);
}
#else
HONE_INLINE vf maximum(vf a, vf b) {
  return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b);
}
HONE_INLINE vf minimum(vf a, vf b) {
  return (vf)vminq_f32((float32x4_t)a, (float32x4_t)b);
}
HONE_INLINE vi round_to_int(vf v) {
  return (vi)vcvtnq_s32_f32((float32x4_t)v);
}
HONE_INLINE vf square_root(vf v) {
  return (vf)vsqrtq_f32((float32x4_t)v);
}
HONE_INLINE vf floor_of(vf v) {
  return (vf)vrndmq_f32((float32x4_t)v);
}
HONE_INLINE vf nearest(vf v) {
  return (vf)vrndnq_f32((float32x4_t)v);
}
HONE_INLINE vf load_n(const float* p, int n) {
  vf v = {};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
HONE_INLINE void store_n(float* p, vf v, int n) {
  for (int i = 0; i < n; ++i) p[i] = v[i];
}
#endif

HONE_INLINE vi maximum_i(vi a, vi b) {
  return a > b ? a : b;
}
HONE_INLINE vi minimum_i(vi a, vi b) {
  return a < b ? a : b;
}
#if HONE_LANES != 16
HONE_INLINE vf quotient(vf a, vf b) {
  return a / b;
}
#endif
HONE_INLINE vf clamp_to(vf v, vf lo, vf hi) {
  return minimum(hi, maximum(lo, v));
}
HONE_INLINE vf select(vi mask, vf a, vf b) {
  return (vf)((mask & (vi)a) | (~mask & (vi)b));
}
HONE_INLINE vf absolute(vf v) {
  return (vf)((vi)v & set1i(0x7fffffff));
}
// Lane i + by of a vector in lane i.
template <int BY>
HONE_INLINE vf rotated(vf v) {
  return shuffled(v, v, [](int i) { return (i + BY) % HONE_LANES; });
}
HONE_INLINE float sum_of(vf v) {
  if constexpr (HONE_LANES > 8) v = v + rotated<8 % HONE_LANES>(v);
  if constexpr (HONE_LANES > 4) v = v + rotated<4 % HONE_LANES>(v);
  v = v + rotated<2>(v);
  v = v + rotated<1>(v);
  return v[0];
}
HONE_INLINE float max_of(vf v) {
  if constexpr (HONE_LANES > 8) v = maximum(v, rotated<8 % HONE_LANES>(v));
  if constexpr (HONE_LANES > 4) v = maximum(v, rotated<4 % HONE_LANES>(v));
  v = maximum(v, rotated<2>(v));
  v = maximum(v, rotated<1>(v));
  return v[0];
}

// Widening and narrowing. gcc 12 takes conversions between vectors of different element sizes apart, so these are
// intrinsics.
#if HONE_LANES == 16
HONE_INLINE vu widen_u16(const uint16_t* p) {
  return (vu)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p));
}
HONE_INLINE vi widen_u8(const uint8_t* p) {
  return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p));
}
HONE_INLINE vi widen_s8(const int8_t* p) {
  return (vi)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p));
}
HONE_INLINE vh narrow_u16(vu v) {
  return (vh)_mm512_cvtepi32_epi16((__m512i)v);
}
HONE_INLINE vb narrow_u8(vi v) {
  return (vb)_mm512_cvtepi32_epi8((__m512i)v);
}
#elif HONE_LANES == 8
HONE_INLINE vu widen_u16(const uint16_t* p) {
  return (vu)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p));
}
HONE_INLINE vi widen_u8(const uint8_t* p) {
  return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
}
HONE_INLINE vi widen_s8(const int8_t* p) {
  return (vi)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p));
}
HONE_INLINE vh narrow_u16(vu v) {
  // the lower 16 bits of each lane, packed within halves and then brought together
  const __m256i packed =
      _mm256_packus_epi32(_mm256_and_si256((__m256i)v, _mm256_set1_epi32(0xffff)), _mm256_setzero_si256());
  return (vh)_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
}
HONE_INLINE vb narrow_u8(vi v) {
  const __m256i masked = _mm256_and_si256((__m256i)v, _mm256_set1_epi32(0xff));
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(masked, _mm256_setzero_si256()), 0x08);
  const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm_setzero_si128());
  return (vb)_mm_cvtsi128_si64(bytes);
}
#else
HONE_INLINE vu widen_u16(const uint16_t* p) {
  return (vu)vmovl_u16(vld1_u16(p));
}
HONE_INLINE uint8x8_t load_four(const void* p) {
  uint32_t four;
  __builtin_memcpy(&four, p, 4);
  return vreinterpret_u8_u32(vdup_n_u32(four));
}
HONE_INLINE vi widen_u8(const uint8_t* p) {
  return (vi)vmovl_u16(vget_low_u16(vmovl_u8(load_four(p))));
}
HONE_INLINE vi widen_s8(const int8_t* p) {
  return (vi)vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(load_four(p)))));
}
HONE_INLINE vh narrow_u16(vu v) {
  return (vh)vmovn_u32((uint32x4_t)v);
}
HONE_INLINE vb narrow_u8(vi v) {
  const uint16x4_t half = vmovn_u32((uint32x4_t)v);
  const uint8x8_t bytes = vmovn_u16(vcombine_u16(half, half));
  vb out;
  const uint32_t low = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
  __builtin_memcpy(&out, &low, 4);
  return out;
}
#endif

// The first n bytes or 16-bit words of a vector; whole vectors take the short way.
HONE_INLINE void store_bytes(uint8_t* p, vb v, int n) {
#if HONE_LANES == 16
  _mm_mask_storeu_epi8(p, first_lanes(n), (__m128i)v);
#else
  if (n == HONE_LANES) {
    *reinterpret_cast<vb_any*>(p) = v;
  } else {
    for (int k = 0; k < n; ++k) p[k] = v[k];
  }
#endif
}
HONE_INLINE void store_words(uint16_t* p, vh v, int n) {
#if HONE_LANES == 16
  _mm256_mask_storeu_epi16(p, first_lanes(n), (__m256i)v);
#else
  if (n == HONE_LANES) {
    *reinterpret_cast<vh_any*>(p) = v;
  } else {
    for (int k = 0; k < n; ++k) p[k] = v[k];
  }
#endif
}

// bf16 is the upper half of a float. To bf16: nearest even; a NaN stays one. The instruction takes numbers below 2^-126
// for zero on x86; on ARM it keeps them.
// Volatile: else the compiler may run the instruction first and choose afterwards.
#if defined(__AVX512BF16__)
HONE_INLINE vh to_bf16(vf v) {
  return (vh)_mm512_cvtneps_pbh((__m512)v);
}
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
HONE_INLINE vh to_bf16(vf v) {
  return (vh)vreinterpret_u16_bf16(vcvt_bf16_f32((float32x4_t)v));
}
#else
HONE_INLINE vh to_bf16(vf v) {
#if HONE_LANES == 16
  if (native_bf16) {
    vh h;
    __asm__ volatile("vcvtneps2bf16 %1, %0" : "=v"(h) : "v"(v));
    return h;
  }
#elif HONE_LANES == 4
  if (native_bf16) {
    vh h;
    __asm__ volatile(".arch_extension bf16\n\tbfcvtn %0.4h, %1.4s" : "=w"(h) : "w"(v));
    return h;
  }
#endif
  const vu u = (vu)v;
  const vu rounded = u + 0x7fffu + ((u >> 16) & 1u);
  const vu quiet = u | 0x400000u;
  const vu nan = (vu)(v != v);
  return narrow_u16(((nan & quiet) | (~nan & rounded)) >> 16);
}
#endif
HONE_INLINE vf load_bf16(const uint16_t* p) {
  return (vf)(widen_u16(p) << 16);
}
HONE_INLINE void store_bf16(uint16_t* p, vf v) {
  *reinterpret_cast<vh_any*>(p) = to_bf16(v);
}
#if HONE_LANES == 16
HONE_INLINE vf load_f16(const uint16_t* p) {
  return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p));
}
HONE_INLINE vh to_f16(vf v) {
  return (vh)_mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#elif HONE_LANES == 8
HONE_INLINE vf load_f16(const uint16_t* p) {
  return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p));
}
HONE_INLINE vh to_f16(vf v) {
  return (vh)_mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#else
HONE_INLINE vf load_f16(const uint16_t* p) {
  return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
HONE_INLINE vh to_f16(vf v) {
  return (vh)vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)v));
}
#endif
HONE_INLINE float one_f16(uint16_t bits) {
  uint16_t same[HONE_LANES] = {bits};
  return load_f16(same)[0];
}
HONE_INLINE vf load_u8(const uint8_t* p) {
  return to_float(widen_u8(p));
}
HONE_INLINE vf load_s8(const int8_t* p) {
  return to_float(widen_s8(p));
}
HONE_INLINE void store_u8(uint8_t* p, vi v) {
  *reinterpret_cast<vb_any*>(p) = narrow_u8(v);
}

}  // namespace hone::cpu::HONE_NS
