// Operators that change or read shapes and move nothing: ShapeOf, Reshape, Squeeze, Unsqueeze, Range.
#include <algorithm>
#include <cmath>
#include <map>

#include "base/checked.hpp"
#include "ops/axes.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"

namespace hone {
namespace {

// The dimension that makes the product of `out` (without entry `open`) that of `in`. Equal dimensions cancel, so a
// batch symbol survives `[N, 3, 4] -> [N, -1]`.
Dimension remaining_dimension(std::vector<Dimension> in, std::vector<Dimension> out, size_t open) {
  out.erase(out.begin() + static_cast<std::ptrdiff_t>(open));
  for (auto o = out.begin(); o != out.end();) {
    const auto i = *o == Dimension(0)
                       ? in.end()
                       : std::find_if(in.begin(), in.end(), [&](const Dimension& d) { return d.same(*o); });
    if (i == in.end()) {
      ++o;
      continue;
    }
    in.erase(i);
    o = out.erase(o);
  }
  int64_t divisor = 1;
  for (const Dimension& d : out) {
    if (!d.is_static()) return {};
    divisor = checked_mul(divisor, d.min());
  }
  Dimension rest(1);
  int64_t factor = 1;
  for (const Dimension& d : in) {
    if (d.is_static())
      factor = checked_mul(factor, d.min());
    else
      rest = rest * d;
  }
  if (divisor == 0) return rest.is_static() ? Dimension(0) : Dimension();
  if (rest.is_static()) return Dimension(checked_mul(factor, rest.min()) / divisor);
  if (factor % divisor == 0) return rest * Dimension(factor / divisor);
  if (divisor % factor == 0 && factor > 0) return rest / (divisor / factor);
  return Dimension(0, (rest * Dimension(factor)).max() == Dimension::unbounded
                          ? Dimension::unbounded
                          : (rest * Dimension(factor)).max() / divisor);
}

// The same where the entries `copied` stand for the input's own, whatever they are: `[0, 1, 4] -> [copied, -1]` is
// [0, 4].
Dimension remaining_dimension(std::vector<Dimension> in, std::vector<Dimension> out, size_t open,
                              const std::vector<size_t>& copied) {
  for (auto i = copied.rbegin(); i != copied.rend(); ++i) {
    in.erase(in.begin() + static_cast<std::ptrdiff_t>(*i));
    out.erase(out.begin() + static_cast<std::ptrdiff_t>(*i));
    if (*i < open) --open;
  }
  return remaining_dimension(std::move(in), std::move(out), open);
}

}  // namespace

Types ShapeOf::infer(InferCtx& ctx) const {
  ctx.check(is_integer(output_type), "gives integers");
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
Samples ShapeOf::samples() {
  return {sample(ShapeOf{}, {random_tensor({2, 3}, 1)}, {int_tensor({2, 3})}),
          sample(ShapeOf{}, {random_tensor({}, 1)}, {int_tensor({})}),
          sample(ShapeOf{ElementType::i32}, {random_tensor({0, 5}, 1)}, {Tensor::of<int32_t>({2}, {0, 5})}),
          sample(ShapeOf{}, {Tensor::strings({2, 1}, {"a", "b"})}, {int_tensor({2, 1})})};
}
HONE_DEFINE_OP(ShapeOf)

Types Reshape::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  pass_content(ctx);
  const Tensor numbers = ctx.constant(1);
  std::vector<Dimension> out;
  std::optional<size_t> open;  // the entry that is -1, or the only one not known
  size_t unknown = 0;
  std::vector<size_t> copied;  // entries that stand for the input's own, in order
  if (numbers) {
    const auto pattern = numbers.to_ints();
    for (size_t i = 0; i < pattern.size(); ++i) {
      if (pattern[i] == -1) {
        ctx.check(!open, "more than one -1 in the target shape");
        open = i;
        out.emplace_back();
      } else if (pattern[i] == 0 && special_zero) {
        if (!in.rank_known()) {
          out.emplace_back();
          ++unknown;
        } else {
          ctx.check(i < in.rank(),
                    "a zero in the target shape copies dimension " + std::to_string(i) + " of " + to_string(in));
          out.push_back(in[i]);
          copied.push_back(i);
        }
      } else {
        ctx.check(pattern[i] >= 0, "target dimension " + std::to_string(pattern[i]));
        out.emplace_back(pattern[i]);
      }
    }
  } else if (auto content = ctx.content(1)) {
    out = std::move(*content);
    for (size_t i = 0; i < out.size(); ++i) {
      if (special_zero && out[i] == Dimension(0) && in.rank_known() && i < in.rank()) {
        out[i] = in[i];
        copied.push_back(i);
      }
      if (out[i].is_static() ||
          (in.rank_known() && std::any_of(in.begin(), in.end(), [&](const Dimension& d) { return d.same(out[i]); })))
        continue;
      ++unknown;  // computed elsewhere, or a -1
      open = i;
    }
    if (unknown > 1)
      open.reset();
    else
      unknown = 0;
  } else {
    const PartialShape& s = ctx.shape(1);
    ctx.check(!s.rank_known() || s.rank() <= 1, "the target shape is " + to_string(s) + ", not a list");
    if (!s.rank_known() || s.rank() == 0 || !s[0].is_static()) return {Type(ctx.element(0), PartialShape::dynamic())};
    const PartialShape unknown = shape_of_rank(s);
    if (!unknown.rank_known()) return {Type(ctx.element(0), unknown)};
    out = unknown.dims();
    if (out.size() != 1) return {Type(ctx.element(0), PartialShape(out))};
    open = 0;
  }
  if (open && in.rank_known() && unknown == 0) out[*open] = remaining_dimension(in.dims(), out, *open, copied);
  const PartialShape shape(out);
  if (shape.is_static() && in.is_static()) {
    ctx.check(element_count(shape.to_shape()) == element_count(in.to_shape()),
              to_string(in) + " cannot become " + to_string(shape));
  }
  return {Type(ctx.element(0), shape)};
}
void Reshape::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Shape shape = ctx.input(1).to_ints();
  int64_t known = 1, open = -1;
  Shape rest = x.shape();  // 1 where a dimension is copied: on both sides it leaves -1 as it is
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0 && special_zero) {
      if (i >= x.rank())
        ctx.fail("a zero in the target shape copies dimension " + std::to_string(i) + " of " + to_string(x.shape()));
      shape[i] = x.shape()[i];
      rest[i] = 1;
      continue;
    }
    if (shape[i] == -1 && open < 0)
      open = static_cast<int64_t>(i);
    else if (shape[i] < 0)
      ctx.fail("bad target shape " + to_string(shape));
    else
      known = checked_mul(known, shape[i]);
  }
  if (open >= 0) shape[static_cast<size_t>(open)] = known == 0 ? 0 : element_count(rest) / known;
  if (element_count(shape) != static_cast<int64_t>(x.size()))
    ctx.fail(to_string(x.shape()) + " cannot become " + to_string(shape));
  ctx.set_output(0, x.reshaped(shape));
}
void Reshape::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.b(Reshape{}, ctx.dout(), shape_value(ctx.b, ctx.input(0))));
}
Samples Reshape::samples() {
  return {
      sample(Reshape{}, {random_tensor({2, 3, 4}, 1), int_tensor({4, 6})}),
      sample(Reshape{}, {random_tensor({2, 3, 4}, 2), int_tensor({-1, 2})}),
      sample(Reshape{true}, {random_tensor({2, 3, 4}, 3), int_tensor({0, -1})}),
      sample(Reshape{}, {random_tensor({1, 1}, 4), int_tensor({})}),
      sample(Reshape{}, {random_tensor({0, 3}, 5), int_tensor({3, 0})}),
      sample(Reshape{true}, {random_tensor({0, 3}, 5), int_tensor({0, -1})}, {Tensor(ElementType::f32, {0, 3})}),
      sample(Reshape{true}, {random_tensor({0, 1, 4}, 5), int_tensor({0, -1})}, {Tensor(ElementType::f32, {0, 4})}),
      sample(Reshape{}, {Tensor::strings({2}, {"a", "b"}), int_tensor({2, 1})}, {Tensor::strings({2, 1}, {"a", "b"})})};
}
HONE_DEFINE_OP(Reshape)

Types Squeeze::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  pass_content(ctx);
  if (!in.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic())};
  std::vector<bool> drop(in.rank(), false);
  if (ctx.has(1)) {
    const Tensor axes = ctx.constant(1);
    if (!axes) {
      const PartialShape& s = ctx.shape(1);
      if (s.is_static() && element_count(s.to_shape()) == 1 && in.rank() > 0)
        return {Type(ctx.element(0), PartialShape::dynamic(in.rank() - 1))};
      return {Type(ctx.element(0), PartialShape::dynamic())};
    }
    for (size_t a : axes_of(ctx, axes.to_ints(), in.rank())) {
      ctx.check(in[a].compatible(Dimension(1)),
                "dimension " + std::to_string(a) + " of " + to_string(in) + " is not 1");
      drop[a] = true;
    }
    if (axes.size() == 0) {
      for (size_t k = 0; k < in.rank(); ++k) drop[k] = in[k] == Dimension(1);
    }
  } else {
    for (size_t k = 0; k < in.rank(); ++k) {
      if (in[k].is_dynamic() && in[k].compatible(Dimension(1))) return {Type(ctx.element(0), PartialShape::dynamic())};
      drop[k] = in[k] == Dimension(1);
    }
  }
  std::vector<Dimension> out;
  for (size_t k = 0; k < in.rank(); ++k) {
    if (!drop[k]) out.push_back(in[k]);
  }
  return {Type(ctx.element(0), PartialShape(out))};
}
void Squeeze::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const auto axes = ctx.has(1) ? axes_of(ctx, ctx.input(1).to_ints(), x.rank()) : std::vector<size_t>{};
  Shape out;
  for (size_t k = 0; k < x.rank(); ++k) {
    const bool asked = axes.empty() ? x.shape()[k] == 1 : std::find(axes.begin(), axes.end(), k) != axes.end();
    if (asked && x.shape()[k] != 1)
      ctx.fail("dimension " + std::to_string(k) + " of " + to_string(x.shape()) + " is not 1");
    if (!asked) out.push_back(x.shape()[k]);
  }
  ctx.set_output(0, x.reshaped(out));
}
void Squeeze::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.b(Reshape{}, ctx.dout(), shape_value(ctx.b, ctx.input(0))));
}
Samples Squeeze::samples() {
  return {sample(Squeeze{}, {random_tensor({1, 3, 1, 2}, 1), int_tensor({0})}),
          sample(Squeeze{}, {random_tensor({1, 3, 1, 2}, 2), int_tensor({-2, 0})}),
          sample(Squeeze{}, {random_tensor({1, 3, 1}, 3)}),
          sample(Squeeze{}, {int_tensor({7}), int_scalar(0)}, {int_scalar(7)})};
}
HONE_DEFINE_OP(Squeeze)

namespace {

// The output axes that are new, in increasing order; empty optional where they clash.
template <class Ctx>
std::vector<size_t> new_axes(const Ctx& ctx, const std::vector<int64_t>& axes, size_t rank) {
  std::vector<size_t> at = axes_of(ctx, axes, rank + axes.size());
  std::sort(at.begin(), at.end());
  if (std::adjacent_find(at.begin(), at.end()) != at.end()) ctx.fail("an axis is given twice");
  return at;
}

}  // namespace

Types Unsqueeze::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  pass_content(ctx);
  const Tensor axes = ctx.constant(1);
  if (!in.rank_known() || !axes) {
    const PartialShape& s = ctx.shape(1);
    if (!in.rank_known() || !s.is_static()) return {Type(ctx.element(0), PartialShape::dynamic())};
    const PartialShape added = shape_of_rank({element_count(s.to_shape())});
    if (!added.rank_known()) return {Type(ctx.element(0), added)};
    return {Type(ctx.element(0), PartialShape::dynamic(in.rank() + added.rank()))};
  }
  std::vector<Dimension> out = in.dims();
  for (size_t a : new_axes(ctx, axes.to_ints(), in.rank()))
    out.insert(out.begin() + static_cast<std::ptrdiff_t>(a), Dimension(1));
  return {Type(ctx.element(0), PartialShape(out))};
}
void Unsqueeze::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Shape out = x.shape();
  for (size_t a : new_axes(ctx, ctx.input(1).to_ints(), x.rank()))
    out.insert(out.begin() + static_cast<std::ptrdiff_t>(a), 1);
  ctx.set_output(0, x.reshaped(out));
}
void Unsqueeze::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.b(Reshape{}, ctx.dout(), shape_value(ctx.b, ctx.input(0))));
}
Samples Unsqueeze::samples() {
  return {sample(Unsqueeze{}, {random_tensor({3, 2}, 1), int_tensor({0, -1})}),
          sample(Unsqueeze{}, {random_tensor({3, 2}, 2), int_tensor({2, 0})}),
          sample(Unsqueeze{}, {int_scalar(4), int_scalar(0)}, {int_tensor({4})})};
}
HONE_DEFINE_OP(Unsqueeze)

Types Range::infer(InferCtx& ctx) const {
  for (size_t i = 0; i < 3; ++i) {
    const PartialShape& s = ctx.shape(i);
    ctx.check(!s.rank_known() || s.rank() == 0 || (s.rank() == 1 && s[0].compatible(Dimension(1))),
              "start, stop and step are scalars");
  }
  const Tensor start = ctx.constant(0), stop = ctx.constant(1), step = ctx.constant(2);
  if (start && stop && step) {
    const double a = get_element(start, 0), s = get_element(step, 0);
    ctx.check(s != 0, "a step of zero");
    const double n = std::max(0.0, std::ceil((get_element(stop, 0) - a) / s));
    ctx.check(n < 1e15, "a range of " + std::to_string(n) + " elements");
    const auto count = static_cast<int64_t>(n);
    if (is_integer(output_type) && count <= 1024) {
      std::vector<Dimension> elements;
      for (int64_t i = 0; i < count; ++i) elements.emplace_back(static_cast<int64_t>(a) + i * static_cast<int64_t>(s));
      ctx.set_content(0, std::move(elements));
    }
    return {Type(output_type, PartialShape{count})};
  }
  // Range(0, N, 1) has N elements, also where N is a symbol.
  const auto stop_content = ctx.content(1);
  if (start && step && stop_content && get_element(start, 0) == 0 && get_element(step, 0) == 1)
    return {Type(output_type, PartialShape{stop_content->at(0)})};
  return {Type(output_type, PartialShape::dynamic(1))};
}
void Range::eval(EvalCtx& ctx) const {
  if (is_integer(output_type) && is_integer(ctx.input(0).element_type()) && is_integer(ctx.input(1).element_type()) &&
      is_integer(ctx.input(2).element_type())) {
    const int64_t a = get_integer(ctx.input(0), 0), b = get_integer(ctx.input(1), 0), s = get_integer(ctx.input(2), 0);
    if (s == 0) ctx.fail("a step of zero");
    const __int128 distance = static_cast<__int128>(b) - a;
    const __int128 n = (s > 0) == (distance > 0) && distance != 0 ? (distance + s + (s > 0 ? -1 : 1)) / s : 0;
    if (n > (int64_t{1} << 40)) ctx.fail("a range of more than 2^40 elements");
    Tensor y = ctx.output(0, output_type, {static_cast<int64_t>(n)});
    for (size_t i = 0; i < y.size(); ++i) set_integer(y, i, a + static_cast<int64_t>(i) * s);
    return;
  }
  const double a = get_element(ctx.input(0), 0), b = get_element(ctx.input(1), 0), s = get_element(ctx.input(2), 0);
  const double n = std::ceil((b - a) / s);
  if (s == 0 || !(n < 1e12))
    ctx.fail("a range from " + std::to_string(a) + " to " + std::to_string(b) + " in steps of " + std::to_string(s));
  Tensor y = ctx.output(0, output_type, {static_cast<int64_t>(std::max(0.0, n))});
  for (size_t i = 0; i < y.size(); ++i) set_element(y, i, a + static_cast<double>(i) * s);
}
Samples Range::samples() {
  return {sample(Range{ElementType::i64}, {int_scalar(2), int_scalar(9), int_scalar(3)}, {int_tensor({2, 5, 8})}),
          sample(Range{ElementType::i32}, {int_scalar(3), int_scalar(-2), int_scalar(-2)},
                 {Tensor::of<int32_t>({3}, {3, 1, -1})}),
          sample(Range{ElementType::i64}, {int_scalar(5), int_scalar(5), int_scalar(1)}, {int_tensor({})}),
          sample(Range{ElementType::f32}, {float_scalar(0), float_scalar(1), float_scalar(0.4f)},
                 {Tensor::of<float>({3}, {0, 0.4f, 0.8f})})};
}
HONE_DEFINE_OP(Range)

}  // namespace hone
