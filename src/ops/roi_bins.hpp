// Pooling of regions where each bin of the result reads channels of its own (R-FCN and its deformable form).
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class PsRoiMode { average, bilinear };
HONE_ENUM_NAMES(PsRoiMode, "average", "bilinear")
/// Inputs: data [N, C, H, W], boxes [R, 5] (image, x1, y1, x2, y2). Output: [R, output_dim, group_size, group_size].
/// `average` reads channel (c x group_size + row) x group_size + column of the input; `bilinear` divides a box into
/// `spatial_bins_y` x `spatial_bins_x` parts with `output_dim` channels each, samples each of them and averages over
/// the parts.
struct PSROIPooling {
  int64_t output_dim = 1;
  int64_t group_size = 1;
  double spatial_scale = 1;
  PsRoiMode mode = PsRoiMode::average;
  int64_t spatial_bins_x = 1;
  int64_t spatial_bins_y = 1;
  static void fields(auto& o, auto&& f) {
    f("output_dim", o.output_dim);
    f("group_size", o.group_size);
    f("spatial_scale", o.spatial_scale);
    f("mode", o.mode);
    f("spatial_bins_x", o.spatial_bins_x);
    f("spatial_bins_y", o.spatial_bins_y);
  }
  HONE_OP("PSROIPooling") HONE_NO_GRAD("not offered yet")
};

/// Inputs: data [N, C, H, W], boxes [R, 5], optional offsets [R, 2 x classes, part_size, part_size] that move each bin
/// by a multiple of the box. Output: [R, output_dim, group_size, group_size]; each bin is the mean of spatial_bins_y x
/// spatial_bins_x bilinear samples inside the map.
struct DeformablePSROIPooling {
  int64_t output_dim = 1;
  double spatial_scale = 1;
  int64_t group_size = 1;
  std::string mode = "bilinear_deformable";
  int64_t spatial_bins_x = 1;
  int64_t spatial_bins_y = 1;
  double trans_std = 1;
  int64_t part_size = 1;
  static void fields(auto& o, auto&& f) {
    f("output_dim", o.output_dim);
    f("spatial_scale", o.spatial_scale);
    f("group_size", o.group_size);
    f("mode", o.mode);
    f("spatial_bins_x", o.spatial_bins_x);
    f("spatial_bins_y", o.spatial_bins_y);
    f("trans_std", o.trans_std);
    f("part_size", o.part_size);
  }
  HONE_OP("DeformablePSROIPooling") HONE_NO_GRAD("not offered yet")
};

}  // namespace hone
