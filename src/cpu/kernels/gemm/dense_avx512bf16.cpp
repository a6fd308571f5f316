#define HONE_NS avx512bf16
#define HONE_LANES 16
#define HONE_EPILOGUE_NS avx512bf16
#include "cpu/kernels/gemm/tile_isa.hpp"

namespace hone::cpu::avx512bf16 {

struct DotBf16 {
  static constexpr bool requantizes = false;
  static constexpr bool ends_f32 = true, ends_bf16 = true;
  using Acc = vf;
  using A = vi;
  using B = vi;
  HONE_INLINE A load_a(const uint8_t* p) {
    return set1i(*reinterpret_cast<const int32_t __attribute__((may_alias))*>(p));
  }
  HONE_INLINE B load_b(const uint8_t* p) { return load_i32(reinterpret_cast<const int32_t*>(p)); }
  HONE_INLINE Acc step(Acc c, A a, B b) { return (vf)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b); }
  HONE_INLINE void keep(A& a) { HONE_KEEP(a); }
  HONE_INLINE void put(void* c, int64_t i, Acc v) { store(static_cast<float*>(c) + i, v); }
  using Half = __m256;
  HONE_INLINE Half no_half() { return _mm256_setzero_ps(); }
  HONE_INLINE __m256i load_half(const uint8_t* b) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)); }
  HONE_INLINE Half half_step(Half c, A a, __m256i b) {
    return _mm256_dpbf16_ps(c, (__m256bh)_mm512_castsi512_si256((__m512i)a), (__m256bh)b);
  }
  HONE_INLINE Half half_step(Half c, const uint8_t* a, __m256i b) {
    const __m256i pair = _mm256_set1_epi32(*reinterpret_cast<const int32_t __attribute__((may_alias))*>(a));
    return _mm256_dpbf16_ps(c, (__m256bh)pair, (__m256bh)b);
  }
  HONE_INLINE Acc widened(Half c) { return (vf)_mm512_zextps256_ps512(c); }
};

HONE_DENSE_TABLE_32(dense_bf16, DotBf16)

}  // namespace hone::cpu::avx512bf16
