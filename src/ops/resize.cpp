// Every mode is separable: for each axis a table says which elements, with which weights, make each element of the
// result.
#include "ops/resize.hpp"

#include <algorithm>
#include <cmath>

#include "ops/axes.hpp"
#include "ops/family.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/resize_table.hpp"
#include "ops/strided_copy.hpp"

namespace hone {
namespace {

// Rounding of `in * scale` down. The slack keeps scales that were written with few digits from losing an element.
int64_t scaled(int64_t in, float scale) {
  return static_cast<int64_t>(static_cast<float>(in) * (scale + 1e-6f));
}

template <class Ctx>
std::vector<size_t> resized_axes(const Ctx& ctx, const Tensor& axes, size_t rank, size_t count) {
  std::vector<size_t> out;
  if (axes)
    out = axes_of(ctx, axes.to_ints(), rank);
  else
    for (size_t k = 0; k < rank; ++k) out.push_back(k);
  auto sorted = out;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) ctx.fail("an axis is given twice");
  if (out.size() != count)
    ctx.fail(std::to_string(count) + " sizes or scales for " + std::to_string(out.size()) + " axes");
  return out;
}

int64_t pad_at(const std::vector<int64_t>& pads, size_t k) {
  return k < pads.size() ? pads[k] : 0;
}

// Sizes of the resized axes of data of shape `in` (pads included).
template <class Ctx>
std::vector<AxisSize> axis_sizes(const Ctx& ctx, const Interpolate& op, const Shape& in, const Tensor& target,
                                 const Tensor& axes, const Tensor& roi) {
  std::vector<AxisSize> out;
  const auto at = resized_axes(ctx, axes, in.size(), target.size());
  const bool crop = op.coordinate_transformation_mode == CoordinateMode::tf_crop_and_resize;
  if (crop && (!roi || roi.size() != 2 * at.size()))
    ctx.fail("tf_crop_and_resize wants a roi of " + std::to_string(2 * at.size()) + " numbers");
  for (size_t i = 0; i < at.size(); ++i) {
    AxisSize s{at[i], in[at[i]], 0, 1};
    if (op.shape_calculation_mode == ShapeCalculation::sizes) {
      s.out = get_integer(target, i);
      s.scale = static_cast<float>(s.out) / static_cast<float>(s.in);
    } else {
      s.scale = static_cast<float>(get_element(target, i));
      if (!(s.scale > 0)) ctx.fail("a scale of " + std::to_string(s.scale));
      float length = 1;
      if (crop) length = static_cast<float>(get_element(roi, i + at.size()) - get_element(roi, i));
      s.out = crop ? static_cast<int64_t>(static_cast<float>(s.in) * length * s.scale) : scaled(s.in, s.scale);
    }
    if (s.out < 0) ctx.fail("a size of " + std::to_string(s.out));
    if (s.in == 0 && s.out > 0) ctx.fail("nothing to resize in " + to_string(in));
    element_count({s.out, 64});  // refuses absurd sizes before the table is made
    if (crop) {
      s.roi_begin = static_cast<float>(get_element(roi, i));
      s.roi_end = static_cast<float>(get_element(roi, i + at.size()));
    }
    out.push_back(s);
  }
  return out;
}

bool is_identity(const AxisTable& t, int64_t n) {
  if (static_cast<int64_t>(t.taps.size()) != n) return false;
  for (int64_t i = 0; i < n; ++i) {
    const auto& taps = t.taps[static_cast<size_t>(i)];
    if (taps.size() != 1 || taps[0].at != i || taps[0].weight != 1) return false;
  }
  return true;
}

// Sums along one axis.
Tensor resized_axis(const Tensor& x, const AxisTable& table) {
  Shape shape = x.shape();
  const int64_t n = shape[table.axis];
  shape[table.axis] = static_cast<int64_t>(table.taps.size());
  Tensor y(ElementType::f64, shape);
  int64_t outer = 1, inner = 1;
  for (size_t k = 0; k < table.axis; ++k) outer *= shape[k];
  for (size_t k = table.axis + 1; k < shape.size(); ++k) inner *= shape[k];
  const auto* from = x.data<double>();
  auto* to = y.data<double>();
  for (int64_t o = 0; o < outer; ++o) {
    for (const auto& taps : table.taps) {
      for (const Tap& t : taps) {
        const double* row = from + (o * n + t.at) * inner;
        for (int64_t i = 0; i < inner; ++i) to[i] += t.weight * row[i];
      }
      to += inner;
    }
  }
  return y;
}

Tensor padded(const Tensor& x, const Interpolate& op) {
  Shape shape = x.shape();
  bool any = false;
  Walk to;
  for (size_t k = 0; k < shape.size(); ++k) {
    shape[k] += pad_at(op.pads_begin, k) + pad_at(op.pads_end, k);
    any |= shape[k] != x.shape()[k] || pad_at(op.pads_begin, k) != 0;
    if (pad_at(op.pads_begin, k) < 0 || pad_at(op.pads_end, k) < 0) throw Error(ErrorCode::failed, "negative pads");
  }
  if (!any) return x;
  Tensor y(x.element_type(), shape);
  to.strides = strides_of(shape);
  for (size_t k = 0; k < shape.size(); ++k) to.offset += pad_at(op.pads_begin, k) * to.strides[k];
  copy_strided(x, {0, strides_of(x.shape())}, y, to, x.shape());
  return y;
}

}  // namespace

Types Interpolate::infer(InferCtx& ctx) const {
  PartialShape in = ctx.shape(0);
  if (!in.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic())};
  for (size_t k = 0; k < in.rank(); ++k) in[k] = in[k] + Dimension(pad_at(pads_begin, k) + pad_at(pads_end, k));
  const Tensor axes = ctx.has(2) ? ctx.constant(2) : Tensor(), target = ctx.constant(1),
               roi = ctx.has(3) ? ctx.constant(3) : Tensor();
  if (ctx.has(2) && !axes) return {Type(ctx.element(0), PartialShape::dynamic(in.rank()))};
  PartialShape out = in;
  std::vector<size_t> at;
  if (axes)
    at = axes_of(ctx, axes.to_ints(), in.rank());
  else
    for (size_t k = 0; k < in.rank(); ++k) at.push_back(k);
  const PartialShape& count = ctx.shape(1);
  ctx.check(!count.is_static() || element_count(count.to_shape()) == static_cast<int64_t>(at.size()),
            to_string(count) + " sizes or scales for " + std::to_string(at.size()) + " axes");
  const bool crop = coordinate_transformation_mode == CoordinateMode::tf_crop_and_resize;
  for (size_t i = 0; i < at.size(); ++i) {
    Dimension& d = out[at[i]];
    if (shape_calculation_mode == ShapeCalculation::sizes) {
      const auto content = known_elements(ctx, 1);
      d = content && i < content->size() ? (*content)[i] : Dimension();
    } else if (target && !crop) {
      const auto scale = static_cast<float>(get_element(target, i));
      ctx.check(scale > 0, "a scale of " + std::to_string(scale));
      if (scale != 1)
        d = Dimension(scaled(d.min(), scale), d.max() == Dimension::unbounded || d.max() > (1 << 24)
                                                  ? Dimension::unbounded
                                                  : scaled(d.max(), scale));
    } else if (target && roi && d.is_static()) {
      Shape one(in.rank(), 1);
      for (size_t k = 0; k < in.rank(); ++k) one[k] = in[k].is_static() ? in[k].min() : 1;
      d = Dimension(axis_sizes(ctx, *this, one, target, axes, roi)[i].out);
    } else {
      d = Dimension();
    }
  }
  return {Type(ctx.element(0), out)};
}

void Interpolate::eval(EvalCtx& ctx) const {
  const Tensor x = padded(ctx.input(0), *this);
  const auto sizes = axis_sizes(ctx, *this, x.shape(), ctx.input(1), ctx.has(2) ? ctx.input(2) : Tensor(),
                                ctx.has(3) ? ctx.input(3) : Tensor());
  Shape out = x.shape();
  for (const AxisSize& s : sizes) out[s.axis] = s.out;
  Tensor y = ctx.output(0, x.element_type(), out);  // refuses absurd sizes before the tables are made
  if (y.size() == 0) return;
  std::vector<AxisTable> tables;
  for (const AxisSize& s : sizes) tables.push_back(table_of(*this, s));
  std::vector<std::vector<int64_t>> maps(x.rank());
  for (size_t k = 0; k < x.rank(); ++k) {
    for (int64_t i = 0; i < out[k]; ++i) maps[k].push_back(i);
  }
  if (mode == InterpolateMode::nearest) {
    // No arithmetic: any element type.
    for (const AxisTable& t : tables) {
      for (size_t i = 0; i < t.taps.size(); ++i) maps[t.axis][i] = t.taps[i].empty() ? -1 : t.taps[i][0].at;
    }
    if (extrapolation_value != 0) fill(y, Tensor::scalar(static_cast<float>(extrapolation_value)));
    copy_mapped(x, y, maps);
    return;
  }
  Tensor wide = x.converted(ElementType::f64);
  for (const AxisTable& t : tables) {
    if (!is_identity(t, wide.shape()[t.axis])) wide = resized_axis(wide, t);
  }
  const bool integer = !is_float(y.element_type());
  for (size_t i = 0; i < y.size(); ++i)
    set_element(y, i, integer ? std::nearbyint(wide.data<double>()[i]) : wide.data<double>()[i]);
  if (coordinate_transformation_mode == CoordinateMode::tf_crop_and_resize) {
    Tensor filled(y.element_type(), out);
    fill(filled, Tensor::scalar(static_cast<float>(extrapolation_value)));
    for (const AxisTable& t : tables) {
      for (size_t i = 0; i < t.taps.size(); ++i) maps[t.axis][i] = t.taps[i].empty() ? -1 : static_cast<int64_t>(i);
    }
    copy_mapped(y, filled, maps);
    ctx.set_output(0, filled);
  }
}

// The transposed tables: a product with [out, in] weights along each axis, or a sum over groups where each element was
// repeated.
void Interpolate::grad(GradCtx& ctx) const {
  if (!ctx.needs(0)) return;
  Builder& b = ctx.b;
  const auto refuse = [](const char* why) -> void {
    throw Error(ErrorCode::unsupported, std::string("[Interpolate] the gradient wants ") + why);
  };
  const auto constant = [&](size_t i) { return ctx.input(i) ? ctx.input(i).constant() : Tensor(); };
  const PartialShape in = ctx.input(0).shape(), out = ctx.output().shape();
  const Tensor target = constant(1), axes = constant(2);
  for (int64_t p : pads_begin)
    if (p != 0) refuse("no pads");
  for (int64_t p : pads_end)
    if (p != 0) refuse("no pads");
  if (!in.rank_known() || !out.rank_known() || (ctx.input(2) && !axes)) refuse("a known rank and constant axes");
  if (coordinate_transformation_mode == CoordinateMode::tf_crop_and_resize)
    refuse("another mode than tf_crop_and_resize");
  const EvalCtx place({}, 0);
  std::vector<size_t> at;
  if (axes)
    at = axes_of(place, axes.to_ints(), in.rank());
  else
    for (size_t k = 0; k < in.rank(); ++k) at.push_back(k);
  Value d = ctx.dout();
  for (size_t i = 0; i < at.size(); ++i) {
    const size_t k = at[i];
    if (in[k].same(out[k]) && coordinate_transformation_mode != CoordinateMode::half_pixel_symmetric) continue;
    if (!in[k].is_static() || !out[k].is_static()) refuse("known sizes of the resized axes");
    AxisSize s{k, in[k].get_length(), out[k].get_length(), 1};
    s.scale = static_cast<float>(s.out) / static_cast<float>(s.in);
    if (shape_calculation_mode == ShapeCalculation::scales) {
      if (!target) refuse("constant scales");
      s.scale = static_cast<float>(get_element(target, i));
    }
    const AxisTable table = table_of(*this, s);
    const int64_t factor = s.in > 0 ? s.out / s.in : 0;
    bool repeats = factor > 1 && factor * s.in == s.out;
    for (int64_t p = 0; repeats && p < s.out; ++p) {
      const auto& taps = table.taps[static_cast<size_t>(p)];
      repeats = taps.size() == 1 && taps[0].at == p / factor && taps[0].weight == 1;
    }
    const size_t rank = in.rank();
    if (repeats) {
      Values apart, kept, merged;
      for (size_t a = 0; a < rank; ++a) {
        const Value size = a == k ? b.ints({s.in}) : dimension_value(b, d, a);
        apart.push_back(size), kept.push_back(size), merged.push_back(size);
        if (a == k) apart.push_back(b.ints({factor})), kept.push_back(b.ints({1}));
      }
      d = b(Reshape{}, b(SumToShape{}, b(Reshape{}, d, join(b, apart)), join(b, kept)), join(b, merged));
      continue;
    }
    Tensor weights(ElementType::f32, {s.out, s.in});
    for (int64_t p = 0; p < s.out; ++p) {
      for (const Tap& t : table.taps[static_cast<size_t>(p)])
        weights.data<float>()[p * s.in + t.at] += static_cast<float>(t.weight);
    }
    std::vector<int64_t> order;
    for (size_t a = 0; a < rank; ++a) order.push_back(static_cast<int64_t>(a));
    std::swap(order[k], order[rank - 1]);
    const Value matrix = b.constant(weights.converted(d.element_type()));
    if (k + 1 == rank)
      d = b(MatMul{}, d, matrix);
    else
      d = b(Transpose{}, b(MatMul{}, b(Transpose{}, d, b.ints(order)), matrix), b.ints(order));
  }
  ctx.set(0, d);
}

Samples Interpolate::samples() {
  // Expected values from OpenVINO 2026 (its modes) and the ONNX reference (the modes of Resize that it adds).
  const Tensor x = Tensor::of<float>({1, 1, 3, 4}, {1, 4, 2, 8, 5, 7, 3, 6, 9, 0, 2, 5}), axes = int_tensor({2, 3});
  struct Case {
    Interpolate op;
    Tensor target, roi, expected;
  };
  const Case cases[] = {
      {Interpolate{.mode = InterpolateMode::nearest, .coordinate_transformation_mode = CoordinateMode::half_pixel},
       int_tensor({5, 3}), Tensor(), Tensor::of<float>({1, 1, 5, 3}, {1, 4, 8, 1, 4, 8, 5, 7, 6, 9, 0, 5, 9, 0, 5})},
      {Interpolate{.mode = InterpolateMode::nearest, .coordinate_transformation_mode = CoordinateMode::asymmetric},
       int_tensor({5, 3}), Tensor(), Tensor::of<float>({1, 1, 5, 3}, {1, 4, 8, 5, 7, 6, 5, 7, 6, 9, 0, 5, 9, 0, 5})},
      {Interpolate{.mode = InterpolateMode::nearest, .coordinate_transformation_mode = CoordinateMode::align_corners},
       int_tensor({5, 3}), Tensor(), Tensor::of<float>({1, 1, 5, 3}, {1, 4, 8, 1, 4, 8, 5, 7, 6, 5, 7, 6, 9, 0, 5})},
      {Interpolate{.mode = InterpolateMode::linear, .coordinate_transformation_mode = CoordinateMode::half_pixel},
       int_tensor({5, 3}), Tensor(),
       Tensor::of<float>({1, 1, 5, 3}, {1.5f, 3, 7, 3.033334f, 3.8f, 6.4f, 5.333333f, 5, 5.5f, 6.633334f, 2.599999f,
                                        4.9f, 7.5f, 1, 4.5f})},
      {Interpolate{.mode = InterpolateMode::linear, .coordinate_transformation_mode = CoordinateMode::asymmetric},
       int_tensor({5, 3}), Tensor(),
       Tensor::of<float>({1, 1, 5, 3}, {1, 3.333333f, 6, 3.4f, 4.733333f, 5.4f, 5.8f, 4.666666f, 4.8f, 8.200001f,
                                        1.666666f, 4.2f, 9, 0.6666667f, 4})},
      {Interpolate{.mode = InterpolateMode::linear, .coordinate_transformation_mode = CoordinateMode::align_corners},
       int_tensor({5, 3}), Tensor(), Tensor::of<float>({1, 1, 5, 3}, {1, 3, 8, 3, 4, 7, 5, 5, 6, 7, 3, 5.5f, 9, 1, 5})},
      {Interpolate{.mode = InterpolateMode::linear_onnx, .coordinate_transformation_mode = CoordinateMode::half_pixel},
       int_tensor({5, 3}), Tensor(),
       Tensor::of<float>({1, 1, 5, 3}, {1.5f, 3, 7, 3.033334f, 3.8f, 6.4f, 5.333333f, 5, 5.5f, 6.633334f, 2.599999f,
                                        4.9f, 7.5f, 1, 4.5f})},
      {Interpolate{.mode = InterpolateMode::linear_onnx, .coordinate_transformation_mode = CoordinateMode::asymmetric},
       int_tensor({5, 3}), Tensor(),
       Tensor::of<float>({1, 1, 5, 3}, {1, 3.333333f, 6, 3.4f, 4.733333f, 5.4f, 5.8f, 4.666666f, 4.8f, 8.200001f,
                                        1.666666f, 4.2f, 9, 0.6666667f, 4})},
      {Interpolate{.mode = InterpolateMode::linear_onnx,
                   .coordinate_transformation_mode = CoordinateMode::align_corners},
       int_tensor({5, 3}), Tensor(), Tensor::of<float>({1, 1, 5, 3}, {1, 3, 8, 3, 4, 7, 5, 5, 6, 7, 3, 5.5f, 9, 1, 5})},
      {Interpolate{.mode = InterpolateMode::cubic, .coordinate_transformation_mode = CoordinateMode::half_pixel},
       int_tensor({5, 3}), Tensor(),
       Tensor::of<float>({1, 1, 5, 3},
                         {1.091722f, 2.50875f, 7.258166f, 2.808232f, 3.92975f, 6.546249f, 5.356482f, 4.90625f, 5.5f,
                          7.054731f, 1.984624f, 4.836249f, 7.896055f, -0.608f, 4.518166f})},
      {Interpolate{.mode = InterpolateMode::cubic, .coordinate_transformation_mode = CoordinateMode::asymmetric},
       int_tensor({5, 3}), Tensor(),
       Tensor::of<float>({1, 1, 5, 3}, {1, 3.37037f, 6, 3.016f, 5.539037f, 5.358f, 6.088f, 4.914517f, 4.604f, 8.392001f,
                                        0.6358514f, 4.256f, 9.432001f, -1.221037f, 4.094667f})},
      {Interpolate{.mode = InterpolateMode::cubic, .coordinate_transformation_mode = CoordinateMode::align_corners},
       int_tensor({5, 3}), Tensor(),
       Tensor::of<float>({1, 1, 5, 3}, {1, 2.71875f, 8, 2.625f, 4.28418f, 7.09375f, 5, 4.90625f, 6, 7.375f, 2.595703f,
                                        5.3125f, 9, -0.125f, 5})},
      {Interpolate{.mode = InterpolateMode::nearest,
                   .coordinate_transformation_mode = CoordinateMode::asymmetric,
                   .nearest_mode = NearestMode::round_prefer_ceil},
       int_tensor({6, 2}), Tensor(), Tensor::of<float>({1, 1, 6, 2}, {1, 2, 5, 3, 5, 3, 9, 2, 9, 2, 9, 2})},
      {Interpolate{.mode = InterpolateMode::nearest,
                   .coordinate_transformation_mode = CoordinateMode::asymmetric,
                   .nearest_mode = NearestMode::floor},
       int_tensor({6, 2}), Tensor(), Tensor::of<float>({1, 1, 6, 2}, {1, 2, 1, 2, 5, 3, 5, 3, 9, 2, 9, 2})},
      {Interpolate{.mode = InterpolateMode::nearest,
                   .coordinate_transformation_mode = CoordinateMode::asymmetric,
                   .nearest_mode = NearestMode::ceil},
       int_tensor({6, 2}), Tensor(), Tensor::of<float>({1, 1, 6, 2}, {1, 2, 5, 3, 5, 3, 9, 2, 9, 2, 9, 2})},
      {Interpolate{.mode = InterpolateMode::nearest,
                   .coordinate_transformation_mode = CoordinateMode::tf_half_pixel_for_nn,
                   .nearest_mode = NearestMode::simple},
       int_tensor({6, 2}), Tensor(), Tensor::of<float>({1, 1, 6, 2}, {4, 8, 4, 8, 7, 6, 7, 6, 0, 5, 0, 5})},
      {Interpolate{.mode = InterpolateMode::linear, .antialias = true}, int_tensor({2, 2}), Tensor(),
       Tensor::of<float>({1, 1, 2, 2}, {3.6071424f, 4.857143f, 4.678571f, 3.6964288f})},
      {Interpolate{.mode = InterpolateMode::bilinear_pillow, .cube_coeff = -0.5}, int_tensor({2, 6}), Tensor(),
       Tensor::of<float>({1, 1, 2, 6}, {2.5f, 3.8125f, 4.666667f, 2.833334f, 4.8125f, 7.25f, 7.5f, 5.0625f, 2.583333f,
                                        2.416667f, 3.875f, 5.375f})},
      {Interpolate{.mode = InterpolateMode::bicubic_pillow, .cube_coeff = -0.5}, int_tensor({2, 6}), Tensor(),
       Tensor::of<float>({1, 1, 2, 6}, {2.035778f, 3.866962f, 5.098306f, 2.49332f, 4.837787f, 7.665962f, 8.102347f,
                                        5.328581f, 2.21445f, 2.184961f, 3.903975f, 5.459111f})},
      {Interpolate{.mode = InterpolateMode::linear_onnx, .antialias = true}, int_tensor({2, 2}), Tensor(),
       Tensor::of<float>({1, 1, 2, 2}, {3.333333f, 5.166667f, 5, 3.833333f})},
      {Interpolate{.mode = InterpolateMode::linear_onnx, .antialias = true, .exclude_outside = true},
       int_tensor({2, 2}), Tensor(), Tensor::of<float>({1, 1, 2, 2}, {3.607143f, 4.857143f, 4.678571f, 3.696429f})},
      {Interpolate{
           .mode = InterpolateMode::cubic, .shape_calculation_mode = ShapeCalculation::scales, .antialias = true},
       Tensor::of<float>({2}, {0.6f, 0.7f}), Tensor(), Tensor::of<float>({1, 1, 1, 2}, {3.515085f, 3.780422f})},
      {Interpolate{.mode = InterpolateMode::cubic, .cube_coeff = -0.5, .exclude_outside = true}, int_tensor({5, 5}),
       Tensor(),
       Tensor::of<float>({1, 1, 5, 5}, {0.5650387f, 3.04218f,    2.652122f, 3.540274f, 8.420357f, 2.087936f, 4.695539f,
                                        3.767724f,  3.572518f,   7.557371f, 4.913461f, 6.723703f, 4.9375f,   3.556956f,
                                        6.129808f,  8.00054f,    4.059036f, 1.989272f, 3.185974f, 5.38519f,  9.727234f,
                                        2.055853f,  -0.1037744f, 2.941283f, 5.054337f})},
      {Interpolate{.mode = InterpolateMode::linear_onnx,
                   .shape_calculation_mode = ShapeCalculation::scales,
                   .coordinate_transformation_mode = CoordinateMode::half_pixel_symmetric},
       Tensor::of<float>({2}, {2.3f, 2.94f}), Tensor(),
       Tensor::of<float>(
           {1, 1, 6, 11},
           {1,         1.418367f, 2.438776f, 3.459184f, 3.680272f, 3,          2.319728f, 3.081633f, 5.122449f,
            7.163265f, 8,         2.391304f, 2.761165f, 3.663265f, 4.565365f,  4.612541f, 3.695652f, 2.778764f,
            3.241349f, 4.92724f,  6.613132f, 7.304348f, 4.130435f, 4.439663f,  5.193878f, 5.948092f, 5.777876f,
            4.565217f, 3.352558f, 3.440994f, 4.68323f,  5.925466f, 6.434783f,  5.869565f, 5.814996f, 5.681899f,
            5.548802f, 5.047323f, 4.130435f, 3.213546f, 3.323425f, 4.343833f,  5.364241f, 5.782609f, 7.608696f,
            6.887164f, 5.127329f, 3.367495f, 2.420881f, 2.391304f, 2.361727f,  2.888642f, 3.90905f,  4.929459f,
            5.347826f, 9,         7.744898f, 4.683673f, 1.622449f, 0.3197279f, 1,         1.680272f, 2.540816f,
            3.561224f, 4.581633f, 5})},
      {Interpolate{.mode = InterpolateMode::linear_onnx,
                   .shape_calculation_mode = ShapeCalculation::scales,
                   .coordinate_transformation_mode = CoordinateMode::align_corners_unrounded},
       Tensor::of<float>({2}, {0.6f, 0.6f}), Tensor(), Tensor::of<float>({1, 1, 1, 2}, {1, 2.857142f})},
      {Interpolate{.mode = InterpolateMode::linear_onnx,
                   .coordinate_transformation_mode = CoordinateMode::tf_crop_and_resize,
                   .extrapolation_value = 10},
       int_tensor({3, 3}), Tensor::of<float>({4}, {0.4f, 0.6f, 0.6f, 1.7f}),
       Tensor::of<float>({1, 1, 3, 3}, {3.52f, 10, 10, 3.8f, 10, 10, 3.36f, 10, 10})},
      {Interpolate{.shape_calculation_mode = ShapeCalculation::scales}, Tensor::of<float>({2}, {2, 2}), Tensor(),
       Tensor::of<float>({1, 1, 6, 8}, {1, 1, 4, 4, 2, 2, 8, 8, 1, 1, 4, 4, 2, 2, 8, 8, 5, 5, 7, 7, 3, 3, 6, 6,
                                        5, 5, 7, 7, 3, 3, 6, 6, 9, 9, 0, 0, 2, 2, 5, 5, 9, 9, 0, 0, 2, 2, 5, 5})},
  };
  Samples samples;
  for (const Case& c : cases) {
    samples.push_back(sample(c.op, {x, c.target, axes}, {c.expected}));
    // A gradient needs sizes that are constant; floats are not in the generated tests.
    samples.back().check_gradient = c.op.shape_calculation_mode == ShapeCalculation::sizes && !c.roi;
    if (c.roi) samples.back().inputs.emplace_back(c.roi);
  }
  samples.push_back(sample(Interpolate{.pads_begin = {0, 1}, .pads_end = {0, 0}},
                           {Tensor::of<uint8_t>({1, 2}, {1, 2}), int_tensor({1, 6})},
                           {Tensor::of<uint8_t>({1, 6}, {0, 0, 1, 1, 2, 2})}));
  return samples;
}
HONE_DEFINE_OP(Interpolate)

}  // namespace hone
