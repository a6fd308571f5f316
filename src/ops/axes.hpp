// Axes that count from either end, and shapes as values, for the operator families.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "graph/builder.hpp"
#include "graph/contexts.hpp"

namespace hone {

/// `axis` in [0, rank), where negative ones count from the end. Fails through the context (InferCtx or EvalCtx).
template <class Ctx>
size_t axis_of(const Ctx& ctx, int64_t axis, size_t rank) {
  const auto r = static_cast<int64_t>(rank);
  if (axis < -r || axis >= r) ctx.fail("axis " + std::to_string(axis) + " is outside of rank " + std::to_string(rank));
  return static_cast<size_t>(axis < 0 ? axis + r : axis);
}
template <class Ctx>
std::vector<size_t> axes_of(const Ctx& ctx, const std::vector<int64_t>& axes, size_t rank) {
  std::vector<size_t> out;
  for (int64_t a : axes) out.push_back(axis_of(ctx, a, rank));
  return out;
}

/// Elements of an integer input as far as known; unknown ones, and those that are negative, are unknown dimensions.
std::optional<std::vector<Dimension>> known_elements(const InferCtx& ctx, size_t input);

/// The shape of as many unknown dimensions as a list of known length has elements; of unknown rank where that is not
/// known, and beyond the axes that any tensor has.
PartialShape shape_of_rank(const PartialShape& list);

/// The same elements in another shape: what is known of input `from` is known of the output.
void pass_content(InferCtx& ctx, size_t from = 0, size_t output = 0);

/// The shape of a value as an i64 tensor: a constant where it is static.
Value shape_value(Builder& b, Value v);
/// One dimension of a value as an i64 tensor of shape [1].
Value dimension_value(Builder& b, Value v, size_t axis);
/// An i64 tensor of rank 1 from its parts: a constant where all are, else their concatenation.
Value join(Builder& b, const Values& parts);

}  // namespace hone
