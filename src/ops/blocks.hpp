// Blocks of space in the batch or in columns, and shifts.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: data, block shape, crops begin, crops end (one number an axis; those of axis 0 are 1 and 0). Moves blocks of
/// the batch into space.
struct BatchToSpace {
  HONE_OP("BatchToSpace") HONE_EXPAND HONE_GRAD
};
/// The inverse. Inputs: data, block shape, pads begin, pads end.
struct SpaceToBatch {
  HONE_OP("SpaceToBatch") HONE_EXPAND HONE_GRAD
};
/// Adds patches back into an image. Inputs: data [N, C * kernel elements, positions], output size, kernel size. Output:
/// [N, C, spatial...].
struct Col2Im {
  std::vector<int64_t> strides{};
  std::vector<int64_t> dilations{};
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  static void fields(auto& o, auto&& f) {
    f("strides", o.strides);
    f("dilations", o.dilations);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
  }
  HONE_OP("Col2Im") HONE_NO_GRAD("its gradient, the extraction of patches, is not offered")
};
/// Shifts along axes; what leaves at one end comes in at the other. Inputs: data, shift, axes (of equal length; an axis
/// may be named twice).
struct Roll {
  HONE_OP("Roll") HONE_GRAD
};

}  // namespace hone
