// Interpolate (opset 11 and ONNX Resize).
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class InterpolateMode { nearest, linear, linear_onnx, cubic, bilinear_pillow, bicubic_pillow };
HONE_ENUM_NAMES(InterpolateMode, "nearest", "linear", "linear_onnx", "cubic", "bilinear_pillow", "bicubic_pillow")
enum class ShapeCalculation { sizes, scales };
HONE_ENUM_NAMES(ShapeCalculation, "sizes", "scales")
/// Those of opset 11, and of ONNX: half_pixel_symmetric, tf_crop_and_resize (reads `roi`), and align_corners_unrounded,
/// which divides by the length in * scale - 1 before rounding, as ONNX does where scales are given.
enum class CoordinateMode {
  half_pixel,
  pytorch_half_pixel,
  asymmetric,
  tf_half_pixel_for_nn,
  align_corners,
  half_pixel_symmetric,
  tf_crop_and_resize,
  align_corners_unrounded,
};
HONE_ENUM_NAMES(CoordinateMode, "half_pixel", "pytorch_half_pixel", "asymmetric", "tf_half_pixel_for_nn",
                "align_corners", "half_pixel_symmetric", "tf_crop_and_resize", "align_corners_unrounded")
enum class NearestMode { round_prefer_floor, round_prefer_ceil, floor, ceil, simple };
HONE_ENUM_NAMES(NearestMode, "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "simple")
/// Inputs: data, sizes or scales (one per axis of the list), axes (optional: all), roi (starts, then ends, of the axes
/// as fractions; tf_crop_and_resize only). `antialias` filters when shrinking: mode linear drops what lies outside of
/// the image (opset 11), linear_onnx and cubic repeat the border unless `exclude_outside` (ONNX); the Pillow modes
/// always filter.
struct Interpolate {
  InterpolateMode mode = InterpolateMode::nearest;
  ShapeCalculation shape_calculation_mode = ShapeCalculation::sizes;
  CoordinateMode coordinate_transformation_mode = CoordinateMode::half_pixel;
  NearestMode nearest_mode = NearestMode::round_prefer_floor;
  bool antialias = false;
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  double cube_coeff = -0.75;
  bool exclude_outside = false;
  double extrapolation_value = 0.0;  ///< outside of the image, for tf_crop_and_resize
  static void fields(auto& o, auto&& f) {
    f("mode", o.mode);
    f("shape_calculation_mode", o.shape_calculation_mode);
    f("coordinate_transformation_mode", o.coordinate_transformation_mode);
    f("nearest_mode", o.nearest_mode);
    f("antialias", o.antialias);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
    f("cube_coeff", o.cube_coeff);
    f("exclude_outside", o.exclude_outside);
    f("extrapolation_value", o.extrapolation_value);
  }
  HONE_OP("Interpolate") HONE_GRAD
};

}  // namespace hone
