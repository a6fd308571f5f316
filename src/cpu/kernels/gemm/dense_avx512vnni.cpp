#define HONE_NS avx512vnni
#define HONE_LANES 16
#define HONE_EPILOGUE_NS avx512
#include "cpu/kernels/gemm/tile_isa.hpp"

namespace hone::cpu::avx512vnni {

// u8 x s8, four products a lane, exact in 32 bits.
struct DotInt8 {
  static constexpr bool requantizes = true;
  static constexpr bool ends_f32 = false, ends_bf16 = false;
  using Acc = vi;
  using A = vi;
  using B = vi;
  HONE_INLINE A load_a(const uint8_t* p) {
    return set1i(*reinterpret_cast<const int32_t __attribute__((may_alias))*>(p));
  }
  HONE_INLINE B load_b(const uint8_t* p) { return load_i32(reinterpret_cast<const int32_t*>(p)); }
  HONE_INLINE Acc step(Acc c, A a, B b) { return (vi)_mm512_dpbusd_epi32((__m512i)c, (__m512i)a, (__m512i)b); }
  HONE_INLINE void keep(A& a) { HONE_KEEP(a); }
  HONE_INLINE void put(void* c, int64_t i, Acc v) { store_i32(static_cast<int32_t*>(c) + i, v); }
  using Half = __m256i;
  HONE_INLINE Half no_half() { return _mm256_setzero_si256(); }
  HONE_INLINE __m256i load_half(const uint8_t* b) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)); }
  HONE_INLINE Half half_step(Half c, A a, __m256i b) {
    return _mm256_dpbusd_epi32(c, _mm512_castsi512_si256((__m512i)a), b);
  }
  HONE_INLINE Half half_step(Half c, const uint8_t* a, __m256i b) {
    return _mm256_dpbusd_epi32(c, _mm256_set1_epi32(*reinterpret_cast<const int32_t __attribute__((may_alias))*>(a)),
                               b);
  }
  HONE_INLINE Acc widened(Half c) { return (vi)_mm512_zextsi256_si512(c); }
};

HONE_DENSE_TABLE_32(dense_int8, DotInt8)

}  // namespace hone::cpu::avx512vnni
