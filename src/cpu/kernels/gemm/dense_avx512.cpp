#define HONE_NS avx512
#define HONE_LANES 16
#define HONE_EPILOGUE_NS avx512
#include "cpu/kernels/gemm/tile_isa.hpp"

namespace hone::cpu::avx512 {

HONE_DENSE_TABLE_32(dense_f32, DotF32)
// No bf16 instructions: 12 accumulators and the widened halves of B.
extern const DenseIsa dense_bf16;
const DenseIsa dense_bf16 = {
    {{HONE_T(DotBf16Wide, 1, 1), HONE_T(DotBf16Wide, 2, 1), HONE_T(DotBf16Wide, 3, 1), HONE_T(DotBf16Wide, 4, 1),
      HONE_T(DotBf16Wide, 5, 1), HONE_T(DotBf16Wide, 6, 1), HONE_T(DotBf16Wide, 7, 1), HONE_T(DotBf16Wide, 8, 1)},
     {HONE_T(DotBf16Wide, 1, 2), HONE_T(DotBf16Wide, 2, 2), HONE_T(DotBf16Wide, 3, 2), HONE_T(DotBf16Wide, 4, 2),
      HONE_T(DotBf16Wide, 5, 2), HONE_T(DotBf16Wide, 6, 2), HONE_T(DotBf16Wide, 7, 2), HONE_T(DotBf16Wide, 8, 2)}},
    {8, 8, 0, 0},
    2,
    epilogue_tile,
    f32_to_bf16,
    bf16_to_f32,
    f16_to_f32,
    nullptr,
    nullptr};

}  // namespace hone::cpu::avx512
