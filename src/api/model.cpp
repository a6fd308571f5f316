#include "hone/model.hpp"

#include <algorithm>
#include <set>

#include "api/ports.hpp"
#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "ops/basic.hpp"
#include "ops/cost.hpp"
#include "passes/batch.hpp"

namespace hone {

Port port_of(const Value& v, const std::string& node_name) {
  Port p;
  p.names = v.names();
  p.name = !p.names.empty() ? p.names[0] : node_name;
  p.element_type = v.type().element;
  if (v.type().is_tensor()) p.partial_shape = v.shape();
  return p;
}

Port output_port(const Graph& g, NodeId result) {
  const std::string& own = g.node(result).name;
  Port p = port_of(g.handle(result).input(0), own);
  const auto at = std::find(p.names.begin(), p.names.end(), own);
  if (at == p.names.end()) return p;
  std::rotate(p.names.begin(), at, at + 1);
  p.name = own;
  return p;
}

Value find_input(const Graph& g, const std::string& name) {
  if (const Value v = g.input(name)) return v;
  const Values inputs = g.inputs();
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (name == std::to_string(i)) return inputs[i];
  }
  if (name.empty() && inputs.size() == 1) return inputs[0];
  std::string names;
  for (const Value& v : inputs) names += (names.empty() ? "" : ", ") + port_of(v, v.node().name()).name;
  throw Error(ErrorCode::usage, "[model] no input '" + name + "'", "",
              "the inputs are " + (names.empty() ? "none" : names));
}

Value find_tensor(const Graph& g, const std::string& name) {
  Value by_node;
  for (NodeId id : g.topological_order()) {
    const Node node = g.handle(id);
    for (const Value& v : node.outputs()) {
      if (std::find(v.names().begin(), v.names().end(), name) != v.names().end()) return v;
    }
    if (node.num_outputs() == 1 && node.name() == name) by_node = node.output();
  }
  return by_node;
}

Model::Model() : graph_(std::make_shared<Graph>()) {}
Model::Model(std::shared_ptr<Graph> graph) : graph_(std::move(graph)) {}
Model::~Model() = default;
Model::Model(const Model&) = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(const Model&) = default;
Model& Model::operator=(Model&&) noexcept = default;

const std::string& Model::name() const {
  return graph_->name;
}

std::vector<Port> Model::inputs() const {
  std::vector<Port> out;
  for (const Value& v : graph_->inputs()) out.push_back(port_of(v, v.node().name()));
  return out;
}

std::vector<Port> Model::outputs() const {
  std::vector<Port> out;
  for (NodeId r : graph_->results()) out.push_back(output_port(*graph_, r));
  return out;
}

void Model::reshape(const std::map<std::string, PartialShape>& shapes) {
  std::map<ValueId, PartialShape> by_value;
  for (const auto& [name, shape] : shapes) by_value[find_input(*graph_, name).id] = shape;
  reshape_with_batch(*graph_, by_value);
}

void Model::set_batch(Dimension batch) {
  // Where the first dimensions differ, only the free ones can be the batch.
  std::map<ValueId, PartialShape> all, free;
  std::set<int64_t> sizes;
  for (const Value& v : graph_->inputs()) {
    if (!v.type().is_tensor() || !v.shape().rank_known() || v.shape().rank() == 0) continue;
    PartialShape s = v.shape();
    if (s[0].is_static()) sizes.insert(s[0].min());
    const bool is_free = s[0].is_dynamic();
    s[0] = batch;
    all[v.id] = s;
    if (is_free) free[v.id] = s;
  }
  const auto& chosen = sizes.size() > 1 ? free : all;
  if (chosen.empty())
    throw Error(ErrorCode::usage, "[model] no input has a first dimension that could be the batch", graph_->name,
                "set the shapes one by one");
  reshape_with_batch(*graph_, chosen);
}

Model Model::clone() const {
  return Model(std::make_shared<Graph>(*graph_));
}
const std::map<std::string, std::string>& Model::rt_info() const {
  return graph_->info;
}
void Model::set_rt_info(const std::string& key, const std::string& value) {
  graph_->info[key] = value;
}

static void count_operators(const Graph& g, std::map<std::string, int64_t>& out) {
  for (NodeId id : g.topological_order()) {
    ++out[std::string(g.node(id).op->name)];
    for (const Region& r : g.node(id).regions) count_operators(*r, out);
    if (g.node(id).epilogue) count_operators(*g.node(id).epilogue, out);
  }
}

std::map<std::string, int64_t> Model::operators() const {
  std::map<std::string, int64_t> out;
  count_operators(*graph_, out);
  return out;
}

int64_t Model::parameter_count() const {
  return hone::parameter_count(*graph_);
}
int64_t Model::flops() const {
  return 2 * multiply_accumulates(*graph_);
}
std::string Model::to_text(size_t max_elements) const {
  return hone::to_text(*graph_, max_elements);
}

ModelBuilder::ModelBuilder(std::string name) : graph_(std::make_shared<Graph>()) {
  graph_->name = std::move(name);
}
ModelBuilder::~ModelBuilder() = default;

ModelBuilder::Value ModelBuilder::parameter(const std::string& name, ElementType type, const PartialShape& shape) {
  return {Builder(*graph_).parameter(type, shape, name).id};
}

ModelBuilder::Value ModelBuilder::constant(const Tensor& value, const std::string& name) {
  Builder b(*graph_);
  b.set_name(name);
  return {b.constant(value).id};
}

std::vector<ModelBuilder::Value> ModelBuilder::add_all(const std::string& op, const std::vector<Value>& inputs,
                                                       const std::map<std::string, std::string>& attributes,
                                                       const std::string& name) {
  const OpDef* def = find_op(op);
  if (!def)
    throw Error(ErrorCode::usage, "[model] no operator '" + op + "'", "", "names are those of OpenVINO opset 16");
  const Attributes a = def->make();
  FieldParser parser({attributes.begin(), attributes.end()});
  def->visit(const_cast<void*>(a.get()), parser);
  parser.finish(op);
  Values in;
  for (const Value& v : inputs) {
    if (v.id != no_id && v.id >= graph_->value_capacity())
      throw Error(ErrorCode::usage, "[" + op + "] an input is no value of this model");
    in.push_back(graph_->value_handle(v.id));
  }
  Builder b(*graph_);
  b.set_name(name);
  std::vector<Value> out;
  for (const hone::Value& v : b.add(*def, a, in).outputs()) out.push_back({v.id});
  return out;
}

ModelBuilder::Value ModelBuilder::add(const std::string& op, const std::vector<Value>& inputs,
                                      const std::map<std::string, std::string>& attributes, const std::string& name) {
  const auto out = add_all(op, inputs, attributes, name);
  return out.empty() ? Value{} : out[0];
}

void ModelBuilder::result(const std::string& name, Value v) {
  if (v.id >= graph_->value_capacity()) throw Error(ErrorCode::usage, "[model] the result is no value of this model");
  const hone::Value value = graph_->value_handle(v.id);
  if (value.names().empty() && !name.empty()) graph_->set_names(value.id, {name});
  Builder(*graph_).result(value, name);
}

Model ModelBuilder::build() {
  if (graph_->results().empty()) throw Error(ErrorCode::usage, "[model] the model has no result");
  verify(*graph_);
  return Model(std::make_shared<Graph>(*graph_));
}

}  // namespace hone
