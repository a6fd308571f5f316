#include "ops/unary.hpp"

#include <cmath>
#include <numbers>

#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"

namespace hone {
namespace {

Types infer_same(InferCtx& ctx) {
  ctx.check(ctx.element(0) != ElementType::boolean && ctx.element(0) != ElementType::string,
            std::string("is not defined on ") + name_of(ctx.element(0)));
  return {Type(ctx.element(0), ctx.shape(0))};
}

// `f` works on the element type itself.
template <class F>
void eval_exact(EvalCtx& ctx, F&& f) {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    map_elements(x.data<T>(), y.data<T>(), x.size(), f);
  });
}

// `f` works in double; integers take the rounded result.
template <class F>
void eval_real(EvalCtx& ctx, F&& f) {
  eval_exact(ctx, [&](auto v) {
    using T = decltype(v);
    const double r = f(static_cast<double>(v));
    if constexpr (std::is_floating_point_v<T>) {
      return static_cast<T>(r);
    } else {
      if (!(r > static_cast<double>(std::numeric_limits<T>::min())))
        return std::isnan(r) ? T(0) : std::numeric_limits<T>::min();
      return r >= static_cast<double>(std::numeric_limits<T>::max()) ? std::numeric_limits<T>::max()
                                                                     : static_cast<T>(std::nearbyint(r));
    }
  });
}

template <class Op>
Sample points(Op op, std::initializer_list<float> x, std::initializer_list<float> y = {}) {
  const auto n = static_cast<int64_t>(x.size());
  std::vector<Datum> expected;
  if (y.size()) expected.push_back(Tensor::of<float>({n}, y));
  return sample(std::move(op), {Tensor::of<float>({n}, x)}, std::move(expected));
}
template <class Op>
Sample integers(Op op, std::initializer_list<int32_t> x, std::initializer_list<int32_t> y) {
  return sample(std::move(op), {Tensor::of<int32_t>({static_cast<int64_t>(x.size())}, x)},
                {Tensor::of<int32_t>({static_cast<int64_t>(y.size())}, y)});
}

}  // namespace

// The gradient is dout * SLOPE, where x is the input and y the output.
#define HONE_UNARY(OP, VALUE, SLOPE)                                                              \
  Types OP::infer(InferCtx& ctx) const {                                                          \
    return infer_same(ctx);                                                                       \
  }                                                                                               \
  void OP::eval(EvalCtx& ctx) const {                                                             \
    eval_real(ctx, [](double x) { return VALUE; });                                               \
  }                                                                                               \
  void OP::grad(GradCtx& ctx) const {                                                             \
    Builder& b = ctx.b;                                                                           \
    [[maybe_unused]] const Value x = ctx.input(0), y = ctx.output();                              \
    [[maybe_unused]] const auto times = [&](Value u, Value v) { return b(Multiply{}, u, v); };    \
    [[maybe_unused]] const auto number = [&](double v) { return b.like(x, v); };                  \
    [[maybe_unused]] const auto over = [&](Value u) { return b(Divide{}, number(1), u); };        \
    [[maybe_unused]] const auto plus = [&](Value u, double v) { return b(Add{}, u, number(v)); }; \
    ctx.set(0, times(ctx.dout(), SLOPE));                                                         \
  }                                                                                               \
  HONE_DEFINE_OP(OP)

HONE_UNARY(Exp, std::exp(x), y)
HONE_UNARY(Log, std::log(x), over(x))
HONE_UNARY(Sqrt, std::sqrt(x), b(Divide{}, number(0.5), y))
HONE_UNARY(Sin, std::sin(x), b(Cos{}, x))
HONE_UNARY(Cos, std::cos(x), b(Negative{}, b(Sin{}, x)))
HONE_UNARY(Tan, std::tan(x), plus(times(y, y), 1))
HONE_UNARY(Asin, std::asin(x), over(b(Sqrt{}, b(Subtract{}, number(1), times(x, x)))))
HONE_UNARY(Acos, std::acos(x), b(Negative{}, over(b(Sqrt{}, b(Subtract{}, number(1), times(x, x))))))
HONE_UNARY(Atan, std::atan(x), over(plus(times(x, x), 1)))
HONE_UNARY(Sinh, std::sinh(x), b(Cosh{}, x))
HONE_UNARY(Cosh, std::cosh(x), b(Sinh{}, x))
HONE_UNARY(Asinh, std::asinh(x), over(b(Sqrt{}, plus(times(x, x), 1))))
HONE_UNARY(Acosh, std::acosh(x), over(b(Sqrt{}, plus(times(x, x), -1))))
HONE_UNARY(Atanh, std::atanh(x), over(b(Subtract{}, number(1), times(x, x))))
HONE_UNARY(Erf, std::erf(x), times(number(2 * std::numbers::inv_sqrtpi), b(Exp{}, b(Negative{}, times(x, x)))))
#undef HONE_UNARY

// Values from NumPy and SciPy in double precision.
Samples Exp::samples() {
  return {points(Exp{}, {-1, 0, 0.5f, 2}, {0.36787944f, 1, 1.6487213f, 7.3890561f}),
          sample(Exp{}, {random_tensor({2, 3}, 1, -2, 2, ElementType::f64)}),
          sample(Exp{}, {random_tensor({0, 3}, 1)})};
}
Samples Log::samples() {
  Sample edge = points(Log{}, {0, -1, INFINITY}, {-INFINITY, NAN, INFINITY});
  edge.check_gradient = false;
  return {points(Log{}, {0.25f, 1, 3}, {-1.3862944f, 0, 1.0986123f}), edge};
}
Samples Sqrt::samples() {
  return {points(Sqrt{}, {0.25f, 1, 2}, {0.5f, 1, 1.4142136f}), integers(Sqrt{}, {4, 7, 8, 0}, {2, 3, 3, 0})};
}
Samples Sin::samples() {
  return {points(Sin{}, {-1, 0, 2}, {-0.8414710f, 0, 0.9092974f})};
}
Samples Cos::samples() {
  return {points(Cos{}, {-1, 0.5f, 2}, {0.5403023f, 0.8775826f, -0.4161468f})};
}
Samples Tan::samples() {
  return {points(Tan{}, {-1, 0.5f, 1.2f}, {-1.5574077f, 0.5463025f, 2.5721516f})};
}
Samples Asin::samples() {
  return {points(Asin{}, {-0.75f, 0, 0.5f}, {-0.8480621f, 0, 0.5235988f})};
}
Samples Acos::samples() {
  return {points(Acos{}, {-0.75f, 0, 0.5f}, {2.4188584f, 1.5707963f, 1.0471976f})};
}
Samples Atan::samples() {
  return {points(Atan{}, {-2, 0, 0.5f}, {-1.1071487f, 0, 0.4636476f})};
}
Samples Sinh::samples() {
  return {points(Sinh{}, {-2, 0, 0.5f}, {-3.6268604f, 0, 0.5210953f})};
}
Samples Cosh::samples() {
  return {points(Cosh{}, {-2, 0.25f, 0.5f}, {3.7621957f, 1.0314131f, 1.1276260f})};
}
Samples Asinh::samples() {
  return {points(Asinh{}, {-2, 0, 0.5f}, {-1.4436355f, 0, 0.4812118f})};
}
Samples Acosh::samples() {
  return {points(Acosh{}, {1.5f, 2, 4}, {0.9624237f, 1.3169579f, 2.0634371f})};
}
Samples Atanh::samples() {
  return {points(Atanh{}, {-0.75f, 0, 0.5f}, {-0.9729551f, 0, 0.5493061f})};
}
Samples Erf::samples() {
  return {points(Erf{}, {-1, 0, 0.5f, 3}, {-0.8427008f, 0, 0.5204999f, 0.9999779f})};
}

Types Abs::infer(InferCtx& ctx) const {
  return infer_same(ctx);
}
void Abs::eval(EvalCtx& ctx) const {
  eval_exact(ctx, [](auto v) {
    if constexpr (std::is_unsigned_v<decltype(v)>)
      return v;
    else if constexpr (std::is_integral_v<decltype(v)>)
      return static_cast<decltype(v)>(v < 0 ? 0 - static_cast<uint64_t>(v) : static_cast<uint64_t>(v));
    else
      return std::fabs(v);
  });
}
void Abs::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.b(Multiply{}, ctx.dout(), ctx.b(Sign{}, ctx.input(0))));
}
Samples Abs::samples() {
  return {points(Abs{}, {-2, 3, -0.5f}, {2, 3, 0.5f}), integers(Abs{}, {-7, 7, 0}, {7, 7, 0}),
          sample(Abs{}, {Tensor::of<uint8_t>({2}, {200, 3})}, {Tensor::of<uint8_t>({2}, {200, 3})})};
}
HONE_DEFINE_OP(Abs)

Types Negative::infer(InferCtx& ctx) const {
  return infer_same(ctx);
}
void Negative::eval(EvalCtx& ctx) const {
  eval_exact(ctx, [](auto v) {
    if constexpr (std::is_integral_v<decltype(v)>)
      return static_cast<decltype(v)>(0 - static_cast<uint64_t>(v));
    else
      return -v;
  });
}
void Negative::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.b(Negative{}, ctx.dout()));
}
Samples Negative::samples() {
  return {points(Negative{}, {-2, 3, 0.5f}, {2, -3, -0.5f}), integers(Negative{}, {-7, 7, 0}, {7, -7, 0})};
}
HONE_DEFINE_OP(Negative)

#define HONE_STEP(OP, VALUE)                         \
  Types OP::infer(InferCtx& ctx) const {             \
    return infer_same(ctx);                          \
  }                                                  \
  void OP::eval(EvalCtx& ctx) const {                \
    eval_exact(ctx, [](auto x) {                     \
      if constexpr (std::is_integral_v<decltype(x)>) \
        return x;                                    \
      else                                           \
        return VALUE;                                \
    });                                              \
  }                                                  \
  HONE_DEFINE_OP(OP)
HONE_STEP(Floor, std::floor(x))
HONE_STEP(Ceiling, std::ceil(x))
#undef HONE_STEP
Samples Floor::samples() {
  return {points(Floor{}, {-1.5f, -1, 1.5f}, {-2, -1, 1}), integers(Floor{}, {-3}, {-3})};
}
Samples Ceiling::samples() {
  return {points(Ceiling{}, {-1.5f, -1, 1.5f}, {-1, -1, 2}), integers(Ceiling{}, {-3}, {-3})};
}

Types Sign::infer(InferCtx& ctx) const {
  return infer_same(ctx);
}
void Sign::eval(EvalCtx& ctx) const {
  eval_exact(ctx, [](auto v) {
    using T = decltype(v);
    if (v > 0) return T(1);
    if (v == 0) return T(0);
    if constexpr (std::is_signed_v<T>) {
      if (v < 0) return T(-1);
    }
    return v;  // NaN
  });
}
Samples Sign::samples() {
  return {points(Sign{}, {-2, 0, 0.5f, NAN}, {-1, 0, 1, NAN}), integers(Sign{}, {-7, 0, 9}, {-1, 0, 1})};
}
HONE_DEFINE_OP(Sign)

Types Round::infer(InferCtx& ctx) const {
  return infer_same(ctx);
}
void Round::eval(EvalCtx& ctx) const {
  eval_exact(ctx, [&](auto v) {
    if constexpr (std::is_integral_v<decltype(v)>)
      return v;
    else
      return mode == RoundMode::half_to_even ? std::nearbyint(v) : std::round(v);
  });
}
Samples Round::samples() {
  return {points(Round{}, {0.5f, 1.5f, -2.5f, 2.4f}, {0, 2, -2, 2}),
          points(Round{RoundMode::half_away_from_zero}, {0.5f, 1.5f, -2.5f, 2.4f}, {1, 2, -3, 2}),
          integers(Round{}, {5}, {5})};
}
HONE_DEFINE_OP(Round)

namespace {
template <class F>
void eval_test(EvalCtx& ctx, F&& f) {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, ElementType::boolean, x.shape());
  with_any_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    map_elements(x.data<T>(), y.data<bool>(), x.size(), [&](T v) {
      if constexpr (std::is_floating_point_v<T>)
        return f(v);
      else
        return f(0.0);
    });
  });
}
Types infer_test(InferCtx& ctx) {
  return {Type(ElementType::boolean, ctx.shape(0))};
}
Sample special(auto op, std::initializer_list<bool> expected) {
  return sample(op, {Tensor::of<float>({4}, {1, NAN, INFINITY, -INFINITY})}, {Tensor::of<bool>({4}, expected)});
}
}  // namespace

Types IsNaN::infer(InferCtx& ctx) const {
  return infer_test(ctx);
}
void IsNaN::eval(EvalCtx& ctx) const {
  eval_test(ctx, [](auto v) { return std::isnan(v); });
}
Samples IsNaN::samples() {
  return {special(IsNaN{}, {false, true, false, false})};
}
HONE_DEFINE_OP(IsNaN)

Types IsFinite::infer(InferCtx& ctx) const {
  return infer_test(ctx);
}
void IsFinite::eval(EvalCtx& ctx) const {
  eval_test(ctx, [](auto v) { return std::isfinite(v); });
}
Samples IsFinite::samples() {
  return {special(IsFinite{}, {true, false, false, false})};
}
HONE_DEFINE_OP(IsFinite)

Types IsInf::infer(InferCtx& ctx) const {
  return infer_test(ctx);
}
void IsInf::eval(EvalCtx& ctx) const {
  eval_test(ctx, [&](auto v) { return std::isinf(v) && (v > 0 ? detect_positive : detect_negative); });
}
Samples IsInf::samples() {
  return {special(IsInf{}, {false, false, true, true}),
          special(IsInf{.detect_negative = false}, {false, false, true, false}),
          special(IsInf{.detect_positive = false}, {false, false, false, true})};
}
HONE_DEFINE_OP(IsInf)

Types LogicalNot::infer(InferCtx& ctx) const {
  return infer_test(ctx);
}
void LogicalNot::eval(EvalCtx& ctx) const {
  const Tensor x = ctx.input(0).converted(ElementType::boolean);
  map_elements(x.data<bool>(), ctx.output(0, ElementType::boolean, x.shape()).data<bool>(), x.size(),
               [](bool v) { return !v; });
}
Samples LogicalNot::samples() {
  return {sample(LogicalNot{}, {Tensor::of<bool>({2}, {true, false})}, {Tensor::of<bool>({2}, {false, true})})};
}
HONE_DEFINE_OP(LogicalNot)

Types BitwiseNot::infer(InferCtx& ctx) const {
  const ElementType e = ctx.element(0);
  ctx.check(is_integer(e) || e == ElementType::boolean || e == ElementType::dynamic,
            std::string("is not defined on ") + name_of(e));
  return {Type(e, ctx.shape(0))};
}
void BitwiseNot::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  if (x.element_type() == ElementType::boolean) {
    map_elements(x.data<bool>(), y.data<bool>(), x.size(), [](bool v) { return !v; });
    return;
  }
  with_integer_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    map_elements(x.data<T>(), y.data<T>(), x.size(), [](T v) { return static_cast<T>(~v); });
  });
}
Samples BitwiseNot::samples() {
  return {integers(BitwiseNot{}, {5, -1}, {-6, 0}),
          sample(BitwiseNot{}, {Tensor::of<uint8_t>({1}, {200})}, {Tensor::of<uint8_t>({1}, {55})}),
          sample(BitwiseNot{}, {Tensor::of<bool>({2}, {true, false})}, {Tensor::of<bool>({2}, {false, true})})};
}
HONE_DEFINE_OP(BitwiseNot)

}  // namespace hone
