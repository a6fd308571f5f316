// The training kernels for avx2; the flags are in CMakeLists.txt.
#define HONE_ISA avx2
#include "cpu/kernels/training/table.isa.hpp"

namespace hone::cpu::training {
extern const TrainingIsa avx2_table;
const TrainingIsa avx2_table = avx2::make_table("avx2");
}  // namespace hone::cpu::training
