#define HONE_NS neon
#define HONE_LANES 4
#define HONE_EPILOGUE_NS neon
#include "cpu/kernels/gemm/tile_isa.hpp"

namespace hone::cpu::neon {

// Without sdot: bytes widened to 16 bits, four partial sums for each column.
struct DotInt8 {
  static constexpr bool requantizes = false;
  static constexpr bool ends_f32 = false, ends_bf16 = false;
  struct Acc {
    int32x4_t column[4];
  };
  using A = int16x4_t;
  struct B {
    int16x8_t low, high;  // columns 0 1 and 2 3
  };
  HONE_INLINE A load_a(const uint8_t* p) { return vreinterpret_s16_u16(vget_low_u16(vmovl_u8(load_four(p)))); }
  HONE_INLINE B load_b(const uint8_t* p) {
    const int8x16_t b = vld1q_s8(reinterpret_cast<const int8_t*>(p));
    return {vmovl_s8(vget_low_s8(b)), vmovl_s8(vget_high_s8(b))};
  }
  HONE_INLINE Acc step(Acc c, A a, B b) {
    return {{vmlal_s16(c.column[0], a, vget_low_s16(b.low)), vmlal_s16(c.column[1], a, vget_high_s16(b.low)),
             vmlal_s16(c.column[2], a, vget_low_s16(b.high)), vmlal_s16(c.column[3], a, vget_high_s16(b.high))}};
  }
  HONE_INLINE void keep(A&) {}
  HONE_INLINE void put(void* c, int64_t i, Acc v) {
    vst1q_s32(static_cast<int32_t*>(c) + i,
              vpaddq_s32(vpaddq_s32(v.column[0], v.column[1]), vpaddq_s32(v.column[2], v.column[3])));
  }
};

// 32 registers: 6 x 16 in f32; less where B is widened.
HONE_DENSE_TABLE_1(dense_f32, 6, true, HONE_T(DotF32, 1, 1), HONE_T(DotF32, 2, 1), HONE_T(DotF32, 3, 1),
                   HONE_T(DotF32, 4, 1), HONE_T(DotF32, 5, 1), HONE_T(DotF32, 6, 1))
HONE_DENSE_TABLE_1(dense_bf16, 4, false, HONE_T(DotBf16Wide, 1, 1), HONE_T(DotBf16Wide, 2, 1),
                   HONE_T(DotBf16Wide, 3, 1), HONE_T(DotBf16Wide, 4, 1))
HONE_DENSE_TABLE_1(dense_int8, 1, false, HONE_T(DotInt8, 1, 1))

}  // namespace hone::cpu::neon
