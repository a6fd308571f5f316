#include "formats/onnx/reader.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <stdexcept>
#include <unordered_map>

#include "base/file.hpp"
#include "formats/import_notes.hpp"
#include "formats/nearest_names.hpp"
#include "formats/onnx/mapping.hpp"
#include "formats/onnx/model.hpp"
#include "formats/onnx/scope.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/custom.hpp"
#include "ops/extension.hpp"

namespace hone::onnx {
namespace {

class Reader : public Importer {
 public:
  Reader(Model& model, Names& names, int depth) : model_(model), names_(names), depth_(depth) {}

  void nodes(const std::vector<NodeMessage>& list) {
    // Files may list nodes in any order: what waits for an input is tried again.
    std::vector<const NodeMessage*> waiting;
    for (const NodeMessage& n : list) waiting.push_back(&n);
    while (!waiting.empty()) {
      std::vector<const NodeMessage*> later;
      for (const NodeMessage* n : waiting) {
        if (!ready(*n))
          later.push_back(n);
        else
          node(*n);
      }
      if (later.size() == waiting.size()) missing_input(*later.front());
      waiting = std::move(later);
    }
  }

  Subgraph subgraph(const AttributeMessage& a, const Types& inputs) override {
    if (depth_ >= max_depth) throw Error(ErrorCode::unsafe, "[onnx] subgraphs are nested too deeply");
    const GraphMessage m = parse_graph_message(a.message);
    Subgraph out{std::make_shared<Graph>(), {}};
    out.graph->name = m.name;
    GraphScope scope(*out.graph, names_.scope);
    Names names{&scope, &names_, {}, names_.arguments, names_.opsets};
    Reader inner(model_, names, depth_ + 1);
    inner.graph_body(m, &inputs);
    out.captured = scope.captured;
    return out;
  }

  // Inputs, initializers, nodes, outputs. `types` replaces what the file says of the inputs.
  void graph_body(const GraphMessage& m, const Types* types) {
    Builder& b = names_.scope->builder;
    std::set<Bytes> initialized;
    for (Bytes t : m.initializers) {
      const TensorMessage tensor = parse_tensor(t);
      const Value v = b.constant(to_tensor(tensor, model_.storage));
      b.graph().set_names(v.id, {std::string(tensor.name)});
      b.graph().set_name(v.node().id, std::string(tensor.name));
      names_.values[tensor.name] = v;
      initialized.insert(tensor.name);
    }
    for (Bytes t : m.sparse_initializers) {
      const Bytes name = sparse_tensor_name(t);
      const Value v = b.constant(sparse_to_tensor(t, model_.storage));
      b.graph().set_names(v.id, {std::string(name)});
      names_.values[name] = v;
      initialized.insert(name);
    }
    size_t next = 0;
    for (const ValueMessage& v : m.inputs) {
      if (initialized.contains(v.name) && !types) continue;  // IR 3 lists initializers among the inputs
      Type type = types ? Type() : parse_type_message(v.type);
      if (types) {
        if (next >= types->size())
          throw Error(ErrorCode::unreadable, "[onnx] a subgraph has more inputs than its node gives");
        type = (*types)[next++];
        if (type.is_tensor() && type.element == ElementType::dynamic && !v.type.empty())
          type.element = parse_type_message(v.type).element;
      }
      if (!types && names_.values.contains(v.name))
        throw Error(ErrorCode::unreadable, "[onnx] input '" + std::string(v.name) + "' is listed twice");
      names_.values[v.name] = b.parameter(type, std::string(v.name));
    }
    if (types) {
      for (; next < types->size(); ++next) b.parameter((*types)[next]);
    }
    set_produced(m.nodes);
    nodes(m.nodes);
    for (const ValueMessage& v : m.outputs) {
      const Value out = names_.find(v.name);
      if (!out)
        throw Error(ErrorCode::unreadable, "[onnx] output '" + std::string(v.name) + "' is not made by any node");
      b.set_name({});
      b.set_provenance({});
      const Node result = b.result(out, std::string(v.name));
      if (!types && out.type().is_tensor() && !out.shape().rank_known() && !v.type.empty()) {
        const Type said = parse_type_message(v.type);
        if (said.is_tensor() && said.shape.rank_known())
          b.graph().set_info(result.id, "onnx/shape", to_string(said.shape));
      }
      name_value(out, v.name);
    }
  }

  Graph& graph() override { return names_.scope->graph; }
  const Graph& graph() const { return names_.scope->graph; }
  const Storage& storage() const override { return model_.storage; }

 private:
  bool ready(const NodeMessage& n) {
    for (Bytes i : n.inputs) {
      if (!i.empty() && !names_.find(i)) return false;
    }
    return std::all_of(n.attributes.begin(), n.attributes.end(), [&](const AttributeMessage& a) {
      return a.kind != AttributeMessage::g_ || subgraph_ready(a.message);
    });
  }

  // Are the outer values that a subgraph captures there? Names that it makes itself do not count.
  bool subgraph_ready(Bytes message) {
    std::set<Bytes> wanted;
    captures(message, wanted, 0);
    return std::none_of(wanted.begin(), wanted.end(),
                        [&](Bytes name) { return produced_.contains(name) && !names_.find(name); });
  }
  void captures(Bytes message, std::set<Bytes>& wanted, int depth) {
    const GraphMessage g = parse_graph_message(message);
    std::set<Bytes> used, own;
    for (const NodeMessage& n : g.nodes) {
      used.insert(n.inputs.begin(), n.inputs.end());
      own.insert(n.outputs.begin(), n.outputs.end());
      for (const AttributeMessage& a : n.attributes) {
        if (a.kind == AttributeMessage::g_ && depth < max_depth) captures(a.message, used, depth + 1);
      }
    }
    for (const ValueMessage& v : g.outputs) used.insert(v.name);
    for (const ValueMessage& v : g.inputs) own.insert(v.name);
    for (Bytes t : g.initializers) own.insert(parse_tensor(t).name);
    for (Bytes t : g.sparse_initializers) own.insert(sparse_tensor_name(t));
    std::set_difference(used.begin(), used.end(), own.begin(), own.end(), std::inserter(wanted, wanted.end()));
  }

  // Each name stands for one value of its graph. Only constants are written again under the same name by some
  // exporters. Inputs and stored tensors of a subgraph may have names of values around it, which they hide; results of
  // its nodes may have them only where what is around comes later. ONNX's checker and ONNX Runtime draw the same line.
  void set_produced(const std::vector<NodeMessage>& list) {
    std::set<Bytes> constants;
    for (const NodeMessage& n : list) {
      const bool constant = n.op == "Constant" && n.domain.empty();
      for (Bytes o : n.outputs) {
        if (!o.empty() && names_.outer && names_.outer->sees(o)) {
          throw Error(ErrorCode::unreadable,
                      "[" + std::string(n.op) + "] output '" + std::string(o) +
                          "' of a subgraph has the name of a value of the graph around it",
                      "node '" + std::string(n.name.empty() ? o : n.name) + "'",
                      "give each value of the subgraph a name of its own");
        }
        const bool fresh = !names_.values.contains(o) && produced_.insert(o).second;
        if (fresh && constant) constants.insert(o);
        if (o.empty() || fresh || (constant && constants.contains(o))) continue;
        throw Error(ErrorCode::unreadable,
                    "[" + std::string(n.op) + "] output '" + std::string(o) +
                        "' is an input, a stored tensor or another output of the graph as well",
                    "node '" + std::string(n.name.empty() ? o : n.name) + "'",
                    "give each value of a graph a name of its own");
      }
    }
  }

  [[noreturn]] void missing_input(const NodeMessage& n) {
    for (Bytes i : n.inputs) {
      if (!i.empty() && !names_.find(i)) {
        throw Error(ErrorCode::unreadable,
                    "[" + std::string(n.op) + "] input '" + std::string(i) + "' is made by no node before it can run",
                    "node '" + std::string(n.name) + "'", "the graph has a cycle or lacks a tensor");
      }
    }
    throw Error(ErrorCode::unreadable, "[" + std::string(n.op) + "] a value that its subgraph needs is missing",
                "node '" + std::string(n.name) + "'");
  }

  void name_value(Value v, Bytes name) {
    auto names = v.names();
    if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) return;
    names.emplace_back(name);
    v.graph->set_names(v.id, std::move(names));
  }

  int64_t opset_of(const NodeMessage& n) const {
    const auto it = names_.opsets->find(n.domain);
    return it == names_.opsets->end() ? 1 : it->second;
  }

  // Attributes of a function's body that stand for the arguments of the call.
  NodeMessage resolved(const NodeMessage& n) const {
    NodeMessage out = n;
    out.attributes.clear();
    for (const AttributeMessage& a : n.attributes) {
      if (a.reference.empty()) {
        out.attributes.push_back(a);
        continue;
      }
      for (const AttributeMessage& given : *names_.arguments) {
        if (given.name != a.reference) continue;
        out.attributes.push_back(given);
        out.attributes.back().name = a.name;
      }
    }
    return out;
  }

  void node(const NodeMessage& original) {
    if (++model_.inlined > 4'000'000)
      throw Error(ErrorCode::unsafe, "[onnx] functions expand to more than 4,000,000 nodes");
    const bool substitute = names_.arguments && std::any_of(original.attributes.begin(), original.attributes.end(),
                                                            [](const auto& a) { return !a.reference.empty(); });
    NodeMessage copy;
    if (substitute) copy = resolved(original);
    const NodeMessage& n = substitute ? copy : original;
    Values inputs;
    for (Bytes i : n.inputs) inputs.push_back(i.empty() ? Value{} : names_.find(i));
    while (!inputs.empty() && !inputs.back()) inputs.pop_back();
    const FunctionMessage* f = model_.function(n);
    const OperatorRow* row = find_row(n.domain, n.op);
    Values outputs;
    try {
      if (f && !row) {
        outputs = call(*f, n, inputs);
      } else if (!row) {
        outputs = custom(n, inputs);
      } else {
        Builder& b = names_.scope->builder;
        const std::string label(n.name.empty() && !n.outputs.empty() ? n.outputs[0] : n.name);
        b.set_name(label);
        b.set_provenance({label});
        NodeContext context(*this, b, n, inputs, opset_of(n));
        const size_t before = b.added().size();
        outputs = row->build(context);
        if (n.op != "Constant") note_operators(b, before, label, std::string(n.op) + "-" + std::to_string(opset_of(n)));
        b.set_name({});
        b.set_provenance({});
      }
    } catch (const Error& e) {
      if (e.where().starts_with("node '")) throw;
      throw e.at("node '" + std::string(n.name.empty() && !n.outputs.empty() ? n.outputs[0] : n.name) + "' (" +
                 std::string(n.op) + ")");
    } catch (const std::logic_error&) {  // rows take what an operator must have with .at()
      throw Error(ErrorCode::unreadable,
                  "[" + std::string(n.op) + "] lacks inputs, attributes or results that it must have",
                  "node '" + std::string(n.name.empty() && !n.outputs.empty() ? n.outputs[0] : n.name) + "'");
    }
    for (size_t i = 0; i < n.outputs.size(); ++i) {
      if (n.outputs[i].empty()) continue;
      if (i >= outputs.size() || !outputs[i]) {
        throw Error(ErrorCode::unsupported,
                    "[" + std::string(n.op) + "] output " + std::to_string(i) + " is not offered",
                    "node '" + std::string(n.name) + "'");
      }
      names_.values[n.outputs[i]] = outputs[i];
      name_value(outputs[i], n.outputs[i]);
    }
  }

  Values call(const FunctionMessage& f, const NodeMessage& n, const Values& inputs) {
    if (depth_ >= max_depth) throw Error(ErrorCode::unsafe, "[onnx] functions call each other too deeply");
    std::vector<AttributeMessage> arguments = n.attributes;
    for (const AttributeMessage& d : f.defaults) {
      if (std::none_of(arguments.begin(), arguments.end(), [&](const auto& a) { return a.name == d.name; }))
        arguments.push_back(d);
    }
    Names names{names_.scope, nullptr, {}, &arguments, &f.opsets};
    for (size_t i = 0; i < f.inputs.size(); ++i) {
      if (i < inputs.size() && inputs[i]) names.values[f.inputs[i]] = inputs[i];
    }
    // Inputs that the call leaves out are absent inside too.
    FunctionMessage body = f;
    for (NodeMessage& m : body.nodes) {
      for (Bytes& i : m.inputs) {
        const auto at = std::find(f.inputs.begin(), f.inputs.end(), i);
        if (at != f.inputs.end() && !names.values.contains(i)) i = {};
      }
    }
    Reader inner(model_, names, depth_ + 1);
    inner.set_produced(body.nodes);
    inner.nodes(body.nodes);
    Values out;
    for (Bytes o : f.outputs) out.push_back(names.find(o));
    return out;
  }

  // An operator of a user's library.
  Values custom(const NodeMessage& n, const Values& inputs) {
    Custom op;
    op.domain = n.domain;
    op.type = n.op;
    op.outputs = std::ssize(n.outputs);
    for (const AttributeMessage& a : n.attributes) {
      std::vector<std::string> values;
      const auto number = [](auto v) {
        char text[40];
        std::snprintf(text, sizeof text, "%.9g", static_cast<double>(v));
        return std::string(text);
      };
      switch (a.kind) {
        case AttributeMessage::i_:
          op.add(std::string(a.name), 'i', false, {std::to_string(a.i)});
          break;
        case AttributeMessage::f_:
          op.add(std::string(a.name), 'f', false, {number(a.f)});
          break;
        case AttributeMessage::s_:
          op.add(std::string(a.name), 's', false, {std::string(a.s)});
          break;
        case AttributeMessage::ints_:
          for (int64_t v : a.ints) values.push_back(std::to_string(v));
          op.add(std::string(a.name), 'i', true, values);
          break;
        case AttributeMessage::floats_:
          for (float v : a.floats) values.push_back(number(v));
          op.add(std::string(a.name), 'f', true, values);
          break;
        case AttributeMessage::strings_:
          for (Bytes v : a.list) values.emplace_back(v);
          op.add(std::string(a.name), 's', true, values);
          break;
        default:
          throw Error(ErrorCode::unsupported,
                      "[" + std::string(n.op) + "] attribute '" + std::string(a.name) +
                          "' is a tensor or graph: extension operators take numbers and strings");
      }
    }
    Builder& b = names_.scope->builder;
    const std::string label(n.name.empty() && !n.outputs.empty() ? n.outputs[0] : n.name);
    b.set_name(label);
    b.set_provenance({label});
    const Values outputs = b.all(std::move(op), inputs);
    b.set_name({});
    b.set_provenance({});
    return outputs;
  }

  Model& model_;
  Names& names_;
  int depth_;
  std::set<Bytes> produced_;
};

// State that Hone's writer made an input with an initializer and an output of is state again.
void restore_state(Graph& g, const std::unordered_map<Bytes, Value>& values) {
  Builder b(g);
  const std::string prefix = "onnx/hone.state/";
  for (auto it = g.info.begin(); it != g.info.end();) {
    if (!it->first.starts_with(prefix)) {
      ++it;
      continue;
    }
    const std::string name = it->first.substr(prefix.size()), next = it->second;
    it = g.info.erase(it);
    const auto at = values.find(name);
    const Value first = at == values.end() ? Value{} : at->second;
    const auto* content = first ? first.node().as<Constant>() : nullptr;
    NodeId result = no_id;
    for (NodeId r : g.results()) {
      if (g.node(r).name == next) result = r;
    }
    if (!content || result == no_id) continue;
    const Value y = g.handle(result).input(0);
    Variable v;
    v.value = content->value;
    v.variable_id = name;
    v.trainable = false;
    const Value state = b(std::move(v));
    g.replace_uses(first.id, state.id);
    b.add(op_def<Assign>(), std::make_shared<Assign>(Assign{name}), {y.id == first.id ? state : y});
    g.remove(result);
  }
}

Graph import(std::string_view bytes, std::shared_ptr<const void> owner, const std::string& folder) {
  Model model;
  model.message = parse_model(bytes);
  if (!model.message.has_graph) {
    throw Error(ErrorCode::unreadable, "[onnx] the file holds no graph", "",
                "check that the file is whole and an ONNX model");
  }
  model.storage.owner = std::move(owner);
  model.storage.folder = folder;
  check_opsets(model.message);
  for (FunctionMessage& f : model.message.functions) {
    model.functions[{f.domain, f.name, f.overload}] = &f;
    for (const auto& [domain, version] : model.message.opsets) f.opsets.emplace(domain, version);
  }
  const GraphMessage message = parse_graph_message(model.message.graph);
  check_operators(model, message);
  Graph g;
  g.name = message.name;
  g.info["framework"] = "onnx";
  for (const auto& [k, v] : model.message.metadata) g.info["onnx/" + k] = v;
  if (!model.message.producer.empty())
    g.info["producer"] = std::string(model.message.producer) + " " + std::string(model.message.producer_version);
  GraphScope scope(g, nullptr);
  Names names{&scope, nullptr, {}, nullptr, &model.message.opsets};
  Reader reader(model, names, 0);
  reader.graph_body(message, nullptr);
  restore_state(g, names.values);
  g.remove_dead();
  return g;
}

}  // namespace
}  // namespace hone::onnx

namespace hone {

Graph parse_onnx(std::string_view bytes, std::shared_ptr<const void> owner, const std::string& folder) {
  return onnx::import(bytes, std::move(owner), folder);
}

Graph read_onnx(const std::string& path) {
  const auto file = MappedFile::open(path);
  std::string folder = std::filesystem::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  try {
    return parse_onnx({reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()}, file, folder);
  } catch (const Error& e) {
    throw e.at(path);
  }
}

}  // namespace hone
