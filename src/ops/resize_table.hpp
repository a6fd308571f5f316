// How Interpolate makes each element of an axis from those of the data.
#pragma once
#include <vector>

#include "ops/resize.hpp"

namespace hone {

struct Tap {
  int64_t at;
  double weight;
};
/// One axis: weights of the elements that each position of the result is made of.
struct AxisTable {
  size_t axis = 0;
  std::vector<std::vector<Tap>> taps;  // of each output position; empty: outside of the region of interest
};

/// One axis to resize.
struct AxisSize {
  size_t axis;
  int64_t in, out;
  float scale;  // out / in, or what was given
  float roi_begin = 0, roi_end = 1;
};

AxisTable table_of(const Interpolate& op, const AxisSize& s);

}  // namespace hone
