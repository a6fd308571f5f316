#include <set>

#include "formats/import_notes.hpp"
#include "formats/nearest_names.hpp"
#include "formats/onnx/model.hpp"
#include "hone/error.hpp"
#include "ops/extension.hpp"

namespace hone::onnx {
namespace {

struct Unknown {
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> occurrences;  ///< (domain, operator) -> nodes
};

void find_unknown(const Model& model, const std::vector<NodeMessage>& nodes, Unknown& unknown, int depth) {
  if (depth > max_depth) throw Error(ErrorCode::unsafe, "[onnx] subgraphs are nested too deeply");
  for (const NodeMessage& n : nodes) {
    const OperatorRow* row = find_row(n.domain, n.op);
    if (!row && !model.function(n) && !find_extension(n.domain, n.op)) {
      unknown.occurrences[{std::string(n.domain), std::string(n.op)}].emplace_back(
          n.name.empty() && !n.outputs.empty() ? n.outputs[0] : n.name);
    }
    for (const AttributeMessage& a : n.attributes) {
      if (a.kind == AttributeMessage::g_) find_unknown(model, parse_graph_message(a.message).nodes, unknown, depth + 1);
    }
  }
}

}  // namespace

void check_operators(const Model& model, const GraphMessage& graph) {
  Unknown unknown;
  find_unknown(model, graph.nodes, unknown, 0);
  for (const FunctionMessage& f : model.message.functions) {
    if (!find_row(f.domain, f.name)) find_unknown(model, f.nodes, unknown, 0);
  }
  if (unknown.occurrences.empty()) return;
  std::string text;
  size_t named = 0;
  for (const auto& [key, nodes] : unknown.occurrences) {
    text += (text.empty() ? "" : "; ") + (key.first.empty() ? "" : key.first + "::") + key.second + " x" +
            std::to_string(nodes.size()) + " (";
    for (size_t i = 0; i < std::min<size_t>(nodes.size(), 5); ++i) text += (i ? ", " : "") + nodes[i];
    text += nodes.size() > 5 ? ", ...)" : ")";
    const auto near = named++ < most_suggested ? nearest_names(key.first, key.second) : std::vector<std::string>();
    for (size_t i = 0; i < near.size(); ++i) text += (i ? ", " : ", nearest known: ") + near[i];
  }
  throw Error(ErrorCode::unsupported, "[onnx] operators that Hone does not know: " + text, "",
              "export with standard operators, or give a library that has them with --extension LIB.so");
}

void check_opsets(ModelMessage& m) {
  if (m.ir_version > 20)
    throw Error(ErrorCode::unsupported, "[onnx] IR version " + std::to_string(m.ir_version) + " is not known");
  if (m.opsets.empty()) {
    if (m.ir_version >= 3) {
      throw Error(ErrorCode::unreadable,
                  "[onnx] the model lacks opset_import, so the meaning of its operators is not known", "",
                  "export it again");
    }
    m.opsets[""] = 1;  // before IR version 3 there was one operator set
  }
  const auto it = m.opsets.find("");
  if (it != m.opsets.end() && (it->second > newest_opset || it->second < 1)) {
    throw Error(ErrorCode::unsupported, "[onnx] operator set " + std::to_string(it->second) + " is not known", "",
                "export with operator set " + std::to_string(newest_opset) + " or older");
  }
}

}  // namespace hone::onnx
