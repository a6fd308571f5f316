// ConvolutionBackpropWeights: the gradient of a convolution with respect to its weights.
#include "ops/convolution_eval.hpp"
#include "ops/convolution_family.hpp"
#include "ops/elementwise.hpp"

namespace hone {

using namespace convolution;

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
