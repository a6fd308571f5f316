// Resizing, cropping, boxes, patches.
#include "formats/tensorflow/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
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
Items resize_bicubic(NodeContext& n) {
  return resize(n, InterpolateMode::cubic);
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
