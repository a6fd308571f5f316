#define HONE_NS avx512vnni
#define HONE_LANES 16
#define HONE_EPILOGUE_NS avx512
#include "cpu/kernels/gemm/tile_isa.hpp"

namespace hone::cpu::avx512vnni {

// u8 x s8, four products a lane, exact in 32 bits.
struct DotInt8 : IntegerDot {
  static constexpr bool requantizes = true;
  HONE_INLINE Acc step(Acc c, A a, B b) { return (vi)_mm512_dpbusd_epi32((__m512i)c, (__m512i)a, (__m512i)b); }
  HONE_INLINE Half half_step(Half c, auto a, __m256i b) { return _mm256_dpbusd_epi32(c, half_a(a), b); }
};

HONE_DENSE_TABLE_32(dense_int8, DotInt8)

}  // namespace hone::cpu::avx512vnni
