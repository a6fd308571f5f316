// Shared by binary.cpp and compare.cpp: inference and samples of operators that broadcast two tensors.
#pragma once
#include <optional>

#include "ops/attributes.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"

namespace hone {

/// What is known of an operand of shape arithmetic: dimensions where nothing is negative, exact numbers where all are
/// known.
struct Known {
  std::optional<std::vector<Dimension>> dims;
  std::optional<std::vector<int64_t>> numbers;
  size_t size() const { return numbers ? numbers->size() : dims->size(); }
  explicit operator bool() const { return dims || numbers; }
};
Known known_content(const InferCtx& ctx, size_t input);

/// Shape of the broadcast of inputs `a` and `b`; the error names both shapes.
PartialShape broadcast_inputs(InferCtx& ctx, AutoBroadcast rule, const PartialShape& a, const PartialShape& b);
/// One output of the common element type, or of `result` where that is given.
Types infer_binary(InferCtx& ctx, AutoBroadcast rule, ElementType result = ElementType::dynamic);
/// The broadcast shape of inputs 0 and 1; refuses different element types.
Shape broadcast_operands(const EvalCtx& ctx, AutoBroadcast rule);

/// Equal shapes, a scalar, both sides expanding, a size of zero.
template <class Op>
Samples broadcast_samples(Op op, double low = -1, double high = 1) {
  Sample empty = sample(op, {random_tensor({2, 0}, 1), random_tensor({1}, 2)});
  return {sample(op, {random_tensor({2, 3}, 3, low, high), random_tensor({2, 3}, 4, low, high)}),
          sample(op, {random_tensor({2, 3, 2}, 5, low, high), random_tensor({}, 6, low, high)}),
          sample(op, {random_tensor({2, 1, 3}, 7, low, high), random_tensor({4, 1}, 8, low, high)}),
          sample(op, {random_tensor({3}, 9, low, high, ElementType::f64),
                      random_tensor({2, 3}, 10, low, high, ElementType::f64)}),
          empty};
}

}  // namespace hone
