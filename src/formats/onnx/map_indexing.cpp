// Gather, scatter, selection by index, boxes.
#include "formats/onnx/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"

namespace hone::onnx {
namespace {

Values gather(NodeContext& n) {
  return {n.gather(n.in(0), n.in(1), n.axis(n.i("axis", 0), n.in(0)))};
}
Values gather_elements(NodeContext& n) {
  return {n(GatherElements{n.axis(n.i("axis", 0), n.in(0))}, n.in(0), n.in(1))};
}
Values gather_nd(NodeContext& n) {
  return {n(GatherND{n.i("batch_dims", 0)}, n.in(0), n.in(1))};
}

ScatterReduction reduction(NodeContext& n) {
  const std::string r = n.s("reduction", "none");
  if (r == "none") return ScatterReduction::none;
  if (r == "add") return ScatterReduction::sum;
  if (r == "mul") return ScatterReduction::prod;
  if (r == "min") return ScatterReduction::min;
  if (r == "max") return ScatterReduction::max;
  n.fail("unknown reduction '" + r + "'");
}

Values scatter_elements(NodeContext& n) {
  return {n(ScatterElementsUpdate{reduction(n), true}, n.in(0), n.in(1), n.in(2),
            n.int_constant(n.axis(n.i("axis", 0), n.in(0))))};
}
Values scatter_nd(NodeContext& n) {
  return {n(ScatterNDUpdate{reduction(n)}, n.in(0), n.in(1), n.in(2))};
}

// Indices in [-depth, depth): the negative ones count from the end.
Values one_hot(NodeContext& n) {
  Value index = n.in(0), depth = n.in(1);
  const Value values = n.in(2);
  if (!depth.shape().rank_known() || depth.shape().rank() == 1) depth = n.reshape(depth, {});
  depth = n.cast(depth, ElementType::i64);
  index = n.cast(index, ElementType::i64);
  index = n(Select{}, n(Less{}, index, n.int_constant(0)), n(Add{}, index, depth), index);
  const Value off = n.gather(values, n.int_constant(0), 0), on = n.gather(values, n.int_constant(1), 0);
  return {n(OneHot{n.i("axis", -1)}, index, depth, on, off)};
}

Values non_zero(NodeContext& n) {
  return {n(NonZero{}, n.in(0))};
}

Values compress(NodeContext& n) {
  Value x = n.in(0);
  int64_t axis = 0;
  if (n.has_attribute("axis"))
    axis = n.axis(n.i("axis"), x);
  else
    x = n.reshape(x, {-1});
  return {n.gather(x, n.squeeze(n(NonZero{}, n.in(1)), {0}), axis)};
}

Values reverse_sequence(NodeContext& n) {
  return {n(ReverseSequence{n.i("batch_axis", 1), n.i("time_axis", 0)}, n.in(0), n.in(1))};
}

Values non_max_suppression(NodeContext& n) {
  NonMaxSuppression nms;
  nms.box_encoding = n.i("center_point_box", 0) ? BoxEncoding::center : BoxEncoding::corner;
  nms.sort_result_descending = false;  // ONNX orders by batch and class, then by score
  auto scalar = [&](size_t i) { return n.has(i) ? n.reshape(n.in(i), {}) : Value{}; };
  // Without a box count nothing is selected.
  const Value most = n.has(2) ? scalar(2) : n.int_constant(0);
  return {n.all(nms, {n.in(0), n.in(1), most, scalar(3), scalar(4)})[0]};
}

constexpr OperatorRow rows[] = {
    {"Compress", 9, compress},
    {"Gather", 1, gather},
    {"GatherElements", 11, gather_elements},
    {"GatherND", 11, gather_nd},
    {"NonMaxSuppression", 10, non_max_suppression},
    {"NonZero", 9, non_zero},
    {"OneHot", 9, one_hot},
    {"ReverseSequence", 10, reverse_sequence},
    {"Scatter", 9, scatter_elements},
    {"ScatterElements", 11, scatter_elements},
    {"ScatterND", 11, scatter_nd},
};

}  // namespace

std::span<const OperatorRow> indexing_rows() {
  return rows;
}

}  // namespace hone::onnx
