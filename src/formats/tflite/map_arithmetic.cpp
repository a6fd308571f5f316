// Arithmetic, comparison and logic, element by element.
#include "formats/tflite/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/unary.hpp"

namespace hone::tflite {
namespace {

template <class Op>
Values binary(NodeContext& n) {
  return {n(Op{}, n.in(0), n.in(1))};
}
// With a fused activation in the first field of the options.
template <class Op>
Values activated_binary(NodeContext& n) {
  return {n.activated(n(Op{}, n.in(0), n.in(1)), n.code(0))};
}
template <class Op>
Values unary(NodeContext& n) {
  return {n(Op{}, n.in(0))};
}

// Integers are divided toward zero.
Values divide(NodeContext& n) {
  Divide d;
  d.m_pythondiv = false;
  return {n.activated(n(d, n.in(0), n.in(1)), n.code(0))};
}
Values floor_divide(NodeContext& n) {
  const Value x = n.in(0);
  const Value y = n(Divide{}, x, n.in(1));
  return {is_float(x.element_type()) ? n(Floor{}, y) : y};
}

Values add_n(NodeContext& n) {
  Value sum = n.in(0);
  for (size_t i = 1; i < n.num_inputs(); ++i) sum = n(Add{}, sum, n.in(i));
  return {sum};
}

Values square(NodeContext& n) {
  return {n(Multiply{}, n.in(0), n.in(0))};
}
Values reciprocal_sqrt(NodeContext& n) {
  const Value x = n.in(0);
  return {n(Divide{}, n.like(x, 1), n(Sqrt{}, x))};
}
Values round(NodeContext& n) {
  return {n(Round{RoundMode::half_to_even}, n.in(0))};
}

Values sign(NodeContext& n) {
  return {n(Sign{}, n.in(0))};
}

Values logical_not(NodeContext& n) {
  return {n(LogicalNot{}, n.in(0))};
}

// Integers shift with their sign.
Values right_shift(NodeContext& n) {
  return {n(BitwiseRightShift{}, n.in(0), n.in(1))};
}

// The condition of the old form may be a vector that chooses rows.
Values select(NodeContext& n) {
  Value condition = n.in(0);
  const Value a = n.in(1), b = n.in(2);
  if (n.rank(condition) == 1 && n.rank(a) > 1) {
    std::vector<int64_t> shape(n.rank(a), 1);
    shape[0] = -1;
    condition = n.reshape(condition, shape);
  }
  return {n(Select{}, condition, a, b)};
}
Values select_v2(NodeContext& n) {
  return {n(Select{}, n.in(0), n.in(1), n.in(2))};
}

constexpr OperatorRow rows[] = {
    {0, "ADD", activated_binary<Add>},
    {18, "MUL", activated_binary<Multiply>},
    {41, "SUB", activated_binary<Subtract>},
    {42, "DIV", divide},
    {55, "MAXIMUM", binary<Maximum>},
    {57, "MINIMUM", binary<Minimum>},
    {58, "LESS", binary<Less>},
    {61, "GREATER", binary<Greater>},
    {62, "GREATER_EQUAL", binary<GreaterEqual>},
    {63, "LESS_EQUAL", binary<LessEqual>},
    {71, "EQUAL", binary<Equal>},
    {72, "NOT_EQUAL", binary<NotEqual>},
    {78, "POW", binary<Power>},
    {84, "LOGICAL_OR", binary<LogicalOr>},
    {86, "LOGICAL_AND", binary<LogicalAnd>},
    {87, "LOGICAL_NOT", logical_not},
    {90, "FLOOR_DIV", floor_divide},
    {92, "SQUARE", square},
    {95, "FLOOR_MOD", binary<FloorMod>},
    {99, "SQUARED_DIFFERENCE", binary<SquaredDifference>},
    {106, "ADD_N", add_n},
    {156, "ATAN2", binary<Atan2>},
    {160, "BITWISE_XOR", binary<BitwiseXor>},
    {161, "RIGHT_SHIFT", right_shift},
    {8, "FLOOR", unary<Floor>},
    {47, "EXP", unary<Exp>},
    {59, "NEG", unary<Negative>},
    {66, "SIN", unary<Sin>},
    {73, "LOG", unary<Log>},
    {75, "SQRT", unary<Sqrt>},
    {76, "RSQRT", reciprocal_sqrt},
    {101, "ABS", unary<Abs>},
    {104, "CEIL", unary<Ceiling>},
    {108, "COS", unary<Cos>},
    {116, "ROUND", round},
    {158, "SIGN", sign},
    {64, "SELECT", select},
    {123, "SELECT_V2", select_v2},
};

}  // namespace

std::span<const OperatorRow> arithmetic_rows() {
  return rows;
}

}  // namespace hone::tflite
