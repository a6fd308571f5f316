// Reductions, arg max, running sums, segments.
#include "formats/tensorflow/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::tensorflow {
namespace {

bool keep_dims(NodeContext& n) {
  return n.flag("keep_dims", n.flag("keepdims", false));
}

Value axes_of(NodeContext& n, size_t i) {
  const Value axes = n.in(i);
  if (const Tensor t = NodeContext::folded(axes)) return n.ints_constant(t.to_ints());
  return n.vector(axes);
}

template <class Op>
Items reduce(NodeContext& n) {
  return {n(Op{keep_dims(n)}, n.in(0), axes_of(n, 1))};
}

Items l2_loss(NodeContext& n) {
  const Value x = n.in(0);
  const Value flat = n.reshape(x, {-1});
  return {n(Multiply{}, n(ReduceSum{false}, n(Multiply{}, flat, flat), n.ints_constant({0})), n.like(x, 0.5))};
}

Items arg(NodeContext& n, TopKMode mode) {
  const Value x = n.in(0);
  const int64_t axis = n.num_inputs() > 1 ? n.axis(n.constant_ints(1, "the axis").at(0), x) : 0;
  TopK op;
  op.axis = axis;
  op.mode = mode;
  op.sort = TopKSort::value;
  op.stable = true;
  op.index_element_type = n.type("output_type", ElementType::i64);
  const Value number = x.element_type() == ElementType::boolean ? n.cast(x, ElementType::i32) : x;
  return {n.squeeze(n.all(op, {number, n.int_constant(1)})[1], {axis})};
}
Items arg_max(NodeContext& n) {
  return arg(n, TopKMode::max);
}
Items arg_min(NodeContext& n) {
  return arg(n, TopKMode::min);
}

Items cumsum(NodeContext& n) {
  return {n(CumSum{n.flag("exclusive", false), n.flag("reverse", false)}, n.in(0), n.scalar(n.in(1)))};
}

// Element i is the product of those that a triangular mask lets through.
Items cumprod(NodeContext& n) {
  const Value x = n.in(0);
  const int64_t axis = n.axis(n.constant_ints(1, "the axis").at(0), x), r = static_cast<int64_t>(n.rank(x));
  const bool exclusive = n.flag("exclusive", false), reverse = n.flag("reverse", false);
  const Value at = n.range(n.dim(x, axis)), row = n.unsqueeze(at, {1}), column = n.unsqueeze(at, {0});
  Value kept = reverse ? (exclusive ? n(Greater{}, column, row) : n(GreaterEqual{}, column, row))
                       : (exclusive ? n(Less{}, column, row) : n(LessEqual{}, column, row));
  std::vector<int64_t> trailing;
  for (int64_t k = 0; k < r - axis - 1; ++k) trailing.push_back(k + 2);
  if (!trailing.empty()) kept = n.unsqueeze(kept, trailing);
  return {n(ReduceProd{false}, n(Select{}, kept, n.unsqueeze(x, {axis}), n.like(x, 1)), n.ints_constant({axis + 1}))};
}

// Rows of data added up, multiplied, ... by the number of their segment; negative numbers take no part.
Items segments(NodeContext& n, ScatterReduction reduction, double start, Value count) {
  Value x = n.in(0);
  const size_t id_rank = n.rank(n.in(1)), r = n.rank(x);
  const Value ids = n.reshape(n.cast(n.in(1), ElementType::i64), {-1});
  if (id_rank != 1) {
    Values shape{n.ints_constant({-1})};
    if (r > id_rank) shape.push_back(n.dims(x, static_cast<int64_t>(id_rank), static_cast<int64_t>(r)));
    x = n(Reshape{}, x, n.concat(shape, 0));
  }
  const auto rank = static_cast<int64_t>(n.rank(x));
  // One row more takes what belongs nowhere.
  const Value valid = n(GreaterEqual{}, ids, n.int_constant(0));
  const Value index = n(Select{}, valid, ids, count);
  Values dims{n.reshape(n(Add{}, count, n.int_constant(1)), {1})};
  if (rank > 1) dims.push_back(n.dims(x, 1, rank));
  const Value blank = n(Broadcast{}, n.like(x, start), n.concat(dims, 0));
  const Value y = n(ScatterNDUpdate{reduction}, blank, n.unsqueeze(index, {1}), x);
  return {n(Slice{}, y, n.ints_constant({0}), n.reshape(count, {1}), n.ints_constant({1}), n.ints_constant({0}))};
}
double lowest(NodeContext& n) {
  switch (n.in(0).element_type()) {
    case ElementType::i32:
      return -2147483648.0;
    case ElementType::i64:
      return -9223372036854775808.0;
    case ElementType::f64:
      return -1.7976931348623157e308;
    default:
      return -3.4028234663852886e38;
  }
}
double highest(NodeContext& n) {
  switch (n.in(0).element_type()) {
    case ElementType::i32:
      return 2147483647.0;
    case ElementType::i64:
      return 9223372036854774784.0;
    case ElementType::f64:
      return 1.7976931348623157e308;
    default:
      return 3.4028234663852886e38;
  }
}
Items unsorted_sum(NodeContext& n) {
  return segments(n, ScatterReduction::sum, 0, n.scalar(n.in(2)));
}
Items unsorted_prod(NodeContext& n) {
  return segments(n, ScatterReduction::prod, 1, n.scalar(n.in(2)));
}
Items unsorted_max(NodeContext& n) {
  return segments(n, ScatterReduction::max, lowest(n), n.scalar(n.in(2)));
}
Items unsorted_min(NodeContext& n) {
  return segments(n, ScatterReduction::min, highest(n), n.scalar(n.in(2)));
}
// Sorted segments: the last number says how many there are. Segments without rows are zero.
Value segment_count(NodeContext& n) {
  const Value ids = n.cast(n.in(1), ElementType::i64);
  return n(Add{}, n(ReduceMax{false}, ids, n.ints_constant({0})), n.int_constant(1));
}
Value segment_rows(NodeContext& n, Value count) {
  const Value ids = n.cast(n.in(1), ElementType::i64);
  const Value one = n(Equal{}, n.unsqueeze(n.range(count), {1}), n.unsqueeze(ids, {0}));
  Value rows = n(ReduceSum{false}, n.cast(one, n.in(0).element_type()), n.ints_constant({1}));
  std::vector<int64_t> trailing;
  for (int64_t k = 1; k < static_cast<int64_t>(n.rank(n.in(0))); ++k) trailing.push_back(k);
  return trailing.empty() ? rows : n.unsqueeze(rows, trailing);
}
Items segment_sum(NodeContext& n) {
  return segments(n, ScatterReduction::sum, 0, segment_count(n));
}
Items segment_prod(NodeContext& n) {
  return segments(n, ScatterReduction::prod, 1, segment_count(n));
}
Items segment_mean(NodeContext& n) {
  const Value count = segment_count(n), sum = segments(n, ScatterReduction::sum, 0, count)[0].value,
              rows = segment_rows(n, count);
  return {n(Divide{}, sum, n(Maximum{}, rows, n.like(rows, 1)))};
}
Items segment_extreme(NodeContext& n, ScatterReduction reduction, double start) {
  const Value count = segment_count(n), y = segments(n, reduction, start, count)[0].value,
              rows = segment_rows(n, count);
  return {n(Select{}, n(Greater{}, rows, n.like(rows, 0)), y, n.like(y, 0))};
}
Items segment_max(NodeContext& n) {
  return segment_extreme(n, ScatterReduction::max, lowest(n));
}
Items segment_min(NodeContext& n) {
  return segment_extreme(n, ScatterReduction::min, highest(n));
}
// Rows of data picked by an index, then summed by segment.
Items sparse_segment(NodeContext& n, int kind) {
  const Value rows = n.gather(n.in(0), n.in(1), 0);
  Items in{rows, n.in(2)};
  const NodeMessage node{n.name(), n.op(), {}, n.raw_attributes()};
  NodeContext inner(n.importer, n.b, node, in, nullptr);
  const Value count = n.num_inputs() > 3 ? n.scalar(n.in(3)) : segment_count(inner),
              sum = segments(inner, ScatterReduction::sum, 0, count)[0].value;
  if (kind == 0) return {sum};
  const Value number = segment_rows(inner, count), safe = inner(Maximum{}, number, inner.like(number, 1));
  return {inner(Divide{}, sum, kind == 1 ? safe : inner(Sqrt{}, safe))};
}
Items sparse_segment_sum(NodeContext& n) {
  return sparse_segment(n, 0);
}
Items sparse_segment_mean(NodeContext& n) {
  return sparse_segment(n, 1);
}
Items sparse_segment_sqrt(NodeContext& n) {
  return sparse_segment(n, 2);
}

// How often each number below `size` occurs, or the sum of its weights.
Items bincount(NodeContext& n) {
  const Value x = n.cast(n.in(0), ElementType::i64), size = n.scalar(n.in(1)), weights = n.in(2);
  const size_t r = n.rank(x);
  const bool binary = n.flag("binary_output", false);
  const ElementType type = weights.element_type();
  if (r > 2) n.refuse("of more than two axes is not offered");
  const auto axis = static_cast<int64_t>(r == 2 && n.op() == "DenseBincount" ? 1 : 0);
  const Value flat = axis == 1 ? x : n.reshape(x, {-1});
  const Value hit = n(Equal{}, n.unsqueeze(flat, {axis + 1}), n.range(size));  // [..., elements, size]
  if (binary) return {n.cast(n(ReduceLogicalOr{false}, hit, n.ints_constant({axis})), type)};
  Value y = n.cast(hit, type);
  const bool none = weights.shape().is_static() && element_count(weights.shape().to_shape()) == 0;
  if (!none) y = n(Multiply{}, y, n.unsqueeze(axis == 1 ? weights : n.reshape(weights, {-1}), {axis + 1}));
  return {n(ReduceSum{false}, y, n.ints_constant({axis}))};
}

constexpr OperatorRow rows[] = {
    {"All", reduce<ReduceLogicalAnd>},
    {"Any", reduce<ReduceLogicalOr>},
    {"ArgMax", arg_max},
    {"ArgMin", arg_min},
    {"Bincount", bincount},
    {"Cumprod", cumprod},
    {"Cumsum", cumsum},
    {"DenseBincount", bincount},
    {"EuclideanNorm", reduce<ReduceL2>},
    {"L2Loss", l2_loss},
    {"Max", reduce<ReduceMax>},
    {"Mean", reduce<ReduceMean>},
    {"Min", reduce<ReduceMin>},
    {"Prod", reduce<ReduceProd>},
    {"SegmentMax", segment_max},
    {"SegmentMean", segment_mean},
    {"SegmentMin", segment_min},
    {"SegmentProd", segment_prod},
    {"SegmentSum", segment_sum},
    {"SparseSegmentMean", sparse_segment_mean},
    {"SparseSegmentMeanWithNumSegments", sparse_segment_mean},
    {"SparseSegmentSqrtN", sparse_segment_sqrt},
    {"SparseSegmentSqrtNWithNumSegments", sparse_segment_sqrt},
    {"SparseSegmentSum", sparse_segment_sum},
    {"SparseSegmentSumWithNumSegments", sparse_segment_sum},
    {"Sum", reduce<ReduceSum>},
    {"UnsortedSegmentMax", unsorted_max},
    {"UnsortedSegmentMin", unsorted_min},
    {"UnsortedSegmentProd", unsorted_prod},
    {"UnsortedSegmentSum", unsorted_sum},
};

}  // namespace

std::span<const OperatorRow> reduction_rows() {
  return rows;
}

}  // namespace hone::tensorflow
