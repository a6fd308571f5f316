#include "passes/hoist_quantizers.hpp"

#include <algorithm>
#include <unordered_set>

#include "graph/builder.hpp"
#include "ops/basic.hpp"
#include "ops/quantize.hpp"
#include "passes/facts.hpp"
#include "passes/quantizers.hpp"

namespace hone {
namespace {

using Names = std::unordered_set<std::string_view>;

bool keeps_all(const OpDef& op) {
  static const Names names{"Reshape",      "Squeeze",         "Unsqueeze", "Transpose", "DepthToSpace",
                           "SpaceToDepth", "ShuffleChannels", "Reverse",   "Concat"};
  return names.contains(op.name);
}
bool takes_part(const OpDef& op) {
  static const Names names{"Slice", "StridedSlice"};
  return names.contains(op.name);
}

class Hoister {
 public:
  explicit Hoister(Graph& g) : g_(g) {}

  size_t run() {
    size_t passed = 0;
    for (bool again = true; again;) {
      again = false;
      auto order = g_.topological_order();
      for (auto it = order.rbegin(); it != order.rend(); ++it) {
        if (!g_.alive(*it) || !hoist(*it)) continue;
        again = true;
        ++passed;
      }
    }
    return passed;
  }

 private:
  bool moves(NodeId id) const {
    const NodeData& n = g_.node(id);
    return (keeps_all(*n.op) || takes_part(*n.op)) && n.outputs.size() == 1 && !n.epilogue;
  }

  bool equal(NodeId a, NodeId b) const {
    const Node x = g_.handle(a), y = g_.handle(b);
    if (x.as<FakeQuantize>()->levels != y.as<FakeQuantize>()->levels) return false;
    for (size_t i = 1; i < 5; ++i) {
      if (splat_value(x.input(i)) != splat_value(y.input(i))) return false;
    }
    return true;
  }

  // The quantizer that all readers of a value are; none where there is another reader.
  NodeId quantizer_of(ValueId v) const {
    NodeId first = no_id;
    for (const Use& u : g_.value(v).uses) {
      const Node n = g_.handle(u.node);
      if (!n.is<FakeQuantize>() || u.index != 0) return no_id;
      if (first == no_id ? !activation_form(n) : !equal(first, u.node)) return no_id;
      if (first == no_id) first = u.node;
    }
    return first;
  }

  // Do all readers of a value, through operators that move it, want what `quantizer` gives?
  bool all_want(ValueId v, NodeId quantizer) const {
    const auto& uses = g_.value(v).uses;
    return std::all_of(uses.begin(), uses.end(), [&](const Use& u) {
      if (u.index != 0) return false;
      if (g_.handle(u.node).is<FakeQuantize>()) return equal(u.node, quantizer);
      const NodeId next = moves(u.node) ? quantizer_of(g_.node(u.node).outputs[0]) : no_id;
      return next != no_id && equal(next, quantizer);
    });
  }

  bool hoist(NodeId id) {
    if (!moves(id)) return false;
    const ValueId out = g_.node(id).outputs[0];
    const NodeId quantizer = quantizer_of(out);
    if (quantizer == no_id || g_.value(out).type.element != ElementType::f32) return false;
    const size_t data = g_.node(id).op->name == "Concat" ? g_.node(id).inputs.size() : 1;
    for (size_t i = 0; i < data; ++i) {
      const ValueId v = g_.node(id).inputs[i];
      if (v == no_id || g_.value_handle(v).node().is<Constant>()) return false;
      if (takes_part(*g_.node(id).op) && !all_want(v, quantizer)) return false;
      // Other readers of a part would make its quantizer a pass of its own.
      if (data > 1 && g_.value(v).uses.size() != 1 && !all_want(v, quantizer)) return false;
    }
    for (size_t i = 0; i < data; ++i)
      g_.set_input(id, static_cast<uint32_t>(i), quantized(g_.node(id).inputs[i], quantizer));
    const auto uses = g_.value(out).uses;
    for (const Use& u : uses) {
      g_.replace_uses(g_.node(u.node).outputs[0], out);
      g_.remove(u.node);
    }
    return true;
  }

  // The value behind a quantizer like the given one; one for all that ask.
  ValueId quantized(ValueId v, NodeId like) {
    for (const Use& u : g_.value(v).uses) {
      const Node n = g_.handle(u.node);
      if (u.index == 0 && n.is<FakeQuantize>() && equal(u.node, like)) return n.output().id;
    }
    const Node q = g_.handle(like);
    Builder b(g_);
    b.set_name(q.name());
    b.set_provenance(g_.node(like).provenance);
    // Single numbers, whose shape may have more axes than the value.
    Values in{g_.value_handle(v)};
    for (size_t i = 1; i < 5; ++i) {
      const bool fits = in[0].shape().rank_known() && q.input(i).shape().rank() <= in[0].shape().rank();
      in.push_back(fits ? q.input(i) : b.constant(Tensor::scalar<float>(static_cast<float>(*splat_value(q.input(i))))));
    }
    return b(FakeQuantize(*q.as<FakeQuantize>()), in).id;
  }

  Graph& g_;
};

}  // namespace

size_t hoist_quantizers(Graph& g) {
  return Hoister(g).run();
}

Pass hoist_quantizers_pass() {
  Pass pass;
  pass.name = "hoist_quantizers";
  pass.run = [](Graph& g, PassContext&) { return hoist_quantizers(g); };
  return pass;
}

}  // namespace hone
