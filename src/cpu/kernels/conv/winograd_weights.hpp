// Transformed weights of Winograd's convolution as a packed form.
//
//   in f32     [product][column/16][channel][16]
//   in words   [product][column/16][channel/2, padded to 16][16][2] of 16 bits, then [product][columns padded to 16]
//   f32
//
//
// Words of integer weights are exact: G without its denominators, which the f32 behind the words make up for. Only
// where sums could leave 32 bits, the words of that product and column are halved until they cannot.
//
// Words of others are integers: the largest scale for each product and column with which no sum over the channels can
// leave 32 bits, whatever the transformed pixels, whose largest is most_word(channels). The f32 behind them is what a
// sum of products times the scale of the pixels is worth.
#pragma once
#include <cstdint>

#include "cpu/kernels/gemm/packed_b.hpp"

namespace hone::cpu {

struct WinogradWeights {
  int m = 4;           ///< F(m x m, 3x3): 4 or 2
  bool words = false;  ///< m = 4 only
  int64_t columns = 0, channels = 0;

  PackedB panels() const;
  int64_t scale_step() const { return (columns + 15) / 16 * 16; }
  int64_t scales_offset() const { return int64_t(panels().bytes()); }
  int64_t bytes() const;
  /// The level of the largest transformed pixel of a tile: pixels and weights then lose about as much to rounding.
  float most_word() const;
  /// From weights [column][channel][3][3].
  void pack(const float* from, uint8_t* to) const;
  void pack(const int8_t* from, uint8_t* to) const;
};

}  // namespace hone::cpu
