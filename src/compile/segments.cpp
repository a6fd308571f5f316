#include "compile/segments.hpp"

#include <algorithm>

#include "graph/builder.hpp"
#include "ops/basic.hpp"

namespace hone {
namespace {

bool is_plain_tensor(const Type& t) {
  return t.is_static() && t.element != ElementType::string;
}

// Nodes that depend on static tensors alone and give such.
std::vector<bool> static_nodes(const Graph& g, const std::vector<NodeId>& order) {
  std::vector<bool> fixed(g.node_capacity(), false);
  for (NodeId id : order) {
    const NodeData& n = g.node(id);
    const auto known = [&](ValueId v) { return v == no_id || fixed[g.value(v).producer]; };
    const auto plain = [&](ValueId v) { return is_plain_tensor(g.value(v).type); };
    fixed[id] = n.regions.empty() && std::all_of(n.inputs.begin(), n.inputs.end(), known) &&
                std::all_of(n.outputs.begin(), n.outputs.end(), plain);
  }
  return fixed;
}

}  // namespace

std::optional<Segments> cut_static_head(const Graph& g) {
  const auto order = g.topological_order();
  for (NodeId id : order) {
    const std::string_view op = g.node(id).op->name;
    if (op == "Variable" || op == "ReadValue" || op == "Assign") return std::nullopt;
  }
  const std::vector<bool> fixed = static_nodes(g, order);
  std::vector<ValueId> cut;
  for (NodeId id : order) {
    const NodeData& n = g.node(id);
    if (!fixed[id] || n.op == &op_def<Parameter>() || n.op == &op_def<Constant>() || n.op == &op_def<Result>())
      continue;
    for (ValueId v : n.outputs) {
      const auto& uses = g.value(v).uses;
      const auto needed = [&](const Use& u) { return !fixed[u.node] || g.node(u.node).op == &op_def<Result>(); };
      if (std::any_of(uses.begin(), uses.end(), needed)) cut.push_back(v);
    }
  }
  if (cut.empty()) return std::nullopt;
  Segments s{g, g};
  for (NodeId r : std::vector<NodeId>(s.head.results())) s.head.remove(r);
  Builder head(s.head), tail(s.tail);
  for (ValueId v : cut) {
    head.result(s.head.value_handle(v), "cut" + std::to_string(v));
    const Value p = tail.parameter(g.value(v).type, "cut" + std::to_string(v));
    s.tail.replace_uses(v, p.id);
  }
  s.head.remove_dead();
  s.tail.remove_dead();
  return s;
}

}  // namespace hone
