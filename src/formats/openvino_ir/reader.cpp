#include "formats/openvino_ir/reader.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <unordered_map>

#include "base/checked.hpp"
#include "base/file.hpp"
#include "formats/import_notes.hpp"
#include "formats/openvino_ir/layer.hpp"
#include "formats/openvino_ir/writer.hpp"
#include "ops/basic.hpp"
#include "ops/custom.hpp"
#include "ops/extension.hpp"

namespace hone::ir {
namespace {

constexpr int max_depth = 32;  // of bodies

struct Weights {
  std::span<const uint8_t> bytes;
  std::shared_ptr<const void> owner;
};

Tensor packed_strings(Shape shape, std::span<const uint8_t> b) {
  // count, count + 1 offsets, characters: all 32 bits, little-endian.
  auto word = [&](size_t at) {
    uint32_t v = 0;
    if (at + 4 > b.size()) throw Error(ErrorCode::unreadable, "[openvino_ir] a constant of strings is truncated");
    std::memcpy(&v, b.data() + at, 4);
    return size_t{v};
  };
  const size_t n = word(0);
  if (n != static_cast<size_t>(element_count(shape)) || n > b.size() / 4)
    throw Error(ErrorCode::unreadable, "[openvino_ir] a constant of strings does not fit its shape");
  const size_t text = 4 + 4 * (n + 1);
  std::vector<std::string> out;
  for (size_t i = 0; i < n; ++i) {
    const size_t from = word(4 + 4 * i), to = word(8 + 4 * i);
    if (from > to || text + to > b.size())
      throw Error(ErrorCode::unreadable, "[openvino_ir] a constant of strings is truncated");
    out.emplace_back(reinterpret_cast<const char*>(b.data()) + text + from, to - from);
  }
  return Tensor::strings(std::move(shape), std::move(out));
}

std::vector<std::string> split_names(const char* text) {
  std::vector<std::string> out;
  std::string name;
  for (const char* p = text; *p; ++p) {
    if (*p == '\\' && p[1] == ',')
      name += *++p;
    else if (*p == ',')
      out.push_back(std::exchange(name, {}));
    else
      name += *p;
  }
  if (!name.empty()) out.push_back(name);
  return out;
}

// `<a><b value="x"/></a>` -> "a/b" = "x".
void flatten(const pugi::xml_node& node, const std::string& path, std::map<std::string, std::string>& out, int depth) {
  if (depth > max_depth) return;
  for (const auto& child : node.children()) {
    if (child.type() != pugi::node_element) continue;
    const std::string key = path.empty() ? child.name() : path + "/" + child.name();
    if (const auto v = child.attribute("value")) out[key] = v.value();
    flatten(child, key, out, depth + 1);
  }
}

class Reader : public LayerImporter {
 public:
  Reader(Graph& g, const Weights& weights, int ir_version, int depth)
      : graph_(g), builder_(g), weights_(weights), ir_version_(ir_version), depth_(depth) {}

  using TypeOf = std::function<const Type*(int64_t)>;

  /// `layers` and `edges` are children of `net`; the Body lists parameters and results by layer id.
  Body read(const pugi::xml_node& net, const TypeOf& type_of) {
    std::vector<pugi::xml_node> layers;
    std::unordered_map<int64_t, size_t> by_id;
    for (const auto& l : net.child("layers").children("layer")) {
      if (!by_id.emplace(l.attribute("id").as_llong(-1), layers.size()).second)
        throw Error(ErrorCode::unreadable, "[openvino_ir] two layers have the same id", l.attribute("name").value());
      layers.push_back(l);
    }
    // Inputs of each layer: producer and its port, in the order of the input ports.
    std::vector<std::vector<std::pair<size_t, int64_t>>> inputs(layers.size());
    std::vector<std::unordered_map<int64_t, size_t>> in_ports(layers.size()), out_ports(layers.size());
    for (size_t k = 0; k < layers.size(); ++k) {
      for (const auto& p : layers[k].child("input").children("port"))
        in_ports[k].emplace(p.attribute("id").as_llong(-1), in_ports[k].size());
      for (const auto& p : layers[k].child("output").children("port"))
        out_ports[k].emplace(p.attribute("id").as_llong(-1), out_ports[k].size());
      inputs[k].assign(in_ports[k].size(), {SIZE_MAX, 0});
    }
    for (const auto& e : net.child("edges").children("edge")) {
      const auto from = by_id.find(e.attribute("from-layer").as_llong(-1)),
                 to = by_id.find(e.attribute("to-layer").as_llong(-1));
      if (from == by_id.end() || to == by_id.end())
        throw Error(ErrorCode::unreadable, "[openvino_ir] an edge names a layer that is not there");
      const auto out = out_ports[from->second].find(e.attribute("from-port").as_llong(-1));
      const auto in = in_ports[to->second].find(e.attribute("to-port").as_llong(-1));
      if (out == out_ports[from->second].end() || in == in_ports[to->second].end()) {
        throw Error(ErrorCode::unreadable, "[openvino_ir] an edge names a port that is not there",
                    layers[to->second].attribute("name").value());
      }
      inputs[to->second][in->second] = {from->second, static_cast<int64_t>(out->second)};
    }
    check_operators(layers);
    Body body;
    std::vector<Values> outputs(layers.size());
    std::vector<bool> done(layers.size(), false);
    // Parameters first and in the file's order, which is the order of the model's inputs.
    for (size_t k = 0; k < layers.size(); ++k) {
      if (std::string_view(layers[k].attribute("type").value()) != "Parameter") continue;
      outputs[k] = {parameter(layers[k], type_of)};
      body.parameters.emplace_back(layers[k].attribute("id").as_llong(), outputs[k][0]);
      done[k] = true;
    }
    for (size_t k : order(layers, inputs)) {
      if (done[k]) continue;
      Values in;
      for (const auto& [producer, port] : inputs[k]) {
        if (producer == SIZE_MAX) {
          in.emplace_back();
        } else if (port >= std::ssize(outputs[producer]) || !outputs[producer][static_cast<size_t>(port)]) {
          throw Error(ErrorCode::unreadable, "[openvino_ir] an input comes from an output that is not there",
                      place(layers[k]));
        } else {
          in.push_back(outputs[producer][static_cast<size_t>(port)]);
        }
      }
      if (std::string_view(layers[k].attribute("type").value()) == "Result") {
        if (in.empty() || !in[0])
          throw Error(ErrorCode::unreadable, "[openvino_ir] a Result has no input", place(layers[k]));
        results_.emplace_back(k, in[0]);
        continue;
      }
      try {
        outputs[k] = layer(layers[k], in);
      } catch (const Error& e) {
        if (e.where().find("layer '") != std::string::npos || e.where().find("node '") != std::string::npos) throw;
        throw e.at(place(layers[k]));
      } catch (const std::logic_error&) {  // rows take what an operator must have with .at()
        throw Error(ErrorCode::unreadable,
                    "[openvino_ir] a layer lacks inputs, attributes or results that it must have", place(layers[k]));
      }
      annotate(layers[k], outputs[k]);
    }
    std::sort(results_.begin(), results_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [k, v] : results_) {
      builder_.set_name({});
      builder_.set_provenance({});
      // A value that gives several outputs has the names of all; a newer file says which are whose.
      const auto own = split_names(layers[k].attribute("output_names").value());
      auto names = v.names();
      for (const std::string& name : own) {
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      }
      if (names.size() != v.names().size()) graph_.set_names(v.id, names);
      builder_.result(v, !own.empty()    ? own.front()
                         : names.empty() ? layers[k].attribute("name").value()
                                         : names.front());
      body.results.emplace_back(layers[k].attribute("id").as_llong(), v);
    }
    return body;
  }

  Body body(const pugi::xml_node& xml, const TypeOf& type_of) override {
    if (depth_ >= max_depth) throw Error(ErrorCode::unsafe, "[openvino_ir] bodies are nested too deeply");
    if (!xml) throw Error(ErrorCode::unreadable, "[openvino_ir] a body is missing");
    auto g = std::make_shared<Graph>();
    Reader inner(*g, weights_, ir_version_, depth_ + 1);
    Body b = inner.read(xml, type_of);
    b.graph = g;
    return b;
  }

  Tensor constant(const pugi::xml_node& data) override {
    const ElementType type = parse_type(data.attribute("element_type").value());
    const Shape shape = parse_shape(data.attribute("shape").value()).to_shape();
    const uint64_t offset = data.attribute("offset").as_ullong(), size = data.attribute("size").as_ullong();
    if (weights_.bytes.empty() && size > 0) {
      throw Error(ErrorCode::unreadable, "[openvino_ir] the weights are missing: there is no .bin file, or it is empty",
                  "", "put the .bin file beside the .xml file, under the same name");
    }
    if (offset > weights_.bytes.size() || size > weights_.bytes.size() - offset) {
      throw Error(ErrorCode::unreadable, "[openvino_ir] a constant lies outside of the .bin file", "",
                  "check that the .bin file belongs to the .xml file and is whole");
    }
    const auto bytes = weights_.bytes.subspan(offset, size);
    if (type == ElementType::string) return packed_strings(shape, bytes);
    if (type == ElementType::dynamic)
      throw Error(ErrorCode::unreadable, "[openvino_ir] a constant has no element type");
    const size_t need = hone::byte_size(type, static_cast<size_t>(element_count(shape)));
    // One stored element may stand for all of a larger shape.
    if (size < need)
      throw Error(ErrorCode::unreadable,
                  "[openvino_ir] a constant has fewer bytes than its shape " + to_string(shape) + " needs");
    const auto alignment = static_cast<uintptr_t>(std::max(1, bit_width(type) / 8));
    if (type != ElementType::boolean && need > 0 && reinterpret_cast<uintptr_t>(bytes.data()) % alignment == 0)
      return Tensor(type, shape, bytes.data(), weights_.owner);
    Tensor t(type, shape);
    if (need > 0) std::memcpy(t.raw(), bytes.data(), need);
    if (type == ElementType::boolean) {
      for (size_t i = 0; i < need; ++i) static_cast<uint8_t*>(t.raw())[i] = bytes[i] != 0;
    }
    return t;
  }

 private:
  static std::string place(const pugi::xml_node& l) {
    return "layer '" + std::string(l.attribute("name").value()) + "' (" + l.attribute("type").value() + ")";
  }

  Value parameter(const pugi::xml_node& l, const TypeOf& type_of) {
    const auto data = l.child("data");
    const Type* given = type_of ? type_of(l.attribute("id").as_llong()) : nullptr;
    Type type(parse_type(data.attribute("element_type").value()), parse_shape(data.attribute("shape").value()));
    if (given) type = *given;
    const Value v = builder_.parameter(type, l.attribute("name").value());
    annotate(l, {v});
    return v;
  }

  Values layer(const pugi::xml_node& l, const Values& in) {
    const std::string name = l.attribute("name").value();
    builder_.set_name(name);
    std::vector<std::string> sources;
    for (const auto& a : l.child("rt_info").children("attribute")) {
      if (std::string_view(a.attribute("name").value()) == "fused_names")
        sources = split_names(a.attribute("value").value());
    }
    builder_.set_provenance(sources.empty() ? std::vector<std::string>{name} : sources);
    LayerContext context(*this, builder_, l, in);
    if (const LayerRow* row = find_layer_row(context.type(), context.opset())) {
      const size_t before = builder_.added().size();
      const Values out = row->build(context);
      if (ImportNotes::wanted()) note(before, context, name);
      return out;
    }
    const OpDef* op = find_layer_op(context.type());
    if (!op && has_extension(l)) return custom(context);
    if (!op) context.fail("is not known");
    Attributes attributes = op->make();
    AttributeReader reader(context.data);
    op->visit(const_cast<void*>(attributes.get()), reader);
    return builder_.add(*op, attributes, in).outputs();
  }

  // A layer of an older set, or one that took several operators, is told of.
  void note(size_t before, const LayerContext& context, const std::string& name) const {
    std::string to;
    size_t operators = 0;
    for (size_t i = before; i < builder_.added().size(); ++i) {
      const NodeId id = builder_.added()[i];
      if (!graph_.alive(id) || graph_.node(id).op == &op_def<Constant>()) continue;
      to += (operators++ ? " + " : "") + std::string(graph_.node(id).op->name);
    }
    const int since = opset_of(context.type());
    const bool same = operators == 1 && to == context.type();
    if (context.type() == "Const" || (same && (since == 0 || context.opset() >= since))) return;
    ImportNotes::add({name, "opset" + std::to_string(context.opset()) + "::" + std::string(context.type()),
                      operators ? to : "nothing"});
  }

  // Does a user's library have the layer? Those of OpenVINO's own kind of extension say "extension" instead of a
  // domain.
  static bool has_extension(const pugi::xml_node& l) {
    const std::string version = l.attribute("version").value(), type = l.attribute("type").value();
    return find_extension(version, type, version == "extension") != nullptr;
  }
  static Values custom(LayerContext& context) {
    Custom op;
    op.domain = context.version() == "extension" ? "" : context.version();
    op.type = context.type();
    op.outputs = 0;
    for ([[maybe_unused]] const auto& p : context.xml.child("output").children("port")) ++op.outputs;
    for (const auto& a : context.data.attributes()) op.add(a.name(), 's', false, {a.value()});
    return context.b.all(std::move(op), context.inputs());
  }

  // Tensor names, and runtime information that is kept without being understood.
  void annotate(const pugi::xml_node& l, const Values& outputs) {
    if (outputs.empty() || !outputs[0]) return;
    size_t k = 0;
    for (const auto& p : l.child("output").children("port")) {
      if (k >= outputs.size()) break;
      const Value v = outputs[k];
      auto names = split_names(p.attribute("names").value());
      if (names.empty() && ir_version_ < 11 && depth_ == 0) names = {l.attribute("name").value()};
      if (v && !names.empty()) graph_.set_names(v.id, names);
      keep_info(p.child("rt_info"), "rt_info/port" + std::to_string(k), outputs[0].node().id);
      ++k;
    }
    keep_info(l.child("rt_info"), "rt_info", outputs[0].node().id);
  }
  void keep_info(const pugi::xml_node& info, const std::string& prefix, NodeId node) {
    for (const auto& a : info.children("attribute")) {
      const std::string name = a.attribute("name").value();
      if (name == "fused_names") continue;  // it is the node's provenance
      std::string text;
      for (const auto& x : a.attributes()) {
        if (std::string_view(x.name()) != "name")
          text += (text.empty() ? "" : "\n") + std::string(x.name()) + "=" + x.value();
      }
      graph_.set_info(node, prefix + "/" + name, text);
    }
  }

  static void check_operators(const std::vector<pugi::xml_node>& layers) {
    std::map<std::string, std::vector<std::string>> unknown;
    for (const auto& l : layers) {
      const std::string type = l.attribute("type").value(), version = l.attribute("version").value();
      const int opset = version.starts_with("opset") ? std::atoi(version.c_str() + 5) : 0;
      if (type == "Parameter" || type == "Result" || find_layer_row(type, opset) || find_layer_op(type) ||
          has_extension(l))
        continue;
      unknown[version + "::" + type].emplace_back(l.attribute("name").value());
    }
    if (unknown.empty()) return;
    std::string text;
    for (const auto& [type, names] : unknown) {
      text += (text.empty() ? "" : "; ") + type + " x" + std::to_string(names.size()) + " (";
      for (size_t i = 0; i < std::min<size_t>(5, names.size()); ++i) text += (i ? ", " : "") + names[i];
      text += names.size() > 5 ? ", ...)" : ")";
    }
    throw Error(ErrorCode::unsupported, "[openvino_ir] operators that Hone does not know: " + text, "",
                "give a library that has them with --extension LIB.so");
  }

  // Producers before users. Layers that no Result or Assign needs are left out.
  static std::vector<size_t> order(const std::vector<pugi::xml_node>& layers,
                                   const std::vector<std::vector<std::pair<size_t, int64_t>>>& inputs) {
    std::vector<size_t> out;
    std::vector<uint8_t> state(layers.size(), 0);
    std::vector<std::pair<size_t, size_t>> stack;
    for (size_t root = 0; root < layers.size(); ++root) {
      const std::string_view type = layers[root].attribute("type").value();
      if ((type != "Result" && type != "Assign") || state[root]) continue;
      stack.emplace_back(root, 0);
      state[root] = 1;
      while (!stack.empty()) {
        auto& [k, next] = stack.back();
        if (next == inputs[k].size()) {
          state[k] = 2;
          out.push_back(k);
          stack.pop_back();
          continue;
        }
        const size_t p = inputs[k][next++].first;
        if (p == SIZE_MAX) continue;
        if (state[p] == 1)
          throw Error(ErrorCode::unreadable, "[openvino_ir] the layers form a cycle", place(layers[p]));
        if (state[p] == 0) {
          state[p] = 1;
          stack.emplace_back(p, 0);
        }
      }
    }
    return out;
  }

  Graph& graph_;
  Builder builder_;
  const Weights& weights_;
  int ir_version_, depth_;
  std::vector<std::pair<size_t, Value>> results_;
};

}  // namespace
}  // namespace hone::ir

namespace hone {

Graph parse_openvino_ir(std::string_view xml, std::span<const uint8_t> weights, std::shared_ptr<const void> owner) {
  pugi::xml_document document;
  const auto parsed = document.load_buffer(xml.data(), xml.size(), pugi::parse_default, pugi::encoding_utf8);
  if (!parsed)
    throw Error(ErrorCode::unreadable, std::string("[openvino_ir] malformed xml (") + parsed.description() + ")",
                "byte " + std::to_string(parsed.offset), "check that the file is whole");
  const auto net = document.child("net");
  if (!net) throw Error(ErrorCode::unreadable, "[openvino_ir] the xml is not an OpenVINO network");
  const int version = net.attribute("version").as_int();
  if (version != 10 && version != 11) {
    throw Error(ErrorCode::unsupported, "[openvino_ir] version " + std::to_string(version) + " is not supported", "",
                "convert the original model again; versions 10 and 11 can be read");
  }
  Graph g;
  g.name = net.attribute("name").value();
  ir::flatten(net.child("rt_info"), "", g.info, 0);
  ir::flatten(net.child("meta_data").child("cli_parameters"), "conversion_parameters", g.info, 0);
  ir::flatten(net.child("quantization_parameters"), "optimization", g.info, 0);
  const ir::Weights w{weights, std::move(owner)};
  ir::Reader reader(g, w, version, 0);
  reader.read(net, nullptr);
  g.remove_dead();
  return g;
}

Graph read_openvino_ir(const std::string& path) {
  const auto xml = MappedFile::open(path);
  const std::string bin = std::filesystem::path(path).replace_extension(".bin").string();
  try {
    std::span<const uint8_t> weights;
    std::shared_ptr<const MappedFile> file;
    if (std::filesystem::exists(bin)) {
      file = MappedFile::open(bin);
      weights = file->bytes();
    }
    return parse_openvino_ir({reinterpret_cast<const char*>(xml->bytes().data()), xml->bytes().size()}, weights, file);
  } catch (const Error& e) {
    throw e.at(path);
  }
}

}  // namespace hone
