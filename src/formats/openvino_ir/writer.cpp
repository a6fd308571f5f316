#include "formats/openvino_ir/writer.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>
#include <unordered_map>

#include "base/file.hpp"
#include "formats/openvino_ir/blob.hpp"
#include "formats/openvino_ir/fields.hpp"
#include "formats/openvino_ir/layer_attributes.hpp"
#include "formats/openvino_ir/rt_info.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/control.hpp"
#include "ops/custom.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/random.hpp"
#include "ops/registry.hpp"

namespace hone::ir {
namespace {

const char* layer_type(std::string_view op) {
  if (op == "Constant") return "Const";
  if (op == "Relu") return "ReLU";
  if (op == "PRelu") return "PReLU";
  if (op == "Softmax") return "SoftMax";
  return op.data();
}

class Writer {
 public:
  Writer(Blob& blob, const WriteOptions& options) : blob_(blob), options_(options) {}

  struct Ids {
    std::vector<int64_t> parameters, results;
  };

  /// Appends `<layers>` and `<edges>` for a prepared graph.
  Ids write(pugi::xml_node net, const Graph& g) {
    layers_ = net.append_child("layers");
    edges_ = net.append_child("edges");
    // Names that Results give to values which have none.
    std::unordered_map<ValueId, std::string> result_names;
    for (NodeId r : g.results()) result_names.emplace(g.node(r).inputs[0], g.node(r).name);
    Ids ids;
    std::vector<NodeId> order = g.parameters();
    for (NodeId id : g.topological_order()) {
      if (!g.handle(id).is<Parameter>() && !g.handle(id).is<Result>()) order.push_back(id);
    }
    order.insert(order.end(), g.results().begin(), g.results().end());
    for (NodeId id : order) {
      if (is_random_state(g, id)) continue;
      const int64_t layer = write_node(g, id, result_names);
      if (g.handle(id).is<Parameter>()) ids.parameters.push_back(layer);
      if (g.handle(id).is<Result>()) ids.results.push_back(layer);
    }
    return ids;
  }

 private:
  struct Source {
    int64_t layer, port;
  };

  // The state of random operators is written as seeds.
  static bool is_random_state(const Graph& g, NodeId id) {
    const Node node = g.handle(id);
    if (!node.is<Constant>()) return false;
    const auto& uses = g.value(g.node(id).outputs[0]).uses;
    return !uses.empty() && std::all_of(uses.begin(), uses.end(), [&](const Use& u) {
      return g.handle(u.node).is<RandomUniform>() && u.index == 3;
    });
  }

  std::string unique(std::string name, const std::string& otherwise) {
    if (name.empty()) name = otherwise;
    std::string n = name;
    for (int k = 1; !names_.insert(n).second; ++k) n = name + "_" + std::to_string(k);
    return n;
  }

  pugi::xml_node layer(const std::string& name, const char* type, int opset, int64_t& id) {
    id = next_id_++;
    auto l = layers_.append_child("layer");
    l.append_attribute("id").set_value(static_cast<long long>(id));
    l.append_attribute("name").set_value(unique(name, std::string(type) + "_" + std::to_string(id)).c_str());
    l.append_attribute("type").set_value(type);
    l.append_attribute("version").set_value(("opset" + std::to_string(opset)).c_str());
    return l;
  }

  static void dims(pugi::xml_node port, const PartialShape& s) {
    if (!s.rank_known()) return;
    for (const Dimension& d : s)
      port.append_child("dim").text().set(d.is_static() ? static_cast<long long>(d.min()) : -1ll);
  }
  pugi::xml_node port(pugi::xml_node side, int64_t id, const Type& t) {
    auto p = side.append_child("port");
    p.append_attribute("id").set_value(static_cast<long long>(id));
    if (!t.is_tensor())
      throw Error(ErrorCode::unsupported,
                  "[openvino_ir] a value of type " + to_string(t) + " has no counterpart in OpenVINO");
    p.append_attribute("precision").set_value(precision_name(t.element));
    return p;
  }
  void edge(const Source& from, int64_t layer, int64_t port) {
    auto e = edges_.append_child("edge");
    e.append_attribute("from-layer").set_value(static_cast<long long>(from.layer));
    e.append_attribute("from-port").set_value(static_cast<long long>(from.port));
    e.append_attribute("to-layer").set_value(static_cast<long long>(layer));
    e.append_attribute("to-port").set_value(static_cast<long long>(port));
  }

  void constant_data(pugi::xml_node l, const Tensor& t) {
    auto d = l.append_child("data");
    d.append_attribute("element_type").set_value(name_of(t.element_type()));
    d.append_attribute("shape").set_value(shape_text(PartialShape(t.shape())).c_str());
    std::string packed;
    const void* bytes = t.raw();
    size_t n = t.byte_size();
    if (t.element_type() == ElementType::string) {
      auto word = [&](size_t v) {
        const auto w = static_cast<uint32_t>(v);
        packed.append(reinterpret_cast<const char*>(&w), 4);
      };
      word(t.size());
      size_t at = 0;
      word(0);
      for (const std::string& s : t.strings()) word(at += s.size());
      for (const std::string& s : t.strings()) packed += s;
      bytes = packed.data();
      n = packed.size();
    }
    d.append_attribute("offset").set_value(static_cast<unsigned long long>(n ? blob_.put(bytes, n) : 0));
    d.append_attribute("size").set_value(static_cast<unsigned long long>(n));
  }

  Source constant(const Tensor& t, const std::string& name) {
    int64_t id;
    auto l = layer(name, "Const", 1, id);
    constant_data(l, t);
    dims(port(l.append_child("output"), 0, Type(t.element_type(), PartialShape(t.shape()))), PartialShape(t.shape()));
    return {id, 0};
  }

  bool compresses(const Tensor& t) const {
    return options_.compress_to_fp16 && t.element_type() == ElementType::f32 && t.size() > 0;
  }

  // f16 with a Convert that says why it is there. What f16 cannot hold is clamped, as OpenVINO does.
  int64_t compressed(const Graph& g, NodeId id, const Tensor& t) {
    Tensor clamped = t.clone();
    for (float& v : clamped.span<float>()) v = std::clamp(v, -65504.0f, 65504.0f);
    const Source half = constant(clamped.converted(ElementType::f16), g.node(id).name + "_compressed");
    int64_t layer_id;
    auto l = layer(g.node(id).name, "Convert", 1, layer_id);
    l.append_child("data").append_attribute("destination_type").set_value("f32");
    auto info = l.append_child("rt_info").append_child("attribute");
    info.append_attribute("name").set_value("decompression");
    info.append_attribute("version").set_value("0");
    dims(port(l.append_child("input"), 0, Type(ElementType::f16, PartialShape(t.shape()))), PartialShape(t.shape()));
    dims(port(l.append_child("output"), 1, Type(ElementType::f32, PartialShape(t.shape()))), PartialShape(t.shape()));
    edge(half, layer_id, 0);
    sources_[g.node(id).outputs[0]] = {layer_id, 1};
    return layer_id;
  }

  int64_t write_node(const Graph& g, NodeId id, const std::unordered_map<ValueId, std::string>& result_names) {
    const NodeData& n = g.node(id);
    const Node node = g.handle(id);
    if (const auto* c = node.as<Constant>(); c && compresses(c->value)) return compressed(g, id, c->value);
    std::vector<Source> in = inputs_of(g, id);
    int64_t layer_id;
    const std::string_view op = n.op->name;
    const std::string fallback = n.name.empty() && !n.outputs.empty() && !g.value(n.outputs[0]).names.empty()
                                     ? g.value(n.outputs[0]).names[0]
                                     : n.name;
    auto l = layer(node.is<Result>() ? fallback + "/sink" : fallback, layer_type(op), opset_of(op), layer_id);
    if (const auto* c = node.as<Constant>()) {
      constant_data(l, c->value);
    } else if (node.is<Parameter>()) {
      auto d = l.append_child("data");
      d.append_attribute("shape").set_value(shape_text(g.value(n.outputs[0]).type.shape).c_str());
      d.append_attribute("element_type").set_value(name_of(g.value(n.outputs[0]).type.element));
    } else if (const auto* own = node.as<Custom>()) {
      write_custom(l, *own);
    } else if (op != "If" && op != "Loop") {
      write_fields(l, g, id);
    }
    if (node.is<Result>()) {
      const auto names = node.input(0).names();
      if (names.size() > 1 && std::find(names.begin(), names.end(), n.name) != names.end())
        l.append_attribute("output_names").set_value(escaped(n.name).c_str());
    }
    write_info(l, n, -1);
    if (!in.empty()) {
      auto side = l.append_child("input");
      for (size_t i = 0; i < in.size(); ++i)
        dims(port(side, static_cast<int64_t>(i), input_types_[i]), input_types_[i].shape);
    }
    if (!n.outputs.empty()) {
      auto side = l.append_child("output");
      for (size_t i = 0; i < n.outputs.size(); ++i) {
        if (node.is<RandomUniform>() && i > 0) break;
        const ValueData& v = g.value(n.outputs[i]);
        const auto port_id = static_cast<int64_t>(in.size() + i);
        auto p = port(side, port_id, v.type);
        auto names = v.names;
        if (const auto r = result_names.find(n.outputs[i]);
            names.empty() && r != result_names.end() && !r->second.empty())
          names = {r->second};
        std::erase_if(names, [&](const std::string& s) { return !tensor_names_.insert(s).second; });
        if (!names.empty()) p.append_attribute("names").set_value(joined(names).c_str());
        dims(p, v.type.shape);
        write_info(p, n, static_cast<int>(i));
        sources_[n.outputs[i]] = {layer_id, port_id};
      }
    }
    for (size_t i = 0; i < in.size(); ++i) edge(in[i], layer_id, static_cast<int64_t>(i));
    if (op == "If") write_if(l, n, in.size());
    if (op == "Loop") write_loop(l, g, id, in.size());
    return layer_id;
  }

  // Sources of the inputs; absent ones get the default that the operator's specification gives.
  std::vector<Source> inputs_of(const Graph& g, NodeId id) {
    const NodeData& n = g.node(id);
    std::vector<Source> in;
    input_types_.clear();
    auto take = [&](const Source& s, const Type& t) {
      in.push_back(s);
      input_types_.push_back(t);
    };
    auto take_constant = [&](const Tensor& t) {
      take(constant(t, n.name + "/default"), Type(t.element_type(), PartialShape(t.shape())));
    };
    if (n.op->name == "LSTMSequence" && n.inputs.size() > 7) {
      throw Error(ErrorCode::unsupported, "[LSTMSequence] peepholes have no counterpart in OpenVINO",
                  "node '" + n.name + "'");
    }
    for (size_t i = 0; i < n.inputs.size(); ++i) {
      if (n.op->name == "RandomUniform" && i == 3) break;
      if (n.inputs[i] != no_id) {
        take(sources_.at(n.inputs[i]), g.value(n.inputs[i]).type);
      } else if (n.op->name == "Loop" && i < 2) {
        take_constant(i == 0 ? Tensor::scalar<int64_t>(-1) : Tensor::scalar<bool>(true));
      } else if (n.op->name == "NonMaxSuppression" && i >= 2) {
        take_constant(i == 2 ? Tensor::scalar<int64_t>(0) : Tensor::scalar<float>(0));
      } else if (n.op->name == "ScaledDotProductAttention" && i == 3) {
        // A scalar 0 is no mask there.
        take_constant(Tensor::scalar<float>(0).converted(g.value(n.inputs[0]).type.element));
      } else {
        throw Error(
            ErrorCode::unsupported,
            "[" + std::string(n.op->name) + "] input " + std::to_string(i) + " is absent, which the IR cannot say",
            "node '" + n.name + "'");
      }
    }
    if (n.op->name == "Loop" && n.inputs.size() >= 2) {
      // The body's own condition is carried from round to round: it enters through a port of its own.
      const Source s = in[1];
      const Type t = input_types_[1];
      take(s, t);
    }
    if (n.op->name == "Reverse") {
      const auto& axes = static_cast<const Reverse*>(n.attributes.get())->axes;
      take_constant(Tensor::of<int64_t>({std::ssize(axes)}, std::span<const int64_t>(axes)));
    }
    return in;
  }

  Ids write_body(pugi::xml_node to, const Graph& g) {
    Writer inner(blob_, options_);
    return inner.write(to, prepared_for_ir(g));
  }

  static pugi::xml_node map_port(pugi::xml_node map, const char* kind, int64_t external, int64_t internal) {
    auto p = map.append_child(kind);
    p.append_attribute("external_port_id").set_value(static_cast<long long>(external));
    p.append_attribute("internal_layer_id").set_value(static_cast<long long>(internal));
    return p;
  }

  void write_if(pugi::xml_node l, const NodeData& n, size_t inputs) {
    const char* const names[2][2] = {{"then_port_map", "then_body"}, {"else_port_map", "else_body"}};
    for (size_t k = 0; k < 2; ++k) {
      auto map = l.append_child(names[k][0]);
      const Ids ids = write_body(l.append_child(names[k][1]), *n.regions[k]);
      for (size_t i = 0; i < ids.parameters.size(); ++i)
        map_port(map, "input", static_cast<int64_t>(i) + 1, ids.parameters[i]);
      for (size_t i = 0; i < ids.results.size(); ++i)
        map_port(map, "output", static_cast<int64_t>(inputs + i), ids.results[i]);
    }
  }

  void write_loop(pugi::xml_node l, const Graph& g, NodeId id, size_t inputs) {
    const NodeData& n = g.node(id);
    const auto& op = *static_cast<const Loop*>(n.attributes.get());
    Graph body = *n.regions[0];
    Builder b(body);
    const auto carried = static_cast<size_t>(op.num_carried);
    for (size_t k = 0; k < op.scan_outputs.size(); ++k) {  // stacked values grow along a new axis
      if (op.scan_outputs[k] != -1) continue;
      const NodeId r = body.results()[1 + carried + k];
      const Value wide =
          b.add(*find_op("Unsqueeze"), std::make_shared<Unsqueeze>(), {body.outputs()[1 + carried + k], b.ints({0})})
              .output(0);
      body.set_input(r, 0, wide.id);
    }
    auto map = l.append_child("port_map");
    auto back = l.append_child("back_edges");
    const Ids ids = write_body(l.append_child("body"), body);
    map_port(map, "input", -1, ids.parameters[0]).append_attribute("purpose").set_value("current_iteration");
    map_port(map, "input", static_cast<int64_t>(inputs) - 1, ids.parameters[1]);
    auto back_edge = [&](int64_t from, int64_t to) {
      auto e = back.append_child("edge");
      e.append_attribute("from-layer").set_value(static_cast<long long>(from));
      e.append_attribute("to-layer").set_value(static_cast<long long>(to));
    };
    back_edge(ids.results[0], ids.parameters[1]);
    for (size_t k = 2; k < ids.parameters.size(); ++k)
      map_port(map, "input", static_cast<int64_t>(k), ids.parameters[k]);
    for (size_t k = 0; k < carried; ++k) back_edge(ids.results[1 + k], ids.parameters[2 + k]);
    map_port(map, "output", -1, ids.results[0]).append_attribute("purpose").set_value("execution_condition");
    for (size_t k = 0; k < n.outputs.size(); ++k) {
      auto p = map_port(map, "output", static_cast<int64_t>(inputs + k), ids.results[1 + k]);
      if (k < carried) continue;
      const int64_t axis = op.scan_outputs[k - carried];
      p.append_attribute("axis").set_value(static_cast<long long>(axis == -1 ? 0 : axis));
      p.append_attribute("start").set_value("0");
      p.append_attribute("end").set_value("-1");
      p.append_attribute("stride").set_value("1");
      p.append_attribute("part_size").set_value("1");
    }
  }

  Blob& blob_;
  const WriteOptions& options_;
  pugi::xml_node layers_, edges_;
  std::unordered_map<ValueId, Source> sources_;
  std::vector<Type> input_types_;  ///< of the node being written
  std::set<std::string> names_, tensor_names_;
  int64_t next_id_ = 0;
};

}  // namespace
}  // namespace hone::ir

namespace hone {

std::pair<std::string, std::vector<uint8_t>> to_openvino_ir(const Graph& g, const WriteOptions& options) {
  pugi::xml_document document;
  auto declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version").set_value("1.0");
  auto net = document.append_child("net");
  net.append_attribute("name").set_value(g.name.empty() ? "model" : g.name.c_str());
  net.append_attribute("version").set_value("11");
  ir::Blob blob;
  ir::Writer(blob, options).write(net, ir::prepared_for_ir(g));
  ir::write_model_info(net, g.info);
  std::ostringstream xml;
  document.save(xml, "\t", pugi::format_default, pugi::encoding_utf8);
  return {xml.str(), blob.take()};
}

void write_openvino_ir(const Graph& g, const std::string& xml_path, const WriteOptions& options) {
  const auto [xml, weights] = to_openvino_ir(g, options);
  // Both files are whole before either gets its name.
  AtomicFile bin(std::filesystem::path(xml_path).replace_extension(".bin").string()), text(xml_path);
  bin.write(weights.data(), weights.size());
  text.write(xml);
  bin.commit();
  text.commit();
}

}  // namespace hone
