// Slicing, gathering, scattering.
#include <algorithm>

#include "base/checked.hpp"
#include "formats/tensorflow/mapping.hpp"
#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::tensorflow {
namespace {

// A size of -1 reaches to the end.
Items slice(NodeContext& n) {
  const Item& x = n.item(0);
  const Value data = x.value ? x.value : n.in(0);
  Value begin = n.vector(n.in(1)), size = n.vector(n.in(2)), end;
  const Tensor b = NodeContext::folded(begin), s = NodeContext::folded(size);
  constexpr int64_t to_the_end = 2147483647;
  if (b && s && b.size() == s.size()) {
    std::vector<int64_t> from, to;
    for (size_t k = 0; k < b.size(); ++k) {
      from.push_back(get_integer(b, k));
      to.push_back(get_integer(s, k) < 0 ? to_the_end : checked_add(from.back(), get_integer(s, k)));
    }
    begin = n.ints_constant(from);
    end = n.ints_constant(to);
  } else {
    end = n(Select{}, n(Less{}, size, n.int_constant(0)), n.int_constant(to_the_end), n(Add{}, begin, size));
  }
  const PartialShape known = shape_of_rank(begin.shape().is_static() ? begin.shape() : size.shape());
  if (!known.rank_known()) n.refuse("needs to know the number of axes");
  const size_t axes = known.rank();
  std::vector<int64_t> all;
  for (size_t k = 0; k < axes; ++k) all.push_back(static_cast<int64_t>(k));
  Item y(n(Slice{}, data, begin, end, n.ints_constant(std::vector<int64_t>(axes, 1)), n.ints_constant(all)));
  y.complex = x.complex;
  return {y};
}

Items strided_slice(NodeContext& n) {
  const Item& x = n.item(0);
  const Value data = x.value ? x.value : n.in(0);
  Value begin = n.vector(n.in(1)), end = n.vector(n.in(2)), strides = n.vector(n.in(3));
  for (Value* v : {&begin, &end, &strides}) {
    if (const Tensor t = NodeContext::folded(*v)) *v = n.ints_constant(t.to_ints());
  }
  int64_t entries = -1;
  for (const Value v : {begin, end, strides}) {
    if (v.shape().is_static()) entries = element_count(v.shape().to_shape());
  }
  if (entries < 0) n.refuse("needs to know the number of axes it slices");
  if (entries > 64) n.fail("slices too many axes");
  const auto mask = [&](const char* name) {
    const int64_t bits = n.i(name, 0);
    std::vector<int64_t> out;
    for (int64_t k = 0; k < entries; ++k) out.push_back((bits >> k) & 1);
    return out;
  };
  StridedSlice op;
  op.begin_mask = mask("begin_mask");
  op.end_mask = mask("end_mask");
  op.new_axis_mask = mask("new_axis_mask");
  op.shrink_axis_mask = mask("shrink_axis_mask");
  op.ellipsis_mask = mask("ellipsis_mask");
  if (x.complex && n.i("ellipsis_mask", 0) != 0) {
    // What stands behind an ellipsis counts from the last axis, which holds the parts of the numbers: all of it.
    begin = n.concat({begin, n.cast(n.ints_constant({0}), begin.element_type())}, 0);
    end = n.concat({end, n.cast(n.ints_constant({0}), end.element_type())}, 0);
    strides = n.concat({strides, n.cast(n.ints_constant({1}), strides.element_type())}, 0);
    for (auto* m : {&op.begin_mask, &op.end_mask}) m->push_back(1);
    for (auto* m : {&op.new_axis_mask, &op.shrink_axis_mask, &op.ellipsis_mask}) m->push_back(0);
  }
  Item y(n(op, data, begin, end, strides));
  y.complex = x.complex;
  return {y};
}

Items gather(NodeContext& n) {
  const Item& x = n.item(0);
  Gather g;
  g.batch_dims = n.i("batch_dims", 0);
  Value axis = n.num_inputs() > 2 ? n.scalar(n.in(2)) : n.int_constant(0);
  if (const Tensor t = NodeContext::folded(axis)) {
    int64_t a = get_integer(t, 0);
    if (x.complex && a < 0) --a;
    if (g.batch_dims < 0) g.batch_dims += static_cast<int64_t>(n.rank(n.in(1)));
    axis = n.int_constant(a);
  }
  Item y(n(g, x.value ? x.value : n.in(0), n.in(1), axis));
  y.complex = x.complex;
  return {y};
}
Items gather_nd(NodeContext& n) {
  return {n(GatherND{n.i("batch_dims", 0)}, n.in(0), n.in(1))};
}

// Values added into zeros.
Items scatter_nd(NodeContext& n) {
  const Value blank = n(Broadcast{}, n.like(n.in(1), 0), n.vector(n.in(2)));
  return {n(ScatterNDUpdate{ScatterReduction::sum}, blank, n.in(0), n.in(1))};
}
template <ScatterReduction reduction>
Items tensor_scatter(NodeContext& n) {
  return {n(ScatterNDUpdate{reduction}, n.in(0), n.in(1), n.in(2))};
}
Items tensor_scatter_sub(NodeContext& n) {
  return {n(ScatterNDUpdate{ScatterReduction::sum}, n.in(0), n.in(1), n(Negative{}, n.in(2)))};
}

// Values laid on a matrix's diagonal.
Items diag(NodeContext& n) {
  const Value x = n.in(0), flat = n.reshape(x, {-1});
  const Value at = n.range(n.dim(flat, 0)), on = n(Equal{}, n.unsqueeze(at, {0}), n.unsqueeze(at, {1}));
  const Value square = n(Select{}, on, n.unsqueeze(flat, {0}), n.like(x, 0)), s = n.shape_of(x);
  return {n(Reshape{}, square, n.concat({s, s}, 0))};
}
Items diag_part(NodeContext& n) {
  const Value x = n.in(0);
  const auto half = static_cast<int64_t>(n.rank(x)) / 2;
  const Value s = n.dims(x, 0, half), count = n(ReduceProd{false}, s, n.ints_constant({0}));
  const Value square = n(Reshape{}, x, n.concat({n.reshape(count, {1}), n.ints_constant({-1})}, 0));
  const Value at = n.unsqueeze(n.range(count), {1});
  return {n(Reshape{}, n(GatherND{}, square, n.concat({at, at}, 1)), s)};
}

// Row minus column of each element of the last two axes.
Value below(NodeContext& n, Value rows, Value columns) {
  return n(Subtract{}, n.unsqueeze(n.range(rows), {1}), n.unsqueeze(n.range(columns), {0}));
}

Items matrix_band_part(NodeContext& n) {
  const Value x = n.in(0), low = n.scalar(n.in(1)), high = n.scalar(n.in(2)), zero = n.int_constant(0);
  const auto r = static_cast<int64_t>(n.rank(x));
  const Value d = below(n, n.dim(x, r - 2), n.dim(x, r - 1));
  const Value lower = n(LogicalOr{}, n(Less{}, low, zero), n(LessEqual{}, d, low));
  const Value upper = n(LogicalOr{}, n(Less{}, high, zero), n(LessEqual{}, n(Negative{}, d), high));
  return {n(Select{}, n(LogicalAnd{}, lower, upper), x, n.like(x, 0))};
}

bool single_diagonal(NodeContext& n, size_t i, int64_t& k) {
  k = 0;
  if (!n.has(i)) return true;
  const auto v = n.constant_ints(i, "the diagonal");
  k = v.at(0);
  if (k < -(1 << 30) || k > 1 << 30) n.fail("has a diagonal that is out of range");
  return v.size() == 1 || v[0] == v[1];
}

// One diagonal [..., length] as a matrix.
Items matrix_diag(NodeContext& n) {
  int64_t k;
  if (!single_diagonal(n, 1, k)) n.refuse("of several diagonals is not offered");
  const Value x = n.in(0);
  const auto r = static_cast<int64_t>(n.rank(x));
  const Value length = n.dim(x, r - 1), side = n(Add{}, length, n.int_constant(std::abs(k)));
  const auto given = [&](size_t i, Value otherwise) {
    if (!n.has(i)) return otherwise;
    const Tensor t = n.constant(i, "the number of rows and columns");
    return get_integer(t, 0) < 0 ? otherwise : n.int_constant(get_integer(t, 0));
  };
  const Value rows = given(2, side), columns = given(3, side);
  const Value fill = n.has(4) ? n.in(4) : n.like(x, 0);
  // Padded to all columns (for the upper ones, moved to the right), each row shows its own element.
  const Value missing = n(Subtract{}, n(Maximum{}, rows, columns), length);
  std::vector<int64_t> none(static_cast<size_t>(r), 0);
  const auto last = [&](Value v) {
    return r == 1
               ? n.reshape(v, {1})
               : n.concat({n.ints_constant(std::vector<int64_t>(static_cast<size_t>(r - 1), 0)), n.reshape(v, {1})}, 0);
  };
  const Value left = n.int_constant(k > 0 ? k : 0),
              right = n(Maximum{}, n(Subtract{}, missing, left), n.int_constant(0));
  Value row = n(Pad{}, x, last(left), last(right), n.like(x, 0));
  row = n(Slice{}, row, n.ints_constant({0}), n.reshape(columns, {1}), n.ints_constant({1}), n.ints_constant({r - 1}));
  const Value on = n(Equal{}, below(n, rows, columns), n.int_constant(-k));
  return {n(Select{}, on, n.unsqueeze(row, {r - 1}), fill)};
}

Items matrix_diag_part(NodeContext& n) {
  int64_t k;
  if (!single_diagonal(n, 1, k)) n.refuse("of several diagonals is not offered");
  const Value x = n.in(0);
  const auto r = static_cast<int64_t>(n.rank(x));
  const Value rows = n.dim(x, r - 2), columns = n.dim(x, r - 1);
  const Value on = n(Equal{}, below(n, rows, columns), n.int_constant(-k));
  // Summed over rows, each column keeps its element; then what the diagonal does not reach is cut.
  const Value along = n(ReduceSum{false}, n(Select{}, on, x, n.like(x, 0)), n.ints_constant({r - 2}));
  const Value begin = n.int_constant(std::max<int64_t>(k, 0));
  const Value end = n(Minimum{}, columns, n(Add{}, rows, n.int_constant(k)));
  return {
      n(Slice{}, along, n.reshape(begin, {1}), n.reshape(end, {1}), n.ints_constant({1}), n.ints_constant({r - 2}))};
}

Items matrix_set_diag(NodeContext& n) {
  int64_t k;
  if (!single_diagonal(n, 2, k)) n.refuse("of several diagonals is not offered");
  const Value x = n.in(0), d = n.in(1);
  const auto r = static_cast<int64_t>(n.rank(x));
  const Value rows = n.dim(x, r - 2), columns = n.dim(x, r - 1), length = n.dim(d, r - 2);
  const Value left = n.int_constant(std::max<int64_t>(k, 0)),
              right = n(Maximum{}, n(Subtract{}, n(Subtract{}, columns, length), left), n.int_constant(0));
  const auto last = [&](Value v) {
    return r == 2
               ? n.reshape(v, {1})
               : n.concat({n.ints_constant(std::vector<int64_t>(static_cast<size_t>(r - 2), 0)), n.reshape(v, {1})}, 0);
  };
  const Value row = n(Pad{}, d, last(left), last(right), n.like(d, 0));
  const Value on = n(Equal{}, below(n, rows, columns), n.int_constant(-k));
  return {n(Select{}, on, n.unsqueeze(row, {r - 2}), x)};
}

constexpr OperatorRow rows[] = {
    {"Diag", diag},
    {"DiagPart", diag_part},
    {"Gather", gather},
    {"GatherNd", gather_nd},
    {"GatherV2", gather},
    {"MatrixBandPart", matrix_band_part, "band"},
    {"BatchMatrixBandPart", matrix_band_part, "band"},
    {"MatrixDiag", matrix_diag},
    {"MatrixDiagPart", matrix_diag_part},
    {"MatrixDiagPartV2", matrix_diag_part},
    {"MatrixDiagPartV3", matrix_diag_part},
    {"MatrixDiagV2", matrix_diag},
    {"MatrixDiagV3", matrix_diag},
    {"MatrixSetDiag", matrix_set_diag},
    {"MatrixSetDiagV2", matrix_set_diag},
    {"MatrixSetDiagV3", matrix_set_diag},
    {"ScatterNd", scatter_nd},
    {"Slice", slice},
    {"StridedSlice", strided_slice},
    {"TensorScatterAdd", tensor_scatter<ScatterReduction::sum>},
    {"TensorScatterMax", tensor_scatter<ScatterReduction::max>},
    {"TensorScatterMin", tensor_scatter<ScatterReduction::min>},
    {"TensorScatterSub", tensor_scatter_sub},
    {"TensorScatterUpdate", tensor_scatter<ScatterReduction::none>},
};

}  // namespace

std::span<const OperatorRow> slice_rows() {
  return rows;
}

}  // namespace hone::tensorflow
