// Sorting, searching, selecting: what gives indices.
#include "formats/tensorflow/mapping.hpp"
#include "ops/arrays.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/search.hpp"
#include "ops/unary.hpp"

namespace hone::tensorflow {
namespace {

Items top_k(NodeContext& n) {
  TopK op;
  op.axis = -1;
  op.stable = true;  // equal elements in the order of their indices
  op.index_element_type = n.type("index_type", ElementType::i32);
  const Value k = n.num_inputs() > 1 ? n.reshape(n.in(1), {}) : n.int_constant(n.i("k"));
  return items(n.all(op, {n.in(0), k}));
}

Items one_hot(NodeContext& n) {
  OneHot op;
  op.axis = n.i("axis", -1);
  return {n(op, n.in(0), n.reshape(n.in(1), {}), n.reshape(n.in(2), {}), n.reshape(n.in(3), {}))};
}

// Positions of what is not zero, one a row.
Items where(NodeContext& n) {
  const Value x = n.in(0);
  return {n.transpose(
      n(NonZero{ElementType::i64}, x.element_type() == ElementType::boolean ? x : n(NotEqual{}, x, n.like(x, 0))),
      {1, 0})};
}

Items unique(NodeContext& n) {
  Unique op;
  op.sorted = false;
  op.index_element_type = op.count_element_type = n.type("out_idx", ElementType::i32);
  Values in{n.in(0)};
  if (n.op().ends_with("V2")) {
    const auto axis = n.constant_ints(1, "the axis");
    if (!axis.empty()) in.push_back(n.int_constant(axis[0]));
  }
  const Values y = n.all(op, in);
  return {y[0], y[2], y[3]};
}

// Elements of x that are not in y, and where they stood.
Items list_diff(NodeContext& n) {
  const Value x = n.in(0), y = n.in(1);
  const Value same = n(Equal{}, n.unsqueeze(x, {1}), n.unsqueeze(y, {0}));
  const Value kept = n(LogicalNot{}, n(ReduceLogicalOr{false}, same, n.ints_constant({1})));
  const Value at = n.squeeze(n(NonZero{ElementType::i64}, kept), {0});
  return {n.gather(x, at, 0), n.cast(at, n.type("out_idx", ElementType::i32))};
}

Items search(NodeContext& n) {
  return {n(SearchSorted{n.type("out_type", ElementType::i32), n.op() == "UpperBound"}, n.in(0), n.in(1))};
}
Items bucketize(NodeContext& n) {
  const auto b = n.floats("boundaries");
  const Value x = n.in(0);
  const Value edges = n.b.constant(Tensor::of<float>({std::ssize(b)}, std::span<const float>(b)));
  return {n(Bucketize{ElementType::i32, false}, n.cast(x, ElementType::f32), edges)};
}

// Is the target among the k largest? A tie counts as being among them.
Items in_top_k(NodeContext& n) {
  const Value scores = n.in(0), targets = n.in(1);
  const Value k = n.num_inputs() > 2 ? n.scalar(n.in(2)) : n.int_constant(n.i("k"));
  const Value own = n(GatherElements{1}, scores, n.unsqueeze(targets, {1}));
  const Value larger = n(ReduceSum{false}, n.cast(n(Greater{}, scores, own), ElementType::i64), n.ints_constant({1}));
  return {n(LogicalAnd{}, n(Less{}, larger, k), n.squeeze(n(IsFinite{}, own), {1}))};
}
Items nth_element(NodeContext& n) {
  const Value x = n.in(0), at = n.scalar(n.in(1));
  TopK op;
  op.axis = -1;
  op.mode = n.flag("reverse", false) ? TopKMode::max : TopKMode::min;
  return {n.gather(n.all(op, {x, n(Add{}, at, n.int_constant(1))})[0], at, -1)};
}

// Rows of several tensors laid where their indices say; later ones win.
Items dynamic_stitch(NodeContext& n) {
  const size_t count = n.num_inputs() / 2;
  if (count == 0) n.fail("has no inputs");
  Values indices, rows;
  for (size_t k = 0; k < count; ++k) {
    const Value at = n.in(k), data = n.in(count + k);
    const auto ri = static_cast<int64_t>(n.rank(at)), rd = static_cast<int64_t>(n.rank(data));
    indices.push_back(n.vector(at));
    Values shape{n.ints_constant({-1})};
    if (rd > ri) shape.push_back(n.dims(data, ri, rd));
    rows.push_back(n(Reshape{}, data, n.concat(shape, 0)));
  }
  const Value at = count == 1 ? indices[0] : n.concat(indices, 0), data = count == 1 ? rows[0] : n.concat(rows, 0);
  const Value size = n(Add{}, n(ReduceMax{true}, at, n.ints_constant({0})), n.ints_constant({1}));
  const auto r = static_cast<int64_t>(n.rank(data));
  const Value shape = r > 1 ? n.concat({size, n.dims(data, 1, r)}, 0) : size;
  const Value blank = n(Broadcast{}, n.like(data, 0), shape);
  return {n(ScatterNDUpdate{}, blank, n.unsqueeze(at, {1}), data)};
}
Items dynamic_partition(NodeContext& n) {
  const Value data = n.in(0), parts = n.in(1);
  const auto rp = static_cast<int64_t>(n.rank(parts)), rd = static_cast<int64_t>(n.rank(data));
  Values shape{n.ints_constant({-1})};
  if (rd > rp) shape.push_back(n.dims(data, rp, rd));
  const Value rows = rp == 1 ? data : n(Reshape{}, data, n.concat(shape, 0)),
              flat = rp == 1 ? parts : n.reshape(parts, {-1});
  Items out;
  const int64_t count = n.i("num_partitions");
  if (count < 0 || count > 4096) n.fail("num_partitions is out of range");
  for (int64_t k = 0; k < count; ++k) {
    const Value at =
        n.squeeze(n(NonZero{ElementType::i64}, n(Equal{}, flat, n.like(flat, static_cast<double>(k)))), {0});
    out.push_back(n.gather(rows, at, 0));
  }
  return out;
}

constexpr OperatorRow rows[] = {
    {"Bucketize", bucketize},
    {"DynamicPartition", dynamic_partition},
    {"DynamicStitch", dynamic_stitch},
    {"InTopK", in_top_k},
    {"InTopKV2", in_top_k},
    {"ListDiff", list_diff, "out,idx"},
    {"LowerBound", search},
    {"NthElement", nth_element},
    {"OneHot", one_hot},
    {"ParallelDynamicStitch", dynamic_stitch},
    {"TopK", top_k, "values,indices"},
    {"TopKV2", top_k, "values,indices"},
    {"Unique", unique, "y,idx"},
    {"UniqueV2", unique, "y,idx"},
    {"UniqueWithCounts", unique, "y,idx,count"},
    {"UniqueWithCountsV2", unique, "y,idx,count"},
    {"UpperBound", search},
    {"Where", where},
};

}  // namespace

std::span<const OperatorRow> indexing_rows() {
  return rows;
}

}  // namespace hone::tensorflow
