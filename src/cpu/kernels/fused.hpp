// Multiply-add with one rounding, for ISA files only (see simd.hpp). `a * b + c` gets there only where the compiler
// contracts it, which hangs on the level of optimization and on the code around it: copies of a loop would differ in
// their last bits, and so would threads that share rows differently.
#pragma once
#include "cpu/kernels/simd.hpp"

namespace hone::cpu::HONE_NS {

#if HONE_LANES == 16
HONE_INLINE vf fused(vf a, vf b, vf c) {
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
#elif HONE_LANES == 8
HONE_INLINE vf fused(vf a, vf b, vf c) {
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
#else
HONE_INLINE vf fused(vf a, vf b, vf c) {
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
#endif
HONE_INLINE vf fused(float a, vf b, vf c) {
  return fused(set1(a), b, c);
}

}  // namespace hone::cpu::HONE_NS
