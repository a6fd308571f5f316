// Resizing, cropping, boxes, patches.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include "formats/tensorflow/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/patches.hpp"
#include "ops/reduce.hpp"
#include "ops/resize.hpp"

namespace hone::tensorflow {
namespace {

Value first(NodeContext& n, Value v) {
  return n.transpose(v, {0, 3, 1, 2});
}
Value back(NodeContext& n, Value v) {
  return n.transpose(v, {0, 2, 3, 1});
}

Items resize(NodeContext& n, InterpolateMode mode) {
  Interpolate op;
  op.mode = mode;
  const bool corners = n.flag("align_corners", false), half = n.flag("half_pixel_centers", false);
  op.coordinate_transformation_mode = corners ? CoordinateMode::align_corners
                                      : half  ? CoordinateMode::half_pixel
                                              : CoordinateMode::asymmetric;
  if (mode == InterpolateMode::nearest) {
    op.nearest_mode = corners ? NearestMode::round_prefer_ceil : NearestMode::floor;
    if (half) op.coordinate_transformation_mode = CoordinateMode::tf_half_pixel_for_nn;
  } else if (mode == InterpolateMode::cubic) {
    // Keys' coefficient with half pixels, the older -0.75 without.
    op.cube_coeff = half ? -0.5 : -0.75;
    op.exclude_outside = half;
  }
  const Value x = n.in(0);
  const Value real =
      mode == InterpolateMode::nearest || x.element_type() == ElementType::f32 ? x : n.cast(x, ElementType::f32);
  return {back(n, n(op, first(n, real), n.vector(n.in(1)), n.ints_constant({2, 3})))};
}
Items resize_bilinear(NodeContext& n) {
  return resize(n, InterpolateMode::linear_onnx);
}
Items resize_nearest(NodeContext& n) {
  return resize(n, InterpolateMode::nearest);
}

// Weights [out, in] of bicubic resizing along one axis as TensorFlow computes them: positions between pixels are
// rounded to a table of 1024 steps, in f32 (tensorflow/core/kernels/image/resize_bicubic_op.cc).
Tensor bicubic_weights(int64_t in, int64_t out, bool corners, bool half) {
  constexpr int64_t steps = 1 << 10;
  const double a = half ? -0.5 : -0.75;
  const auto near = [&](int64_t step) {  // up to one pixel away
    const double x = static_cast<double>(step) / steps;
    return static_cast<float>(((a + 2) * x - (a + 3)) * x * x + 1);
  };
  const auto far = [&](int64_t step) {  // between one and two
    const double x = static_cast<double>(step) / steps + 1;
    return static_cast<float>(((a * x - 5 * a) * x + 8 * a) * x - 4 * a);
  };
  const float scale = corners && out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                                         : static_cast<float>(in) / static_cast<float>(out);
  Tensor w(ElementType::f32, {out, in});
  for (int64_t o = 0; o < out; ++o) {
    const float at = half ? (static_cast<float>(o) + 0.5f) * scale - 0.5f : static_cast<float>(o) * scale;
    const auto first = static_cast<int64_t>(std::floor(at));
    const int64_t step = std::lrintf((at - static_cast<float>(first)) * static_cast<float>(steps));
    float four[4] = {far(step), near(step), near(steps - step), far(steps - step)};
    float* row = w.data<float>() + o * in;
    if (half) {
      // Pixels outside take no part; the others make up for them.
      float sum = 0;
      for (int64_t k = 0; k < 4; ++k) {
        if (first - 1 + k < 0 || first - 1 + k >= in) four[k] = 0;
        sum += four[k];
      }
      for (float& v : four) v = std::fabs(sum) >= 1000 * std::numeric_limits<float>::min() ? v / sum : v;
    }
    for (int64_t k = 0; k < 4; ++k) row[std::clamp<int64_t>(first - 1 + k, 0, in - 1)] += four[k];
  }
  return w;
}

// Sizes of the images and of what they become, where all are known and the weights of an axis are not too many.
struct KnownSizes {
  int64_t h, w, c, to_h, to_w;
};
std::optional<KnownSizes> known_sizes(NodeContext& n) {
  const PartialShape in = n.in(0).shape();
  const Tensor size = NodeContext::folded(n.in(1));
  constexpr int64_t most = int64_t{1} << 24;  // weights of one axis
  if (!size || size.size() != 2 || !in.rank_known() || in.rank() != 4 || !in[1].is_static() || !in[2].is_static() ||
      !in[3].is_static())
    return std::nullopt;
  const KnownSizes s{in[1].get_length(), in[2].get_length(), in[3].get_length(), get_integer(size, 0),
                     get_integer(size, 1)};
  if (s.h < 1 || s.w < 1 || s.c < 1 || s.to_h < 1 || s.to_w < 1 || s.to_h > most / s.h || s.to_w > most / s.w)
    return std::nullopt;
  return s;
}

// Two products with the weights [out, in] of each axis.
Items weighted(NodeContext& n, const KnownSizes& s, const Tensor& rows, const Tensor& columns) {
  const Value x = n.cast(n.in(0), ElementType::f32);
  const Value wide = n(MatMul{}, n.b.constant(columns), n.reshape(x, {-1, s.w, s.c}));
  const Value tall = n(MatMul{}, n.b.constant(rows), n.reshape(wide, {-1, s.h, s.to_w * s.c}));
  return {n.reshape(tall, {-1, s.to_h, s.to_w, s.c})};
}

// By TensorFlow's table where the sizes are known; else by the exact cubic, which differs by the rounding of positions.
Items resize_bicubic(NodeContext& n) {
  const auto s = known_sizes(n);
  if (!s) return resize(n, InterpolateMode::cubic);
  const bool corners = n.flag("align_corners", false), half = n.flag("half_pixel_centers", false);
  return weighted(n, *s, bicubic_weights(s->h, s->to_h, corners, half), bicubic_weights(s->w, s->to_w, corners, half));
}

// Each pixel of the result is the mean of the area that it covers.
Tensor area_weights(int64_t in, int64_t out, bool corners) {
  const float scale = corners && out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                                         : static_cast<float>(in) / static_cast<float>(out);
  Tensor w(ElementType::f32, {out, in});
  for (int64_t o = 0; o < out; ++o) {
    const float from = static_cast<float>(o) * scale, to = static_cast<float>(o + 1) * scale;
    for (auto i = static_cast<int64_t>(std::floor(from)); i < static_cast<int64_t>(std::ceil(to)); ++i) {
      const auto low = static_cast<float>(i), high = static_cast<float>(i + 1);
      const float part = low < from ? (high > to ? scale : high - from) : (high > to ? to - low : 1.0f);
      w.data<float>()[o * in + std::clamp<int64_t>(i, 0, in - 1)] += part / scale;
    }
  }
  return w;
}
Items resize_area(NodeContext& n) {
  const auto s = known_sizes(n);
  if (!s) n.fail("wants images and a result of known size: give the input a shape");
  const bool corners = n.flag("align_corners", false);
  return weighted(n, *s, area_weights(s->h, s->to_h, corners), area_weights(s->w, s->to_w, corners));
}

// The kernels of tf.image.resize and tf.raw_ops.ScaleAndTranslate (core/kernels/image/sampling_kernels.h), x >= 0.
struct SamplingKernel {
  const char* name;
  float radius;
  float (*at)(float x, float radius);
};
float lanczos(float x, float radius) {
  if (x > radius) return 0;
  if (x <= 1e-3f) return 1;
  const double pi = std::numbers::pi;
  return static_cast<float>(radius * std::sin(pi * x) * std::sin(pi * x / radius) / (pi * pi * x * x));
}
constexpr SamplingKernel sampling_kernels[] = {
    {"lanczos1", 1, lanczos},
    {"lanczos3", 3, lanczos},
    {"lanczos5", 5, lanczos},
    {"gaussian", 1.5f, [](float x, float r) { return x >= r ? 0 : std::exp(-x * x / (2 * (r / 3) * (r / 3))); }},
    {"box", 1, [](float x, float) { return x < 0.5f    ? 1.0f
                                           : x == 0.5f ? 0.5f
                                                       : 0.0f; }},
    {"triangle", 1, [](float x, float) { return x < 1 ? 1 - x : 0.0f; }},
    {"keyscubic", 2,
     [](float x, float) {
       if (x >= 2) return 0.0f;
       return x >= 1 ? ((-0.5f * x + 2.5f) * x - 4) * x + 2 : ((1.5f * x - 2.5f) * x) * x + 1;
     }},
    {"mitchellcubic", 2,
     [](float x, float) {
       if (x >= 2) return 0.0f;
       return x >= 1 ? (((-7.0f / 18) * x + 2) * x - 10.0f / 3) * x + 16.0f / 9
                     : (((7.0f / 6) * x - 2) * x) * x + 8.0f / 9;
     }},
};

// Weights of one axis as tensorflow/core/kernels/image/scale_and_translate_op.cc computes them, in f32.
Tensor sampling_weights(const SamplingKernel& kernel, int64_t in, int64_t out, float scale, float translation,
                        bool antialias) {
  const float step = 1 / scale, shift = -step * translation, wide = antialias ? std::max(step, 1.0f) : 1.0f;
  const float reach = kernel.radius * wide;
  Tensor w(ElementType::f32, {out, in});
  for (int64_t o = 0; o < out; ++o) {
    const float at = (static_cast<float>(o) + 0.5f) * step + shift;
    if (!(at >= 0 && at <= static_cast<float>(in))) continue;  // outside of the image: zero
    const auto inside = [&](float v) { return static_cast<int64_t>(std::clamp(v, 0.0f, static_cast<float>(in - 1))); };
    const int64_t begin = inside(std::ceil(at - reach - 0.5f)), end = inside(std::floor(at + reach - 0.5f));
    float* row = w.data<float>() + o * in;
    float sum = 0;
    for (int64_t i = begin; i <= end; ++i) {
      row[i] = kernel.at(std::fabs((static_cast<float>(i) + 0.5f - at) / wide), kernel.radius);
      sum += row[i];
    }
    const bool counts = std::fabs(sum) >= 1000 * std::numeric_limits<float>::min();
    for (int64_t i = begin; i <= end; ++i) row[i] = counts ? row[i] / sum : 0;
  }
  return w;
}
Items scale_and_translate(NodeContext& n) {
  const auto s = known_sizes(n);
  if (!s) n.fail("wants images and a result of known size: give the input a shape");
  const Tensor scale = n.constant(2, "scale"), translation = n.constant(3, "translation");
  const std::string name = n.s("kernel_type", "lanczos3");
  const auto* kernel = std::find_if(std::begin(sampling_kernels), std::end(sampling_kernels),
                                    [&](const SamplingKernel& k) { return name == k.name; });
  if (kernel == std::end(sampling_kernels)) n.fail("has no kernel '" + name + "'");
  if (scale.size() != 2 || translation.size() != 2) n.fail("wants two scales and two translations");
  const auto weights = [&](size_t axis, int64_t in, int64_t out) {
    const auto factor = static_cast<float>(get_element(scale, axis));
    if (!(factor > 0) || !std::isfinite(1 / factor)) n.fail("has a scale that is out of range");
    return sampling_weights(*kernel, in, out, factor, static_cast<float>(get_element(translation, axis)),
                            n.flag("antialias", true));
  };
  return weighted(n, *s, weights(0, s->h, s->to_h), weights(1, s->w, s->to_w));
}

// Patches [N, h, w, kh * kw * C], the channel last.
Items image_patches(NodeContext& n) {
  const auto spatial = [&](const char* name) {
    const auto v = n.ints(name, {1, 1, 1, 1});
    if (v.size() != 4) n.fail(std::string(name) + " must have four numbers");
    return std::vector<int64_t>{v[1], v[2]};
  };
  ExtractImagePatches op;
  op.sizes = spatial("ksizes");
  op.strides = spatial("strides");
  op.rates = spatial("rates");
  op.auto_pad = n.s("padding") == "SAME" ? AutoPad::same_upper : AutoPad::valid;
  return {back(n, n(op, first(n, n.in(0))))};
}

// The largest of each window's pixels with the kernel [h, w, C] added; what lies outside of the picture does not count.
Items dilation(NodeContext& n) {
  Value x = n.in(0);
  const Value kernel = n.in(1);
  if (!is_float(x.element_type())) n.refuse("of integers is not offered");
  if (n.rank(x) != 4 || n.rank(kernel) != 3) n.fail("wants data of rank 4 and a kernel of rank 3");
  const auto strides = n.ints("strides"), rates = n.ints("rates");
  const std::string padding = n.s("padding");
  if (strides.size() != 4 || rates.size() != 4) n.fail("strides and rates must have one number for each axis");
  if (padding != "SAME" && padding != "VALID") n.fail("unknown padding '" + padding + "'");
  std::vector<int64_t> before(4, 0), behind(4, 0), out(2), taps(2);
  for (size_t k = 0; k < 2; ++k) {
    const Dimension size = x.shape()[k + 1], tap = kernel.shape()[k];
    if (size.is_dynamic() || tap.is_dynamic()) n.refuse("needs to know the size of its pictures and its kernel");
    const int64_t stride = strides[k + 1], rate = rates[k + 1];
    if (stride < 1 || rate < 1 || stride > 1 << 20 || rate > 1 << 20) n.fail("strides or rates are out of range");
    taps[k] = tap.get_length();
    if (taps[k] < 1 || taps[k] > 64) n.refuse("with a kernel of more than 64 x 64 is not offered");
    const int64_t reach = (taps[k] - 1) * rate + 1;
    out[k] = padding == "SAME" ? (size.get_length() + stride - 1) / stride : (size.get_length() - reach) / stride + 1;
    if (out[k] < 1 || (padding == "VALID" && size.get_length() < reach))
      n.fail("the kernel is larger than the picture");
    const int64_t missing = std::max<int64_t>((out[k] - 1) * stride + reach - size.get_length(), 0);
    before[k + 1] = padding == "SAME" ? missing / 2 : 0;
    behind[k + 1] = padding == "SAME" ? missing - missing / 2 : 0;
  }
  x = n(Pad{}, x, n.ints_constant(before), n.ints_constant(behind),
        n.like(x, -std::numeric_limits<double>::infinity()));
  Value y;
  for (int64_t i = 0; i < taps[0]; ++i) {
    const int64_t top = i * rates[1];
    const Value rows = n.slice(x, 1, top, top + (out[0] - 1) * strides[1] + 1, strides[1]);
    for (int64_t j = 0; j < taps[1]; ++j) {
      const int64_t left = j * rates[2];
      const Value pixels = n.slice(rows, 2, left, left + (out[1] - 1) * strides[2] + 1, strides[2]);
      const Value term = n(Add{}, pixels, n.gather(n.gather(kernel, n.int_constant(i), 0), n.int_constant(j), 0));
      y = y ? n(Maximum{}, y, term) : term;
    }
  }
  return {y};
}

constexpr OperatorRow rows[] = {
    {"Dilation2D", dilation},
    {"ExtractImagePatches", image_patches},
    {"ResizeArea", resize_area},
    {"ResizeBicubic", resize_bicubic},
    {"ResizeBilinear", resize_bilinear},
    {"ResizeNearestNeighbor", resize_nearest},
    {"ScaleAndTranslate", scale_and_translate},
};

}  // namespace

std::span<const OperatorRow> image_rows() {
  return rows;
}

}  // namespace hone::tensorflow
