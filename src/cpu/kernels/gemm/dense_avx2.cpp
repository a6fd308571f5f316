#define HONE_NS avx2
#define HONE_LANES 8
#define HONE_EPILOGUE_NS avx2
#include "cpu/kernels/gemm/tile_isa.hpp"

namespace hone::cpu::avx2 {

// vpmaddubsw would saturate, so bytes are widened to 16 bits: vpmaddwd sums two products of each column exactly, and
// the two halves of a column meet at the end.
struct DotInt8 {
  static constexpr bool requantizes = false;
  static constexpr bool ends_f32 = false, ends_bf16 = false;
  struct Acc {
    __m256i low, high;  // columns 0-3 and 4-7, two partial sums each
  };
  using A = __m256i;
  using B = Acc;
  HONE_INLINE A load_a(const uint8_t* p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
  }
  HONE_INLINE B load_b(const uint8_t* p) {
    return {_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)p)),
            _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)(p + 16)))};
  }
  HONE_INLINE Acc step(Acc c, A a, B b) {
    return {_mm256_add_epi32(c.low, _mm256_madd_epi16(a, b.low)),
            _mm256_add_epi32(c.high, _mm256_madd_epi16(a, b.high))};
  }
  HONE_INLINE void keep(A&) {}
  HONE_INLINE void put(void* c, int64_t i, Acc v) {
    // hadd leaves columns 0 1 4 5 | 2 3 6 7
    const __m256i sums = _mm256_permute4x64_epi64(_mm256_hadd_epi32(v.low, v.high), 0xd8);
    _mm256_storeu_si256((__m256i*)(static_cast<int32_t*>(c) + i), sums);
  }
};

// 16 registers: 6 x 16 in f32; less where B is widened.
HONE_DENSE_TABLE_1(dense_f32, 6, true, HONE_T(DotF32, 1, 1), HONE_T(DotF32, 2, 1), HONE_T(DotF32, 3, 1),
                   HONE_T(DotF32, 4, 1), HONE_T(DotF32, 5, 1), HONE_T(DotF32, 6, 1))
HONE_DENSE_TABLE_1(dense_bf16, 4, false, HONE_T(DotBf16Wide, 1, 1), HONE_T(DotBf16Wide, 2, 1),
                   HONE_T(DotBf16Wide, 3, 1), HONE_T(DotBf16Wide, 4, 1))
HONE_DENSE_TABLE_1(dense_int8, 2, false, HONE_T(DotInt8, 1, 1), HONE_T(DotInt8, 2, 1))

}  // namespace hone::cpu::avx2
