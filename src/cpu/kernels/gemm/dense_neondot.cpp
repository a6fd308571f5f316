#define HONE_NS neondot
#define HONE_LANES 4
#define HONE_EPILOGUE_NS neon
#include "cpu/kernels/gemm/tile_isa.hpp"

namespace hone::cpu::neondot {

// sdot wants both factors signed: u8 a becomes a - 128, and 128 times the sum of B, taken once for each B, is added
// back.
struct DotInt8 {
  static constexpr bool requantizes = false;
  static constexpr bool ends_f32 = false, ends_bf16 = false;
  using Acc = int32x4_t;
  using A = int8x16_t;
  struct B {
    int8x16_t value;
    int32x4_t back;
  };
  HONE_INLINE A load_a(const uint8_t* p) {
    uint32_t four;
    __builtin_memcpy(&four, p, 4);
    return vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x80808080u));
  }
  HONE_INLINE B load_b(const uint8_t* p) {
    const int8x16_t b = vld1q_s8(reinterpret_cast<const int8_t*>(p)), half = vdupq_n_s8(64);
    return {b, vdotq_s32(vdotq_s32(vdupq_n_s32(0), b, half), b, half)};
  }
  HONE_INLINE Acc step(Acc c, A a, B b) { return vdotq_s32(vaddq_s32(c, b.back), b.value, a); }
  HONE_INLINE void keep(A&) {}
  HONE_INLINE void put(void* c, int64_t i, Acc v) { vst1q_s32(static_cast<int32_t*>(c) + i, v); }
};

HONE_DENSE_TABLE_1(dense_int8, 4, false, HONE_T(DotInt8, 1, 1), HONE_T(DotInt8, 2, 1), HONE_T(DotInt8, 3, 1),
                   HONE_T(DotInt8, 4, 1))

}  // namespace hone::cpu::neondot
