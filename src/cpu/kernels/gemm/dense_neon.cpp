#define HONE_NS neon
#define HONE_LANES 4
#define HONE_EPILOGUE_NS neon
#include "cpu/kernels/gemm/neon_isa.hpp"
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

struct LaneF32 {
  static constexpr bool integer = false, ends_bf16 = false;
  using Acc = float32x4_t;
  HONE_INLINE uint8x16_t flipped(uint8x16_t a, uint8_t) { return a; }
  // Not vfmaq_laneq_f32: gcc 12 would copy each lane to a vector first, for which there are no registers.
  template <int LANE>
  HONE_INLINE Acc step(Acc c, uint8x16_t b, uint8x16_t a) {
    __asm__("fmla %0.4s, %1.4s, %2.s[%c3]" : "+w"(c) : "w"(b), "w"(a), "i"(LANE));
    return c;
  }
};

extern const DenseIsa dense_f32;
const DenseIsa dense_f32 = HONE_NEON_TABLE(lane_table, LaneF32);
// Less where B is widened.
HONE_DENSE_TABLE_1(dense_bf16, 4, false, HONE_T(DotBf16Wide, 1, 1), HONE_T(DotBf16Wide, 2, 1),
                   HONE_T(DotBf16Wide, 3, 1), HONE_T(DotBf16Wide, 4, 1))
HONE_DENSE_TABLE_1(dense_int8, 1, false, HONE_T(DotInt8, 1, 1))

}  // namespace hone::cpu::neon
