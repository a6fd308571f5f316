// Reading feature maps at positions that are data: grids and regions of interest.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class GridMode { bilinear, nearest, bicubic };
HONE_ENUM_NAMES(GridMode, "bilinear", "nearest", "bicubic")
enum class GridPadding { zeros, border, reflection };
HONE_ENUM_NAMES(GridPadding, "zeros", "border", "reflection")
/// Inputs: data [N, C, spatial...], grid [N, out spatial..., number of spatial axes] with positions in [-1, 1], the
/// last axis first. Output: [N, C, out spatial...]. All modes work for any number of spatial axes.
struct GridSample {
  bool align_corners = false;
  GridMode mode = GridMode::bilinear;
  GridPadding padding_mode = GridPadding::zeros;
  static void fields(auto& o, auto&& f) {
    f("align_corners", o.align_corners);
    f("mode", o.mode);
    f("padding_mode", o.padding_mode);
  }
  HONE_OP("GridSample") HONE_NO_GRAD("not offered yet")
};

enum class RoiMode { avg, max, max_neighbour };
HONE_ENUM_NAMES(RoiMode, "avg", "max", "max_neighbour")
enum class RoiAlignedMode { asymmetric, half_pixel_for_nn, half_pixel };
HONE_ENUM_NAMES(RoiAlignedMode, "asymmetric", "half_pixel_for_nn", "half_pixel")
/// Inputs: data [N, C, H, W], boxes [R, 4] (x1, y1, x2, y2), batch numbers [R]. Output: [R, C, pooled_h, pooled_w].
/// `sampling_ratio` 0 takes as many samples as a bin has pixels. `max` is over the interpolated samples (OpenVINO),
/// `max_neighbour` over the weighted neighbours of each sample (ONNX).
struct ROIAlign {
  int64_t pooled_h = 1;
  int64_t pooled_w = 1;
  int64_t sampling_ratio = 0;
  double spatial_scale = 1;
  RoiMode mode = RoiMode::avg;
  RoiAlignedMode aligned_mode = RoiAlignedMode::asymmetric;
  static void fields(auto& o, auto&& f) {
    f("pooled_h", o.pooled_h);
    f("pooled_w", o.pooled_w);
    f("sampling_ratio", o.sampling_ratio);
    f("spatial_scale", o.spatial_scale);
    f("mode", o.mode);
    f("aligned_mode", o.aligned_mode);
  }
  HONE_OP("ROIAlign") HONE_NO_GRAD("not offered yet")
};

enum class RoiMethod { max, bilinear };
HONE_ENUM_NAMES(RoiMethod, "max", "bilinear")
/// Inputs: data [N, C, H, W], boxes [R, 5] (batch number, x1, y1, x2, y2: in pixels times `spatial_scale` for max, in
/// [0, 1] for bilinear). Output: [R, C, output_roi...].
struct ROIPooling {
  std::vector<int64_t> output_roi{1, 1};
  double spatial_scale = 1;
  RoiMethod method = RoiMethod::max;
  static void fields(auto& o, auto&& f) {
    f("output_roi", o.output_roi);
    f("spatial_scale", o.spatial_scale);
    f("method", o.method);
  }
  HONE_OP("ROIPooling") HONE_NO_GRAD("not offered yet")
};

}  // namespace hone
