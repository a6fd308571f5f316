// What passes ask about values: contents, shapes, how an operand spreads over a result.
#pragma once
#include <optional>
#include <vector>

#include "graph/builder.hpp"

namespace hone {

/// The elements of an integer value that is constant or known from shape arithmetic.
std::optional<std::vector<int64_t>> known_ints(Value v);
/// The one number of a constant whose elements are all equal.
std::optional<double> splat_value(Value v);
/// Are both shapes surely the same?
bool same_shape(const PartialShape& a, const PartialShape& b);
/// Same element type, layout, quantization and surely the same shape.
bool same_type(Value a, Value b);
/// `axes` (negative ones count from the end) as positive numbers; nullopt where the rank is unknown or one is out of
/// range.
std::optional<std::vector<int64_t>> positive_axes(const std::vector<int64_t>& axes, const PartialShape& shape);
bool is_identity(const std::vector<int64_t>& order);

/// Does `v` broadcast over a value of shape `to` along `axis` alone: one element, or one per index of the axis?
bool spreads_along(Value v, const PartialShape& to, size_t axis);
/// Such a value reshaped to `rank` dimensions with its elements on `axis`; a single element becomes a scalar of that
/// rank.
Value on_axis(Builder& b, Value v, size_t axis, size_t rank);

}  // namespace hone
