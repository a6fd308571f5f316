// The last step of single-shot detectors.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class BoxCode { corner, center_size };
HONE_ENUM_NAMES(BoxCode, "caffe.PriorBoxParameter.CORNER", "caffe.PriorBoxParameter.CENTER_SIZE")
/// Inputs: box offsets [N, priors * (1 or classes) * 4], scores [N, priors * classes], priors [1 or N, 1 or 2, priors *
/// (4 or 5)] with their variances. Output: [1, 1, K, 7] rows of image, label, score, xmin, ymin, xmax, ymax; after the
/// last one a row that begins with -1. With `decrease_label_id` each prior keeps its best class alone and labels count
/// from the first class that is no background.
struct DetectionOutput {
  int64_t background_label_id = 0;
  int64_t top_k = -1;
  bool variance_encoded_in_target = false;
  std::vector<int64_t> keep_top_k{};
  BoxCode code_type = BoxCode::corner;
  bool share_location = true;
  double nms_threshold = 0;
  double confidence_threshold = 0;
  bool clip_after_nms = false;
  bool clip_before_nms = false;
  bool decrease_label_id = false;
  bool normalized = false;
  int64_t input_height = 1;
  int64_t input_width = 1;
  double objectness_score = 0;
  static void fields(auto& o, auto&& f) {
    f("background_label_id", o.background_label_id);
    f("top_k", o.top_k);
    f("variance_encoded_in_target", o.variance_encoded_in_target);
    f("keep_top_k", o.keep_top_k);
    f("code_type", o.code_type);
    f("share_location", o.share_location);
    f("nms_threshold", o.nms_threshold);
    f("confidence_threshold", o.confidence_threshold);
    f("clip_after_nms", o.clip_after_nms);
    f("clip_before_nms", o.clip_before_nms);
    f("decrease_label_id", o.decrease_label_id);
    f("normalized", o.normalized);
    f("input_height", o.input_height);
    f("input_width", o.input_width);
    f("objectness_score", o.objectness_score);
  }
  HONE_OP("DetectionOutput") HONE_NO_GRAD("selects boxes")
};

}  // namespace hone
