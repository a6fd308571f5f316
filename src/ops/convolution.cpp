#include "ops/convolution.hpp"

#include "ops/basic.hpp"
#include "ops/convolution_eval.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"

namespace hone {
namespace {

constexpr size_t max_rank = 8;  // spatial axes that the index arithmetic of the reference holds

// The spatial rank from x [N, C, spatial...] or the weights, whichever is known; nullopt where neither is.
std::optional<size_t> spatial_rank(InferCtx& ctx, size_t weight_axes) {
  const PartialShape &x = ctx.shape(0), &w = ctx.shape(1);
  std::optional<size_t> rank;
  if (x.rank_known()) {
    ctx.check(x.rank() >= 3 && x.rank() - 2 <= max_rank, "data " + to_string(x) + " is not [N, C, spatial...]");
    rank = x.rank() - 2;
  }
  if (w.rank_known()) {
    ctx.check(w.rank() > weight_axes && w.rank() - weight_axes <= max_rank,
              "weights " + to_string(w) + " have no kernel axes");
    ctx.check(!rank || *rank == w.rank() - weight_axes,
              "data " + to_string(x) + " and weights " + to_string(w) + " differ in spatial rank");
    rank = w.rank() - weight_axes;
  }
  return rank;
}

ElementType common_type(InferCtx& ctx) {
  const ElementType a = ctx.element(0), b = ctx.element(1);
  ctx.check(a == b || a == ElementType::dynamic || b == ElementType::dynamic,
            std::string("element types ") + name_of(a) + " and " + name_of(b) + " differ");
  return a == ElementType::dynamic ? b : a;
}

template <class Op>
WindowAttributes window_attributes(const auto& ctx, const Op& op, size_t rank) {
  try {
    return window::attributes_of(op, rank);
  } catch (const Error& e) {
    ctx.fail(e.message());
  }
}

PartialShape space(const PartialShape& s, size_t rank, size_t skip) {
  if (!s.rank_known()) return PartialShape::dynamic(rank);
  return PartialShape(std::vector<Dimension>(s.begin() + static_cast<std::ptrdiff_t>(skip), s.end()));
}
Shape space(const Shape& s, size_t skip) {
  return Shape(s.begin() + static_cast<std::ptrdiff_t>(skip), s.end());
}

// Convolution with weights [O, I, k...] or grouped [G, O, I, k...].
template <class Op>
Types infer_forward(InferCtx& ctx, const Op& op, bool grouped) {
  const size_t lead = grouped ? 3 : 2;
  const ElementType element = common_type(ctx);
  const auto rank = spatial_rank(ctx, lead);
  if (!rank) return {Type(element, PartialShape::dynamic())};
  const WindowAttributes attributes = window_attributes(ctx, op, *rank);
  const PartialShape &x = ctx.shape(0), &w = ctx.shape(1);
  std::vector<Dimension> out(2);
  if (x.rank_known()) out[0] = x[0];
  if (w.rank_known()) out[1] = grouped ? w[0] * w[1] : w[0];
  if (x.rank_known() && w.rank_known()) {
    const Dimension channels = grouped ? w[0] * w[2] : w[1];
    ctx.check(x[1].compatible(channels), "data " + to_string(x) + " has other channels than weights " + to_string(w));
  }
  const PartialShape xs = space(x, *rank, 2), ws = space(w, *rank, lead);
  for (size_t i = 0; i < *rank; ++i) {
    try {
      out.push_back(window::count(attributes, i, xs[i], ws[i]));
    } catch (const Error& e) {
      ctx.fail(e.message());
    }
  }
  return {Type(element, PartialShape(std::move(out)))};
}

struct Weights {
  size_t groups, rows, columns;  // [groups, rows, columns, kernel...]
  Shape kernel;
};
Weights weights_of(const EvalCtx& ctx, const Shape& w, bool grouped) {
  const size_t lead = grouped ? 3 : 2;
  if (w.size() <= lead || w.size() - lead > max_rank) ctx.fail("weights " + to_string(w) + " have no kernel axes");
  return {static_cast<size_t>(grouped ? w[0] : 1), static_cast<size_t>(w[lead - 2]), static_cast<size_t>(w[lead - 1]),
          space(w, lead)};
}
void check_data(const EvalCtx& ctx, const Tensor& x, const Tensor& w, const Weights& weights, size_t channels) {
  if (x.element_type() != w.element_type())
    ctx.fail(std::string("element types ") + name_of(x.element_type()) + " and " + name_of(w.element_type()) +
             " differ");
  if (x.rank() != weights.kernel.size() + 2)
    ctx.fail("data " + to_string(x.shape()) + " and weights " + to_string(w.shape()) + " differ in spatial rank");
  if (static_cast<size_t>(x.shape()[1]) != weights.groups * channels)
    ctx.fail("data " + to_string(x.shape()) + " has other channels than weights " + to_string(w.shape()));
}

Shape output_shape(int64_t batch, size_t channels, const std::vector<WindowAxis>& axes, int64_t WindowAxis::*size) {
  Shape s{batch, static_cast<int64_t>(channels)};
  for (const auto& a : axes) s.push_back(a.*size);
  return s;
}

template <class Op>
void eval_forward(EvalCtx& ctx, const Op& op, bool grouped) {
  const Tensor &x = ctx.input(0), &w = ctx.input(1);
  const Weights weights = weights_of(ctx, w.shape(), grouped);
  check_data(ctx, x, w, weights, weights.columns);
  const WindowAttributes attributes = window_attributes(ctx, op, weights.kernel.size());
  reference::ConvolutionSizes s{static_cast<size_t>(x.shape()[0]), weights.groups, weights.columns, weights.rows,
                                window::resolve(attributes, space(x.shape(), 2), weights.kernel)};
  Tensor y =
      ctx.output(0, x.element_type(), output_shape(x.shape()[0], s.groups * s.out_channels, s.axes, &WindowAxis::out));
  if (y.size() == 0) return;
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    reference::convolve<T>(s, x.data<T>(), w.data<T>(), y.data<T>());
  });
}

// Transposed convolution. The axes of the result lead from its output to its data: `out` is the size of x, `in` that of
// y.
template <class Op>
std::vector<WindowAxis> transposed_axes(const WindowAttributes& attributes, const Op& op, const Shape& spatial,
                                        const Shape& kernel, const std::vector<int64_t>* wanted) {
  const auto padding = window::filled(op.output_padding, spatial.size(), 0, 0, "output_padding");
  if (wanted && wanted->size() != spatial.size())
    throw Error(ErrorCode::failed, "the output shape has " + std::to_string(wanted->size()) + " entries for " +
                                       std::to_string(spatial.size()) + " spatial dimensions");
  std::vector<WindowAxis> axes;
  for (size_t i = 0; i < spatial.size(); ++i) {
    WindowAxis a =
        window::resolve_transposed(attributes, i, spatial[i], kernel[i], padding[i], wanted ? (*wanted)[i] : -1);
    std::swap(a.in, a.out);
    axes.push_back(a);
  }
  return axes;
}

template <class Op>
Types infer_transposed(InferCtx& ctx, const Op& op, bool grouped) {
  const size_t lead = grouped ? 3 : 2;
  const ElementType element = common_type(ctx);
  const auto rank = spatial_rank(ctx, lead);
  if (!rank) return {Type(element, PartialShape::dynamic())};
  const WindowAttributes attributes = window_attributes(ctx, op, *rank);
  const PartialShape &x = ctx.shape(0), &w = ctx.shape(1);
  std::vector<Dimension> out(2);
  if (x.rank_known()) out[0] = x[0];
  if (w.rank_known()) out[1] = grouped ? w[0] * w[2] : w[1];
  if (x.rank_known() && w.rank_known()) {
    const Dimension channels = grouped ? w[0] * w[1] : w[0];
    ctx.check(x[1].compatible(channels), "data " + to_string(x) + " has other channels than weights " + to_string(w));
  }
  if (ctx.has(2)) {
    const auto wanted = ctx.content(2);
    ctx.check(!wanted || wanted->size() == *rank,
              "the output shape has another number of entries than there are spatial dimensions");
    for (size_t i = 0; i < *rank; ++i) out.push_back(wanted ? (*wanted)[i] : Dimension());
    return {Type(element, PartialShape(std::move(out)))};
  }
  const PartialShape xs = space(x, *rank, 2), ws = space(w, *rank, lead);
  const auto padding = op.output_padding.empty() ? std::vector<int64_t>(*rank, 0) : op.output_padding;
  ctx.check(padding.size() == *rank, "output_padding has another number of entries than there are spatial dimensions");
  for (size_t i = 0; i < *rank; ++i) {
    try {
      const auto at = [&](int64_t n, int64_t k) {
        return window::resolve_transposed(attributes, i, n, k, padding[i], -1).out;
      };
      if (!ws[i].is_static())
        out.emplace_back();
      else
        out.emplace_back(at(xs[i].min(), ws[i].min()),
                         xs[i].max() > window::limit ? Dimension::unbounded : at(xs[i].max(), ws[i].min()));
    } catch (const Error& e) {
      ctx.fail(e.message());
    }
  }
  return {Type(element, PartialShape(std::move(out)))};
}

template <class Op>
void eval_transposed(EvalCtx& ctx, const Op& op, bool grouped) {
  const Tensor &x = ctx.input(0), &w = ctx.input(1);
  const Weights weights = weights_of(ctx, w.shape(), grouped);
  check_data(ctx, x, w, weights, weights.rows);
  const WindowAttributes attributes = window_attributes(ctx, op, weights.kernel.size());
  const std::vector<int64_t> wanted = ctx.has(2) ? ctx.input(2).to_ints() : std::vector<int64_t>();
  reference::ConvolutionSizes s{
      static_cast<size_t>(x.shape()[0]), weights.groups, weights.columns, weights.rows,
      transposed_axes(attributes, op, space(x.shape(), 2), weights.kernel, ctx.has(2) ? &wanted : nullptr)};
  Tensor y =
      ctx.output(0, x.element_type(), output_shape(x.shape()[0], s.groups * s.in_channels, s.axes, &WindowAxis::in));
  if (y.size() == 0) return;
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    reference::convolve_transposed<T>(s, x.data<T>(), w.data<T>(), y.data<T>());
  });
}

// For gradients ------------------------------------------------------------------------------------------------------

bool spatially_static(const Value& v, size_t skip) {
  if (!v.shape().rank_known()) return false;
  for (size_t i = skip; i < v.shape().rank(); ++i) {
    if (v.shape()[i].is_dynamic()) return false;
  }
  return true;
}
Shape spatial_shape(const Value& v, size_t skip) {
  Shape s;
  for (size_t i = skip; i < v.shape().rank(); ++i) s.push_back(v.shape()[i].get_length());
  return s;
}
// Sizes of the spatial axes of `v` as a value.
Value spatial_sizes(Builder& b, Value v) {
  if (spatially_static(v, 2)) return b.ints(spatial_shape(v, 2));
  return b(Slice{}, b(ShapeOf{}, v), b.ints({2}), b.ints({static_cast<int64_t>(v.shape().rank())}), b.ints({1}),
           b.ints({0}));
}

// Attributes of the forward convolution with its pads as numbers where `auto_pad` hides them.
template <class Op>
WindowAttributes explicit_attributes(const Op& op, Value x, Value w, size_t lead) {
  if (!x.shape().rank_known() || !spatially_static(w, lead))
    throw Error(ErrorCode::failed,
                "[" + std::string(Op::name) + "] the gradient needs data of known rank and a kernel of known size");
  WindowAttributes a = window::attributes_of(op, x.shape().rank() - 2);
  const bool same = a.auto_pad == AutoPad::same_upper || a.auto_pad == AutoPad::same_lower;
  if (!same && a.auto_pad != AutoPad::valid) return a;
  if (same && !spatially_static(x, 2))
    throw Error(ErrorCode::failed,
                "[" + std::string(Op::name) + "] the gradient with auto_pad needs data of known size");
  const Shape kernel = spatial_shape(w, lead);
  for (size_t i = 0; i < kernel.size(); ++i) {
    const WindowAxis axis = window::resolve(a, i, same ? x.shape()[i + 2].get_length() : 1, kernel[i]);
    a.pads_begin[i] = axis.pad_begin;
    a.pads_end[i] = axis.pad_end;
  }
  a.auto_pad = AutoPad::explicit_;
  return a;
}

template <class Op>
Op with_window(const WindowAttributes& a) {
  Op op;
  op.strides = a.strides;
  op.pads_begin = a.pads_begin;
  op.pads_end = a.pads_end;
  op.dilations = a.dilations;
  return op;
}

ConvolutionBackpropWeights weights_gradient(const WindowAttributes& a, const Shape& kernel, int64_t groups,
                                            bool grouped) {
  auto op = with_window<ConvolutionBackpropWeights>(a);
  op.kernel = kernel;
  op.groups = groups;
  op.grouped_weights = grouped;
  return op;
}

template <class Op, class Transposed>
void grad_forward(GradCtx& ctx, const Op& op, bool grouped) {
  Builder& b = ctx.b;
  const Value x = ctx.input(0), w = ctx.input(1), dy = ctx.dout();
  const size_t lead = grouped ? 3 : 2;
  const WindowAttributes a = explicit_attributes(op, x, w, lead);
  if (ctx.needs(0)) ctx.set(0, b(with_window<Transposed>(a), dy, w, spatial_sizes(b, x)));
  if (ctx.needs(1)) {
    if (grouped && w.shape()[0].is_dynamic())
      throw Error(ErrorCode::failed, "[GroupConvolution] the gradient needs a known number of groups");
    ctx.set(1, b(weights_gradient(a, spatial_shape(w, lead), grouped ? w.shape()[0].get_length() : 1, grouped), x, dy));
  }
}

// Pads of the forward convolution from y back to x, so that its output has exactly the size of x.
template <class Op>
WindowAttributes backward_attributes(const Op& op, Value x, Value w, Value y, Value wanted, size_t lead) {
  if (!spatially_static(x, 2) || !spatially_static(w, lead) || !spatially_static(y, 2)) {
    throw Error(ErrorCode::failed, "[" + std::string(Op::name) + "] the gradient needs data and kernel of known size");
  }
  WindowAttributes a = window::attributes_of(op, x.shape().rank() - 2);
  const Shape out = spatial_shape(y, 2);
  const auto axes = transposed_axes(a, op, spatial_shape(x, 2), spatial_shape(w, lead), wanted ? &out : nullptr);
  for (size_t i = 0; i < axes.size(); ++i) {
    a.pads_begin[i] = axes[i].pad_begin;
    a.pads_end[i] = axes[i].stride * (axes[i].out - 1) + axes[i].extent() - axes[i].in - axes[i].pad_begin;
  }
  a.auto_pad = AutoPad::explicit_;
  return a;
}

template <class Op, class Forward>
void grad_transposed(GradCtx& ctx, const Op& op, bool grouped) {
  Builder& b = ctx.b;
  const Value x = ctx.input(0), w = ctx.input(1), dy = ctx.dout();
  const size_t lead = grouped ? 3 : 2;
  const WindowAttributes a = backward_attributes(op, x, w, ctx.output(), ctx.input(2), lead);
  if (ctx.needs(0)) ctx.set(0, b(with_window<Forward>(a), dy, w));
  if (ctx.needs(1))
    ctx.set(1, b(weights_gradient(a, spatial_shape(w, lead), grouped ? w.shape()[0].get_length() : 1, grouped), dy, x));
}

// Samples ------------------------------------------------------------------------------------------------------------

Tensor iota(Shape shape, float start, float step) {
  Tensor t(ElementType::f32, std::move(shape));
  for (size_t i = 0; i < t.size(); ++i) t.data<float>()[i] = start + step * static_cast<float>(i);
  return t;
}

}  // namespace

Types Convolution::infer(InferCtx& ctx) const {
  return infer_forward(ctx, *this, false);
}
void Convolution::eval(EvalCtx& ctx) const {
  eval_forward(ctx, *this, false);
}
void Convolution::grad(GradCtx& ctx) const {
  grad_forward<Convolution, ConvolutionBackpropData>(ctx, *this, false);
}
Samples Convolution::samples() {
  // Expected values from OpenVINO 2026.4.
  return {
      sample(Convolution{{1, 1}, {1, 1}, {1, 1}, {1, 1}}, {iota({1, 1, 3, 3}, 1, 1), iota({1, 1, 3, 3}, -4, 1)},
             {Tensor::of<float>({1, 1, 3, 3}, {34, 49, 26, 51, 60, 21, -14, -41, -46})}),
      sample(Convolution{{2, 2}, {1, 0}, {0, 1}, {1, 1}},
             {random_tensor({2, 3, 5, 6}, 1), random_tensor({4, 3, 3, 2}, 2)}),
      sample(Convolution{{1, 2}, {2, 1}, {2, 1}, {2, 1}},
             {random_tensor({1, 2, 6, 5}, 1), random_tensor({5, 2, 3, 3}, 2)}),
      sample(Convolution{{2, 2}, {}, {}, {}, AutoPad::same_upper},
             {random_tensor({1, 2, 5, 6}, 1), random_tensor({3, 2, 3, 4}, 2)}),
      sample(Convolution{{2, 2}, {}, {}, {}, AutoPad::same_lower},
             {random_tensor({1, 2, 5, 6}, 1), random_tensor({3, 2, 3, 4}, 2)}),
      sample(Convolution{{2, 1}, {1, 1}, {1, 1}, {}, AutoPad::valid},
             {random_tensor({1, 2, 5, 6}, 1), random_tensor({3, 2, 3, 1}, 2)}),
      sample(Convolution{}, {random_tensor({2, 8, 3, 3}, 1), random_tensor({6, 8, 1, 1}, 2)}),
      sample(Convolution{{2}, {1}, {2}, {2}}, {random_tensor({2, 3, 9}, 1), random_tensor({2, 3, 3}, 2)}),
      sample(Convolution{{1, 2, 1}, {1, 0, 1}, {0, 1, 1}, {}},
             {random_tensor({1, 2, 3, 4, 4}, 1), random_tensor({2, 2, 2, 3, 2}, 2)}),
      sample(Convolution{{1, 1}, {-1, 0}, {0, -1}, {}},
             {random_tensor({1, 1, 4, 4}, 1), random_tensor({2, 1, 2, 2}, 2)}),
      sample(Convolution{{1}}, {Tensor::of<int32_t>({1, 1, 4}, {1, 2, 3, 4}), Tensor::of<int32_t>({1, 1, 2}, {1, -2})},
             {Tensor::of<int32_t>({1, 1, 3}, {-3, -4, -5})}),
  };
}
HONE_DEFINE_OP(Convolution)

Types GroupConvolution::infer(InferCtx& ctx) const {
  return infer_forward(ctx, *this, true);
}
void GroupConvolution::eval(EvalCtx& ctx) const {
  eval_forward(ctx, *this, true);
}
void GroupConvolution::grad(GradCtx& ctx) const {
  grad_forward<GroupConvolution, GroupConvolutionBackpropData>(ctx, *this, true);
}
Samples GroupConvolution::samples() {
  return {
      sample(GroupConvolution{{1}, {1}, {1}}, {iota({1, 2, 3}, 1, 1), iota({2, 1, 1, 3}, 1, 1)},
             {Tensor::of<float>({1, 2, 3}, {8, 14, 8, 50, 77, 50})}),
      sample(GroupConvolution{{1, 1}, {1, 1}, {1, 1}},
             {random_tensor({2, 4, 4, 5}, 1), random_tensor({4, 1, 1, 3, 3}, 2)}),
      sample(GroupConvolution{{2, 2}, {1, 1}, {1, 1}},
             {random_tensor({1, 6, 5, 5}, 1), random_tensor({3, 3, 2, 3, 3}, 2)}),
      sample(GroupConvolution{{2, 1}, {}, {}, {1, 2}, AutoPad::same_lower},
             {random_tensor({1, 4, 5, 4}, 1), random_tensor({2, 1, 2, 2, 2}, 2)}),
      sample(GroupConvolution{{1, 1, 1}}, {random_tensor({1, 2, 3, 2, 3}, 1), random_tensor({2, 2, 1, 2, 1, 2}, 2)}),
  };
}
HONE_DEFINE_OP(GroupConvolution)

Types ConvolutionBackpropData::infer(InferCtx& ctx) const {
  return infer_transposed(ctx, *this, false);
}
void ConvolutionBackpropData::eval(EvalCtx& ctx) const {
  eval_transposed(ctx, *this, false);
}
void ConvolutionBackpropData::grad(GradCtx& ctx) const {
  grad_transposed<ConvolutionBackpropData, Convolution>(ctx, *this, false);
}
Samples ConvolutionBackpropData::samples() {
  const Tensor x = Tensor::of<float>({1, 1, 3}, {1, 2, 3}), w = Tensor::of<float>({1, 1, 3}, {1, 10, 100});
  const auto row = [](std::initializer_list<float> v) {
    return Tensor::of<float>({1, 1, static_cast<int64_t>(v.size())}, v);
  };
  // Expected values from OpenVINO 2026.4.
  return {
      sample(ConvolutionBackpropData{{2}}, {x, w}, {row({1, 10, 102, 20, 203, 30, 300})}),
      sample(ConvolutionBackpropData{{2}, {1}, {1}, {}, AutoPad::explicit_, {1}}, {x, w},
             {row({10, 102, 20, 203, 30, 300})}),
      sample(ConvolutionBackpropData{{2}, {1}, {1}}, {x, w, int_tensor({8})}, {row({10, 102, 20, 203, 30, 300, 0, 0})}),
      sample(ConvolutionBackpropData{{2}, {}, {}, {}, AutoPad::same_upper}, {x, w, int_tensor({4})},
             {row({102, 20, 203, 30})}),
      sample(ConvolutionBackpropData{{2}, {}, {}, {}, AutoPad::same_lower}, {x, w, int_tensor({4})},
             {row({10, 102, 20, 203})}),
      sample(ConvolutionBackpropData{{2}, {1}, {1}, {}, AutoPad::valid}, {x, w}, {row({1, 10, 102, 20, 203, 30, 300})}),
      sample(ConvolutionBackpropData{{2, 2}, {1, 1}, {1, 0}, {1, 2}},
             {random_tensor({2, 3, 3, 4}, 1), random_tensor({3, 5, 3, 2}, 2)}),
      sample(ConvolutionBackpropData{{2, 3}, {1, 0}, {0, 1}, {}, AutoPad::explicit_, {1, 2}},
             {random_tensor({1, 2, 3, 2}, 1), random_tensor({2, 2, 2, 3}, 2)}),
      sample(ConvolutionBackpropData{{1, 2, 1}},
             {random_tensor({1, 2, 2, 2, 3}, 1), random_tensor({2, 1, 2, 2, 1}, 2)}),
  };
}
HONE_DEFINE_OP(ConvolutionBackpropData)

Types GroupConvolutionBackpropData::infer(InferCtx& ctx) const {
  return infer_transposed(ctx, *this, true);
}
void GroupConvolutionBackpropData::eval(EvalCtx& ctx) const {
  eval_transposed(ctx, *this, true);
}
void GroupConvolutionBackpropData::grad(GradCtx& ctx) const {
  grad_transposed<GroupConvolutionBackpropData, GroupConvolution>(ctx, *this, true);
}
Samples GroupConvolutionBackpropData::samples() {
  return {
      sample(GroupConvolutionBackpropData{{2, 2}, {1, 1}, {1, 1}},
             {random_tensor({2, 4, 3, 3}, 1), random_tensor({4, 1, 1, 3, 3}, 2)}),
      sample(GroupConvolutionBackpropData{{2, 1}, {1, 0}, {0, 0}, {1, 2}},
             {random_tensor({1, 6, 3, 3}, 1), random_tensor({3, 2, 3, 3, 2}, 2)}),
      sample(GroupConvolutionBackpropData{{2, 2}, {1, 1}, {1, 1}},
             {random_tensor({1, 2, 3, 3}, 1), random_tensor({2, 1, 2, 3, 3}, 2), int_tensor({6, 6})}),
  };
}
HONE_DEFINE_OP(GroupConvolutionBackpropData)

Types ConvolutionBackpropWeights::infer(InferCtx& ctx) const {
  const ElementType element = common_type(ctx);
  const PartialShape &x = ctx.shape(0), &dy = ctx.shape(1);
  ctx.check(groups >= 1, "groups is " + std::to_string(groups));
  ctx.check(!kernel.empty() && kernel.size() <= max_rank, "kernel is not given");
  window_attributes(ctx, *this, kernel.size());
  for (const PartialShape* s : {&x, &dy})
    ctx.check(!s->rank_known() || s->rank() == kernel.size() + 2,
              to_string(*s) + " is not [N, C, spatial...] for the kernel");
  const Dimension in = x.rank_known() ? x[1] / groups : Dimension(), out = dy.rank_known() ? dy[1] : Dimension();
  ctx.check(!x.rank_known() || x[1].is_dynamic() || x[1].get_length() % groups == 0,
            "channels of " + to_string(x) + " do not divide into groups");
  ctx.check(out.is_dynamic() || out.get_length() % groups == 0,
            "channels of " + to_string(dy) + " do not divide into groups");
  std::vector<Dimension> shape;
  if (grouped_weights) shape.emplace_back(groups);
  shape.push_back(grouped_weights ? out / groups : out);
  shape.push_back(in);
  for (int64_t k : kernel) {
    ctx.check(k >= 0, "kernel holds " + std::to_string(k));
    shape.emplace_back(k);
  }
  return {Type(element, PartialShape(std::move(shape)))};
}
void ConvolutionBackpropWeights::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &dy = ctx.input(1);
  const WindowAttributes attributes = window_attributes(ctx, *this, kernel.size());
  if (x.rank() != kernel.size() + 2 || dy.rank() != x.rank() || kernel.size() > max_rank || groups < 1 ||
      x.shape()[1] % groups || dy.shape()[1] % groups || x.shape()[0] != dy.shape()[0] ||
      x.element_type() != dy.element_type()) {
    ctx.fail("data " + to_string(x.shape()) + ", gradient " + to_string(dy.shape()) + " and " + std::to_string(groups) +
             " groups do not fit");
  }
  reference::ConvolutionSizes s{static_cast<size_t>(x.shape()[0]),
                                static_cast<size_t>(groups),
                                static_cast<size_t>(x.shape()[1] / groups),
                                static_cast<size_t>(dy.shape()[1] / groups),
                                {}};
  for (size_t i = 0; i < kernel.size(); ++i) {
    WindowAxis a = window::resolve(attributes, i, x.shape()[i + 2], kernel[i]);
    a.pad_begin = attributes.pads_begin[i];
    a.out = dy.shape()[i + 2];
    s.axes.push_back(a);
  }
  Shape shape = grouped_weights ? Shape{groups, dy.shape()[1] / groups} : Shape{dy.shape()[1]};
  shape.push_back(x.shape()[1] / groups);
  shape.insert(shape.end(), kernel.begin(), kernel.end());
  Tensor dw = ctx.output(0, x.element_type(), shape);
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    reference::convolution_weights<T>(s, x.data<T>(), dy.data<T>(), dw.data<T>());
  });
}
void ConvolutionBackpropWeights::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value x = ctx.input(0), dy = ctx.input(1), dw = ctx.dout();
  if (!x.shape().is_static() || !dy.shape().is_static())
    throw Error(ErrorCode::failed, "[ConvolutionBackpropWeights] the gradient needs data of known size");
  WindowAttributes a = window::attributes_of(*this, kernel.size());
  for (size_t i = 0; i < kernel.size(); ++i) {
    // The convolution that gives exactly the positions of dy.
    a.pads_end[i] = a.strides[i] * (dy.shape()[i + 2].get_length() - 1) + (kernel[i] - 1) * a.dilations[i] + 1 -
                    x.shape()[i + 2].get_length() - a.pads_begin[i];
  }
  if (groups == 1 && !grouped_weights) {
    if (ctx.needs(0)) ctx.set(0, b(with_window<ConvolutionBackpropData>(a), dy, dw, spatial_sizes(b, x)));
    if (ctx.needs(1)) ctx.set(1, b(with_window<Convolution>(a), x, dw));
    return;
  }
  Value w = dw;
  if (!grouped_weights) {
    std::vector<int64_t> shape{groups, dy.shape()[1].get_length() / groups, x.shape()[1].get_length() / groups};
    shape.insert(shape.end(), kernel.begin(), kernel.end());
    w = b(Reshape{}, dw, b.ints(shape));
  }
  if (ctx.needs(0)) ctx.set(0, b(with_window<GroupConvolutionBackpropData>(a), dy, w, spatial_sizes(b, x)));
  if (ctx.needs(1)) ctx.set(1, b(with_window<GroupConvolution>(a), x, w));
}
Samples ConvolutionBackpropWeights::samples() {
  const auto op = [](std::vector<int64_t> strides, std::vector<int64_t> begin, std::vector<int64_t> end,
                     std::vector<int64_t> dilations, std::vector<int64_t> kernel, int64_t groups = 1,
                     bool grouped = false) {
    return ConvolutionBackpropWeights{strides, begin, end, dilations, kernel, groups, grouped};
  };
  return {
      sample(op({1}, {1}, {1}, {1}, {3}),
             {Tensor::of<float>({1, 1, 3}, {1, 2, 3}), Tensor::of<float>({1, 1, 3}, {1, 10, 100})},
             {Tensor::of<float>({1, 1, 3}, {210, 321, 32})}),
      sample(op({2, 2}, {1, 1}, {1, 0}, {1, 1}, {3, 2}),
             {random_tensor({2, 3, 5, 5}, 1), random_tensor({2, 4, 3, 3}, 2)}),
      sample(op({1, 2}, {0, 1}, {0, 1}, {2, 1}, {2, 3}, 2, false),
             {random_tensor({2, 4, 4, 4}, 1), random_tensor({2, 2, 2, 2}, 2)}),
      sample(op({1, 1}, {1, 1}, {1, 1}, {}, {3, 3}, 4, true),
             {random_tensor({2, 4, 3, 3}, 1), random_tensor({2, 4, 3, 3}, 2)}),
  };
}
HONE_DEFINE_OP(ConvolutionBackpropWeights)

}  // namespace hone
