// Sorting and searching.
#include "formats/pytorch/mapping.hpp"
#include "ops/arrays.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/search.hpp"

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

constexpr OperatorRow rows[] = {
    {"_unique2", unique},
    {"argsort", argsort},
    {"bucketize", bucketize},
    {"kthvalue", kth_value},
    {"masked_select", masked_select},
    {"median", median},
    {"nonzero", nonzero},
    {"nonzero_numpy", nonzero_by_axis},
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
