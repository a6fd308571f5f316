// The training kernels for avx512; the flags are in CMakeLists.txt.
#define HONE_ISA avx512
#include "cpu/kernels/training/table.isa.hpp"

namespace hone::cpu::training {
extern const TrainingIsa avx512_table;
const TrainingIsa avx512_table = avx512::make_table("avx512");
}  // namespace hone::cpu::training
