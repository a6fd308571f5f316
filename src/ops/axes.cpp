#include "ops/axes.hpp"

#include <algorithm>

#include "ops/indexing.hpp"
#include "ops/movement.hpp"

namespace hone {

std::optional<std::vector<Dimension>> known_elements(const InferCtx& ctx, size_t input) {
  if (auto c = ctx.content(input)) return c;
  const Tensor t = ctx.constant(input);
  if (!t || !is_integer(t.element_type()) || t.size() > 1024) return std::nullopt;
  std::vector<Dimension> out;
  for (int64_t n : t.to_ints()) out.emplace_back(n);  // negative: unknown
  return out;
}

PartialShape shape_of_rank(const PartialShape& list) {
  constexpr int64_t most = 1024;
  if (!list.rank_known() || list.rank() != 1 || list[0].is_dynamic() || list[0].get_length() > most)
    return PartialShape::dynamic();
  return PartialShape::dynamic(static_cast<size_t>(list[0].get_length()));
}

void pass_content(InferCtx& ctx, size_t from, size_t output) {
  if (auto c = known_elements(ctx, from)) ctx.set_content(output, std::move(*c));
}

Value shape_value(Builder& b, Value v) {
  if (v.shape().is_static()) return b.ints(v.shape().to_shape());
  return b(ShapeOf{}, v);
}

Value dimension_value(Builder& b, Value v, size_t axis) {
  if (v.shape().rank_known() && v.shape()[axis].is_static()) return b.ints({v.shape()[axis].get_length()});
  return b(Gather{}, b(ShapeOf{}, v), b.ints({static_cast<int64_t>(axis)}), b.scalar<int64_t>(0));
}

Value join(Builder& b, const Values& parts) {
  std::vector<int64_t> all;
  for (const Value& p : parts) {
    const Tensor t = p.constant();
    if (!t) return b(Concat{.axis = 0}, parts);
    for (int64_t n : t.to_ints()) all.push_back(n);
  }
  return b.ints(std::move(all));
}

}  // namespace hone
