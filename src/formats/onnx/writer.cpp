#include "formats/onnx/writer.hpp"

#include <algorithm>
#include <unordered_map>

#include "base/file.hpp"
#include "formats/onnx/emit.hpp"
#include "formats/onnx/proto.hpp"
#include "formats/prepare.hpp"
#include "formats/protobuf.hpp"
#include "ops/basic.hpp"
#include "ops/custom.hpp"
#include "ops/movement.hpp"

namespace hone::onnx {

void emit_if(EmitContext& e, std::set<std::string>& used);
void emit_loop(EmitContext& e, std::set<std::string>& used);

namespace {

using protozero::pbf_writer;

constexpr size_t max_message = (size_t{1} << 31) - (size_t{1} << 20);  // protobuf's own limit

// The operator set in which an element type came.
int64_t first_operator_set(ElementType t) {
  switch (t) {
    case ElementType::f8e4m3:
    case ElementType::f8e4m3fnuz:
    case ElementType::f8e5m2:
    case ElementType::f8e5m2fnuz:
      return 19;
    case ElementType::u4:
    case ElementType::i4:
      return 21;
    case ElementType::f4e2m1:
      return 23;
    default:
      return 13;
  }
}

}  // namespace

std::string GraphWriter::fresh(const std::string& wanted) {
  const std::string base = wanted.empty() ? "value" : wanted;
  std::string name = base;
  for (int k = 1; !used_.insert(name).second; ++k) name = base + "_" + std::to_string(k);
  return name;
}

void GraphWriter::emit(const std::string& type, const std::vector<std::string>& in, const std::vector<std::string>& out,
                       const AttributeList& attributes, const std::string& node_name, const std::string& domain) {
  pbf_writer graph(nodes);
  pbf_writer n(graph, 1);
  for (const std::string& s : in) n.add_string(1, s);
  for (const std::string& s : out) n.add_string(2, s);
  if (!node_name.empty()) {
    std::string unique = node_name;
    for (int k = 1; !node_names_.insert(unique).second; ++k) unique = node_name + "_" + std::to_string(k);
    n.add_string(3, unique);
  }
  n.add_string(4, type);
  for (const std::string& a : attributes.messages()) n.add_message(5, a);
  if (!domain.empty()) n.add_string(7, domain);
}

std::string GraphWriter::constant(const Tensor& t, const std::string& wanted) {
  if (t.element_type() != ElementType::string && t.byte_size() <= 64) {
    for (const auto& [known, name] : small_constants_[hash_bytes(t.raw(), t.byte_size())]) {
      if (known.identical(t)) return name;
    }
  }
  const std::string name = fresh(wanted);
  pbf_writer graph(initializers);
  if (options.compress_to_fp16 && t.element_type() == ElementType::f32 && t.size() > 1) {
    Tensor clamped = t.clone();
    for (float& v : clamped.span<float>()) v = std::clamp(v, -65504.0f, 65504.0f);
    const std::string half = fresh(wanted + "_f16");
    graph.add_message(5, tensor_message(clamped.converted(ElementType::f16), half));
    emit("Cast", {half}, {name}, AttributeList().i("to", onnx_data_type(ElementType::f32)), name);
  } else {
    graph.add_message(5, tensor_message(t, name));
  }
  if (initializers.size() > max_message) {
    throw Error(ErrorCode::unsupported, "[onnx] the model is larger than the 2 GB of one file", "",
                "write OpenVINO IR, or compress the weights");
  }
  if (t.element_type() != ElementType::string && t.byte_size() <= 64)
    small_constants_[hash_bytes(t.raw(), t.byte_size())].emplace_back(t, name);
  return name;
}

// An operator of a user's library, as its file had it.
static void emit_custom(EmitContext& e, const Custom& op) {
  AttributeList attributes;
  for (const CustomAttribute& a : custom_attributes(op)) {
    std::vector<int64_t> ints;
    std::vector<double> floats;
    for (const std::string& v : a.values) {
      ints.push_back(std::strtoll(v.c_str(), nullptr, 10));
      floats.push_back(std::strtod(v.c_str(), nullptr));
    }
    const char* name = a.name.c_str();
    if (a.list)
      a.kind == 'i'   ? attributes.ints(name, ints)
      : a.kind == 'f' ? attributes.floats(name, floats)
                      : attributes.strings(name, a.values);
    else if (!a.values.empty())
      a.kind == 'i'   ? attributes.i(name, ints[0])
      : a.kind == 'f' ? attributes.f(name, floats[0])
                      : attributes.s(name, a.values[0]);
  }
  std::vector<std::string> outputs;
  for (size_t i = 0; i < e.node.num_outputs(); ++i) outputs.push_back(e.out(i));
  e.w.emit(op.type, e.ins(), outputs, attributes, e.node.name(), op.domain);
}

void GraphWriter::write(const Graph& g, const std::vector<std::string>& outer) {
  for (size_t i = 0; i < g.parameters().size(); ++i) {
    const ValueId v = g.node(g.parameters()[i]).outputs[0];
    if (i < outer.size() && !outer[i].empty()) {
      names[v] = outer[i];
      continue;
    }
    const auto& own = g.value(v).names;
    names[v] = fresh(!g.node(g.parameters()[i]).name.empty() ? g.node(g.parameters()[i]).name
                     : !own.empty()                          ? own[0]
                                                             : "input");
  }
  // A value that a Result takes has the Result's name, unless it is an input or a constant or has one already.
  std::unordered_map<ValueId, std::string> result_names;
  for (NodeId r : g.results()) {
    const ValueId v = g.node(r).inputs[0];
    const Node producer = g.value_handle(v).node();
    const auto& own = g.value(v).names;
    const std::string wanted = !g.node(r).name.empty() ? g.node(r).name : !own.empty() ? own[0] : "output";
    if (!producer.is<Parameter>() && !producer.is<Constant>() && !result_names.contains(v) && !used_.contains(wanted))
      result_names[v] = fresh(wanted);
  }
  for (NodeId id : g.topological_order()) {
    const NodeData& n = g.node(id);
    const Node node = g.handle(id);
    if (node.is<Parameter>() || node.is<Result>()) continue;
    for (ValueId v : n.outputs) {
      const auto& own = g.value(v).names;
      const std::string wanted = !own.empty() ? own[0]
                                 : n.name.empty()
                                     ? std::string(n.op->name)
                                     : n.name + (n.outputs.size() > 1 ? ":" + std::to_string(g.value(v).index) : "");
      if (const auto r = result_names.find(v); r != result_names.end())
        names[v] = r->second;
      else if (!node.is<Constant>())
        names[v] = fresh(wanted);
    }
    if (node.is<Constant>()) continue;
    EmitContext e(*this, g, id);
    for (size_t k = 0; k < node.num_inputs(); ++k) {
      if (e.has(k)) e.needs(first_operator_set(e.element(k)), "on " + std::string(hone::name_of(e.element(k))) + " ");
    }
    for (size_t k = 0; k < node.num_outputs(); ++k) {
      const ElementType t = node.output(k).element_type();
      e.needs(first_operator_set(t), "on " + std::string(hone::name_of(t)) + " ");
    }
    if (n.op->name == "If")
      emit_if(e, used_);
    else if (n.op->name == "Loop")
      emit_loop(e, used_);
    else if (const Custom* own = node.as<Custom>())
      emit_custom(e, *own);
    else
      find_emit_row(n.op->name)->emit(e);
  }
}

const std::string& GraphWriter::name_of(const Graph& g, ValueId v) {
  const auto it = names.find(v);
  if (it != names.end()) return it->second;
  const Node node = g.value_handle(v).node();
  const auto& own = g.value(v).names;
  std::string name = constant(node.as<Constant>()->value, !own.empty()          ? own[0]
                                                          : node.name().empty() ? "constant"
                                                                                : node.name());
  return names[v] = std::move(name);
}

std::string GraphWriter::finish(const Graph& g, size_t inputs) {
  std::string out = nodes;
  nodes.clear();
  std::vector<std::string> results;
  std::set<std::string> taken;
  for (NodeId r : g.results()) {
    const ValueId v = g.node(r).inputs[0];
    const Node producer = g.value_handle(v).node();
    std::string name = name_of(g, v);
    // An output that is an input or a constant, or that is given twice, passes through Identity.
    if (producer.is<Parameter>() || producer.is<Constant>() || !taken.insert(name).second) {
      const std::string own = fresh(!g.node(r).name.empty() ? g.node(r).name : name + "_out");
      emit("Identity", {name}, {own}, {}, own);
      name = own;
      taken.insert(name);
    }
    Type type = g.value(v).type;
    // The checker wants a shape of every output: the source file's, where inference does not know it.
    const auto said = g.node(r).info.find("onnx/shape");
    if (type.is_tensor() && !type.shape.rank_known() && said != g.node(r).info.end())
      type.shape = PartialShape::parse(said->second);
    results.push_back(value_info(name, type));
  }
  out += nodes;
  pbf_writer w(out);
  w.add_string(2, g.name.empty() ? "model" : g.name);
  out += initializers;
  for (size_t i = 0; i < std::min(inputs, g.parameters().size()); ++i) {
    const ValueId v = g.node(g.parameters()[i]).outputs[0];
    w.add_message(11, value_info(names.at(v), g.value(v).type));
  }
  for (const std::string& r : results) w.add_message(12, r);
  return out;
}

namespace {

// Regions are prepared like the graph around them.
Graph prepared_deeply(const Graph& g, const FormatRules& rules) {
  Graph out = prepared_for(g, rules);
  for (NodeId id : out.topological_order()) {
    for (size_t r = 0; r < out.node(id).regions.size(); ++r) {
      out.set_region(id, r, std::make_shared<Graph>(prepared_deeply(*out.node(id).regions[r], rules)));
    }
  }
  return out;
}

// ONNX has no state. What changes from run to run becomes an input of its name, whose initializer is the first content,
// and an output NAME/next with what the input is to be in the next run; metadata say which belong together.
struct State {
  std::string name;
  Tensor first;
};
Graph with_state_as_ports(const Graph& whole, std::vector<State>& states) {
  Graph g = whole;
  Builder b(g);
  for (NodeId id : g.topological_order()) {
    const auto* assign = g.handle(id).as<Assign>();
    if (!assign) continue;
    const std::string name = assign->variable_id;
    Value state;
    for (NodeId other : g.topological_order()) {
      const Node node = g.handle(other);
      const auto* variable = node.as<Variable>();
      const auto* read = node.as<ReadValue>();
      if (variable ? variable->variable_id != name : !read || read->variable_id != name) continue;
      if (!state) {
        Tensor first = variable                                 ? variable->value
                       : node.num_inputs() > 0 && node.input(0) ? node.input(0).constant()
                                                                : Tensor();
        const Type type = node.output(0).type();
        if (!first && read && (node.num_inputs() == 0 || !node.input(0)) && type.is_static())
          first = Tensor(type.element, type.shape.to_shape());
        if (!first)
          throw Error(ErrorCode::unsupported,
                      "[onnx] state '" + name + "' begins with something that is computed, which has no counterpart",
                      "node '" + node.name() + "'");
        state = b.parameter(Type(first.element_type(), PartialShape(first.shape())), name);
        states.push_back({name, first});
      }
      g.replace_uses(node.output(0).id, state.id);
    }
    if (state) {
      Value next = g.handle(id).input(0);
      // ONNX wants outputs of a known rank.
      const Shape& shape = states.back().first.shape();
      if (!next.shape().rank_known())
        next = b(Reshape{}, next, b.constant(Tensor::of<int64_t>({static_cast<int64_t>(shape.size())}, shape)));
      b.result(next, name + "/next");
    }
    g.remove(id);
  }
  g.remove_dead();
  return g;
}

// Domains of users' operators.
void collect_domains(const Graph& g, std::set<std::string>& out) {
  for (NodeId id : g.topological_order()) {
    if (const auto* own = g.handle(id).as<Custom>(); own && !own->domain.empty()) out.insert(own->domain);
    for (const Region& r : g.node(id).regions) collect_domains(*r, out);
  }
}

int64_t ir_version(int64_t opset) {
  return opset <= 14 ? 7 : opset <= 18 ? 8 : opset <= 20 ? 9 : opset <= 22 ? 10 : 11;
}

}  // namespace
}  // namespace hone::onnx

namespace hone {

std::string to_onnx(const Graph& g, const WriteOptions& options) {
  if (options.opset == 0) {
    WriteOptions chosen = options;
    // Each operator that is too new says which operator set has it.
    for (chosen.opset = 17;;) {
      try {
        return to_onnx(g, chosen);
      } catch (const onnx::NeedsOperatorSet& e) {
        if (e.least <= chosen.opset) throw;
        chosen.opset = e.least;
      }
    }
  }
  if (options.opset < 13 || options.opset > 23)
    throw Error(ErrorCode::usage, "[onnx] operator set " + std::to_string(options.opset) + " cannot be written", "",
                "choose 13 to 23");
  FormatRules rules;
  rules.name = "ONNX";
  rules.has = [&](const Graph& graph, NodeId id) {
    const std::string_view op = graph.node(id).op->name;
    if (op == "LayerNorm") return options.opset >= 17;
    return op == "Parameter" || op == "Result" || op == "Constant" || op == "If" || op == "Loop" || op == "Custom" ||
           onnx::find_emit_row(op) != nullptr;
  };
  std::vector<onnx::State> states;
  const Graph prepared = onnx::prepared_deeply(onnx::with_state_as_ports(g, states), rules);
  std::set<std::string> used;
  onnx::GraphWriter writer(options, used);
  writer.write(prepared, {});
  for (size_t i = 0; i < states.size(); ++i) {
    const NodeId input = prepared.parameters()[prepared.parameters().size() - states.size() + i];
    protozero::pbf_writer(writer.initializers)
        .add_message(5, onnx::tensor_message(states[i].first, writer.names.at(prepared.node(input).outputs[0])));
  }
  std::string out;
  protozero::pbf_writer w(out);
  w.add_int64(1, onnx::ir_version(options.opset));
  w.add_string(2, "Hone");
  w.add_message(7, writer.finish(prepared, prepared.parameters().size()));
  {
    protozero::pbf_writer opset(w, 8);
    opset.add_string(1, "");
    opset.add_int64(2, options.opset);
  }
  std::set<std::string> domains;
  onnx::collect_domains(prepared, domains);
  for (const std::string& domain : domains) {
    protozero::pbf_writer opset(w, 8);
    opset.add_string(1, domain);
    opset.add_int64(2, 1);
  }
  for (const onnx::State& s : states) {
    protozero::pbf_writer entry(w, 14);
    entry.add_string(1, "hone.state/" + s.name);
    entry.add_string(2, s.name + "/next");
  }
  for (const auto& [key, value] : g.info) {
    if (key == "framework" || key == "producer") continue;
    protozero::pbf_writer entry(w, 14);
    entry.add_string(1, key.starts_with("onnx/") ? key.substr(5) : key);
    entry.add_string(2, value);
  }
  return out;
}

void write_onnx(const Graph& g, const std::string& path, const WriteOptions& options) {
  write_file(path, to_onnx(g, options));
}

}  // namespace hone
