// Convolution, pooling, matrix products, resizing.
#include <algorithm>
#include <cmath>

#include "formats/onnx/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/pooling.hpp"
#include "ops/random.hpp"
#include "ops/reduce.hpp"
#include "ops/resize.hpp"
#include "ops/unary.hpp"
#include "ops/window.hpp"

namespace hone::onnx {
namespace {

AutoPad auto_pad(NodeContext& n) {
  const std::string s = n.s("auto_pad", "NOTSET");
  if (s == "NOTSET" || s.empty()) return AutoPad::explicit_;
  if (s == "SAME_UPPER") return AutoPad::same_upper;
  if (s == "SAME_LOWER") return AutoPad::same_lower;
  if (s == "VALID") return AutoPad::valid;
  n.fail("unknown auto_pad '" + s + "'");
}

// Strides, dilations and pads, which every windowed operator has.
template <class Op>
Op windowed(NodeContext& n, size_t spatial) {
  Op op;
  op.auto_pad = auto_pad(n);
  op.strides = window::filled(n.ints("strides"), spatial, 1, 1, "strides");
  if constexpr (requires { op.dilations; })
    op.dilations = window::filled(n.ints("dilations"), spatial, 1, 1, "dilations");
  const auto pads = n.ints("pads", std::vector<int64_t>(2 * spatial, 0));
  if (pads.size() != 2 * spatial) n.fail("pads must have two numbers for each spatial axis");
  window::filled(pads, pads.size(), 0, -window::limit, "pads");
  const bool given = op.auto_pad == AutoPad::explicit_;
  op.pads_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(given ? spatial : 0));
  op.pads_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(spatial),
                     pads.begin() + static_cast<std::ptrdiff_t>(given ? 2 * spatial : spatial));
  op.pads_begin.resize(spatial, 0);
  op.pads_end.resize(spatial, 0);
  return op;
}

size_t spatial_rank(NodeContext& n, Value w) {
  const size_t r = n.rank(w);
  if (r < 3) n.fail("wants weights with spatial axes");
  return r - 2;
}

// [C] -> [C, 1...] so that it broadcasts over space.
Value channel_vector(NodeContext& n, Value v, size_t spatial) {
  std::vector<int64_t> axes;
  for (size_t k = 0; k < spatial; ++k) axes.push_back(static_cast<int64_t>(k) + 1);
  return axes.empty() ? v : n.unsqueeze(v, axes);
}

// [a, b, k...] -> [groups, a / groups, b, k...].
Value grouped_weights(NodeContext& n, Value w, int64_t groups) {
  if (w.shape().is_static()) {
    Shape s = w.shape().to_shape();
    if (groups < 1 || s[0] % groups != 0) n.fail("group does not divide the channels of the weights");
    s[0] /= groups;
    s.insert(s.begin(), groups);
    return n.reshape(w, s);
  }
  const auto r = static_cast<int64_t>(n.rank(w));
  return n(Reshape{}, w, n.concat({n.ints_constant({groups, -1}), n.dims(w, 1, r)}, 0));
}

Value with_bias(NodeContext& n, Value y, size_t spatial) {
  return n.has(2) ? n(Add{}, y, channel_vector(n, n.in(2), spatial)) : y;
}

Values convolution(NodeContext& n) {
  const Value x = n.in(0), w = n.in(1);
  const size_t spatial = spatial_rank(n, w);
  const int64_t groups = n.i("group", 1);
  const Value y = groups == 1 ? n(windowed<Convolution>(n, spatial), x, w)
                              : n(windowed<GroupConvolution>(n, spatial), x, grouped_weights(n, w, groups));
  return {with_bias(n, y, spatial)};
}

template <class Op>
Value transposed(NodeContext& n, Value x, Value w, size_t spatial) {
  Op op = windowed<Op>(n, spatial);
  op.output_padding = window::filled(n.ints("output_padding"), spatial, 0, 0, "output_padding");
  const bool same = op.auto_pad == AutoPad::same_upper || op.auto_pad == AutoPad::same_lower;
  bool known = x.shape().rank_known() && x.shape().rank() == spatial + 2 && w.shape().rank_known() &&
               w.shape().rank() == spatial + 2;
  for (size_t k = 0; known && k < spatial; ++k) {
    const Dimension &in = x.shape()[k + 2], &kernel = w.shape()[w.shape().rank() - spatial + k];
    known = in.is_static() && kernel.is_static();
    if (in.min() > window::limit || kernel.min() > window::limit) n.fail("has sizes that are out of range");
  }
  if (!n.has_attribute("output_shape") && !(same && known)) return n(op, x, w);
  auto shape = n.ints("output_shape");
  if (shape.empty()) {
    // SAME_*: the output is `strides` times the input.
    for (size_t k = 0; k < spatial; ++k) shape.push_back(x.shape()[k + 2].get_length() * op.strides[k]);
  }
  if (shape.size() == spatial + 2) shape.erase(shape.begin(), shape.begin() + 2);
  if (shape.size() != spatial) n.fail("output_shape must have one number for each spatial axis");
  window::filled(shape, spatial, 0, 0, "output_shape");
  // ONNX splits the total padding by auto_pad; without one the bigger half comes first.
  const PartialShape in = x.shape(), kernel = w.shape();
  const size_t k0 = kernel.rank() - spatial;
  for (size_t k = 0; k < spatial; ++k) {
    if (in[k + 2].is_dynamic() || kernel[k0 + k].is_dynamic()) n.refuse("output_shape needs static spatial sizes");
    if (in[k + 2].min() > window::limit || kernel[k0 + k].min() > window::limit)
      n.fail("has sizes that are out of range");
    const int64_t total = std::max<int64_t>(0, op.strides[k] * (in[k + 2].get_length() - 1) + op.output_padding[k] +
                                                   (kernel[k0 + k].get_length() - 1) * op.dilations[k] + 1 - shape[k]);
    const int64_t half = total / 2;
    // What the window does not reach is filled by output padding.
    const int64_t reach =
        op.strides[k] * (in[k + 2].get_length() - 1) + (kernel[k0 + k].get_length() - 1) * op.dilations[k] + 1;
    op.pads_begin[k] = op.auto_pad == AutoPad::same_upper ? half : total - half;
    op.pads_end[k] = total - op.pads_begin[k];
    op.output_padding[k] = std::max<int64_t>(0, shape[k] - (reach - total));
  }
  op.auto_pad = AutoPad::explicit_;
  return n(op, x, w);
}

Values conv_transpose(NodeContext& n) {
  const Value x = n.in(0), w = n.in(1);
  const size_t spatial = spatial_rank(n, w);
  const int64_t groups = n.i("group", 1);
  const Value y = groups == 1 ? transposed<ConvolutionBackpropData>(n, x, w, spatial)
                              : transposed<GroupConvolutionBackpropData>(n, x, grouped_weights(n, w, groups), spatial);
  return {with_bias(n, y, spatial)};
}

RoundingType rounding(NodeContext& n) {
  return n.i("ceil_mode", 0) ? RoundingType::ceil_torch : RoundingType::floor;
}

Values max_pool(NodeContext& n) {
  const auto kernel = n.ints("kernel_shape");
  auto op = windowed<MaxPool>(n, kernel.size());
  op.kernel = kernel;
  op.rounding_type = rounding(n);
  Values out = n.all(op, {n.in(0)});
  if (n.wants(1) && n.i("storage_order", 0)) {
    // Column-major indices: row r and column c of the last two axes change places in the flat number.
    const Value x = n.in(0), index = out[1];
    if (n.rank(x) != 4) n.refuse("storage_order 1 is offered for two spatial axes");
    const Value h = n.gather(n.shape_of(x), n.int_constant(2), 0), w = n.gather(n.shape_of(x), n.int_constant(3), 0);
    const Value plane = n(Multiply{}, h, w), within = n(FloorMod{}, index, plane), base = n(Subtract{}, index, within);
    const Value row = n(Divide{}, within, w), column = n(FloorMod{}, within, w);
    out[1] = n(Add{}, base, n(Add{}, n(Multiply{}, column, h), row));
  }
  return out;
}

Values average_pool(NodeContext& n) {
  const auto kernel = n.ints("kernel_shape");
  auto op = windowed<AvgPool>(n, kernel.size());
  op.kernel = kernel;
  op.rounding_type = rounding(n);
  op.exclude_pad = n.i("count_include_pad", 0) == 0;
  return {n(op, n.in(0))};
}

std::vector<int64_t> spatial_axes(NodeContext& n) {
  std::vector<int64_t> axes;
  for (size_t k = 2; k < n.rank(n.in(0)); ++k) axes.push_back(static_cast<int64_t>(k));
  return axes;
}
Values global_average_pool(NodeContext& n) {
  return {n(ReduceMean{true}, n.in(0), n.ints_constant(spatial_axes(n)))};
}
Values global_max_pool(NodeContext& n) {
  return {n(ReduceMax{true}, n.in(0), n.ints_constant(spatial_axes(n)))};
}

Value p_norm_power(NodeContext& n, Value x, int64_t p) {
  return p == 1 ? n(Abs{}, x) : n(Power{}, n(Abs{}, x), n.like(x, static_cast<double>(p)));
}
Value p_root(NodeContext& n, Value x, int64_t p) {
  return p == 1 ? x : n(Power{}, x, n.like(x, 1.0 / static_cast<double>(p)));
}

Values global_lp_pool(NodeContext& n) {
  const int64_t p = n.version < 2 ? static_cast<int64_t>(n.f("p", 2)) : n.i("p", 2);
  return {p_root(n, n(ReduceSum{true}, p_norm_power(n, n.in(0), p), n.ints_constant(spatial_axes(n))), p)};
}

// (sum |x|^p)^(1/p): the sum is a convolution of each channel with ones.
Values lp_pool(NodeContext& n) {
  const Value x = n.in(0);
  const auto kernel = n.ints("kernel_shape");
  const int64_t p = n.version < 2 ? static_cast<int64_t>(n.f("p", 2)) : n.i("p", 2);
  window::filled(kernel, kernel.size(), 1, 1, "kernel_shape");
  auto op = windowed<Convolution>(n, kernel.size());
  if (rounding(n) != RoundingType::floor) {
    if (n.rank(x) != kernel.size() + 2) n.fail("has a kernel of another rank than its input");
    for (size_t k = 0; k < kernel.size(); ++k) {
      if (x.shape()[k + 2].is_dynamic()) n.refuse("ceil_mode needs static sizes");
      const int64_t in = x.shape()[k + 2].get_length(), extent = (kernel[k] - 1) * op.dilations[k] + 1;
      const int64_t span = in + op.pads_begin[k] + op.pads_end[k] - extent;
      int64_t out = (span + op.strides[k] - 1) / op.strides[k] + 1;
      if ((out - 1) * op.strides[k] >= in + op.pads_begin[k]) --out;
      op.pads_end[k] += std::max<int64_t>(0, (out - 1) * op.strides[k] - span);
    }
  }
  Shape weights{1, 1};
  weights.insert(weights.end(), kernel.begin(), kernel.end());
  const Value s = n.shape_of(x);
  const auto rank = static_cast<int64_t>(n.rank(x));
  const Value flat =
      n(Reshape{}, p_norm_power(n, x, p), n.concat({n.ints_constant({-1, 1}), n.slice(s, 0, 2, rank)}, 0));
  const Value sum = p_root(n, n(op, flat, n(Broadcast{}, n.like(x, 1), n.ints_constant(weights))), p);
  return {n(Reshape{}, sum, n.concat({n.slice(s, 0, 0, 2), n.slice(n.shape_of(sum), 0, 2, rank)}, 0))};
}

Values matmul(NodeContext& n) {
  return {n(MatMul{}, n.in(0), n.in(1))};
}

Values gemm(NodeContext& n) {
  const Value a = n.in(0), b = n.in(1);
  const double alpha = n.f("alpha", 1), beta = n.f("beta", 1);
  auto scaled = [&](Value v, double by) {
    if (by == 1) return v;
    if (is_integer(v.element_type()))
      return n.cast(n(Multiply{}, n.cast(v, ElementType::f64), n.b.scalar<double>(by)), v.element_type());
    return n(Multiply{}, v, n.like(v, by));
  };
  const Value y = scaled(n(MatMul{n.i("transA", 0) != 0, n.i("transB", 0) != 0}, a, b), alpha);
  if (!n.has(2) || beta == 0) return {y};
  return {n(Add{}, y, scaled(n.in(2), beta))};
}

// Ratio and mode are known only when the model runs: the mask is drawn by comparison.
Values dropout_of_data(NodeContext& n) {
  const Value x = n.in(0);
  const Value ratio = n.has(1) ? n.cast(n.in(1), ElementType::f32) : n.b.scalar<float>(0.5f),
              mode = n.has(2) ? n.in(2) : n.b.scalar<bool>(true);
  const Value state = n.b.constant(Tensor::of<uint64_t>({2}, {static_cast<uint64_t>(n.i("seed", 0)), 0}));
  const Value draw =
      n.all(RandomUniform{ElementType::f32}, {n.shape_of(x), n.b.scalar<float>(0), n.b.scalar<float>(1), state})[0];
  const Value kept = n(LogicalOr{}, n(GreaterEqual{}, draw, ratio), n(LogicalNot{}, mode));
  const Value one = n.b.scalar<float>(1), factor = n(Select{}, mode, n(Divide{}, one, n(Subtract{}, one, ratio)), one);
  const Value scaled = n.cast(n(Multiply{}, n.cast(x, ElementType::f32), factor), x.element_type());
  return {n(Select{}, kept, scaled, n.like(x, 0)), kept};
}

Values dropout(NodeContext& n) {
  const Value x = n.in(0);
  bool training = n.version < 7 && n.i("is_test", 0) == 0;
  double ratio = n.version < 12 ? n.f("ratio", 0.5) : 0.5;
  if (n.version >= 12) {
    const Tensor mode = n.constant(2), r = n.constant(1);
    training = n.has(2) && !(mode && !get_integer(mode, 0));
    if (r) ratio = get_element(r, 0);
    if (training && ((n.has(1) && !r) || (n.has(2) && !mode))) return dropout_of_data(n);
  } else {
    training = false;  // older exports of inference graphs leave is_test out
  }
  if (!training || ratio == 0) {
    Values out{x};
    if (n.wants(1)) {
      const ElementType t = n.version < 10 ? x.element_type() : ElementType::boolean;
      out.push_back(n(Broadcast{}, n.cast(n.b.scalar<bool>(true), t), n.shape_of(x)));
    }
    return out;
  }
  const auto seed = static_cast<uint64_t>(n.i("seed", 0));
  const Value state = n.b.constant(Tensor::of<uint64_t>({2}, {seed, 0}));
  const Values d = n.all(Dropout{ratio, true}, {x, state});
  return {d[0], d[2]};
}

CoordinateMode coordinates(NodeContext& n, const std::string& s) {
  CoordinateMode m{};
  const auto names = enum_names(m);
  for (size_t k = 0; k < names.size(); ++k) {
    if (names[k] == s) return static_cast<CoordinateMode>(k);
  }
  n.refuse("coordinate_transformation_mode '" + s + "' is not offered");
}

Values resize(NodeContext& n) {
  const Value x = n.in(0);
  Interpolate op;
  const std::string mode = n.s("mode", "nearest");
  if (mode == "nearest")
    op.mode = InterpolateMode::nearest;
  else if (mode == "linear")
    op.mode = InterpolateMode::linear_onnx;
  else if (mode == "cubic")
    op.mode = InterpolateMode::cubic;
  else
    n.fail("unknown mode '" + mode + "'");
  if (n.op() == "Upsample") {
    op.coordinate_transformation_mode = CoordinateMode::asymmetric;
    op.nearest_mode = NearestMode::floor;
    op.shape_calculation_mode = ShapeCalculation::scales;
    if (n.version >= 9) return {n(op, x, n.in(1))};
    std::vector<float> scales = n.floats("scales");
    if (scales.empty())
      scales = {1, 1, static_cast<float>(n.f("height_scale", 1)), static_cast<float>(n.f("width_scale", 1))};
    return {n(op, x, n.b.constant(Tensor::of<float>({std::ssize(scales)}, std::span<const float>(scales))))};
  }
  if (n.version < 11) {
    op.coordinate_transformation_mode = CoordinateMode::asymmetric;
    op.nearest_mode = NearestMode::floor;
    op.shape_calculation_mode = ShapeCalculation::scales;
    return {n(op, x, n.in(1))};
  }
  op.coordinate_transformation_mode = coordinates(n, n.s("coordinate_transformation_mode", "half_pixel"));
  op.extrapolation_value = n.f("extrapolation_value", 0);
  const std::string nearest = n.s("nearest_mode", "round_prefer_floor");
  const auto names = enum_names(op.nearest_mode);
  for (size_t k = 0; k < names.size(); ++k) {
    if (names[k] == nearest) op.nearest_mode = static_cast<NearestMode>(k);
  }
  op.cube_coeff = n.f("cubic_coeff_a", -0.75);
  op.exclude_outside = n.i("exclude_outside", 0) != 0;
  op.antialias = n.i("antialias", 0) != 0;
  Value axes;
  if (n.has_attribute("axes")) axes = n.ints_constant(n.ints("axes"));
  const bool sized = n.has(3) && !(n.in(3).shape().is_static() && element_count(n.in(3).shape().to_shape()) == 0);
  Value roi;
  if (op.coordinate_transformation_mode == CoordinateMode::tf_crop_and_resize) roi = n.cast(n.in(1), ElementType::f32);
  auto resized = [&](Value target) {
    return roi ? n(op, x, target, axes, roi) : axes ? n(op, x, target, axes) : n(op, x, target);
  };
  if (!sized) {
    op.shape_calculation_mode = ShapeCalculation::scales;
    // With scales the corners are those of the size before it is rounded.
    if (op.coordinate_transformation_mode == CoordinateMode::align_corners) {
      const Tensor scales = n.constant(2);
      bool whole = scales && x.shape().rank_known();
      for (size_t k = 0; whole && k < scales.size(); ++k) {
        const int64_t a = n.has_attribute("axes") ? n.axis(n.ints("axes").at(k), x) : static_cast<int64_t>(k);
        if (static_cast<size_t>(a) >= x.shape().rank()) n.fail("axis " + std::to_string(a) + " is out of range");
        const Dimension length = x.shape()[static_cast<size_t>(a)];
        const double exact =
            get_element(scales, k) * (length.is_static() ? static_cast<double>(length.get_length()) : 1);
        whole = exact == std::floor(exact);
      }
      if (!whole) op.coordinate_transformation_mode = CoordinateMode::align_corners_unrounded;
    }
    return {resized(n.in(2))};
  }
  Value sizes = n.in(3);
  const std::string policy = n.s("keep_aspect_ratio_policy", "stretch");
  if (policy == "stretch") return {resized(sizes)};
  // One scale for all axes: the least or the greatest of wanted / present; sizes are rounded half up.
  const Value present = axes ? n.gather(n.shape_of(x), axes, 0) : n.shape_of(x);
  const Value have = n.cast(present, ElementType::f32), ratio = n(Divide{}, n.cast(sizes, ElementType::f32), have);
  const Value all = n.ints_constant({0});
  const Value scale = policy == "not_larger" ? n(ReduceMin{true}, ratio, all) : n(ReduceMax{true}, ratio, all);
  const Value exact = n(Multiply{}, scale, have);
  const Value rounded = n.cast(n(Floor{}, n(Add{}, exact, n.b.scalar<float>(0.5f))), ElementType::i64);
  return {resized(rounded)};
}

constexpr OperatorRow rows[] = {
    {"AveragePool", 1, average_pool},
    {"Conv", 1, convolution},
    {"ConvTranspose", 1, conv_transpose},
    {"Dropout", 1, dropout},
    {"Gemm", 1, gemm},
    {"GlobalAveragePool", 1, global_average_pool},
    {"GlobalLpPool", 1, global_lp_pool},
    {"GlobalMaxPool", 1, global_max_pool},
    {"LpPool", 1, lp_pool},
    {"MatMul", 1, matmul},
    {"MaxPool", 1, max_pool},
    {"Resize", 10, resize},
    {"Upsample", 1, resize},
};

}  // namespace

std::span<const OperatorRow> network_rows() {
  return rows;
}

}  // namespace hone::onnx
