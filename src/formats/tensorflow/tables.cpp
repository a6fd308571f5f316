#include "formats/tensorflow/tables.hpp"

#include <algorithm>

namespace hone::tensorflow {
namespace {

using Index = std::map<Bytes, const NodeMessage*>;

Index index_of(const std::vector<NodeMessage>& nodes) {
  Index i;
  for (const NodeMessage& n : nodes) i.emplace(n.name, &n);
  return i;
}

// A body, and what its arguments are where it is a function that is called.
struct Scope {
  Index nodes;
  const FunctionMessage* function = nullptr;
  const NodeMessage* call = nullptr;
  const Scope* outer = nullptr;

  // The node behind a tensor, wherever it stands.
  const NodeMessage* node(Bytes ref) const {
    for (int k = 0; k < 16; ++k) {
      const Bytes name = ref.substr(0, ref.find(':'));
      if (const auto at = nodes.find(name); at != nodes.end()) {
        if (at->second->op != "Identity" || at->second->inputs.empty()) return at->second;
        ref = at->second->inputs[0];
        continue;
      }
      if (!function || !outer) return nullptr;
      for (size_t i = 0; i < function->inputs.size() && i < call->inputs.size(); ++i) {
        if (function->inputs[i].name == name) return outer->node(call->inputs[i]);
      }
      return nullptr;
    }
    return nullptr;
  }
};

Tensor constant(const NodeMessage* n, const std::shared_ptr<const void>& owner) {
  if (!n || n->op != "Const") return {};
  for (const auto& [key, value] : n->attributes) {
    if (key != "value") continue;
    bool repeated = false;
    const Tensor t = to_tensor(parse_tensor(parse_attribute(value).message), owner, repeated);
    return repeated ? Tensor() : t;
  }
  return {};
}

void collect(const Scope& s, const std::vector<NodeMessage>& nodes, const std::shared_ptr<const void>& owner,
             Tables& out) {
  static constexpr std::string_view initializers[] = {"LookupTableImport", "LookupTableImportV2", "InitializeTable",
                                                      "InitializeTableV2"};
  for (const NodeMessage& n : nodes) {
    if (std::find(std::begin(initializers), std::end(initializers), n.op) == std::end(initializers) ||
        n.inputs.size() < 3)
      continue;
    const NodeMessage* table = s.node(n.inputs[0]);
    const Tensor keys = constant(s.node(n.inputs[1]), owner), values = constant(s.node(n.inputs[2]), owner);
    if (!table || !keys || !values || keys.size() != values.size()) continue;
    const Shape flat{static_cast<int64_t>(keys.size())};
    out.emplace(std::string(table->name), std::pair(keys.reshaped(flat), values.reshaped(flat)));
  }
}

}  // namespace

Tables table_contents(const GraphMessage& graph, const std::shared_ptr<const void>& owner) {
  Tables out;
  Scope whole;
  whole.nodes = index_of(graph.nodes);
  collect(whole, graph.nodes, owner, out);
  std::map<Bytes, const FunctionMessage*> functions;
  for (const FunctionMessage& f : graph.functions) {
    const bool initializes = std::any_of(f.nodes.begin(), f.nodes.end(), [](const NodeMessage& n) {
      return n.op.starts_with("LookupTableImport") || n.op == "InitializeTableV2";
    });
    if (initializes) functions.emplace(f.name, &f);
  }
  if (functions.empty()) return out;
  for (const NodeMessage& n : graph.nodes) {
    for (const auto& [key, value] : n.attributes) {
      if (key != "f") continue;
      const AttributeMessage a = parse_attribute(value);
      if (a.kind != AttributeMessage::function_) continue;
      const auto f = functions.find(parse_function_reference(a.message).name);
      if (f == functions.end()) continue;
      Scope inner;
      inner.nodes = index_of(f->second->nodes);
      inner.function = f->second;
      inner.call = &n;
      inner.outer = &whole;
      collect(inner, f->second->nodes, owner, out);
    }
  }
  return out;
}

}  // namespace hone::tensorflow
