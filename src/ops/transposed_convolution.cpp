// ConvolutionBackpropData and GroupConvolutionBackpropData: transposed convolutions.
#include "ops/convolution_eval.hpp"
#include "ops/convolution_family.hpp"
#include "ops/elementwise.hpp"

namespace hone {

using namespace convolution;

namespace {

// The axes of the result lead from its output to its data: `out` is the size of x, `in` that of
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

}  // namespace

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

}  // namespace hone
