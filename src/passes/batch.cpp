#include "passes/batch.hpp"

#include <algorithm>
#include <optional>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/conversion.hpp"
#include "ops/convolution.hpp"
#include "ops/evaluate.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/pooling.hpp"
#include "ops/random.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

struct Change {
  Dimension from, to;
};

// The axis of a value that holds the batch: the only one that went the way of the inputs' first dimension, or else the
// only one that grew as it did, which holds more: heads or windows, of each sample together.
std::optional<size_t> batch_axis(const PartialShape& before, const PartialShape& now, const Change& batch) {
  if (!before.rank_known() || !now.rank_known() || before.rank() != now.rank()) return std::nullopt;
  const auto only = [&](auto&& went) {
    std::optional<size_t> axis;
    for (size_t i = 0; i < before.rank(); ++i) {
      if (before[i] == now[i] || !before[i].is_static() || !went(before[i], now[i])) continue;
      if (axis) return std::optional<size_t>();
      axis = i;
    }
    return axis;
  };
  const auto same = only([&](const Dimension& a, const Dimension& b) { return a == batch.from && b == batch.to; });
  if (same) return same;
  return only([&](const Dimension& a, const Dimension& b) {
    if (batch.to.is_dynamic()) return b.is_dynamic();
    return b.is_static() && b.min() * batch.from.min() == a.min() * batch.to.min();
  });
}

int64_t elements(const Shape& s, size_t from, size_t to) {
  return element_count(Shape(s.begin() + static_cast<ptrdiff_t>(from), s.begin() + static_cast<ptrdiff_t>(to)));
}

// Where the batch is in a value: in an axis, whose elements it counts out `outer` times (5 tokens of each sample side
// by side: [5 * batch], outer 5).
struct Place {
  size_t axis = 0;
  int64_t outer = 1;
};

// The place of the batch in what a reshape gives: the dimension that as many elements are before. Batches of one could
// be in any of several: in a dimension of their own, else with rows rather than with the numbers of the last one.
std::optional<Place> place_of(const Place& from, const Shape& in, const Shape& out, int64_t batch) {
  const int64_t before = elements(in, 0, from.axis) * from.outer;
  std::optional<Place> place;
  for (size_t j = 0; j < out.size(); ++j) {
    const int64_t left = elements(out, 0, j);
    if (before % left != 0 || left * out[j] % (before * batch) != 0) continue;
    const Place here{j, before / left};
    const bool own = out[j] == batch && here.outer == 1;
    if (own && (j == from.axis || !place || out[place->axis] != batch)) place = here;
    if (own && j == from.axis) break;
    if (!own && (!place || (out[place->axis] != batch && j + 1 < out.size()))) place = here;
  }
  return place;
}

// The numbers of a shape where all are known; what is computed from shapes holds those of the batch that is set
// already.
std::optional<Shape> numbers(const Graph& g, const Value& v) {
  if (v.node().is<Constant>()) return v.constant().to_ints();
  const auto& content = g.value(v.id).content;
  if (!content) return std::nullopt;
  Shape s;
  for (const Dimension& d : *content) {
    if (!d.is_static()) return std::nullopt;
    s.push_back(d.min());
  }
  return s;
}

// The target of a Reshape with the batch taken from its input, which counts it out `outer` times.
bool follow_batch(Graph& g, NodeId id, const Change& batch, const PartialShape& in_before,
                  const PartialShape& out_before, int64_t outer) {
  const Node node = g.handle(id);
  const Reshape* reshape = node.as<Reshape>();
  if (!in_before.is_static() || !out_before.is_static()) return false;
  const auto axis = batch_axis(in_before, node.input(0).shape(), batch);
  if (!axis) return false;
  const Shape in = in_before.to_shape(), out = out_before.to_shape();
  if (element_count(in) == 0) return false;  // a place is told by the elements around it
  const auto found = place_of({*axis, outer}, in, out, batch.from.min());
  auto known = numbers(g, node.input(1));
  if (!found || !known || known->size() != out.size()) return false;
  Shape& target = *known;
  const size_t place = found->axis;
  if (target[place] != out[place]) return false;
  bool special_zero = reshape->special_zero;
  if (place == *axis && in[*axis] == out[place]) {
    target[place] = 0;
    special_zero = true;
  } else if (std::find(target.begin(), target.end(), -1) == target.end()) {
    target[place] = -1;
  } else if (batch.to.is_static()) {  // only one size can be inferred
    target[place] = out[place] / batch.from.min() * batch.to.min();
  } else {
    return false;
  }
  Builder b(g);
  b.set_provenance(g.node(id).provenance);
  g.set_input(id, 1, b.ints(target).id);
  if (special_zero != reshape->special_zero) g.set(id, Reshape{.special_zero = special_zero});
  return true;
}

// A Broadcast of the inputs to numbers takes the batch from them.
bool follow_broadcast(Graph& g, NodeId id, const Change& batch, const PartialShape& in_before) {
  const Node node = g.handle(id);
  if (node.as<Broadcast>()->mode == BroadcastMode::explicit_ || !node.input(1).node().is<Constant>()) return false;
  const auto axis = batch_axis(in_before, node.input(0).shape(), batch);
  if (!axis) return false;
  Shape target = node.input(1).constant().to_ints();
  if (target.size() + *axis < in_before.rank()) return false;
  const size_t place = *axis + target.size() - in_before.rank();
  if (target[place] == 1 && node.as<Broadcast>()->mode == BroadcastMode::bidirectional) return false;
  if (Dimension(target[place]) != in_before[*axis]) return false;
  target[place] = 1;
  Builder b(g);
  b.set_provenance(g.node(id).provenance);
  g.set_input(id, 1, b.ints(target).id);
  g.set(id, Broadcast{BroadcastMode::bidirectional});
  return true;
}

// Are all parts of a constant along an axis the same?
bool repeats_along(const Tensor& t, size_t axis) {
  if (t.size() == 0) return false;
  const auto size = static_cast<size_t>(t.shape()[axis]);
  const auto inner = static_cast<size_t>(elements(t.shape(), axis + 1, t.shape().size()));
  for (size_t i = 0; i < t.size(); ++i) {
    const size_t first = i - i / inner % size * inner;
    if (get_element(t, i) != get_element(t, first)) return false;
  }
  return true;
}

// What stands beside the inputs in a Concat and depends on none of them, such as a class token, is repeated for each
// sample.
bool follow_concat(Graph& g, NodeId id, const Change& batch, const std::vector<PartialShape>& before,
                   const std::vector<bool>& depends) {
  const Node node = g.handle(id);
  std::optional<size_t> axis;
  Value sample;
  for (const Value& v : node.inputs()) {
    const auto found = v.id < before.size() ? batch_axis(before[v.id], v.shape(), batch) : std::nullopt;
    if (!found) continue;
    if (axis && *axis != *found) return false;
    axis = found;
    sample = v;
  }
  if (!axis) return false;
  const auto rank = static_cast<int64_t>(sample.shape().rank());
  const int64_t joined = node.as<Concat>()->axis;
  if ((joined < 0 ? joined + rank : joined) == static_cast<int64_t>(*axis)) return false;  // samples behind samples
  const Dimension own = before[sample.id][*axis];
  bool changed = false;
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    const Value v = node.input(i);
    if (v.id >= depends.size() || depends[v.id] || !v.shape().rank_known() ||
        static_cast<int64_t>(v.shape().rank()) != rank || !v.shape()[*axis].compatible(own))
      continue;
    Builder b(g);
    b.set_provenance(g.node(v.node().id).provenance);
    const auto at = [&](int64_t x) { return b.ints({x}); };
    const auto place = static_cast<int64_t>(*axis);
    Value one = v;
    if (own != Dimension(1)) {
      if (!v.node().is<Constant>() || !repeats_along(v.constant(), *axis)) return false;
      one = b(Slice{}, v, at(0), at(1), at(1), at(place));
    }
    // [1, ..., batch, ..., 1], of the samples beside it.
    const Value size = b(Slice{}, b(ShapeOf{}, sample), at(place), at(place + 1), at(1), at(0));
    Values target;
    if (place > 0) target.push_back(b.ints(std::vector<int64_t>(*axis, 1)));
    target.push_back(size);
    if (place + 1 < rank) target.push_back(b.ints(std::vector<int64_t>(static_cast<size_t>(rank - place - 1), 1)));
    const Value shape = batch.to.is_static() ? b.ints([&] {
      std::vector<int64_t> s(static_cast<size_t>(rank), 1);
      s[*axis] = sample.shape()[*axis].min();
      return s;
    }())
                                             : b(Concat{0}, target);
    g.set_input(id, i, b(Broadcast{BroadcastMode::bidirectional}, one, shape).id);
    changed = true;
  }
  return changed;
}

bool any_of_axes(const Value& axes, size_t axis, size_t rank) {
  if (!axes || !axes.node().is<Constant>()) return true;
  for (int64_t a : axes.constant().to_ints()) {
    if (a == static_cast<int64_t>(axis) || a + static_cast<int64_t>(rank) == static_cast<int64_t>(axis)) return true;
  }
  return false;
}

template <class... Ops>
bool is_any(const Node& n) {
  return (n.is<Ops>() || ...);
}

// Does an operator compute each row of an axis of its input by itself? Asked of axes that hold more than the batch: of
// these nobody can say by the shapes alone that what comes out belongs to one sample.
bool keeps_rows_apart(const Node& n, size_t input, size_t axis) {
  const size_t rank = n.input(input).shape().rank();
  const auto elsewhere = [&](int64_t a) { return (a < 0 ? a + static_cast<int64_t>(rank) : a) != int64_t(axis); };
  if (is_any<Relu, Elu, Gelu, HSwish, HSigmoid, Swish, Sigmoid, Tanh, Clamp, SoftPlus, Mish, Erf, Exp, Sqrt, Power,
             Negative, Abs, Convert, Identity, Dropout, Add, Subtract, Multiply, Divide, Select, Reshape, Transpose,
             Squeeze, Unsqueeze, ShapeOf, Broadcast, Result>(n))
    return true;
  if (const auto* s = n.as<Softmax>()) return elsewhere(s->axis);
  if (const auto* s = n.as<LogSoftmax>()) return elsewhere(s->axis);
  if (const auto* c = n.as<Concat>()) return elsewhere(c->axis);
  if (const auto* m = n.as<MatMul>()) {  // rows and batches of matrices, not what is summed over
    if (axis + 2 < rank) return true;
    return axis == (input == 0 ? (m->transpose_a ? rank - 1 : rank - 2) : (m->transpose_b ? rank - 2 : rank - 1));
  }
  if (is_any<Convolution, GroupConvolution, MaxPool, AvgPool, BatchNormInference>(n)) return input == 0 && axis == 0;
  if (is_any<Split, VariadicSplit, Gather>(n)) {
    const Value a = n.input(n.is<Gather>() ? 2 : 1);
    return input == 0 && !any_of_axes(a, axis, rank);
  }
  if (is_any<ReduceMean, ReduceSum, ReduceMax, MVN>(n)) return input == 0 && !any_of_axes(n.input(1), axis, rank);
  if (n.is<Slice>()) return input == 0 && n.input(4) && !any_of_axes(n.input(4), axis, rank);
  if (const auto* l = n.as<LayerNorm>())
    return input == 0 && int64_t(axis) < (l->axis < 0 ? l->axis + int64_t(rank) : l->axis);
  return false;
}

// The elements of a small value that depends on no input.
constexpr size_t small = 64;
std::optional<Tensor> computed(const Value& v, int& budget) {
  const Node n = v.node();
  if (const auto* c = n.as<Constant>()) return c->value.size() <= small ? std::optional(c->value) : std::nullopt;
  if (n.num_inputs() == 0 || n.op().has_side_effect || n.is<ReadValue>() || !n.graph->node(n.id).regions.empty() ||
      !v.type().is_tensor() || --budget < 0)
    return std::nullopt;
  std::vector<Datum> in;
  for (const Value& x : n.inputs()) {
    const auto t = x ? computed(x, budget) : std::nullopt;
    if (x && !t) return std::nullopt;
    in.push_back(t ? Datum(*t) : Datum());
  }
  try {
    const Datum out = evaluate_node(*n.graph, n.id, std::move(in))[v.index()];
    return out.is_tensor() && out.tensor().size() <= small ? std::optional(out.tensor()) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;  // it refuses these numbers when the model runs, with its name
  }
}

// Whole numbers beside the data become Constants where `known` can tell them. Weights stay what they are made of.
template <class Known>
void settle(Graph& g, Known&& known) {
  for (NodeId id : g.topological_order()) {
    const Node n = g.handle(id);
    for (size_t i = 1; i < n.num_inputs(); ++i) {
      const Value v = n.input(i);
      if (!v || v.node().is<Constant>() || !v.type().is_tensor() || !is_integer(v.element_type())) continue;
      if (const std::optional<Tensor> t = known(v)) {
        Builder b(g);
        b.set_provenance(g.node(v.node().id).provenance);
        g.set_input(id, i, b.constant(*t).id);
      }
    }
    g.infer(id);
  }
}

std::optional<Tensor> computed(const Value& v) {
  int budget = 100;
  return computed(v, budget);
}

[[noreturn]] void mixes(const Node& n) {
  throw Error(ErrorCode::unsupported,
              "[batch] " + std::string(n.op().name) + " may mix samples that share a dimension with something else",
              n.name());
}

}  // namespace

size_t reshape_with_batch(Graph& g, const std::map<ValueId, PartialShape>& shapes) {
  std::optional<Change> batch;
  for (const auto& [id, shape] : shapes) {
    const PartialShape& own = g.value(id).type.shape;
    if (own.rank_known() && own.rank() > 0 && own[0].is_static() && own[0].min() > 0 && shape.rank_known() &&
        shape.rank() == own.rank() && own[0] != shape[0])
      batch = {own[0], shape[0]};
  }
  if (!batch) {
    g.reshape(shapes);
    return 0;
  }
  Transaction t(g);
  settle(g, [](const Value& v) { return computed(v); });
  const auto order = g.topological_order();
  std::vector<PartialShape> before(g.value_capacity());
  for (size_t i = 0; i < before.size(); ++i) before[i] = g.value(static_cast<ValueId>(i)).type.shape;
  for (const auto& [id, shape] : shapes) {
    Type type = g.value(id).type;
    type.shape = shape;
    g.set_type(id, type);
  }
  // Values made of the inputs; of them those whose axis of the batch holds something else too, with their `outer`.
  std::vector<bool> depends(before.size(), false);
  std::vector<int64_t> shared(before.size(), 0);
  size_t changed = 0;
  for (NodeId id : order) {
    const Node node = g.handle(id);
    bool made_of_inputs = node.is<Parameter>();
    int64_t outer = 0;
    for (size_t i = 0; i < node.num_inputs(); ++i) {
      const Value in = node.input(i);
      if (!in) continue;
      made_of_inputs = made_of_inputs || depends[in.id];
      if (shared[in.id] == 0) continue;
      const auto axis = batch_axis(before[in.id], in.shape(), *batch);
      if (!axis || !keeps_rows_apart(node, i, *axis) || (outer > 0 && outer != shared[in.id])) mixes(node);
      outer = shared[in.id];
    }
    bool follows = false;
    const PartialShape before_in = node.num_inputs() > 0 && node.input(0) ? before[node.input(0).id] : PartialShape();
    if (node.is<Reshape>())
      follows = follow_batch(g, id, *batch, before_in, before[node.output().id], std::max<int64_t>(1, outer));
    else if (node.is<Broadcast>())
      follows = follow_broadcast(g, id, *batch, before_in);
    else if (node.is<Concat>())
      follows = follow_concat(g, id, *batch, before, depends);
    changed += follows;
    g.infer(id);
    for (const Value& out : node.outputs()) {
      depends[out.id] = made_of_inputs;
      const auto axis = batch_axis(before[out.id], out.shape(), *batch);
      if (!axis || before[out.id][*axis] == batch->from) continue;
      if (node.is<Reshape>() && (follows || outer > 0)) {
        const auto in = batch_axis(before_in, node.input(0).shape(), *batch);
        const int64_t left = elements(before[out.id].to_shape(), 0, *axis),
                      all = in ? elements(before_in.to_shape(), 0, *in) * std::max<int64_t>(1, outer) : 0;
        if (all == 0 || all % left != 0) mixes(node);
        shared[out.id] = all / left;
      } else {
        shared[out.id] = outer;
      }
    }
  }
  t.commit();
  return changed;
}

void settle_shapes(Graph& g) {
  Transaction t(g);
  settle(g, [&](const Value& v) -> std::optional<Tensor> {
    if (auto c = computed(v)) return c;
    const auto known = numbers(g, v);
    if (!known || !v.shape().is_static() || known->size() > small) return std::nullopt;
    const Shape shape = v.shape().to_shape();
    if (static_cast<size_t>(element_count(shape)) != known->size()) return std::nullopt;
    Tensor ints(ElementType::i64, shape);
    std::copy(known->begin(), known->end(), ints.data<int64_t>());
    return ints.converted(v.element_type());
  });
  t.commit();
}

}  // namespace hone
