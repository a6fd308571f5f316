#include "passes/fuse_epilogue.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/unary.hpp"
#include "passes/facts.hpp"
#include "rewrite/traits.hpp"

namespace hone {
namespace {

using Names = std::unordered_set<std::string_view>;

bool is_dense(const OpDef& op) {
  static const Names names{"Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData",
                           "MatMul",      "CompressedMatMul", "BinaryConvolution"};
  return names.contains(op.name);
}
// Operators that have a step in device/epilogue_op.hpp.
bool has_two_operand_step(const OpDef& op) {
  static const Names names{"Add", "Subtract", "Multiply", "Divide", "Maximum", "Minimum", "PRelu"};
  return names.contains(op.name);
}
bool has_one_operand_step(const OpDef& op) {
  static const Names names{"Relu",     "Clamp",       "Sigmoid",  "Tanh", "Swish",    "HSwish",
                           "HSigmoid", "HardSigmoid", "Gelu",     "Elu",  "SoftPlus", "Mish",
                           "Exp",      "Abs",         "Negative", "Sqrt", "Round"};
  return names.contains(op.name);
}

// Values that epilogues compute in f32 and store as their type says.
bool is_small_real(const Type& t) {
  return t.is_tensor() && (t.quantization || t.element == ElementType::f32 || t.element == ElementType::bf16 ||
                           t.element == ElementType::f16);
}

class Fuser {
 public:
  Fuser(Graph& g, const FuseOptions& options) : g_(g), options_(options) {}

  size_t run() {
    const auto order = g_.topological_order();
    position_.assign(g_.node_capacity(), 0);
    for (size_t i = 0; i < order.size(); ++i) position_[order[i]] = i;
    // Dense operators from the last to the first: of two that meet in an Add the later takes it, and the earlier result
    // is there by then.
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      if (g_.alive(*it) && is_dense(*g_.node(*it).op)) fuse(*it);
    }
    if (options_.accepts) {  // pooling and reductions, where a kernel says so
      static const Names others{"AvgPool", "MaxPool", "ReduceMean", "ReduceSum", "AdaptiveAvgPool"};
      for (NodeId id : order) {
        if (g_.alive(id) && (others.contains(g_.node(id).op->name) || normalizes_channels(id))) fuse(id);
      }
    }
    if (options_.elementwise_roots) {
      for (NodeId id : order) {
        if (g_.alive(id) && (has_two_operand_step(*g_.node(id).op) || has_one_operand_step(*g_.node(id).op))) fuse(id);
      }
    }
    if (fused_) g_.remove_dead();  // scales and zero points of quantizers that are types now
    return fused_;
  }

 private:
  // A norm of each channel of an image that lies channels-last: pixels as an image, or what a convolution gives.
  bool normalizes_channels(NodeId id) const {
    if (g_.node(id).op->name != "MVN") return false;
    Node n = g_.handle(id);
    constexpr int far = 8;
    for (int steps = 0; steps < far && n.num_inputs() > 0 && n.input(0); ++steps) {
      n = n.input(0).node();
      if (n.is<Convolution>() || n.is<GroupConvolution>()) return true;
      if (n.is<Transpose>()) return known_ints(n.input(1)) == std::vector<int64_t>{0, 3, 1, 2};
      if (!is_elementwise(n.op()) && !n.is<Quantize>() && !n.is<FakeQuantize>() && !n.is<PRelu>() && !n.is<Pad>())
        return false;
    }
    return false;
  }

  // What grows behind one root. Nodes are in order of computation.
  struct Cluster {
    std::vector<NodeId> nodes;
    ValueId out = no_id;
  };

  void fuse(NodeId root) {
    const NodeData& n = g_.node(root);
    if (n.epilogue || n.outputs.empty() || !g_.value(n.outputs[0]).type.is_tensor()) return;
    const Type& t = g_.value(n.outputs[0]).type;
    if (t.quantization || !is_small_real(t) || !t.shape.rank_known()) return;
    for (size_t i = 1; i < n.outputs.size(); ++i) {
      if (!g_.value(n.outputs[i]).uses.empty()) return;
    }
    for (Cluster c = grow(root); !c.nodes.empty(); c = shrink(root, c)) {
      Transaction transaction(g_);
      if (!build(root, c)) continue;
      if (options_.accepts && !options_.accepts(g_, root)) continue;
      transaction.commit();
      fused_ += c.nodes.size();
      return;
    }
  }

  // The longest closed cluster: one in which only the last value is read from outside.
  Cluster grow(NodeId root) const {
    std::vector<NodeId> nodes;
    std::unordered_set<NodeId> inside{root};
    std::vector<ValueId> values{g_.node(root).outputs[0]};
    Cluster best;
    while (nodes.size() < options_.max_operators) {
      NodeId next = no_id;
      for (ValueId v : values) {
        for (const Use& u : g_.value(v).uses) {
          // The earliest comes first: what feeds a later one is inside by then.
          if (inside.contains(u.node) || (next != no_id && position_[next] <= position_[u.node])) continue;
          if (can_join(root, u.node, values)) next = u.node;
        }
      }
      if (next == no_id) break;
      nodes.push_back(next);
      inside.insert(next);
      values.push_back(g_.node(next).outputs[0]);
      if (is_closed(values, inside)) best = {nodes, values.back()};
      // Rounded here: what follows sees the rounded value.
      if (g_.value(values.back()).type.quantization && !leads_to_residual(root, values.back())) break;
    }
    return best;
  }

  // A skip connection that is added to integers: rounding becomes a part of the region.
  bool leads_to_residual(NodeId root, ValueId v) const {
    const ValueData& value = g_.value(v);
    return is_dense(*g_.node(root).op) && value.uses.size() == 1 && value.type.quantization->scales.size() == 1 &&
           g_.node(value.uses[0].node).op == &op_def<Add>();
  }

  bool is_closed(const std::vector<ValueId>& values, const std::unordered_set<NodeId>& inside) const {
    for (size_t i = 0; i + 1 < values.size(); ++i) {
      for (const Use& u : g_.value(values[i]).uses) {
        if (!inside.contains(u.node)) return false;
      }
    }
    return true;
  }

  // Without its last operators: what a kernel refuses as a whole it may take in part.
  Cluster shrink(NodeId root, Cluster c) const {
    while (!c.nodes.empty()) {
      c.nodes.pop_back();
      std::unordered_set<NodeId> inside(c.nodes.begin(), c.nodes.end());
      inside.insert(root);
      std::vector<ValueId> values{g_.node(root).outputs[0]};
      for (NodeId n : c.nodes) values.push_back(g_.node(n).outputs[0]);
      c.out = values.back();
      if (is_closed(values, inside)) break;
    }
    return c;
  }

  bool can_join(NodeId root, NodeId id, const std::vector<ValueId>& values) const {
    const NodeData& n = g_.node(id);
    const bool two = has_two_operand_step(*n.op), one = has_one_operand_step(*n.op),
               convert = n.op == &op_def<Convert>();
    const bool quantize = n.op->name == "Quantize";
    if ((!two && !one && !convert && !quantize) || n.epilogue || n.outputs.size() != 1) return false;
    const Type& result = g_.value(g_.node(root).outputs[0]).type;
    const Type& t = g_.value(n.outputs[0]).type;
    const auto inside = [&](ValueId v) { return std::find(values.begin(), values.end(), v) != values.end(); };
    if (!is_small_real(t) || t.layout != result.layout || !keeps_shape(n, result.shape, inside)) return false;
    if (quantize) {
      const auto& levels = *static_cast<const Quantize*>(n.attributes.get());
      if (!t.quantization || (levels.low < levels.high && t.quantization->scales.size() != 1)) return false;
      return inside(n.inputs[0]);
    }
    for (size_t i = 0; i < n.inputs.size(); ++i) {
      const ValueId v = n.inputs[i];
      if (v == no_id) return false;
      if (inside(v)) continue;
      if (one || convert) {
        if (i == 0 || !splat_value(g_.value_handle(v))) return false;  // beta of Swish and the like
      } else if (!is_operand(root, id, v)) {
        return false;
      }
    }
    return true;
  }

  // Has the result of an elementwise operator the shape of its inputs from inside? A dimension that nobody knows stays
  // what it is where the others have one element.
  template <class Inside>
  bool keeps_shape(const NodeData& n, const PartialShape& shape, Inside&& inside) const {
    const PartialShape& to = g_.value(n.outputs[0]).type.shape;
    if (!to.rank_known() || to.rank() != shape.rank()) return false;
    const auto single = [&](ValueId v, size_t i) {
      if (v == no_id || inside(v)) return true;
      const PartialShape& s = g_.value(v).type.shape;
      if (!s.rank_known() || s.rank() > to.rank()) return false;
      const size_t lead = to.rank() - s.rank();
      return i < lead || s[i - lead] == Dimension(1);
    };
    for (size_t i = 0; i < to.rank(); ++i) {
      if (to[i].same(shape[i])) continue;
      if (!to[i].is_dynamic() || !shape[i].is_dynamic() ||
          !std::all_of(n.inputs.begin(), n.inputs.end(), [&](ValueId v) { return single(v, i); }))
        return false;
    }
    return true;
  }

  // Can the epilogue read this value: one element, one a channel, one a row of space, or all of the result's?
  bool is_operand(NodeId root, NodeId user, ValueId v) const {
    const Type& t = g_.value(v).type;
    const Type& result = g_.value(g_.node(root).outputs[0]).type;
    if (!is_small_real(t) || !t.shape.rank_known() || g_.value(v).producer == root) return false;
    if (t.shape.is_static() && element_count(t.shape.to_shape()) == 1) return true;
    if (splat_value(g_.value_handle(v)) && g_.node(user).inputs[0] != v) return true;
    if (same_shape(t.shape, result.shape)) return t.layout == result.layout;
    const size_t rank = result.shape.rank();
    const size_t axis = channel_axis(root, rank);
    const Value value = g_.value_handle(v);
    if (g_.node(user).op->name == "PRelu" && t.shape.rank() == 1) {  // slopes of rank 1 count along axis 1
      return rank > 1 && axis == 1 && t.shape[0].is_static() && t.shape[0] == result.shape[1];
    }
    if (spreads_along(value, result.shape, axis)) return true;
    if (axis != 1 || t.shape.rank() != rank || rank < 3) return false;
    for (size_t i = 0; i < rank; ++i) {
      if (i < 2 ? !t.shape[i].same(result.shape[i]) : t.shape[i] != Dimension(1)) return false;
    }
    return true;
  }

  size_t channel_axis(NodeId root, size_t rank) const {
    return g_.node(root).op->name.ends_with("MatMul") || rank < 2 ? std::max<size_t>(rank, 1) - 1 : 1;
  }

  // Moves the cluster into a region of the root. False where the region could not be made.
  bool build(NodeId root, const Cluster& c) {
    auto region = std::make_shared<Graph>();
    Builder b(*region);
    const ValueId result = g_.node(root).outputs[0];
    const PartialShape shape = g_.value(result).type.shape;
    std::unordered_map<ValueId, Value> map;
    map[result] = b.parameter(ElementType::f32, shape);
    std::vector<ValueId> operands;
    // Operators first need all parameters: the region's inputs keep the order of the operands.
    for (NodeId id : c.nodes) {
      const NodeData n = g_.node(id);  // a copy: nodes may be added below
      if (n.op->name == "Quantize") continue;
      const bool divides = n.op->name == "Divide";
      for (size_t i = 0; i < n.inputs.size(); ++i) {
        const ValueId v = n.inputs[i];
        if (map.contains(v) ||
            std::any_of(c.nodes.begin(), c.nodes.end(), [&](NodeId k) { return g_.node(k).outputs[0] == v; }))
          continue;
        const auto number = splat_value(g_.value_handle(v));
        if (number && !(divides && i == 0)) {
          Tensor t(ElementType::f32, {});
          set_element(t, 0, *number);
          map[v] = b.constant(t);
          continue;
        }
        ValueId operand = v;
        if (n.op->name == "PRelu" && g_.value(v).type.shape.rank() == 1 && shape.rank() > 2) {
          Builder outer(g_);
          operand = on_axis(outer, g_.value_handle(v), 1, shape.rank()).id;
        }
        map[v] = b.parameter(ElementType::f32, g_.value(operand).type.shape);
        operands.push_back(operand);
      }
    }
    Value last = map[result];
    for (NodeId id : c.nodes) {
      const NodeData& n = g_.node(id);
      if (n.op == &op_def<Convert>()) {
        last = map[n.outputs[0]] = map.at(n.inputs[0]);
        continue;
      }
      if (n.op == &op_def<Quantize>()) {
        last = map[n.outputs[0]] = rounded(b, map.at(n.inputs[0]), n, id == c.nodes.back());
        continue;
      }
      Values in;
      for (ValueId v : n.inputs) in.push_back(map.at(v));
      last = map[n.outputs[0]] = b.add(*n.op, n.attributes, in).output(0);
    }
    b.result(last);
    return install(root, c, std::move(region), operands);
  }

  // What a quantizer leaves of v: storing the last value rounds it, to all integers of its type; others need steps.
  Value rounded(Builder& b, Value v, const NodeData& n, bool stored) const {
    const auto& quantize = *static_cast<const Quantize*>(n.attributes.get());
    const Quantization& q = *g_.value(n.outputs[0]).type.quantization;
    const bool narrow = quantize.low < quantize.high;
    if (stored && !narrow) return v;
    const bool is_signed = quantize.output_type == ElementType::i8;
    const double zero = q.zero_point(0), scale = q.scale(0);
    const double low = double(narrow ? quantize.low : is_signed ? -128 : 0) - zero;
    const double high = double(narrow ? quantize.high : is_signed ? 127 : 255) - zero;
    const auto number = [&](float x) { return b.constant(Tensor::scalar<float>(x)); };
    if (stored) return b(Clamp{low * scale, high * scale}, v);
    v = b(Clamp{low, high}, b(Round{}, b(Multiply{}, v, number(1.0f / q.scale(0)))));
    return b(Multiply{}, v, number(q.scale(0)));
  }

  bool install(NodeId root, const Cluster& c, Region region, const std::vector<ValueId>& operands) {
    const ValueId result = g_.node(root).outputs[0];
    const Type type = g_.value(c.out).type;
    g_.set_provenance(root, provenance(root, c));
    const std::string last_name = g_.node(c.nodes.back()).name;
    g_.set_names(result, {});  // the tensor of that name is gone
    // Operators leave from the last on; the uses of the last value become uses of the root's.
    std::vector<Use> uses = g_.value(c.out).uses;
    const auto names = g_.value(c.out).names;
    for (const Use& u : uses) g_.set_input(u.node, u.index, result);
    g_.set_names(c.out, {});
    for (auto it = c.nodes.rbegin(); it != c.nodes.rend(); ++it) {
      // Uses of this node's result inside of the cluster are gone already, those outside point at the root.
      if (!g_.value(g_.node(*it).outputs[0]).uses.empty()) return false;
      g_.remove(*it);
    }
    g_.set_names(result, names);
    try {
      g_.set_epilogue(root, std::move(region), operands);
    } catch (const Error&) {
      return false;
    }
    if (!last_name.empty()) g_.set_name(root, last_name);
    g_.set_type(result, type);
    return true;
  }

  std::vector<std::string> provenance(NodeId root, const Cluster& c) const {
    std::vector<std::string> out;
    std::vector<NodeId> nodes{root};
    nodes.insert(nodes.end(), c.nodes.begin(), c.nodes.end());
    for (NodeId id : nodes) {
      const NodeData& n = g_.node(id);
      auto names = n.provenance;
      if (names.empty() && !n.name.empty()) names = {n.name};
      for (std::string& s : names) {
        if (std::find(out.begin(), out.end(), s) == out.end()) out.push_back(std::move(s));
      }
    }
    return out;
  }

  Graph& g_;
  const FuseOptions& options_;
  std::vector<size_t> position_;
  size_t fused_ = 0;
};

}  // namespace

size_t fuse_epilogues(Graph& g, const FuseOptions& options) {
  return Fuser(g, options).run();
}

Pass fuse_epilogues_pass(FuseOptions options) {
  Pass pass;
  pass.name = "fuse_epilogues";
  pass.run = [options = std::move(options)](Graph& g, PassContext& context) {
    const size_t n = fuse_epilogues(g, options);
    context.result.fused += n;
    return n;
  };
  return pass;
}

}  // namespace hone
