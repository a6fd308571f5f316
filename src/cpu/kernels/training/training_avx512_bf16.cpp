// The training kernels for avx512_bf16; the flags are in CMakeLists.txt.
#define HONE_ISA avx512_bf16
#include "cpu/kernels/training/table.isa.hpp"

namespace hone::cpu::training {
extern const TrainingIsa avx512_bf16_table;
const TrainingIsa avx512_bf16_table = avx512_bf16::make_table("avx512_bf16");
}  // namespace hone::cpu::training
