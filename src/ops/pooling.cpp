#include "ops/pooling.hpp"

#include <cmath>
#include <limits>

#include "ops/basic.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/pooling_family.hpp"
#include "ops/window.hpp"

namespace hone {

using namespace pooling;

namespace {

template <class Op>
WindowAttributes window_attributes(const auto& ctx, const Op& op, size_t rank) {
  if (op.kernel.size() != rank || rank == 0 || rank > max_rank) {
    ctx.fail("kernel of " + std::to_string(op.kernel.size()) + " sizes for " + std::to_string(rank) +
             " spatial dimensions");
  }
  for (int64_t k : op.kernel) {
    if (k < 1) ctx.fail("kernel holds " + std::to_string(k));
  }
  try {
    return window::attributes_of(op, rank);
  } catch (const Error& e) {
    ctx.fail(e.message());
  }
}

template <class Op>
PartialShape infer_pool(InferCtx& ctx, const Op& op) {
  const PartialShape& x = ctx.shape(0);
  const WindowAttributes w =
      window_attributes(ctx, op, x.rank_known() ? x.rank() - std::min<size_t>(x.rank(), 2) : op.kernel.size());
  if (!x.rank_known()) return PartialShape::dynamic(op.kernel.size() + 2);
  check_rank(ctx, x.rank(), to_string(x));
  std::vector<Dimension> out{x[0], x[1]};
  for (size_t i = 0; i < op.kernel.size(); ++i) {
    try {
      out.push_back(window::count(w, i, x[i + 2], Dimension(op.kernel[i])));
    } catch (const Error& e) {
      ctx.fail(e.message());
    }
  }
  return PartialShape(std::move(out));
}

template <class Op>
std::vector<WindowAxis> window_axes(const EvalCtx& ctx, const Op& op, const Shape& x) {
  check_rank(ctx, x.size(), to_string(x));
  return window::resolve(window_attributes(ctx, op, x.size() - 2), space(x), op.kernel);
}

Shape pooled_shape(const Shape& x, const std::vector<WindowAxis>& axes) {
  Shape s{x[0], x[1]};
  for (const auto& a : axes) s.push_back(a.out);
  return s;
}

size_t plane_size(const std::vector<WindowAxis>& axes, int64_t WindowAxis::*size) {
  size_t n = 1;
  for (const auto& a : axes) n *= static_cast<size_t>(a.*size);
  return n;
}

// The elements of the plane under window `at`; for AvgPool also how many positions lie within the padded plane.
Box window_box(const std::vector<WindowAxis>& axes, size_t at, int64_t* padded) {
  Box box;
  *padded = 1;
  for (size_t k = axes.size(); k-- > 0;) {
    const WindowAxis& a = axes[k];
    int64_t begin = static_cast<int64_t>(at % static_cast<size_t>(a.out)) * a.stride - a.pad_begin;
    at /= static_cast<size_t>(a.out);
    const int64_t end = begin + a.extent();
    const int64_t limit = std::min(end, a.in + std::max<int64_t>(a.pad_end, 0));
    *padded *= std::max<int64_t>(0, (limit - begin + a.dilation - 1) / a.dilation);
    if (begin < 0) begin += (-begin + a.dilation - 1) / a.dilation * a.dilation;
    box.begin[k] = begin;
    box.end[k] = std::min(end, a.in);
    box.step[k] = a.dilation;
  }
  return box;
}

std::vector<int64_t> plane_sizes(const std::vector<WindowAxis>& axes) {
  std::vector<int64_t> size;
  for (const auto& a : axes) size.push_back(a.in);
  return size;
}

}  // namespace

Types MaxPool::infer(InferCtx& ctx) const {
  const PartialShape y = infer_pool(ctx, *this);
  ctx.check(index_element_type == ElementType::i64 || index_element_type == ElementType::i32,
            "the index element type is neither i32 nor i64");
  const auto rank = static_cast<int64_t>(kernel.size() + 2);
  ctx.check(axis >= -rank && axis < rank, "axis " + std::to_string(axis) + " is outside of the data");
  return {Type(ctx.element(0), y), Type(index_element_type, y)};
}
void MaxPool::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const auto axes = window_axes(ctx, *this, x.shape());
  const Shape shape = pooled_shape(x.shape(), axes);
  Tensor y = ctx.output(0, x.element_type(), shape), indices;
  if (ctx.num_outputs() > 1) indices = ctx.output(1, index_element_type, shape);
  if (y.size() == 0) return;
  const size_t in = plane_size(axes, &WindowAxis::in), out = plane_size(axes, &WindowAxis::out),
               planes = y.size() / out;
  const auto sizes = plane_sizes(axes);
  // Indices are flattened over the axes from `axis` on.
  const auto first = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(x.rank()) : axis);
  size_t period = 1;
  for (size_t k = first; k < x.rank(); ++k) period *= static_cast<size_t>(x.shape()[k]);
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for (size_t o = 0; o < out; ++o) {
      int64_t padded;
      const Box box = window_box(axes, o, &padded);
      for (size_t p = 0; p < planes; ++p) {
        const T* plane = x.data<T>() + p * in;
        Best<T> best;
        for_each_element(box, sizes.data(), axes.size(), [&](int64_t at) { best.offer(plane[at], at); });
        y.data<T>()[p * out + o] = best.value;
        if (indices)
          set_integer(indices, p * out + o,
                      best.any ? static_cast<int64_t>((p * in + static_cast<size_t>(best.offset)) % period) : 0);
      }
    }
  });
}
void MaxPool::grad(GradCtx& ctx) const {
  if (!ctx.dout()) return;
  ctx.set(0, ctx.b(MaxPoolGrad{strides, dilations, pads_begin, pads_end, kernel, rounding_type, auto_pad}, ctx.input(0),
                   ctx.dout()));
}
Samples MaxPool::samples() {
  Tensor row(ElementType::f32, {1, 1, 7});
  for (int i = 0; i < 7; ++i) row.data<float>()[i] = static_cast<float>(i + 1);
  const auto known = [&](int64_t k, int64_t s, int64_t pb, int64_t pe, RoundingType r,
                         std::initializer_list<float> values, std::initializer_list<int64_t> indices) {
    const auto n = static_cast<int64_t>(values.size());
    return sample(MaxPool{{s}, {}, {pb}, {pe}, {k}, r}, {row},
                  {Tensor::of<float>({1, 1, n}, values), Tensor::of<int64_t>({1, 1, n}, indices)});
  };
  // Expected values from OpenVINO 2026.4.
  return {known(2, 2, 0, 0, RoundingType::floor, {2, 4, 6}, {1, 3, 5}),
          known(3, 2, 1, 1, RoundingType::floor, {2, 4, 6, 7}, {1, 3, 5, 6}),
          known(4, 3, 1, 2, RoundingType::floor, {3, 6, 7}, {2, 5, 6}),
          known(2, 2, 0, 0, RoundingType::ceil, {2, 4, 6, 7}, {1, 3, 5, 6}),
          known(2, 3, 1, 1, RoundingType::ceil_torch, {1, 4, 7}, {0, 3, 6}),
          sample(MaxPool{{2, 2}, {1, 1}, {1, 1}, {1, 1}, {3, 3}}, {random_tensor({2, 3, 6, 7}, 1)}),
          sample(MaxPool{{1, 2}, {2, 1}, {}, {}, {2, 3}, RoundingType::ceil, AutoPad::explicit_, ElementType::i32, 2},
                 {random_tensor({1, 2, 5, 6}, 2)}),
          sample(MaxPool{{2, 2}, {}, {}, {}, {3, 2}, RoundingType::floor, AutoPad::same_upper, ElementType::i64, 1},
                 {random_tensor({1, 2, 5, 6}, 3)}),
          sample(MaxPool{{1, 1, 2}, {}, {}, {}, {2, 2, 2}, RoundingType::floor, AutoPad::same_lower},
                 {random_tensor({1, 2, 2, 3, 4}, 4)}),
          sample(MaxPool{{1}, {}, {}, {}, {2}}, {Tensor::of<int8_t>({1, 1, 3}, {-7, -9, 3})},
                 {Tensor::of<int8_t>({1, 1, 2}, {-7, 3})})};
}
HONE_DEFINE_OP(MaxPool)

Types AvgPool::infer(InferCtx& ctx) const {
  return {Type(ctx.element(0), infer_pool(ctx, *this))};
}
void AvgPool::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const auto axes = window_axes(ctx, *this, x.shape());
  Tensor y = ctx.output(0, x.element_type(), pooled_shape(x.shape(), axes));
  if (y.size() == 0) return;
  const size_t in = plane_size(axes, &WindowAxis::in), out = plane_size(axes, &WindowAxis::out),
               planes = y.size() / out;
  const auto sizes = plane_sizes(axes);
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for (size_t o = 0; o < out; ++o) {
      int64_t padded, inside = 0;
      const Box box = window_box(axes, o, &padded);
      for_each_element(box, sizes.data(), axes.size(), [&](int64_t) { ++inside; });
      for (size_t p = 0; p < planes; ++p) {
        const T* plane = x.data<T>() + p * in;
        double sum = 0;
        for_each_element(box, sizes.data(), axes.size(), [&](int64_t at) { sum += static_cast<double>(plane[at]); });
        y.data<T>()[p * out + o] = average<T>(sum, exclude_pad ? inside : padded);
      }
    }
  });
}
void AvgPool::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.b(AvgPoolGrad{strides, pads_begin, pads_end, kernel, exclude_pad, rounding_type, auto_pad, dilations},
                   ctx.dout(), ctx.b(ShapeOf{}, ctx.input(0))));
}
Samples AvgPool::samples() {
  Tensor row(ElementType::f32, {1, 1, 7});
  for (int i = 0; i < 7; ++i) row.data<float>()[i] = static_cast<float>(i + 1);
  const auto known = [&](int64_t k, int64_t s, int64_t pb, int64_t pe, bool exclude, RoundingType r, AutoPad pad,
                         std::initializer_list<float> values) {
    return sample(AvgPool{{s}, {pb}, {pe}, {k}, exclude, r, pad}, {row},
                  {Tensor::of<float>({1, 1, static_cast<int64_t>(values.size())}, values)});
  };
  const auto floor = RoundingType::floor, ceil = RoundingType::ceil;
  const auto none = AutoPad::explicit_;
  // Expected values from OpenVINO 2026.4.
  return {known(3, 2, 1, 1, true, floor, none, {1.5f, 3, 5, 6.5f}),
          known(3, 2, 1, 1, false, floor, none, {1, 3, 5, 4.3333335f}),
          known(4, 3, 1, 2, false, floor, none, {1.5f, 4.5f, 3.25f}),
          known(2, 2, 0, 0, false, ceil, none, {1.5f, 3.5f, 5.5f, 7}),
          known(2, 3, 1, 1, true, ceil, none, {1, 3.5f, 6.5f, 0}),
          known(2, 3, 1, 1, false, RoundingType::ceil_torch, none, {0.5f, 3.5f, 6.5f}),
          known(4, 2, 0, 0, false, floor, AutoPad::same_upper, {1.5f, 3.5f, 5.5f, 3.25f}),
          known(4, 2, 0, 0, true, floor, AutoPad::same_lower, {1.5f, 2.5f, 4.5f, 6}),
          sample(AvgPool{{2, 2}, {1, 0}, {0, 1}, {3, 2}, false}, {random_tensor({2, 3, 6, 7}, 1)}),
          sample(AvgPool{{1, 2}, {2, 1}, {1, 1}, {2, 3}, true, ceil, none, {2, 1}}, {random_tensor({1, 2, 5, 6}, 2)}),
          sample(AvgPool{{1, 1, 2}, {}, {}, {2, 2, 2}}, {random_tensor({1, 2, 2, 3, 4}, 4)}),
          sample(AvgPool{{2}, {}, {}, {2}}, {Tensor::of<int32_t>({1, 1, 4}, {1, 3, -4, -6})},
                 {Tensor::of<int32_t>({1, 1, 2}, {2, -5})})};
}
HONE_DEFINE_OP(AvgPool)

Types MaxPoolGrad::infer(InferCtx& ctx) const {
  infer_pool(ctx, *this);
  return {Type(ctx.element(0), ctx.shape(0))};
}
void MaxPoolGrad::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &dy = ctx.input(1);
  const auto axes = window_axes(ctx, *this, x.shape());
  if (dy.shape() != pooled_shape(x.shape(), axes) || dy.element_type() != x.element_type())
    ctx.fail("the gradient " + to_string(dy.shape()) + " does not fit data " + to_string(x.shape()));
  Tensor dx = ctx.output(0, x.element_type(), x.shape());
  if (dy.size() == 0) return;
  const size_t in = plane_size(axes, &WindowAxis::in), out = plane_size(axes, &WindowAxis::out),
               planes = dy.size() / out;
  const auto sizes = plane_sizes(axes);
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for (size_t o = 0; o < out; ++o) {
      int64_t padded;
      const Box box = window_box(axes, o, &padded);
      for (size_t p = 0; p < planes; ++p) {
        const T* plane = x.data<T>() + p * in;
        Best<T> best;
        for_each_element(box, sizes.data(), axes.size(), [&](int64_t at) { best.offer(plane[at], at); });
        if (best.any) dx.data<T>()[p * in + static_cast<size_t>(best.offset)] += dy.data<T>()[p * out + o];
      }
    }
  });
}
Samples MaxPoolGrad::samples() {
  return {sample(MaxPoolGrad{{1}, {}, {1}, {1}, {3}},
                 {Tensor::of<float>({1, 1, 4}, {1, 5, 5, 2}), Tensor::of<float>({1, 1, 4}, {1, 10, 100, 1000})},
                 {Tensor::of<float>({1, 1, 4}, {0, 111, 1000, 0})}),
          sample(MaxPoolGrad{{2, 2}, {1, 1}, {1, 1}, {1, 1}, {3, 3}},
                 {random_tensor({2, 3, 6, 7}, 1), random_tensor({2, 3, 3, 4}, 2)}),
          sample(MaxPoolGrad{{2, 1}, {1, 2}, {}, {}, {2, 2}, RoundingType::ceil},
                 {random_tensor({1, 2, 5, 6}, 3), random_tensor({1, 2, 3, 4}, 4)})};
}
HONE_DEFINE_OP(MaxPoolGrad)

Types AvgPoolGrad::infer(InferCtx& ctx) const {
  const PartialShape& dy = ctx.shape(0);
  window_attributes(ctx, *this, dy.rank_known() ? dy.rank() - std::min<size_t>(dy.rank(), 2) : kernel.size());
  if (const auto shape = ctx.content(1)) {
    ctx.check(shape->size() == kernel.size() + 2, "the shape of the data has another rank than the kernel");
    return {Type(ctx.element(0), PartialShape(*shape))};
  }
  return {Type(ctx.element(0), PartialShape::dynamic(kernel.size() + 2))};
}
void AvgPoolGrad::eval(EvalCtx& ctx) const {
  const Tensor& dy = ctx.input(0);
  const Shape shape = ctx.input(1).to_ints();
  const auto axes = window_axes(ctx, *this, shape);
  if (dy.shape() != pooled_shape(shape, axes))
    ctx.fail("the gradient " + to_string(dy.shape()) + " does not fit data " + to_string(shape));
  Tensor dx = ctx.output(0, dy.element_type(), shape);
  if (dy.size() == 0) return;
  const size_t in = plane_size(axes, &WindowAxis::in), out = plane_size(axes, &WindowAxis::out),
               planes = dy.size() / out;
  const auto sizes = plane_sizes(axes);
  with_float_type(ctx, dy.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for (size_t o = 0; o < out; ++o) {
      int64_t padded, inside = 0;
      const Box box = window_box(axes, o, &padded);
      for_each_element(box, sizes.data(), axes.size(), [&](int64_t) { ++inside; });
      for (size_t p = 0; p < planes; ++p) {
        const T share = average<T>(static_cast<double>(dy.data<T>()[p * out + o]), exclude_pad ? inside : padded);
        T* plane = dx.data<T>() + p * in;
        for_each_element(box, sizes.data(), axes.size(), [&](int64_t at) { plane[at] += share; });
      }
    }
  });
}
void AvgPoolGrad::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.b(AvgPool{strides, pads_begin, pads_end, kernel, exclude_pad, rounding_type, auto_pad, dilations},
                   ctx.dout()));
}
Samples AvgPoolGrad::samples() {
  return {sample(AvgPoolGrad{{2}, {1}, {1}, {3}, false}, {Tensor::of<float>({1, 1, 2}, {3, 6}), int_tensor({1, 1, 4})},
                 {Tensor::of<float>({1, 1, 4}, {1, 3, 2, 2})}),
          sample(AvgPoolGrad{{2, 2}, {1, 1}, {1, 1}, {3, 3}, true},
                 {random_tensor({2, 3, 3, 4}, 1), int_tensor({2, 3, 6, 7})}),
          sample(AvgPoolGrad{{2, 2}, {}, {}, {2, 2}, true, RoundingType::ceil},
                 {random_tensor({1, 2, 3, 3}, 1), int_tensor({1, 2, 5, 5})})};
}
HONE_DEFINE_OP(AvgPoolGrad)

}  // namespace hone
