// Indexing: gathers, scatters, masks, embeddings.
#include <algorithm>
#include <limits>

#include "formats/pytorch/mapping.hpp"
#include "ops/arrays.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

Values embedding(NodeContext& n) {
  return {n.gather(n.in("weight"), n.in("indices"), 0)};
}
Values index_select(NodeContext& n) {
  const Value x = n.in("self");
  if (n.rank(x) == 0) return {n.reshape(n.gather(n.unsqueeze(x, {0}), n.in("index"), 0), {})};
  return {n.gather(x, n.in("index"), n.axis(n.i("dim"), x))};
}
Values gather(NodeContext& n) {
  const Value x = n.in("self"), index = n.in("index");
  const int64_t axis = n.axis(n.i("dim"), x);
  if (n.rank(x) == 0) return {n.gather(n.reshape(x, {1}), index, 0)};
  // Sizes of the index may be below those of the data on the other axes, which count only so far.
  Value data = x;
  for (int64_t k = 0; k < static_cast<int64_t>(n.rank(x)); ++k) {
    if (k != axis && !x.shape()[static_cast<size_t>(k)].same(index.shape()[static_cast<size_t>(k)])) {
      data = n.slice(data, k, n.int_constant(0), n.dim(index, k), n.int_constant(1));
    }
  }
  return {n(GatherElements{axis}, data, index)};
}
Values take(NodeContext& n) {
  return {n.gather(n.reshape(n.in("self"), {-1}), n.in("index"), 0)};
}
Values take_along(NodeContext& n) {
  const Value x = n.in("self"), index = n.in("indices");
  if (!n.has("dim")) return {n.gather(n.reshape(x, {-1}), n.reshape(index, {-1}), 0)};
  // Both are broadcast to each other on the other axes.
  const int64_t axis = n.axis(n.i("dim"), x);
  const auto spread = [&](Value v, Value other) {
    bool same = true;
    Values sizes;
    for (int64_t k = 0; k < static_cast<int64_t>(n.rank(v)); ++k) {
      const Dimension a = v.shape()[static_cast<size_t>(k)], b = other.shape()[static_cast<size_t>(k)];
      same = same && (k == axis || a.same(b));
      sizes.push_back(k == axis ? n.ints_constant({1}) : n.dims(other, k, k + 1));
    }
    return same ? v : n(Broadcast{BroadcastMode::bidirectional}, v, n.concat(sizes, 0));
  };
  if (n.rank(x) == 0 || n.rank(x) != n.rank(index)) n.fail("data and indices differ in rank");
  return {n(GatherElements{axis}, spread(x, index), spread(index, x))};
}

// x[i, :, j]: index tensors, and none where the axis is whole. Masks stand for the positions where they are true.
struct Indexed {
  std::vector<int64_t> axes;
  Values tensors;  // broadcast to one shape
  bool adjacent = true;
  size_t index_rank = 0;
};
Indexed indices_of(NodeContext& n, Value x) {
  Indexed r;
  int64_t axis = 0;
  for (Value v : n.tensors("indices")) {
    if (!v) {
      ++axis;
      continue;
    }
    if (v.element_type() == ElementType::boolean || v.element_type() == ElementType::u8) {
      const auto covered = static_cast<int64_t>(n.rank(v));
      const Value at = n(NonZero{ElementType::i64}, v);
      for (int64_t k = 0; k < covered; ++k) {
        r.axes.push_back(axis++);
        r.tensors.push_back(n.gather(at, n.int_constant(k), 0));
      }
      continue;
    }
    r.axes.push_back(axis++);
    r.tensors.push_back(n.cast(v, ElementType::i64));
  }
  if (r.axes.empty()) n.fail("has no index");
  if (axis > static_cast<int64_t>(n.rank(x))) n.fail("has more indices than the data have axes");
  for (size_t k = 1; k < r.axes.size(); ++k) r.adjacent &= r.axes[k] == r.axes[k - 1] + 1;
  if (r.tensors.size() > 1) {
    Value zero = n.int_constant(0), sum = n(Multiply{}, r.tensors[0], zero);
    for (size_t k = 1; k < r.tensors.size(); ++k) sum = n(Add{}, sum, n(Multiply{}, r.tensors[k], zero));
    const Value shape = n.shape_of(sum);
    for (Value& v : r.tensors) {
      if (!(v.shape() == sum.shape() && v.shape().is_static())) v = n.broadcast(v, shape);
    }
  }
  r.index_rank = n.rank(r.tensors[0]);
  // Negative indices count from the end.
  for (size_t k = 0; k < r.tensors.size() && r.tensors.size() > 1; ++k) {
    const Value length = n.dim(x, r.axes[k]);
    r.tensors[k] =
        n(Select{}, n(Less{}, r.tensors[k], n.int_constant(0)), n(Add{}, r.tensors[k], length), r.tensors[k]);
  }
  return r;
}
// The indexed axes first, then the others.
std::vector<int64_t> indexed_first(const Indexed& r, size_t rank) {
  std::vector<int64_t> order = r.axes;
  for (int64_t k = 0; k < static_cast<int64_t>(rank); ++k) {
    if (std::find(r.axes.begin(), r.axes.end(), k) == r.axes.end()) order.push_back(k);
  }
  return order;
}
bool is_identity(const std::vector<int64_t>& order) {
  for (size_t k = 0; k < order.size(); ++k) {
    if (order[k] != static_cast<int64_t>(k)) return false;
  }
  return true;
}
Value last_axis_of(NodeContext& n, const Indexed& r) {
  Values parts;
  for (const Value& v : r.tensors) parts.push_back(n.unsqueeze(v, {static_cast<int64_t>(r.index_rank)}));
  return parts.size() == 1 ? parts[0] : n.concat(parts, static_cast<int64_t>(r.index_rank));
}

Values index(NodeContext& n) {
  const Value x = n.in("self");
  const Indexed r = indices_of(n, x);
  if (r.axes.size() == 1) return {n.gather(x, r.tensors[0], r.axes[0])};
  const auto order = indexed_first(r, n.rank(x));
  const Value data = is_identity(order) ? x : n.transpose(x, order);
  const Value y = n(GatherND{}, data, last_axis_of(n, r));
  // Adjacent index tensors leave their axes where they were; others move to the front.
  if (!r.adjacent || r.axes[0] == 0) return {y};
  std::vector<int64_t> back;
  const auto head = static_cast<int64_t>(r.index_rank);
  for (int64_t k = 0; k < r.axes[0]; ++k) back.push_back(head + k);
  for (int64_t k = 0; k < head; ++k) back.push_back(k);
  for (int64_t k = head + r.axes[0]; k < static_cast<int64_t>(n.rank(y)); ++k) back.push_back(k);
  return {n.transpose(y, back)};
}

Values index_put(NodeContext& n) {
  const Value x = n.in("self");
  Value values = n.cast(n.in("values"), x.element_type());
  const auto rank = n.rank(x);
  const auto given = n.tensors("indices");
  const bool sum = n.flag("accumulate", false);
  // A single mask of the whole shape with one value.
  if (given.size() == 1 && given[0] && given[0].element_type() == ElementType::boolean && n.rank(values) == 0 && !sum) {
    Value mask = given[0];
    std::vector<int64_t> trailing;
    for (size_t k = n.rank(mask); k < rank; ++k) trailing.push_back(static_cast<int64_t>(k));
    if (!trailing.empty()) mask = n.unsqueeze(mask, trailing);
    return {n(Select{}, mask, values, x)};
  }
  Indexed r = indices_of(n, x);
  if (r.tensors.size() == 1) {
    const Value length = n.dim(x, r.axes[0]);
    r.tensors[0] =
        n(Select{}, n(Less{}, r.tensors[0], n.int_constant(0)), n(Add{}, r.tensors[0], length), r.tensors[0]);
  }
  const auto order = indexed_first(r, rank);
  const bool moved = !is_identity(order);
  const Value data = moved ? n.transpose(x, order) : x;
  const Value at = last_axis_of(n, r);
  // Values broadcast to what indexing would give; that has the index axes in front or in place.
  Values shape{n.shape_of(r.tensors[0])};
  const auto indexed = static_cast<int64_t>(r.axes.size()), head = static_cast<int64_t>(r.index_rank);
  if (indexed < static_cast<int64_t>(rank)) shape.push_back(n.dims(data, indexed, static_cast<int64_t>(rank)));
  const Value target = shape.size() == 1 ? shape[0] : n.concat(shape, 0);
  if (r.adjacent && r.axes[0] > 0 && n.rank(values) > 0) {
    const int64_t total = head + static_cast<int64_t>(rank) - indexed, first = r.axes[0];
    std::vector<int64_t> missing;
    for (int64_t k = static_cast<int64_t>(n.rank(values)); k < total; ++k) missing.push_back(std::ssize(missing));
    if (!missing.empty()) values = n.unsqueeze(values, missing);
    std::vector<int64_t> forward;
    for (int64_t k = 0; k < head; ++k) forward.push_back(first + k);
    for (int64_t k = 0; k < first; ++k) forward.push_back(k);
    for (int64_t k = first + head; k < total; ++k) forward.push_back(k);
    values = n.transpose(values, forward);
  }
  const Value y =
      n(ScatterNDUpdate{sum ? ScatterReduction::sum : ScatterReduction::none}, data, at, n.broadcast(values, target));
  if (!moved) return {y};
  std::vector<int64_t> back(order.size());
  for (size_t k = 0; k < order.size(); ++k) back[static_cast<size_t>(order[k])] = static_cast<int64_t>(k);
  return {n.transpose(y, back)};
}

Value scattered(NodeContext& n, Value updates, ScatterReduction reduction, bool include_self = true) {
  const Value x = n.in("self"), at = n.in("index");
  const int64_t axis = n.axis(n.i("dim"), x);
  // Updates may be larger than the index, which says how far they count.
  for (int64_t k = 0; k < static_cast<int64_t>(n.rank(updates)); ++k) {
    if (!updates.shape()[static_cast<size_t>(k)].same(at.shape()[static_cast<size_t>(k)])) {
      updates = n.slice(updates, k, n.int_constant(0), n.dim(at, k), n.int_constant(1));
    }
  }
  return n(ScatterElementsUpdate{reduction, include_self}, x, at, n.cast(updates, x.element_type()),
           n.int_constant(axis));
}
ScatterReduction reduction_named(NodeContext& n, const std::string& name) {
  if (name.empty()) return ScatterReduction::none;
  if (name == "add" || name == "sum") return ScatterReduction::sum;
  if (name == "multiply" || name == "prod") return ScatterReduction::prod;
  if (name == "amax") return ScatterReduction::max;
  if (name == "amin") return ScatterReduction::min;
  if (name == "mean") return ScatterReduction::mean;
  n.fail("unknown reduction '" + name + "'");
}
Values scatter(NodeContext& n) {
  const ScatterReduction r = reduction_named(n, n.s("reduce", ""));
  if (n.is_tensor("src")) return {scattered(n, n.in("src"), r)};
  const Value v = n.number("value", n.in("self").element_type());
  return {scattered(n, n.filled(n.shape_of(n.in("index")), v), r)};
}
Values scatter_add(NodeContext& n) {
  return {scattered(n, n.in("src"), ScatterReduction::sum)};
}
Values scatter_reduce(NodeContext& n) {
  return {scattered(n, n.in("src"), reduction_named(n, n.s("reduce", "sum")), n.flag("include_self", true))};
}

// Whole slices along an axis: the index is broadcast over the others.
Value along(NodeContext& n, Value x, int64_t axis, Value at, Value shape) {
  return n.broadcast(n.reshape(n.cast(at, ElementType::i64), n.laid_along(axis, n.rank(x))), shape);
}
// A scalar is a vector of one element.
Value at_least_vector(NodeContext& n, const char* name) {
  const Value v = n.in(name);
  return n.rank(v) == 0 ? n.unsqueeze(v, {0}) : v;
}
Values written_along(NodeContext& n, ScatterReduction reduction, bool include_self) {
  const Value x = at_least_vector(n, "self"), source = at_least_vector(n, "source");
  const int64_t axis = n.axis(n.i("dim"), x);
  Value updates = n.cast(source, x.element_type());
  if (n.has("alpha") && n.f("alpha", 1) != 1) updates = n(Multiply{}, updates, n.number("alpha", x.element_type()));
  const Value y = n(ScatterElementsUpdate{reduction, include_self}, x,
                    along(n, x, axis, n.in("index"), n.shape_of(source)), updates, n.int_constant(axis));
  return {n.rank(n.in("self")) == 0 ? n.squeeze(y, {0}) : y};
}
template <ScatterReduction reduction>
Values index_write(NodeContext& n) {
  return written_along(n, reduction, true);
}
Values index_fill(NodeContext& n) {
  const Value x = n.in("self"), at = at_least_vector(n, "index");
  if (n.rank(x) == 0) return {n.reshape(n.number("value", x.element_type()), {})};
  const int64_t axis = n.axis(n.i("dim"), x);
  const Value sizes =
      n(ScatterUpdate{}, n.shape_of(x), n.ints_constant({axis}), n.shape_of(n.reshape(at, {-1})), n.int_constant(0));
  return {n(ScatterElementsUpdate{}, x, along(n, x, axis, at, sizes),
            n.filled(sizes, n.number("value", x.element_type())), n.int_constant(axis))};
}

Values masked_fill(NodeContext& n) {
  const Value x = n.in("self");
  return {n(Select{}, n.cast(n.in("mask"), ElementType::boolean), n.number("value", x.element_type()), x)};
}
// The source's elements in order go where the mask is true.
Values masked_scatter(NodeContext& n) {
  const Value x = n.in("self"), mask = n.broadcast(n.in("mask"), n.shape_of(x)), flat = n.reshape(mask, {-1});
  const Value rank_of =
      n(Subtract{}, n(CumSum{}, n.cast(flat, ElementType::i64), n.int_constant(0)), n.int_constant(1));
  const Value at = n(Maximum{}, rank_of, n.int_constant(0));
  const Value picked = n.gather(n.reshape(n.in("source"), {-1}), at, 0);
  return {n(Select{}, mask, n.reshape_to(picked, n.shape_of(x)), x)};
}

// One slice, or one position, of x replaced.
Values slice_scatter(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t axis = n.axis(n.i("dim", 0), x);
  const Value all = n(Range{ElementType::i64}, n.int_constant(0), n.dim(x, axis), n.int_constant(1));
  const Value begin = n.has("start") ? n.size("start") : n.int_constant(0);
  const Value end = n.has("end") ? n.size("end") : n.int_constant(std::numeric_limits<int64_t>::max());
  const Value at = n.slice(all, 0, begin, end, n.has("step") ? n.size("step") : n.int_constant(1));
  return {n(ScatterUpdate{}, x, at, n.cast(n.in("src"), x.element_type()), n.int_constant(axis))};
}
Values select_scatter(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t axis = n.axis(n.i("dim"), x);
  Value at = n.size("index");
  at = n(Select{}, n(Less{}, at, n.int_constant(0)), n(Add{}, at, n.dim(x, axis)), at);
  const Value src = n.unsqueeze(n.cast(n.in("src"), x.element_type()), {axis});
  return {n(ScatterUpdate{}, x, n.reshape(at, {1}), src, n.int_constant(axis))};
}

Values one_hot(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t classes = n.i("num_classes", -1);
  if (classes < 0) n.refuse("needs num_classes");
  return {n(OneHot{-1}, x, n.int_constant(classes), n.int_constant(1), n.int_constant(0))};
}

// Lower and upper triangles compare row and column numbers.
template <bool lower>
Values triangle(NodeContext& n) {
  const Value x = n.in("self");
  const auto rank = static_cast<int64_t>(n.rank(x));
  const Value rows =
      n.unsqueeze(n(Range{ElementType::i64}, n.int_constant(0), n.dim(x, rank - 2), n.int_constant(1)), {1});
  const Value columns = n(Range{ElementType::i64}, n.int_constant(0), n.dim(x, rank - 1), n.int_constant(1));
  const Value edge = n(Add{}, rows, n.has("diagonal") ? n.size("diagonal") : n.int_constant(0));
  const Value kept = lower ? n(LessEqual{}, columns, edge) : n(GreaterEqual{}, columns, edge);
  return {n(Select{}, kept, x, n.scalar_of(x.element_type(), 0))};
}

// Sums, means or maxima of bags of rows. A vector of indices has bags by offsets; a matrix is a bag a row.
Values embedding_bag(NodeContext& n) {
  const Value w = n.in("weight");
  Value at = n.cast(n.in("indices"), ElementType::i64), offsets = n.cast(n.in("offsets"), ElementType::i64);
  const int64_t mode = n.i("mode", 0);
  if (mode < 0 || mode > 2) n.fail("has an unknown mode");
  if (n.rank(at) != 1) n.refuse("wants a vector of indices");
  Value bags = n.dims(offsets, 0, 1);
  if (n.flag("include_last_offset", false)) {
    bags = n(Subtract{}, bags, n.int_constant(1));
    offsets = n.slice(offsets, 0, 0, -1);
  }
  Value rows = n.gather(w, at, 0);
  if (n.has("per_sample_weights")) rows = n(Multiply{}, rows, n.unsqueeze(n.in("per_sample_weights"), {1}));
  // The bag of a position: how many bags begin at or before it, minus one.
  const Value position =
      n.unsqueeze(n(Range{ElementType::i64}, n.int_constant(0), n.dim(at, 0), n.int_constant(1)), {1});
  const Value begun = n.cast(n(LessEqual{}, n.unsqueeze(offsets, {0}), position), ElementType::i64);
  const Value bag = n(Subtract{}, n(ReduceSum{}, begun, n.ints_constant({1})), n.int_constant(1));
  Value kept = n.filled(n.shape_of(bag), n.like(w, 1));
  if (const int64_t none = n.i("padding_idx", -1); none >= 0) {
    kept = n(Select{}, n(Equal{}, at, n.int_constant(none)), n.like(w, 0), kept);
    if (mode != 2) rows = n(Multiply{}, rows, n.unsqueeze(kept, {1}));
  }
  const Value shape = n.concat({bags, n.dims(w, 1, 2)}, 0);
  const Value zero = n.like(w, 0), index = n.broadcast(n.unsqueeze(bag, {1}), n.shape_of(rows));
  const Value counts =
      n(ScatterElementsUpdate{ScatterReduction::sum}, n.filled(bags, zero), bag, kept, n.int_constant(0));
  const Value some = n.unsqueeze(n(Greater{}, counts, zero), {1});
  if (mode == 2) {
    const Value least = n.like(w, -std::numeric_limits<double>::infinity());
    rows = n(Select{}, n.unsqueeze(n(Equal{}, kept, zero), {1}), least, rows);
    const Value y =
        n(ScatterElementsUpdate{ScatterReduction::max}, n.filled(shape, least), index, rows, n.int_constant(0));
    return {n(Select{}, some, y, zero)};
  }
  const Value sum =
      n(ScatterElementsUpdate{ScatterReduction::sum}, n.filled(shape, zero), index, rows, n.int_constant(0));
  if (mode == 0) return {sum};
  return {n(Divide{}, sum, n(Maximum{}, n.unsqueeze(counts, {1}), n.like(w, 1)))};
}

// One element for each index: x.flatten()[index] = source.
Values put(NodeContext& n) {
  const Value x = n.in("self");
  const ScatterReduction r = n.flag("accumulate", false) ? ScatterReduction::sum : ScatterReduction::none;
  const Value source = n.reshape(n.cast(n.in("source"), x.element_type()), {-1});
  const Value y = n(ScatterElementsUpdate{r}, n.reshape(x, {-1}),
                    n.reshape(n.cast(n.in("index"), ElementType::i64), {-1}), source, n.int_constant(0));
  return {n.reshape_to(y, n.shape_of(x))};
}
Values index_reduce(NodeContext& n) {
  return written_along(n, reduction_named(n, n.s("reduce", "sum")), n.flag("include_self", true));
}
Values diagonal_scatter(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t a = n.axis(n.i("dim1", 0), x), c = n.axis(n.i("dim2", 1), x), offset = n.i("offset", 0);
  if (a == c) n.fail("has wrong axes");
  // The diagonal as the last axis, spread over both, and chosen where it lies.
  const auto r = static_cast<int64_t>(n.rank(x));
  const auto numbers = [&](int64_t axis) { return n.reshape(n.range(n.dim(x, axis)), n.laid_along(axis, n.rank(x))); };
  const Value row = numbers(a), column = numbers(c);
  const Value own = n(Equal{}, n(Add{}, row, n.int_constant(offset)), column);
  const Value src = n.cast(n.in("src"), x.element_type());
  // Along `a` the vector starts at row max(0, -offset); rows without a diagonal element take any.
  const Value place = n(Subtract{}, n.range(n.dim(x, a)), n.int_constant(offset < 0 ? -offset : 0));
  const Value last = n(Subtract{}, n.dim(src, r - 2), n.int_constant(1));
  const Value at = n(Minimum{}, n(Maximum{}, place, n.int_constant(0)), last);
  const Value spread = n.gather(src, at, r - 2);  // [other axes..., rows]
  std::vector<int64_t> order;
  int64_t next = 0;
  for (int64_t k = 0; k < r; ++k) {
    if (k == c) continue;
    order.push_back(k == a ? r - 2 : next++);
  }
  return {n(Select{}, own, n.unsqueeze(n.transpose(spread, order), {c}), x)};
}

constexpr OperatorRow rows[] = {
    {"_embedding_bag", embedding_bag},
    {"_embedding_bag_forward_only", embedding_bag},
    {"_unsafe_index", index},
    {"_unsafe_index_put", index_put},
    {"diagonal_scatter", diagonal_scatter},
    {"embedding", embedding},
    {"embedding_bag", embedding_bag},
    {"gather", gather},
    {"index", index},
    {"index_add", index_write<ScatterReduction::sum>},
    {"index_copy", index_write<ScatterReduction::none>},
    {"index_fill", index_fill},
    {"index_put", index_put},
    {"index_reduce", index_reduce},
    {"index_select", index_select},
    {"masked_fill", masked_fill},
    {"masked_scatter", masked_scatter},
    {"one_hot", one_hot},
    {"put", put},
    {"scatter", scatter},
    {"scatter_add", scatter_add},
    {"scatter_reduce", scatter_reduce},
    {"select_scatter", select_scatter},
    {"slice_scatter", slice_scatter},
    {"take", take},
    {"take_along_dim", take_along},
    {"tril", triangle<true>},
    {"triu", triangle<false>},
};

}  // namespace

std::span<const OperatorRow> indexing_rows() {
  return rows;
}

}  // namespace hone::pytorch
