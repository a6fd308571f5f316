#include "ops/movement.hpp"

#include "ops/family.hpp"

namespace hone {

Types ShapeOf::infer(InferCtx& ctx) const {
  const PartialShape& s = ctx.shape(0);
  if (!s.rank_known()) return {Type(output_type, PartialShape::dynamic(1))};
  ctx.set_content(0, s.dims());
  return {Type(output_type, PartialShape{static_cast<int64_t>(s.rank())})};
}
void ShapeOf::eval(EvalCtx& ctx) const {
  const Shape& s = ctx.datum(0).tensor().shape();
  Tensor t = ctx.output(0, output_type, {static_cast<int64_t>(s.size())});
  for (size_t i = 0; i < s.size(); ++i) set_integer(t, i, s[i]);
}
Samples ShapeOf::samples() { return {sample(ShapeOf{}, {random_tensor({2, 3}, 1)}, {int_tensor({2, 3})}), sample(ShapeOf{}, {random_tensor({}, 1)})}; }
HONE_DEFINE_OP(ShapeOf)

Types SumToShape::infer(InferCtx& ctx) const {
  if (const auto target = ctx.content(1)) return {Type(ctx.element(0), PartialShape(*target))};
  return {Type(ctx.element(0), PartialShape::dynamic())};
}
void SumToShape::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const Shape target = ctx.input(1).to_ints();
  const Shape& from = x.shape();
  if (target.size() > from.size()) ctx.fail("target of higher rank than the data");
  Tensor y = ctx.output(0, x.element_type(), target);
  const size_t lead = from.size() - target.size();
  std::vector<double> sums(y.size(), 0);
  for (size_t i = 0; i < x.size(); ++i) {
    size_t rest = i, to = 0, stride = 1;
    for (size_t k = from.size(); k-- > 0;) {
      const size_t at = rest % static_cast<size_t>(from[k]);
      rest /= static_cast<size_t>(from[k]);
      if (k < lead) continue;
      if (target[k - lead] != 1) to += at * stride;
      if (target[k - lead] != 1 && target[k - lead] != from[k]) ctx.fail("data " + to_string(from) + " was not broadcast from " + to_string(target));
      stride *= static_cast<size_t>(target[k - lead]);
    }
    sums[to] += get_element(x, i);
  }
  for (size_t i = 0; i < sums.size(); ++i) set_element(y, i, sums[i]);
}
void SumToShape::grad(GradCtx& ctx) const { ctx.set(0, ctx.b(Broadcast{}, ctx.dout(), ctx.b(ShapeOf{}, ctx.input(0)))); }
Samples SumToShape::samples() {
  Sample s = sample(SumToShape{}, {random_tensor({2, 3, 4}, 1), int_tensor({3, 1})});
  return {s, sample(SumToShape{}, {random_tensor({2, 3}, 2), int_tensor({})})};
}
HONE_DEFINE_OP(SumToShape)

Types Broadcast::infer(InferCtx& ctx) const {
  const auto target = ctx.content(1);
  if (!target) return {Type(ctx.element(0), PartialShape::dynamic())};
  PartialShape shape(*target);
  if (mode == BroadcastMode::bidirectional) shape = broadcast(ctx.shape(0), shape);
  return {Type(ctx.element(0), shape)};
}
void Broadcast::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Shape target = ctx.input(1).to_ints();
  if (mode == BroadcastMode::bidirectional) target = broadcast(x.shape(), target);
  // Which output axis each data axis lands on.
  std::vector<int64_t> axes;
  if (mode == BroadcastMode::explicit_) {
    if (!ctx.has(2)) ctx.fail("explicit mode wants an axes mapping");
    axes = ctx.input(2).to_ints();
  } else {
    for (size_t k = 0; k < x.rank(); ++k) axes.push_back(static_cast<int64_t>(target.size() - x.rank() + k));
  }
  if (axes.size() != x.rank() || x.rank() > target.size()) ctx.fail("cannot broadcast " + to_string(x.shape()) + " to " + to_string(target));
  std::vector<size_t> stride(target.size(), 0);
  size_t step = 1;
  for (size_t k = x.rank(); k-- > 0;) {
    const auto a = static_cast<size_t>(axes[k]);
    if (a >= target.size() || (x.shape()[k] != 1 && x.shape()[k] != target[a])) ctx.fail("cannot broadcast " + to_string(x.shape()) + " to " + to_string(target));
    if (x.shape()[k] != 1) stride[a] = step;
    step *= static_cast<size_t>(x.shape()[k]);
  }
  Tensor y = ctx.output(0, x.element_type(), target);
  const bool integer = is_integer(x.element_type());
  for (size_t i = 0; i < y.size(); ++i) {
    size_t rest = i, from = 0;
    for (size_t k = target.size(); k-- > 0;) {
      from += rest % static_cast<size_t>(target[k]) * stride[k];
      rest /= static_cast<size_t>(target[k]);
    }
    if (x.element_type() == ElementType::string) y.strings()[i] = x.strings()[from];
    else if (integer) set_integer(y, i, get_integer(x, from));
    else set_element(y, i, get_element(x, from));
  }
}
void Broadcast::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.unbroadcast(ctx.dout(), 0));
}
Samples Broadcast::samples() {
  return {sample(Broadcast{}, {random_tensor({3, 1}, 1), int_tensor({2, 3, 4})}), sample(Broadcast{BroadcastMode::bidirectional}, {random_tensor({3, 2}, 1), int_tensor({4, 1, 1})})};
}
HONE_DEFINE_OP(Broadcast)

}  // namespace hone
