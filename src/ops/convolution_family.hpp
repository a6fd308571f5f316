// Shared by convolution.cpp, transposed_convolution.cpp and convolution_weights.cpp: checks of shapes, pieces of
// gradients.
#pragma once
#include <optional>

#include "ops/basic.hpp"
#include "ops/convolution.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"
#include "ops/window.hpp"

namespace hone::convolution {

inline constexpr size_t max_rank = 8;  // spatial axes that the index arithmetic of the reference holds

/// The spatial rank from x [N, C, spatial...] or the weights, whichever is known; nullopt where neither is.
inline std::optional<size_t> spatial_rank(InferCtx& ctx, size_t weight_axes) {
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

inline ElementType common_type(InferCtx& ctx) {
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

inline PartialShape space(const PartialShape& s, size_t rank, size_t skip) {
  if (!s.rank_known()) return PartialShape::dynamic(rank);
  return PartialShape(std::vector<Dimension>(s.begin() + static_cast<std::ptrdiff_t>(skip), s.end()));
}
inline Shape space(const Shape& s, size_t skip) {
  return Shape(s.begin() + static_cast<std::ptrdiff_t>(skip), s.end());
}

struct Weights {
  size_t groups, rows, columns;  // [groups, rows, columns, kernel...]
  Shape kernel;
};
inline Weights weights_of(const EvalCtx& ctx, const Shape& w, bool grouped) {
  const size_t lead = grouped ? 3 : 2;
  if (w.size() <= lead || w.size() - lead > max_rank) ctx.fail("weights " + to_string(w) + " have no kernel axes");
  return {static_cast<size_t>(grouped ? w[0] : 1), static_cast<size_t>(w[lead - 2]), static_cast<size_t>(w[lead - 1]),
          space(w, lead)};
}
inline void check_data(const EvalCtx& ctx, const Tensor& x, const Tensor& w, const Weights& weights, size_t channels) {
  if (x.element_type() != w.element_type())
    ctx.fail(std::string("element types ") + name_of(x.element_type()) + " and " + name_of(w.element_type()) +
             " differ");
  if (x.rank() != weights.kernel.size() + 2)
    ctx.fail("data " + to_string(x.shape()) + " and weights " + to_string(w.shape()) + " differ in spatial rank");
  if (static_cast<size_t>(x.shape()[1]) != weights.groups * channels)
    ctx.fail("data " + to_string(x.shape()) + " has other channels than weights " + to_string(w.shape()));
}

inline Shape output_shape(int64_t batch, size_t channels, const std::vector<WindowAxis>& axes,
                          int64_t WindowAxis::*size) {
  Shape s{batch, static_cast<int64_t>(channels)};
  for (const auto& a : axes) s.push_back(a.*size);
  return s;
}

inline bool spatially_static(const Value& v, size_t skip) {
  if (!v.shape().rank_known()) return false;
  for (size_t i = skip; i < v.shape().rank(); ++i) {
    if (v.shape()[i].is_dynamic()) return false;
  }
  return true;
}
inline Shape spatial_shape(const Value& v, size_t skip) {
  Shape s;
  for (size_t i = skip; i < v.shape().rank(); ++i) s.push_back(v.shape()[i].get_length());
  return s;
}
/// Sizes of the spatial axes of `v` as a value.
inline Value spatial_sizes(Builder& b, Value v) {
  if (spatially_static(v, 2)) return b.ints(spatial_shape(v, 2));
  return b(Slice{}, b(ShapeOf{}, v), b.ints({2}), b.ints({static_cast<int64_t>(v.shape().rank())}), b.ints({1}),
           b.ints({0}));
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

inline ConvolutionBackpropWeights weights_gradient(const WindowAttributes& a, const Shape& kernel, int64_t groups,
                                                   bool grouped) {
  auto op = with_window<ConvolutionBackpropWeights>(a);
  op.kernel = kernel;
  op.groups = groups;
  op.grouped_weights = grouped;
  return op;
}

}  // namespace hone::convolution
