#include "passes/facts.hpp"

#include <algorithm>

#include "ops/basic.hpp"
#include "ops/movement.hpp"

namespace hone {

std::optional<std::vector<int64_t>> known_ints(Value v) {
  if (!v) return std::nullopt;
  if (const Tensor t = v.constant()) {
    if (!is_integer(t.element_type()) || t.size() > 65536) return std::nullopt;
    return t.to_ints();
  }
  const auto& content = v.graph->value(v.id).content;
  if (!content) return std::nullopt;
  std::vector<int64_t> out;
  for (const Dimension& d : *content) {
    if (d.is_dynamic()) return std::nullopt;
    out.push_back(d.min());
  }
  return out;
}

std::optional<double> splat_value(Value v) {
  const Tensor t = v ? v.constant() : Tensor();
  if (!t || t.element_type() == ElementType::string || t.size() == 0 || t.size() > 65536) return std::nullopt;
  const double first = get_element(t, 0);
  for (size_t i = 1; i < t.size(); ++i) {
    if (get_element(t, i) != first) return std::nullopt;
  }
  return first;
}

bool same_shape(const PartialShape& a, const PartialShape& b) {
  if (!a.rank_known() || !b.rank_known() || a.rank() != b.rank()) return false;
  for (size_t i = 0; i < a.rank(); ++i) {
    if (!a[i].same(b[i])) return false;
  }
  return true;
}

bool same_type(Value a, Value b) {
  const Type &x = a.type(), &y = b.type();
  return x.is_tensor() && y.is_tensor() && x.element == y.element && x.layout == y.layout &&
         same_shape(x.shape, y.shape) &&
         (x.quantization == y.quantization || (x.quantization && y.quantization && *x.quantization == *y.quantization));
}

std::optional<std::vector<int64_t>> positive_axes(const std::vector<int64_t>& axes, const PartialShape& shape) {
  if (!shape.rank_known()) return std::nullopt;
  const auto rank = static_cast<int64_t>(shape.rank());
  std::vector<int64_t> out;
  for (int64_t a : axes) {
    if (a < -rank || a >= rank) return std::nullopt;
    out.push_back(a < 0 ? a + rank : a);
  }
  return out;
}

bool is_identity(const std::vector<int64_t>& order) {
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

bool spreads_along(Value v, const PartialShape& to, size_t axis) {
  const PartialShape s = v.shape();
  if (!s.is_static() || !to.rank_known() || s.rank() > to.rank() || axis >= to.rank()) return false;
  const size_t lead = to.rank() - s.rank();
  for (size_t i = 0; i < s.rank(); ++i) {
    if (s[i] == Dimension(1)) continue;
    if (i + lead != axis || !to[axis].is_static() || to[axis] != s[i]) return false;
  }
  return true;
}

Value on_axis(Builder& b, Value v, size_t axis, size_t rank) {
  const Shape have = v.shape().to_shape();
  Shape want(rank, 1);
  if (axis < rank) want[axis] = element_count(have);
  if (have == want) return v;
  return b(Reshape{}, v, b.ints(want));
}

}  // namespace hone
