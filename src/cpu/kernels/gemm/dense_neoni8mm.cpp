#define HONE_NS neoni8mm
#define HONE_LANES 4
#include "cpu/kernels/gemm/neon_isa.hpp"

namespace hone::cpu::neoni8mm {

// Eight products a lane, exact in 32 bits: u8 x s8, or both signed.
struct DotInt8 {
  static constexpr bool integer = true, ends_bf16 = false;
  using Acc = int32x4_t;
  HONE_INLINE Acc step(Acc c, uint8x16_t a, uint8x16_t b) { return vusmmlaq_s32(c, a, vreinterpretq_s8_u8(b)); }
};
struct DotSigned : DotInt8 {
  HONE_INLINE Acc step(Acc c, uint8x16_t a, uint8x16_t b) {
    return vmmlaq_s32(c, vreinterpretq_s8_u8(a), vreinterpretq_s8_u8(b));
  }
};

static constexpr DenseIsa dense_s8 = HONE_NEON_TABLE(pair_table, DotSigned);
extern const DenseIsa dense_int8;
const DenseIsa dense_int8 = with_signed(HONE_NEON_TABLE(pair_table, DotInt8), &dense_s8);

}  // namespace hone::cpu::neoni8mm
