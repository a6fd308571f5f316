// Fourier transforms of lines side by side, as plain data for ISA files.
#pragma once
#include <stdint.h>

namespace hone::cpu {

inline constexpr int fourier_lanes = 8;  ///< complex lines that are transformed at a time

/// One pass over a line: `left` groups of sums of `radix` numbers; results of earlier passes lie `stride` side by side.
struct FourierStage {
  int64_t radix, left, stride;
};
struct FourierView {
  int64_t n;
  const FourierStage* stages;
  int64_t num_stages;
  const double* turns;  ///< cos and sin of -2 pi k / n for k < n, in turns
};

#define HONE_SPECTRAL_ISA(ISA)                                                                                   \
  namespace ISA {                                                                                                \
  /* Transforms the lines in `a`: n times the real parts of all lanes, then their imaginary ones. `b` is scratch \
     of the same size; the result lies in the block that is returned. */                                         \
  double* fourier_lines(const FourierView& f, double* a, double* b);                                             \
  }
HONE_SPECTRAL_ISA(avx2)
HONE_SPECTRAL_ISA(avx512)
HONE_SPECTRAL_ISA(neon)
#undef HONE_SPECTRAL_ISA

}  // namespace hone::cpu
