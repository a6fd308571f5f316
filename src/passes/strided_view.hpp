// A tensor that lies inside of another one: what slices, transpositions, reshapes and gathers of single places leave of
// it.
#pragma once
#include <optional>
#include <vector>

#include "graph/builder.hpp"

namespace hone {

/// The shape of a tensor whose sizes are all known.
std::optional<Shape> static_shape(Value v);

/// A quantizer: x becomes clamp(round(x / step), low, high) * step; none where the step is 0.
struct Levels {
  double step = 0, low = 0, high = 0;
};
/// Of a FakeQuantize with one scale.
std::optional<Levels> levels_of(Node n);

struct StridedView {
  Value base;
  int64_t offset = 0;
  Shape dims;
  std::vector<int64_t> steps;
  double factor = 1;  ///< the elements are this times those of the base
  Levels levels;      ///< to which those of the base are rounded first
};

std::vector<int64_t> dense_steps(const Shape& s);
/// What v is of a tensor further back; behind quantizers too where `quantizers` says so.
StridedView view_of(Value v, bool quantizers);

}  // namespace hone
