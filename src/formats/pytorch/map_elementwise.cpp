// Arithmetic, comparison and logic, element by element.
#include <cmath>
#include <limits>
#include <numbers>

#include "formats/pytorch/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

// The first argument of most operators: `self`, of newer ones `input` or `x`.
Value self(NodeContext& n) {
  return n.has("self") ? n.in("self") : n.has("input") ? n.in("input") : n.in("x");
}

// On integers the functions of analysis give floats.
Value floating(NodeContext& n) {
  const Value x = self(n);
  return is_float(x.element_type()) ? x : n.cast(x, n.out_type(0, ElementType::f32));
}

template <class Op>
Values unary(NodeContext& n) {
  return {n(Op{}, self(n))};
}
template <class Op>
Values function(NodeContext& n) {
  return {n(Op{}, floating(n))};
}
// Rounding leaves integers as they are.
template <class Op>
Values rounding(NodeContext& n) {
  const Value x = self(n);
  return {is_float(x.element_type()) ? n(Op{}, x) : x};
}

struct Operands {
  Value a, b;
};
Operands operands(NodeContext& n, ElementType t, const char* first = "self", const char* second = "other") {
  return {n.number(first, t), n.number(second, t)};
}
ElementType arithmetic_type(NodeContext& n, const char* first = "self", const char* second = "other") {
  return n.out_type(0, n.promoted(first, second));
}

template <class Op>
Values arithmetic(NodeContext& n) {
  const ElementType t = arithmetic_type(n);
  auto [a, b] = operands(n, t);
  if (n.has("alpha") && !(n.argument("alpha")->kind == Argument::Kind::integer && n.i("alpha") == 1))
    b = n(Multiply{}, b, n.number("alpha", t));
  if constexpr (std::is_same_v<Op, Add> || std::is_same_v<Op, Multiply>) {
    if (t == ElementType::boolean) {
      if constexpr (std::is_same_v<Op, Add>)
        return {n(LogicalOr{}, a, b)};
      else
        return {n(LogicalAnd{}, a, b)};
    }
  }
  return {n(Op{}, a, b)};
}
Values reversed_subtract(NodeContext& n) {
  const ElementType t = arithmetic_type(n);
  auto [a, b] = operands(n, t);
  if (n.has("alpha")) a = n(Multiply{}, a, n.number("alpha", t));
  return {n(Subtract{}, b, a)};
}

Value toward_zero(NodeContext& n, Value x) {
  return n(Select{}, n(Less{}, x, n.like(x, 0)), n(Ceiling{}, x), n(Floor{}, x));
}

Values divide(NodeContext& n) {
  const std::string mode = n.s("rounding_mode", "");
  const ElementType t = arithmetic_type(n);
  const auto [a, b] = operands(n, t);
  if (mode.empty()) return {n(Divide{}, a, b)};
  if (!is_float(t)) return {n(Divide{.m_pythondiv = mode == "floor"}, a, b)};
  const Value q = n(Divide{}, a, b);
  if (mode == "floor") return {n(Floor{}, q)};
  if (mode == "trunc") return {toward_zero(n, q)};
  n.fail("unknown rounding_mode '" + mode + "'");
}
Values floor_divide(NodeContext& n) {
  const ElementType t = arithmetic_type(n);
  const auto [a, b] = operands(n, t);
  if (!is_float(t)) return {n(Divide{.m_pythondiv = true}, a, b)};
  return {n(Floor{}, n(Divide{}, a, b))};
}

Values power(NodeContext& n) {
  const char* second = n.has("exponent") ? "exponent" : "other";
  const ElementType t = arithmetic_type(n, "self", second);
  const Argument* e = n.argument(second);
  if (e && e->kind == Argument::Kind::integer && e->integer == 2) {
    const Value x = n.number("self", t);
    return {n(Multiply{}, x, x)};
  }
  const auto [a, b] = operands(n, t, "self", second);
  return {n(Power{}, a, b)};
}

template <class Op>
Values comparison(NodeContext& n) {
  const ElementType t = n.promoted("self", "other");
  // Booleans compare as numbers.
  const auto [a, b] = operands(n, t == ElementType::boolean ? ElementType::i32 : t);
  return {n(Op{}, a, b)};
}
template <class Op>
Values logical(NodeContext& n) {
  const auto [a, b] = operands(n, ElementType::boolean);
  return {n(Op{}, a, b)};
}
template <class Bits, class Logic>
Values bitwise(NodeContext& n) {
  const ElementType t = arithmetic_type(n);
  const auto [a, b] = operands(n, t);
  if (t == ElementType::boolean) return {n(Logic{}, a, b)};
  return {n(Bits{}, a, b)};
}
Values bitwise_not(NodeContext& n) {
  const Value x = self(n);
  if (x.element_type() == ElementType::boolean) return {n(LogicalNot{}, x)};
  return {n(BitwiseNot{}, x)};
}
template <class Op>
Values shift(NodeContext& n) {
  const auto [a, b] = operands(n, arithmetic_type(n));
  return {n(Op{}, a, b)};
}
Values logical_not(NodeContext& n) {
  return {n(LogicalNot{}, n.cast(self(n), ElementType::boolean))};
}

Values absolute(NodeContext& n) {
  return {self(n).element_type() == ElementType::boolean ? self(n) : n(Abs{}, self(n))};
}
Values reciprocal(NodeContext& n) {
  const Value x = floating(n);
  return {n(Divide{}, n.like(x, 1), x)};
}
Values reciprocal_root(NodeContext& n) {
  const Value x = floating(n);
  return {n(Divide{}, n.like(x, 1), n(Sqrt{}, x))};
}
Values square(NodeContext& n) {
  const Value x = self(n);
  return {n(Multiply{}, x, x)};
}
Values exp2(NodeContext& n) {
  const Value x = floating(n);
  return {n(Power{}, n.like(x, 2), x)};
}
Values exp_minus_1(NodeContext& n) {
  // exp(x) - 1 = 2 sinh(x / 2) exp(x / 2) keeps its digits near zero.
  const Value x = floating(n), half = n(Multiply{}, x, n.like(x, 0.5));
  return {n(Multiply{}, n(Multiply{}, n(Sinh{}, half), n(Exp{}, half)), n.like(x, 2))};
}
Values log_of_1_plus(NodeContext& n) {
  // log(1 + x) = 2 atanh(x / (2 + x)), where the logarithm itself would lose the digits of a small x.
  const Value x = floating(n);
  const Value small = n(Multiply{}, n(Atanh{}, n(Divide{}, x, n(Add{}, x, n.like(x, 2)))), n.like(x, 2));
  return {n(Select{}, n(Less{}, n(Abs{}, x), n.like(x, 0.5)), small, n(Log{}, n(Add{}, x, n.like(x, 1))))};
}
template <int base>
Values log_base(NodeContext& n) {
  const Value x = floating(n);
  return {n(Multiply{}, n(Log{}, x), n.like(x, 1.0 / std::log(static_cast<double>(base))))};
}
Values erfc(NodeContext& n) {
  const Value x = floating(n);
  return {n(Subtract{}, n.like(x, 1), n(Erf{}, x))};
}
Values truncate(NodeContext& n) {
  const Value x = self(n);
  return {is_float(x.element_type()) ? toward_zero(n, x) : x};
}
Values fraction(NodeContext& n) {
  const Value x = self(n);
  return {n(Subtract{}, x, toward_zero(n, x))};
}
Values round_half_even(NodeContext& n) {
  const Value x = self(n);
  if (!is_float(x.element_type())) return {x};
  const int64_t decimals = n.i("decimals", 0);
  if (decimals == 0) return {n(Round{}, x)};
  const Value scale = n.like(x, std::pow(10.0, static_cast<double>(decimals)));
  return {n(Divide{}, n(Round{}, n(Multiply{}, x, scale)), scale)};
}
Values clamp(NodeContext& n) {
  const ElementType t = n.out_type(0, self(n).element_type());
  const Value x = n.cast(self(n), t);
  const Argument *low = n.argument("min"), *high = n.argument("max");
  const auto constant = [](const Argument* a) {
    return a && (a->kind == Argument::Kind::real || a->kind == Argument::Kind::integer);
  };
  const auto value = [](const Argument* a) {
    return a->kind == Argument::Kind::real ? a->real : static_cast<double>(a->integer);
  };
  if (is_float(t) && constant(low) && constant(high) && value(low) <= value(high))
    return {n(Clamp{value(low), value(high)}, x)};
  Value y = x;
  if (n.has("min")) y = n(Maximum{}, y, n.number("min", t));
  if (n.has("max")) y = n(Minimum{}, y, n.number("max", t));
  return {y};
}
template <class Op, bool low>
Values clamp_one_side(NodeContext& n) {
  const ElementType t = n.out_type(0, self(n).element_type());
  return {n(Op{}, n.cast(self(n), t), n.number(low ? "min" : "max", t))};
}
Values where(NodeContext& n) {
  const Value condition = n.cast(n.in("condition"), ElementType::boolean);
  if (!n.has("self")) n.refuse("with a condition alone is written as nonzero; export it as torch.nonzero");
  const auto [a, b] = operands(n, arithmetic_type(n));
  return {n(Select{}, condition, a, b)};
}
// x + value * a * b, x + value * a / b
template <class Op>
Values add_combined(NodeContext& n) {
  const Value x = self(n);
  const ElementType t = n.out_type(0, x.element_type());
  Value y = n(Op{}, n.cast(n.in("tensor1"), t), n.cast(n.in("tensor2"), t));
  if (n.has("value")) y = n(Multiply{}, y, n.number("value", t));
  return {n(Add{}, n.cast(x, t), y)};
}
Values lerp(NodeContext& n) {
  const Value x = self(n), end = n.in("end");
  return {n(Add{}, x, n(Multiply{}, n.number("weight", x.element_type()), n(Subtract{}, end, x)))};
}
Values is_infinite(NodeContext& n) {
  return {n(IsInf{}, self(n))};
}
template <bool negative>
Values is_infinite_on_one_side(NodeContext& n) {
  return {n(IsInf{negative, !negative}, self(n))};
}
Values nan_to_num(NodeContext& n) {
  const Value x = self(n);
  const double most = x.element_type() == ElementType::f16 ? 65504.0 : std::numeric_limits<float>::max();
  Value y = n(Select{}, n(IsNaN{}, x), n.like(x, n.f("nan", 0)), x);
  y = n(Select{}, n(IsInf{false, true}, y), n.like(x, n.f("posinf", most)), y);
  return {n(Select{}, n(IsInf{true, false}, y), n.like(x, n.f("neginf", -most)), y)};
}
Values logit(NodeContext& n) {
  Value x = floating(n);
  if (n.has("eps")) x = n(Clamp{n.f("eps", 0), 1 - n.f("eps", 0)}, x);
  return {n(Log{}, n(Divide{}, x, n(Subtract{}, n.like(x, 1), x)))};
}
template <int per>
Values convert_angle(NodeContext& n) {
  const Value x = floating(n);
  return {n(Multiply{}, x, n.like(x, per == 180 ? 180 / std::numbers::pi : std::numbers::pi / 180))};
}
Values hypotenuse(NodeContext& n) {
  const auto [a, b] = operands(n, arithmetic_type(n));
  return {n(Sqrt{}, n(Add{}, n(Multiply{}, a, a), n(Multiply{}, b, b)))};
}
Values copy_sign(NodeContext& n) {
  const auto [a, b] = operands(n, arithmetic_type(n));
  const Value size = n(Abs{}, a);
  return {n(Select{}, n(Less{}, b, n.like(b, 0)), n(Negative{}, size), size)};
}
Values heaviside(NodeContext& n) {
  const Value x = self(n), zero = n.like(x, 0);
  return {n(Select{}, n(Equal{}, x, zero), n.cast(n.in("values"), x.element_type()),
            n.cast(n(Greater{}, x, zero), x.element_type()))};
}
Values sinc(NodeContext& n) {
  const Value x = floating(n), zero = n.like(x, 0), angle = n(Multiply{}, x, n.like(x, std::numbers::pi));
  const Value at_zero = n(Equal{}, x, zero);
  return {n(Select{}, at_zero, n.like(x, 1), n(Divide{}, n(Sin{}, angle), n(Select{}, at_zero, n.like(x, 1), angle)))};
}
// x log y, with 0 where x is 0.
Values x_log_y(NodeContext& n) {
  const auto [a, b] = operands(n, arithmetic_type(n));
  return {n(Select{}, n(Equal{}, a, n.like(a, 0)), n.like(a, 0), n(Multiply{}, a, n(Log{}, b)))};
}
Values log_add_exp(NodeContext& n) {
  const auto [a, b] = operands(n, arithmetic_type(n));
  // Finite, so that two infinities give one.
  const double most = std::numeric_limits<float>::max();
  const Value high = n(Clamp{-most, most}, n(Maximum{}, a, b));
  return {n(Add{}, high, n(Log{}, n(Add{}, n(Exp{}, n(Subtract{}, a, high)), n(Exp{}, n(Subtract{}, b, high)))))};
}
Values sign_bit(NodeContext& n) {
  const Value x = self(n);
  return {n(Less{}, x, n.like(x, 0))};
}
Values close(NodeContext& n) {
  const Value a = self(n), b = n.in("other");
  const Value allowed =
      n(Add{}, n.like(a, n.f("atol", 1e-8)), n(Multiply{}, n.like(a, n.f("rtol", 1e-5)), n(Abs{}, b)));
  return {n(LogicalOr{}, n(Equal{}, a, b), n(LessEqual{}, n(Abs{}, n(Subtract{}, a, b)), allowed))};
}

// Of real numbers: 0, or pi below 0.
Values angle(NodeContext& n) {
  const Value x = floating(n), y = n(Select{}, n(Less{}, x, n.like(x, 0)), n.like(x, std::numbers::pi), n.like(x, 0));
  return {n(Select{}, n(IsNaN{}, x), x, y)};
}
Values is_real(NodeContext& n) {
  return {n.filled(n.shape_of(self(n)), n.b.scalar<bool>(true))};
}
Values scaled_by_power(NodeContext& n) {
  const ElementType t = n.out_type(0, n.promoted("self", "other"));
  const Value e = n.number("other", t);
  return {n(Multiply{}, n.number("self", t), n(Power{}, n.like(e, 2), e))};
}
Values everywhere(NodeContext& n, Value same) {
  return {n(ReduceLogicalAnd{}, n.reshape(same, {-1}), n.ints_constant({0}))};
}
Values all_equal(NodeContext& n) {
  return everywhere(n, comparison<Equal>(n)[0]);
}
Values all_close(NodeContext& n) {
  return everywhere(n, close(n)[0]);
}

constexpr OperatorRow rows[] = {
    {"__and__", bitwise<BitwiseAnd, LogicalAnd>},
    {"__lshift__", shift<BitwiseLeftShift>},
    {"__or__", bitwise<BitwiseOr, LogicalOr>},
    {"__rshift__", shift<BitwiseRightShift>},
    {"__xor__", bitwise<BitwiseXor, LogicalXor>},
    {"_neg_view", unary<Negative>},
    {"abs", absolute},
    {"absolute", absolute},
    {"acos", function<Acos>},
    {"acosh", function<Acosh>},
    {"add", arithmetic<Add>},
    {"addcdiv", add_combined<Divide>},
    {"addcmul", add_combined<Multiply>},
    {"allclose", all_close},
    {"angle", angle},
    {"arccos", function<Acos>},
    {"arccosh", function<Acosh>},
    {"arcsin", function<Asin>},
    {"arcsinh", function<Asinh>},
    {"arctan", function<Atan>},
    {"arctan2", arithmetic<Atan2>},
    {"arctanh", function<Atanh>},
    {"asin", function<Asin>},
    {"asinh", function<Asinh>},
    {"atan", function<Atan>},
    {"atan2", arithmetic<Atan2>},
    {"atanh", function<Atanh>},
    {"bitwise_and", bitwise<BitwiseAnd, LogicalAnd>},
    {"bitwise_left_shift", shift<BitwiseLeftShift>},
    {"bitwise_not", bitwise_not},
    {"bitwise_or", bitwise<BitwiseOr, LogicalOr>},
    {"bitwise_right_shift", shift<BitwiseRightShift>},
    {"bitwise_xor", bitwise<BitwiseXor, LogicalXor>},
    {"ceil", rounding<Ceiling>},
    {"clamp", clamp},
    {"clamp_max", clamp_one_side<Minimum, false>},
    {"clamp_min", clamp_one_side<Maximum, true>},
    {"clip", clamp},
    {"copysign", copy_sign},
    {"cos", function<Cos>},
    {"cosh", function<Cosh>},
    {"deg2rad", convert_angle<1>},
    {"div", divide},
    {"divide", divide},
    {"eq", comparison<Equal>},
    {"equal", all_equal},
    {"erf", function<Erf>},
    {"erfc", erfc},
    {"exp", function<Exp>},
    {"exp2", exp2},
    {"expm1", exp_minus_1},
    {"fix", truncate},
    {"float_power", power},
    {"floor", rounding<Floor>},
    {"floor_divide", floor_divide},
    {"fmax", arithmetic<Maximum>},
    {"fmin", arithmetic<Minimum>},
    {"fmod", arithmetic<Mod>},
    {"frac", fraction},
    {"ge", comparison<GreaterEqual>},
    {"greater", comparison<Greater>},
    {"greater_equal", comparison<GreaterEqual>},
    {"gt", comparison<Greater>},
    {"heaviside", heaviside},
    {"hypot", hypotenuse},
    {"isclose", close},
    {"isfinite", unary<IsFinite>},
    {"isinf", is_infinite},
    {"isnan", unary<IsNaN>},
    {"isneginf", is_infinite_on_one_side<true>},
    {"isposinf", is_infinite_on_one_side<false>},
    {"isreal", is_real},
    {"ldexp", scaled_by_power},
    {"le", comparison<LessEqual>},
    {"lerp", lerp},
    {"less", comparison<Less>},
    {"less_equal", comparison<LessEqual>},
    {"log", function<Log>},
    {"log10", log_base<10>},
    {"log1p", log_of_1_plus},
    {"log2", log_base<2>},
    {"logaddexp", log_add_exp},
    {"logical_and", logical<LogicalAnd>},
    {"logical_not", logical_not},
    {"logical_or", logical<LogicalOr>},
    {"logical_xor", logical<LogicalXor>},
    {"logit", logit},
    {"lt", comparison<Less>},
    {"maximum", arithmetic<Maximum>},
    {"minimum", arithmetic<Minimum>},
    {"mul", arithmetic<Multiply>},
    {"multiply", arithmetic<Multiply>},
    {"nan_to_num", nan_to_num},
    {"ne", comparison<NotEqual>},
    {"neg", unary<Negative>},
    {"negative", unary<Negative>},
    {"not_equal", comparison<NotEqual>},
    {"pow", power},
    {"rad2deg", convert_angle<180>},
    {"reciprocal", reciprocal},
    {"remainder", arithmetic<FloorMod>},
    {"round", round_half_even},
    {"rsqrt", reciprocal_root},
    {"rsub", reversed_subtract},
    {"sgn", unary<Sign>},
    {"sign", unary<Sign>},
    {"signbit", sign_bit},
    {"sin", function<Sin>},
    {"sinc", sinc},
    {"sinh", function<Sinh>},
    {"special_erf", function<Erf>},
    {"special_erfc", erfc},
    {"special_exp2", exp2},
    {"special_expit", function<Sigmoid>},
    {"special_expm1", exp_minus_1},
    {"special_log1p", log_of_1_plus},
    {"special_logit", logit},
    {"special_round", round_half_even},
    {"special_sinc", sinc},
    {"special_xlogy", x_log_y},
    {"sqrt", function<Sqrt>},
    {"square", square},
    {"sub", arithmetic<Subtract>},
    {"subtract", arithmetic<Subtract>},
    {"tan", function<Tan>},
    {"tanh", function<Tanh>},
    {"true_divide", divide},
    {"trunc", truncate},
    {"where", where},
    {"xlogy", x_log_y},
};

}  // namespace

std::span<const OperatorRow> elementwise_rows() {
  return rows;
}

}  // namespace hone::pytorch
