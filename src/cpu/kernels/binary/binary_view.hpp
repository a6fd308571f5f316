// Convolutions of signs by counting different bits, as plain data for ISA files.
#pragma once
#include <stdint.h>

#include "cpu/kernels/epilogue_view.hpp"

namespace hone::cpu {

/// A pixel of x is `words` of 32 signs, channels from the lowest bit on. Weights: [panels][taps][words][16 columns].
/// Gives to[row * ld + column] = base - 2 * (number of different bits) for `rows` pixels `pixel_step` words apart.
struct BinaryTile {
  const uint32_t* x;
  int64_t pixel_step;
  const int64_t* taps;  ///< offsets in words
  int64_t num_taps, words;
  const uint32_t* weights;
  int64_t panel_words;  ///< from panel to panel
  float base;
  float* to;
  int64_t ld;
};

constexpr int binary_most_rows = 7, binary_most_panels = 4;

struct BinaryIsa {
  void (*tile[binary_most_rows][binary_most_panels])(const BinaryTile&);  ///< by rows and panels, less one
  int rows, panels;                                                       ///< most of them
  /// Signs of `pixels` pixels of `channels` numbers that lie one after the other: x > 0 is 1.
  void (*signs)(const void* x, Num type, int64_t pixels, int64_t channels, uint32_t* to);
};

#define HONE_BINARY_ISA(ISA)     \
  namespace ISA {                \
  extern const BinaryIsa binary; \
  }
HONE_BINARY_ISA(avx2)
HONE_BINARY_ISA(avx512popcnt)
HONE_BINARY_ISA(neon)
#undef HONE_BINARY_ISA

}  // namespace hone::cpu
