#include "formats/emitter.hpp"

#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/registry.hpp"

namespace hone {

Node Emitter::add(const char* op, Attributes attributes, const Values& in, std::vector<Region> regions) {
  const OpDef* def = find_op(op);
  if (!def)
    throw Error(ErrorCode::unsupported, std::string("[read] needs operator ") + op + ", which this build lacks");
  return b.add(*def, std::move(attributes), in, std::move(regions));
}

Tensor Emitter::known(Value v) {
  if (!v || !v.type().is_tensor()) return {};
  if (Tensor t = v.constant()) return t;
  const ValueData& d = v.graph->value(v.id);
  if (!d.content || !d.type.is_static()) return {};
  Tensor t(d.type.element, d.type.shape.to_shape());
  if (t.size() != d.content->size()) return {};
  for (size_t k = 0; k < t.size(); ++k) {
    if ((*d.content)[k].is_dynamic()) return {};
    set_integer(t, k, (*d.content)[k].min());
  }
  return t;
}

Tensor Emitter::folded(Value v, int depth) {
  if (!v || !v.type().is_tensor()) return {};
  if (Tensor t = known(v)) return t;
  const NodeData& d = v.graph->node(v.node().id);
  // Results that are large for arithmetic on shapes are left to constant folding.
  if (v.type().is_static() && element_count(v.shape().to_shape()) > 65536) return {};
  if (depth == 0 || d.inputs.empty() || !d.regions.empty() || d.epilogue || d.op->has_side_effect) return {};
  std::vector<Datum> inputs;
  for (ValueId id : d.inputs) {
    if (id == no_id) {
      inputs.emplace_back();
      continue;
    }
    Tensor t = folded(v.graph->value_handle(id), depth - 1);
    if (!t || t.size() > 1024) return {};
    inputs.emplace_back(t);
  }
  return evaluate_node(*v.graph, v.node().id, std::move(inputs)).at(v.index()).tensor();
}

Value Emitter::cast(Value v, ElementType t) {
  return v.element_type() == t ? v : (*this)(Convert{t}, v);
}
Value Emitter::reshape(Value v, std::vector<int64_t> shape) {
  const bool same = v.shape().rank_known() && v.shape().rank() == shape.size() &&
                    (shape.empty() || (shape.size() == 1 && shape[0] == -1));
  if (same) return v;
  return (*this)(Reshape{}, v, b.ints(std::move(shape)));
}
Value Emitter::unsqueeze(Value v, std::vector<int64_t> axes) {
  return (*this)(Unsqueeze{}, v, b.ints(std::move(axes)));
}
Value Emitter::squeeze(Value v, std::vector<int64_t> axes) {
  return (*this)(Squeeze{}, v, b.ints(std::move(axes)));
}

Value Emitter::transpose(Value v, std::vector<int64_t> order) {
  if (const Node n = v.node(); n.is<Transpose>()) {
    const Tensor inner = n.input(1).constant();
    if (inner && inner.size() == order.size()) {
      for (int64_t& k : order) k = get_integer(inner, static_cast<size_t>(k));
      v = n.input(0);
    }
  }
  bool same = true;
  for (size_t k = 0; k < order.size(); ++k) same = same && order[k] == static_cast<int64_t>(k);
  return same ? v : (*this)(Transpose{}, v, b.ints(std::move(order)));
}

Value Emitter::shape_of(Value v) {
  return (*this)(ShapeOf{}, v);
}
Value Emitter::dims(Value v, int64_t begin, int64_t end) {
  return slice(shape_of(v), 0, begin, end);
}
Value Emitter::dim(Value v, int64_t axis) {
  if (v.shape().rank_known() && axis < static_cast<int64_t>(v.shape().rank()) && axis >= 0 &&
      v.shape()[static_cast<size_t>(axis)].is_static()) {
    return int_constant(v.shape()[static_cast<size_t>(axis)].get_length());
  }
  return gather(shape_of(v), int_constant(axis), 0);
}
Value Emitter::gather(Value v, Value indices, int64_t axis) {
  return (*this)(Gather{}, v, indices, int_constant(axis));
}
Value Emitter::slice(Value v, int64_t axis, int64_t begin, int64_t end, int64_t step) {
  return (*this)(Slice{}, v, b.ints({begin}), b.ints({end}), b.ints({step}), b.ints({axis}));
}
Value Emitter::concat(const Values& v, int64_t axis) {
  return all(Concat{axis}, v)[0];
}
Value Emitter::range(Value end) {
  return (*this)(Range{ElementType::i64}, int_constant(0), end, int_constant(1));
}

}  // namespace hone
