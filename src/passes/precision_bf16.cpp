#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "passes/facts.hpp"
#include "passes/precision.hpp"
#include "rewrite/traits.hpp"

namespace hone {
namespace {

using Names = std::unordered_set<std::string_view>;

bool is_dense(const OpDef& op) {
  static const Names names{"Convolution",
                           "GroupConvolution",
                           "ConvolutionBackpropData",
                           "GroupConvolutionBackpropData",
                           "ConvolutionBackpropWeights",
                           "MatMul",
                           "CompressedMatMul"};
  return names.contains(op.name);
}

// Inputs and outputs that an operator may hold in bf16. What is not listed stays f32: statistics, weights of norms,
// ranges.
struct Wide {
  std::vector<size_t> inputs, outputs;
};

std::optional<Wide> wide_of(const Graph& g, NodeId id) {
  const NodeData& n = g.node(id);
  static const Names first{"MaxPool",      "AvgPool",   "AdaptiveAvgPool", "AvgPoolGrad",     "Reshape",
                           "Squeeze",      "Unsqueeze", "Transpose",       "Reorder",         "Pad",
                           "Tile",         "Broadcast", "Slice",           "StridedSlice",    "ReduceMean",
                           "ReduceMax",    "ReduceMin", "Interpolate",     "ShuffleChannels", "DepthToSpace",
                           "SpaceToDepth", "Reverse",   "LayerNorm",       "RMSNorm",         "MVN",
                           "NormalizeL2"};
  const std::string_view op = n.op->name;
  if (n.outputs.empty()) return std::nullopt;
  Wide w;
  w.outputs = {0};
  const auto is_f32 = [&](size_t i) {
    return n.inputs[i] != no_id && g.value(n.inputs[i]).type.is_tensor() &&
           g.value(n.inputs[i]).type.element == ElementType::f32;
  };
  if (op == "CompressedMatMul") {
    w.inputs = {0};
  } else if (is_dense(*n.op) && g.value(n.inputs[0]).type.quantization) {
    // Products of integers may hand their results on in bf16.
  } else if (is_dense(*n.op) || op == "MaxPoolGrad") {
    w.inputs = {0, 1};
    // A weight gradient is a sum over the whole batch: it stays f32.
    if (op == "ConvolutionBackpropWeights") w.outputs.clear();
    // Results that are integers stay so.
    if (is_dense(*n.op) && g.value(n.outputs[0]).type.quantization) w.outputs.clear();
  } else if (op == "StridedAttention") {
    w.inputs = {0, 1, 2};
  } else if (first.contains(op)) {
    w.inputs = {0};
  } else if (op == "Split" || op == "VariadicSplit") {
    w.inputs = {0};
    for (size_t i = 1; i < n.outputs.size(); ++i) w.outputs.push_back(i);
  } else if (op == "Concat") {
    for (size_t i = 0; i < n.inputs.size(); ++i) w.inputs.push_back(i);
  } else if (op == "BatchNormTraining") {
    w.inputs = {0};
    if (n.inputs.size() > 5) w.inputs.push_back(5);
  } else if (op == "BatchNormTrainingGrad") {
    w.inputs = {0, 1};
    if (n.inputs.size() > 5) w.inputs.push_back(5);
    if (n.outputs.size() > 3) w.outputs.push_back(3);
  } else if (op != "Convert" && (is_elementwise(*n.op) || op == "PRelu")) {
    if (g.value(n.outputs[0]).type.element != ElementType::f32) w.outputs.clear();  // comparisons
    for (size_t i = 0; i < g.num_op_inputs(id); ++i) {
      if (n.inputs[i] != no_id && is_float(g.value(n.inputs[i]).type.element)) w.inputs.push_back(i);
    }
  } else {
    return std::nullopt;
  }
  for (size_t i : w.inputs) {
    if (i >= n.inputs.size() || !is_f32(i)) return std::nullopt;
  }
  for (size_t o : w.outputs) {
    if (g.value(n.outputs[o]).type.element != ElementType::f32) return std::nullopt;
  }
  return w;
}

class Narrower {
 public:
  Narrower(Graph& g, const PrecisionOptions& options) : g_(g), options_(options) {}

  size_t run() {
    const auto order = g_.topological_order();
    wide_.resize(g_.node_capacity());
    choose(order);
    for (NodeId id : order) {
      if (!g_.alive(id)) continue;
      if (!wide_[id] || !narrow(id)) keep(id);
    }
    return narrowed_.size();
  }

 private:
  // Regions grow forward from dense operators, and end where nothing inside reads on.
  void choose(const std::vector<NodeId>& order) {
    for (NodeId id : order) {
      auto w = wide_of(g_, id);
      if (!w) continue;
      const bool reached =
          std::any_of(w->inputs.begin(), w->inputs.end(), [&](size_t i) { return gives_wide(g_.node(id).inputs[i]); });
      if (is_dense(*g_.node(id).op) || reached) wide_[id] = std::move(w);
    }
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      if (wide_[*it] && !is_dense(*g_.node(*it).op) && !read_inside(*it)) wide_[*it].reset();
    }
  }

  bool gives_wide(ValueId v) const {
    const ValueData& d = g_.value(v);
    const auto& w = wide_[d.producer];
    return w && std::find(w->outputs.begin(), w->outputs.end(), d.index) != w->outputs.end();
  }

  bool reads_wide(const Use& u) const {
    if (u.node >= wide_.size() || !wide_[u.node]) return false;
    if (u.index >= g_.num_op_inputs(u.node)) return true;  // operands of epilogues may have any type
    const auto& in = wide_[u.node]->inputs;
    return std::find(in.begin(), in.end(), u.index) != in.end();
  }

  bool read_inside(NodeId id) const {
    for (size_t o : wide_[id]->outputs) {
      for (const Use& u : g_.value(g_.node(id).outputs[o]).uses) {
        if (reads_wide(u)) return true;
      }
    }
    return wide_[id]->outputs.empty();  // a comparison inside a region reads what is there
  }

  bool narrow(NodeId id) {
    const Wide w = *wide_[id];
    current_ = id;
    const bool dense = is_dense(*g_.node(id).op);
    Transaction t(g_);
    bool any = !dense;
    for (size_t i : w.inputs) any |= narrowed_.contains(g_.node(id).inputs[i]);
    if (any) {
      for (size_t i : w.inputs) g_.set_input(id, i, converted(g_.node(id).inputs[i], ElementType::bf16));
    }
    const bool inside = !w.outputs.empty() && read_inside(id);
    // Sums leave in f32 where f32 is what the readers want, and straight in bf16 where inputs are still f32.
    const Type result = g_.value(g_.node(id).outputs[0]).type;
    const ElementType first = result.element;
    const ElementType wanted = inside ? ElementType::bf16 : ElementType::f32;
    if (first == ElementType::f32 && !g_.node(id).epilogue &&
        (any ? wanted == ElementType::f32 : wanted == ElementType::bf16))
      add_empty_epilogue(id);
    try {
      if (any) g_.infer(id);
    } catch (const Error&) {
      return abandon(id);
    }
    if (result.quantization) g_.set_type(g_.node(id).outputs[0], result);
    if (first == ElementType::f32) {
      for (size_t o = 0; o < g_.node(id).outputs.size(); ++o) {
        const bool listed = std::find(w.outputs.begin(), w.outputs.end(), o) != w.outputs.end();
        if (listed || (o == 0 && g_.node(id).epilogue))
          set_element(g_.node(id).outputs[o], listed ? wanted : ElementType::f32);
      }
    }
    if (options_.accepts && !options_.accepts(g_, id)) return abandon(id);
    t.commit();
    for (size_t o : w.outputs) {
      const ValueId v = g_.node(id).outputs[o];
      if (g_.value(v).type.element == ElementType::bf16) narrowed_.insert(v);
    }
    return true;
  }

  bool abandon(NodeId id) {
    wide_[id].reset();
    // Converts made meanwhile are rolled back with the rest.
    std::erase_if(converts_, [&](const auto& c) { return c.second.made_for == id; });
    return false;
  }

  // Outside: f32 is read as it was.
  void keep(NodeId id) {
    const auto inputs = g_.node(id).inputs;
    const size_t op_inputs = g_.num_op_inputs(id);
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] == no_id || i >= op_inputs || !narrowed_.contains(inputs[i])) continue;
      current_ = id;
      g_.set_input(id, i, converted(inputs[i], ElementType::f32));
    }
  }

  void add_empty_epilogue(NodeId id) {
    auto region = std::make_shared<Graph>();
    Builder b(*region);
    const Type& t = g_.value(g_.node(id).outputs[0]).type;
    b.result(b.parameter(ElementType::f32, t.shape));
    g_.set_epilogue(id, region, {});
  }

  void set_element(ValueId v, ElementType e) {
    Type t = g_.value(v).type;
    if (t.element == e) return;
    t.element = e;
    g_.set_type(v, t);
  }

  ValueId converted(ValueId v, ElementType to) {
    if (g_.value(v).type.element == to) return v;
    const auto key = std::pair(v, to == ElementType::bf16);
    if (const auto it = converts_.find(key); it != converts_.end()) return it->second.value;
    Builder b(g_);
    const Layout layout = g_.value(v).type.layout;
    // Kernels of transposed convolutions ask for constant weights, which a conversion would hide. Others are converted
    // with all constants later, on all threads.
    const Value from = g_.value_handle(v);
    const std::string_view reader = g_.node(current_).op->name;
    const bool at_once = reader == "ConvolutionBackpropData" || reader == "GroupConvolutionBackpropData";
    if (at_once && from.node().is<Constant>() && layout == Layout::plain) {
      const Value c = b.constant(from.constant().converted(to));
      converts_[key] = {c.id, current_};
      return c.id;
    }
    const Value c = b(Convert{to}, from);
    if (layout != Layout::plain) {
      Type t = c.type();
      t.layout = layout;
      g_.set_type(c.id, t);
    }
    converts_[key] = {c.id, current_};
    return c.id;
  }

  struct Made {
    ValueId value;
    NodeId made_for;
  };

  Graph& g_;
  const PrecisionOptions& options_;
  std::vector<std::optional<Wide>> wide_;
  std::unordered_set<ValueId> narrowed_;
  std::map<std::pair<ValueId, bool>, Made> converts_;
  NodeId current_ = no_id;
};

}  // namespace

size_t assign_bf16(Graph& g, const PrecisionOptions& options) {
  return Narrower(g, options).run();
}

Pass bf16_pass(PrecisionOptions options) {
  Pass pass;
  pass.name = "bf16";
  pass.run = [options = std::move(options)](Graph& g, PassContext&) { return assign_bf16(g, options); };
  return pass;
}

}  // namespace hone
