#include "ops/reduce.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

// Which axes of a tensor of `rank` the list names; negative ones count from the end.
std::vector<bool> reduced_axes(const auto& ctx, const std::vector<int64_t>& axes, size_t rank) {
  std::vector<bool> reduced(rank, false);
  const auto n = static_cast<int64_t>(rank);
  for (int64_t a : axes) {
    if (a < -n || a >= n) ctx.fail("axis " + std::to_string(a) + " is outside of rank " + std::to_string(rank));
    reduced[static_cast<size_t>(a < 0 ? a + n : a)] = true;
  }
  return reduced;
}

template <class S>
S reduced_shape(const S& shape, const std::vector<bool>& reduced, bool keep_dims) {
  S out;
  for (size_t k = 0; k < shape.size(); ++k) {
    if (!reduced[k])
      out.push_back(shape[k]);
    else if (keep_dims)
      out.push_back(1);
  }
  return out;
}

Types infer_reduce(InferCtx& ctx, bool keep_dims, ElementType element = ElementType::dynamic) {
  if (element == ElementType::dynamic) element = ctx.element(0);
  const PartialShape& s = ctx.shape(0);
  if (!s.rank_known()) return {Type(element, PartialShape::dynamic())};
  const Tensor axes = ctx.constant(1);
  if (!axes) {
    const PartialShape& list = ctx.shape(1);
    const bool none = list.rank_known() && list.rank() == 1 && list[0] == Dimension(0);
    if (none) return {Type(element, s)};
    return {Type(element, keep_dims ? PartialShape::dynamic(s.rank()) : PartialShape::dynamic())};
  }
  return {Type(element, PartialShape(reduced_shape(s.dims(), reduced_axes(ctx, axes.to_ints(), s.rank()), keep_dims)))};
}

// Reductions of shape arithmetic: a vector of sizes to one number.
void infer_content(InferCtx& ctx, Dimension (*f)(const Dimension&, const Dimension&)) {
  const PartialShape& s = ctx.shape(0);
  const auto elements = ctx.content(0);
  const Tensor axes = ctx.constant(1);
  if (!elements || elements->empty() || !s.rank_known() || s.rank() != 1 || !axes || axes.size() != 1) return;
  Dimension total = (*elements)[0];
  for (size_t i = 1; i < elements->size(); ++i) total = f(total, (*elements)[i]);
  ctx.set_content(0, {total});
}

// Accumulates every element of x into the place of its result: f(acc, element).
template <class T, class Acc, class F>
void accumulate(const Tensor& x, const std::vector<bool>& reduced, Acc* acc, F&& f) {
  const Shape& shape = x.shape();
  if (x.size() == 0) return;
  std::vector<int64_t> strides[1];
  strides[0].assign(shape.size(), 0);
  int64_t step = 1;
  for (size_t k = shape.size(); k-- > 0;) {
    if (reduced[k]) continue;
    strides[0][k] = step;
    step *= shape[k];
  }
  const T* from = x.data<T>();
  const auto length = static_cast<size_t>(shape.empty() ? 1 : shape.back());
  const bool keep = !shape.empty() && !reduced.back();
  for_each_row(shape, strides, [&](size_t r, const int64_t* offset) {
    const T* row = from + r * length;
    Acc* to = acc + offset[0];
    if (keep) {
      for (size_t i = 0; i < length; ++i) to[i] = f(to[i], row[i]);
    } else {
      Acc v = *to;
      for (size_t i = 0; i < length; ++i) v = f(v, row[i]);
      *to = v;
    }
  });
}

// `wide` accumulates in double and uint64_t (integers wrap around), else in the type itself. `finish(acc, count)` makes
// the result.
template <bool wide, class Start, class F, class Finish>
void eval_reduce(EvalCtx& ctx, bool keep_dims, Start&& start, F&& f, Finish&& finish) {
  const Tensor& x = ctx.input(0);
  const auto reduced = reduced_axes(ctx, ctx.input(1).to_ints(), x.rank());
  Tensor y = ctx.output(0, x.element_type(), reduced_shape(x.shape(), reduced, keep_dims));
  size_t count = 1;
  for (size_t k = 0; k < x.rank(); ++k) {
    if (reduced[k]) count *= static_cast<size_t>(x.shape()[k]);
  }
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    // Signed sums stay signed, so that ReduceMean divides the sum and not its wrapped image.
    using Wide = std::conditional_t<std::is_floating_point_v<T>, double,
                                    std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;
    using Acc = std::conditional_t<wide, Wide, T>;
    std::vector<Acc> acc(y.size(), start(Acc{}));
    accumulate<T>(x, reduced, acc.data(), [&](Acc a, T v) { return f(a, static_cast<Acc>(v)); });
    for (size_t i = 0; i < acc.size(); ++i) y.data<T>()[i] = static_cast<T>(finish(acc[i], count));
  });
}

template <class A>
A wrapping_add(A a, A b) {
  if constexpr (std::is_integral_v<A>)
    return static_cast<A>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  else
    return a + b;
}
template <class A>
A wrapping_multiply(A a, A b) {
  if constexpr (std::is_integral_v<A>)
    return static_cast<A>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  else
    return a * b;
}
constexpr auto as_it_is = [](auto a, size_t) { return a; };

// The value with the reduced axes put back with size one, so that it broadcasts against the input.
Value with_axes(GradCtx& ctx, Value v, bool keep_dims) {
  if (keep_dims) return v;
  Builder& b = ctx.b;
  const PartialShape& s = ctx.input(0).shape();
  const Tensor axes = ctx.input(1).constant();
  if (!axes || !s.rank_known())
    throw Error(ErrorCode::failed,
                "[" + std::string(ctx.node().op().name) + "] the gradient needs constant axes and data of known rank");
  std::vector<int64_t> list = axes.to_ints();
  for (int64_t& a : list) a += a < 0 ? static_cast<int64_t>(s.rank()) : 0;
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list.empty() ? v : b(Unsqueeze{}, v, b.ints(list));
}
Value spread(GradCtx& ctx, Value v) {
  return ctx.b(Broadcast{}, v, ctx.b(ShapeOf{}, ctx.input(0)));
}

// The gradient of a maximum or minimum: shared equally between the elements that attain it.
void grad_extreme(GradCtx& ctx, bool keep_dims);

template <class Op>
Samples reduce_samples(double low = -1, double high = 1) {
  return {sample(Op{false}, {random_tensor({2, 3, 4}, 1, low, high), int_tensor({1})}),
          sample(Op{true}, {random_tensor({2, 3, 4}, 2, low, high), int_tensor({0, 2})}),
          sample(Op{false}, {random_tensor({2, 3, 4}, 3, low, high), int_tensor({-1, 0})}),
          sample(Op{false}, {random_tensor({2, 3}, 4, low, high), int_tensor({1, 0})}),
          sample(Op{true}, {random_tensor({2, 3}, 5, low, high), int_tensor({})}),
          sample(Op{false}, {random_tensor({2, 3}, 6, low, high), int_scalar(1)}),
          sample(Op{true}, {random_tensor({3, 2}, 7, low, high, ElementType::f64), int_tensor({0})})};
}
Tensor table(std::initializer_list<float> v) {
  return Tensor::of<float>({2, 3}, v);
}
Tensor column(std::initializer_list<float> v) {
  return Tensor::of<float>({2}, v);
}
template <class Op>
Sample known(std::initializer_list<float> x, std::initializer_list<float> y) {
  return sample(Op{}, {table(x), int_tensor({1})}, {column(y)});
}
template <class Op>
Sample known_int(std::initializer_list<int32_t> x, std::initializer_list<int32_t> y) {
  return sample(Op{}, {Tensor::of<int32_t>({2, 3}, x), int_tensor({-1})}, {Tensor::of<int32_t>({2}, y)});
}
template <class Op>
Sample of_nothing(float value) {
  return sample(Op{}, {Tensor(ElementType::f32, {2, 0}), int_tensor({1})}, {column({value, value})});
}
// No columns: there is nothing to give, whatever is reduced.
template <class Op>
Sample of_no_columns() {
  return sample(Op{}, {Tensor(ElementType::f32, {2, 3, 0}), int_tensor({1})}, {Tensor(ElementType::f32, {2, 0})});
}
Samples joined(Samples a, Samples b) {
  for (Sample& s : b) a.push_back(std::move(s));
  return a;
}

}  // namespace

Types ReduceSum::infer(InferCtx& ctx) const {
  infer_content(ctx, [](const Dimension& a, const Dimension& b) { return a + b; });
  return infer_reduce(ctx, keep_dims);
}
void ReduceSum::eval(EvalCtx& ctx) const {
  eval_reduce<true>(
      ctx, keep_dims, [](auto z) { return z; }, [](auto a, auto v) { return wrapping_add(a, v); }, as_it_is);
}
void ReduceSum::grad(GradCtx& ctx) const {
  ctx.set(0, spread(ctx, with_axes(ctx, ctx.dout(), keep_dims)));
}
Samples ReduceSum::samples() {
  return joined(reduce_samples<ReduceSum>(), {known<ReduceSum>({1, 2, 3, 4, 5, 6}, {6, 15}),
                                              known_int<ReduceSum>({1, 2, -3, 2147483647, 1, 0}, {0, -2147483648}),
                                              of_nothing<ReduceSum>(0), of_no_columns<ReduceSum>()});
}
HONE_DEFINE_OP(ReduceSum)

Types ReduceMean::infer(InferCtx& ctx) const {
  return infer_reduce(ctx, keep_dims);
}
void ReduceMean::eval(EvalCtx& ctx) const {
  eval_reduce<true>(
      ctx, keep_dims, [](auto z) { return z; }, [](auto a, auto v) { return wrapping_add(a, v); },
      [&](auto a, size_t n) {
        if constexpr (std::is_integral_v<decltype(a)>) {
          if (n == 0) ctx.fail("the mean of no integers is not defined");
        }
        return a / static_cast<decltype(a)>(n);
      });
}
void ReduceMean::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value dy = with_axes(ctx, ctx.dout(), keep_dims);
  const PartialShape &x = ctx.input(0).shape(), &y = dy.shape();
  // Where the shapes are known the divisor is a number.
  Value count;
  if (x.is_static() && y.is_static()) {
    count = b.like(dy, static_cast<double>(element_count(x.to_shape())) /
                           static_cast<double>(std::max<int64_t>(1, element_count(y.to_shape()))));
  } else {
    const auto product = [&](Value v) { return b(ReduceProd{}, b(ShapeOf{}, v), b.ints({0})); };
    count = b(Convert{dy.element_type()}, b(Divide{}, product(ctx.input(0)), product(dy)));
  }
  ctx.set(0, spread(ctx, b(Divide{}, dy, count)));
}
Samples ReduceMean::samples() {
  return joined(reduce_samples<ReduceMean>(),
                {known<ReduceMean>({1, 2, 3, 4, 5, 7}, {2, 5.3333333f}),
                 known_int<ReduceMean>({1, 2, 5, -1, -2, -5}, {2, -2}), of_nothing<ReduceMean>(NAN)});
}
HONE_DEFINE_OP(ReduceMean)

Types ReduceMax::infer(InferCtx& ctx) const {
  infer_content(ctx, [](const Dimension& a, const Dimension& b) {
    return Dimension(std::max(a.min(), b.min()), std::max(a.max(), b.max()));
  });
  return infer_reduce(ctx, keep_dims);
}
void ReduceMax::eval(EvalCtx& ctx) const {
  eval_reduce<false>(
      ctx, keep_dims,
      [](auto z) {
        using T = decltype(z);
        if constexpr (std::is_floating_point_v<T>)
          return -std::numeric_limits<T>::infinity();
        else
          return std::numeric_limits<T>::min();
      },
      [](auto a, auto v) { return v > a || v != v ? v : a; }, as_it_is);
}
void ReduceMax::grad(GradCtx& ctx) const {
  grad_extreme(ctx, keep_dims);
}
Samples ReduceMax::samples() {
  return joined(reduce_samples<ReduceMax>(),
                {known<ReduceMax>({1, 3, 2, -4, -5, -6}, {3, -4}),
                 known_int<ReduceMax>({1, 2, -3, -7, -1, -9}, {2, -1}), of_nothing<ReduceMax>(-INFINITY)});
}
HONE_DEFINE_OP(ReduceMax)

Types ReduceMin::infer(InferCtx& ctx) const {
  infer_content(ctx, [](const Dimension& a, const Dimension& b) {
    return Dimension(std::min(a.min(), b.min()), std::min(a.max(), b.max()));
  });
  return infer_reduce(ctx, keep_dims);
}
void ReduceMin::eval(EvalCtx& ctx) const {
  eval_reduce<false>(
      ctx, keep_dims,
      [](auto z) {
        using T = decltype(z);
        if constexpr (std::is_floating_point_v<T>)
          return std::numeric_limits<T>::infinity();
        else
          return std::numeric_limits<T>::max();
      },
      [](auto a, auto v) { return v < a || v != v ? v : a; }, as_it_is);
}
void ReduceMin::grad(GradCtx& ctx) const {
  grad_extreme(ctx, keep_dims);
}
Samples ReduceMin::samples() {
  return joined(reduce_samples<ReduceMin>(),
                {known<ReduceMin>({1, 3, 2, -4, -5, -6}, {1, -6}),
                 known_int<ReduceMin>({1, 2, -3, -7, -1, -9}, {-3, -9}), of_nothing<ReduceMin>(INFINITY)});
}
HONE_DEFINE_OP(ReduceMin)

namespace {
void grad_extreme(GradCtx& ctx, bool keep_dims) {
  Builder& b = ctx.b;
  const Value x = ctx.input(0), y = with_axes(ctx, ctx.output(), keep_dims), dy = with_axes(ctx, ctx.dout(), keep_dims);
  const Value hit = b(Convert{x.element_type()}, b(Equal{}, x, y));
  const Value hits = b(ReduceSum{true}, hit, ctx.input(1));
  ctx.set(0, b(Multiply{}, hit, b(Divide{}, dy, hits)));
}
}  // namespace

Types ReduceProd::infer(InferCtx& ctx) const {
  infer_content(ctx, [](const Dimension& a, const Dimension& b) { return a * b; });
  return infer_reduce(ctx, keep_dims);
}
void ReduceProd::eval(EvalCtx& ctx) const {
  eval_reduce<true>(
      ctx, keep_dims, [](auto z) { return static_cast<decltype(z)>(1); },
      [](auto a, auto v) { return wrapping_multiply(a, v); }, as_it_is);
}
void ReduceProd::grad(GradCtx& ctx) const {
  // dy * y / x; not defined where an element is zero.
  Builder& b = ctx.b;
  const Value product = b(Multiply{}, with_axes(ctx, ctx.dout(), keep_dims), with_axes(ctx, ctx.output(), keep_dims));
  ctx.set(0, b(Divide{}, product, ctx.input(0)));
}
Samples ReduceProd::samples() {
  return joined(reduce_samples<ReduceProd>(0.5, 2),
                {known<ReduceProd>({1, 3, 2, -4, -5, -6}, {6, -120}),
                 known_int<ReduceProd>({1, 2, -3, 65536, 65536, 1}, {-6, 0}), of_nothing<ReduceProd>(1)});
}
HONE_DEFINE_OP(ReduceProd)

Types ReduceL1::infer(InferCtx& ctx) const {
  return infer_reduce(ctx, keep_dims);
}
void ReduceL1::eval(EvalCtx& ctx) const {
  eval_reduce<true>(
      ctx, keep_dims, [](auto z) { return z; },
      [](auto a, auto v) { return wrapping_add(a, v < 0 ? static_cast<decltype(v)>(-v) : v); }, as_it_is);
}
void ReduceL1::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.b(Multiply{}, with_axes(ctx, ctx.dout(), keep_dims), ctx.b(Sign{}, ctx.input(0))));
}
Samples ReduceL1::samples() {
  return joined(reduce_samples<ReduceL1>(),
                {known<ReduceL1>({1, -3, 2, -4, -5, 6}, {6, 15}), known_int<ReduceL1>({1, 2, -3, -7, 0, 0}, {6, 7}),
                 of_nothing<ReduceL1>(0)});
}
HONE_DEFINE_OP(ReduceL1)

Types ReduceL2::infer(InferCtx& ctx) const {
  return infer_reduce(ctx, keep_dims);
}
void ReduceL2::eval(EvalCtx& ctx) const {
  eval_reduce<true>(
      ctx, keep_dims, [](auto z) { return z; }, [](auto a, auto v) { return wrapping_add(a, wrapping_multiply(v, v)); },
      [](auto a, size_t) { return std::sqrt(static_cast<double>(a)); });
}
void ReduceL2::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value ratio = b(Divide{}, with_axes(ctx, ctx.dout(), keep_dims), with_axes(ctx, ctx.output(), keep_dims));
  ctx.set(0, b(Multiply{}, ratio, ctx.input(0)));
}
Samples ReduceL2::samples() {
  return joined(reduce_samples<ReduceL2>(), {known<ReduceL2>({3, -4, 0, 1, 2, -2}, {5, 3}),
                                             known_int<ReduceL2>({3, 4, 0, 1, 1, 1}, {5, 1}), of_nothing<ReduceL2>(0)});
}
HONE_DEFINE_OP(ReduceL2)

namespace {
template <class F>
void eval_logical(EvalCtx& ctx, bool keep_dims, bool start, F&& f) {
  const Tensor x = ctx.input(0).converted(ElementType::boolean);
  const auto reduced = reduced_axes(ctx, ctx.input(1).to_ints(), x.rank());
  Tensor y = ctx.output(0, ElementType::boolean, reduced_shape(x.shape(), reduced, keep_dims));
  bool* to = y.data<bool>();
  std::fill(to, to + y.size(), start);
  accumulate<bool>(x, reduced, to, f);
}
template <class Op>
Samples logical_samples(bool first, bool second, bool nothing) {
  const Tensor x = Tensor::of<bool>({2, 2}, {true, true, false, true});
  return {sample(Op{}, {x, int_tensor({1})}, {Tensor::of<bool>({2}, {first, second})}),
          sample(Op{true}, {x, int_tensor({0, -1})}),
          sample(Op{}, {Tensor(ElementType::boolean, {1, 0}), int_tensor({1})}, {Tensor::of<bool>({1}, {nothing})})};
}
}  // namespace

Types ReduceLogicalAnd::infer(InferCtx& ctx) const {
  return infer_reduce(ctx, keep_dims, ElementType::boolean);
}
void ReduceLogicalAnd::eval(EvalCtx& ctx) const {
  eval_logical(ctx, keep_dims, true, [](bool a, bool v) { return a && v; });
}
Samples ReduceLogicalAnd::samples() {
  return logical_samples<ReduceLogicalAnd>(true, false, true);
}
HONE_DEFINE_OP(ReduceLogicalAnd)

Types ReduceLogicalOr::infer(InferCtx& ctx) const {
  return infer_reduce(ctx, keep_dims, ElementType::boolean);
}
void ReduceLogicalOr::eval(EvalCtx& ctx) const {
  eval_logical(ctx, keep_dims, false, [](bool a, bool v) { return a || v; });
}
Samples ReduceLogicalOr::samples() {
  return logical_samples<ReduceLogicalOr>(true, true, false);
}
HONE_DEFINE_OP(ReduceLogicalOr)

Types CumSum::infer(InferCtx& ctx) const {
  const PartialShape& s = ctx.shape(0);
  const Tensor axis = ctx.constant(1);
  if (axis && s.rank_known()) {
    ctx.check(axis.size() == 1, "the axis is not one number");
    reduced_axes(ctx, axis.to_ints(), s.rank());
  }
  return {Type(ctx.element(0), s)};
}
void CumSum::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const std::vector<int64_t> axis = ctx.has(1) ? ctx.input(1).to_ints() : std::vector<int64_t>{0};
  if (axis.size() != 1) ctx.fail("the axis is not one number");
  const auto chosen = reduced_axes(ctx, axis, x.rank());
  const auto a = static_cast<size_t>(std::find(chosen.begin(), chosen.end(), true) - chosen.begin());
  const auto n = static_cast<size_t>(x.shape()[a]);
  size_t stride = 1;
  for (size_t k = a + 1; k < x.rank(); ++k) stride *= static_cast<size_t>(x.shape()[k]);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  if (x.size() == 0) return;
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    using Acc = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
    for (size_t line = 0; line < x.size() / n; ++line) {
      const size_t start = line / stride * n * stride + line % stride;
      Acc sum = 0;
      for (size_t i = 0; i < n; ++i) {
        const size_t at = start + (reverse ? n - 1 - i : i) * stride;
        const Acc next = sum + static_cast<Acc>(x.data<T>()[at]);
        y.data<T>()[at] = static_cast<T>(exclusive ? sum : next);
        sum = next;
      }
    }
  });
}
void CumSum::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.input(1) ? ctx.b(CumSum{exclusive, !reverse}, ctx.dout(), ctx.input(1))
                          : ctx.b(CumSum{exclusive, !reverse}, ctx.dout()));
}
Samples CumSum::samples() {
  const Tensor x = Tensor::of<float>({3}, {1, 2, 3});
  const auto y = [](float a, float b, float c) { return std::vector<Datum>{Tensor::of<float>({3}, {a, b, c})}; };
  return {sample(CumSum{}, {x, int_scalar(0)}, y(1, 3, 6)),
          sample(CumSum{true, false}, {x, int_scalar(0)}, y(0, 1, 3)),
          sample(CumSum{false, true}, {x, int_scalar(-1)}, y(6, 5, 3)),
          sample(CumSum{true, true}, {x, int_scalar(0)}, y(5, 3, 0)),
          sample(CumSum{false, true}, {random_tensor({2, 3, 2}, 1), int_scalar(1)}),
          sample(CumSum{}, {Tensor::of<int64_t>({2, 2}, {1, 2, 3, 4}), int_scalar(1)},
                 {Tensor::of<int64_t>({2, 2}, {1, 3, 3, 7})})};
}
HONE_DEFINE_OP(CumSum)

}  // namespace hone
