#include "passes/layout.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <unordered_set>

#include "graph/builder.hpp"
#include "ops/basic.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/resize.hpp"
#include "passes/facts.hpp"
#include "rewrite/traits.hpp"

namespace hone {
namespace {

using Names = std::unordered_set<std::string_view>;

// Which inputs and outputs of an operator are images: rank 3 to 5 with channels on axis 1.
struct Images {
  std::vector<size_t> inputs, outputs;
};

bool starts_a_region(const OpDef& op) {
  static const Names names{"Convolution",
                           "GroupConvolution",
                           "ConvolutionBackpropData",
                           "GroupConvolutionBackpropData",
                           "ConvolutionBackpropWeights",
                           "BinaryConvolution"};
  return names.contains(op.name);
}

bool has_image_rank(const Type& t) {
  return t.is_tensor() && t.shape.rank_known() && t.shape.rank() >= 3 && t.shape.rank() <= 5;
}

bool is_full(const Type& t, const Type& result) {
  return t.is_tensor() && same_shape(t.shape, result.shape);
}

// Could the operator run channels-last at all, and which of its values would then be images?
std::optional<Images> images_of(const Graph& g, NodeId id) {
  const NodeData& n = g.node(id);
  if (n.outputs.empty()) return std::nullopt;
  const auto in = [&](size_t i) -> const Type* {
    return i < n.inputs.size() && n.inputs[i] != no_id && has_image_rank(g.value(n.inputs[i]).type)
               ? &g.value(n.inputs[i]).type
               : nullptr;
  };
  const Type& out = g.value(n.outputs[0]).type;
  const std::string_view op = n.op->name;
  static const Names first_to_first{"Convolution",
                                    "BinaryConvolution",
                                    "GroupConvolution",
                                    "ConvolutionBackpropData",
                                    "GroupConvolutionBackpropData",
                                    "AvgPool",
                                    "AdaptiveAvgPool",
                                    "AvgPoolGrad",
                                    "BatchNormInference",
                                    "Pad",
                                    "Interpolate",
                                    "FakeQuantize",
                                    "Quantize",
                                    "Dequantize",
                                    "PRelu",
                                    "Dropout",
                                    "LRN",
                                    "ShuffleChannels",
                                    "DepthToSpace",
                                    "SpaceToDepth",
                                    "GroupNormalization",
                                    "MVN",
                                    "NormalizeL2"};
  static const Names reductions{"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin",
                                "ReduceL2",   "ReduceL1",  "ReduceProd"};
  Images images;
  if (first_to_first.contains(op)) {
    if (!in(0) || !has_image_rank(out)) return std::nullopt;
    images = {{0}, {0}};
  } else if (op == "MaxPool") {
    if (!in(0) || (n.outputs.size() > 1 && !g.value(n.outputs[1]).uses.empty())) return std::nullopt;
    images = {{0}, {0}};
  } else if (op == "MaxPoolGrad") {
    if (!in(0) || !in(1)) return std::nullopt;
    images = {{0, 1}, {0}};
  } else if (op == "ConvolutionBackpropWeights") {
    if (!in(0) || !in(1)) return std::nullopt;
    images = {{0, 1}, {}};
  } else if (op == "BatchNormTraining") {
    if (!in(0)) return std::nullopt;
    images = {{0}, {0}};
    if (in(5)) images.inputs.push_back(5);
  } else if (op == "BatchNormTrainingGrad") {
    if (!in(0) || !in(1)) return std::nullopt;
    images = {{0, 1}, {0}};
    if (in(5)) images.inputs.push_back(5);
    if (n.outputs.size() > 3) images.outputs.push_back(3);
  } else if (op == "Concat") {
    for (size_t i = 0; i < n.inputs.size(); ++i) {
      if (!in(i)) return std::nullopt;
      images.inputs.push_back(i);
    }
    images.outputs = {0};
  } else if (op == "Split" || op == "VariadicSplit") {
    if (!in(0)) return std::nullopt;
    images.inputs = {0};
    for (size_t i = 0; i < n.outputs.size(); ++i) images.outputs.push_back(i);
  } else if (op == "Slice" || op == "StridedSlice") {
    if (!in(0) || !has_image_rank(out) || out.shape.rank() != in(0)->shape.rank()) return std::nullopt;
    images = {{0}, {0}};
  } else if (reductions.contains(op)) {
    if (!in(0) || !has_image_rank(*in(0)) || !out.shape.rank_known()) return std::nullopt;
    images.inputs = {0};
    // Without the reduced dimensions only [N, C] keeps its order.
    if (out.shape.rank() == in(0)->shape.rank())
      images.outputs = {0};
    else if (out.shape.rank() != 2 || !same_shape(out.shape, PartialShape{in(0)->shape[0], in(0)->shape[1]}))
      return std::nullopt;
  } else if (op == "SumToShape") {
    if (!in(0)) return std::nullopt;
    images.inputs = {0};
    if (!same_order_in_memory(out.shape)) {
      if (!has_image_rank(out) || out.shape.rank() != in(0)->shape.rank()) return std::nullopt;
      images.outputs = {0};
    }
  } else if (op == "Broadcast") {
    if (!has_image_rank(out) || !same_order_in_memory(g.value(n.inputs[0]).type.shape)) return std::nullopt;
    if (g.value(n.inputs[0]).type.shape.rank() != out.shape.rank() && g.value(n.inputs[0]).type.shape.rank() > 1)
      return std::nullopt;
    images.outputs = {0};
  } else if (is_elementwise(*n.op)) {
    if (!has_image_rank(out)) return std::nullopt;
    images.outputs = {0};
    for (size_t i = 0; i < n.inputs.size(); ++i) {
      if (n.inputs[i] == no_id) continue;
      const Type& t = g.value(n.inputs[i]).type;
      if (!t.is_tensor() || !t.shape.rank_known()) return std::nullopt;
      if (is_full(t, out))
        images.inputs.push_back(i);
      else if (t.shape.rank() == out.shape.rank() && !same_order_in_memory(t.shape))
        images.inputs.push_back(i);
      // [C, H, W] against [N, C, H, W] would need its own order.
      else if (t.shape.rank() + 1 == out.shape.rank() && t.shape.rank() > 1 &&
               !spreads_along(g.value_handle(n.inputs[i]), out.shape, 1) && t.shape[0] != Dimension(1)) {
        return std::nullopt;
      }
    }
  } else {
    return std::nullopt;
  }
  for (size_t i : images.inputs) {
    if (!has_image_rank(g.value(n.inputs[i]).type)) return std::nullopt;
  }
  for (size_t o : images.outputs) {
    if (!has_image_rank(g.value(n.outputs[o]).type)) return std::nullopt;
  }
  // Operands of an epilogue that have the shape of the result are images too.
  if (n.epilogue) {
    for (size_t i = g.num_op_inputs(id); i < n.inputs.size(); ++i) {
      const Type& t = g.value(n.inputs[i]).type;
      if (has_image_rank(t) && is_full(t, out) && !same_order_in_memory(t.shape)) images.inputs.push_back(i);
    }
  }
  return images;
}

bool default_accepts(const Graph& g, NodeId id) {
  static const Names declined{"Slice",        "StridedSlice",       "LRN", "ShuffleChannels", "DepthToSpace",
                              "SpaceToDepth", "GroupNormalization", "MVN", "NormalizeL2"};
  return !declined.contains(g.node(id).op->name);
}

// (0, 2, 3, 1) or its inverse (0, 3, 1, 2), for any image rank: 1 and -1; else 0.
int channel_move(const Graph& g, NodeId id) {
  const NodeData& n = g.node(id);
  if (n.op != &op_def<Transpose>() || n.inputs.size() < 2) return 0;
  const auto order = known_ints(g.value_handle(n.inputs[1]));
  if (!order || order->size() < 3 || order->size() > 5) return 0;
  const size_t r = order->size();
  std::vector<int64_t> to_last{0}, to_first{0, static_cast<int64_t>(r - 1)};
  for (size_t i = 2; i < r; ++i) to_last.push_back(static_cast<int64_t>(i));
  to_last.push_back(1);
  for (size_t i = 1; i + 1 < r; ++i) to_first.push_back(static_cast<int64_t>(i));
  return *order == to_last ? 1 : *order == to_first ? -1 : 0;
}

class Assigner {
 public:
  Assigner(Graph& g, const LayoutOptions& options) : g_(g), options_(options) {}

  size_t run() {
    const auto order = g_.topological_order();
    state_.assign(g_.node_capacity(), State::unknown);
    std::deque<NodeId> work;
    for (NodeId id : order) {
      if ((starts_a_region(*g_.node(id).op) || works_on_pixels(id)) && can_join(id)) {
        state_[id] = State::inside;
        work.push_back(id);
      }
    }
    while (!work.empty()) {
      const NodeId id = work.front();
      work.pop_front();
      const Images images = *images_of(g_, id);
      for (size_t o : images.outputs) {
        for (const Use& u : g_.value(g_.node(id).outputs[o]).uses) {
          if (reads_image(u)) join(u.node, work);
        }
      }
      for (size_t i : images.inputs) join_producer(g_.value(g_.node(id).inputs[i]).producer, work);
    }
    for (NodeId id : order) {
      if (state_[id] != State::inside) continue;
      if (writes_planes(id)) continue;
      const auto images = images_of(g_, id);
      for (size_t o : images->outputs) tag(g_.node(id).outputs[o]);
    }
    for (NodeId id : order) tag_channel_move(id);
    for (NodeId id : order) connect(id);
    return tagged_;
  }

 private:
  enum class State : uint8_t { unknown, inside, outside };

  // Pools and norms of pixels that a Transpose makes an image of: their channels-last side is there for free.
  bool works_on_pixels(NodeId id) const {
    static const Names names{"MaxPool", "AvgPool", "MVN"};
    const NodeData& n = g_.node(id);
    return names.contains(n.op->name) && channel_move(g_, g_.value(n.inputs[0]).producer) < 0;
  }

  bool can_join(NodeId id) {
    const auto images = images_of(g_, id);
    if (!images) return false;
    if (!options_.accepts) return default_accepts(g_, id);
    NodeLayouts layouts;
    layouts.inputs.assign(g_.node(id).inputs.size(), Layout::plain);
    layouts.outputs.assign(g_.node(id).outputs.size(), Layout::plain);
    for (size_t i : images->inputs) layouts.inputs[i] = Layout::channels_last;
    for (size_t o : images->outputs) layouts.outputs[o] = Layout::channels_last;
    return options_.accepts(g_, id, layouts);
  }

  bool reads_image(const Use& u) const {
    const auto images = images_of(g_, u.node);
    return images && std::find(images->inputs.begin(), images->inputs.end(), u.index) != images->inputs.end();
  }

  void join(NodeId id, std::deque<NodeId>& work) {
    if (state_[id] != State::unknown) return;
    state_[id] = can_join(id) ? State::inside : State::outside;
    if (state_[id] == State::inside) work.push_back(id);
  }

  // A producer joins from below only where that cannot move a border to a larger place: it reads no image itself (a
  // Broadcast of pooled gradients), or every image it reads has a border already or no more elements than its result.
  void join_producer(NodeId id, std::deque<NodeId>& work) {
    const auto images = images_of(g_, id);
    if (!images || state_[id] != State::unknown) return;
    for (ValueId v : g_.node(id).outputs) {
      for (const Use& u : g_.value(v).uses) {
        if (state_[u.node] != State::inside && !reads_image(u)) return;  // somebody wants it plain
      }
    }
    size_t borders = 0;
    for (size_t i : images->inputs) {
      const NodeId p = g_.value(g_.node(id).inputs[i]).producer;
      if (p >= state_.size() || !is_image_for_free(p, 8)) ++borders;
    }
    if (borders <= 1) join(id, work);
  }

  // Is the image that a node gives channels_last already, or as cheaply as plain: pixels by rows that a Transpose makes
  // planes of, also resized?
  bool is_image_for_free(NodeId id, int depth) {
    if (id >= state_.size()) return false;
    if (state_[id] == State::inside || channel_move(g_, id) < 0) return true;
    if (g_.node(id).op != &op_def<Interpolate>() || depth == 0 || state_[id] == State::outside || !can_join(id))
      return false;
    return is_image_for_free(g_.value(g_.node(id).inputs[0]).producer, depth - 1);
  }

  // A resized image that leaves the region for good: where a kernel writes it plain, nothing turns it afterwards.
  bool writes_planes(NodeId id) {
    if (g_.node(id).op != &op_def<Interpolate>() || !options_.accepts) return false;
    for (const Use& u : g_.value(g_.node(id).outputs[0]).uses) {
      if (u.node >= state_.size() || (state_[u.node] == State::inside && reads_image(u)) ||
          channel_move(g_, u.node) > 0)
        return false;
    }
    NodeLayouts layouts;
    layouts.inputs.assign(g_.node(id).inputs.size(), Layout::plain);
    layouts.inputs[0] = Layout::channels_last;
    layouts.outputs.assign(g_.node(id).outputs.size(), Layout::plain);
    return options_.accepts(g_, id, layouts);
  }

  void tag(ValueId v) {
    Type t = g_.value(v).type;
    t.layout = Layout::channels_last;
    g_.set_type(v, t);
    ++tagged_;
  }

  // The image side of such a Transpose is channels_last where the region reaches it; then it moves nothing.
  void tag_channel_move(NodeId id) {
    const int move = channel_move(g_, id);
    if (move >= 0) return;
    // NHWC data becomes an image: channels_last at once, where an image is wanted.
    const ValueId out = g_.node(id).outputs[0];
    for (const Use& u : g_.value(out).uses) {
      if (u.node < state_.size() && state_[u.node] == State::inside && reads_image(u)) {
        tag(out);
        return;
      }
    }
  }

  Layout wanted(NodeId id, size_t index, const std::optional<Images>& images) const {
    const bool inside = id < state_.size() && state_[id] == State::inside;
    if (inside && std::find(images->inputs.begin(), images->inputs.end(), index) != images->inputs.end())
      return g_.value(g_.node(id).inputs[index]).type.layout == Layout::plain && index == 0 && takes_planes(id)
                 ? Layout::plain
                 : Layout::channels_last;
    const Type& t = g_.value(g_.node(id).inputs[index]).type;
    // Operands spread over an image, and whatever has one order only, are read as they are.
    if (inside && same_order_in_memory(t.shape)) return t.layout;
    if (channel_move(g_, id) > 0 && index == 0) return t.layout;
    return Layout::plain;
  }

  // A quantizer that turns planes into the pixels of its region itself.
  bool takes_planes(NodeId id) const {
    if (g_.node(id).op != &op_def<Quantize>() || !options_.accepts) return false;
    NodeLayouts layouts;
    layouts.inputs.assign(g_.node(id).inputs.size(), Layout::plain);
    layouts.outputs.assign(g_.node(id).outputs.size(), Layout::channels_last);
    return options_.accepts(g_, id, layouts);
  }

  void connect(NodeId id) {
    if (!g_.alive(id) || g_.node(id).op == &op_def<Reorder>()) return;
    const auto images = images_of(g_, id);
    for (size_t i = 0; i < g_.node(id).inputs.size(); ++i) {
      const ValueId v = g_.node(id).inputs[i];
      if (v == no_id || !g_.value(v).type.is_tensor()) continue;
      const Layout want = wanted(id, i, images);
      if (g_.value(v).type.layout != want) g_.set_input(id, i, reordered(v, want));
    }
  }

  ValueId reordered(ValueId v, Layout want) {
    // Back to what a Reorder came from.
    const Node producer = g_.value_handle(v).node();
    if (producer.is<Reorder>() && producer.input(0).type().layout == want) return producer.input(0).id;
    const auto key = std::pair(v, want == Layout::plain);
    if (const auto it = reorders_.find(key); it != reorders_.end()) return it->second;
    Builder b(g_);
    const Value r =
        b(Reorder{want == Layout::plain ? LayoutName::plain : LayoutName::channels_last}, g_.value_handle(v));
    Type type = g_.value(v).type;  // integers stay integers
    type.layout = want;
    g_.set_type(r.id, type);
    return reorders_[key] = r.id;
  }

  Graph& g_;
  const LayoutOptions& options_;
  std::vector<State> state_;
  std::map<std::pair<ValueId, bool>, ValueId> reorders_;
  size_t tagged_ = 0;
};

}  // namespace

bool same_order_in_memory(const PartialShape& shape) {
  if (!shape.rank_known()) return false;
  if (shape.rank() < 3) return true;
  if (shape[1] == Dimension(1)) return true;
  for (size_t i = 2; i < shape.rank(); ++i) {
    if (shape[i] != Dimension(1)) return false;
  }
  return true;
}

size_t assign_layouts(Graph& g, const LayoutOptions& options) {
  return Assigner(g, options).run();
}

Pass layout_pass(LayoutOptions options) {
  Pass pass;
  pass.name = "layout";
  pass.run = [options = std::move(options)](Graph& g, PassContext&) { return assign_layouts(g, options); };
  return pass;
}

}  // namespace hone
