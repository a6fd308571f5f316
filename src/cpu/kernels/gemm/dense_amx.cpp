#define HONE_NS amx
#include "cpu/kernels/gemm/amx_tiles.hpp"
// What the loops below are made of comes first.
#include "cpu/kernels/gemm/amx_isa.hpp"

namespace hone::cpu::amx {

HONE_AMX_TABLE(dense_bf16, true, avx512)
HONE_AMX_TABLE(dense_int8, false, avx512)

}  // namespace hone::cpu::amx
