#include "cpu/kernels/training/isa.hpp"

#include "cpu/features.hpp"

namespace hone::cpu::training {

#if defined(__x86_64__)
extern const TrainingIsa avx512_bf16_table, avx512_table, avx2_table;
#endif

const TrainingIsa* training_isa(int index) {
#if defined(__x86_64__)
  const Features& f = features();
  switch (index) {
    case 0:
      return f.avx512 && f.avx512_bf16 ? &avx512_bf16_table : nullptr;
    case 1:
      return f.avx512 ? &avx512_table : nullptr;
    case 2:
      return f.avx2 ? &avx2_table : nullptr;
    default:
      return nullptr;
  }
#else
  (void)index;
  return nullptr;
#endif
}

const char* lacking(int index) {
  constexpr const char* text[kIsaCount] = {"the CPU has no avx512_bf16", "the CPU has no avx512",
                                           "the CPU has no avx2"};
  return text[index];
}

}  // namespace hone::cpu::training
