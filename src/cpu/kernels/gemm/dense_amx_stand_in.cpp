#define HONE_NS amx_stand_in
#if defined(__x86_64__)
#define HONE_STAND_IN_EPILOGUE avx2
#else
#define HONE_STAND_IN_EPILOGUE neon
#endif
#include "cpu/kernels/gemm/amx_stand_in_tiles.hpp"
// What the loops below are made of comes first.
#include "cpu/kernels/gemm/amx_isa.hpp"

namespace hone::cpu::amx_stand_in {

HONE_AMX_TABLE(dense_bf16, true, HONE_STAND_IN_EPILOGUE)
HONE_AMX_TABLE(dense_int8, false, HONE_STAND_IN_EPILOGUE)

}  // namespace hone::cpu::amx_stand_in
