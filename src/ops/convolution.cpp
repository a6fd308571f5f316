// Convolution and GroupConvolution.
#include "ops/convolution_eval.hpp"
#include "ops/convolution_family.hpp"
#include "ops/elementwise.hpp"

namespace hone {

using namespace convolution;

namespace {

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

}  // namespace hone
