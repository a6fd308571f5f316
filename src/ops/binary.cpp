// Arithmetic of two tensors; comparison and logic are in compare.cpp.
#include "ops/binary.hpp"

#include <cmath>
#include <limits>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary_family.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

enum class Arithmetic { add, subtract, multiply, divide, floor_divide, maximum, minimum, mod };

std::optional<int64_t> compute(Arithmetic op, int64_t a, int64_t b) {
  int64_t r = 0;
  switch (op) {
    case Arithmetic::add:
      return __builtin_add_overflow(a, b, &r) ? std::nullopt : std::optional(r);
    case Arithmetic::subtract:
      return __builtin_sub_overflow(a, b, &r) ? std::nullopt : std::optional(r);
    case Arithmetic::multiply:
      return __builtin_mul_overflow(a, b, &r) ? std::nullopt : std::optional(r);
    case Arithmetic::divide:
    case Arithmetic::floor_divide:
      if (b == 0 || b == -1) return b == 0 ? std::nullopt : compute(Arithmetic::subtract, 0, a);
      return a / b - (op == Arithmetic::floor_divide && a % b != 0 && (a < 0) != (b < 0));
    case Arithmetic::maximum:
      return std::max(a, b);
    case Arithmetic::minimum:
      return std::min(a, b);
    case Arithmetic::mod:
      if (b == 0 || b == -1) return b == 0 ? std::nullopt : std::optional<int64_t>(0);
      return a % b;
  }
  return std::nullopt;
}

Dimension compute(Arithmetic op, const Dimension& a, const Dimension& b) {
  switch (op) {
    case Arithmetic::add:
      return a + b;
    case Arithmetic::subtract:
      return a.same(b) ? Dimension(0) : a - b;
    case Arithmetic::multiply:
      return a * b;
    case Arithmetic::divide:
    case Arithmetic::floor_divide:
      if (a.symbol() && a.same(b) && a.min() > 0) return Dimension(1);
      return b.is_static() && b.min() > 0 ? a / b.min() : Dimension();
    case Arithmetic::maximum:
      return a.min() >= b.max() || a.same(b) ? a
             : b.min() >= a.max()            ? b
                                             : Dimension(std::max(a.min(), b.min()), std::max(a.max(), b.max()));
    case Arithmetic::minimum:
      return a.max() <= b.min() || a.same(b) ? a
             : b.max() <= a.min()            ? b
                                             : Dimension(std::min(a.min(), b.min()), std::min(a.max(), b.max()));
    case Arithmetic::mod:
      return Dimension();
  }
  return {};
}

// `small`: the elements are i32, in which a result may wrap around.
Dimension compute_element(Arithmetic op, const Known& a, size_t i, const Known& b, size_t j, bool small,
                          bool& possible) {
  if (a.numbers && b.numbers) {
    const auto r = compute(op, (*a.numbers)[i], (*b.numbers)[j]);
    if (!r || (small && *r != static_cast<int32_t>(*r))) possible = false;
    return r ? Dimension(*r, *r) : Dimension();
  }
  if (a.dims && b.dims) {
    const Dimension &x = (*a.dims)[i], &y = (*b.dims)[j];
    // A difference of dimensions may be negative, which a Dimension cannot say.
    if (op == Arithmetic::subtract && !x.same(y) && x.min() < y.max()) possible = false;
    return compute(op, x, y);
  }
  // A number below zero on one side only, or a side that is not known as numbers.
  const bool left = a.numbers.has_value();
  const int64_t n = left ? (*a.numbers)[i] : (*b.numbers)[j];
  const Dimension& d = left ? (*b.dims)[j] : (*a.dims)[i];
  if (op == Arithmetic::add && n < 0 && d.min() >= -n) return d - Dimension(-n);
  if (op == Arithmetic::subtract && !left && n < 0) return d + Dimension(-n);
  if (op == Arithmetic::maximum && n <= d.min()) return d;
  possible = false;
  return {};
}

void infer_content(InferCtx& ctx, Arithmetic op) {
  const PartialShape &sa = ctx.shape(0), &sb = ctx.shape(1);
  if (!sa.rank_known() || !sb.rank_known() || sa.rank() > 1 || sb.rank() > 1) return;
  const Known a = known_content(ctx, 0), b = known_content(ctx, 1);
  const bool small = ctx.element(0) == ElementType::i32;
  if (!a || !b) return;
  const size_t n = std::max(a.size(), b.size());
  if ((a.size() != n && a.size() != 1) || (b.size() != n && b.size() != 1)) return;
  std::vector<Dimension> out;
  bool possible = true;
  for (size_t i = 0; i < n; ++i)
    out.push_back(compute_element(op, a, a.size() == 1 ? 0 : i, b, b.size() == 1 ? 0 : i, small, possible));
  if (possible) ctx.set_content(0, std::move(out));
}

template <class F>
void eval_arithmetic(EvalCtx& ctx, AutoBroadcast rule, F&& f) {
  const Tensor &a = ctx.input(0), &b = ctx.input(1);
  Tensor y = ctx.output(0, a.element_type(), broadcast_operands(ctx, rule));
  with_numeric_type(ctx, a.element_type(), [&](auto zero) {
    using T = decltype(zero);
    map_broadcast(a.data<T>(), a.shape(), b.data<T>(), b.shape(), y.data<T>(), y.shape(), f);
  });
}

template <class T>
T integer_power(T base, T exponent) {
  if constexpr (std::is_signed_v<T>) {
    if (exponent < 0) return base == 1 ? T(1) : base == T(-1) ? (exponent % 2 ? T(-1) : T(1)) : T(0);
  }
  uint64_t result = 1, square = static_cast<uint64_t>(base);
  for (auto e = static_cast<uint64_t>(exponent); e; e >>= 1, square *= square) {
    if (e & 1) result *= square;
  }
  return static_cast<T>(result);
}

// Quotient toward zero and remainder; the one overflowing case (lowest / -1) wraps around.
template <class T>
T quotient(const EvalCtx& ctx, T a, T b) {
  if (b == 0) ctx.fail("integer division by zero");
  if constexpr (std::is_signed_v<T>) {
    if (b == T(-1)) return static_cast<T>(0 - static_cast<uint64_t>(a));
  }
  return static_cast<T>(a / b);
}
template <class T>
T remainder_of(const EvalCtx& ctx, T a, T b) {
  if (b == 0) ctx.fail("integer division by zero");
  if constexpr (std::is_signed_v<T>) {
    if (b == T(-1)) return 0;
  }
  return static_cast<T>(a % b);
}

Value trunc_of(Builder& b, Value x) {
  return b(Multiply{}, b(Sign{}, x), b(Floor{}, b(Abs{}, x)));
}

std::vector<Datum> ints(std::vector<int32_t> a, std::vector<int32_t> b) {
  const auto n = static_cast<int64_t>(a.size()), m = static_cast<int64_t>(b.size());
  return {Tensor::of<int32_t>({n}, std::span<const int32_t>(a)), Tensor::of<int32_t>({m}, std::span<const int32_t>(b))};
}
std::vector<Datum> ints(std::vector<int32_t> a) {
  return {Tensor::of<int32_t>({static_cast<int64_t>(a.size())}, std::span<const int32_t>(a))};
}
std::vector<Datum> floats(std::vector<float> a, std::vector<float> b) {
  const auto n = static_cast<int64_t>(a.size()), m = static_cast<int64_t>(b.size());
  return {Tensor::of<float>({n}, std::span<const float>(a)), Tensor::of<float>({m}, std::span<const float>(b))};
}
std::vector<Datum> floats(std::vector<float> a) {
  return {Tensor::of<float>({static_cast<int64_t>(a.size())}, std::span<const float>(a))};
}

}  // namespace

Types Add::infer(InferCtx& ctx) const {
  infer_content(ctx, Arithmetic::add);
  return infer_binary(ctx, auto_broadcast);
}
void Add::eval(EvalCtx& ctx) const {
  eval_arithmetic(ctx, auto_broadcast, [](auto a, auto b) {
    using W = Wrapping<decltype(a)>;
    return static_cast<decltype(a)>(static_cast<W>(a) + static_cast<W>(b));
  });
}
void Add::grad(GradCtx& ctx) const {
  for (size_t i = 0; i < 2; ++i) {
    if (ctx.needs(i)) ctx.set(i, ctx.unbroadcast(ctx.dout(), i));
  }
}
Samples Add::samples() {
  Samples s = broadcast_samples(Add{});
  s.push_back(sample(Add{}, ints({2147483647, -5}, {1, 2}), ints({-2147483648, -3})));
  return s;
}
HONE_DEFINE_OP(Add)

Types Subtract::infer(InferCtx& ctx) const {
  infer_content(ctx, Arithmetic::subtract);
  return infer_binary(ctx, auto_broadcast);
}
void Subtract::eval(EvalCtx& ctx) const {
  eval_arithmetic(ctx, auto_broadcast, [](auto a, auto b) {
    using W = Wrapping<decltype(a)>;
    return static_cast<decltype(a)>(static_cast<W>(a) - static_cast<W>(b));
  });
}
void Subtract::grad(GradCtx& ctx) const {
  if (ctx.needs(0)) ctx.set(0, ctx.unbroadcast(ctx.dout(), 0));
  if (ctx.needs(1)) ctx.set(1, ctx.unbroadcast(ctx.b(Negative{}, ctx.dout()), 1));
}
Samples Subtract::samples() {
  Samples s = broadcast_samples(Subtract{});
  s.push_back(sample(Subtract{}, ints({-2147483648, 5}, {1}), ints({2147483647, 4})));
  s.push_back(sample(Subtract{}, {Tensor::of<uint8_t>({2}, {3, 200}), Tensor::of<uint8_t>({2}, {5, 100})},
                     {Tensor::of<uint8_t>({2}, {254, 100})}));
  return s;
}
HONE_DEFINE_OP(Subtract)

Types Multiply::infer(InferCtx& ctx) const {
  infer_content(ctx, Arithmetic::multiply);
  return infer_binary(ctx, auto_broadcast);
}
void Multiply::eval(EvalCtx& ctx) const {
  eval_arithmetic(ctx, auto_broadcast, [](auto a, auto b) {
    using W = Wrapping<decltype(a)>;
    return static_cast<decltype(a)>(static_cast<W>(a) * static_cast<W>(b));
  });
}
void Multiply::grad(GradCtx& ctx) const {
  for (size_t i = 0; i < 2; ++i) {
    if (ctx.needs(i)) ctx.set(i, ctx.unbroadcast(ctx.b(Multiply{}, ctx.dout(), ctx.input(1 - i)), i));
  }
}
Samples Multiply::samples() {
  Samples s = broadcast_samples(Multiply{});
  s.push_back(sample(Multiply{}, ints({65536, -7}, {65536, 3}), ints({0, -21})));
  return s;
}
HONE_DEFINE_OP(Multiply)

Types Divide::infer(InferCtx& ctx) const {
  infer_content(ctx, m_pythondiv ? Arithmetic::floor_divide : Arithmetic::divide);
  return infer_binary(ctx, auto_broadcast);
}
void Divide::eval(EvalCtx& ctx) const {
  eval_arithmetic(ctx, auto_broadcast, [&](auto a, auto b) {
    using T = decltype(a);
    if constexpr (std::is_floating_point_v<T>) {
      return a / b;
    } else {
      const T q = quotient(ctx, a, b);
      if constexpr (std::is_signed_v<T>) {
        if (m_pythondiv && remainder_of(ctx, a, b) != 0 && (a < 0) != (b < 0)) return static_cast<T>(q - 1);
      }
      return q;
    }
  });
}
void Divide::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value over = b(Divide{}, ctx.dout(), ctx.input(1));
  if (ctx.needs(0)) ctx.set(0, ctx.unbroadcast(over, 0));
  if (ctx.needs(1)) ctx.set(1, ctx.unbroadcast(b(Negative{}, b(Multiply{}, over, ctx.output())), 1));
}
Samples Divide::samples() {
  Samples s = broadcast_samples(Divide{}, 0.5, 2);
  s.push_back(sample(Divide{}, ints({7, -7, 7, -7, 6, -2147483648}, {2, 2, -2, -2, -3, -1}),
                     ints({3, -4, -4, 3, -2, -2147483648})));
  s.push_back(sample(Divide{.m_pythondiv = false}, ints({7, -7, 7, -7}, {2, 2, -2, -2}), ints({3, -3, -3, 3})));
  Sample zero = sample(Divide{}, floats({1, -1, 0}, {0}), floats({INFINITY, -INFINITY, NAN}));
  zero.check_gradient = false;
  s.push_back(zero);
  return s;
}
HONE_DEFINE_OP(Divide)

Types Power::infer(InferCtx& ctx) const {
  return infer_binary(ctx, auto_broadcast);
}
void Power::eval(EvalCtx& ctx) const {
  eval_arithmetic(ctx, auto_broadcast, [](auto a, auto b) {
    if constexpr (std::is_integral_v<decltype(a)>)
      return integer_power(a, b);
    else
      return static_cast<decltype(a)>(std::pow(static_cast<double>(a), static_cast<double>(b)));
  });
}
void Power::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value x = ctx.input(0), e = ctx.input(1);
  if (ctx.needs(0)) {
    const Value slope = b(Multiply{}, e, b(Power{}, x, b(Subtract{}, e, b.like(e, 1))));
    ctx.set(0, ctx.unbroadcast(b(Multiply{}, ctx.dout(), slope), 0));
  }
  if (ctx.needs(1)) {
    // d/de x^e = x^e ln x; zero at x = 0, where x^e stays 0 for every e > 0.
    const Value zero = b.like(x, 0);
    const Value safe = b(Select{}, b(Equal{}, x, zero), b.like(x, 1), x);
    ctx.set(1, ctx.unbroadcast(b(Multiply{}, ctx.dout(), b(Multiply{}, ctx.output(), b(Log{}, safe))), 1));
  }
}
Samples Power::samples() {
  Samples s = broadcast_samples(Power{}, 0.5, 2);
  s.push_back(sample(Power{}, ints({2, -3, 0, 7, -1, 5}, {10, 3, 0, 0, -3, -1}), ints({1024, -27, 1, 1, -1, 0})));
  Sample negative = sample(Power{}, floats({-2, 3, 4}, {2, 0, 0.5f}), floats({4, 1, 2}));
  negative.differentiable = {0};
  s.push_back(negative);
  return s;
}
HONE_DEFINE_OP(Power)

Types Maximum::infer(InferCtx& ctx) const {
  infer_content(ctx, Arithmetic::maximum);
  return infer_binary(ctx, auto_broadcast);
}
void Maximum::eval(EvalCtx& ctx) const {
  // NaN wins, as in NumPy.
  eval_arithmetic(ctx, auto_broadcast, [](auto a, auto b) { return a > b || a != a ? a : b; });
}
void Maximum::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value first = b(GreaterEqual{}, ctx.input(0), ctx.input(1)), zero = b.like(ctx.dout(), 0);
  if (ctx.needs(0)) ctx.set(0, ctx.unbroadcast(b(Select{}, first, ctx.dout(), zero), 0));
  if (ctx.needs(1)) ctx.set(1, ctx.unbroadcast(b(Select{}, first, zero, ctx.dout()), 1));
}
Samples Maximum::samples() {
  Samples s = broadcast_samples(Maximum{});
  s.push_back(sample(Maximum{}, ints({3, -4, 7}, {1, 2, 7}), ints({3, 2, 7})));
  Sample nan = sample(Maximum{}, floats({NAN, 1, 2}, {1, NAN, 3}), floats({NAN, NAN, 3}));
  nan.check_gradient = false;
  s.push_back(nan);
  return s;
}
HONE_DEFINE_OP(Maximum)

Types Minimum::infer(InferCtx& ctx) const {
  infer_content(ctx, Arithmetic::minimum);
  return infer_binary(ctx, auto_broadcast);
}
void Minimum::eval(EvalCtx& ctx) const {
  eval_arithmetic(ctx, auto_broadcast, [](auto a, auto b) { return a < b || a != a ? a : b; });
}
void Minimum::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value first = b(LessEqual{}, ctx.input(0), ctx.input(1)), zero = b.like(ctx.dout(), 0);
  if (ctx.needs(0)) ctx.set(0, ctx.unbroadcast(b(Select{}, first, ctx.dout(), zero), 0));
  if (ctx.needs(1)) ctx.set(1, ctx.unbroadcast(b(Select{}, first, zero, ctx.dout()), 1));
}
Samples Minimum::samples() {
  Samples s = broadcast_samples(Minimum{});
  s.push_back(sample(Minimum{}, ints({3, -4, 7}, {1, 2, 7}), ints({1, -4, 7})));
  return s;
}
HONE_DEFINE_OP(Minimum)

Types SquaredDifference::infer(InferCtx& ctx) const {
  return infer_binary(ctx, auto_broadcast);
}
void SquaredDifference::eval(EvalCtx& ctx) const {
  eval_arithmetic(ctx, auto_broadcast, [](auto a, auto b) {
    using W = Wrapping<decltype(a)>;
    const W d = static_cast<W>(a) - static_cast<W>(b);
    return static_cast<decltype(a)>(d * d);
  });
}
void SquaredDifference::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value d = b(Multiply{}, b(Subtract{}, ctx.input(0), ctx.input(1)), b.like(ctx.input(0), 2));
  const Value g = b(Multiply{}, ctx.dout(), d);
  if (ctx.needs(0)) ctx.set(0, ctx.unbroadcast(g, 0));
  if (ctx.needs(1)) ctx.set(1, ctx.unbroadcast(b(Negative{}, g), 1));
}
Samples SquaredDifference::samples() {
  Samples s = broadcast_samples(SquaredDifference{});
  s.push_back(sample(SquaredDifference{}, ints({3, -4, 7}, {5, 2, 7}), ints({4, 36, 0})));
  return s;
}
HONE_DEFINE_OP(SquaredDifference)

Types Mod::infer(InferCtx& ctx) const {
  infer_content(ctx, Arithmetic::mod);
  return infer_binary(ctx, auto_broadcast);
}
void Mod::eval(EvalCtx& ctx) const {
  eval_arithmetic(ctx, auto_broadcast, [&](auto a, auto b) {
    if constexpr (std::is_floating_point_v<decltype(a)>)
      return std::fmod(a, b);
    else
      return remainder_of(ctx, a, b);
  });
}
void Mod::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  if (ctx.needs(0)) ctx.set(0, ctx.unbroadcast(ctx.dout(), 0));
  if (ctx.needs(1)) {
    const Value q = trunc_of(b, b(Divide{}, ctx.input(0), ctx.input(1)));
    ctx.set(1, ctx.unbroadcast(b(Negative{}, b(Multiply{}, ctx.dout(), q)), 1));
  }
}
Samples Mod::samples() {
  return {
      sample(Mod{}, floats({5.5f, -5.5f, 5.5f, -5.5f}, {2.5f, 2.5f, -2.5f, -2.5f}), floats({0.5f, -0.5f, 0.5f, -0.5f})),
      sample(Mod{}, ints({7, -7, 7, -7, -2147483648}, {3, 3, -3, -3, -1}), ints({1, -1, 1, -1, 0}))};
}
HONE_DEFINE_OP(Mod)

Types FloorMod::infer(InferCtx& ctx) const {
  infer_content(ctx, Arithmetic::mod);
  return infer_binary(ctx, auto_broadcast);
}
void FloorMod::eval(EvalCtx& ctx) const {
  eval_arithmetic(ctx, auto_broadcast, [&](auto a, auto b) {
    using T = decltype(a);
    T r;
    if constexpr (std::is_floating_point_v<T>)
      r = std::fmod(a, b);
    else
      r = remainder_of(ctx, a, b);
    return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
  });
}
void FloorMod::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  if (ctx.needs(0)) ctx.set(0, ctx.unbroadcast(ctx.dout(), 0));
  if (ctx.needs(1)) {
    const Value q = b(Floor{}, b(Divide{}, ctx.input(0), ctx.input(1)));
    ctx.set(1, ctx.unbroadcast(b(Negative{}, b(Multiply{}, ctx.dout(), q)), 1));
  }
}
Samples FloorMod::samples() {
  return {
      sample(FloorMod{}, floats({5.5f, -5.5f, 5.5f, -5.5f}, {2.5f, 2.5f, -2.5f, -2.5f}), floats({0.5f, 2, -2, -0.5f})),
      sample(FloorMod{}, ints({7, -7, 7, -7, 6}, {3, 3, -3, -3, 3}), ints({1, 2, -2, -1, 0}))};
}
HONE_DEFINE_OP(FloorMod)

Types Atan2::infer(InferCtx& ctx) const {
  return infer_binary(ctx, auto_broadcast);
}
void Atan2::eval(EvalCtx& ctx) const {
  const Tensor &a = ctx.input(0), &b = ctx.input(1);
  Tensor y = ctx.output(0, a.element_type(), broadcast_operands(ctx, auto_broadcast));
  with_float_type(ctx, a.element_type(), [&](auto zero) {
    using T = decltype(zero);
    map_broadcast(a.data<T>(), a.shape(), b.data<T>(), b.shape(), y.data<T>(), y.shape(),
                  [](T u, T v) { return std::atan2(static_cast<double>(u), static_cast<double>(v)); });
  });
}
void Atan2::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value y = ctx.input(0), x = ctx.input(1);
  const Value over = b(Divide{}, ctx.dout(), b(Add{}, b(Multiply{}, x, x), b(Multiply{}, y, y)));
  if (ctx.needs(0)) ctx.set(0, ctx.unbroadcast(b(Multiply{}, over, x), 0));
  if (ctx.needs(1)) ctx.set(1, ctx.unbroadcast(b(Negative{}, b(Multiply{}, over, y)), 1));
}
Samples Atan2::samples() {
  Samples s = broadcast_samples(Atan2{}, 0.5, 2);
  s.push_back(sample(Atan2{}, floats({1, -1, 1, -1}, {1, 1, -1, -1}),
                     floats({0.7853982f, -0.7853982f, 2.3561945f, -2.3561945f})));
  return s;
}
HONE_DEFINE_OP(Atan2)

}  // namespace hone
