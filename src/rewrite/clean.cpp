#include "rewrite/clean.hpp"

#include <cstring>
#include <unordered_map>

#include "ops/basic.hpp"
#include "rewrite/traits.hpp"

namespace hone {
namespace {

bool mergeable(const NodeData& n) {
  // Two reads of one state at different places may lie around a write of a body; Parameters are the interface.
  return !n.op->has_side_effect && n.regions.empty() && !n.epilogue && !n.outputs.empty() &&
         n.op != &op_def<Parameter>() && n.op != &op_def<Result>() && n.op != &op_def<ReadValue>();
}

std::vector<ValueId> key_inputs(const NodeData& n) {
  auto in = n.inputs;
  if (in.size() == 2 && is_commutative(*n.op) && in[0] > in[1]) std::swap(in[0], in[1]);
  return in;
}

bool equal_constants(const Tensor& a, const Tensor& b) {
  if (a.element_type() != b.element_type() || a.shape() != b.shape()) return false;
  if (a.element_type() == ElementType::string) return a.strings() == b.strings();
  return a.raw() == b.raw() || std::memcmp(a.raw(), b.raw(), a.byte_size()) == 0;
}

uint64_t hash_of(const Graph& g, NodeId id) {
  const NodeData& n = g.node(id);
  uint64_t h = hash_bytes(&n.op, sizeof n.op);
  if (n.op == &op_def<Constant>()) {
    // Large constants: their beginning decides, equality is checked in full.
    const Tensor& t = static_cast<const Constant*>(n.attributes.get())->value;
    const size_t bytes = t.byte_size();
    h = hash_bytes(&bytes, sizeof bytes, h);
    return t.element_type() == ElementType::string ? h : hash_bytes(t.raw(), std::min<size_t>(bytes, 256), h);
  }
  if (n.op == &op_def<Variable>()) {
    const auto& name = static_cast<const Variable*>(n.attributes.get())->variable_id;
    return hash_bytes(name.data(), name.size(), h);
  }
  const auto in = key_inputs(n);
  h = hash_bytes(in.data(), in.size() * sizeof(ValueId), h);
  const auto bytes = attribute_bytes(*n.op, n.attributes.get());
  return hash_bytes(bytes.data(), bytes.size(), h);
}

bool equal_nodes(const Graph& g, NodeId a, NodeId b) {
  const NodeData &x = g.node(a), &y = g.node(b);
  if (x.op != y.op || x.outputs.size() != y.outputs.size()) return false;
  for (size_t i = 0; i < x.outputs.size(); ++i) {
    if (g.value(x.outputs[i]).type != g.value(y.outputs[i]).type) return false;
  }
  if (x.op == &op_def<Constant>()) {
    return equal_constants(static_cast<const Constant*>(x.attributes.get())->value,
                           static_cast<const Constant*>(y.attributes.get())->value);
  }
  if (x.op == &op_def<Variable>()) {
    return static_cast<const Variable*>(x.attributes.get())->variable_id ==
           static_cast<const Variable*>(y.attributes.get())->variable_id;
  }
  return key_inputs(x) == key_inputs(y) && same_attributes(*x.op, x.attributes.get(), y.attributes.get());
}

}  // namespace

size_t merge_common_subexpressions(Graph& g) {
  std::unordered_map<uint64_t, std::vector<NodeId>> seen;
  size_t removed = 0;
  for (NodeId id : g.topological_order()) {
    if (!mergeable(g.node(id))) continue;
    auto& candidates = seen[hash_of(g, id)];
    NodeId same = no_id;
    for (NodeId c : candidates) {
      if (equal_nodes(g, c, id)) {
        same = c;
        break;
      }
    }
    if (same == no_id) {
      candidates.push_back(id);
      continue;
    }
    const auto outputs = g.node(id).outputs;
    for (size_t i = 0; i < outputs.size(); ++i) g.replace_uses(outputs[i], g.node(same).outputs[i]);
    g.remove(id);
    ++removed;
  }
  return removed;
}

Pass common_subexpression_pass() {
  Pass pass;
  pass.name = "common_subexpressions";
  pass.run = [](Graph& g, PassContext&) { return merge_common_subexpressions(g); };
  return pass;
}

Pass dead_code_pass() {
  Pass pass;
  pass.name = "dead_code";
  pass.run = [](Graph& g, PassContext&) { return g.remove_dead(); };
  return pass;
}

}  // namespace hone
