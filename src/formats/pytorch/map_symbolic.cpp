// Sizes as values: arithmetic of Python's numbers, sizes of tensors, and the checks that an export leaves behind.
#include "formats/pytorch/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

const Argument& at(NodeContext& n, size_t i) {
  const Argument* a = n.argument(i);
  if (!a) n.fail("argument " + std::to_string(i) + " is missing");
  return *a;
}

// Both operands, as integers or, where one is a fraction, as f64.
struct Pair {
  Value a, b;
};
Pair operands(NodeContext& n) {
  Value a = n.symbol(at(n, 0)), b = n.symbol(at(n, 1));
  const ElementType t = is_float(a.element_type()) || is_float(b.element_type()) ? ElementType::f64 : ElementType::i64;
  return {n.cast(a, t), n.cast(b, t)};
}
template <class Op>
Values binary(NodeContext& n) {
  const auto [a, b] = operands(n);
  return {n(Op{}, a, b)};
}
template <class Op>
Values logical(NodeContext& n) {
  return {n(Op{}, n.cast(n.symbol(at(n, 0)), ElementType::boolean), n.cast(n.symbol(at(n, 1)), ElementType::boolean))};
}
Values floor_divide(NodeContext& n) {
  const auto [a, b] = operands(n);
  const Value q = n(Divide{.m_pythondiv = true}, a, b);
  return {is_float(q.element_type()) ? n(Floor{}, q) : q};
}
Values true_divide(NodeContext& n) {
  const auto [a, b] = operands(n);
  return {n(Divide{}, n.cast(a, ElementType::f64), n.cast(b, ElementType::f64))};
}
Values negate(NodeContext& n) {
  return {n(Negative{}, n.symbol(at(n, 0)))};
}
Values same(NodeContext& n) {
  return {n.symbol(at(n, 0))};
}
Values absolute(NodeContext& n) {
  return {n(Abs{}, n.symbol(at(n, 0)))};
}
Values to_int(NodeContext& n) {
  return {n.cast(n.symbol(at(n, 0)), ElementType::i64)};
}
Values to_float(NodeContext& n) {
  return {n.cast(n.symbol(at(n, 0)), ElementType::f64)};
}
template <class Op>
Values to_int_by(NodeContext& n) {
  const Value x = n.symbol(at(n, 0));
  return {is_float(x.element_type()) ? n.cast(n(Op{}, x), ElementType::i64) : x};
}
Values logical_not(NodeContext& n) {
  return {n(LogicalNot{}, n.cast(n.symbol(at(n, 0)), ElementType::boolean))};
}
Values square_root(NodeContext& n) {
  return {n(Sqrt{}, n.cast(n.symbol(at(n, 0)), ElementType::f64))};
}
Values choose(NodeContext& n) {
  return {n(Select{}, n.symbol(at(n, 0)), n.symbol(at(n, 1)), n.symbol(at(n, 2)))};
}

Values size(NodeContext& n) {
  const Value x = n.in("self");
  return {n.dim(x, n.axis(n.i("dim"), x))};
}
Values element_number(NodeContext& n) {
  return {n(ReduceProd{}, n.shape_of(n.in("self")), n.ints_constant({0}))};
}
// Strides of the contiguous tensor that a value is.
Values stride(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t axis = n.axis(n.i("dim"), x);
  const auto rank = static_cast<int64_t>(n.rank(x));
  if (axis + 1 == rank) return {n.int_constant(1)};
  return {n(ReduceProd{}, n.dims(x, axis + 1, rank), n.ints_constant({0}))};
}
Values item(NodeContext& n) {
  const Value x = n.reshape(n.in("self"), {});
  const ElementType t = x.element_type();
  return {t == ElementType::boolean ? x : n.cast(x, is_float(t) ? ElementType::f64 : ElementType::i64)};
}
Values checked(NodeContext&) {
  return {};
}

// Values are contiguous and begin at their first element.
Values no_offset(NodeContext& n) {
  return {n.int_constant(0)};
}
Values is_contiguous(NodeContext& n) {
  return {n.b.scalar<bool>(true)};
}

constexpr OperatorRow rows[] = {
    {"_assert_async", checked},
    {"_assert_scalar", checked},
    {"_assert_tensor_metadata", checked},
    {"_check_is_size", checked},
    {"_functional_assert_async", checked},
    {"_functional_assert_scalar", checked},
    {"_functional_sym_constrain_range", checked},
    {"_functional_sym_constrain_range_for_size", checked},
    {"_local_scalar_dense", item},
    {"_make_dep_token", checked},
    {"_operator.abs", absolute},
    {"_operator.add", binary<Add>},
    {"_operator.and_", logical<LogicalAnd>},
    {"_operator.eq", binary<Equal>},
    {"_operator.floordiv", floor_divide},
    {"_operator.ge", binary<GreaterEqual>},
    {"_operator.gt", binary<Greater>},
    {"_operator.le", binary<LessEqual>},
    {"_operator.lshift", binary<BitwiseLeftShift>},
    {"_operator.lt", binary<Less>},
    {"_operator.mod", binary<FloorMod>},
    {"_operator.mul", binary<Multiply>},
    {"_operator.ne", binary<NotEqual>},
    {"_operator.neg", negate},
    {"_operator.or_", logical<LogicalOr>},
    {"_operator.pos", same},
    {"_operator.pow", binary<Power>},
    {"_operator.rshift", binary<BitwiseRightShift>},
    {"_operator.sub", binary<Subtract>},
    {"_operator.truediv", true_divide},
    {"item", item},
    {"math.ceil", to_int_by<Ceiling>},
    {"math.floor", to_int_by<Floor>},
    {"math.trunc", to_int},
    {"sym_constrain_range", checked},
    {"sym_constrain_range_for_size", checked},
    {"sym_is_contiguous", is_contiguous},
    {"sym_numel", element_number},
    {"sym_size", size},
    {"sym_storage_offset", no_offset},
    {"sym_stride", stride},
    {"torch._sym_sqrt", square_root},
    {"torch.sym_float", to_float},
    {"torch.sym_int", to_int},
    {"torch.sym_ite", choose},
    {"torch.sym_max", binary<Maximum>},
    {"torch.sym_min", binary<Minimum>},
    {"torch.sym_not", logical_not},
    {"torch.sym_sqrt", square_root},
};

}  // namespace

std::span<const OperatorRow> symbolic_rows() {
  return rows;
}

}  // namespace hone::pytorch
