#include "graph/builder.hpp"

#include <unordered_map>

#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone {

Tensor Value::constant() const {
  const auto* c = node().as<Constant>();
  return c ? c->value : Tensor();
}

Node Builder::add(const OpDef& op, Attributes attributes, const Values& inputs, std::vector<Region> regions) {
  std::vector<ValueId> ids;
  for (const Value& v : inputs) {
    if (v && v.graph != &graph_)
      throw Error(ErrorCode::failed, "[" + std::string(op.name) + "] an input belongs to another graph");
    ids.push_back(v.id);
  }
  while (!ids.empty() && ids.back() == no_id) ids.pop_back();
  const NodeId id = graph_.add(op, std::move(attributes), std::move(ids), std::move(regions), name_);
  if (!provenance_.empty()) graph_.set_provenance(id, provenance_);
  added_.push_back(id);
  return graph_.handle(id);
}

Value Builder::parameter(ElementType type, PartialShape shape, std::string name) {
  const NodeId id =
      graph_.add(op_def<Parameter>(), std::make_shared<Parameter>(Parameter{type, std::move(shape)}), {}, {}, name);
  const Value v = graph_.handle(id).output();
  if (!name.empty()) graph_.set_names(v.id, {std::move(name)});
  added_.push_back(id);
  return v;
}

Value Builder::parameter(Type type, std::string name) {
  const Value v = parameter(type.is_tensor() ? type.element : ElementType::dynamic,
                            type.is_tensor() ? type.shape : PartialShape(), std::move(name));
  graph_.set_type(v.id, std::move(type));
  return v;
}

Value Builder::constant(Tensor value) {
  return (*this)(Constant{std::move(value)});
}

Value Builder::ints(std::vector<int64_t> v) {
  const auto n = static_cast<int64_t>(v.size());
  return constant(Tensor::of<int64_t>({n}, std::span<const int64_t>(v)));
}

Value Builder::like(Value v, double x) {
  ElementType e = v.type().quantization ? ElementType::f32 : v.element_type();
  if (e == ElementType::dynamic) e = ElementType::f32;
  Tensor t(e, {});
  set_element(t, 0, x);
  return constant(t);
}

Node Builder::result(Value v, std::string name) {
  const NodeId id = graph_.add(op_def<Result>(), std::make_shared<Result>(), {v.id}, {}, std::move(name));
  added_.push_back(id);
  return graph_.handle(id);
}

Values inline_graph(Builder& b, const Graph& from, const Values& inputs) {
  if (inputs.size() != from.parameters().size()) throw Error(ErrorCode::failed, "[region] wrong number of inputs");
  std::unordered_map<ValueId, Value> map;
  for (size_t i = 0; i < inputs.size(); ++i) map[from.inputs()[i].id] = inputs[i];
  for (NodeId id : from.topological_order()) {
    const NodeData& n = from.node(id);
    if (n.op == &op_def<Parameter>() || n.op == &op_def<Result>()) continue;
    Values in;
    for (ValueId v : n.inputs) in.push_back(v == no_id ? Value{} : map.at(v));
    const size_t op_inputs = from.num_op_inputs(id);
    const Node node =
        b.add(*n.op, n.attributes, Values(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(op_inputs)), n.regions);
    if (n.epilogue) {
      std::vector<ValueId> operands;
      for (size_t i = op_inputs; i < in.size(); ++i) operands.push_back(in[i].id);
      b.graph().set_epilogue(node.id, n.epilogue, operands);
    }
    if (!n.name.empty()) b.graph().set_name(node.id, n.name);
    if (!n.provenance.empty()) b.graph().set_provenance(node.id, n.provenance);
    for (const auto& [k, v] : n.info) b.graph().set_info(node.id, k, v);
    for (size_t i = 0; i < n.outputs.size(); ++i) {
      map[n.outputs[i]] = node.output(i);
      if (!from.value(n.outputs[i]).names.empty())
        b.graph().set_names(node.output(i).id, from.value(n.outputs[i]).names);
    }
  }
  Values out;
  for (const Value& v : from.outputs()) out.push_back(map.at(v.id));
  return out;
}

}  // namespace hone
