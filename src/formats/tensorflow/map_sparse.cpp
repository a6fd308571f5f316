// Sparse tensors: places [K, rank], values [K] and the shape of the whole.
#include "formats/tensorflow/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/ctc.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/sparse_rows.hpp"
#include "ops/unary.hpp"

namespace hone::tensorflow {
namespace {

int64_t length_of(NodeContext& n, Value v, const char* what) {
  const PartialShape& s = v.shape();
  if (!s.rank_known() || s.rank() != 1 || s[0].is_dynamic()) n.refuse(std::string("needs to know the rank of ") + what);
  return s[0].get_length();
}
Value element(NodeContext& n, Value vector, int64_t i) {
  return n.gather(vector, n.int_constant(i), 0);
}

// Values laid over `start`, added where several have one place.
Value scattered(NodeContext& n, Value start, Value places, Value values, ScatterReduction reduction) {
  return n(ScatterNDUpdate{reduction}, start, places, values);
}

// Places may be one number, a list of them, or [K, rank]; one value may stand for all.
Items to_dense(NodeContext& n) {
  const Value shape = n.vector(n.in(1));
  Value places = n.cast(n.in(0), ElementType::i64), values = n.in(2);
  const size_t r = n.rank(places);
  if (r > 2) n.fail("places have rank " + std::to_string(r));
  if (r < 2) places = n.reshape(places, {-1, 1});
  if (n.rank(values) == 0) values = n(Broadcast{}, values, n.dims(places, 0, 1));
  return {scattered(n, n(Broadcast{}, n.in(3), shape), places, values, ScatterReduction::none)};
}

// Rows of b picked by the columns of a, times its values, added up by its rows.
Items sparse_dense_product(NodeContext& n) {
  const Value places = n.cast(n.in(0), ElementType::i64), values = n.in(1), shape = n.vector(n.in(2));
  const bool flipped = n.flag("adjoint_a", false);
  const Value b = n.flag("adjoint_b", false) ? n.transpose(n.in(3), {1, 0}) : n.in(3);
  const Value row = n.slice(places, 1, flipped ? 1 : 0, flipped ? 2 : 1),
              column = n.gather(places, n.int_constant(flipped ? 0 : 1), 1);
  const Value terms = n(Multiply{}, n.gather(b, column, 0), n.unsqueeze(values, {1}));
  const Value size = n.concat({n.slice(shape, 0, flipped ? 1 : 0, flipped ? 2 : 1), n.dims(b, 1, 2)}, 0);
  return {scattered(n, n(Broadcast{}, n.like(b, 0), size), row, terms, ScatterReduction::sum)};
}

// The number of each place when all are counted row by row.
Value counted(NodeContext& n, Value places, Value shape, int64_t rank) {
  Value y = n.gather(places, n.int_constant(0), 1);
  for (int64_t k = 1; k < rank; ++k)
    y = n(Add{}, n(Multiply{}, y, element(n, shape, k)), n.gather(places, n.int_constant(k), 1));
  return y;
}

Items reshaped(NodeContext& n) {
  const Value places = n.cast(n.in(0), ElementType::i64), shape = n.vector(n.in(1)), wanted = n.vector(n.in(2));
  const int64_t rank = length_of(n, shape, "the shape"), to = length_of(n, wanted, "the new shape");
  if (rank < 1 || to < 1 || rank > 64 || to > 64) n.refuse("of scalars is not offered");
  // One size may be -1: what is left for it.
  const Value open = n(Less{}, wanted, n.int_constant(0)), axis = n.ints_constant({0});
  const Value others = n(ReduceProd{false}, n(Select{}, open, n.int_constant(1), wanted), axis);
  const Value rest = n(Divide{}, n(ReduceProd{false}, shape, axis), n(Maximum{}, others, n.int_constant(1)));
  const Value sizes = n(Select{}, open, rest, wanted);
  Value at = counted(n, places, shape, rank);
  Values columns(static_cast<size_t>(to));
  for (int64_t k = to - 1; k >= 0; --k) {
    const Value size = n(Maximum{}, element(n, sizes, k), n.int_constant(1));
    columns[static_cast<size_t>(k)] = n.unsqueeze(k == 0 ? at : n(FloorMod{}, at, size), {1});
    at = n(Divide{}, at, size);
  }
  return {n.concat(columns, 1), sizes};
}

Items reordered(NodeContext& n) {
  const Value places = n.cast(n.in(0), ElementType::i64), shape = n.vector(n.in(2));
  const int64_t rank = length_of(n, shape, "the shape");
  if (rank < 1 || rank > 64) n.refuse("of scalars is not offered");
  TopK op;
  op.axis = 0;
  op.mode = TopKMode::min;
  op.stable = true;
  op.index_element_type = ElementType::i64;
  const Value order = n.all(op, {counted(n, places, shape, rank), n.dim(n.in(1), 0)})[1];
  return {n.gather(places, order, 0), n.gather(n.in(1), order, 0)};
}

// Outputs: places, values, which rows were empty, where each value went.
Items filled_rows(NodeContext& n) {
  const Value places = n.cast(n.in(0), ElementType::i64), shape = n.vector(n.in(2));
  if (length_of(n, shape, "the shape") != 2) n.refuse("of other than two axes is not offered");
  const Values out = n.all(SparseFillEmptyRows{}, {n.in(1), shape, places, n.reshape(n.in(3), {})});
  const Value row = n.gather(places, n.int_constant(0), 1);
  const Value before = n(CumSum{}, n.cast(out[2], ElementType::i64), n.int_constant(0));
  const Value where = n(Add{}, n.range(n.dim(places, 0)), n.gather(before, row, 0));
  return {out[0], out[1], out[2], where};
}

Value whole(NodeContext& n) {
  const Value values = n.in(1), start = n(Broadcast{}, n.like(values, 0), n.vector(n.in(2)));
  return scattered(n, start, n.cast(n.in(0), ElementType::i64), values, ScatterReduction::sum);
}
Items add_dense(NodeContext& n) {
  return {scattered(n, n.in(3), n.cast(n.in(0), ElementType::i64), n.in(1), ScatterReduction::sum)};
}
Items summed(NodeContext& n) {
  return {n(ReduceSum{n.flag("keep_dims", false)}, whole(n), n.vector(n.in(3)))};
}

// Values with the elements of a dense tensor at their places.
template <class Op>
Items with_dense(NodeContext& n) {
  const Value dense = n(Broadcast{}, n.in(3), n.vector(n.in(2)));
  return {n(Op{}, n.in(1), n(GatherND{}, dense, n.cast(n.in(0), ElementType::i64)))};
}

// The best class of each step, without blanks: places, values and shape of a sparse tensor, and the sums of the scores
// that were the best, negated.
Items ctc_greedy_decoder(NodeContext& n) {
  const Value scores = n.transpose(n.in(0), {1, 0, 2}), lengths = n.cast(n.in(1), ElementType::i64);
  CTCGreedyDecoderSeqLen op;
  op.merge_repeated = n.flag("merge_repeated", false);
  op.classes_index_type = op.sequence_length_type = ElementType::i64;
  const int64_t blank = n.i("blank_index", -1);
  const Value classes = n.dim(scores, 2);
  const Value last = blank < 0 ? n(Add{}, classes, n.int_constant(blank)) : n.int_constant(blank);
  const Values found = n.all(op, {scores, lengths, n.reshape(last, {1})});
  const Value places =
      n.transpose(n(NonZero{ElementType::i64}, n(GreaterEqual{}, found[0], n.like(found[0], 0))), {1, 0});
  const Value shape = n.concat({n.shape_of(found[1]), n(ReduceMax{true}, found[1], n.ints_constant({0}))}, 0);
  const Value best = n(ReduceMax{false}, scores, n.ints_constant({2}));
  const Value lasts = n(Less{}, n.unsqueeze(n.range(n.dim(scores, 1)), {0}), n.unsqueeze(lengths, {1}));
  const Value sums = n(ReduceSum{true}, n(Select{}, lasts, best, n.like(best, 0)), n.ints_constant({1}));
  return {places, n(GatherND{}, found[0], places), shape, n(Negative{}, sums)};
}

constexpr OperatorRow rows[] = {
    {"CTCGreedyDecoder", ctc_greedy_decoder, "decoded_indices,decoded_values,decoded_shape,log_probability"},
    {"SparseDenseCwiseAdd", with_dense<Add>},
    {"SparseDenseCwiseDiv", with_dense<Divide>},
    {"SparseDenseCwiseMul", with_dense<Multiply>},
    {"SparseFillEmptyRows", filled_rows, "output_indices,output_values,empty_row_indicator,reverse_index_map"},
    {"SparseReduceSum", summed},
    {"SparseReorder", reordered, "output_indices,output_values"},
    {"SparseReshape", reshaped, "output_indices,output_shape"},
    {"SparseTensorDenseAdd", add_dense},
    {"SparseTensorDenseMatMul", sparse_dense_product},
    {"SparseToDense", to_dense},
};

}  // namespace

std::span<const OperatorRow> sparse_rows() {
  return rows;
}

}  // namespace hone::tensorflow
