// Depthwise convolution of bytes by dot products down the columns, as plain data for ISA files.
//
// One 32-bit lane holds a channel of one column in four rows ("dword"). A product with four weights (vpdpbusd) then
// covers a column of the window; each dword serves all taps of a row, and two rows of results where four rows of inputs
// reach that far. Dwords come out of byte and word interleaving within 128 bits: of a vector with four units of 16
// channels, quarter k has channels 4k to 4k + 3 of each unit. Packing results reverses that for free. Where fewer than
// 33 channels remain, the units of a vector are those of 2 or 4 neighbouring results.
#pragma once
#include <stdint.h>

#include "cpu/kernels/epilogue_view.hpp"

namespace hone::cpu {

/// Units of a vector that belong to one result where `left` channels remain: 4, 2 or 1.
static constexpr int dots_units(int64_t left) {
  return left > 32 ? 4 : left > 16 ? 2 : 1;
}

/// Room for the dwords of a strip of results.
constexpr int64_t dots_bytes = 20 * 1024;

struct DotsView {
  const uint8_t* x;
  uint8_t flip;     ///< 0x80 makes signed bytes unsigned
  uint8_t outside;  ///< what lies outside of the image, as stored
  /// For each block of units: for each quarter 16 x i32 that sums begin with, then for each group of four rows, each
  /// tap of a row and each row of results 16 x 4 weights.
  const uint8_t* w;
  /// For each block and quarter 16 scales and 16 offsets, with what sums begin with; null: results go through tiles.
  const float* factors;
  int64_t channels, in_h, in_w, out_h, out_w;
  int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int64_t pad_top, pad_left;
  bool slides;    ///< windows 3 wide, at most 3 high, stride 1 or 2
  int rows;       ///< of results at a time, 1 or 2
  int groups;     ///< of four rows of inputs
  int planes;     ///< columns by remainder of the stride
  int64_t reach;  ///< columns of a plane that a strip needs beyond its results
  int64_t strip;  ///< results side by side
  const EpilogueView* epilogue;
  EpilogueFn finish;
};

namespace avx512vnni {
/// Rows of results from `y` on, one or two of them.
void depthwise_dots(const DotsView& d, int64_t image, int64_t y);
}  // namespace avx512vnni

}  // namespace hone::cpu
