#include "passes/volumes.hpp"

#include <algorithm>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/convolution.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/pooling.hpp"
#include "ops/registry.hpp"
#include "ops/window.hpp"
#include "passes/facts.hpp"
#include "rewrite/traits.hpp"

namespace hone {
namespace {

// A volume [N, C, D, H, W] is handled as the list of its pixels [N, D, H, W, C]: beside channels-last neighbours that
// order costs nothing, and slices along the depth are runs of memory.
Value pixels_of(Builder& b, Value volume) {
  return b(Transpose{}, volume, b.ints({0, 2, 3, 4, 1}));
}
Value volume_of(Builder& b, Value pixels) {
  return b(Transpose{}, pixels, b.ints({0, 4, 1, 2, 3}));
}

// An operator on images [N, C, H, W] applied to pixels [N, H, W, C].
template <class F>
Value on_images(Builder& b, Value pixels, F&& f) {
  const Value image = b(Transpose{}, pixels, b.ints({0, 3, 1, 2}));
  return b(Transpose{}, f(image), b.ints({0, 2, 3, 1}));
}

// Depth, height and width of the window; nullopt where shapes are not known or a pad cuts.
std::optional<std::vector<WindowAxis>> volume_axes(const WindowAttributes& w, const PartialShape& x,
                                                   const Shape& kernel) {
  if (!x.is_static() || x.rank() != 5 || kernel.size() != 3 || element_count(x.to_shape()) == 0) return std::nullopt;
  const Shape s = x.to_shape();
  std::vector<WindowAxis> axes = window::resolve(w, {s[2], s[3], s[4]}, kernel);
  for (const WindowAxis& a : axes) {
    if (a.pad_begin < 0 || a.pad_end < 0 || a.out < 1) return std::nullopt;
  }
  return axes;
}

template <class Op>
Op window_of_plane(const WindowAxis& h, const WindowAxis& w) {
  Op op;
  op.strides = {h.stride, w.stride};
  op.pads_begin = {h.pad_begin, w.pad_begin};
  op.pads_end = {h.pad_end, w.pad_end};
  op.dilations = {h.dilation, w.dilation};
  return op;
}

// Taps along the depth become channels: position o of the output sees the planes o * stride + k * dilation beside each
// other, and the volume is a batch of images.
template <class Op>
Rule convolution_of_volumes(const char* name, bool grouped) {
  const auto x = any(), w = any();
  const auto conv = op<Op>(x, w);
  return rule(name, conv, [=](const Match& m, Builder& b) -> Value {
    const PartialShape &xs = m[x].shape(), &ws = m[w].shape();
    const size_t lead = grouped ? 3 : 2;
    if (!ws.is_static() || ws.rank() != lead + 3 || !is_parameter_like(m[w])) return {};
    const Shape k = ws.to_shape();
    const auto axes = volume_axes(window::attributes_of(m.as<Op>(conv), 3), xs, Shape(k.end() - 3, k.end()));
    if (!axes) return {};
    const WindowAxis &d = (*axes)[0], &h = (*axes)[1], &v = (*axes)[2];
    const Shape s = xs.to_shape();
    const int64_t groups = grouped ? k[0] : 1, inputs = k[lead - 1], outputs = groups * k[lead - 2];

    Value pixels = pixels_of(b, m[x]);
    if (d.pad_begin > 0 || d.pad_end > 0) {
      pixels = b(Pad{},
                 Values{pixels, b.ints({0, d.pad_begin, 0, 0, 0}), b.ints({0, d.pad_end, 0, 0, 0}), b.like(pixels, 0)});
    }
    Values taps;
    for (int64_t t = 0; t < d.kernel; ++t) {
      const int64_t begin = t * d.dilation, end = begin + (d.out - 1) * d.stride + 1;
      const Value planes =
          begin == 0 && d.stride == 1 && d.out == d.in + d.pad_begin + d.pad_end
              ? pixels
              : b(Slice{}, Values{pixels, b.ints({begin}), b.ints({end}), b.ints({d.stride}), b.ints({1})});
      taps.push_back(b(Reshape{}, planes, b.ints({s[0] * d.out, s[3], s[4], groups, inputs})));
    }
    const Value beside = taps.size() == 1 ? taps[0] : b(Concat{4}, taps);
    const Value plane = b(Reshape{}, beside, b.ints({s[0] * d.out, s[3], s[4], groups * d.kernel * inputs}));

    std::vector<int64_t> order, shape;
    for (size_t i = 0; i + 1 < lead; ++i) order.push_back(static_cast<int64_t>(i)), shape.push_back(k[i]);
    const auto last = static_cast<int64_t>(lead);
    for (const int64_t axis : {last, last - 1, last + 1, last + 2}) order.push_back(axis);
    shape.insert(shape.end(), {d.kernel * inputs, h.kernel, v.kernel});
    const Value weights = b(Reshape{}, b(Transpose{}, m[w], b.ints(order)), b.ints(shape));

    const Value y = on_images(b, plane, [&](Value image) { return b(window_of_plane<Op>(h, v), image, weights); });
    return volume_of(b, b(Reshape{}, y, b.ints({s[0], d.out, h.out, v.out, outputs})));
  });
}

// Maxima and averages over a box are those over its planes, then over its depth.
template <class Op>
Rule pool_of_volumes(const char* name) {
  const auto x = any();
  const auto pool = op<Op>(x);
  return rule(name, pool, [=](const Match& m, Builder& b) -> Values {
    const Node n = m.root();
    for (size_t i = 1; i < n.num_outputs(); ++i) {
      if (!n.output(i).uses().empty()) return {};
    }
    const Op& attributes = m.as<Op>(pool);
    if (attributes.kernel.size() != 3) return {};
    const auto axes = volume_axes(window::attributes_of(attributes, 3), m[x].shape(), attributes.kernel);
    if (!axes) return {};
    const WindowAxis &d = (*axes)[0], &h = (*axes)[1], &v = (*axes)[2];
    const Shape s = m[x].shape().to_shape();
    const auto plane_pool = [&](const WindowAxis& rows, const WindowAxis& columns) {
      Op op = window_of_plane<Op>(rows, columns);
      op.kernel = {rows.kernel, columns.kernel};
      op.rounding_type = attributes.rounding_type;
      if constexpr (requires { op.exclude_pad; }) op.exclude_pad = attributes.exclude_pad;
      return op;
    };
    Value y = b(Reshape{}, pixels_of(b, m[x]), b.ints({s[0] * s[2], s[3], s[4], s[1]}));
    y = on_images(b, y, [&](Value image) { return b(plane_pool(h, v), image); });
    y = b(Reshape{}, y, b.ints({s[0], s[2], h.out * v.out, s[1]}));
    const WindowAxis one{.in = h.out * v.out, .out = h.out * v.out};
    y = on_images(b, y, [&](Value image) { return b(plane_pool(d, one), image); });
    Values out{volume_of(b, b(Reshape{}, y, b.ints({s[0], d.out, h.out, v.out, s[1]})))};
    for (size_t i = 1; i < n.num_outputs(); ++i) out.push_back(n.output(i));
    return out;
  });
}

// A norm of each channel of a volume is that of one image with as many rows as all planes have.
Rule norm_of_volumes() {
  const auto x = any(), axes = constant();
  const auto norm = op<MVN>(x, axes);
  return rule("norm_of_volumes", norm, [=](const Match& m, Builder& b) -> Value {
    const PartialShape& xs = m[x].shape();
    const auto over = known_ints(m[axes]);
    if (!xs.is_static() || xs.rank() != 5 || !over) return {};
    auto sorted = positive_axes(*over, xs);
    if (!sorted) return {};
    std::sort(sorted->begin(), sorted->end());
    if (*sorted != std::vector<int64_t>{2, 3, 4}) return {};
    const Shape s = xs.to_shape();
    const Value pixels = b(Reshape{}, pixels_of(b, m[x]), b.ints({s[0], s[2] * s[3], s[4], s[1]}));
    const Value y = on_images(b, pixels, [&](Value image) { return b(MVN(m.as<MVN>(norm)), image, b.ints({2, 3})); });
    return volume_of(b, b(Reshape{}, y, b.ints({s[0], s[2], s[3], s[4], s[1]})));
  });
}

// What stands between an elementwise operator and the images that its operand was made of: pixels, reshaped.
struct Pixels {
  Value image;
  Shape shape;  ///< that the operand has
};
std::optional<Pixels> made_of_images(Value v) {
  const Node reshape = v.node();
  if (!reshape.is<Reshape>() || v.uses().size() != 1 || !v.shape().is_static() || v.shape().rank() < 2)
    return std::nullopt;
  const Node swap = reshape.input(0).node();
  if (!swap.is<Transpose>() || reshape.input(0).uses().size() != 1) return std::nullopt;
  const auto order = known_ints(swap.input(1));
  if (!order || *order != std::vector<int64_t>{0, 2, 3, 1}) return std::nullopt;
  const PartialShape pixels = reshape.input(0).shape();
  const Shape shape = v.shape().to_shape();
  if (pixels[3] != Dimension(shape.back())) return std::nullopt;
  return Pixels{swap.input(0), shape};
}

Value reshaped(Builder& b, Value image, const Shape& shape) {
  return b(Reshape{}, b(Transpose{}, image, b.ints({0, 2, 3, 1})), b.ints(shape));
}

// Elementwise operators move in front of such a reshape, to the operator whose last step they become.
Rule function_on_images() {
  std::vector<const OpDef*> elementwise;
  for (const OpDef* op : all_ops()) {
    if (is_elementwise(*op) || op == &op_def<PRelu>()) elementwise.push_back(op);
  }
  return rule("function_on_images", op_pattern(std::move(elementwise), {}, true),
              [](const Match& m, Builder& b) -> Value {
                const Node n = m.root();
                if (n.num_outputs() != 1 || n.num_inputs() < 1 || !n.output().shape().is_static()) return {};
                const Shape shape = n.output().shape().to_shape();
                const bool unary = is_unary_elementwise(n.op());
                Values in;
                bool any_image = false;
                for (size_t i = 0; i < n.num_inputs(); ++i) {
                  const Value v = n.input(i);
                  if (!v) return {};
                  const bool single = v.shape().is_static() && element_count(v.shape().to_shape()) == 1;
                  if (n.is<PRelu>() && i == 1 && !single) return {};  // slopes count along axis 1
                  if (const auto pixels = made_of_images(v); pixels && pixels->shape == shape) {
                    in.push_back(pixels->image);
                    any_image = true;
                  } else if (unary && i > 0) {
                    in.push_back(v);
                  } else if (is_parameter_like(v) && spreads_along(v, n.output().shape(), shape.size() - 1)) {
                    in.push_back(on_axis(b, v, 1, 4));
                  } else {
                    return {};
                  }
                }
                if (!any_image) return {};
                const Shape first = in[0].shape().is_static() ? in[0].shape().to_shape() : Shape{};
                for (const Value& v : in) {
                  // Images of one batch only: lists of equal length may be cut into pictures differently.
                  if (v.shape().is_static() && v.shape().rank() == 4 && !is_parameter_like(v) &&
                      v.shape().to_shape() != first && !is_parameter_like(in[0]))
                    return {};
                }
                return reshaped(b, b.add(n.op(), b.graph().node(n.id).attributes, in).output(0), shape);
              });
}

}  // namespace

bool has_volumes(const Graph& g) {
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id)) continue;
    const Node n = g.handle(id);
    const bool slides = n.is<Convolution>() || n.is<GroupConvolution>() || n.is<MaxPool>() || n.is<AvgPool>() ||
                        n.is<ConvolutionBackpropData>() || n.is<GroupConvolutionBackpropData>();
    if (slides && n.input(0).shape().rank_known() && n.input(0).shape().rank() == 5) return true;
  }
  return false;
}

Pass volumes_to_images_pass() {
  return rules_pass("volumes_to_images",
                    {convolution_of_volumes<Convolution>("convolution_of_volumes", false),
                     convolution_of_volumes<GroupConvolution>("group_convolution_of_volumes", true),
                     pool_of_volumes<MaxPool>("max_pool_of_volumes"), pool_of_volumes<AvgPool>("avg_pool_of_volumes"),
                     norm_of_volumes()});
}

Pass functions_on_images_pass() {
  return rules_pass("functions_on_images", {function_on_images()});
}

}  // namespace hone
