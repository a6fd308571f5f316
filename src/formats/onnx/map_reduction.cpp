// Reductions, sums along an axis, and indices of extremes.
#include "formats/onnx/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

// The axes as a value: an attribute, then (ReduceSum from 13, the others from 18) an input; none means all, or none
// with noop_with_empty_axes.
Value axes_of(NodeContext& n, Value x) {
  if (n.has_attribute("axes")) return n.ints_constant(n.ints("axes"));
  const bool empty = !n.has(1) || (n.in(1).shape().is_static() && element_count(n.in(1).shape().to_shape()) == 0);
  if (!empty) return n.in(1);
  if (n.i("noop_with_empty_axes", 0)) return n.ints_constant({});
  if (x.shape().rank_known()) {
    std::vector<int64_t> all;
    for (size_t k = 0; k < x.shape().rank(); ++k) all.push_back(static_cast<int64_t>(k));
    return n.ints_constant(all);
  }
  const Value rank = n.squeeze(n.shape_of(n.shape_of(x)), {0});
  return n(Range{ElementType::i64}, n.int_constant(0), rank, n.int_constant(1));
}

bool keep(NodeContext& n) {
  return n.i("keepdims", 1) != 0;
}

template <class Op>
Values reduce(NodeContext& n) {
  const Value x = n.in(0);
  return {n(Op{keep(n)}, x, axes_of(n, x))};
}

template <class Op, class LogicalOp>
Values reduce_extreme(NodeContext& n) {
  const Value x = n.in(0);
  if (x.element_type() == ElementType::boolean) return {n(LogicalOp{keep(n)}, x, axes_of(n, x))};
  return {n(Op{keep(n)}, x, axes_of(n, x))};
}

Values reduce_sum_square(NodeContext& n) {
  const Value x = n.in(0);
  return {n(ReduceSum{keep(n)}, n(Multiply{}, x, x), axes_of(n, x))};
}
Values reduce_log_sum(NodeContext& n) {
  const Value x = n.in(0);
  return {n(Log{}, n(ReduceSum{keep(n)}, x, axes_of(n, x)))};
}
// log(sum(exp(x - m))) + m with m the maximum: no overflow. An infinite maximum counts as 0, so that -inf stays -inf.
Values reduce_log_sum_exp(NodeContext& n) {
  const Value x = n.in(0), axes = axes_of(n, x);
  if (is_integer(x.element_type())) n.fail("wants floating-point data");
  auto finite = [&](Value m) { return n(Select{}, n(IsFinite{}, m), m, n.like(m, 0)); };
  const Value top = finite(n(ReduceMax{true}, x, axes));
  const Value sum = n(Log{}, n(ReduceSum{keep(n)}, n(Exp{}, n(Subtract{}, x, top)), axes));
  return {n(Add{}, sum, keep(n) ? top : finite(n(ReduceMax{false}, x, axes)))};
}

template <TopKMode mode>
Values arg(NodeContext& n) {
  Value x = n.in(0);
  const int64_t axis = n.axis(n.i("axis", 0), x);
  const bool last = n.i("select_last_index", 0) != 0;
  if (last) x = n(Reverse{{axis}}, x);
  TopK top;
  top.axis = axis;
  top.mode = mode;
  top.index_element_type = ElementType::i64;
  top.stable = true;
  Value index = n.all(top, {x, n.int_constant(1)})[1];
  if (last) {
    const Value length = n.gather(n.shape_of(x), n.int_constant(axis), 0);
    index = n(Subtract{}, n(Subtract{}, length, n.int_constant(1)), index);
  }
  return {keep(n) ? index : n.squeeze(index, {axis})};
}

Values cum_sum(NodeContext& n) {
  Value axis = n.in(1);
  if (axis.shape().rank_known() && axis.shape().rank() == 1) axis = n.squeeze(axis, {0});
  return {n(CumSum{n.i("exclusive", 0) != 0, n.i("reverse", 0) != 0}, n.in(0), axis)};
}

Values top_k(NodeContext& n) {
  const Value x = n.in(0);
  TopK top;
  top.axis = n.axis(n.i("axis", -1), x);
  top.mode = n.i("largest", 1) ? TopKMode::max : TopKMode::min;
  top.sort = n.i("sorted", 1) ? TopKSort::value : TopKSort::none;
  top.index_element_type = ElementType::i64;
  top.stable = true;
  Value k;
  if (n.version < 10) {
    k = n.int_constant(n.i("k"));
  } else {
    k = n.in(1);
    if (!k.shape().rank_known() || k.shape().rank() == 1) k = n.reshape(k, {});
  }
  if (top.sort == TopKSort::none) top.sort = TopKSort::value;
  return n.all(top, {x, k});
}

constexpr OperatorRow rows[] = {
    {"ArgMax", 1, arg<TopKMode::max>},
    {"ArgMin", 1, arg<TopKMode::min>},
    {"CumSum", 11, cum_sum},
    {"ReduceL1", 1, reduce<ReduceL1>},
    {"ReduceL2", 1, reduce<ReduceL2>},
    {"ReduceLogSum", 1, reduce_log_sum},
    {"ReduceLogSumExp", 1, reduce_log_sum_exp},
    {"ReduceMax", 1, reduce_extreme<ReduceMax, ReduceLogicalOr>},
    {"ReduceMean", 1, reduce<ReduceMean>},
    {"ReduceMin", 1, reduce_extreme<ReduceMin, ReduceLogicalAnd>},
    {"ReduceProd", 1, reduce<ReduceProd>},
    {"ReduceSum", 1, reduce<ReduceSum>},
    {"ReduceSumSquare", 1, reduce_sum_square},
    {"TopK", 1, top_k},
};

}  // namespace

std::span<const OperatorRow> reduction_rows() {
  return rows;
}

}  // namespace hone::onnx
