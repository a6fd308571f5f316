#include "passes/batch.hpp"

#include <optional>

#include "graph/builder.hpp"
#include "ops/basic.hpp"
#include "ops/movement.hpp"

namespace hone {
namespace {

struct Change {
  Dimension from, to;
};

// The axis of a value that is the batch: the only one that went the way of the inputs' first dimension.
std::optional<size_t> batch_axis(const PartialShape& before, const PartialShape& now, const Change& batch) {
  if (!before.rank_known() || !now.rank_known() || before.rank() != now.rank()) return std::nullopt;
  std::optional<size_t> axis;
  for (size_t i = 0; i < before.rank(); ++i) {
    if (before[i] == now[i] || before[i] != batch.from || now[i] != batch.to) continue;
    if (axis) return std::nullopt;
    axis = i;
  }
  return axis;
}

int64_t elements(const Shape& s, size_t from, size_t to) {
  return element_count(Shape(s.begin() + static_cast<ptrdiff_t>(from), s.begin() + static_cast<ptrdiff_t>(to)));
}

// Where the axis of the input stands in what a reshape gives; of several places of size 1 the one with the same number.
std::optional<size_t> place_of(size_t axis, const Shape& in, const Shape& out) {
  std::optional<size_t> place;
  for (size_t j = 0; j < out.size(); ++j) {
    if (out[j] != in[axis] || elements(in, 0, axis) != elements(out, 0, j) ||
        elements(in, axis + 1, in.size()) != elements(out, j + 1, out.size()))
      continue;
    if (!place || j == axis) place = j;
  }
  return place;
}

// The target of a Reshape with the batch taken from its input.
bool follow_batch(Graph& g, NodeId id, const Change& batch, const PartialShape& in_before,
                  const PartialShape& out_before) {
  const Node node = g.handle(id);
  const Reshape* reshape = node.as<Reshape>();
  if (!reshape || !node.input(1).node().is<Constant>() || !in_before.is_static() || !out_before.is_static())
    return false;
  const auto axis = batch_axis(in_before, node.input(0).shape(), batch);
  if (!axis) return false;
  const Shape in = in_before.to_shape(), out = out_before.to_shape();
  if (element_count(in) == 0) return false;  // a place is told by the elements around it
  const auto place = place_of(*axis, in, out);
  Shape target = node.input(1).constant().to_ints();
  if (!place || target.size() != out.size() || target[*place] != in[*axis]) return false;
  bool special_zero = reshape->special_zero;
  if (*place == *axis) {
    target[*place] = 0;
    special_zero = true;
  } else {
    for (const int64_t t : target) {
      if (t == -1) return false;  // only one size can be inferred
    }
    target[*place] = -1;
  }
  Builder b(g);
  b.set_provenance(g.node(id).provenance);
  g.set_input(id, 1, b.ints(target).id);
  if (special_zero != reshape->special_zero) g.set(id, Reshape{.special_zero = special_zero});
  return true;
}

}  // namespace

size_t reshape_with_batch(Graph& g, const std::map<ValueId, PartialShape>& shapes) {
  std::optional<Change> batch;
  for (const auto& [id, shape] : shapes) {
    const PartialShape& own = g.value(id).type.shape;
    if (own.rank_known() && own.rank() > 0 && own[0].is_static() && shape.rank_known() && shape.rank() == own.rank() &&
        own[0] != shape[0])
      batch = {own[0], shape[0]};
  }
  if (!batch) {
    g.reshape(shapes);
    return 0;
  }
  std::vector<PartialShape> before(g.value_capacity());
  for (size_t i = 0; i < before.size(); ++i) before[i] = g.value(static_cast<ValueId>(i)).type.shape;
  const auto order = g.topological_order();
  Transaction t(g);
  for (const auto& [id, shape] : shapes) {
    Type type = g.value(id).type;
    type.shape = shape;
    g.set_type(id, type);
  }
  size_t changed = 0;
  for (NodeId id : order) {
    const Node node = g.handle(id);
    if (node.is<Reshape>()) changed += follow_batch(g, id, *batch, before[node.input(0).id], before[node.output().id]);
    g.infer(id);
  }
  t.commit();
  return changed;
}

}  // namespace hone
