#include "graph/graph.hpp"

#include <algorithm>
#include <unordered_map>

#include "graph/contexts.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

constexpr std::string_view parameter_name = "Parameter", result_name = "Result";

Error node_error(const NodeData& n, const std::string& what) {
  return Error(ErrorCode::failed, "[" + std::string(n.op->name) + "] " + what,
               n.name.empty() ? "" : "node '" + n.name + "'");
}

// Elementwise epilogues compute in f32 whatever the types around them are.
Type epilogue_type(Type t) {
  if (is_float(t.element) && t.element != ElementType::f64) t.element = ElementType::f32;
  if (t.quantization) t.element = ElementType::f32;
  t.quantization = nullptr;
  t.layout = Layout::plain;
  return t;
}

}  // namespace

Values Node::inputs() const {
  Values v;
  for (size_t i = 0; i < num_inputs(); ++i) v.push_back(input(i));
  return v;
}
Values Node::outputs() const {
  Values v;
  for (size_t i = 0; i < num_outputs(); ++i) v.push_back(output(i));
  return v;
}

Graph::Graph(const Graph& o)
    : name(o.name),
      info(o.info),
      nodes_(o.nodes_),
      values_(o.values_),
      parameters_(o.parameters_),
      results_(o.results_) {}

Graph& Graph::operator=(const Graph& o) {
  if (this != &o) *this = Graph(o);
  return *this;
}

void Graph::record(std::function<void(Graph&)> undo) {
  if (recording_ > 0) journal_.push_back(std::move(undo));
}
size_t Graph::journal_mark() {
  ++recording_;
  return journal_.size();
}
void Graph::rollback(size_t mark) {
  while (journal_.size() > mark) {
    auto undo = std::move(journal_.back());
    journal_.pop_back();
    undo(*this);
  }
  --recording_;
}
void Graph::forget(size_t mark) {
  (void)mark;  // an outer transaction may still roll these changes back
  if (--recording_ == 0) journal_.clear();
}

size_t Graph::num_nodes() const {
  return static_cast<size_t>(std::count_if(nodes_.begin(), nodes_.end(), [](const NodeData& n) { return n.op; }));
}

Values Graph::inputs() const {
  Values v;
  for (NodeId p : parameters_) v.push_back(value_handle(nodes_[p].outputs[0]));
  return v;
}
Values Graph::outputs() const {
  Values v;
  for (NodeId r : results_) v.push_back(value_handle(nodes_[r].inputs[0]));
  return v;
}

Value Graph::input(std::string_view wanted) const {
  for (const Value& v : inputs()) {
    if (v.node().name() == wanted || std::find(v.names().begin(), v.names().end(), wanted) != v.names().end()) return v;
  }
  return {};
}

std::vector<NodeId> Graph::topological_order() const {
  std::vector<NodeId> order;
  std::vector<uint8_t> state(nodes_.size(), 0);  // 1 on the stack, 2 done
  std::vector<std::pair<NodeId, size_t>> stack;
  for (NodeId root = 0; root < nodes_.size(); ++root) {
    if (!nodes_[root].op || state[root]) continue;
    stack.emplace_back(root, 0);
    state[root] = 1;
    while (!stack.empty()) {
      auto& [id, next] = stack.back();
      const NodeData& n = nodes_[id];
      if (next == n.inputs.size()) {
        state[id] = 2;
        order.push_back(id);
        stack.pop_back();
        continue;
      }
      const ValueId v = n.inputs[next++];
      if (v == no_id) continue;
      const NodeId p = values_[v].producer;
      if (state[p] == 1) throw node_error(n, "the graph has a cycle");
      if (state[p] == 0) {
        state[p] = 1;
        stack.emplace_back(p, 0);
      }
    }
  }
  return order;
}

size_t Graph::num_op_inputs(NodeId id) const {
  const NodeData& n = nodes_[id];
  return n.epilogue ? n.inputs.size() - (n.epilogue->parameters().size() - 1) : n.inputs.size();
}

void Graph::link(NodeId id) {
  const NodeData& n = nodes_[id];
  for (uint32_t i = 0; i < n.inputs.size(); ++i) {
    if (n.inputs[i] != no_id) values_[n.inputs[i]].uses.push_back({id, i});
  }
}
void Graph::unlink(NodeId id) {
  for (ValueId v : nodes_[id].inputs) {
    if (v != no_id) std::erase_if(values_[v].uses, [&](const Use& u) { return u.node == id; });
  }
}

namespace {

// More elements than this no memory holds. A file may claim any dimension; below this bound no product of a value's
// dimensions overflows, whoever computes it, also where others of them are 0.
constexpr int64_t most_elements = int64_t{1} << 48;

void check_size(const OpDef& op, const Type& t) {
  if (!t.is_tensor() || !t.shape.rank_known()) return;
  int64_t product = 1;
  for (const Dimension& d : t.shape.dims()) {
    if (d.min() > most_elements / product)
      throw Error(ErrorCode::unsafe,
                  "[" + std::string(op.name) + "] an output of " + to_string(t.shape) + " has more than 2^48 elements");
    product *= std::max<int64_t>(d.min(), 1);
  }
}

}  // namespace

Types Graph::infer_types(NodeId id, std::vector<std::optional<std::vector<Dimension>>>& contents) {
  NodeData& n = nodes_[id];
  InferCtx ctx(*this, id, num_op_inputs(id));
  Types types;
  try {
    types = n.op->infer(n.attributes.get(), ctx);
    for (const Type& t : types) check_size(*n.op, t);
  } catch (const Error& e) {
    if (!n.name.empty() && e.where().find("'" + n.name + "'") == std::string::npos) {
      throw Error(e.code(),
                  e.message().starts_with("[" + std::string(n.op->name))
                      ? e.message()
                      : "[" + std::string(n.op->name) + "] " + e.message(),
                  "node '" + n.name + "'" + (e.where().empty() ? "" : ", " + e.where()), e.hint());
    }
    throw;
  }
  if (n.epilogue) {
    Types in{epilogue_type(types[0])};
    for (size_t i = num_op_inputs(id); i < n.inputs.size(); ++i) in.push_back(epilogue_type(values_[n.inputs[i]].type));
    auto region = with_parameter_types(*n.epilogue, in);
    types[0].shape = region->outputs()[0].type().shape;
    n.epilogue = std::move(region);
  }
  contents = std::move(ctx.contents);
  contents.resize(types.size());
  return types;
}

NodeId Graph::add(const OpDef& op, Attributes attributes, std::vector<ValueId> inputs, std::vector<Region> regions,
                  std::string node_name) {
  for (ValueId v : inputs) {
    if (v != no_id && v >= values_.size())
      throw Error(ErrorCode::failed, "[" + std::string(op.name) + "] an input belongs to another graph");
  }
  const auto id = static_cast<NodeId>(nodes_.size());
  NodeData& n = nodes_.emplace_back();
  n.op = &op;
  n.attributes = std::move(attributes);
  n.inputs = std::move(inputs);
  n.regions = std::move(regions);
  n.name = std::move(node_name);
  std::vector<std::optional<std::vector<Dimension>>> contents;
  Types types;
  try {
    types = infer_types(id, contents);
  } catch (...) {
    nodes_.pop_back();
    throw;
  }
  link(id);
  for (uint32_t i = 0; i < types.size(); ++i) {
    nodes_[id].outputs.push_back(static_cast<ValueId>(values_.size()));
    ValueData& v = values_.emplace_back();
    v.type = std::move(types[i]);
    v.producer = id;
    v.index = i;
    v.content = std::move(contents[i]);
  }
  const bool parameter = op.name == parameter_name, result = op.name == result_name;
  if (parameter) parameters_.push_back(id);
  if (result) results_.push_back(id);
  record([id, parameter, result](Graph& g) {
    g.unlink(id);
    g.values_.resize(g.values_.size() - g.nodes_[id].outputs.size());
    g.nodes_.pop_back();
    if (parameter) std::erase(g.parameters_, id);
    if (result) std::erase(g.results_, id);
  });
  return id;
}

void Graph::set_inputs(NodeId id, std::vector<ValueId> inputs) {
  record([id, old = nodes_[id].inputs](Graph& g) {
    g.unlink(id);
    g.nodes_[id].inputs = old;
    g.link(id);
  });
  unlink(id);
  nodes_[id].inputs = std::move(inputs);
  link(id);
}

void Graph::set_input(NodeId id, size_t index, ValueId value) {
  auto inputs = nodes_[id].inputs;
  inputs.at(index) = value;
  set_inputs(id, std::move(inputs));
}

void Graph::set_attributes(NodeId id, Attributes attributes) {
  record([id, old = nodes_[id].attributes](Graph& g) { g.nodes_[id].attributes = old; });
  nodes_[id].attributes = std::move(attributes);
}
void Graph::set_region(NodeId id, size_t index, Region region) {
  record([id, old = nodes_[id].regions](Graph& g) { g.nodes_[id].regions = old; });
  auto& regions = nodes_[id].regions;
  if (regions.size() <= index) regions.resize(index + 1);
  regions[index] = std::move(region);
}
void Graph::set_epilogue(NodeId id, Region epilogue, const std::vector<ValueId>& operands) {
  auto inputs = nodes_[id].inputs;
  inputs.resize(num_op_inputs(id));
  inputs.insert(inputs.end(), operands.begin(), operands.end());
  Transaction t(*this);
  record([id, old = nodes_[id].epilogue](Graph& g) { g.nodes_[id].epilogue = old; });
  nodes_[id].epilogue = std::move(epilogue);
  set_inputs(id, std::move(inputs));
  infer(id);
  t.commit();
}
void Graph::set_name(NodeId id, std::string s) {
  record([id, old = nodes_[id].name](Graph& g) { g.nodes_[id].name = old; });
  nodes_[id].name = std::move(s);
}
void Graph::set_provenance(NodeId id, std::vector<std::string> p) {
  record([id, old = nodes_[id].provenance](Graph& g) { g.nodes_[id].provenance = old; });
  nodes_[id].provenance = std::move(p);
}
void Graph::set_info(NodeId id, std::string key, std::string value) {
  record([id, old = nodes_[id].info](Graph& g) { g.nodes_[id].info = old; });
  nodes_[id].info[std::move(key)] = std::move(value);
}
void Graph::set_names(ValueId id, std::vector<std::string> names) {
  record([id, old = values_[id].names](Graph& g) { g.values_[id].names = old; });
  values_[id].names = std::move(names);
}
void Graph::set_type(ValueId id, Type type) {
  record([id, old = values_[id].type](Graph& g) { g.values_[id].type = old; });
  values_[id].type = std::move(type);
}

void Graph::replace_uses(ValueId from, ValueId to) {
  if (from == to) return;
  record(
      [from, to, uses = values_[from].uses, from_names = values_[from].names, to_names = values_[to].names](Graph& g) {
        for (const Use& u : uses) {
          g.nodes_[u.node].inputs[u.index] = from;
          std::erase(g.values_[to].uses, u);
        }
        g.values_[from].uses = uses;
        g.values_[from].names = from_names;
        g.values_[to].names = to_names;
      });
  ValueData &f = values_[from], &t = values_[to];
  for (const Use& u : f.uses) {
    nodes_[u.node].inputs[u.index] = to;
    t.uses.push_back(u);
  }
  f.uses.clear();
  for (std::string& n : f.names) {
    if (std::find(t.names.begin(), t.names.end(), n) == t.names.end()) t.names.push_back(std::move(n));
  }
  f.names.clear();
}

void Graph::remove(NodeId id) {
  for (ValueId v : nodes_[id].outputs) {
    if (!values_[v].uses.empty()) throw node_error(nodes_[id], "cannot be removed: its output is in use");
  }
  record([id, old = nodes_[id], parameters = parameters_, results = results_](Graph& g) {
    g.nodes_[id] = old;
    g.link(id);
    g.parameters_ = parameters;
    g.results_ = results;
  });
  unlink(id);
  std::erase(parameters_, id);
  std::erase(results_, id);
  const auto outputs = nodes_[id].outputs;
  nodes_[id] = {};
  for (ValueId v : outputs) values_[v].names.clear();
}

size_t Graph::remove_dead() {
  std::vector<bool> live(nodes_.size(), false);
  std::vector<NodeId> work = results_;
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    if (nodes_[id].op && nodes_[id].op->has_side_effect) work.push_back(id);
  }
  for (NodeId id : parameters_) live[id] = true;
  for (NodeId id : work) live[id] = true;
  while (!work.empty()) {
    const NodeId id = work.back();
    work.pop_back();
    for (ValueId v : nodes_[id].inputs) {
      if (v != no_id && !live[values_[v].producer]) {
        live[values_[v].producer] = true;
        work.push_back(values_[v].producer);
      }
    }
  }
  auto order = topological_order();
  size_t removed = 0;
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    if (!live[*it]) {
      remove(*it);
      ++removed;
    }
  }
  return removed;
}

void Graph::reorder_parameters(std::vector<NodeId> order) {
  record([old = parameters_](Graph& g) { g.parameters_ = old; });
  parameters_ = std::move(order);
}
void Graph::reorder_results(std::vector<NodeId> order) {
  record([old = results_](Graph& g) { g.results_ = old; });
  results_ = std::move(order);
}

bool Graph::infer(NodeId id) {
  if (nodes_[id].op->name == parameter_name) return false;
  std::vector<std::optional<std::vector<Dimension>>> contents;
  Types types = infer_types(id, contents);
  const auto outputs = nodes_[id].outputs;
  if (types.size() != outputs.size()) throw node_error(nodes_[id], "the number of outputs changed");
  bool changed = false;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ValueData& v = values_[outputs[i]];
    // Layout, quantization and the element type behind an epilogue are decisions of passes: inference keeps them.
    if (types[i].is_tensor() && v.type.is_tensor()) {
      types[i].layout = v.type.layout;
      if (v.type.quantization || (i == 0 && nodes_[id].epilogue && v.type.element != ElementType::dynamic)) {
        types[i].element = v.type.element;
        types[i].quantization = v.type.quantization;
      }
    }
    if (v.type != types[i]) {
      set_type(outputs[i], types[i]);
      changed = true;
    }
    if (v.content != contents[i]) {
      record([value = outputs[i], old = v.content](Graph& g) { g.values_[value].content = old; });
      values_[outputs[i]].content = contents[i];
      changed = true;
    }
  }
  return changed;
}

void Graph::infer_all() {
  for (NodeId id : topological_order()) infer(id);
}

void Graph::reshape(const std::map<ValueId, PartialShape>& shapes) {
  Transaction t(*this);
  for (const auto& [id, shape] : shapes) {
    Type type = values_[id].type;
    type.shape = shape;
    set_type(id, type);
  }
  infer_all();
  t.commit();
}

Region Graph::with_parameter_types(const Graph& region, const Types& types) {
  if (types.size() != region.parameters().size()) throw Error(ErrorCode::failed, "[region] wrong number of inputs");
  auto copy = std::make_shared<Graph>(region);
  for (size_t i = 0; i < types.size(); ++i)
    copy->values_[copy->nodes_[copy->parameters_[i]].outputs[0]].type = types[i];
  copy->infer_all();
  return copy;
}

}  // namespace hone
