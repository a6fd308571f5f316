// Operators that move elements whole: Transpose, Concat, Split, VariadicSplit, Reverse.
#include "ops/movement.hpp"

#include <algorithm>
#include <numeric>

#include "base/checked.hpp"
#include "ops/axes.hpp"
#include "ops/family.hpp"
#include "ops/strided_copy.hpp"

namespace hone {
namespace {

std::vector<size_t> reversed_order(size_t rank) {
  std::vector<size_t> order(rank);
  for (size_t k = 0; k < rank; ++k) order[k] = rank - 1 - k;
  return order;
}
template <class Ctx>
std::vector<size_t> permutation_of(const Ctx& ctx, const std::vector<int64_t>& order, size_t rank) {
  if (order.empty()) return reversed_order(rank);
  const auto p = axes_of(ctx, order, rank);
  std::vector<size_t> sorted = p;
  std::sort(sorted.begin(), sorted.end());
  if (sorted.size() != rank || std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    ctx.fail("order " + to_string(Shape(order.begin(), order.end())) + " is no permutation of " + std::to_string(rank) +
             " axes");
  }
  return p;
}

}  // namespace

Types Transpose::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  const bool given =
      ctx.has(1) && !(ctx.shape(1).rank_known() && ctx.shape(1).rank() == 1 && ctx.shape(1)[0] == Dimension(0));
  const Tensor order = given ? ctx.constant(1) : Tensor();
  if (given && !order) {
    const PartialShape& s = ctx.shape(1);
    if (in.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic(in.rank()))};
    return {Type(ctx.element(0), shape_of_rank(s))};
  }
  if (!in.rank_known())
    return {Type(ctx.element(0), given ? PartialShape::dynamic(order.size()) : PartialShape::dynamic())};
  std::vector<Dimension> out;
  for (size_t a : permutation_of(ctx, given ? order.to_ints() : std::vector<int64_t>{}, in.rank()))
    out.push_back(in[a]);
  if (in.rank() <= 1) pass_content(ctx);
  return {Type(ctx.element(0), PartialShape(out))};
}
void Transpose::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const auto order = permutation_of(ctx, ctx.has(1) ? ctx.input(1).to_ints() : std::vector<int64_t>{}, x.rank());
  const auto strides = strides_of(x.shape());
  Shape out;
  Walk from;
  for (size_t a : order) {
    out.push_back(x.shape()[a]);
    from.strides.push_back(strides[a]);
  }
  Tensor y = ctx.output(0, x.element_type(), out);
  copy_strided(x, from, y, {0, strides_of(out)}, out);
}
void Transpose::grad(GradCtx& ctx) const {
  const Tensor order = ctx.input(1) ? ctx.input(1).constant() : Tensor();
  if (!ctx.input(1) || (order && order.size() == 0)) return ctx.set(0, ctx.b(Transpose{}, ctx.dout()));
  if (!order) throw Error(ErrorCode::unsupported, "[Transpose] the gradient wants a constant order");
  const auto p = permutation_of(EvalCtx({}, 0), order.to_ints(), order.size());
  std::vector<int64_t> back(p.size());
  for (size_t k = 0; k < p.size(); ++k) back[p[k]] = static_cast<int64_t>(k);
  ctx.set(0, ctx.b(Transpose{}, ctx.dout(), ctx.b.ints(back)));
}
Samples Transpose::samples() {
  return {sample(Transpose{}, {Tensor::of<float>({2, 3}, {0, 1, 2, 3, 4, 5}), int_tensor({1, 0})},
                 {Tensor::of<float>({3, 2}, {0, 3, 1, 4, 2, 5})}),
          sample(Transpose{}, {random_tensor({2, 3, 4, 5}, 1), int_tensor({0, 2, 3, 1})}),
          sample(Transpose{}, {random_tensor({2, 3, 4}, 2)}),
          sample(Transpose{}, {random_tensor({2, 3, 4}, 3), int_tensor({})}),
          sample(Transpose{}, {random_tensor({2, 0, 4}, 3), int_tensor({2, 0, 1})}),
          sample(Transpose{}, {Tensor::strings({1, 2}, {"a", "b"}), int_tensor({1, 0})},
                 {Tensor::strings({2, 1}, {"a", "b"})})};
}
HONE_DEFINE_OP(Transpose)

Types Concat::infer(InferCtx& ctx) const {
  ctx.check(ctx.num_inputs() > 0, "needs an input");
  ElementType element = ElementType::dynamic;
  PartialShape merged;
  std::vector<Dimension> content;
  bool known = true;
  std::optional<size_t> at;
  Dimension sum(0);
  for (size_t i = 0; i < ctx.num_inputs(); ++i) {
    if (element == ElementType::dynamic) element = ctx.element(i);
    ctx.check(ctx.element(i) == element || ctx.element(i) == ElementType::dynamic,
              "inputs of " + std::string(name_of(element)) + " and " + name_of(ctx.element(i)));
    PartialShape s = ctx.shape(i);
    if (!s.rank_known()) {
      known = false;
      sum = sum + Dimension();
      continue;
    }
    at = axis_of(ctx, axis, s.rank());
    sum = sum + s[*at];
    s[*at] = Dimension();
    try {
      merged = PartialShape::merge(merged, s);
    } catch (const Error&) {
      ctx.fail("input " + std::to_string(i) + " of " + to_string(ctx.shape(i)) + " does not fit the ones before");
    }
    const auto elements = known_elements(ctx, i);
    if (elements && s.rank() == 1)
      content.insert(content.end(), elements->begin(), elements->end());
    else if (s.rank() == 1 && ctx.shape(i).is_static() && ctx.shape(i)[0].min() <= 1024 && is_integer(element))
      content.resize(content.size() + static_cast<size_t>(ctx.shape(i)[0].min()));
    else
      known = false;
  }
  if (known && is_integer(element)) ctx.set_content(0, std::move(content));
  if (!at) return {Type(element, PartialShape::dynamic())};
  merged[*at] = sum;
  return {Type(element, merged)};
}
void Concat::eval(EvalCtx& ctx) const {
  const Tensor& first = ctx.input(0);
  const size_t a = axis_of(ctx, axis, first.rank());
  Shape out = first.shape();
  for (size_t i = 1; i < ctx.num_inputs(); ++i) {
    Shape s = ctx.input(i).shape();
    if (s.size() != out.size()) ctx.fail("inputs of different rank");
    out[a] += s[a];
    s[a] = first.shape()[a];
    if (s != first.shape())
      ctx.fail("input " + std::to_string(i) + " of " + to_string(ctx.input(i).shape()) + " does not fit " +
               to_string(first.shape()));
  }
  Tensor y = ctx.output(0, first.element_type(), out);
  const auto strides = strides_of(out);
  int64_t offset = 0;
  for (size_t i = 0; i < ctx.num_inputs(); ++i) {
    const Tensor& x = ctx.input(i);
    copy_strided(x, {0, strides_of(x.shape())}, y, {offset, strides}, x.shape());
    offset += x.shape()[a] * strides[a];
  }
}
void Concat::grad(GradCtx& ctx) const {
  // Lengths by value, so that sizes which differ from run to run are right too.
  Values lengths;
  const PartialShape out = ctx.output().shape();
  if (!out.rank_known()) throw Error(ErrorCode::unsupported, "[Concat] the gradient wants a known rank");
  const size_t a = axis_of(EvalCtx({}, 0), axis, out.rank());
  for (size_t i = 0; i < ctx.num_inputs(); ++i) lengths.push_back(dimension_value(ctx.b, ctx.input(i), a));
  const Values parts =
      ctx.b.all(VariadicSplit{}, {ctx.dout(), ctx.b.scalar<int64_t>(static_cast<int64_t>(a)), join(ctx.b, lengths)});
  for (size_t i = 0; i < parts.size(); ++i) {
    if (ctx.needs(i)) ctx.set(i, parts[i]);
  }
}
Samples Concat::samples() {
  return {sample(Concat{1}, {random_tensor({2, 3, 2}, 1), random_tensor({2, 1, 2}, 2), random_tensor({2, 0, 2}, 3)}),
          sample(Concat{-1}, {random_tensor({2, 3}, 1), random_tensor({2, 2}, 2)}),
          sample(Concat{0}, {int_tensor({1, 2}), int_tensor({}), int_tensor({3})}, {int_tensor({1, 2, 3})}),
          sample(Concat{0}, {random_tensor({2}, 4)}),
          sample(Concat{0}, {Tensor::strings({1}, {"a"}), Tensor::strings({2}, {"b", "c"})},
                 {Tensor::strings({3}, {"a", "b", "c"})})};
}
HONE_DEFINE_OP(Concat)

namespace {

void eval_split(EvalCtx& ctx, size_t axis, const std::vector<int64_t>& lengths) {
  const Tensor& x = ctx.input(0);
  const auto strides = strides_of(x.shape());
  if (ctx.num_outputs() < lengths.size())
    ctx.fail("splits into " + std::to_string(lengths.size()) + " parts, the node has " +
             std::to_string(ctx.num_outputs()) + " outputs");
  int64_t at = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    Shape shape = x.shape();
    shape[axis] = lengths[i];
    Tensor y = ctx.output(i, x.element_type(), shape);
    copy_strided(x, {at * strides[axis], strides}, y, {0, strides_of(shape)}, shape);
    at += lengths[i];
  }
}

void grad_split(GradCtx& ctx, int64_t axis) {
  Values parts;
  for (size_t i = 0; i < ctx.node().num_outputs(); ++i) {
    // A part that nothing flows back to: zeros.
    parts.push_back(ctx.dout(i) ? ctx.dout(i)
                                : ctx.b(Broadcast{}, ctx.b.like(ctx.output(i), 0), shape_value(ctx.b, ctx.output(i))));
  }
  ctx.set(0, ctx.b(Concat{axis}, parts));
}

// Parts of the content, where the data is a list of dimensions.
void split_content(InferCtx& ctx, const std::vector<int64_t>& lengths) {
  const auto content = known_elements(ctx, 0);
  if (!content || ctx.shape(0).rank() != 1) return;
  auto at = content->begin();
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] > content->end() - at) return;
    ctx.set_content(i, std::vector<Dimension>(at, at + lengths[i]));
    at += lengths[i];
  }
}

}  // namespace

Types Split::infer(InferCtx& ctx) const {
  ctx.check(num_splits > 0 && num_splits <= 1 << 20, "cannot split into " + std::to_string(num_splits) + " parts");
  const auto n = static_cast<size_t>(num_splits);
  const PartialShape& in = ctx.shape(0);
  const Tensor axis = ctx.constant(1);
  if (!in.rank_known()) return Types(n, Type(ctx.element(0), PartialShape::dynamic()));
  if (!axis) return Types(n, Type(ctx.element(0), PartialShape::dynamic(in.rank())));
  const size_t a = axis_of(ctx, get_integer(axis, 0), in.rank());
  ctx.check(
      in[a].is_dynamic() || in[a].min() % num_splits == 0,
      to_string(in) + " does not split evenly into " + std::to_string(num_splits) + " along axis " + std::to_string(a));
  PartialShape out = in;
  out[a] = in[a] / num_splits;
  if (in.rank() == 1 && in[0].is_static()) split_content(ctx, std::vector<int64_t>(n, in[0].min() / num_splits));
  return Types(n, Type(ctx.element(0), out));
}
void Split::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const size_t a = axis_of(ctx, get_integer(ctx.input(1), 0), x.rank());
  if (num_splits < 1 || x.shape()[a] % num_splits != 0)
    ctx.fail(to_string(x.shape()) + " does not split evenly into " + std::to_string(num_splits));
  eval_split(ctx, a, std::vector<int64_t>(static_cast<size_t>(num_splits), x.shape()[a] / num_splits));
}
void Split::grad(GradCtx& ctx) const {
  const Tensor axis = ctx.input(1).constant();
  if (!axis) throw Error(ErrorCode::unsupported, "[Split] the gradient wants a constant axis");
  grad_split(ctx, get_integer(axis, 0));
}
Samples Split::samples() {
  return {sample(Split{2}, {random_tensor({2, 4, 3}, 1), int_scalar(1)}),
          sample(Split{3}, {random_tensor({2, 3}, 1), int_scalar(-1)}),
          sample(Split{2}, {int_tensor({1, 2, 3, 4}), int_scalar(0)}, {int_tensor({1, 2}), int_tensor({3, 4})}),
          sample(Split{1}, {random_tensor({0, 3}, 1), int_scalar(0)})};
}
HONE_DEFINE_OP(Split)

Types VariadicSplit::infer(InferCtx& ctx) const {
  const PartialShape &in = ctx.shape(0), &count = ctx.shape(2);
  ctx.check(count.rank_known() && count.rank() == 1 && count[0].is_static(), "the number of parts is not known");
  ctx.check(count[0].get_length() <= 1 << 20, "cannot split into " + to_string(count) + " parts");
  const auto n = static_cast<size_t>(count[0].get_length());
  const Tensor axis = ctx.constant(1), constant = ctx.constant(2);
  if (!in.rank_known()) return Types(n, Type(ctx.element(0), PartialShape::dynamic()));
  if (!axis) return Types(n, Type(ctx.element(0), PartialShape::dynamic(in.rank())));
  const size_t a = axis_of(ctx, get_integer(axis, 0), in.rank());
  std::vector<Dimension> lengths(n);
  if (constant) {
    const auto numbers = constant.to_ints();
    int64_t sum = 0;
    std::optional<size_t> open;
    for (size_t i = 0; i < n; ++i) {
      ctx.check(numbers[i] >= -1 && !(numbers[i] == -1 && open), "bad length " + std::to_string(numbers[i]));
      lengths[i] = Dimension(numbers[i]);
      if (numbers[i] == -1)
        open = i;
      else
        sum = checked_add(sum, numbers[i]);
    }
    if (open) lengths[*open] = in[a] - Dimension(sum);
    ctx.check(open ? in[a].max() >= sum : in[a].compatible(Dimension(sum)),
              "lengths of " + std::to_string(sum) + " in all for axis " + std::to_string(a) + " of " + to_string(in));
    std::vector<int64_t> exact;
    for (const Dimension& d : lengths) exact.push_back(d.is_static() ? d.min() : Dimension::unbounded);
    if (in.rank() == 1) split_content(ctx, exact);
  } else if (const auto known = ctx.content(2)) {
    lengths = *known;
  }
  Types out;
  for (size_t i = 0; i < n; ++i) {
    PartialShape s = in;
    s[a] = lengths[i];
    out.emplace_back(ctx.element(0), s);
  }
  return out;
}
void VariadicSplit::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const size_t a = axis_of(ctx, get_integer(ctx.input(1), 0), x.rank());
  auto lengths = ctx.input(2).to_ints();
  int64_t sum = 0;
  for (int64_t n : lengths) sum += std::max<int64_t>(n, 0);
  for (int64_t& n : lengths) {
    if (n == -1) sum += n = x.shape()[a] - sum;
    if (n < 0) ctx.fail("bad lengths for axis " + std::to_string(a) + " of " + to_string(x.shape()));
  }
  if (sum != x.shape()[a])
    ctx.fail("lengths of " + std::to_string(sum) + " in all for axis " + std::to_string(a) + " of " +
             to_string(x.shape()));
  eval_split(ctx, a, lengths);
}
void VariadicSplit::grad(GradCtx& ctx) const {
  const Tensor axis = ctx.input(1).constant();
  if (!axis) throw Error(ErrorCode::unsupported, "[VariadicSplit] the gradient wants a constant axis");
  grad_split(ctx, get_integer(axis, 0));
}
Samples VariadicSplit::samples() {
  return {sample(VariadicSplit{}, {random_tensor({2, 6}, 1), int_scalar(1), int_tensor({1, 2, 3})}),
          sample(VariadicSplit{}, {random_tensor({5, 2}, 1), int_scalar(-2), int_tensor({2, -1, 0})}),
          sample(VariadicSplit{}, {int_tensor({1, 2, 3}), int_scalar(0), int_tensor({1, -1})},
                 {int_tensor({1}), int_tensor({2, 3})})};
}
HONE_DEFINE_OP(VariadicSplit)

Types Reverse::infer(InferCtx& ctx) const {
  if (ctx.shape(0).rank_known()) axes_of(ctx, axes, ctx.shape(0).rank());
  if (auto c = known_elements(ctx, 0); c && axes.size() == 1 && ctx.shape(0).rank() == 1) {
    std::reverse(c->begin(), c->end());
    ctx.set_content(0, std::move(*c));
  }
  return {Type(ctx.element(0), ctx.shape(0))};
}
void Reverse::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  Walk from{0, strides_of(x.shape())};
  auto at = axes_of(ctx, axes, x.rank());
  std::sort(at.begin(), at.end());
  at.erase(std::unique(at.begin(), at.end()), at.end());
  for (size_t a : at) {
    from.offset += (x.shape()[a] - 1) * from.strides[a];
    from.strides[a] = -from.strides[a];
  }
  copy_strided(x, from, y, {0, strides_of(x.shape())}, x.shape());
}
void Reverse::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.b(Reverse{axes}, ctx.dout()));
}
Samples Reverse::samples() {
  return {sample(Reverse{{1}}, {Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6})},
                 {Tensor::of<float>({2, 3}, {3, 2, 1, 6, 5, 4})}),
          sample(Reverse{{0, -1}}, {random_tensor({2, 3, 4}, 1)}), sample(Reverse{{}}, {random_tensor({2, 2}, 1)}),
          sample(Reverse{{0}}, {Tensor::strings({2}, {"a", "b"})}, {Tensor::strings({2}, {"b", "a"})})};
}
HONE_DEFINE_OP(Reverse)

}  // namespace hone
