// Sorting and searching.
#include <limits>

#include "formats/pytorch/mapping.hpp"
#include "ops/arrays.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/search.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

Values top(NodeContext& n, Value x, int64_t axis, bool largest, Value k) {
  TopK op;
  op.axis = axis;
  op.mode = largest ? TopKMode::max : TopKMode::min;
  op.index_element_type = ElementType::i64;
  op.stable = true;
  Values out = n.all(op, {x, k});
  out.resize(2);
  return out;
}

// On a scalar the axis is a formality.
template <class F>
Values on_axis(NodeContext& n, const char* name, F&& f) {
  Value x = n.in("self");
  const ElementType own = x.element_type();
  if (own == ElementType::boolean) x = n.cast(x, ElementType::i32);
  const bool scalar = n.rank(x) == 0;
  if (scalar) x = n.unsqueeze(x, {0});
  Values out = f(x, n.axis(n.i(name, -1), x));
  for (Value& v : out) v = scalar ? n.squeeze(v, {0}) : v;
  out[0] = n.cast(out[0], own);
  return out;
}

Values topk(NodeContext& n) {
  return on_axis(n, "dim",
                 [&](Value x, int64_t axis) { return top(n, x, axis, n.flag("largest", true), n.size("k")); });
}
Values sort(NodeContext& n) {
  return on_axis(n, "dim",
                 [&](Value x, int64_t axis) { return top(n, x, axis, n.flag("descending", false), n.dim(x, axis)); });
}
Values argsort(NodeContext& n) {
  return {sort(n)[1]};
}

// The k-th smallest, the lower median.
Values kth(NodeContext& n, Value x, int64_t axis, Value k, bool keep) {
  const Values sorted = top(n, x, axis, false, n.dim(x, axis));
  const Value at = n.unsqueeze(n(Subtract{}, k, n.int_constant(1)), {0});
  Values out{n.gather(sorted[0], at, axis), n.gather(sorted[1], at, axis)};
  if (!keep) {
    for (Value& v : out) v = n.squeeze(v, {axis});
  }
  return out;
}
Values kth_value(NodeContext& n) {
  const Value x = n.in("self");
  return kth(n, x, n.axis(n.i("dim", -1), x), n.size("k"), n.flag("keepdim", false));
}
Values median(NodeContext& n) {
  Value x = n.in("self");
  const bool all = !n.has("dim");
  if (all) x = n.reshape(x, {-1});
  const int64_t axis = all ? 0 : n.axis(n.i("dim"), x);
  const Value middle = n(Divide{}, n(Add{}, n.dim(x, axis), n.int_constant(1)), n.int_constant(2));
  Values out = kth(n, x, axis, middle, n.flag("keepdim", false));
  if (all) out.resize(1);
  return out;
}

ElementType index_type(NodeContext& n) {
  return n.flag("out_int32", false) ? ElementType::i32 : ElementType::i64;
}
Values bucketize(NodeContext& n) {
  const ElementType t = n.promoted("self", "boundaries");
  return {n(Bucketize{index_type(n), !n.flag("right", false)}, n.number("self", t), n.cast(n.in("boundaries"), t))};
}
Values search_sorted(NodeContext& n) {
  const ElementType t = n.promoted("sorted_sequence", "self");
  if (n.has("sorter")) n.refuse("with a sorter is not offered");
  const bool right = n.flag("right", false) || n.s("side", "left") == "right";
  Value values = n.number("self", t);
  const bool scalar = n.rank(values) == 0;
  if (scalar) values = n.unsqueeze(values, {0});
  const Value y = n(SearchSorted{index_type(n), right}, n.cast(n.in("sorted_sequence"), t), values);
  return {scalar ? n.squeeze(y, {0}) : y};
}

Values nonzero(NodeContext& n) {
  return {n.transpose(n(NonZero{ElementType::i64}, n.in("self")), {1, 0})};
}
Values nonzero_by_axis(NodeContext& n) {
  const Value x = n.in("self");
  const auto rank = static_cast<int64_t>(n.rank(x));
  Values out;
  for (const Value& v : n.all(Split{rank}, {n(NonZero{ElementType::i64}, x), n.int_constant(0)}))
    out.push_back(n.squeeze(v, {0}));
  return out;
}
Values masked_select(NodeContext& n) {
  Value x = n.in("self"), mask = n.in("mask");
  const Value shape =
      n.shape_of(n(LogicalOr{}, n.cast(n.filled(n.shape_of(x), n.b.scalar<bool>(false)), ElementType::boolean), mask));
  x = n.reshape(n.broadcast(x, shape), {-1});
  mask = n.reshape(n.broadcast(mask, shape), {-1});
  return {n.gather(x, n.squeeze(n(NonZero{ElementType::i64}, mask), {0}), 0)};
}

// unique(sorted, return_inverse, return_counts); the reader asks for what the file names.
Values unique(NodeContext& n) {
  const Value x = n.in("self");
  Unique op;
  Values out = n.has("dim") ? n.all(op, {x, n.int_constant(n.axis(n.i("dim"), x))}) : n.all(op, {x});
  const Value inverse = n.has("dim") ? out[2] : n.reshape_to(out[2], n.shape_of(x));
  return {out[0], inverse, out[3]};
}

// As many positions as asked for; those beyond the last are filled up.
Values nonzero_static(NodeContext& n) {
  const Value x = n.in("self"), found = n.transpose(n(NonZero{ElementType::i64}, x), {1, 0});
  const Value size = n.reshape(n.size("size"), {1}), rank = n.int_constant(static_cast<int64_t>(n.rank(x)));
  const Value filler = n.filled(n.concat({size, n.reshape(rank, {1})}, 0), n.int_constant(n.i("fill_value", -1)));
  return {n.slice(n.concat({found, filler}, 0), 0, n.int_constant(0), n.reshape(size, {}), n.int_constant(1))};
}
Values sort_first(NodeContext& n) {
  const Value x = n.in("self");
  if (n.rank(x) == 0) return {x};
  return {top(n, x, 0, false, n.dim(x, 0))[0]};
}
// NaN sorts behind everything, so that the numbers of a line come first.
Values median_of_numbers(NodeContext& n) {
  Value x = n.in("self");
  const bool all = !n.has("dim");
  if (all) x = n.reshape(x, {-1});
  if (!is_float(x.element_type())) return median(n);
  if (n.rank(x) == 0) return {x, n.int_constant(0)};
  const int64_t axis = all ? 0 : n.axis(n.i("dim"), x);
  const Value nan = n(IsNaN{}, x), infinity = n.like(x, std::numeric_limits<double>::infinity());
  const Values sorted = top(n, n(Select{}, nan, infinity, x), axis, false, n.dim(x, axis));
  const Value numbers = n(ReduceSum{true}, n.cast(n(LogicalNot{}, nan), ElementType::i64), n.ints_constant({axis}));
  const Value last = n(Subtract{}, n(Maximum{}, numbers, n.int_constant(1)), n.int_constant(1));
  const Value at = n(Divide{}, last, n.int_constant(2));
  Value value = n(GatherElements{axis}, sorted[0], at);
  value =
      n(Select{}, n(Equal{}, numbers, n.int_constant(0)), n.like(x, std::numeric_limits<double>::quiet_NaN()), value);
  Values out{value, n(GatherElements{axis}, sorted[1], at)};
  if (all || !n.flag("keepdim", false)) {
    for (Value& v : out) v = n.squeeze(v, {axis});
  }
  if (all) out.resize(1);
  return out;
}
// The smallest of the most frequent elements, and the last place of it.
Values mode(NodeContext& n) {
  const Value x = n.in("self");
  if (n.rank(x) == 0) return {x, n.int_constant(0)};
  const int64_t axis = n.axis(n.i("dim", -1), x);
  const auto r = static_cast<int64_t>(n.rank(x));
  const Value same = n(Equal{}, n.unsqueeze(x, {axis + 1}), n.unsqueeze(x, {axis}));
  const Value count = n(ReduceSum{}, n.cast(same, ElementType::i64), n.ints_constant({axis + 1}));
  const Value most = n(ReduceMax{true}, count, n.ints_constant({axis}));
  const Values sorted = top(n, x, axis, false, n.dim(x, axis));
  const Value frequent = n.cast(n(Equal{}, n(GatherElements{axis}, count, sorted[1]), most), ElementType::i32);
  const Value first = top(n, frequent, axis, true, n.int_constant(1))[1];
  const Value value = n(GatherElements{axis}, sorted[0], first);
  // The last place.
  const Value numbers =
      n.broadcast(n.reshape(n.range(n.dim(x, axis)), n.laid_along(axis, static_cast<size_t>(r))), n.shape_of(x));
  const Value at =
      n(ReduceMax{true}, n(Select{}, n(Equal{}, x, value), numbers, n.int_constant(-1)), n.ints_constant({axis}));
  if (n.flag("keepdim", false)) return {value, at};
  return {n.squeeze(value, {axis}), n.squeeze(at, {axis})};
}
// Between the two elements of the sorted line that the quantile lies between. A line with NaN gives NaN; `skip` counts
// the numbers alone.
template <bool skip>
Values quantile(NodeContext& n) {
  Value x = n.in("self");
  const ElementType t = x.element_type();
  const bool all = !n.has("dim"), keep = n.flag("keepdim", false);
  const size_t rank = n.rank(x);
  if (all || rank == 0) x = n.reshape(x, {-1});
  const int64_t axis = all || rank == 0 ? 0 : n.axis(n.i("dim"), x);
  // Quantiles along a new last axis of the sorted lines.
  const auto r = static_cast<int64_t>(n.rank(x));
  std::vector<int64_t> order;
  for (int64_t k = 0; k < r; ++k) {
    if (k != axis) order.push_back(k);
  }
  order.push_back(axis);
  x = n.transpose(x, order);
  const Value q = n.number("q", t);
  const bool scalar = n.rank(q) == 0;
  const Value wanted = n.reshape(q, {-1}), last_axis = n.ints_constant({r - 1});
  const Value nan = n(IsNaN{}, x), infinity = n.like(x, std::numeric_limits<double>::infinity());
  const Value sorted = top(n, n(Select{}, nan, infinity, x), r - 1, false, n.dim(x, r - 1))[0];
  const Value numbers = n(ReduceSum{true}, n.cast(n(LogicalNot{}, nan), t), last_axis);
  const Value length = skip ? numbers : n.cast(n.dim(x, r - 1), t);
  const Value place = n(Multiply{}, wanted, n(Maximum{}, n(Subtract{}, length, n.like(x, 1)), n.like(x, 0)));
  const std::string how = n.s("interpolation", "linear");
  Value low = n(Floor{}, place), high = n(Ceiling{}, place), part = n(Subtract{}, place, low);
  if (how == "lower") high = low;
  if (how == "higher") low = high;
  if (how == "nearest") low = high = n(Round{}, place);
  if (how == "midpoint") part = n.like(x, 0.5);
  const Value shape = n.concat({n.dims(x, 0, r - 1), n.shape_of(wanted)}, 0);
  const auto at = [&](Value v) {
    return n(GatherElements{r - 1}, sorted,
             n.broadcast(n.cast(v, ElementType::i64), r > 1 ? shape : n.shape_of(wanted)));
  };
  const Value a = at(low), b = at(high);
  Value y = n(Select{}, n(Equal{}, a, b), a, n(Add{}, a, n(Multiply{}, part, n(Subtract{}, b, a))));
  const Value none = skip ? n(Equal{}, numbers, n.like(x, 0)) : n(ReduceLogicalOr{true}, nan, last_axis);
  y = n(Select{}, none, n.like(x, std::numeric_limits<double>::quiet_NaN()), y);
  // The quantiles come first.
  std::vector<int64_t> front{r - 1};
  for (int64_t k = 0; k < r - 1; ++k) front.push_back(k);
  y = n.transpose(y, front);
  if (keep && all)
    y = n.reshape(y, [&] {
      std::vector<int64_t> ones(rank + 1, 1);
      ones[0] = -1;
      return ones;
    }());
  else if (keep && rank > 0)
    y = n.unsqueeze(y, {axis + 1});
  return {scalar ? n.squeeze(y, {0}) : y};
}

constexpr OperatorRow rows[] = {
    {"_unique2", unique},
    {"argsort", argsort},
    {"argwhere", nonzero},
    {"bucketize", bucketize},
    {"kthvalue", kth_value},
    {"masked_select", masked_select},
    {"median", median},
    {"mode", mode},
    {"msort", sort_first},
    {"nanmedian", median_of_numbers},
    {"nanquantile", quantile<true>},
    {"nonzero", nonzero},
    {"nonzero_numpy", nonzero_by_axis},
    {"nonzero_static", nonzero_static},
    {"quantile", quantile<false>},
    {"searchsorted", search_sorted},
    {"sort", sort},
    {"topk", topk},
    {"unique_dim", unique},
};

}  // namespace

std::span<const OperatorRow> order_rows() {
  return rows;
}

}  // namespace hone::pytorch
