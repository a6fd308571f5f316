#include "tasks/classifier_head.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "data/random.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/conversion.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/pooling.hpp"
#include "ops/quantize.hpp"
#include "ops/random.hpp"
#include "ops/reduce.hpp"

namespace hone {
namespace {

template <class... Ops>
bool is_any(const Node& n) {
  return (n.is<Ops>() || ...);
}

// The Constant that a value is made of alone; formats put conversions, reshapes and quantizers between.
std::optional<NodeId> constant_behind(const Value& v, int depth = 0) {
  if (!v || depth > 8) return std::nullopt;
  const Node n = v.node();
  if (n.is<Constant>()) return n.id;
  if (n.num_inputs() == 0 || is_any<Parameter, Variable, ReadValue>(n)) return std::nullopt;
  std::optional<NodeId> first;
  for (const Value& in : n.inputs()) {
    if (!in) continue;
    const auto c = constant_behind(in, depth + 1);
    if (!c) return std::nullopt;
    if (!first) first = c;
  }
  return first;
}

// Sizes for counting elements: an open dimension counts as a number that no other one has.
Shape counted(const PartialShape& s) {
  Shape out;
  for (const Dimension& d : s) out.push_back(d.is_static() ? d.min() : 7919);
  return out;
}

int64_t elements(const Shape& s, size_t from, size_t to) {
  return element_count(Shape(s.begin() + static_cast<ptrdiff_t>(from), s.begin() + static_cast<ptrdiff_t>(to)));
}

// The axis of the input of a reshape that is axis `axis` of its output: as many elements before it and behind it.
std::optional<size_t> axis_before(const PartialShape& in_shape, const PartialShape& out_shape, size_t axis) {
  if (!in_shape.rank_known() || !out_shape.rank_known()) return std::nullopt;
  const Shape in = counted(in_shape), out = counted(out_shape);
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i] == out[axis] && elements(in, 0, i) == elements(out, 0, axis) &&
        elements(in, i + 1, in.size()) == elements(out, axis + 1, out.size()))
      return i;
  }
  return std::nullopt;
}

std::vector<size_t> constant_axes(const Value& v, size_t rank) {
  std::vector<size_t> axes;
  for (int64_t a : v.constant().to_ints()) axes.push_back(static_cast<size_t>(a < 0 ? a + int64_t(rank) : a));
  return axes;
}

std::string layer_name(const Graph& g, NodeId id) {
  const NodeData& n = g.node(id);
  if (!n.name.empty()) return n.name;
  if (!n.provenance.empty()) return n.provenance[0];
  const auto& names = g.value(n.outputs[0]).names;
  return names.empty() ? "" : names[0];
}

std::string constant_name(const Graph& g, NodeId id, const std::string& otherwise) {
  const NodeData& n = g.node(id);
  const auto& names = g.value(n.outputs[0]).names;
  return !names.empty() ? names[0] : !n.name.empty() ? n.name : otherwise;
}

// What a walk from the scores to their layer passes that knows the number of classes.
struct Passed {
  enum What { scale, bias, target, sigmoid } what;
  NodeId node;
  size_t input = 0;  // that holds the numbers
  size_t axis = 0;   // of the classes in the output
};

class Walk {
 public:
  explicit Walk(const Graph& g) : g_(g) {
    if (g.results().empty()) throw Error(ErrorCode::unsupported, "[train] the model has no output");
    Value v = g.outputs()[0];
    if (!v.type().is_tensor() || !v.shape().rank_known() || v.shape().rank() < 2) refuse(v, "is no list of scores");
    const PartialShape& shape = v.shape();
    axis_ = shape.rank() == 2 ? 1 : 0;
    for (size_t i = 1; i < shape.rank() && shape.rank() > 2; ++i) {
      if (shape[i] == Dimension(1)) continue;
      if (axis_ > 0) refuse(v, "gives " + to_string(v.type()) + ", no list of scores");
      axis_ = i;
    }
    if (axis_ == 0) axis_ = shape.rank() - 1;
    if (!shape[axis_].is_static()) refuse(v, "does not say how many classes there are");
    head.classes = shape[axis_].min();
    while (!at_layer(v)) v = back(v);
  }

  ClassifierHead head;
  size_t weights = 1, class_axis = 0;  // input of the layer, axis of the classes in it
  std::vector<Passed> passed;          // the nearest to the output first

 private:
  [[noreturn]] void refuse(const Value& v, const std::string& why) const {
    const Node n = v.node();
    const std::string name = layer_name(g_, n.id);
    throw Error(ErrorCode::unsupported,
                "[train] the layer of the classes cannot be found: " + std::string(n.op().name) +
                    (name.empty() ? "" : " '" + name + "'") + " " + why,
                "", "name the features that a new one is to stand behind: --features TENSOR");
  }

  bool at_layer(const Value& v) {
    const Node n = v.node();
    if (n.is<Convolution>() && axis_ == 1 && constant_behind(n.input(1))) {
      class_axis = 0;
    } else if (const auto* m = n.as<MatMul>()) {
      const size_t rank = v.shape().rank(), a = n.input(0).shape().rank(), b = n.input(1).shape().rank();
      if (axis_ == rank - 1 && b >= 2 && constant_behind(n.input(1))) {
        class_axis = m->transpose_b ? b - 2 : b - 1;
      } else if (axis_ + 2 == rank && a >= 2 && constant_behind(n.input(0))) {
        weights = 0;
        class_axis = m->transpose_a ? a - 1 : a - 2;
      } else {
        refuse(v, "multiplies no constant weights of the classes");
      }
    } else {
      return false;
    }
    const PartialShape& w = n.input(weights).shape();
    if (!w.is_static() || w[class_axis] != Dimension(head.classes)) refuse(v, "has weights of other sizes");
    head.layer = n.id;
    head.name = layer_name(g_, n.id);
    head.op = n.op().name;
    head.features = element_count(w.to_shape()) / head.classes;
    head.constants.insert(head.constants.begin(), *constant_behind(n.input(weights)));
    return true;
  }

  Value back(const Value& v) {
    const Node n = v.node();
    const size_t rank = v.shape().rank();
    if (is_any<FakeQuantize, Quantize, Dequantize>(n)) refuse(v, "is quantized: take the file in floating point");
    if (const auto* s = n.as<Softmax>()) return softmax(v, s->axis);
    if (const auto* s = n.as<LogSoftmax>()) return softmax(v, s->axis);
    if (n.is<Sigmoid>()) passed.push_back({Passed::sigmoid, n.id, 0, axis_});
    if (is_any<Sigmoid, Relu, Elu, HSwish, HSigmoid, Swish, Tanh, Clamp, Gelu, Convert, Identity>(n)) return n.input(0);
    if (n.is<Dropout>() && v.index() == 0) return n.input(0);
    if (is_any<Add, Subtract, Multiply, Divide>(n)) return binary(v);
    if (is_any<Reshape, Squeeze, Unsqueeze>(n)) {
      const auto before = axis_before(n.input(0).shape(), v.shape(), axis_);
      if (!before) refuse(v, "mixes the classes with something else");
      if (n.is<Reshape>()) passed.push_back({Passed::target, n.id, 1, axis_});
      axis_ = *before;
      return n.input(0);
    }
    if (n.is<Transpose>() && n.input(1).node().is<Constant>()) {
      const auto order = constant_axes(n.input(1), rank);
      axis_ = order.size() == rank ? order[axis_] : rank - 1 - axis_;
      return n.input(0);
    }
    if (is_any<ReduceMean, ReduceSum, ReduceMax>(n) && n.input(1).node().is<Constant>()) return reduction(v);
    if (is_any<AvgPool, MaxPool, AdaptiveAvgPool, AdaptiveMaxPool>(n) && axis_ == 1 && v.index() == 0)
      return n.input(0);
    refuse(v, "stands between it and the scores");
  }

  Value softmax(const Value& v, int64_t axis) const {
    const auto rank = static_cast<int64_t>(v.shape().rank());
    if ((axis < 0 ? axis + rank : axis) != static_cast<int64_t>(axis_)) refuse(v, "goes over another axis");
    return v.node().input(0);
  }

  // One side is a constant, for all classes alike or a number for each.
  Value binary(const Value& v) {
    const Node n = v.node();
    const size_t side = constant_behind(n.input(1)) ? 1 : 0;
    const auto root = constant_behind(n.input(side));
    const Value other = n.input(1 - side);
    if (!root || (side == 0 && n.is<Divide>())) refuse(v, "joins two branches");
    if (!other.shape().rank_known() || other.shape().rank() != v.shape().rank()) refuse(v, "changes the shape");
    const PartialShape& c = n.input(side).shape();
    const size_t lead = v.shape().rank() - c.rank();
    const bool additive = is_any<Add, Subtract>(n);
    // The bias of a single score is one number, as a constant for all of them would be.
    const bool of_class = axis_ >= lead && c[axis_ - lead] == Dimension(head.classes) && head.classes > 1;
    if (of_class || (additive && head.classes == 1)) {
      passed.push_back({additive ? Passed::bias : Passed::scale, n.id, side, axis_});
      head.constants.push_back(*root);
    }
    return other;
  }

  Value reduction(const Value& v) {
    const Value in = v.node().input(0);
    if (!in.shape().rank_known()) refuse(v, "is of unknown rank");
    const size_t rank = in.shape().rank();
    const auto axes = constant_axes(v.node().input(1), rank);
    const bool keeps = rank == v.shape().rank();
    for (size_t i = 0, out = 0; i < rank; ++i) {
      const bool reduced = std::find(axes.begin(), axes.end(), i) != axes.end();
      if (!reduced && out == axis_) {
        axis_ = i;
        return in;
      }
      out += !reduced || keeps;
    }
    refuse(v, "reduces the classes");
  }

  const Graph& g_;
  size_t axis_ = 0;  // of the classes in the value where the walk is
};

Tensor initial_weights(const Shape& shape, int64_t features, uint64_t seed, ElementType type) {
  Tensor t(ElementType::f32, shape);
  data::Random random{seed, 0x68656164};  // "head"
  const double deviation = 1 / std::sqrt(3.0 * static_cast<double>(features));
  for (float& w : t.span<float>()) w = static_cast<float>(deviation * random.normal());
  return type == ElementType::f32 ? t : t.converted(type);
}

class Replacement {
 public:
  Replacement(Graph& g, const Walk& walk, int64_t classes) : g_(g), walk_(walk), classes_(classes) {}

  ClassifierHead run(uint64_t seed) {
    ClassifierHead head = walk_.head;
    head.classes = classes_;
    head.constants.clear();
    const Value old = g_.handle(head.layer).input(walk_.weights);
    Shape shape = old.shape().to_shape();
    shape[walk_.class_axis] = classes_;
    head.constants.push_back(replace(head.layer, walk_.weights, head.name + ".weight",
                                     initial_weights(shape, head.features, seed, old.element_type())));
    for (const Passed& p : walk_.passed) {
      if (p.what == Passed::target)
        follow(p);
      else if (p.what == Passed::sigmoid)
        exclude(p);
      else
        head.constants.push_back(per_class(p, head.name));
    }
    g_.infer_all();
    flatten_output();
    g_.remove_dead();
    verify(g_);
    return head;
  }

 private:
  NodeId replace(NodeId node, size_t input, const std::string& otherwise, Tensor content) {
    const NodeId root = *constant_behind(g_.handle(node).input(input));
    const std::string name = constant_name(g_, root, otherwise);
    Builder b(g_);
    b.set_name(name);
    b.set_provenance(g_.node(root).provenance);
    const Value v = b.constant(std::move(content));
    g_.set_input(node, input, v.id);
    // What others read keeps its name.
    if (g_.value(g_.node(root).outputs[0]).uses.empty()) {
      g_.set_names(v.id, g_.value(g_.node(root).outputs[0]).names);
      g_.set_names(g_.node(root).outputs[0], {});
    }
    return v.node().id;
  }

  NodeId per_class(const Passed& p, const std::string& layer) {
    const Value old = g_.handle(p.node).input(p.input);
    const size_t rank = g_.handle(p.node).output().shape().rank();
    Shape shape = old.shape().to_shape();
    while (shape.size() < rank - p.axis) shape.insert(shape.begin(), 1);
    shape[p.axis - (rank - shape.size())] = classes_;
    Tensor t(ElementType::f32, shape);
    std::ranges::fill(t.span<float>(), p.what == Passed::scale ? 1.0f : 0.0f);
    return replace(p.node, p.input, layer + (p.what == Passed::scale ? ".scale" : ".bias"),
                   t.converted(old.element_type()));
  }

  // A target that spells the number of classes spells the new one.
  void follow(const Passed& p) {
    const Node n = g_.handle(p.node);
    if (!n.input(1).node().is<Constant>()) return;  // computed from shapes: inference follows or refuses
    std::vector<int64_t> target = n.input(1).constant().to_ints();
    if (p.axis >= target.size() || target[p.axis] != walk_.head.classes) return;
    target[p.axis] = classes_;
    Builder b(g_);
    b.set_provenance(g_.node(p.node).provenance);
    g_.set_input(p.node, 1, b.ints(target).id);
  }

  void exclude(const Passed& p) {
    const Node n = g_.handle(p.node);
    Builder b(g_);
    b.set_name(n.name());
    b.set_provenance(g_.node(p.node).provenance);
    const Value y = b(Softmax{static_cast<int64_t>(p.axis)}, n.input(0));
    g_.replace_uses(n.output().id, y.id);
  }

  void flatten_output() {
    const Value out = g_.outputs()[0];
    if (out.shape().rank() == 2) return;
    Builder b(g_);
    const Value flat = b(Reshape{true}, out, b.ints({0, classes_}));
    g_.set_input(g_.results()[0], 0, flat.id);
    g_.set_names(flat.id, out.names());
    g_.set_names(out.id, {});
  }

  Graph& g_;
  const Walk& walk_;
  int64_t classes_;
};

Value named_value(const Graph& g, const std::string& name) {
  Value found;
  for (NodeId id : g.topological_order()) {
    const Node n = g.handle(id);
    if (n.num_outputs() == 0 || is_any<Constant, Result>(n)) continue;
    for (const Value& v : n.outputs()) {
      if (std::find(v.names().begin(), v.names().end(), name) != v.names().end()) return v;
    }
    const auto& from = g.node(id).provenance;
    if (n.name() == name || std::find(from.begin(), from.end(), name) != from.end()) found = n.output();
  }
  if (!found) throw Error(ErrorCode::usage, "[train] no tensor is called so", "--features '" + name + "'");
  return found;
}

}  // namespace

ClassifierHead find_head(const Graph& g) {
  return Walk(g).head;
}

ClassifierHead replace_head(Graph& g, int64_t classes, uint64_t seed) {
  const Walk walk(g);
  Transaction t(g);
  const ClassifierHead head = Replacement(g, walk, classes).run(seed);
  const Value out = g.outputs()[0];
  if (out.shape().rank() != 2 || out.shape()[1] != Dimension(classes)) {
    throw Error(ErrorCode::unsupported, "[train] the model gives " + to_string(out.type()) + " with a new '" +
                                            head.name + "' for " + std::to_string(classes) + " classes");
  }
  t.commit();
  return head;
}

ClassifierHead add_head(Graph& g, const std::string& features, int64_t classes, uint64_t seed, bool channels_last) {
  Value x = named_value(g, features);
  const PartialShape shape = x.type().is_tensor() ? x.shape() : PartialShape();
  const size_t rank = shape.rank_known() ? shape.rank() : 0;
  const size_t axis = rank == 4 && !channels_last ? 1 : rank - 1;
  if (rank < 2 || rank > 4 || !shape[axis].is_static() || !is_float(x.element_type()))
    throw Error(ErrorCode::unsupported, "[train] " + to_string(x.type()) + " is no list, row or picture of features",
                "--features '" + features + "'");
  Transaction t(g);
  ClassifierHead head;
  head.name = "head";
  head.op = MatMul::name;
  head.features = shape[axis].min();
  head.classes = classes;
  Builder b(g);
  const ElementType type = x.element_type();
  if (rank > 2) {
    b.set_name("head/mean");
    x = b(ReduceMean{}, x, rank == 3 ? b.ints({1}) : channels_last ? b.ints({1, 2}) : b.ints({2, 3}));
  }
  const auto constant = [&](const std::string& name, Tensor content) {
    b.set_name(name);
    const Value v = b.constant(std::move(content));
    g.set_names(v.id, {name});
    head.constants.push_back(v.node().id);
    return v;
  };
  const Value w = constant("head.weight", initial_weights({classes, head.features}, head.features, seed, type));
  b.set_name("head/matmul");
  const Value product = b(MatMul{false, true}, x, w);
  head.layer = product.node().id;
  const Value bias = constant("head.bias", Tensor(ElementType::f32, {classes}).converted(type));
  b.set_name("head");
  const Value y = b(Add{}, product, bias);
  const Value old = g.outputs()[0];
  g.set_input(g.results()[0], 0, y.id);
  g.set_names(y.id, old == x ? std::vector<std::string>{"logits"} : old.names());
  if (!(old == x)) g.set_names(old.id, {});
  g.remove_dead();
  verify(g);
  t.commit();
  return head;
}

}  // namespace hone
