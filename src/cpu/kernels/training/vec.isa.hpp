// Vectors of 32-bit lanes for the kernels of this folder. Included only by the files that are compiled for one
// instruction set, which define HONE_ISA first: everything here lies in that namespace, so no inline function is shared
// between flags.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef HONE_ISA
#error "define HONE_ISA, the namespace of the instruction set"
#endif

#define HONE_INLINE inline __attribute__((always_inline))
#define HONE_UNROLL _Pragma("GCC unroll 32")

namespace hone::cpu::training::HONE_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
constexpr int kAccumulators = 28;  ///< of 32 registers: the rest holds a row of weights and a broadcast
typedef float VF __attribute__((vector_size(64), may_alias));
typedef int32_t VI __attribute__((vector_size(64), may_alias));
typedef float VFu __attribute__((vector_size(64), may_alias, aligned(4)));
#elif defined(__AVX2__)
constexpr int kLanes = 8;
constexpr int kAccumulators = 12;
typedef float VF __attribute__((vector_size(32), may_alias));
typedef int32_t VI __attribute__((vector_size(32), may_alias));
typedef float VFu __attribute__((vector_size(32), may_alias, aligned(4)));
#else
constexpr int kLanes = 4;
constexpr int kAccumulators = 24;
typedef float VF __attribute__((vector_size(16), may_alias));
typedef int32_t VI __attribute__((vector_size(16), may_alias));
typedef float VFu __attribute__((vector_size(16), may_alias, aligned(4)));
#endif
#if defined(__AVX512BF16__)
constexpr bool kPairs = true;  ///< vdpbf16ps multiplies pairs of bf16
#else
constexpr bool kPairs = false;
#endif

HONE_INLINE VF load(const float* p) {
  return *reinterpret_cast<const VFu*>(p);
}
HONE_INLINE void store(float* p, VF v) {
  *reinterpret_cast<VFu*>(p) = v;
}
HONE_INLINE VF splat(float s) {
#if defined(__AVX512F__)
  return reinterpret_cast<VF>(_mm512_set1_ps(s));
#elif defined(__AVX2__)
  return reinterpret_cast<VF>(_mm256_set1_ps(s));
#else
  return VF{s, s, s, s};
#endif
}
/// a * b + c, rounded once where the machine can.
HONE_INLINE VF madd(VF a, VF b, VF c) {
#if defined(__AVX512F__)
  return reinterpret_cast<VF>(
      _mm512_fmadd_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
#elif defined(__AVX2__)
  return reinterpret_cast<VF>(
      _mm256_fmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
#else
  return a * b + c;
#endif
}
/// c + a * b over 32-bit units: one f32 product, or the two products of a pair of bf16.
template <bool Pairs>
HONE_INLINE VF madd_unit(VF a, VF b, VF c) {
#if defined(__AVX512BF16__)
  if constexpr (Pairs)
    return reinterpret_cast<VF>(
        _mm512_dpbf16_ps(reinterpret_cast<__m512>(c), reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b)));
  else
#endif
    return madd(a, b, c);
}
/// Where one is NaN, b.
HONE_INLINE VF maximum(VF a, VF b) {
  return a > b ? a : b;
}
/// v where m > 0, else 0.
HONE_INLINE VF where_positive(VF m, VF v) {
  return m > splat(0.0f) ? v : splat(0.0f);
}
HONE_INLINE VF square_root(VF v) {
#if defined(__AVX512F__)
  return reinterpret_cast<VF>(_mm512_sqrt_ps(reinterpret_cast<__m512>(v)));
#elif defined(__AVX2__)
  return reinterpret_cast<VF>(_mm256_sqrt_ps(reinterpret_cast<__m256>(v)));
#else
  for (int i = 0; i < kLanes; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}

// bf16 is stored as its upper 16 bits of f32; conversions round to nearest even and keep NaN.
HONE_INLINE float from_bf16(uint16_t b) {
  const uint32_t u = static_cast<uint32_t>(b) << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}
HONE_INLINE uint16_t to_bf16(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((u >> 16) | 0x40u);
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
HONE_INLINE VF load(const uint16_t* p) {
#if defined(__AVX512F__)
  return reinterpret_cast<VF>(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
#elif defined(__AVX2__)
  return reinterpret_cast<VF>(
      _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16));
#else
  VF v;
  for (int i = 0; i < kLanes; ++i) v[i] = from_bf16(p[i]);
  return v;
#endif
}
HONE_INLINE void store(uint16_t* p, VF v) {
#if defined(__AVX512BF16__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(v))));
#elif defined(__AVX512F__)
  const __m512i u = reinterpret_cast<__m512i>(v);
  const __m512i lsb = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  __m512i r = _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(lsb, _mm512_set1_epi32(0x7fff))), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(reinterpret_cast<__m512>(v), reinterpret_cast<__m512>(v), _CMP_UNORD_Q);
  r = _mm512_mask_or_epi32(r, nan, _mm512_srli_epi32(u, 16), _mm512_set1_epi32(0x40));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(r));
#elif defined(__AVX2__)
  const __m256i u = reinterpret_cast<__m256i>(v);
  const __m256i lsb = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  __m256i r = _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(lsb, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i nan =
      reinterpret_cast<__m256i>(_mm256_cmp_ps(reinterpret_cast<__m256>(v), reinterpret_cast<__m256>(v), _CMP_UNORD_Q));
  r = _mm256_blendv_epi8(r, _mm256_or_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(0x40)), nan);
  r = _mm256_permute4x64_epi64(_mm256_packus_epi32(r, r), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(r));
#else
  for (int i = 0; i < kLanes; ++i) p[i] = to_bf16(v[i]);
#endif
}
HONE_INLINE float load_one(const float* p) {
  return *p;
}
HONE_INLINE float load_one(const uint16_t* p) {
  return from_bf16(*p);
}
HONE_INLINE void store_one(float* p, float v) {
  *p = v;
}
HONE_INLINE void store_one(uint16_t* p, float v) {
  *p = to_bf16(v);
}

/// The first n lanes; the others are 0 and their memory is not touched.
template <class T>
HONE_INLINE VF load_n(const T* p, int64_t n) {
  if (n >= kLanes) return load(p);
#if defined(__AVX512F__)
  const __mmask16 mask = static_cast<__mmask16>((1u << n) - 1);
  if constexpr (sizeof(T) == 4)
    return reinterpret_cast<VF>(_mm512_maskz_loadu_ps(mask, p));
  else
    return reinterpret_cast<VF>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p)), 16));
#else
  T t[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) t[i] = p[i];
  return load(static_cast<const T*>(t));
#endif
}
template <class T>
HONE_INLINE void store_n(T* p, VF v, int64_t n) {
  if (n >= kLanes) {
    store(p, v);
    return;
  }
  T t[kLanes];
  store(static_cast<T*>(t), v);
  for (int64_t i = 0; i < n; ++i) p[i] = t[i];
}
HONE_INLINE float sum_lanes(VF v) {
  float s = 0;
  for (int i = 0; i < kLanes; ++i) s += v[i];
  return s;
}

}  // namespace hone::cpu::training::HONE_ISA
