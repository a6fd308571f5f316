// What a graph asks for: which of its operators have no row in the mapping table, and what was made of those that have.
#include <algorithm>

#include "formats/nearest_names.hpp"
#include "formats/tensorflow/importer.hpp"
#include "formats/tensorflow/mapping.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone::tensorflow {
namespace {

constexpr std::string_view callers[] = {"PartitionedCall", "StatefulPartitionedCall", "If",   "StatelessIf",
                                        "While",           "StatelessWhile",          "Case", "StatelessCase"};
bool is_caller(Bytes op) {
  return std::find(std::begin(callers), std::end(callers), op) != std::end(callers);
}

bool changes_state(Bytes op) {
  return op.starts_with("AssignVariableOp") || op.starts_with("AssignAddVariableOp") ||
         op.starts_with("AssignSubVariableOp") || op.starts_with("ResourceScatter");
}

struct Search {
  Library& library;
  std::map<std::string, std::vector<std::string>> unknown;  ///< operator -> nodes
  std::set<Bytes> seen;                                     ///< functions
  std::vector<std::string> state;                           ///< nodes that give a variable other content

  void function(Bytes name, const std::string& prefix) {
    const FunctionMessage* f = library.find(name);
    if (!f || !seen.insert(name).second) return;
    const Body& b = library.body(*f);
    // A function runs such nodes whether its outputs hang on them or not.
    for (const NodeMessage& n : f->nodes) {
      if (changes_state(n.op)) state.push_back(prefix + std::string(n.name));
    }
    body(b, b.returns(), prefix);
  }
  void references(const AttributeMessage& a, const std::string& prefix) {
    if (a.kind == AttributeMessage::function_) function(parse_function_reference(a.message).name, prefix);
    if (a.kind != AttributeMessage::list_) return;
    for (const Bytes m : a.messages) function(parse_function_reference(m).name, prefix);
  }
  void body(const Body& b, const std::vector<Ref>& roots, const std::string& prefix) {
    for (const uint32_t i : b.needed(roots)) {
      const NodeMessage& n = b.node(i);
      const std::string label = prefix + std::string(n.name);
      if (find_row(n.op)) {
        // Functions that other operators name (of data sets, of gradients) are never built.
        if (!is_caller(n.op)) continue;
        for (const auto& [key, value] : n.attributes) references(parse_attribute(value), label + "/");
      } else if (library.find(n.op)) {
        function(n.op, label + "/");
      } else {
        unknown[std::string(n.op)].push_back(label);
      }
    }
  }
};

}  // namespace

void note_import(Builder& b, size_t before, Bytes op, const std::string& label) {
  if (!is_caller(op) && op != "Const" && op != "Identity") note_operators(b, before, label, std::string(op));
}

void check_operators(const Body& body, const std::vector<Ref>& roots, Library& library) {
  Search s{library, {}, {}, {}};
  s.body(body, roots, {});
  if (!s.state.empty()) {
    throw Error(ErrorCode::unsupported,
                "[tensorflow] state that changes from run to run is not offered: '" + s.state[0] +
                    "' gives a variable other content" +
                    (s.state.size() > 1 ? ", and " + std::to_string(s.state.size() - 1) + " more nodes do" : ""),
                "",
                "export it with its state as inputs and outputs, or convert it to TensorFlow Lite, which is read with "
                "its state");
  }
  if (s.unknown.empty()) return;
  std::string text;
  size_t named = 0;
  for (const auto& [op, nodes] : s.unknown) {
    text += (text.empty() ? "" : "; ") + op + " x" + std::to_string(nodes.size()) + " (";
    for (size_t i = 0; i < std::min<size_t>(nodes.size(), 5); ++i) text += (i ? ", " : "") + nodes[i];
    text += nodes.size() > 5 ? ", ...)" : ")";
    const auto near = named++ < most_suggested ? nearest_names(op) : std::vector<std::string>();
    for (size_t i = 0; i < near.size(); ++i) text += (i ? ", " : ", nearest known: ") + near[i];
  }
  throw Error(ErrorCode::unsupported, "[tensorflow] operators that Hone does not know: " + text, "",
              "build the model of other operators, or add a row to the mapping table (formats/tensorflow/mapping.hpp)");
}

}  // namespace hone::tensorflow
