#include <unordered_set>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "passes/precision.hpp"

namespace hone {
namespace {

class Widener {
 public:
  explicit Widener(Graph& g) : g_(g) {}

  size_t run() {
    for (NodeId id : g_.topological_order()) visit(id);
    return widened_.size();
  }

 private:
  // The borders of the graph, state and the inputs of bodies keep the type they have.
  bool keeps_types(NodeId id) const {
    const NodeData& n = g_.node(id);
    return !n.regions.empty() || n.epilogue || n.op == &op_def<Result>() || n.op == &op_def<Assign>() ||
           n.op == &op_def<ReadValue>();
  }

  ElementType element(ValueId v) const {
    const Type& t = g_.value(v).type;
    return t.is_tensor() && !t.quantization ? t.element : ElementType::dynamic;
  }

  void visit(NodeId id) {
    if (g_.node(id).op == &op_def<Constant>() || g_.node(id).op == &op_def<Parameter>() ||
        g_.node(id).op == &op_def<Variable>())
      return;
    const bool keeps = keeps_types(id);
    if (!keeps && widen(id)) return;
    // As it was: what became f32 meanwhile is f16 again.
    const auto inputs = g_.node(id).inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] != no_id && widened_.contains(inputs[i]))
        g_.set_input(id, i, converted(inputs[i], ElementType::f16));
    }
  }

  bool widen(NodeId id) {
    const auto inputs = g_.node(id).inputs;
    const auto outputs = g_.node(id).outputs;
    Transaction t(g_);
    const auto known = converts_;
    bool any = false;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] == no_id) continue;
      any |= widened_.contains(inputs[i]);
      if (element(inputs[i]) != ElementType::f16) continue;
      g_.set_input(id, i, converted(inputs[i], ElementType::f32));
      any = true;
    }
    if (const auto* c = g_.handle(id).as<Convert>(); c && c->destination_type == ElementType::f16) {
      g_.set(id, Convert{ElementType::f32});
      any = true;
    }
    if (any) {
      std::vector<bool> half;
      for (ValueId v : outputs) half.push_back(element(v) == ElementType::f16);
      try {
        g_.infer(id);
      } catch (const Error&) {
        converts_ = known;
        return false;
      }
      for (size_t i = 0; i < outputs.size(); ++i) {
        if (half[i] && element(outputs[i]) == ElementType::f32) widened_.insert(outputs[i]);
      }
    }
    t.commit();
    return true;
  }

  ValueId converted(ValueId v, ElementType to) {
    const auto key = std::pair(v, to == ElementType::f16);
    if (const auto it = converts_.find(key); it != converts_.end()) return it->second;
    Builder b(g_);
    return converts_[key] = b(Convert{to}, g_.value_handle(v)).id;
  }

  Graph& g_;
  std::unordered_set<ValueId> widened_;
  std::map<std::pair<ValueId, bool>, ValueId> converts_;
};

}  // namespace

size_t widen_half(Graph& g) {
  return Widener(g).run();
}

Pass widen_half_pass() {
  Pass pass;
  pass.name = "widen_half";
  pass.in_regions = false;
  pass.run = [](Graph& g, PassContext&) { return widen_half(g); };
  return pass;
}

}  // namespace hone
