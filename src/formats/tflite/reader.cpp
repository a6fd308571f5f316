#include "formats/tflite/reader.hpp"

#include <algorithm>

#include "base/file.hpp"
#include "formats/nearest_names.hpp"
#include "formats/tflite/importer.hpp"
#include "hone/error.hpp"

namespace hone::tflite {
namespace {

// Every unknown operator that the model can reach, at once.
void check_operators(const Model& m, size_t main) {
  std::map<std::string, std::vector<std::string>> unknown;
  std::set<size_t> seen;
  std::vector<size_t> open{main};
  bool flex = false;
  while (!open.empty()) {
    const size_t at = open.back();
    open.pop_back();
    if (at >= m.subgraphs.size() || !seen.insert(at).second) continue;
    const SubgraphInfo& g = m.subgraphs[at];
    for (const OperatorInfo& o : g.operators) {
      for (size_t s : called(o)) open.push_back(s);
      if (o.code == 32 ? find_custom(o.custom) != nullptr : find_row(o.code) != nullptr) continue;
      flex |= o.custom.starts_with("Flex");
      std::string label = "without a name";
      if (!o.outputs.empty() && o.outputs[0] >= 0) label = g.tensors[static_cast<size_t>(o.outputs[0])].name;
      unknown[(o.code == 32 ? "custom operator " : "") + operator_name(o)].push_back(std::move(label));
    }
  }
  if (unknown.empty()) return;
  std::string text;
  size_t named = 0;
  for (const auto& [name, nodes] : unknown) {
    text += (text.empty() ? "" : "; ") + name + " x" + std::to_string(nodes.size()) + " (";
    for (size_t i = 0; i < std::min<size_t>(nodes.size(), 5); ++i) text += (i ? ", " : "") + nodes[i];
    text += nodes.size() > 5 ? ", ...)" : ")";
    const std::string_view plain = std::string_view(name).starts_with("custom operator ")
                                       ? std::string_view(name).substr(16)
                                       : std::string_view(name);
    const auto near = named++ < most_suggested ? nearest_names(plain) : std::vector<std::string>();
    for (size_t i = 0; i < near.size(); ++i) text += (i ? ", " : ", nearest known: ") + near[i];
  }
  throw Error(
      ErrorCode::unsupported, "[tflite] operators that Hone does not know: " + text, "",
      flex ? "convert again with the builtin operators of TensorFlow Lite alone (no SELECT_TF_OPS)"
           : "convert again with builtin operators, or add a row to the mapping table (formats/tflite/mapping.hpp)");
}

size_t main_subgraph(const Model& m, const std::string& signature) {
  if (signature.empty()) return 0;
  std::string known;
  for (const Signature& s : m.signatures) {
    if (s.key == signature) return s.subgraph;
    known += (known.empty() ? "" : ", ") + std::string(s.key);
  }
  throw Error(ErrorCode::usage, "[tflite] the file has no signature '" + signature + "'", "",
              known.empty() ? "it has none at all" : "it has: " + known);
}

Graph import(std::string_view text, std::shared_ptr<const void> owner, const std::string& signature) {
  Shared shared;
  shared.model = parse_model({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, std::move(owner));
  const Model& m = shared.model;
  const size_t main = main_subgraph(m, signature);
  if (main >= m.subgraphs.size())
    throw Error(ErrorCode::unreadable, "[tflite] the subgraph of a signature does not exist");
  check_operators(m, main);
  const SubgraphInfo& sub = m.subgraphs[main];
  // Asymmetric u8 weights: of a network that was trained with them, before the symmetric int8 of today.
  for (const SubgraphInfo& each : m.subgraphs) {
    for (const OperatorInfo& o : each.operators) {
      if ((o.code != 3 && o.code != 4 && o.code != 9) || o.inputs.size() < 2 || o.inputs[1] < 0) continue;
      const TensorInfo& w = each.tensors[static_cast<size_t>(o.inputs[1])];
      shared.steps |= w.type == TensorType::u8 && w.scales && w.scales.zero.at(0) != 128;
    }
  }
  Graph g;
  g.name = sub.name.empty() ? std::string("main") : std::string(sub.name);
  g.info["framework"] = "tflite";
  if (!m.description.empty()) g.info["tflite/description"] = m.description;
  Scope scope(g, false);
  SubgraphImporter importer(shared, scope, 0);
  TensorValues inputs;
  for (int32_t t : sub.inputs) {
    const TensorInfo& info = sub.tensors[static_cast<size_t>(t)];
    const Type type = stored_type(info);
    if (type.element == ElementType::dynamic) {
      throw Error(ErrorCode::unsupported,
                  std::string("[tflite] an input of type ") + name_of(info.type) + " is not supported",
                  "tensor '" + std::string(info.name) + "'");
    }
    TensorValue v;
    v.stored = scope.builder.parameter(type, std::string(info.name));
    name_value(v.stored, info.name);
    inputs.push_back(v);
  }
  const TensorValues outputs = importer.inlined(main, inputs);
  const OperatorInfo none;
  for (size_t k = 0; k < outputs.size(); ++k) {
    const TensorInfo& info = sub.tensors[static_cast<size_t>(sub.outputs[k])];
    TensorValue kept = outputs[k];
    if (!kept.resource.empty())
      throw Error(ErrorCode::unsupported, "[tflite] an output that is a resource",
                  "tensor '" + std::string(info.name) + "'");
    scope.builder.set_name(std::string(info.name));
    const Value v = NodeContext(importer, scope.builder, sub, none, {}, false).stored(kept, info);
    scope.builder.set_name({});
    scope.builder.result(v, std::string(info.name));
    name_value(v, info.name);
  }
  importer.write_back();
  std::string keys;
  for (const Signature& s : m.signatures) {
    keys += (keys.empty() ? "" : ", ") + std::string(s.key);
    if (s.subgraph != main) continue;
    for (const auto& [name, tensor] : s.inputs) {
      for (size_t k = 0; k < sub.inputs.size(); ++k) {
        if (static_cast<uint32_t>(sub.inputs[k]) == tensor) name_value(inputs[k].stored, name);
      }
    }
    for (const auto& [name, tensor] : s.outputs) {
      for (size_t k = 0; k < sub.outputs.size(); ++k) {
        if (static_cast<uint32_t>(sub.outputs[k]) == tensor) name_value(g.outputs()[k], name);
      }
    }
  }
  if (!keys.empty()) g.info["tflite/signatures"] = keys;
  read_metadata(m, main, g);
  g.remove_dead();
  return g;
}

}  // namespace
}  // namespace hone::tflite

namespace hone {

Graph parse_tflite(std::string_view bytes, std::shared_ptr<const void> owner, const std::string& signature) {
  return tflite::import(bytes, std::move(owner), signature);
}

Graph read_tflite(const std::string& path) {
  const auto file = MappedFile::open(path);
  try {
    return parse_tflite({reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()}, file);
  } catch (const Error& e) {
    throw e.at(path);
  }
}

}  // namespace hone
