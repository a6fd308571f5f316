#include "ops/activation.hpp"

#include <cmath>
#include <limits>
#include <numbers>

#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/binary_family.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

Types infer_same(InferCtx& ctx) {
  const ElementType e = ctx.element(0);
  ctx.check(e != ElementType::boolean && e != ElementType::string, std::string("is not defined on ") + name_of(e));
  return {Type(e, ctx.shape(0))};
}
Types infer_float(InferCtx& ctx) {
  const ElementType e = ctx.element(0);
  ctx.check(is_float(e) || e == ElementType::dynamic, std::string("is not defined on ") + name_of(e));
  return {Type(e, ctx.shape(0))};
}

// `f` in double on the floating-point types.
template <class F>
void eval_real(EvalCtx& ctx, F&& f) {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    map_elements(x.data<T>(), y.data<T>(), x.size(), [&](T v) { return f(static_cast<double>(v)); });
  });
}

// A parameter of the formula given as an input: one number.
double parameter(EvalCtx& ctx, size_t i, double otherwise) {
  if (!ctx.has(i)) return otherwise;
  const Tensor& t = ctx.input(i);
  if (t.size() != 1) ctx.fail("input " + std::to_string(i) + " has " + std::to_string(t.size()) + " elements, not one");
  return get_element(t, 0);
}

double sigmoid(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}
double soft_plus(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

// Shorthand for gradients.
struct Expr {
  Builder& b;
  Value x;
  Value number(double v) const { return b.like(x, v); }
  Value mul(Value u, Value v) const { return b(Multiply{}, u, v); }
  Value mul(Value u, double v) const { return b(Multiply{}, u, number(v)); }
  Value add(Value u, Value v) const { return b(Add{}, u, v); }
  Value add(Value u, double v) const { return b(Add{}, u, number(v)); }
  Value sub(double u, Value v) const { return b(Subtract{}, number(u), v); }
  Value greater(Value u, double v) const { return b(Greater{}, u, number(v)); }
  Value less(Value u, double v) const { return b(Less{}, u, number(v)); }
  Value select(Value c, Value u, Value v) const { return b(Select{}, c, u, v); }
  Value select(Value c, Value u, double v) const { return b(Select{}, c, u, number(v)); }
};

Tensor floats(std::initializer_list<float> v) {
  return Tensor::of<float>({static_cast<int64_t>(v.size())}, v);
}
template <class Op>
Sample points(Op op, std::initializer_list<float> x, std::initializer_list<float> y) {
  return sample(std::move(op), {floats(x)}, {floats(y)});
}
template <class Op>
Samples with_random(Op op, Samples s) {
  s.push_back(sample(op, {random_tensor({2, 3, 2}, 77, -4.03, 3.97)}));
  s.push_back(sample(op, {random_tensor({5}, 78, -2, 2, ElementType::f64)}));
  s.push_back(sample(op, {random_tensor({3, 0}, 79)}));
  return s;
}

}  // namespace

Types Relu::infer(InferCtx& ctx) const {
  return infer_same(ctx);
}
void Relu::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    map_elements(x.data<T>(), y.data<T>(), x.size(), [](T v) { return v < 0 ? T(0) : v; });
  });
}
void Relu::grad(GradCtx& ctx) const {
  const Expr e{ctx.b, ctx.dout()};
  ctx.set(0, e.select(e.greater(ctx.output(), 0), ctx.dout(), 0));
}
Samples Relu::samples() {
  return with_random(
      Relu{}, {points(Relu{}, {-2, 0.5f, 3}, {0, 0.5f, 3}),
               sample(Relu{}, {Tensor::of<int8_t>({3}, {-128, 0, 127})}, {Tensor::of<int8_t>({3}, {0, 0, 127})})});
}
HONE_DEFINE_OP(Relu)

// The slope lies along the channel axis when it is a vector, else it is broadcast like NumPy.
static Shape slope_shape(const Shape& data, const Shape& slope) {
  if (slope.size() != 1 || data.size() < 2 || (slope[0] != data[1] && slope[0] == data.back())) return slope;
  Shape s(data.size() - 1, 1);
  s[0] = slope[0];
  return s;
}
Types PRelu::infer(InferCtx& ctx) const {
  return {infer_same(ctx)[0]};
}
void PRelu::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const Tensor slope = ctx.input(1).reshaped(slope_shape(x.shape(), ctx.input(1).shape()));
  if (slope.element_type() != x.element_type()) ctx.fail("the slope has another element type than the data");
  if (broadcast(x.shape(), slope.shape()) != x.shape())
    ctx.fail("slope " + to_string(slope.shape()) + " cannot be broadcast to " + to_string(x.shape()));
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    map_broadcast(x.data<T>(), x.shape(), slope.data<T>(), slope.shape(), y.data<T>(), y.shape(),
                  [](T v, T s) { return v < 0 ? v * s : v; });
  });
}
void PRelu::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value x = ctx.input(0), dy = ctx.dout();
  Value slope = ctx.input(1);
  if (!x.shape().rank_known() || !slope.shape().is_static())
    throw Error(ErrorCode::failed, "[PRelu] the gradient needs data of known rank and a slope of known shape");
  // The slope with the axes it has after broadcasting; only sizes at its axis matter.
  const Shape from = slope.shape().to_shape();
  Shape data;
  for (const Dimension& d : x.shape()) data.push_back(d.is_static() ? d.get_length() : -1);
  const Shape spread = slope_shape(data, from);
  if (spread != from) slope = b(Reshape{}, slope, b.ints(spread));
  const Expr e{b, x};
  const Value below = e.less(x, 0);
  if (ctx.needs(0)) ctx.set(0, e.select(below, e.mul(dy, slope), dy));
  if (ctx.needs(1)) {
    Value g = b(SumToShape{}, e.select(below, e.mul(dy, x), 0), b.ints(spread));
    if (spread != from) g = b(Reshape{}, g, b.ints(from));
    ctx.set(1, g);
  }
}
Samples PRelu::samples() {
  return {sample(PRelu{}, {floats({-2, 3, -1, 0.5f}).reshaped({1, 2, 2}), floats({0.5f, 0.25f})},
                 {floats({-1, 3, -0.25f, 0.5f}).reshaped({1, 2, 2})}),
          sample(PRelu{}, {random_tensor({2, 3, 4}, 1), random_tensor({1}, 2)}),
          sample(PRelu{}, {random_tensor({2, 3, 2, 2}, 1), random_tensor({3}, 2)}),
          sample(PRelu{}, {random_tensor({2, 3, 2}, 1), random_tensor({3, 2}, 2)}),
          sample(PRelu{}, {random_tensor({4}, 1), random_tensor({4}, 2)})};
}
HONE_DEFINE_OP(PRelu)

Types Elu::infer(InferCtx& ctx) const {
  return infer_float(ctx);
}
void Elu::eval(EvalCtx& ctx) const {
  eval_real(ctx, [&](double x) { return x < 0 ? alpha * std::expm1(x) : x; });
}
void Elu::grad(GradCtx& ctx) const {
  const Expr e{ctx.b, ctx.input(0)};
  const Value below = e.less(ctx.input(0), 0);
  ctx.set(0, e.mul(ctx.dout(), e.select(below, e.add(ctx.output(), alpha), 1)));
}
Samples Elu::samples() {
  return with_random(Elu{0.5}, {points(Elu{}, {-1, 0.5f, 2}, {-0.63212056f, 0.5f, 2})});
}
HONE_DEFINE_OP(Elu)

Types Gelu::infer(InferCtx& ctx) const {
  return infer_float(ctx);
}
void Gelu::eval(EvalCtx& ctx) const {
  if (approximation_mode == GeluMode::erf) {
    eval_real(ctx, [](double x) { return 0.5 * x * (1 + std::erf(x * std::numbers::sqrt2 / 2)); });
  } else {
    const double c = std::sqrt(2 / std::numbers::pi);
    eval_real(ctx, [c](double x) { return 0.5 * x * (1 + std::tanh(c * (x + 0.044715 * x * x * x))); });
  }
}
void Gelu::grad(GradCtx& ctx) const {
  const Value x = ctx.input(0);
  const Expr e{ctx.b, x};
  const Value square = e.mul(x, x);
  if (approximation_mode == GeluMode::erf) {
    // The normal distribution plus x times its density.
    const Value distribution = e.mul(e.add(ctx.b(Erf{}, e.mul(x, std::numbers::sqrt2 / 2)), 1), 0.5);
    const Value density = e.mul(ctx.b(Exp{}, e.mul(square, -0.5)), std::numbers::inv_sqrtpi * std::numbers::sqrt2 / 2);
    ctx.set(0, e.mul(ctx.dout(), e.add(distribution, e.mul(x, density))));
    return;
  }
  const double c = std::sqrt(2 / std::numbers::pi);
  const Value t = ctx.b(Tanh{}, e.mul(x, e.add(e.mul(square, 0.044715 * c), c)));
  const Value inner = e.add(e.mul(square, 3 * 0.044715 * c), c);
  const Value slope = e.mul(e.add(e.add(t, 1), e.mul(e.mul(x, inner), e.sub(1, e.mul(t, t)))), 0.5);
  ctx.set(0, e.mul(ctx.dout(), slope));
}
Samples Gelu::samples() {
  return with_random(Gelu{GeluMode::tanh},
                     {points(Gelu{}, {-1, 0, 0.5f, 2}, {-0.15865525f, 0, 0.34573123f, 1.9544997f}),
                      points(Gelu{GeluMode::tanh}, {-1, 0, 0.5f, 2}, {-0.15880801f, 0, 0.34571400f, 1.9545977f}),
                      sample(Gelu{}, {random_tensor({3, 4}, 5, -3, 3)})});
}
HONE_DEFINE_OP(Gelu)

Types HSwish::infer(InferCtx& ctx) const {
  return infer_float(ctx);
}
void HSwish::eval(EvalCtx& ctx) const {
  eval_real(ctx, [](double x) { return x * std::min(std::max(x + 3, 0.0), 6.0) / 6; });
}
void HSwish::grad(GradCtx& ctx) const {
  const Value x = ctx.input(0);
  const Expr e{ctx.b, x};
  const Value inside = e.add(e.mul(x, 1.0 / 3), 0.5);
  const Value slope = e.select(e.greater(x, 3), e.number(1), e.select(e.less(x, -3), e.number(0), inside));
  ctx.set(0, e.mul(ctx.dout(), slope));
}
Samples HSwish::samples() {
  return with_random(HSwish{}, {points(HSwish{}, {-4, -1, 0.5f, 2, 5}, {0, -0.33333333f, 0.29166667f, 1.6666667f, 5})});
}
HONE_DEFINE_OP(HSwish)

Types HSigmoid::infer(InferCtx& ctx) const {
  return infer_float(ctx);
}
void HSigmoid::eval(EvalCtx& ctx) const {
  eval_real(ctx, [](double x) { return std::min(std::max(x + 3, 0.0), 6.0) / 6; });
}
void HSigmoid::grad(GradCtx& ctx) const {
  const Value x = ctx.input(0);
  const Expr e{ctx.b, x};
  const Value inside = e.less(ctx.b(Abs{}, x), 3);
  ctx.set(0, e.select(inside, e.mul(ctx.dout(), 1.0 / 6), 0));
}
Samples HSigmoid::samples() {
  return with_random(HSigmoid{},
                     {points(HSigmoid{}, {-4, -1, 0.5f, 2, 5}, {0, 0.33333333f, 0.58333333f, 0.83333333f, 1})});
}
HONE_DEFINE_OP(HSigmoid)

Types Swish::infer(InferCtx& ctx) const {
  return infer_float(ctx);
}
void Swish::eval(EvalCtx& ctx) const {
  const double beta = parameter(ctx, 1, 1);
  eval_real(ctx, [beta](double x) { return x * sigmoid(beta * x); });
}
void Swish::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value x = ctx.input(0), beta = ctx.input(1);
  const Expr e{b, x};
  const Value z = beta ? e.mul(x, beta) : x;
  const Value s = b(Sigmoid{}, z);
  // d/dx = s + z s (1 - s), d/dbeta = x^2 s (1 - s)
  const Value bend = e.mul(s, e.sub(1, s));
  if (ctx.needs(0)) ctx.set(0, e.mul(ctx.dout(), e.add(s, e.mul(z, bend))));
  if (ctx.needs(1)) ctx.set(1, b(SumToShape{}, e.mul(ctx.dout(), e.mul(e.mul(x, x), bend)), b(ShapeOf{}, beta)));
}
Samples Swish::samples() {
  return with_random(Swish{}, {points(Swish{}, {-1, 0, 2}, {-0.26894143f, 0, 1.7615942f}),
                               sample(Swish{}, {random_tensor({2, 3}, 1), float_scalar(1.7f)})});
}
HONE_DEFINE_OP(Swish)

Types Sigmoid::infer(InferCtx& ctx) const {
  return infer_float(ctx);
}
void Sigmoid::eval(EvalCtx& ctx) const {
  eval_real(ctx, sigmoid);
}
void Sigmoid::grad(GradCtx& ctx) const {
  const Value y = ctx.output();
  const Expr e{ctx.b, y};
  ctx.set(0, e.mul(ctx.dout(), e.mul(y, e.sub(1, y))));
}
Samples Sigmoid::samples() {
  Sample far = points(Sigmoid{}, {-1000, 1000}, {0, 1});
  return with_random(Sigmoid{}, {points(Sigmoid{}, {-1, 0, 2}, {0.26894142f, 0.5f, 0.88079708f}), far});
}
HONE_DEFINE_OP(Sigmoid)

Types Tanh::infer(InferCtx& ctx) const {
  return infer_float(ctx);
}
void Tanh::eval(EvalCtx& ctx) const {
  eval_real(ctx, [](double x) { return std::tanh(x); });
}
void Tanh::grad(GradCtx& ctx) const {
  const Value y = ctx.output();
  const Expr e{ctx.b, y};
  ctx.set(0, e.mul(ctx.dout(), e.sub(1, e.mul(y, y))));
}
Samples Tanh::samples() {
  return with_random(Tanh{}, {points(Tanh{}, {-1, 0, 2}, {-0.76159416f, 0, 0.96402758f})});
}
HONE_DEFINE_OP(Tanh)

Types Clamp::infer(InferCtx& ctx) const {
  ctx.check(min <= max, "min " + std::to_string(min) + " is above max " + std::to_string(max));
  return infer_same(ctx);
}
void Clamp::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    T low, high;
    if constexpr (std::is_floating_point_v<T>) {
      low = static_cast<T>(min);
      high = static_cast<T>(max);
    } else {
      // The integers inside [min, max], as far as the type reaches.
      const auto saturate = [](double v) {
        if (v <= static_cast<double>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
        return v >= static_cast<double>(std::numeric_limits<T>::max()) ? std::numeric_limits<T>::max()
                                                                       : static_cast<T>(v);
      };
      low = saturate(std::ceil(min));
      high = saturate(std::floor(max));
    }
    map_elements(x.data<T>(), y.data<T>(), x.size(), [&](T v) { return v < low ? low : v > high ? high : v; });
  });
}
void Clamp::grad(GradCtx& ctx) const {
  const Value x = ctx.input(0);
  const Expr e{ctx.b, x};
  Value g = ctx.dout();
  if (max < std::numeric_limits<float>::max()) g = e.select(e.less(x, max), g, 0);
  if (min > std::numeric_limits<float>::lowest()) g = e.select(e.greater(x, min), g, 0);
  ctx.set(0, g);
}
Samples Clamp::samples() {
  return with_random(
      Clamp{0, 6},
      {points(Clamp{-1, 2}, {-2, 0.5f, 3}, {-1, 0.5f, 2}),
       sample(Clamp{-1.5, 2.5}, {Tensor::of<int32_t>({4}, {-3, -1, 2, 3})}, {Tensor::of<int32_t>({4}, {-1, -1, 2, 2})}),
       sample(Clamp{-10, 300}, {Tensor::of<uint8_t>({2}, {0, 255})}, {Tensor::of<uint8_t>({2}, {0, 255})})});
}
HONE_DEFINE_OP(Clamp)

Types SoftPlus::infer(InferCtx& ctx) const {
  return infer_float(ctx);
}
void SoftPlus::eval(EvalCtx& ctx) const {
  eval_real(ctx, soft_plus);
}
void SoftPlus::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.b(Multiply{}, ctx.dout(), ctx.b(Sigmoid{}, ctx.input(0))));
}
Samples SoftPlus::samples() {
  return with_random(SoftPlus{}, {points(SoftPlus{}, {-1, 0, 2, 100}, {0.31326169f, 0.69314718f, 2.1269280f, 100})});
}
HONE_DEFINE_OP(SoftPlus)

Types SoftSign::infer(InferCtx& ctx) const {
  return infer_float(ctx);
}
void SoftSign::eval(EvalCtx& ctx) const {
  eval_real(ctx, [](double x) { return x / (1 + std::fabs(x)); });
}
void SoftSign::grad(GradCtx& ctx) const {
  const Expr e{ctx.b, ctx.input(0)};
  const Value d = e.add(ctx.b(Abs{}, ctx.input(0)), 1);
  ctx.set(0, ctx.b(Divide{}, ctx.dout(), e.mul(d, d)));
}
Samples SoftSign::samples() {
  return with_random(SoftSign{}, {points(SoftSign{}, {-1, 0.5f, 3}, {-0.5f, 0.33333333f, 0.75f})});
}
HONE_DEFINE_OP(SoftSign)

Types Mish::infer(InferCtx& ctx) const {
  return infer_float(ctx);
}
void Mish::eval(EvalCtx& ctx) const {
  eval_real(ctx, [](double x) { return x * std::tanh(soft_plus(x)); });
}
void Mish::grad(GradCtx& ctx) const {
  const Value x = ctx.input(0);
  const Expr e{ctx.b, x};
  const Value t = ctx.b(Tanh{}, ctx.b(SoftPlus{}, x));
  const Value bend = e.mul(e.sub(1, e.mul(t, t)), ctx.b(Sigmoid{}, x));
  ctx.set(0, e.mul(ctx.dout(), e.add(t, e.mul(x, bend))));
}
Samples Mish::samples() {
  return with_random(Mish{}, {points(Mish{}, {-1, 0, 2}, {-0.30340147f, 0, 1.9439590f})});
}
HONE_DEFINE_OP(Mish)

Types HardSigmoid::infer(InferCtx& ctx) const {
  return infer_float(ctx);
}
void HardSigmoid::eval(EvalCtx& ctx) const {
  const double alpha = parameter(ctx, 1, 0.2), beta = parameter(ctx, 2, 0.5);
  eval_real(ctx, [=](double x) { return std::max(0.0, std::min(1.0, alpha * x + beta)); });
}
void HardSigmoid::grad(GradCtx& ctx) const {
  const Value y = ctx.output(), alpha = ctx.input(1);
  const Expr e{ctx.b, y};
  Value g = e.select(e.greater(y, 0), ctx.dout(), 0);
  g = e.select(e.less(y, 1), g, 0);
  if (ctx.needs(0)) ctx.set(0, alpha ? e.mul(g, alpha) : e.mul(g, 0.2));
  if (ctx.needs(1)) ctx.set(1, ctx.b(SumToShape{}, e.mul(g, ctx.input(0)), ctx.b(ShapeOf{}, alpha)));
  if (ctx.needs(2)) ctx.set(2, ctx.b(SumToShape{}, g, ctx.b(ShapeOf{}, ctx.input(2))));
}
Samples HardSigmoid::samples() {
  return {sample(HardSigmoid{}, {floats({-3, -1, 0.5f, 1.5f, 5}), float_scalar(0.25f), float_scalar(0.5f)},
                 {floats({0, 0.25f, 0.625f, 0.875f, 1})}),
          sample(HardSigmoid{}, {random_tensor({2, 3}, 1, -4, 4), float_scalar(0.2f), float_scalar(0.5f)})};
}
HONE_DEFINE_OP(HardSigmoid)

Types Selu::infer(InferCtx& ctx) const {
  return infer_float(ctx);
}
void Selu::eval(EvalCtx& ctx) const {
  const double alpha = parameter(ctx, 1, 1.6732632423543772), lambda = parameter(ctx, 2, 1.0507009873554805);
  eval_real(ctx, [=](double x) { return lambda * (x > 0 ? x : alpha * std::expm1(x)); });
}
void Selu::grad(GradCtx& ctx) const {
  const Value x = ctx.input(0);
  const Expr e{ctx.b, x};
  const Value alpha = ctx.input(1) ? ctx.input(1) : e.number(1.6732632423543772),
              lambda = ctx.input(2) ? ctx.input(2) : e.number(1.0507009873554805);
  const Value above = e.greater(x, 0);
  // Below zero the slope is lambda * alpha * exp(x); exp of a positive x is not taken, as it may overflow.
  const Value grown = ctx.b(Exp{}, e.select(above, e.number(0), x));
  const Value g = e.mul(ctx.dout(), lambda);
  if (ctx.needs(0)) ctx.set(0, e.select(above, g, e.mul(g, e.mul(grown, alpha))));
  if (ctx.needs(1)) ctx.set(1, ctx.b(SumToShape{}, e.mul(g, e.add(grown, -1)), ctx.b(ShapeOf{}, alpha)));
  if (ctx.needs(2)) {
    const Value y = e.select(above, x, e.mul(e.add(grown, -1), alpha));
    ctx.set(2, ctx.b(SumToShape{}, e.mul(ctx.dout(), y), ctx.b(ShapeOf{}, lambda)));
  }
}
Samples Selu::samples() {
  return {sample(Selu{}, {floats({-1, 0.5f, 2}), float_scalar(1.6732632f), float_scalar(1.0507010f)},
                 {floats({-1.1113307f, 0.5253505f, 2.1014020f})}),
          sample(Selu{}, {random_tensor({2, 3}, 1, -3, 3), float_scalar(0.5f), float_scalar(2)})};
}
HONE_DEFINE_OP(Selu)

}  // namespace hone
