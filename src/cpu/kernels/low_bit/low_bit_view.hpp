// Products with weights of 4 or 8 bits that are read as they are stored, as plain data for ISA files.
//
// Integers times integers: an activation becomes a fixed-point number with 2 or 3 digits of base 256, relative to the
// largest one of its group; each digit is multiplied with the weights in 32-bit sums (vpdpbusd or sdot where the CPU
// has it), which are exact. Three digits (24 bits) are as fine as f32 itself; two (16 bits) serve where bf16 (8 bits)
// is allowed.
#pragma once
#include <stdint.h>

#include "cpu/kernels/epilogue_view.hpp"

namespace hone::cpu {

/// One panel of 16 columns for some rows. Packed weights: [groups][steps][64 or 128 bytes]; a step is 8 neighbours
/// along K for 16 columns: bytes [16][4] of the first four and [16][4] of the last four, as halves of bytes the first
/// four are the low ones. All weights are unsigned.
struct LowBitArgs {
  const uint8_t* weights;
  const void* scales;    ///< [groups][16], f16 or f32
  const uint8_t* zeros;  ///< [groups][16]; null: all are `zero`
  float zero;
  bool scales_f16;
  int64_t groups, steps;  ///< steps of a group
  // x as `low_bit_digits` made it, for the same rows
  const int8_t* digits;  ///< [groups][steps][2][rows][digits][4]
  const float* x_scale;  ///< [groups][rows]
  const float* x_sum;    ///< [groups][rows], of the fixed-point numbers
  float* out;            ///< [rows][ld]
  int64_t ld;
};

/// One row of x to digits.
struct LowBitRow {
  const void* x;
  Num type;
  int64_t depth, group, steps;  ///< elements; elements of a group; steps of a group
  int rows, row;                ///< of the tile, and which one this is
  int8_t* digits;               ///< of the tile
  float* x_scale;
  float* x_sum;
};

struct LowBitIsa {
  /// By bits (4, 8), digits (2, 3) and rows, less one; null beyond `rows`.
  void (*panel[2][2][8])(const LowBitArgs&);
  int rows[2];  ///< by digits: rows of x that share a load of the weights, as many as there are registers for their
                ///< sums
  void (*digits[2])(const LowBitRow&);
};

#define HONE_LOW_BIT_ISA(ISA)     \
  namespace ISA {                 \
  extern const LowBitIsa low_bit; \
  }
HONE_LOW_BIT_ISA(avx2)
HONE_LOW_BIT_ISA(avx512)
HONE_LOW_BIT_ISA(avx512vnni)
HONE_LOW_BIT_ISA(neon)
HONE_LOW_BIT_ISA(neondot)
#undef HONE_LOW_BIT_ISA

}  // namespace hone::cpu
