// Boxes that lie askew: centre x and y, width, height, angle in radians.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: boxes [N, M, 5], scores [N, C, M], most boxes of a class, overlap threshold, score threshold (scalars).
/// Outputs as of NonMaxSuppression: (image, class, box) [K, 3], (image, class, score) [K, 3], K.
struct NMSRotated {
  bool sort_result_descending = true;
  ElementType output_type = ElementType::i64;
  bool clockwise = true;
  static void fields(auto& o, auto&& f) {
    f("sort_result_descending", o.sort_result_descending);
    f("output_type", o.output_type);
    f("clockwise", o.clockwise);
  }
  HONE_OP("NMSRotated") HONE_NO_GRAD("selects boxes")
};

/// Inputs: data [N, C, H, W], boxes [R, 5], image of each box [R]. Output: [R, C, pooled_h, pooled_w], the mean of
/// `sampling_ratio`^2 samples of each bin; 0 takes as many as a bin has pixels.
struct ROIAlignRotated {
  int64_t pooled_h = 1;
  int64_t pooled_w = 1;
  int64_t sampling_ratio = 0;
  double spatial_scale = 1;
  bool clockwise_mode = false;
  static void fields(auto& o, auto&& f) {
    f("pooled_h", o.pooled_h);
    f("pooled_w", o.pooled_w);
    f("sampling_ratio", o.sampling_ratio);
    f("spatial_scale", o.spatial_scale);
    f("clockwise_mode", o.clockwise_mode);
  }
  HONE_OP("ROIAlignRotated") HONE_NO_GRAD("not offered yet")
};

}  // namespace hone
