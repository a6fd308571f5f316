// Reductions, running sums, positions of extremes.
#include "formats/tflite/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"

namespace hone::tflite {
namespace {

std::vector<int64_t> axes(NodeContext& n, Value x) {
  std::vector<int64_t> out;
  for (int64_t a : n.ints(1, "the axes")) {
    a = n.axis(a, x);
    if (std::find(out.begin(), out.end(), a) == out.end() && n.rank(x) > 0) out.push_back(a);
  }
  return out;
}

template <class Op>
Values reduce(NodeContext& n) {
  const Value x = n.in(0);
  return {n(Op{n.flag(0)}, x, n.ints_constant(axes(n, x)))};
}

template <TopKMode mode>
Values arg_extreme(NodeContext& n) {
  const Value x = n.in(0);
  const auto at = n.ints(1, "the axis");
  if (at.size() != 1) n.fail("wants one axis");
  TopK op;
  op.axis = n.axis(at[0], x);
  op.mode = mode;
  op.stable = true;
  op.index_element_type = element_type_of(n.info_out(0).type) == ElementType::i64 ? ElementType::i64 : ElementType::i32;
  const Values out = n.all(op, {x, n.int_constant(1)});
  return {n.squeeze(out[1], {op.axis})};
}

Values cumsum(NodeContext& n) {
  const auto at = n.ints(1, "the axis");
  if (at.size() != 1) n.fail("wants one axis");
  const Value x = n.in(0);
  return {n(CumSum{n.flag(0), n.flag(1)}, x, n.int_constant(n.axis(at[0], x)))};
}

constexpr OperatorRow rows[] = {
    {40, "MEAN", reduce<ReduceMean>},
    {56, "ARG_MAX", arg_extreme<TopKMode::max>},
    {74, "SUM", reduce<ReduceSum>},
    {79, "ARG_MIN", arg_extreme<TopKMode::min>},
    {81, "REDUCE_PROD", reduce<ReduceProd>},
    {82, "REDUCE_MAX", reduce<ReduceMax>, Numbers::moved},
    {89, "REDUCE_MIN", reduce<ReduceMin>, Numbers::moved},
    {91, "REDUCE_ANY", reduce<ReduceLogicalOr>},
    {128, "CUMSUM", cumsum},
    {140, "REDUCE_ALL", reduce<ReduceLogicalAnd>},
};

}  // namespace

std::span<const OperatorRow> reduction_rows() {
  return rows;
}

}  // namespace hone::tflite
