#define HONE_NS avx512bf16
#define HONE_LANES 16
#define HONE_EPILOGUE_NS avx512bf16
#include "cpu/kernels/gemm/tile_isa.hpp"

namespace hone::cpu::avx512bf16 {

struct DotBf16 : LaneDot {
  static constexpr bool requantizes = false;
  static constexpr bool ends_f32 = true, ends_bf16 = true;
  using Acc = vf;
  using Half = __m256;
  HONE_INLINE Acc step(Acc c, A a, B b) { return (vf)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b); }
  HONE_INLINE void put(void* c, int64_t i, Acc v) { store(static_cast<float*>(c) + i, v); }
  HONE_INLINE Half no_half() { return _mm256_setzero_ps(); }
  HONE_INLINE Half half_step(Half c, auto a, __m256i b) {
    return _mm256_dpbf16_ps(c, (__m256bh)half_a(a), (__m256bh)b);
  }
  HONE_INLINE Acc widened(Half c) { return (vf)_mm512_zextps256_ps512(c); }
};

HONE_DENSE_TABLE_32(dense_bf16, DotBf16)

}  // namespace hone::cpu::avx512bf16
