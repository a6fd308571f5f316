// Gather, scatter, segments, sorting, diagonals.
#include "formats/tflite/mapping.hpp"
#include "ops/arrays.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/search.hpp"
#include "ops/unary.hpp"

namespace hone::tflite {
namespace {

// A quantized table is read as integers, so that it stays small.
Values gathered(NodeContext& n, size_t data, size_t indices, int64_t axis, int64_t batch) {
  const bool small = n.scales(data) && n.scales(data).scale.size() == 1 && n.constant(data);
  const Value x = small ? n.stored(data) : n.in(data);
  const Value y = n(Gather{batch}, x, n.any(indices), n.int_constant(axis));
  return {small ? n.dequantized(y, n.scales(data), 0) : y};
}
Values gather(NodeContext& n) {
  const int64_t axis = n.axis(n.i(0), n.any(0));
  const auto rank = static_cast<int64_t>(n.rank(n.any(1)));
  const int64_t batch = n.i(1) < 0 ? n.i(1) + rank : n.i(1);
  return gathered(n, 0, 1, axis, batch);
}
// Inputs: rows wanted, table. Rows may have scales of their own.
Values embedding_lookup(NodeContext& n) {
  return gathered(n, 1, 0, 0, 0);
}

Values gather_nd(NodeContext& n) {
  return {n(GatherND{}, n.in(0), n.any(1))};
}

Value filled(NodeContext& n, Value shape, Value with) {
  return n(Broadcast{BroadcastMode::numpy}, with, shape);
}

// Inputs: indices, updates, shape. What meets at one place is added.
Values scatter_nd(NodeContext& n) {
  const Value updates = n.in(1);
  const Value zeros = filled(n, n.index_vector(2), n.like(updates, 0));
  return {n(ScatterNDUpdate{ScatterReduction::sum}, zeros, n.cast(n.any(0), ElementType::i64), updates)};
}

// Inputs: indices (one, a vector, or rows), shape, values (one or one for each), the value elsewhere.
Values sparse_to_dense(NodeContext& n) {
  Value indices = n.cast(n.any(0), ElementType::i64);
  if (n.rank(indices) == 0) indices = n.reshape(indices, {1, 1});
  if (n.rank(indices) == 1) indices = n.unsqueeze(indices, {1});
  Value values = n.in(2);
  if (n.rank(values) == 0) values = filled(n, n.dims(indices, 0, 1), values);
  const Value otherwise = n.in(3);
  return {n(ScatterNDUpdate{}, filled(n, n.index_vector(1), n.reshape(otherwise, {})), indices, values)};
}

// Rows of the data meet in the row that their segment names; `initial` is what rows without any hold.
Value segments(NodeContext& n, Value data, Value ids, Value count, ScatterReduction how, Value initial) {
  const size_t lead = n.rank(ids), rank = n.rank(data);
  if (lead > rank) n.fail("has more segment axes than data");
  const Value shape =
      rank > lead ? n.concat({count, n.dims(data, static_cast<int64_t>(lead), static_cast<int64_t>(rank))}, 0) : count;
  const Value start = filled(n, shape, initial);
  const Value rows = n.unsqueeze(n.cast(ids, ElementType::i64), {static_cast<int64_t>(lead)});
  return n(ScatterNDUpdate{how}, start, rows, data);
}
Values segment_sum(NodeContext& n) {
  const Value data = n.in(0), ids = n.cast(n.any(1), ElementType::i64);
  // Segments are sorted: the last one tells their number.
  const Value count = n(Add{}, n.slice(ids, 0, -1, std::numeric_limits<int32_t>::max()), n.int_constant(1));
  return {segments(n, data, ids, count, ScatterReduction::sum, n.like(data, 0))};
}
// Negative ids are dropped: they go to a row more, which is cut off.
Values unsorted_segments(NodeContext& n, ScatterReduction how, double initial) {
  const Value data = n.in(0), count = n.index_vector(2);
  Value ids = n.cast(n.any(1), ElementType::i64);
  ids = n(Select{}, n(Less{}, ids, n.int_constant(0)), count, ids);
  const Value one_more = n(Add{}, count, n.int_constant(1));
  const Value all = segments(n, data, ids, one_more, how, n.like(data, initial));
  return {n.slice(all, 0, 0, -1)};
}
double lowest(NodeContext& n, bool largest) {
  switch (n.in(0).element_type()) {
    case ElementType::i32:
      return largest ? 2147483647.0 : -2147483648.0;
    case ElementType::i64:
      return largest ? 9223372036854774784.0 : -9223372036854775808.0;
    default:
      return largest ? 3.4028234663852886e38 : -3.4028234663852886e38;
  }
}
Values unsorted_segment_sum(NodeContext& n) {
  return unsorted_segments(n, ScatterReduction::sum, 0);
}
Values unsorted_segment_prod(NodeContext& n) {
  return unsorted_segments(n, ScatterReduction::prod, 1);
}
Values unsorted_segment_max(NodeContext& n) {
  return unsorted_segments(n, ScatterReduction::max, lowest(n, false));
}
Values unsorted_segment_min(NodeContext& n) {
  return unsorted_segments(n, ScatterReduction::min, lowest(n, true));
}

Values one_hot(NodeContext& n) {
  const Value indices = n.any(0);
  const auto rank = static_cast<int64_t>(n.rank(indices)) + 1;
  const int64_t axis = n.i(0) < 0 ? n.i(0) + rank : n.i(0);
  if (axis < 0 || axis >= rank) n.fail("axis " + std::to_string(n.i(0)) + " is out of range");
  const auto scalar = [&](Value v) { return n.rank(v) == 0 ? v : n.reshape(v, {}); };
  OneHot op;
  op.axis = axis;
  return {n(op, indices, scalar(n.cast(n.any(1), ElementType::i64)), scalar(n.in(2)), scalar(n.in(3)))};
}

Values top_k(NodeContext& n) {
  TopK op;
  op.axis = n.axis(-1, n.in(0));
  op.stable = true;
  const Value k = n.cast(n.any(1), ElementType::i64);
  return n.all(op, {n.in(0), n.rank(k) == 0 ? k : n.reshape(k, {})});
}

// Positions of what is not zero, one a row.
Values where(NodeContext& n) {
  const Value found = n(NonZero{ElementType::i64}, n.in(0));
  return {n.transpose(found, {1, 0})};
}

Values unique(NodeContext& n) {
  Unique op;
  op.sorted = false;
  const Values out = n.all(op, {n.in(0)});
  return {out[0], out[2]};
}

// 1 where row and column of the last two axes are equal.
Value diagonal(NodeContext& n, Value rows, Value columns) {
  const Value zero = n.int_constant(0), one = n.int_constant(1);
  const auto upto = [&](Value count) { return n(Range{ElementType::i64}, zero, n.reshape(count, {}), one); };
  return n(Equal{}, n.unsqueeze(upto(rows), {1}), n.unsqueeze(upto(columns), {0}));
}
Values matrix_diag(NodeContext& n) {
  const Value x = n.in(0);
  const auto rank = static_cast<int64_t>(n.rank(x));
  if (rank < 1) n.fail("wants a vector");
  const Value size = n.dims(x, rank - 1, rank);
  return {n(Select{}, diagonal(n, size, size), n.unsqueeze(x, {rank}), n.like(x, 0))};
}
// Inputs: matrices, diagonals [.., min(rows, columns)].
Values matrix_set_diag(NodeContext& n) {
  const Value x = n.in(0);
  Value d = n.in(1);
  const auto rank = static_cast<int64_t>(n.rank(x));
  if (rank < 2) n.fail("wants matrices");
  const Value rows = n.dims(x, rank - 2, rank - 1), columns = n.dims(x, rank - 1, rank);
  // Along the columns: what lies behind the diagonal is never chosen.
  std::vector<int64_t> none(static_cast<size_t>(rank) - 1, 0);
  Values more;
  if (rank > 2) more.push_back(n.ints_constant(std::vector<int64_t>(static_cast<size_t>(rank) - 2, 0)));
  more.push_back(n(Subtract{}, columns, n.dims(d, rank - 2, rank - 1)));
  d = n(Pad{}, d, n.ints_constant(none), n.concat(more, 0), n.like(d, 0));
  return {n(Select{}, diagonal(n, rows, columns), n.unsqueeze(d, {rank - 2}), x)};
}

// Boundaries are in the options. Element x falls behind all boundaries that are not above it.
Values bucketize(NodeContext& n) {
  const auto boundaries = n.op().options.numbers<float>(0);
  Bucketize op;
  op.output_type = ElementType::i32;
  op.with_right_bound = false;
  const Value x = n.in(0);
  return {n(op, n.cast(x, ElementType::f32),
            n.b.constant(Tensor::of<float>({static_cast<int64_t>(boundaries.size())}, boundaries)))};
}

constexpr OperatorRow rows[] = {
    {7, "EMBEDDING_LOOKUP", embedding_lookup, Numbers::moved},
    {36, "GATHER", gather, Numbers::moved},
    {48, "TOPK_V2", top_k, Numbers::moved},
    {68, "SPARSE_TO_DENSE", sparse_to_dense},
    {85, "ONE_HOT", one_hot},
    {103, "UNIQUE", unique},
    {107, "GATHER_ND", gather_nd, Numbers::moved},
    {109, "WHERE", where},
    {113, "MATRIX_DIAG", matrix_diag, Numbers::moved},
    {115, "MATRIX_SET_DIAG", matrix_set_diag},
    {122, "SCATTER_ND", scatter_nd},
    {125, "SEGMENT_SUM", segment_sum},
    {147, "BUCKETIZE", bucketize},
    {153, "UNSORTED_SEGMENT_PROD", unsorted_segment_prod},
    {154, "UNSORTED_SEGMENT_MAX", unsorted_segment_max},
    {155, "UNSORTED_SEGMENT_SUM", unsorted_segment_sum},
    {157, "UNSORTED_SEGMENT_MIN", unsorted_segment_min},
};

}  // namespace

std::span<const OperatorRow> indexing_rows() {
  return rows;
}

}  // namespace hone::tflite
