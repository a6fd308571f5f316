// Softmax and LogSoftmax: operators along one axis.
#include <cmath>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

Types infer_axis(InferCtx& ctx, int64_t axis) {
  const PartialShape& s = ctx.shape(0);
  if (s.rank_known()) {
    const auto rank = static_cast<int64_t>(s.rank());
    ctx.check(axis >= -rank && axis < rank, "axis " + std::to_string(axis) + " is outside of " + to_string(s));
  }
  const ElementType e = ctx.element(0);
  ctx.check(is_float(e) || e == ElementType::dynamic, std::string("is not defined on ") + name_of(e));
  return {Type(e, s)};
}

// Calls `f(x, y, n, stride)` for each line along the axis.
template <class F>
void eval_lines(EvalCtx& ctx, int64_t axis, F&& f) {
  const Tensor& x = ctx.input(0);
  const auto rank = static_cast<int64_t>(x.rank());
  if (axis < -rank || axis >= rank) ctx.fail("axis " + std::to_string(axis) + " is outside of " + to_string(x.shape()));
  const auto a = static_cast<size_t>(axis < 0 ? axis + rank : axis);
  const auto n = static_cast<size_t>(x.shape()[a]);
  size_t stride = 1;
  for (size_t k = a + 1; k < x.rank(); ++k) stride *= static_cast<size_t>(x.shape()[k]);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  if (x.size() == 0) return;
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for (size_t line = 0; line < x.size() / n; ++line) {
      const size_t start = line / stride * n * stride + line % stride;
      f(x.data<T>() + start, y.data<T>() + start, n, stride);
    }
  });
}

// Sum along the axis, kept with size one.
Value sum_along(Builder& b, Value v, int64_t axis) {
  return b(ReduceSum{true}, v, b.ints({axis}));
}

}  // namespace

Types Softmax::infer(InferCtx& ctx) const {
  return infer_axis(ctx, axis);
}
void Softmax::eval(EvalCtx& ctx) const {
  eval_lines(ctx, axis, [](const auto* x, auto* y, size_t n, size_t stride) {
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; ++i) top = std::max(top, static_cast<double>(x[i * stride]));
    for (size_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i * stride]) - top);
    for (size_t i = 0; i < n; ++i)
      y[i * stride] =
          static_cast<std::remove_reference_t<decltype(*y)>>(std::exp(static_cast<double>(x[i * stride]) - top) / sum);
  });
}
void Softmax::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value y = ctx.output(), weighted = b(Multiply{}, ctx.dout(), y);
  ctx.set(0, b(Subtract{}, weighted, b(Multiply{}, y, sum_along(b, weighted, axis))));
}
Samples Softmax::samples() {
  Sample large = sample(
      Softmax{1}, {Tensor::of<float>({2, 3}, {1, 2, 3, 1000, 1000, 1000})},
      {Tensor::of<float>({2, 3}, {0.09003057f, 0.24472847f, 0.66524096f, 0.33333333f, 0.33333333f, 0.33333333f})});
  large.check_gradient = false;  // central differences of numbers near 1000 are not exact in f32
  return {large, sample(Softmax{0}, {random_tensor({3, 2, 2}, 1, -3, 3)}),
          sample(Softmax{-1}, {random_tensor({2, 5}, 1, -3, 3)}),
          sample(Softmax{-2}, {random_tensor({2, 3, 2}, 1, -3, 3, ElementType::f64)}),
          sample(Softmax{1}, {random_tensor({2, 0}, 1)})};
}
HONE_DEFINE_OP(Softmax)

Types LogSoftmax::infer(InferCtx& ctx) const {
  return infer_axis(ctx, axis);
}
void LogSoftmax::eval(EvalCtx& ctx) const {
  eval_lines(ctx, axis, [](const auto* x, auto* y, size_t n, size_t stride) {
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; ++i) top = std::max(top, static_cast<double>(x[i * stride]));
    for (size_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i * stride]) - top);
    const double shift = top + std::log(sum);
    for (size_t i = 0; i < n; ++i)
      y[i * stride] = static_cast<std::remove_reference_t<decltype(*y)>>(static_cast<double>(x[i * stride]) - shift);
  });
}
void LogSoftmax::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value total = sum_along(b, ctx.dout(), axis);
  ctx.set(0, b(Subtract{}, ctx.dout(), b(Multiply{}, b(Exp{}, ctx.output()), total)));
}
Samples LogSoftmax::samples() {
  return {sample(LogSoftmax{1}, {Tensor::of<float>({1, 3}, {1, 2, 3})},
                 {Tensor::of<float>({1, 3}, {-2.4076059f, -1.4076060f, -0.4076060f})}),
          sample(LogSoftmax{0}, {random_tensor({3, 2, 2}, 1, -3, 3)}),
          sample(LogSoftmax{-1}, {random_tensor({2, 5}, 1, -3, 3)})};
}
HONE_DEFINE_OP(LogSoftmax)

}  // namespace hone
