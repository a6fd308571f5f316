// Resizing, cropping, boxes, patches.
#include <algorithm>
#include <cmath>
#include <limits>

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

// Two products with weights where the sizes are known; else by the exact cubic, which differs by the rounding of
// positions.
Items resize_bicubic(NodeContext& n) {
  const PartialShape in = n.in(0).shape();
  const Tensor size = NodeContext::folded(n.in(1));
  constexpr int64_t most = int64_t{1} << 24;  // weights of one axis
  const bool known = size && size.size() == 2 && in.rank_known() && in.rank() == 4 && in[1].is_static() &&
                     in[2].is_static() && in[3].is_static();
  if (!known) return resize(n, InterpolateMode::cubic);
  const int64_t h = in[1].get_length(), w = in[2].get_length(), c = in[3].get_length(), to_h = get_integer(size, 0),
                to_w = get_integer(size, 1);
  if (h < 1 || w < 1 || c < 1 || to_h < 1 || to_w < 1 || to_h > most / h || to_w > most / w)
    return resize(n, InterpolateMode::cubic);
  const bool corners = n.flag("align_corners", false), half = n.flag("half_pixel_centers", false);
  const Value x = n.cast(n.in(0), ElementType::f32);
  const Value wide = n(MatMul{}, n.b.constant(bicubic_weights(w, to_w, corners, half)), n.reshape(x, {-1, w, c}));
  const Value tall =
      n(MatMul{}, n.b.constant(bicubic_weights(h, to_h, corners, half)), n.reshape(wide, {-1, h, to_w * c}));
  return {n.reshape(tall, {-1, to_h, to_w, c})};
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

constexpr OperatorRow rows[] = {
    {"ExtractImagePatches", image_patches},
    {"ResizeBicubic", resize_bicubic},
    {"ResizeBilinear", resize_bilinear},
    {"ResizeNearestNeighbor", resize_nearest},
};

}  // namespace

std::span<const OperatorRow> image_rows() {
  return rows;
}

}  // namespace hone::tensorflow
