#define HONE_NS neondot
#define HONE_LANES 4
#include "cpu/kernels/gemm/neon_isa.hpp"
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

// The same for who knows the sums of B anyhow and puts them right himself: no product is spent on them.
struct DotSigned {
  static constexpr bool integer = true, ends_bf16 = false;
  using Acc = int32x4_t;
  HONE_INLINE uint8x16_t flipped(uint8x16_t a, uint8_t flip) { return veorq_u8(a, vdupq_n_u8(flip)); }
  template <int LANE>
  HONE_INLINE Acc step(Acc c, uint8x16_t b, uint8x16_t a) {
    return vdotq_laneq_s32(c, vreinterpretq_s8_u8(b), vreinterpretq_s8_u8(a), LANE);
  }
};

static constexpr DenseIsa dense_s8 = HONE_NEON_TABLE(lane_table, DotSigned);
static constexpr DenseIsa dense_u8 = {
    {{HONE_T(DotInt8, 1, 1), HONE_T(DotInt8, 2, 1), HONE_T(DotInt8, 3, 1), HONE_T(DotInt8, 4, 1)}},
    {4, 0, 0, 0},
    1,
    neon::epilogue_tile,
    neon::f32_to_bf16,
    neon::bf16_to_f32,
    neon::f16_to_f32,
    nullptr,
    nullptr};
extern const DenseIsa dense_int8;
const DenseIsa dense_int8 = with_signed(dense_u8, &dense_s8);

}  // namespace hone::cpu::neondot
