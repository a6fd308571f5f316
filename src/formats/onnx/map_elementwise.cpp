// Elementwise operators and activations.
#include <cmath>
#include <limits>

#include "formats/onnx/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

template <class Op>
Values unary(NodeContext& n) {
  return {n(Op{}, n.in(0))};
}

// Before operator set 7 broadcasting was asked for by attributes: the second input is aligned at `axis` of the first.
Value legacy_operand(NodeContext& n) {
  Value y = n.in(1);
  if (n.version >= 7 || !n.i("broadcast", 0) || !n.has_attribute("axis")) return y;
  const int64_t axis = n.axis(n.i("axis"), n.in(0));
  const auto trailing = static_cast<int64_t>(n.rank(n.in(0))) - axis - static_cast<int64_t>(n.rank(y));
  if (trailing <= 0) return y;
  std::vector<int64_t> axes;
  for (int64_t k = 0; k < trailing; ++k) axes.push_back(static_cast<int64_t>(n.rank(y)) + k);
  return n.unsqueeze(y, axes);
}

template <class Op>
Values binary(NodeContext& n) {
  return {n(Op{}, n.in(0), legacy_operand(n))};
}

template <class Op>
Values variadic(NodeContext& n) {
  Value v = n.in(0);
  for (size_t i = 1; i < n.num_inputs(); ++i) v = n(Op{}, v, n.in(i));
  return {v};
}

Values mean(NodeContext& n) {
  const Value sum = variadic<Add>(n)[0];
  return {n(Divide{}, sum, n.like(sum, static_cast<double>(n.num_inputs())))};
}

Values divide(NodeContext& n) {
  return {n(Divide{.m_pythondiv = false}, n.in(0), legacy_operand(n))};
}

// The result has the type of the base; a fractional exponent of an integer base is not rounded first.
Values power(NodeContext& n) {
  const Value x = n.in(0), y = legacy_operand(n);
  const ElementType tx = x.element_type(), ty = y.element_type();
  if (tx == ty) return {n(Power{}, x, y)};
  if (is_float(tx)) return {n(Power{}, x, n.cast(y, tx))};
  if (is_float(ty)) return {n.cast(n(Power{}, n.cast(x, ty), y), tx)};
  return {n(Power{}, x, n.cast(y, tx))};
}

Values modulo(NodeContext& n) {
  if (n.i("fmod", 0)) return {n(Mod{}, n.in(0), n.in(1))};
  return {n(FloorMod{}, n.in(0), n.in(1))};
}

Values bit_shift(NodeContext& n) {
  const std::string direction = n.s("direction");
  if (direction == "LEFT") return {n(BitwiseLeftShift{}, n.in(0), n.in(1))};
  if (direction == "RIGHT") return {n(BitwiseRightShift{}, n.in(0), n.in(1))};
  n.fail("direction must be LEFT or RIGHT");
}

Values clip(NodeContext& n) {
  const Value x = n.in(0);
  Value low = n.opt(1), high = n.opt(2);
  if (n.version < 11) {
    low = high = {};
    constexpr double most = std::numeric_limits<float>::max();
    const double lo = n.f("min", -most), hi = n.f("max", most);
    if (lo > -most && hi < most && is_float(x.element_type())) return {n(Clamp{lo, hi}, x)};
    if (lo > -most) low = n.like(x, lo);
    if (hi < most) high = n.like(x, hi);
  } else if (is_float(x.element_type())) {
    const Tensor lo = n.constant(1), hi = n.constant(2);
    if (lo && hi && lo.size() == 1 && hi.size() == 1 && get_element(lo, 0) <= get_element(hi, 0)) {
      return {n(Clamp{get_element(lo, 0), get_element(hi, 0)}, x)};
    }
  }
  Value y = x;
  if (low) y = n(Maximum{}, y, low);
  if (high) y = n(Minimum{}, y, high);
  return {y};
}

Values leaky_relu(NodeContext& n) {
  const Value x = n.in(0);
  return {n(PRelu{}, x, n.like(x, n.f("alpha", 0.01)))};
}

Values prelu(NodeContext& n) {
  const Value x = n.in(0);
  Value slope = n.in(1);
  // A vector stands for channels in Hone and before operator set 7, for the last axis after it.
  if (n.version >= 7 && slope.shape().rank_known() && slope.shape().rank() == 1 &&
      !(slope.shape()[0] == Dimension(1)) && n.rank(x) != 1) {
    std::vector<int64_t> axes;
    for (size_t k = 0; k + 1 < n.rank(x); ++k) axes.push_back(static_cast<int64_t>(k));
    slope = n.unsqueeze(slope, axes);
  }
  return {n(PRelu{}, x, slope)};
}

Values elu(NodeContext& n) {
  return {n(Elu{n.f("alpha", 1.0)}, n.in(0))};
}

Values selu(NodeContext& n) {
  const Value x = n.in(0);
  const bool old = n.version < 6;
  return {n(Selu{}, x, n.like(x, n.f("alpha", old ? 1.6732 : 1.67326319217681884765625)),
            n.like(x, n.f("gamma", old ? 1.0507 : 1.05070102214813232421875)))};
}

Values celu(NodeContext& n) {
  const Value x = n.in(0), alpha = n.like(x, n.f("alpha", 1.0));
  return {n(Multiply{}, n(Elu{1.0}, n(Divide{}, x, alpha)), alpha)};
}

Values thresholded_relu(NodeContext& n) {
  const Value x = n.in(0);
  return {n(Select{}, n(Greater{}, x, n.like(x, n.f("alpha", 1.0))), x, n.like(x, 0))};
}

Values hard_sigmoid(NodeContext& n) {
  const Value x = n.in(0);
  return {n(HardSigmoid{}, x, n.like(x, n.f("alpha", 0.2)), n.like(x, n.f("beta", 0.5)))};
}

Values gelu(NodeContext& n) {
  const std::string mode = n.s("approximate", "none");
  if (mode != "none" && mode != "tanh") n.fail("approximate must be none or tanh");
  return {n(Gelu{mode == "tanh" ? GeluMode::tanh : GeluMode::erf}, n.in(0))};
}

Values swish(NodeContext& n) {
  const Value x = n.in(0);
  const double alpha = n.f("alpha", 1.0);
  return {alpha == 1.0 ? n(Swish{}, x) : n(Swish{}, x, n.like(x, alpha))};
}

Values shrink(NodeContext& n) {
  const Value x = n.in(0), lambda = n.like(x, n.f("lambd", 0.5)), minus = n.like(x, -n.f("lambd", 0.5)),
              bias = n.like(x, n.f("bias", 0.0));
  const Value low = n(Select{}, n(Less{}, x, minus), n(Add{}, x, bias), n.like(x, 0));
  return {n(Select{}, n(Greater{}, x, lambda), n(Subtract{}, x, bias), low)};
}

Values is_inf(NodeContext& n) {
  return {n(IsInf{n.i("detect_negative", 1) != 0, n.i("detect_positive", 1) != 0}, n.in(0))};
}
Values reciprocal(NodeContext& n) {
  return {n(Divide{}, n.like(n.in(0), 1), n.in(0))};
}
Values select(NodeContext& n) {
  return {n(Select{}, n.in(0), n.in(1), n.in(2))};
}
Values round_half_even(NodeContext& n) {
  return {n(Round{}, n.in(0))};
}

// Before operator set 13 the axes from `axis` on count as one: flatten them, apply, restore the shape.
template <class Apply>
Values along_axis(NodeContext& n, Apply apply) {
  const Value x = n.in(0);
  const int64_t given = n.i("axis", n.version < 13 ? 1 : -1);
  if (n.version >= 13 && !x.shape().rank_known()) return {apply(x, given)};
  const int64_t axis = n.axis(given, x);
  const auto rank = static_cast<int64_t>(n.rank(x));
  if (n.version >= 13 || axis == rank - 1) return {apply(x, axis)};
  std::vector<int64_t> flat(static_cast<size_t>(axis), 0);
  flat.push_back(-1);
  return {n(Reshape{}, apply(n.reshape(x, flat, true), axis), n.shape_of(x))};
}

Values softmax(NodeContext& n) {
  return along_axis(n, [&](Value x, int64_t axis) { return n(Softmax{axis}, x); });
}
Values log_softmax(NodeContext& n) {
  return along_axis(n, [&](Value x, int64_t axis) { return n(LogSoftmax{axis}, x); });
}
// 1 at the first maximum, 0 elsewhere.
Values hardmax(NodeContext& n) {
  return along_axis(n, [&](Value x, int64_t axis) {
    TopK top;
    top.axis = axis;
    top.index_element_type = ElementType::i64;
    top.stable = true;
    const Value first = n.squeeze(n.all(top, {x, n.int_constant(1)})[1], {axis});
    const Value depth = n.gather(n.shape_of(x), n.int_constant(axis), 0);
    return n(OneHot{axis}, first, depth, n.like(x, 1), n.like(x, 0));
  });
}

constexpr OperatorRow rows[] = {
    {"Abs", 1, unary<Abs>},
    {"Acos", 7, unary<Acos>},
    {"Acosh", 9, unary<Acosh>},
    {"Add", 1, binary<Add>},
    {"And", 1, binary<LogicalAnd>},
    {"Asin", 7, unary<Asin>},
    {"Asinh", 9, unary<Asinh>},
    {"Atan", 7, unary<Atan>},
    {"Atanh", 9, unary<Atanh>},
    {"BitShift", 11, bit_shift},
    {"BitwiseAnd", 18, binary<BitwiseAnd>},
    {"BitwiseNot", 18, unary<BitwiseNot>},
    {"BitwiseOr", 18, binary<BitwiseOr>},
    {"BitwiseXor", 18, binary<BitwiseXor>},
    {"Ceil", 1, unary<Ceiling>},
    {"Celu", 12, celu},
    {"Clip", 1, clip},
    {"Cos", 7, unary<Cos>},
    {"Cosh", 9, unary<Cosh>},
    {"Div", 1, divide},
    {"Elu", 1, elu},
    {"Equal", 1, binary<Equal>},
    {"Erf", 9, unary<Erf>},
    {"Exp", 1, unary<Exp>},
    {"Floor", 1, unary<Floor>},
    {"Gelu", 20, gelu},
    {"Greater", 1, binary<Greater>},
    {"GreaterOrEqual", 12, binary<GreaterEqual>},
    {"HardSigmoid", 1, hard_sigmoid},
    {"HardSwish", 14, unary<HSwish>},
    {"Hardmax", 1, hardmax},
    {"IsInf", 10, is_inf},
    {"IsNaN", 9, unary<IsNaN>},
    {"LeakyRelu", 1, leaky_relu},
    {"Less", 1, binary<Less>},
    {"LessOrEqual", 12, binary<LessEqual>},
    {"Log", 1, unary<Log>},
    {"LogSoftmax", 1, log_softmax},
    {"Max", 1, variadic<Maximum>},
    {"Mean", 1, mean},
    {"Min", 1, variadic<Minimum>},
    {"Mish", 18, unary<Mish>},
    {"Mod", 10, modulo},
    {"Mul", 1, binary<Multiply>},
    {"Neg", 1, unary<Negative>},
    {"Not", 1, unary<LogicalNot>},
    {"Or", 1, binary<LogicalOr>},
    {"PRelu", 1, prelu},
    {"Pow", 1, power},
    {"Reciprocal", 1, reciprocal},
    {"Relu", 1, unary<Relu>},
    {"Round", 11, round_half_even},
    {"Selu", 1, selu},
    {"Shrink", 9, shrink},
    {"Sigmoid", 1, unary<Sigmoid>},
    {"Sign", 9, unary<Sign>},
    {"Sin", 7, unary<Sin>},
    {"Sinh", 9, unary<Sinh>},
    {"Softmax", 1, softmax},
    {"Softplus", 1, unary<SoftPlus>},
    {"Softsign", 1, unary<SoftSign>},
    {"Sqrt", 1, unary<Sqrt>},
    {"Sub", 1, binary<Subtract>},
    {"Sum", 1, variadic<Add>},
    {"Swish", 24, swish},
    {"Tan", 7, unary<Tan>},
    {"Tanh", 1, unary<Tanh>},
    {"ThresholdedRelu", 1, thresholded_relu},
    {"Where", 9, select},
    {"Xor", 1, binary<LogicalXor>},
};

}  // namespace

std::span<const OperatorRow> elementwise_rows() {
  return rows;
}

}  // namespace hone::onnx
