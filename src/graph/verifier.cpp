#include <algorithm>

#include "graph/contexts.hpp"
#include "hone/error.hpp"

namespace hone {

void verify(const Graph& g) {
  const auto fail = [&](NodeId id, const std::string& what) {
    const NodeData& n = g.node(id);
    throw Error(ErrorCode::failed, "[verify] " + what, "node '" + n.name + "' (" + std::string(n.op->name) + ")");
  };
  for (NodeId id : g.topological_order()) {
    const NodeData& n = g.node(id);
    for (uint32_t i = 0; i < n.inputs.size(); ++i) {
      const ValueId v = n.inputs[i];
      if (v == no_id) continue;
      if (v >= g.value_capacity() || !g.alive(g.value(v).producer))
        fail(id, "input " + std::to_string(i) + " has no producer");
      const auto& uses = g.value(v).uses;
      if (std::count(uses.begin(), uses.end(), Use{id, i}) != 1)
        fail(id, "input " + std::to_string(i) + " is not among the uses of its value");
    }
    for (uint32_t i = 0; i < n.outputs.size(); ++i) {
      const ValueData& v = g.value(n.outputs[i]);
      if (v.producer != id || v.index != i) fail(id, "output " + std::to_string(i) + " names another producer");
      for (const Use& u : v.uses) {
        if (!g.alive(u.node) || u.index >= g.node(u.node).inputs.size() ||
            g.node(u.node).inputs[u.index] != n.outputs[i]) {
          fail(id, "output " + std::to_string(i) + " has a stale use");
        }
      }
    }
    for (const Region& r : n.regions) {
      if (!r) fail(id, "a region is missing");
      verify(*r);
    }
    if (n.epilogue) {
      verify(*n.epilogue);
      if (n.epilogue->results().size() != 1) fail(id, "an epilogue has one result");
    }
    if (n.op->name == "Parameter") continue;
    InferCtx ctx(g, id, g.num_op_inputs(id));
    const Types types = n.op->infer(n.attributes.get(), ctx);
    if (types.size() != n.outputs.size())
      fail(id, "has " + std::to_string(n.outputs.size()) + " outputs, inference says " + std::to_string(types.size()));
    for (size_t i = 0; i < types.size(); ++i) {
      const Type& have = g.value(n.outputs[i]).type;
      if (have.kind != types[i].kind || (have.is_tensor() && !have.shape.compatible(types[i].shape))) {
        fail(id, "output " + std::to_string(i) + " is " + to_string(have) + ", inference says " + to_string(types[i]));
      }
    }
  }
}

}  // namespace hone
