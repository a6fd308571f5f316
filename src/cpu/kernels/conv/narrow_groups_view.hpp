// Convolutions in groups of few channels as plain data for ISA files.
#pragma once
#include <stdint.h>

namespace hone::cpu {

/// Results side by side that a call gives at most.
constexpr int narrow_pixels = 8;

/// Windows of neighbouring results over channels-last pixels. Steps are in elements.
struct NarrowGroupsView {
  const void* x;  ///< the first tap of the first result; need not be there
  const void* w;  ///< that of the first 16 channels, as packed
  int64_t row_step, tap_step, pixel_step;
  int64_t w_row, w_block;  ///< between rows of taps, between blocks of 16 channels
  int ny;
  int slide;        ///< 1 or 2: that stride with windows 3 wide without dilation, always narrow_pixels; 0: others
  int first, last;  ///< inputs of all windows (slide), or taps of each, that are there: [first, last)
  int pixels;       ///< narrow_pixels or 1
  int blocks;       ///< of 16 channels, up to 4
  float* acc;       ///< rows of 64
};

/// `group`: channels in and out, 4 or 8; of bf16 also 16.
namespace avx512 {
void narrow_groups(const NarrowGroupsView& v, int group);
}
namespace avx512bf16 {
void narrow_groups(const NarrowGroupsView& v, int group);
}

}  // namespace hone::cpu
