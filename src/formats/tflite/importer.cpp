#include "formats/tflite/importer.hpp"

#include <algorithm>
#include <stdexcept>

#include "formats/import_notes.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"

namespace hone::tflite {
namespace {

constexpr int max_depth = 32;
constexpr size_t max_nodes = 2'000'000;
constexpr int32_t call = 31, call_once = 129, if_else = 118, while_loop = 119, var_handle = 142, composite = 206,
                  assign_variable = 144, table_import = 138;

// Every face of the result keeps the scale where all numbers read have it.
bool keeps_scale(NodeContext& n, const TensorInfo& out) {
  bool any = false;
  for (size_t i = 0; i < n.num_inputs(); ++i) {
    if (!n.has(i) || !n.values()[i].resource.empty() || !n.scales(i)) continue;
    if (!(n.scales(i) == out.scales) || n.info(i).type != out.type) return false;
    any = true;
  }
  return any;
}

}  // namespace

std::vector<size_t> called(const OperatorInfo& o) {
  const auto index = [&](unsigned field) {
    return static_cast<size_t>(static_cast<uint32_t>(o.options.get<int32_t>(field)));
  };
  switch (o.code) {
    case call:
    case call_once:
      return {index(0)};
    case if_else:
    case while_loop:
      return {index(0), index(1)};
    case composite:
      return {static_cast<size_t>(static_cast<uint32_t>(o.options2.get<int32_t>(1)))};
    default:
      return {};
  }
}

std::string state_name(const SubgraphInfo& g, int32_t tensor) {
  std::string s(g.name);
  if (!s.empty()) s += "/";
  return s + std::string(g.tensors[static_cast<size_t>(tensor)].name) + "#" + std::to_string(tensor);
}

Type stored_type(const TensorInfo& t) {
  Type type(element_type_of(t.type), PartialShape::dynamic());
  if (!t.has_rank && t.type == TensorType::variant) return type;
  std::vector<Dimension> dims(t.signature.begin(), t.signature.end());
  if (is_complex(t.type)) dims.emplace_back(2);
  type.shape = PartialShape(std::move(dims));
  return type;
}

void name_value(Value v, std::string_view name) {
  auto names = v.names();
  if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) return;
  names.emplace_back(name);
  v.graph->set_names(v.id, std::move(names));
}

const SubgraphInfo& SubgraphImporter::subgraph(size_t i) const {
  if (i >= shared_.model.subgraphs.size())
    throw Error(ErrorCode::unreadable, "[tflite] subgraph " + std::to_string(i) + " does not exist");
  return shared_.model.subgraphs[i];
}

TensorValues SubgraphImporter::inlined(size_t index, const TensorValues& inputs) {
  const SubgraphInfo& g = subgraph(index);
  if (depth_ >= max_depth) throw Error(ErrorCode::unsafe, "[tflite] subgraphs call each other too deeply");
  if (inputs.size() != g.inputs.size()) {
    throw Error(ErrorCode::unreadable, "[tflite] subgraph '" + std::string(g.name) + "' has " +
                                           std::to_string(g.inputs.size()) + " inputs, is given " +
                                           std::to_string(inputs.size()));
  }
  TensorValues values(g.tensors.size());
  for (size_t i = 0; i < inputs.size(); ++i) values[static_cast<size_t>(g.inputs[i])] = inputs[i];
  SubgraphImporter inner(shared_, scope_, depth_ + 1);
  for (const OperatorInfo& o : g.operators) inner.node(g, values, o);
  TensorValues out;
  for (int32_t t : g.outputs) out.push_back(inner.value(g, values, t));
  return out;
}

TensorValue& SubgraphImporter::value(const SubgraphInfo& g, TensorValues& values, int32_t tensor) {
  TensorValue& v = values[static_cast<size_t>(tensor)];
  if (v) return v;
  const TensorInfo& t = g.tensors[static_cast<size_t>(tensor)];
  if (t.variable) {
    if (scope_.region)
      throw Error(ErrorCode::unsupported, "[tflite] state inside of a loop or a branch",
                  "tensor '" + std::string(t.name) + "'");
    // Operators keep real numbers: few runtimes have 16-bit variables.
    TensorInfo kept = t;
    if (t.scales) kept.type = TensorType::f32, kept.scales = {};
    (t.scales ? v.real : v.stored) = variable(state_name(g, tensor), &kept);
    return v;
  }
  Tensor c = constant_of(shared_.model, t);
  if (!c && std::find(t.shape.begin(), t.shape.end(), 0) != t.shape.end() &&
      element_type_of(t.type) != ElementType::dynamic) {
    c = Tensor(element_type_of(t.type), Shape(t.shape.begin(), t.shape.end()));
  }
  if (!c) {
    throw Error(ErrorCode::unreadable,
                "[tflite] tensor '" + std::string(t.name) + "' is used before any operator makes it",
                "tensor " + std::to_string(tensor));
  }
  v.stored = scope_.builder.constant(c);
  scope_.graph.set_name(v.stored.node().id, std::string(t.name));
  name_value(v.stored, t.name);
  return v;
}

void SubgraphImporter::node(const SubgraphInfo& g, TensorValues& values, const OperatorInfo& o) {
  if (++shared_.nodes > max_nodes)
    throw Error(ErrorCode::unsafe, "[tflite] subgraphs expand to more than 2,000,000 operators");
  std::string label;
  for (int32_t t : o.outputs) {
    if (t >= 0 && label.empty()) label = g.tensors[static_cast<size_t>(t)].name;
  }
  Builder& b = scope_.builder;
  try {
    TensorValues inputs;
    for (int32_t t : o.inputs) inputs.push_back(t < 0 ? TensorValue{} : value(g, values, t));
    b.set_name(label);
    b.set_provenance({label});
    NodeContext n(*this, b, g, o, std::move(inputs), scope_.region);
    const OperatorRow* row = o.code == 32 ? nullptr : find_row(o.code);
    const CustomRow* custom = o.code == 32 ? find_custom(o.custom) : nullptr;
    if (!row && !custom) n.refuse("is not known");
    const bool may_be_silent = !called(o).empty() || o.code == assign_variable || o.code == table_import;
    if (o.outputs.empty() && !may_be_silent) n.fail("has no outputs");
    const size_t before = b.added().size();
    const Values results = row ? row->build(n) : custom->build(n);
    take(n, row, results, values, g, o);
    if (called(o).empty()) note_operators(b, before, label, operator_name(o));
    b.set_name({});
    b.set_provenance({});
  } catch (const Error& e) {
    b.set_name({});
    b.set_provenance({});
    if (e.where().starts_with("operator '")) throw;
    throw e.at("operator '" + label + "' (" + operator_name(o) + ")");
  } catch (const std::logic_error&) {  // rows take what an operator must have with .at()
    b.set_name({});
    b.set_provenance({});
    throw Error(ErrorCode::unreadable,
                "[" + operator_name(o) + "] lacks inputs, attributes or results that it must have",
                "operator '" + label + "'");
  }
}

void SubgraphImporter::take(NodeContext& n, const OperatorRow* row, const Values& results, TensorValues& values,
                            const SubgraphInfo& g, const OperatorInfo& o) {
  for (size_t k = 0; k < o.outputs.size(); ++k) {
    if (o.outputs[k] < 0) continue;
    const TensorInfo& t = g.tensors[static_cast<size_t>(o.outputs[k])];
    TensorValue v = n.given()[k];
    const Value y = k < results.size() ? results[k] : Value{};
    if (!v && y) {
      const ElementType type = element_type_of(t.type);
      if (t.scales && is_integer(type)) {
        const Value real = n.cast(y, ElementType::f32);
        if (row && row->numbers == Numbers::moved && keeps_scale(n, t))
          v.real = real;
        else
          v = n.kept(real, t);
      } else {
        v.stored = type == ElementType::dynamic || y.element_type() == ElementType::dynamic ? y : n.cast(y, type);
      }
    }
    if (!v)
      throw Error(ErrorCode::unsupported, "[" + operator_name(o) + "] output " + std::to_string(k) + " is not offered");
    if (const Value named = v.stored ? v.stored : v.real ? v.real : v.steps) name_value(named, t.name);
    values[static_cast<size_t>(o.outputs[k])] = v;
  }
  // Faces that were made here serve the next reader too.
  for (size_t i = 0; i < o.inputs.size(); ++i) {
    if (o.inputs[i] >= 0 && std::find(o.outputs.begin(), o.outputs.end(), o.inputs[i]) == o.outputs.end())
      values[static_cast<size_t>(o.inputs[i])] = n.values()[i];
  }
}

std::vector<std::string> SubgraphImporter::variables_of(const std::vector<size_t>& subgraphs,
                                                        const TensorValues& inputs) {
  std::set<std::string> names;
  for (const TensorValue& v : inputs) {
    if (!v.resource.empty() && !v.resource.starts_with("table ")) names.insert(v.resource);
  }
  std::set<size_t> seen;
  std::vector<size_t> open = subgraphs;
  while (!open.empty()) {
    const size_t at = open.back();
    open.pop_back();
    if (!seen.insert(at).second) continue;
    for (const OperatorInfo& o : subgraph(at).operators) {
      if (o.code == var_handle) names.insert(std::string(o.options.string(0)) + "/" + std::string(o.options.string(1)));
      if (o.code == call_once) continue;
      for (size_t s : called(o)) open.push_back(s);
    }
  }
  return {names.begin(), names.end()};
}

std::shared_ptr<Graph> SubgraphImporter::region(const Types& leading, const TensorValues& inputs, const Types& types,
                                                const std::vector<std::string>& variables, const Types& variable_types,
                                                const Body& body) {
  auto graph = std::make_shared<Graph>();
  Scope scope(*graph, true);
  Values first;
  for (const Type& t : leading) first.push_back(scope.builder.parameter(t));
  TensorValues inner_inputs;
  size_t next = 0;
  for (const TensorValue& v : inputs) {
    TensorValue i;
    if (!v.resource.empty())
      i.resource = v.resource;
    else
      i.stored = scope.builder.parameter(types.at(next++));
    inner_inputs.push_back(std::move(i));
  }
  for (size_t k = 0; k < variables.size(); ++k)
    scope.variables[variables[k]] = scope.builder.parameter(variable_types.at(k));
  SubgraphImporter inner(shared_, scope, depth_ + 1);
  for (const Value& v : body(inner, scope.builder, first, inner_inputs)) scope.builder.result(v);
  for (const std::string& name : variables) scope.builder.result(scope.variables.at(name));
  return graph;
}

Value SubgraphImporter::variable(const std::string& name, const TensorInfo* of) {
  if (const auto it = scope_.variables.find(name); it != scope_.variables.end()) return it->second;
  if (scope_.region)
    throw Error(ErrorCode::unsupported,
                "[tflite] variable '" + name + "' reaches a region in a way that is not supported");
  Tensor first;
  if (const auto it = shared_.initial.find(name); it != shared_.initial.end()) {
    first = it->second;
  } else if (of) {
    const Type t = stored_type(*of);
    Shape shape;
    for (int32_t d : of->shape) shape.push_back(std::max(d, 0));
    if (!t.is_static() && std::find(of->shape.begin(), of->shape.end(), -1) != of->shape.end()) {
      throw Error(ErrorCode::unsupported, "[tflite] variable '" + name + "' has no first content and no known shape");
    }
    if (t.element == ElementType::dynamic || t.element == ElementType::string ||
        element_count(shape) > (int64_t{1} << 28)) {
      throw Error(ErrorCode::unsupported, "[tflite] variable '" + name + "' has no first content");
    }
    first = Tensor(t.element, shape);
    // Integers that stand for numbers begin at zero too.
    if (of->scales && of->scales.scale.size() == 1 && of->scales.zero[0] != 0) {
      for (size_t k = 0; k < first.size(); ++k) set_integer(first, k, of->scales.zero[0]);
    }
  } else {
    throw Error(ErrorCode::unsupported, "[tflite] variable '" + name + "' is read before it has content");
  }
  Variable v;
  v.value = first;
  v.variable_id = name;
  v.trainable = false;
  return scope_.variables[name] = scope_.builder(std::move(v));
}

void SubgraphImporter::assign(const std::string& name, Value v) {
  scope_.variables[name] = v;
  scope_.changed.insert(name);
}

void SubgraphImporter::write_back() {
  Builder& b = scope_.builder;
  for (const std::string& name : scope_.changed) {
    const Value v = scope_.variables.at(name);
    b.set_name(name);
    // What is only written still needs its variable.
    bool read = false;
    for (NodeId id = 0; id < scope_.graph.node_capacity() && !read; ++id) {
      if (!scope_.graph.alive(id)) continue;
      const auto* a = scope_.graph.handle(id).as<Variable>();
      read = a && a->variable_id == name;
    }
    if (!read) continue;
    b.add(op_def<Assign>(), std::make_shared<Assign>(Assign{name}), {v});
  }
  b.set_name({});
}

void SubgraphImporter::initialize(size_t index) {
  if (!shared_.initialized.insert(index).second) return;
  if (!subgraph(index).inputs.empty()) throw Error(ErrorCode::unsupported, "[tflite] an initialization with inputs");
  Graph g;
  Scope scope(g, false);
  SubgraphImporter inner(shared_, scope, depth_ + 1);
  inner.inlined(index, {});
  std::vector<std::string> names(scope.changed.begin(), scope.changed.end());
  for (const std::string& name : names) scope.builder.result(scope.variables.at(name));
  const auto content = evaluate(g, {});
  for (size_t k = 0; k < names.size(); ++k) shared_.initial[names[k]] = content.at(k).tensor();
}

}  // namespace hone::tflite
