#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/convolution.hpp"
#include "ops/quantize.hpp"
#include "ops/strided_attention.hpp"
#include "passes/facts.hpp"
#include "passes/precision.hpp"
#include "passes/quantizers.hpp"
#include "rewrite/traits.hpp"

namespace hone {
namespace {

using Names = std::unordered_set<std::string_view>;

bool is_dense(const OpDef& op) {
  static const Names names{"Convolution", "GroupConvolution", "MatMul", "ConvolutionBackpropData"};
  return names.contains(op.name);
}
// Operators whose results are some of the numbers they read: integers pass through with their scale.
bool passes_through(const OpDef& op) {
  static const Names names{"Reshape",      "Squeeze",      "Unsqueeze", "Transpose", "Split",           "VariadicSplit",
                           "Slice",        "StridedSlice", "MaxPool",   "Reorder",   "ShuffleChannels", "DepthToSpace",
                           "SpaceToDepth", "Tile",         "Broadcast", "ReduceMax", "ReduceMin",       "Reverse"};
  return names.contains(op.name);
}
// Operators that read integers as the real numbers they stand for and give real numbers.
bool reads_integers(const OpDef& op) {
  static const Names names{"Add", "AvgPool", "ReduceMean", "AdaptiveAvgPool"};
  return names.contains(op.name);
}
bool normalizes(const OpDef& op) {
  static const Names names{"MVN", "LayerNorm", "RMSNorm"};
  return names.contains(op.name);
}

class Quantizer {
 public:
  Quantizer(Graph& g, Evaluator& evaluator, const PrecisionOptions& options)
      : g_(g), evaluator_(evaluator), options_(options) {}

  size_t run() {
    join_quantize_dequantize(g_, [this](ValueId v) { return leads_to_integers(v); });
    read_integer_inputs();
    g_.remove_dead();
    const auto order = g_.topological_order();
    for (NodeId id : order) {
      if (g_.alive(id) && g_.handle(id).is<FakeQuantize>()) quantize_activation(id);
    }
    for (NodeId id : order) {
      if (g_.alive(id)) visit(id);
    }
    absorb_quantizers();
    round_in_place();
    g_.remove_dead();
    return computing_;
  }

 private:
  // Integers that come into the graph begin regions too: what is read of them gets the quantizer that changes nothing.
  void read_integer_inputs() {
    for (NodeId id : g_.topological_order()) {
      const Node dq = g_.handle(id);
      if (!dq.is<Dequantize>() || dq.input(0).node().is<Constant>() || dq.input(0).node().is<Quantize>()) continue;
      const ElementType type = dq.input(0).element_type();
      const auto scale = splat_value(dq.input(1));
      if (!scale || (type != ElementType::u8 && type != ElementType::i8)) continue;
      if (dq.output().element_type() != ElementType::f32 || !leads_to_integers(dq.output().id)) continue;
      const double zero = dq.input(2) ? splat_value(dq.input(2)).value_or(0.5) : 0,
                   low = type == ElementType::u8 ? 0 : -128;
      if (zero != std::nearbyint(zero)) continue;
      Builder b(g_);
      b.set_name(dq.name());
      Value range[2];
      for (size_t i = 0; i < 2; ++i)
        range[i] = b.constant(Tensor::scalar<float>(static_cast<float>((low + (i ? 255 : 0) - zero) * *scale)));
      const auto uses = dq.output().uses();
      const Value y = b(FakeQuantize{256}, dq.output(), range[0], range[1], range[0], range[1]);
      for (const Use& u : uses) g_.set_input(u.node, u.index, y.id);
    }
  }

  // Does the value reach an operator that computes on integers, through operators that pass them on?
  bool leads_to_integers(ValueId v) {
    if (const auto known = leads_.find(v); known != leads_.end()) return known->second;
    leads_[v] = false;
    for (const Use& u : g_.value(v).uses) {
      const NodeData& n = g_.node(u.node);
      bool found = false;
      if (is_dense(*n.op))
        found = u.index == 0 && (weights_of(u.node) || takes_real_weights(u.node));
      else if (passes_through(*n.op) || n.op->name == "Concat" || n.op->name == "Pad")
        found = leads_to_integers(n.outputs[0]);
      else if (n.op->name == "StridedAttention")
        found = u.index < 3 && rounds_inputs(u.node);
      else
        found = reads_integers(*n.op);
      if (found) return leads_[v] = true;
    }
    return false;
  }

  // Attention with quantizers of its own.
  bool rounds_inputs(NodeId id) const { return !g_.handle(id).as<StridedAttention>()->levels.empty(); }

  const IntegerWeights* weights_of(NodeId dense) {
    auto it = weights_.find(dense);
    if (it == weights_.end()) it = weights_.emplace(dense, integer_weights(g_.handle(dense), evaluator_)).first;
    return it->second ? &*it->second : nullptr;
  }

  Value scale_constant(Builder& b, const Quantization& q) { return b.constant(Tensor::scalar<float>(q.scales[0])); }
  Value zero_constant(Builder& b, const Quantization& q, ElementType type) {
    Tensor t(type, {});
    set_integer(t, 0, q.zero_point(0));
    return b.constant(t);
  }

  void quantize_activation(NodeId id) {
    const Node fq = g_.handle(id);
    if (fq.input(0).node().is<Constant>()) return;
    const auto form = activation_form(fq);
    const Type& x = fq.input(0).type();
    if (!form || !x.is_tensor() || x.element != ElementType::f32 || !leads_to_integers(fq.output().id)) return;
    Builder b(g_);
    b.set_name(fq.name());
    b.set_provenance(g_.node(id).provenance);
    Quantize op{.output_type = form->type, .axis = 0};
    if (form->high != 255) op.low = form->low, op.high = form->high;
    const Value q =
        b(op, fq.input(0), scale_constant(b, *form->quantization), zero_constant(b, *form->quantization, form->type));
    Type type = fq.output().type();
    type.element = form->type;
    type.quantization = form->quantization;
    g_.set_type(q.id, type);
    g_.replace_uses(fq.output().id, q.id);
    g_.remove(id);
  }

  bool is_quantized(ValueId v) const { return v != no_id && g_.value(v).type.quantization != nullptr; }

  void visit(NodeId id) {
    const NodeData n = g_.node(id);
    if (n.op == &op_def<Constant>() ||
        std::none_of(n.inputs.begin(), n.inputs.end(), [&](ValueId v) { return is_quantized(v); }))
      return;
    if (is_dense(*n.op) && is_quantized(n.inputs[0]) && (take_dense(id) || take_real_weights(id))) return;
    if (passes_through(*n.op) && is_quantized(n.inputs[0]) && pass_on(id, g_.value(n.inputs[0]).type)) return;
    if (n.op->name == "Pad" && is_quantized(n.inputs[0]) && pads_with_zero(id) &&
        pass_on(id, g_.value(n.inputs[0]).type))
      return;
    if (n.op->name == "Concat" && concat(id)) return;
    // Other elementwise operators where a kernel takes integers on the way in.
    const bool reads = reads_integers(*n.op) ||
                       (options_.accepts && (normalizes(*n.op) || n.op->name == "StridedAttention")) ||
                       (options_.accepts && is_elementwise(*n.op) && n.op != &op_def<Convert>());
    if (reads && (!options_.accepts || options_.accepts(g_, id))) {
      ++computing_;
      return;
    }
    for (uint32_t i = 0; i < n.inputs.size(); ++i) {
      if (is_quantized(n.inputs[i])) g_.set_input(id, i, dequantized(n.inputs[i]));
    }
  }

  bool take_dense(NodeId id) {
    const IntegerWeights* w = weights_of(id);
    if (!w || g_.node(id).epilogue) return false;
    Transaction t(g_);
    const Value old = g_.handle(id).input(1);
    Builder b(g_);
    b.set_name(old.node().input(0).node().name());
    const Value c = b.constant(w->value);
    Type type = c.type();
    type.quantization = w->quantization;
    g_.set_type(c.id, type);
    g_.set_input(id, 1, c.id);
    if (options_.accepts && !options_.accepts(g_, id)) return false;
    t.commit();
    ++computing_;
    return true;
  }

  // Depthwise convolutions are bound by memory: integers in are worth it with real weights too, as quantizers leave
  // them that scale each column of the window by itself.
  bool takes_real_weights(NodeId id) {
    const Node n = g_.handle(id);
    if (!options_.accepts || !n.is<GroupConvolution>() || !n.input(1).shape().is_static()) return false;
    const PartialShape w = n.input(1).shape();
    return w.rank() > 3 && w[1] == Dimension(1) && w[2] == Dimension(1) && real_weights(n);
  }

  // The weights behind FakeQuantize of constants as one tensor; none where they are anything else.
  Tensor real_weights(Node dense) {
    const Node fq = dense.input(1).node();
    if (!fq.is<FakeQuantize>()) return dense.input(1).constant();
    std::vector<Datum> in;
    for (const Value& v : fq.inputs()) {
      if (!v.constant()) return {};
      in.push_back(v.constant());
    }
    return evaluator_.run(g_, fq.id, std::move(in))[0].tensor();
  }

  bool take_real_weights(NodeId id) {
    if (!takes_real_weights(id) || g_.node(id).epilogue) return false;
    Transaction t(g_);
    Builder b(g_);
    b.set_name(g_.handle(id).input(1).node().name());
    g_.set_input(id, 1, b.constant(real_weights(g_.handle(id))).id);
    if (!options_.accepts(g_, id)) return false;
    t.commit();
    ++computing_;
    return true;
  }

  bool pass_on(NodeId id, const Type from) {
    Transaction t(g_);
    for (ValueId v : g_.node(id).outputs) {
      Type type = g_.value(v).type;
      if (is_integer(type.element) && !type.quantization) continue;  // indices of MaxPool
      type.element = from.element;
      type.quantization = from.quantization;
      g_.set_type(v, type);
    }
    if (options_.accepts && !options_.accepts(g_, id)) return false;
    t.commit();
    return true;
  }

  bool pads_with_zero(NodeId id) const {
    const Node n = g_.handle(id);
    return !n.input(3) || splat_value(n.input(3)) == 0.0;
  }

  bool concat(NodeId id) {
    const auto inputs = g_.node(id).inputs;
    const Type first = g_.value(inputs[0]).type;
    for (ValueId v : inputs) {
      const Type& t = g_.value(v).type;
      if (!t.quantization || !first.quantization || *t.quantization != *first.quantization ||
          t.element != first.element)
        return false;
    }
    return pass_on(id, first);
  }

  ValueId dequantized(ValueId v) {
    if (const auto it = dequantized_.find(v); it != dequantized_.end()) return it->second;
    const Type type = g_.value(v).type;
    const Quantization& q = *type.quantization;
    Builder b(g_);
    const Value y =
        b(Dequantize{.axis = 0}, g_.value_handle(v), scale_constant(b, q), zero_constant(b, q, type.element));
    Type real = y.type();
    real.layout = type.layout;
    real.quantization = nullptr;
    g_.set_type(y.id, real);
    return dequantized_[v] = y.id;
  }

  // Pooling, means, norms and attention round to the next quantizer's integers themselves; a quantizer of what has
  // these integers already is nothing.
  void absorb_quantizers() {
    for (NodeId id : g_.topological_order()) {
      const Node q = g_.handle(id);
      if (!q.is<Quantize>() || !q.output().type().quantization) continue;
      const Value x = q.input(0);
      const Node p = x.node();
      const Type type = q.output().type();
      if (p.is<Dequantize>() && is_quantized(p.input(0).id) && *p.input(0).type().quantization == *type.quantization &&
          p.input(0).element_type() == type.element) {
        g_.replace_uses(q.output().id, p.input(0).id);
        continue;
      }
      const std::string_view op = p.op().name;
      const bool pools = op == "AvgPool" || op == "ReduceMean" || op == "AdaptiveAvgPool";
      const bool rounds = op == "StridedAttention" || (options_.accepts && normalizes(p.op()));
      if ((!rounds && (!pools || !is_quantized(p.input(0).id))) || x.uses().size() != 1) continue;
      if (q.as<Quantize>()->low < q.as<Quantize>()->high) continue;  // fewer levels than the type has
      Transaction t(g_);
      g_.set_type(x.id, type);
      g_.replace_uses(q.output().id, x.id);
      g_.remove(q.id);
      if (options_.accepts && !options_.accepts(g_, p.id)) continue;
      t.commit();
    }
  }

  // What nobody reads as integers in the end is rounded in one pass, perhaps with what makes it.
  void round_in_place() {
    for (NodeId id : g_.topological_order()) {
      if (!g_.alive(id)) continue;
      const Node dq = g_.handle(id);
      if (!dq.is<Dequantize>() || !is_quantized(dq.input(0).id)) continue;
      const Value bytes = dq.input(0);
      const Node q = bytes.node();
      if (!q.is<Quantize>() || bytes.uses().size() != 1 || q.input(0).element_type() != ElementType::f32 ||
          dq.output().element_type() != ElementType::f32 || q.input(0).type().quantization)
        continue;
      const Quantization& z = *bytes.type().quantization;
      const auto& op = *q.as<Quantize>();
      if (z.scales.size() != 1) continue;
      const bool whole = op.low >= op.high, is_signed = bytes.element_type() == ElementType::i8;
      const double low = whole ? (is_signed ? -128 : 0) : static_cast<double>(op.low),
                   high = whole ? low + 255 : static_cast<double>(op.high);
      Builder b(g_);
      b.set_name(q.name());
      b.set_provenance(g_.node(q.id).provenance);
      Value range[2];
      for (size_t i = 0; i < 2; ++i)
        range[i] = b.constant(
            Tensor::scalar<float>(static_cast<float>(((i ? high : low) - z.zero_point(0)) * double(z.scale(0)))));
      const Value y =
          b(FakeQuantize{static_cast<int64_t>(high - low) + 1}, q.input(0), range[0], range[1], range[0], range[1]);
      g_.replace_uses(dq.output().id, y.id);
    }
  }

  Graph& g_;
  Evaluator& evaluator_;
  const PrecisionOptions& options_;
  std::unordered_map<NodeId, std::optional<IntegerWeights>> weights_;
  std::unordered_map<ValueId, bool> leads_;
  std::unordered_map<ValueId, ValueId> dequantized_;
  size_t computing_ = 0;
};

}  // namespace

size_t quantize_types(Graph& g, Evaluator& evaluator, const PrecisionOptions& options) {
  return Quantizer(g, evaluator, options).run();
}

Pass int8_pass(PrecisionOptions options) {
  Pass pass;
  pass.name = "int8";
  pass.run = [options = std::move(options)](Graph& g, PassContext& context) {
    return quantize_types(g, context.evaluator, options);
  };
  return pass;
}

}  // namespace hone
