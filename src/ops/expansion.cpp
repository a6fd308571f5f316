// Operators that repeat elements, and the sum that undoes it: Broadcast, SumToShape, Tile.
#include <algorithm>

#include "ops/axes.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"
#include "ops/strided_copy.hpp"

namespace hone {
namespace {

// Adds x into `sums`, where target axes of size 1 (and missing leading ones) absorb all indices.
template <class T>
void sum_into(const Tensor& x, const Shape& target, std::vector<double>& sums) {
  const Shape& from = x.shape();
  const size_t lead = from.size() - target.size();
  const auto to_strides = strides_of(target);
  std::vector<int64_t> step(from.size(), 0);
  for (size_t k = lead; k < from.size(); ++k) step[k] = target[k - lead] == 1 ? 0 : to_strides[k - lead];
  const T* data = x.data<T>();
  std::vector<int64_t> at(from.size(), 0);
  int64_t to = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sums[static_cast<size_t>(to)] += static_cast<double>(data[i]);
    for (size_t k = from.size(); k-- > 0;) {
      to += step[k];
      if (++at[k] < from[k]) break;
      to -= step[k] * from[k];
      at[k] = 0;
    }
  }
}

}  // namespace

Types SumToShape::infer(InferCtx& ctx) const {
  if (const auto target = ctx.content(1)) return {Type(ctx.element(0), PartialShape(*target))};
  return {Type(ctx.element(0), shape_of_rank(ctx.shape(1)))};
}
void SumToShape::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const Shape target = ctx.input(1).to_ints();
  const size_t lead = x.rank() - target.size();
  bool fits = target.size() <= x.rank();
  for (size_t k = 0; fits && k < target.size(); ++k) fits = target[k] == 1 || target[k] == x.shape()[lead + k];
  if (!fits) ctx.fail("data " + to_string(x.shape()) + " was not broadcast from " + to_string(target));
  Tensor y = ctx.output(0, x.element_type(), target);
  std::vector<double> sums(y.size(), 0);
  if (x.element_type() == ElementType::f32) {
    sum_into<float>(x, target, sums);
  } else {
    const Tensor wide = x.converted(ElementType::f64);
    sum_into<double>(wide, target, sums);
  }
  for (size_t i = 0; i < sums.size(); ++i) set_element(y, i, sums[i]);
}
void SumToShape::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.b(Broadcast{}, ctx.dout(), shape_value(ctx.b, ctx.input(0))));
}
Samples SumToShape::samples() {
  return {sample(SumToShape{}, {random_tensor({2, 3, 4}, 1), int_tensor({3, 1})}),
          sample(SumToShape{}, {random_tensor({2, 3}, 2), int_tensor({})}),
          sample(SumToShape{}, {random_tensor({2, 0}, 2), int_tensor({2, 1})}, {Tensor::of<float>({2, 1}, {0, 0})}),
          sample(SumToShape{}, {Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6}), int_tensor({1, 3})},
                 {Tensor::of<float>({1, 3}, {5, 7, 9})})};
}
HONE_DEFINE_OP(SumToShape)

Types Broadcast::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  const auto target = ctx.content(1);
  if (!target) {
    const PartialShape out = shape_of_rank(ctx.shape(1));
    if (mode != BroadcastMode::bidirectional || !out.rank_known()) return {Type(ctx.element(0), out)};
    if (!in.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic())};
    return {Type(ctx.element(0), PartialShape::dynamic(std::max(in.rank(), out.rank())))};
  }
  PartialShape shape(*target);
  if (mode == BroadcastMode::bidirectional) {
    shape = broadcast(in, shape);
  } else if (mode == BroadcastMode::numpy && in.rank_known()) {
    ctx.check(in.rank() <= shape.rank(), "cannot broadcast " + to_string(in) + " to " + to_string(shape));
    for (size_t k = 0; k < in.rank(); ++k) {
      const Dimension& d = shape[shape.rank() - in.rank() + k];
      ctx.check(in[k].compatible(Dimension(1)) || in[k].compatible(d),
                "cannot broadcast " + to_string(in) + " to " + to_string(shape));
    }
  }
  if (const auto content = known_elements(ctx, 0);
      content && content->size() == 1 && shape.is_static() && element_count(shape.to_shape()) <= 1024) {
    ctx.set_content(0, std::vector<Dimension>(static_cast<size_t>(element_count(shape.to_shape())), content->front()));
  }
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
    for (size_t k = 0; k < x.rank(); ++k)
      axes.push_back(static_cast<int64_t>(target.size()) - static_cast<int64_t>(x.rank()) + static_cast<int64_t>(k));
  }
  const auto refuse = [&] { ctx.fail("cannot broadcast " + to_string(x.shape()) + " to " + to_string(target)); };
  if (axes.size() != x.rank()) refuse();
  Walk from{0, std::vector<int64_t>(target.size(), 0)};
  const auto strides = strides_of(x.shape());
  for (size_t k = 0; k < x.rank(); ++k) {
    if (axes[k] < 0 || axes[k] >= static_cast<int64_t>(target.size())) refuse();
    const auto a = static_cast<size_t>(axes[k]);
    if (x.shape()[k] != 1 && x.shape()[k] != target[a]) refuse();
    if (x.shape()[k] != 1) from.strides[a] = strides[k];
  }
  Tensor y = ctx.output(0, x.element_type(), target);
  copy_strided(x, from, y, {0, strides_of(target)}, target);
}
void Broadcast::grad(GradCtx& ctx) const {
  if (mode != BroadcastMode::explicit_) return ctx.set(0, ctx.unbroadcast(ctx.dout(), 0));
  // With ones at the axes that the mapping leaves out, the data broadcasts like NumPy.
  const Tensor mapping = ctx.input(2).constant();
  if (!mapping || !ctx.output().shape().rank_known())
    throw Error(ErrorCode::unsupported, "[Broadcast] the gradient wants a constant axes mapping");
  const auto axes = mapping.to_ints();
  if (axes.empty() || std::is_sorted(axes.begin(), axes.end())) {
    std::vector<int64_t> missing;
    for (int64_t k = 0; k < static_cast<int64_t>(ctx.output().shape().rank()); ++k) {
      if (std::find(axes.begin(), axes.end(), k) == axes.end()) missing.push_back(k);
    }
    const Value spread = ctx.b(Unsqueeze{}, ctx.input(0), ctx.b.ints(missing));
    const Value sum = ctx.b(SumToShape{}, ctx.dout(), shape_value(ctx.b, spread));
    return ctx.set(0, ctx.b(Reshape{}, sum, shape_value(ctx.b, ctx.input(0))));
  }
  throw Error(ErrorCode::unsupported, "[Broadcast] the gradient wants an increasing axes mapping");
}
Samples Broadcast::samples() {
  return {sample(Broadcast{}, {random_tensor({3, 1}, 1), int_tensor({2, 3, 4})}),
          sample(Broadcast{}, {random_tensor({}, 1), int_tensor({2, 2})}),
          sample(Broadcast{BroadcastMode::bidirectional}, {random_tensor({3, 2}, 1), int_tensor({4, 1, 1})}),
          sample(Broadcast{BroadcastMode::bidirectional}, {random_tensor({3, 1}, 1), int_tensor({4})}),
          sample(Broadcast{BroadcastMode::explicit_}, {random_tensor({3}, 1), int_tensor({2, 3, 2}), int_tensor({1})}),
          sample(Broadcast{}, {Tensor::strings({2, 1}, {"a", "b"}), int_tensor({2, 2})},
                 {Tensor::strings({2, 2}, {"a", "a", "b", "b"})}),
          sample(Broadcast{}, {random_tensor({1, 3}, 1), int_tensor({0, 3})}, {Tensor(ElementType::f32, {0, 3})})};
}
HONE_DEFINE_OP(Broadcast)

Types Tile::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  const auto repeats = known_elements(ctx, 1);
  if (!in.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic())};
  if (!repeats) {
    const PartialShape out = shape_of_rank(ctx.shape(1));
    return {Type(ctx.element(0), out.rank_known() && out.rank() < in.rank() ? PartialShape::dynamic(in.rank()) : out)};
  }
  std::vector<Dimension> out(std::max(in.rank(), repeats->size()));
  for (size_t k = 0; k < out.size(); ++k) {
    const size_t from_end = out.size() - k;
    const Dimension d = from_end > in.rank() ? Dimension(1) : in[in.rank() - from_end];
    const Dimension r = from_end > repeats->size() ? Dimension(1) : (*repeats)[repeats->size() - from_end];
    out[k] = d * r;
  }
  if (auto c = known_elements(ctx, 0);
      c && c->size() == 1 && out.size() == 1 && out[0].is_static() && out[0].min() <= 1024) {
    ctx.set_content(0, std::vector<Dimension>(static_cast<size_t>(out[0].min()), c->front()));
  }
  return {Type(ctx.element(0), PartialShape(out))};
}
void Tile::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  std::vector<int64_t> repeats = ctx.input(1).to_ints();
  Shape in = x.shape();
  while (in.size() < repeats.size()) in.insert(in.begin(), 1);
  while (repeats.size() < in.size()) repeats.insert(repeats.begin(), 1);
  // Two axes for each: the repetition, with stride zero, and the data.
  Shape out, extent;
  Walk from, to;
  const auto strides = strides_of(in);
  for (size_t k = 0; k < in.size(); ++k) {
    if (repeats[k] < 0) ctx.fail("repeats " + std::to_string(repeats[k]) + " times");
    out.push_back(in[k] * repeats[k]);
    extent.insert(extent.end(), {repeats[k], in[k]});
    from.strides.insert(from.strides.end(), {0, strides[k]});
  }
  Tensor y = ctx.output(0, x.element_type(), out);
  to.strides = strides_of(extent);
  copy_strided(x, from, y, to, extent);
}
void Tile::grad(GradCtx& ctx) const {
  // [r0 * d0, r1 * d1...] seen as [r0, d0, r1, d1...] was broadcast from [1, d0, 1, d1...].
  const PartialShape in = ctx.input(0).shape();  // a copy: building nodes moves the originals
  const Tensor repeats = ctx.input(1).constant();
  if (!in.rank_known() || !repeats)
    throw Error(ErrorCode::unsupported, "[Tile] the gradient wants constant repeats and a known rank");
  const auto r = repeats.to_ints();
  const size_t rank = std::max(in.rank(), r.size());
  Values spread, ones;
  for (size_t k = 0; k < rank; ++k) {
    const size_t from_end = rank - k;
    const Value d = from_end > in.rank() ? ctx.b.ints({1}) : dimension_value(ctx.b, ctx.input(0), in.rank() - from_end);
    spread.insert(spread.end(), {ctx.b.ints({from_end > r.size() ? 1 : r[r.size() - from_end]}), d});
    ones.insert(ones.end(), {ctx.b.ints({1}), d});
  }
  const Value wide = ctx.b(Reshape{}, ctx.dout(), join(ctx.b, spread));
  const Value sum = ctx.b(SumToShape{}, wide, join(ctx.b, ones));
  ctx.set(0, ctx.b(Reshape{}, sum, shape_value(ctx.b, ctx.input(0))));
}
Samples Tile::samples() {
  return {sample(Tile{}, {random_tensor({2, 3}, 1), int_tensor({2, 1})}),
          sample(Tile{}, {random_tensor({2, 3}, 2), int_tensor({2, 1, 2})}),
          sample(Tile{}, {random_tensor({2, 3}, 3), int_tensor({2})}),
          sample(Tile{}, {random_tensor({2, 3}, 3), int_tensor({0, 1})}, {Tensor(ElementType::f32, {0, 3})}),
          sample(Tile{}, {Tensor::strings({2}, {"a", "b"}), int_tensor({2})},
                 {Tensor::strings({4}, {"a", "b", "a", "b"})})};
}
HONE_DEFINE_OP(Tile)

}  // namespace hone
