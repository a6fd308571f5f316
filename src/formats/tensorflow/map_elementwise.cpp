// Arithmetic, comparison, logic, activations.
#include <cmath>
#include <limits>
#include <numbers>

#include "formats/tensorflow/complex.hpp"
#include "formats/tensorflow/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/string.hpp"
#include "ops/unary.hpp"

namespace hone::tensorflow {
namespace {

template <class Op>
Items unary(NodeContext& n) {
  return {n(Op{}, n.in(0))};
}
template <class Op>
Items binary(NodeContext& n) {
  return {n(Op{}, n.in(0), n.in(1))};
}

Items add(NodeContext& n) {
  if (n.item(0).complex) return {complex_of(n(Add{}, n.item(0).value, n.item(1).value))};
  if (n.in(0).element_type() == ElementType::string) return {n(StringConcat{}, n.in(0), n.in(1))};
  return {n(Add{}, n.in(0), n.in(1))};
}
Items sub(NodeContext& n) {
  if (n.item(0).complex) return {complex_of(n(Subtract{}, n.item(0).value, n.item(1).value))};
  return {n(Subtract{}, n.in(0), n.in(1))};
}
Items mul(NodeContext& n) {
  if (n.item(0).complex) return {complex_product(n, n.item(0).value, n.item(1).value)};
  return {n(Multiply{}, n.in(0), n.in(1))};
}
Items divide(NodeContext& n) {
  return {n(Divide{AutoBroadcast::numpy, false}, n.in(0), n.in(1))};
}
Items floor_divide(NodeContext& n) {
  const Value q = n(Divide{AutoBroadcast::numpy, true}, n.in(0), n.in(1));
  return {is_float(q.element_type()) ? n(Floor{}, q) : q};
}
// A zero in the divisor gives zero.
Items divide_no_nan(NodeContext& n) {
  const Value x = n.in(0), y = n.in(1), none = n(Equal{}, y, n.like(y, 0));
  return {n(Select{}, none, n.like(x, 0), n(Divide{}, x, n(Select{}, none, n.like(y, 1), y)))};
}
Items multiply_no_nan(NodeContext& n) {
  const Value x = n.in(0), y = n.in(1);
  return {n(Select{}, n(Equal{}, y, n.like(y, 0)), n.like(x, 0), n(Multiply{}, x, y))};
}
Value where_not_zero(NodeContext& n, Value x, Value y) {
  return n(Select{}, n(Equal{}, x, n.like(x, 0)), n.like(x, 0), y);
}
Items xdivy(NodeContext& n) {
  return {where_not_zero(n, n.in(0), n(Divide{}, n.in(0), n.in(1)))};
}
Items xlogy(NodeContext& n) {
  return {where_not_zero(n, n.in(0), n(Multiply{}, n.in(0), n(Log{}, n.in(1))))};
}
Items xlog1py(NodeContext& n) {
  return {where_not_zero(n, n.in(0), n(Multiply{}, n.in(0), n(Log{}, n(Add{}, n.in(1), n.like(n.in(1), 1)))))};
}
// floor(x / y) for integers is what FloorMod and Divide say; for Mod the sign is that of x.
Items truncate_mod(NodeContext& n) {
  return {n(Mod{}, n.in(0), n.in(1))};
}

Items add_n(NodeContext& n) {
  Value sum = n.in(0);
  for (size_t k = 1; k < n.num_inputs(); ++k) sum = n(Add{}, sum, n.in(k));
  return {sum};
}

Items bias_add(NodeContext& n) {
  const Value x = n.in(0);
  Value bias = n.in(1);
  const std::string format = n.s("data_format", "NHWC");
  const auto r = static_cast<int64_t>(n.rank(x));
  if (format == "NCHW" && r > 2) {
    std::vector<int64_t> axes;
    for (int64_t k = 1; k < r - 1; ++k) axes.push_back(k);
    bias = n.unsqueeze(bias, axes);
  }
  return {n(Add{}, x, bias)};
}

// The scalar or vector condition of the first Select chooses whole rows.
Items select(NodeContext& n) {
  Value c = n.in(0);
  const Value x = n.in(1);
  const size_t r = n.rank(x), have = n.rank(c);
  if (have < r) {
    std::vector<int64_t> axes;
    for (size_t k = have; k < r; ++k) axes.push_back(static_cast<int64_t>(k));
    c = n.unsqueeze(c, axes);
  }
  return {n(Select{}, c, x, n.in(2))};
}

Items select_v2(NodeContext& n) {
  return {n(Select{}, n.in(0), n.in(1), n.in(2))};
}

// Of a + bi: e^a (cos b + i sin b).
Items exponential(NodeContext& n) {
  if (!n.item(0).complex) return {n(Exp{}, n.in(0))};
  const Value size = n(Exp{}, real_part(n, n.item(0).value)), turn = imaginary_part(n, n.item(0).value);
  return {complex_from(n, n(Multiply{}, size, n(Cos{}, turn)), n(Multiply{}, size, n(Sin{}, turn)))};
}

Items square(NodeContext& n) {
  return {n(Multiply{}, n.in(0), n.in(0))};
}
Items rsqrt(NodeContext& n) {
  const Value s = n(Sqrt{}, n.in(0));
  return {n(Divide{}, n.like(s, 1), s)};
}
Items reciprocal(NodeContext& n) {
  return {n(Divide{}, n.like(n.in(0), 1), n.in(0))};
}
// log(1 + x) and exp(x) - 1 keep their digits near zero through the identities of Kahan; see Higham, "Accuracy and
// Stability", 1.14.
Items log1p(NodeContext& n) {
  const Value x = n.in(0), one = n.like(x, 1), u = n(Add{}, one, x), d = n(Subtract{}, u, one);
  const Value near = n(Equal{}, d, n.like(x, 0));
  const Value scaled = n(Multiply{}, n(Log{}, u), n(Divide{}, x, n(Select{}, near, one, d)));
  return {n(Select{}, near, x, n(Select{}, n(IsInf{}, u), u, scaled))};
}
Items expm1(NodeContext& n) {
  // 2 tanh(x / 2) / (1 - tanh(x / 2)) near zero, the difference elsewhere.
  const Value x = n.in(0), one = n.like(x, 1), t = n(Tanh{}, n(Multiply{}, x, n.like(x, 0.5)));
  const Value small = n(Less{}, n(Abs{}, x), n.like(x, 0.5));
  return {n(Select{}, small, n(Divide{}, n(Multiply{}, n.like(x, 2), t), n(Subtract{}, one, t)),
            n(Subtract{}, n(Exp{}, x), one))};
}
Items erfc(NodeContext& n) {
  return {n(Subtract{}, n.like(n.in(0), 1), n(Erf{}, n.in(0)))};
}
Items round_even(NodeContext& n) {
  const Value x = n.in(0);
  return {is_float(x.element_type()) ? n(Round{RoundMode::half_to_even}, x) : x};
}
template <class Op>
Items of_floats(NodeContext& n) {
  const Value x = n.in(0);
  return {is_float(x.element_type()) ? n(Op{}, x) : x};
}
Items is_infinite(NodeContext& n) {
  return {n(IsInf{true, true}, n.in(0))};
}

Items relu6(NodeContext& n) {
  return {n(Clamp{0, 6}, n.in(0))};
}
Items relu_n1_to_1(NodeContext& n) {
  return {n(Clamp{-1, 1}, n.in(0))};
}
Items leaky_relu(NodeContext& n) {
  return {n(PRelu{}, n.in(0), n.like(n.in(0), n.f("alpha", 0.2f)))};
}
Items elu(NodeContext& n) {
  return {n(Elu{n.f("alpha", 1)}, n.in(0))};
}
Items selu(NodeContext& n) {
  const Value x = n.in(0);
  return {n(Selu{}, x, n.like(x, 1.6732632423543772), n.like(x, 1.0507009873554805))};
}
Items softmax(NodeContext& n) {
  return {n(Softmax{n.axis(-1, n.in(0))}, n.in(0))};
}
Items log_softmax(NodeContext& n) {
  return {n(LogSoftmax{n.axis(-1, n.in(0))}, n.in(0))};
}
Items swish(NodeContext& n) {
  return {n(Swish{}, n.in(0))};
}
Items clip(NodeContext& n) {
  return {n(Minimum{}, n(Maximum{}, n.in(0), n.in(1)), n.in(2))};
}
Items approximate_equal(NodeContext& n) {
  const Value d = n(Abs{}, n(Subtract{}, n.in(0), n.in(1)));
  return {n(Less{}, d, n.like(d, n.f("tolerance", 1e-5f)))};
}

Value filled(NodeContext& n, double with) {
  const Value x = n.in(0);
  if (x.element_type() == ElementType::string)
    return n(Broadcast{}, n.b.constant(Tensor::strings({}, {""})), n.shape_of(x));
  return n(Broadcast{}, n.like(x, with), n.shape_of(x));
}
Items zeros_like(NodeContext& n) {
  if (n.item(0).pending) return {n.item(0)};  // a list of zeros
  return {filled(n, 0)};
}
Items ones_like(NodeContext& n) {
  return {filled(n, 1)};
}

// a x b over the last axis of three.
Items cross(NodeContext& n) {
  const Value a = n.in(0), b = n.in(1);
  const Value next = n.ints_constant({1, 2, 0}), last = n.ints_constant({2, 0, 1});
  const auto term = [&](Value i, Value j) { return n(Multiply{}, n.gather(a, i, -1), n.gather(b, j, -1)); };
  return {n(Subtract{}, term(next, last), term(last, next))};
}

constexpr OperatorRow rows[] = {
    {"Abs", unary<Abs>},
    {"AccumulateNV2", add_n},
    {"Acos", unary<Acos>},
    {"Acosh", unary<Acosh>},
    {"Add", add},
    {"AddN", add_n},
    {"AddV2", add},
    {"ApproximateEqual", approximate_equal},
    {"Asin", unary<Asin>},
    {"Asinh", unary<Asinh>},
    {"Atan", unary<Atan>},
    {"Atan2", binary<Atan2>},
    {"Atanh", unary<Atanh>},
    {"BiasAdd", bias_add},
    {"BiasAddV1", bias_add},
    {"BitwiseAnd", binary<BitwiseAnd>},
    {"BitwiseOr", binary<BitwiseOr>},
    {"BitwiseXor", binary<BitwiseXor>},
    {"Ceil", of_floats<Ceiling>},
    {"ClipByValue", clip},
    {"Cos", unary<Cos>},
    {"Cosh", unary<Cosh>},
    {"Cross", cross},
    {"Div", divide},
    {"DivNoNan", divide_no_nan},
    {"Elu", elu},
    {"Equal", binary<Equal>},
    {"Erf", unary<Erf>},
    {"Erfc", erfc},
    {"Exp", exponential},
    {"Expm1", expm1},
    {"Floor", of_floats<Floor>},
    {"FloorDiv", floor_divide},
    {"FloorMod", binary<FloorMod>},
    {"Greater", binary<Greater>},
    {"GreaterEqual", binary<GreaterEqual>},
    {"Inv", reciprocal},
    {"Invert", unary<BitwiseNot>},
    {"IsFinite", unary<IsFinite>},
    {"IsInf", is_infinite},
    {"IsNan", unary<IsNaN>},
    {"LeakyRelu", leaky_relu},
    {"LeftShift", binary<BitwiseLeftShift>},
    {"Less", binary<Less>},
    {"LessEqual", binary<LessEqual>},
    {"Log", unary<Log>},
    {"Log1p", log1p},
    {"LogSoftmax", log_softmax},
    {"LogicalAnd", binary<LogicalAnd>},
    {"LogicalNot", unary<LogicalNot>},
    {"LogicalOr", binary<LogicalOr>},
    {"Maximum", binary<Maximum>},
    {"Minimum", binary<Minimum>},
    {"Mod", truncate_mod},
    {"Mul", mul},
    {"MulNoNan", multiply_no_nan},
    {"Neg", unary<Negative>},
    {"NotEqual", binary<NotEqual>},
    {"OnesLike", ones_like},
    {"Pow", binary<Power>},
    {"RealDiv", divide},
    {"Reciprocal", reciprocal},
    {"Relu", unary<Relu>},
    {"Relu6", relu6},
    {"ReluN1To1", relu_n1_to_1},
    {"RightShift", binary<BitwiseRightShift>},
    {"Rint", round_even},
    {"Round", round_even},
    {"Rsqrt", rsqrt},
    {"Select", select},
    {"SelectV2", select_v2},
    {"Selu", selu},
    {"Sigmoid", unary<Sigmoid>},
    {"Sign", unary<Sign>},
    {"Sin", unary<Sin>},
    {"Sinh", unary<Sinh>},
    {"Softmax", softmax},
    {"Softplus", unary<SoftPlus>},
    {"Softsign", unary<SoftSign>},
    {"Sqrt", unary<Sqrt>},
    {"Square", square},
    {"SquaredDifference", binary<SquaredDifference>},
    {"Sub", sub},
    {"Swish", swish},
    {"Tan", unary<Tan>},
    {"Tanh", unary<Tanh>},
    {"TruncateDiv", divide},
    {"TruncateMod", truncate_mod},
    {"Xdivy", xdivy},
    {"Xlog1py", xlog1py},
    {"Xlogy", xlogy},
    {"ZerosLike", zeros_like},
};

}  // namespace

std::span<const OperatorRow> elementwise_rows() {
  return rows;
}

}  // namespace hone::tensorflow
