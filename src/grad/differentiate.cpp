#include "grad/differentiate.hpp"

#include <algorithm>
#include <map>

#include "graph/builder.hpp"
#include "graph/contexts.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"

namespace hone {
namespace {

// Gradients flow through floating-point values only.
bool carries_gradient(const Graph& g, ValueId v) {
  const Type& t = g.value(v).type;
  return t.is_tensor() && (is_float(t.element) || t.quantization);
}

// Which values depend on `wrt`, following float values, and lead to `loss`.
std::vector<bool> on_path(const Graph& g, ValueId loss, const Values& wrt) {
  std::vector<bool> depends(g.value_capacity(), false), leads(g.value_capacity(), false);
  for (const Value& w : wrt) depends[w.id] = true;
  const auto order = g.topological_order();
  for (NodeId id : order) {
    const NodeData& n = g.node(id);
    const bool any = std::any_of(n.inputs.begin(), n.inputs.end(), [&](ValueId v) { return v != no_id && depends[v]; });
    if (!any) continue;
    for (ValueId v : n.outputs) {
      if (carries_gradient(g, v)) depends[v] = true;
    }
  }
  leads[loss] = true;
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const NodeData& n = g.node(*it);
    if (std::none_of(n.outputs.begin(), n.outputs.end(), [&](ValueId v) { return leads[v]; })) continue;
    for (ValueId v : n.inputs) {
      if (v != no_id) leads[v] = true;
    }
  }
  for (size_t v = 0; v < depends.size(); ++v) depends[v] = depends[v] && leads[v];
  return depends;
}

bool any_input_on(const NodeData& n, const std::vector<bool>& path) {
  return std::any_of(n.inputs.begin(), n.inputs.end(), [&](ValueId v) { return v != no_id && path[v]; });
}
bool any_output_on(const NodeData& n, const std::vector<bool>& path) {
  return std::any_of(n.outputs.begin(), n.outputs.end(), [&](ValueId v) { return path[v]; });
}

// Replaces composites without a gradient of their own by their expansion, until none is left. `loss` follows its
// replacement.
void expand_on_path(Graph& g, Value& loss, const Values& wrt) {
  for (bool changed = true; changed;) {
    changed = false;
    const auto path = on_path(g, loss.id, wrt);
    for (NodeId id : g.topological_order()) {
      const NodeData n = g.node(id);  // a copy: adding nodes moves the arena
      if (n.op->grad || !n.op->expand || !any_input_on(n, path) || !any_output_on(n, path)) continue;
      Builder b(g);
      b.set_name(n.name);
      b.set_provenance(n.provenance);
      const Node node = g.handle(id);
      const Values out = n.op->expand(n.attributes.get(), b, node.inputs());
      const Values old = node.outputs();
      for (size_t i = 0; i < out.size(); ++i) {
        if (old[i] == loss) loss = out[i];
        g.replace_uses(old[i].id, out[i].id);
      }
      g.remove(id);
      changed = true;
      break;
    }
  }
}

std::vector<BlockingNode> blockers(const Graph& g, ValueId loss, const Values& wrt) {
  std::vector<BlockingNode> out;
  const auto path = on_path(g, loss, wrt);
  for (NodeId id : g.topological_order()) {
    const NodeData& n = g.node(id);
    if (!any_input_on(n, path) || !any_output_on(n, path)) continue;
    if (n.epilogue)
      out.push_back({n.name, std::string(n.op->name), "carries a fused epilogue; differentiate before fusing"});
    else if (!n.op->grad && !n.op->expand)
      out.push_back(
          {n.name, std::string(n.op->name), n.op->not_differentiable ? n.op->not_differentiable : "no gradient"});
  }
  return out;
}

}  // namespace

std::vector<BlockingNode> blocking_nodes(Value loss, const Values& wrt) {
  return blockers(*loss.graph, loss.id, wrt);
}

Values differentiate(Value loss, const Values& wrt) {
  Graph& g = *loss.graph;
  if (!loss.shape().rank_known() ||
      !std::all_of(loss.shape().begin(), loss.shape().end(), [](const Dimension& d) { return d == Dimension(1); })) {
    throw Error(ErrorCode::failed, "[differentiate] the loss must be a scalar, it is " + to_string(loss.type()));
  }
  if (const auto blocked = blockers(g, loss.id, wrt); !blocked.empty()) {
    std::string list;
    for (const BlockingNode& n : blocked)
      list += (list.empty() ? "" : "; ") + n.op + (n.node.empty() ? "" : " '" + n.node + "'") + " (" + n.reason + ")";
    throw Error(ErrorCode::unsupported, "[differentiate] no gradient passes through " + list);
  }
  Transaction transaction(g);
  expand_on_path(g, loss, wrt);
  const auto path = on_path(g, loss.id, wrt);
  const auto order = g.topological_order();
  Builder b(g);
  std::map<ValueId, Value> gradient;
  Tensor one(loss.element_type(), loss.shape().to_shape());
  for (size_t i = 0; i < one.size(); ++i) set_element(one, i, 1);
  gradient[loss.id] = b.constant(one);
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const NodeData n = g.node(*it);  // a copy: adding nodes moves the arena
    if (!any_input_on(n, path)) continue;
    Values dout;
    bool any = false;
    for (ValueId v : n.outputs) {
      const auto found = gradient.find(v);
      dout.push_back(found == gradient.end() ? Value{} : found->second);
      any |= found != gradient.end();
    }
    if (!any) continue;
    std::vector<bool> needed;
    for (ValueId v : n.inputs) needed.push_back(v != no_id && path[v]);
    b.set_name(n.name.empty() ? "" : n.name + "/grad");
    b.set_provenance(n.provenance);
    GradCtx ctx(b, g.handle(*it), dout, needed);
    n.op->grad(n.attributes.get(), ctx);
    for (size_t i = 0; i < n.inputs.size(); ++i) {
      const Value d = ctx.gradients()[i];
      if (!needed[i] || !d) continue;
      Value& sum = gradient[n.inputs[i]];
      sum = sum ? b(Add{}, sum, d) : d;
    }
  }
  Values out;
  for (const Value& w : wrt) {
    const auto found = gradient.find(w.id);
    out.push_back(found == gradient.end() ? Value{} : found->second);
  }
  transaction.commit();
  return out;
}

}  // namespace hone
