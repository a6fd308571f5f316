#define HONE_NS neonbf16
#define HONE_LANES 4
#include "cpu/kernels/gemm/neon_isa.hpp"

namespace hone::cpu::neonbf16 {

// bfmmla: four products a lane. As the Arm manual has it (BFMatMulAdd without FPCR.EBF), a lane adds the sums of two
// products each, one after the other: three roundings a pair, all to odd, so each is off by less than a unit of the
// last place instead of a half, and numbers below 2^-126 count as zero.
struct DotBf16 {
  static constexpr bool integer = false, ends_bf16 = true;
  using Acc = float32x4_t;
  HONE_INLINE Acc step(Acc c, uint8x16_t a, uint8x16_t b) {
    return vbfmmlaq_f32(c, vreinterpretq_bf16_u8(a), vreinterpretq_bf16_u8(b));
  }
};

extern const DenseIsa dense_bf16;
const DenseIsa dense_bf16 = HONE_NEON_TABLE(pair_table, DotBf16);

}  // namespace hone::cpu::neonbf16
