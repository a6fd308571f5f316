// A tensor as lines along one of its axes.
#pragma once
#include <cstdint>
#include <optional>

#include "hone/shape.hpp"

namespace hone::cpu {

/// A line: n elements that lie `inner` apart; `outer` times `inner` lines.
struct Lines {
  int64_t outer = 1, n = 1, inner = 1;
};
/// None where the axis lies outside of the shape; negative axes count from the end.
inline std::optional<Lines> lines_of(const Shape& shape, int64_t axis) {
  const auto rank = int64_t(shape.size());
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return std::nullopt;
  Lines l;
  for (int64_t i = 0; i < rank; ++i) (i < axis ? l.outer : i == axis ? l.n : l.inner) *= shape[size_t(i)];
  return l;
}

}  // namespace hone::cpu
