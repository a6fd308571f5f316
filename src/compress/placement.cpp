#include "compress/placement.hpp"

#include <algorithm>
#include <set>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/reduce.hpp"

namespace hone {
namespace {

bool one_of(std::string_view name, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// Operators that run on quantized inputs.
bool is_quantizable(const Node& n) {
  return one_of(n.op().name, {"Convolution",
                              "GroupConvolution",
                              "ConvolutionBackpropData",
                              "GroupConvolutionBackpropData",
                              "MatMul",
                              "Add",
                              "Subtract",
                              "Multiply",
                              "Divide",
                              "Maximum",
                              "Minimum",
                              "AvgPool",
                              "AdaptiveAvgPool",
                              "ReduceMean",
                              "ReduceL2",
                              "ReduceSum",
                              "MVN",
                              "NormalizeL2",
                              "Interpolate",
                              "Power",
                              "FloorMod",
                              "SquaredDifference",
                              "LSTMSequence",
                              "GRUSequence",
                              "GroupNormalization",
                              "ScaledDotProductAttention"});
}
// Operators whose output takes only values of their data input: a quantizer passes through.
bool is_agnostic(const Node& n) {
  return one_of(n.op().name, {"MaxPool",      "AdaptiveMaxPool", "ReduceMax",     "Reshape",      "Squeeze",
                              "Unsqueeze",    "Split",           "VariadicSplit", "Transpose",    "Tile",
                              "StridedSlice", "ShuffleChannels", "Broadcast",     "Pad",          "Gather",
                              "GatherND",     "GatherElements",  "DepthToSpace",  "SpaceToDepth", "BatchToSpace",
                              "SpaceToBatch"});
}
bool is_concat(const Node& n) {
  return n.op().name == "Concat";
}
bool is_activation(const Node& n) {
  return one_of(n.op().name,
                {"Relu", "Clamp", "Elu", "PRelu", "Sigmoid", "HSigmoid", "HardSigmoid", "Swish", "HSwish", "Selu"});
}
bool is_dense(const Node& n) {
  return one_of(n.op().name, {"Convolution", "GroupConvolution", "ConvolutionBackpropData",
                              "GroupConvolutionBackpropData", "MatMul"});
}

class Placer {
 public:
  Placer(const Graph& g, const PlacementOptions& options) : g_(g), options_(options), order_(g.topological_order()) {}

  Placement place() {
    find_squeeze_excite();
    fuse();
    for (NodeId id : order_) {
      const Node n = g_.handle(id);
      if (!is_quantizable(n)) continue;
      if (ignored(n)) {
        out_.ignored.push_back(id);
        continue;
      }
      bool any = false;
      for (uint32_t i = 0; i < n.num_inputs(); ++i) {
        if (!quantizable_port(id, i)) continue;
        any = true;
        if (is_dense(n) && i == 1 && constant_behind(n.input(1))) {
          out_.weights.push_back({{id, i}, channel_axes(n)});
        } else {
          move_up({id, i}, n.input(i).id, -1);
        }
      }
      if (any) out_.quantized.push_back(id);
    }
    for (auto& [value, q] : at_) out_.activations.push_back(std::move(q));
    return std::move(out_);
  }

 private:
  bool ignored(const Node& n) const {
    return excluded_.contains(n.id) || (options_.ignored && options_.ignored(n.name()));
  }

  static bool constant_behind(const Value& v) {
    Node p = v.node();
    while (one_of(p.op().name, {"Convert", "Reshape", "Transpose", "Dequantize", "FakeQuantize"}))
      p = p.input(0).node();
    return p.is<Constant>() || p.is<Variable>();
  }

  // Input `i` of a quantizable node that should be quantized: float data, not behind a fused pattern, no constant
  // operand of an elementwise operator.
  bool quantizable_port(NodeId id, uint32_t i) const {
    const Node n = g_.handle(id);
    const Value v = n.input(i);
    if (!v || !v.type().is_tensor() || !is_float(v.element_type()) || ignored(n)) return false;
    if (v.node().op().name == "FakeQuantize" || v.node().op().name == "Dequantize") return false;
    if (fused_.contains({id, i})) return false;
    const std::string_view op = n.op().name;
    if (is_dense(n)) return i < 2;
    if (one_of(op, {"Add", "Subtract", "Multiply", "Divide", "Maximum", "Minimum", "SquaredDifference", "Power",
                    "FloorMod"})) {
      // A constant operand is a bias or a scale: it is fused with its neighbours, the other side stays as it is.
      return !constant_behind(n.input(0)) && !constant_behind(n.input(1));
    }
    return i == 0;
  }

  static Node only_user(const Value& v) { return v.uses().size() == 1 ? v.graph->handle(v.uses()[0].node) : Node{}; }

  // dense (+ constant add/multiply...) (+ activation) (+ elementwise with another branch): no quantizer in between.
  void fuse() {
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      const Node n = g_.handle(*it);
      if (!is_dense(n)) continue;
      Value v = n.output();
      for (Node u = only_user(v); u; u = only_user(v)) {
        const bool arithmetic = one_of(u.op().name, {"Add", "Multiply", "Subtract"});
        const bool by_constant = arithmetic && (constant_behind(u.input(0)) || constant_behind(u.input(1)));
        if (by_constant || is_activation(u)) {
          v = u.output();
        } else {
          // The elementwise operator takes one branch in; the other keeps its quantizer.
          if (arithmetic && u.op().name == "Add" && !fused_.contains({u.id, 0}) && !fused_.contains({u.id, 1}) &&
              u.input(0).shape() == u.input(1).shape()) {
            fused_.insert({u.id, u.input(0) == v ? 0u : 1u});
          }
          break;
        }
      }
    }
  }

  // x * sigmoid(conv(act(conv(mean(x))))): small, sensitive, left in float.
  void find_squeeze_excite() {
    for (NodeId id : order_) {
      const Node m = g_.handle(id);
      if (!m.is<Multiply>()) continue;
      for (size_t side : {0, 1}) {
        std::vector<NodeId> chain{id};
        Value v = m.input(side);
        const Value other = m.input(1 - side);
        for (int steps = 0; v && steps < 12; ++steps) {
          const Node p = v.node();
          chain.push_back(p.id);
          if (p.op().name == "ReduceMean" || p.op().name == "AdaptiveAvgPool") {
            if (p.input(0) == other) excluded_.insert(chain.begin(), chain.end());
            break;
          }
          const bool constant_operand =
              p.num_inputs() == 2 && (constant_behind(p.input(1)) || constant_behind(p.input(0)));
          if (is_activation(p) || p.op().name == "Reshape" || is_dense(p))
            v = p.input(0);
          else if (one_of(p.op().name, {"Add", "Multiply"}) && constant_operand)
            v = constant_behind(p.input(0)) ? p.input(1) : p.input(0);
          else
            break;
        }
      }
    }
  }

  // Does every reader of the value take it quantized, through operators that pass values on?
  bool covered(ValueId v) {
    if (const auto it = covered_.find(v); it != covered_.end()) return it->second;
    bool all = !g_.value(v).uses.empty();
    for (const Use& u : g_.value(v).uses) {
      const Node n = g_.handle(u.node);
      if ((is_agnostic(n) && u.index == 0) || is_concat(n)) {
        for (const Value& o : n.outputs()) {
          if (!o.uses().empty() || o.index() == 0) all &= covered(o.id);
        }
      } else {
        all &= quantizable_port(u.node, u.index) && is_quantizable(n);
      }
      if (!all) break;
    }
    return covered_[v] = all;
  }

  // Does the Concat's result reach a dense operator through operators that pass values on?
  bool leads_to_dense(ValueId v) const {
    for (const Use& u : g_.value(v).uses) {
      const Node n = g_.handle(u.node);
      if (is_dense(n)) return true;
      if ((is_agnostic(n) && u.index == 0) || is_concat(n)) {
        for (const Value& o : n.outputs()) {
          if (leads_to_dense(o.id)) return true;
        }
      }
    }
    return false;
  }

  void settle(const Use& use, ValueId v, int group) {
    ActivationQuantizer& q = at_[v];
    q.value = v;
    if (std::find(q.uses.begin(), q.uses.end(), use) == q.uses.end()) q.uses.push_back(use);
    if (q.group < 0)
      q.group = group;
    else if (group >= 0 && group != q.group)
      merge_groups(group, q.group);
  }
  void merge_groups(int from, int to) {
    for (auto& [v, q] : at_) {
      if (q.group == from) q.group = to;
    }
  }

  void move_up(Use use, ValueId v, int group) {
    for (;;) {
      const Node p = g_.value_handle(v).node();
      if (!covered(v)) return settle(use, v, group);
      if (is_agnostic(p) && is_float(p.input(0).element_type()) && !p.input(0).constant()) {
        use = {p.id, 0};
        v = p.input(0).id;
      } else if (is_concat(p)) {
        const auto [it, fresh] = concat_group_.try_emplace(p.id, group);
        if (!fresh && group >= 0 && it->second >= 0) merge_groups(group, it->second);
        if (!fresh) return;
        if (it->second < 0 && leads_to_dense(v)) it->second = next_group_++;
        for (uint32_t i = 0; i < p.num_inputs(); ++i) {
          if (!p.input(i).constant()) move_up({p.id, i}, p.input(i).id, it->second);
        }
        return;
      } else {
        return settle(use, v, group);
      }
    }
  }

  static std::vector<int64_t> channel_axes(const Node& n) {
    if (n.is<Convolution>()) return {0};
    if (n.is<GroupConvolution>()) return {0, 1};
    if (n.is<ConvolutionBackpropData>()) return {1};
    if (n.is<GroupConvolutionBackpropData>()) return {0, 2};
    const auto* m = n.as<MatMul>();
    const size_t rank = n.input(1).shape().rank();
    if (rank < 2) return {};
    return {static_cast<int64_t>(m->transpose_b ? rank - 2 : rank - 1)};
  }

  const Graph& g_;
  const PlacementOptions& options_;
  std::vector<NodeId> order_;
  std::set<NodeId> excluded_;
  std::set<std::pair<NodeId, uint32_t>> fused_;
  std::map<ValueId, bool> covered_;
  std::map<ValueId, ActivationQuantizer> at_;
  std::map<NodeId, int> concat_group_;
  int next_group_ = 0;
  Placement out_;
};

}  // namespace

bool is_weighted(const Node& n) {
  return is_dense(n);
}

Placement place_quantizers(const Graph& g, const PlacementOptions& options) {
  return Placer(g, options).place();
}

}  // namespace hone
