#include "passes/pre_post_process.hpp"

#include <algorithm>
#include <numeric>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& hint = {}) {
  throw Error(ErrorCode::usage, "[preprocess] " + what, "", hint);
}

// A value on its way, with what is known about it.
struct Chain {
  Builder& b;
  Value v;
  DimensionNames layout;
  PixelFormat color = PixelFormat::undefined;
  // Where it goes.
  ElementType target_element = ElementType::dynamic;
  DimensionNames target_layout;
  PartialShape target_shape;

  size_t rank() const {
    if (!v.shape().rank_known()) refuse("the number of dimensions is not known", "set the shape first");
    return v.shape().rank();
  }
  size_t axis(char name, const char* step) const {
    const auto at = layout.axis(name, rank());
    if (!at) refuse(std::string(step) + " wants to know which dimension is " + name, "set the layout, as in NCHW");
    return *at;
  }
  void convert(ElementType to) {
    if (to != v.element_type()) v = b(Convert{to}, v);
  }
  void transpose(const std::vector<int64_t>& order) {
    if (!order.empty()) v = b(Transpose{}, v, b.ints(order));
  }
  void want_float(const char* step) const {
    if (!is_float(v.element_type()))
      refuse(std::string(step) + " works on floating-point values, these are " + name_of(v.element_type()),
             "convert the element type first");
  }
  // One value, or one a channel, shaped so that it broadcasts.
  Value per_channel(const std::vector<float>& values, const char* step) {
    if (values.empty()) refuse(std::string(step) + " has no values");
    Shape shape;
    if (values.size() > 1) {
      const size_t c = axis('C', step), n = rank();
      const Dimension& channels = v.shape()[c];
      if (!channels.compatible(static_cast<int64_t>(values.size()))) {
        refuse(std::string(step) + " has " + std::to_string(values.size()) + " values for " + to_string(channels) +
               " channels");
      }
      shape.assign(n - c, 1);
      shape[0] = static_cast<int64_t>(values.size());
    }
    return b.constant(Tensor::of<float>(shape, std::span<const float>(values)).converted(v.element_type()));
  }
  void reverse_channels(const char* step) {
    const size_t c = axis('C', step);
    const Dimension& n = v.shape()[c];
    if (!n.is_static()) refuse(std::string(step) + " wants a known number of channels");
    std::vector<int64_t> order(static_cast<size_t>(n.min()));
    std::iota(order.rbegin(), order.rend(), 0);
    v = b(Gather{}, v, b.ints(order), b.scalar<int64_t>(static_cast<int64_t>(c)));
  }
  void slice(const std::vector<int64_t>& begin, const std::vector<int64_t>& end, const std::vector<int64_t>& axes) {
    v = b(Slice{}, v, b.ints(begin), b.ints(end), b.ints(std::vector<int64_t>(axes.size(), 1)), b.ints(axes));
  }

  void operator()(const ConvertElementTypeStep& s) { convert(s.to == ElementType::dynamic ? target_element : s.to); }
  void operator()(const ConvertLayoutStep& s) {
    if (!s.order.empty()) {
      std::vector<int64_t> sorted = s.order;
      std::sort(sorted.begin(), sorted.end());
      for (size_t i = 0; i < sorted.size(); ++i) {
        if (sorted.size() != rank() || sorted[i] != static_cast<int64_t>(i))
          refuse("convert_layout wants every axis once");
      }
      if (!layout.empty()) {
        const std::string from = layout.spelled_out(rank());
        std::string to;
        for (int64_t axis : s.order) to += from[static_cast<size_t>(axis)];
        layout = DimensionNames(to);
      }
      transpose(s.order);
      return;
    }
    const DimensionNames& to = s.to.empty() ? target_layout : s.to;
    if (to.empty()) refuse("convert_layout does not know where to", "name a layout, as in NCHW");
    if (layout.empty()) refuse("convert_layout does not know where from", "set the layout of the tensor");
    transpose(permutation(layout, to, rank()));
    layout = to;
  }
  void operator()(const ReverseChannelsStep&) { reverse_channels("reverse_channels"); }
  void operator()(const ConvertColorStep& s) {
    if (color == PixelFormat::undefined)
      refuse("convert_color does not know the colour format of the tensor", "set the colour format");
    if (s.to == color) return;
    const bool has_x = color == PixelFormat::rgbx || color == PixelFormat::bgrx;
    const bool target_has_x = s.to == PixelFormat::rgbx || s.to == PixelFormat::bgrx;
    if (color == PixelFormat::gray || target_has_x || s.to == PixelFormat::undefined) {
      refuse(std::string("no way from ") + name_of(color) + " to " + name_of(s.to));
    }
    const size_t c = axis('C', "convert_color");
    const int64_t channels = has_x ? 4 : 3;
    if (!v.shape()[c].compatible(channels))
      refuse(std::string(name_of(color)) + " has " + std::to_string(channels) + " channels, the tensor " +
             to_string(v.shape()[c]));
    if (has_x) slice({0}, {3}, {static_cast<int64_t>(c)});
    const bool bgr = color == PixelFormat::bgr || color == PixelFormat::bgrx;
    if (s.to == PixelFormat::gray) {
      // The weights of ITU-R BT.601; integers are rounded.
      const ElementType own = v.element_type();
      if (!is_float(own)) convert(ElementType::f32);
      const std::vector<float> weights =
          bgr ? std::vector<float>{0.114f, 0.587f, 0.299f} : std::vector<float>{0.299f, 0.587f, 0.114f};
      v = b(Multiply{}, v, per_channel(weights, "convert_color"));
      v = b(ReduceSum{.keep_dims = true}, v, b.ints({static_cast<int64_t>(c)}));
      if (!is_float(own)) v = b(Round{}, v);
      convert(own);
    } else if (bgr != (s.to == PixelFormat::bgr)) {
      reverse_channels("convert_color");
    }
    color = s.to;
  }
  void operator()(const ResizeStep& s) {
    const size_t h = axis('H', "resize"), w = axis('W', "resize");
    int64_t height = s.height, width = s.width;
    if (height <= 0 && width <= 0) {
      const DimensionNames& names = target_layout.empty() ? layout : target_layout;
      if (!target_shape.rank_known()) refuse("resize does not know the size the model takes", "name the size");
      const auto th = names.axis('H', target_shape.rank()), tw = names.axis('W', target_shape.rank());
      if (!th || !tw || !target_shape[*th].is_static() || !target_shape[*tw].is_static())
        refuse("resize does not know the size the model takes", "name the size");
      height = target_shape[*th].min();
      width = target_shape[*tw].min();
    }
    if (height <= 0 || width <= 0) refuse("resize to " + std::to_string(height) + " x " + std::to_string(width));
    v = b(Interpolate{.mode = s.mode}, v, b.ints({height, width}),
          b.ints({static_cast<int64_t>(h), static_cast<int64_t>(w)}));
  }
  void operator()(const CropStep& s) {
    if (s.begin.size() != rank() || s.end.size() != rank())
      refuse("crop wants a begin and an end for each of " + std::to_string(rank()) + " dimensions");
    std::vector<int64_t> axes(rank());
    std::iota(axes.begin(), axes.end(), 0);
    slice(s.begin, s.end, axes);
  }
  void operator()(const PadStep& s) {
    if (s.begin.size() != rank() || s.end.size() != rank())
      refuse("pad wants a begin and an end for each of " + std::to_string(rank()) + " dimensions");
    v = b(Pad{s.mode}, v, b.ints(s.begin), b.ints(s.end), b.like(v, s.value));
  }
  void operator()(const MeanStep& s) {
    want_float("mean");
    v = b(Subtract{}, v, per_channel(s.values, "mean"));
  }
  void operator()(const ScaleStep& s) {
    want_float("scale");
    if (std::find(s.values.begin(), s.values.end(), 0.0f) != s.values.end()) refuse("scale divides by 0");
    v = b(Divide{}, v, per_channel(s.values, "scale"));
  }
  void operator()(const ClampStep& s) {
    if (!(s.min <= s.max)) refuse("clamp from " + std::to_string(s.min) + " to " + std::to_string(s.max));
    v = b(Clamp{s.min, s.max}, v);
  }

  // What is left to do where no step did it.
  void finish() {
    convert(target_element);
    if (layout.empty() || target_layout.empty()) return;
    transpose(permutation(layout, target_layout, rank()));
    layout = target_layout;
  }
};

// Names of the dimensions behind the layout steps, from the names in front of them.
DimensionNames behind_steps(DimensionNames names, const std::vector<ProcessStep>& steps) {
  for (const ProcessStep& step : steps) {
    const auto* s = std::get_if<ConvertLayoutStep>(&step);
    if (!s || names.empty()) continue;
    if (s->order.empty()) {
      if (!s->to.empty()) names = s->to;
      continue;
    }
    const std::string from = names.spelled_out(s->order.size());
    std::string to;
    for (int64_t axis : s->order) {
      if (axis < 0 || static_cast<size_t>(axis) >= from.size())
        refuse("convert_layout has no axis " + std::to_string(axis));
      to += from[static_cast<size_t>(axis)];
    }
    names = DimensionNames(to);
  }
  return names;
}

// The shape in front of the axis orders of the steps, from the shape behind them.
PartialShape before_orders(PartialShape shape, const std::vector<ProcessStep>& steps) {
  for (auto it = steps.rbegin(); it != steps.rend(); ++it) {
    const auto* s = std::get_if<ConvertLayoutStep>(&*it);
    if (!s || s->order.empty() || !shape.rank_known() || s->order.size() != shape.rank()) continue;
    PartialShape before = shape;
    for (size_t i = 0; i < s->order.size(); ++i) {
      if (s->order[i] < 0 || static_cast<size_t>(s->order[i]) >= shape.rank())
        refuse("convert_layout has no axis " + std::to_string(s->order[i]));
      before[static_cast<size_t>(s->order[i])] = shape[i];
    }
    shape = before;
  }
  return shape;
}

// What the tensor of an input is where the user did not say.
PartialShape tensor_shape(const InputProcess& p, const PartialShape& model, const DimensionNames& layout,
                          const DimensionNames& model_layout) {
  if (p.shape) return *p.shape;
  PartialShape shape = model;
  const bool by_order = std::any_of(p.steps.begin(), p.steps.end(), [](const ProcessStep& s) {
    const auto* l = std::get_if<ConvertLayoutStep>(&s);
    return l && !l->order.empty();
  });
  if (by_order) {
    shape = before_orders(shape, p.steps);
  } else if (model.rank_known()) {
    const auto order = permutation(model_layout, layout, model.rank());
    for (size_t i = 0; i < order.size(); ++i) shape[i] = model[static_cast<size_t>(order[i])];
  }
  const auto put = [&](char name, const Dimension& d) {
    if (!shape.rank_known()) refuse("a size of the picture wants a known number of dimensions", "set the shape");
    const auto at = layout.axis(name, shape.rank());
    if (!at)
      refuse(std::string("a size of the picture wants to know which dimension is ").append(1, name),
             "set the layout, as in NHWC");
    shape[*at] = d;
  };
  if (p.height) put('H', *p.height);
  if (p.width) put('W', *p.width);
  const bool converts = std::any_of(p.steps.begin(), p.steps.end(),
                                    [](const ProcessStep& s) { return std::holds_alternative<ConvertColorStep>(s); });
  if (converts && p.color != PixelFormat::undefined) {
    const int64_t channels = p.color == PixelFormat::gray                                   ? 1
                             : p.color == PixelFormat::rgbx || p.color == PixelFormat::bgrx ? 4
                                                                                            : 3;
    if (const auto at = shape.rank_known() ? layout.axis('C', shape.rank()) : std::nullopt) shape[*at] = channels;
  }
  return shape;
}

std::string called(const Value& v, const std::string& node) {
  return "'" + (v.names().empty() ? node : v.names()[0]) + "'";
}

}  // namespace

const char* name_of(PixelFormat f) {
  static constexpr const char* names[] = {"undefined", "RGB", "BGR", "GRAY", "RGBX", "BGRX"};
  return names[static_cast<size_t>(f)];
}

void add_preprocessing(Graph& g, Value input, const InputProcess& p) {
  const std::string where = "input " + called(input, input.node().name());
  if (!input.type().is_tensor()) throw Error(ErrorCode::usage, "[preprocess] only tensors are preprocessed", where);
  try {
    Transaction whole(g);
    Builder b(g);
    const Type own = input.type();
    DimensionNames layout = p.layout, model_layout = p.model_layout;
    if (model_layout.empty()) model_layout = behind_steps(layout, p.steps);
    const bool moves = std::any_of(p.steps.begin(), p.steps.end(),
                                   [](const ProcessStep& s) { return std::holds_alternative<ConvertLayoutStep>(s); });
    if (layout.empty() && !moves) layout = model_layout;

    if (!model_layout.empty() && own.shape.rank_known()) (void)model_layout.spelled_out(own.shape.rank());

    const std::vector<Use> uses = input.uses();
    Type taken = own;
    taken.element = p.element.value_or(own.element);
    taken.shape = tensor_shape(p, own.shape, layout, model_layout);
    g.set_type(input.id, taken);
    g.set(input.node().id, Parameter{taken.element, taken.shape});

    Chain chain{b, input, layout, p.color, own.element, model_layout, own.shape};
    for (const ProcessStep& s : p.steps) std::visit(chain, s);
    chain.finish();
    if (!chain.v.shape().compatible(own.shape)) {
      refuse("the steps end in " + to_string(chain.v.type()) + ", the model takes " + to_string(own),
             "set the shape of the tensor, or add a step");
    }
    if (chain.v != input) {
      for (const Use& u : uses) g.set_input(u.node, u.index, chain.v.id);
    }
    g.infer_all();
    verify(g);
    whole.commit();
  } catch (const Error& e) {
    throw e.at(where);
  }
}

void add_postprocessing(Graph& g, NodeId result, const OutputProcess& p) {
  const Value own = g.handle(result).input(0);
  const std::string where = "output " + called(own, g.node(result).name);
  if (!own.type().is_tensor()) throw Error(ErrorCode::usage, "[postprocess] only tensors are postprocessed", where);
  try {
    Transaction whole(g);
    Builder b(g);
    Chain chain{b,
                own,
                p.model_layout,
                PixelFormat::undefined,
                p.element.value_or(own.element_type()),
                p.layout,
                PartialShape::dynamic()};
    for (const ProcessStep& s : p.steps) {
      // The element type that was set for the tensor wins over the last conversion; without one, conversions stand.
      if (const auto* c = std::get_if<ConvertElementTypeStep>(&s); c && !p.element && c->to != ElementType::dynamic)
        chain.target_element = c->to;
      std::visit(chain, s);
    }
    chain.finish();
    if (chain.v != own) {
      g.set_input(result, 0, chain.v.id);
      // The names belong to what comes out, unless the value comes out elsewhere too or is an input.
      const bool elsewhere = std::any_of(own.uses().begin(), own.uses().end(),
                                         [&](const Use& u) { return g.handle(u.node).is<Result>(); });
      if (!elsewhere && !own.node().is<Parameter>()) {
        g.set_names(chain.v.id, own.names());
        g.set_names(own.id, {});
      }
    }
    g.infer_all();
    verify(g);
    whole.commit();
  } catch (const Error& e) {
    throw e.at(where);
  }
}

}  // namespace hone
