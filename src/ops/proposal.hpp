// Regions that a two-stage detector looks at: boxes from anchors, the best of them without much overlap; and what it
// finds in them.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: class probabilities [N, 2 x anchors, H, W] (background first), box offsets [N, 4 x anchors, H, W], image
/// size [3 or 4] (height, width, scale). Outputs: boxes [N x post_nms_topn, 5] (image, x1, y1, x2, y2) and their
/// scores; after the last box of an image its number is -1, the rest is 0. `framework` "tensorflow" has boxes without
/// their last pixel, rows before columns and clipped anchors.
struct Proposal {
  int64_t base_size = 1;
  int64_t pre_nms_topn = 1;
  int64_t post_nms_topn = 1;
  double nms_thresh = 0;
  int64_t feat_stride = 1;
  int64_t min_size = 1;
  std::vector<double> ratio{};
  std::vector<double> scale{};
  bool clip_before_nms = true;
  bool clip_after_nms = false;
  bool normalize = false;
  double box_size_scale = 1;
  double box_coordinate_scale = 1;
  std::string framework{};
  static void fields(auto& o, auto&& f) {
    f("base_size", o.base_size);
    f("pre_nms_topn", o.pre_nms_topn);
    f("post_nms_topn", o.post_nms_topn);
    f("nms_thresh", o.nms_thresh);
    f("feat_stride", o.feat_stride);
    f("min_size", o.min_size);
    f("ratio", o.ratio);
    f("scale", o.scale);
    f("clip_before_nms", o.clip_before_nms);
    f("clip_after_nms", o.clip_after_nms);
    f("normalize", o.normalize);
    f("box_size_scale", o.box_size_scale);
    f("box_coordinate_scale", o.box_coordinate_scale);
    f("framework", o.framework);
  }
  HONE_OP("Proposal") HONE_NO_GRAD("selects boxes")
};

/// Inputs: image sizes [N, 3 or 4] (height, width, scales), anchors [H, W, A, 4], offsets [N, 4 x A, H, W], scores [N,
/// A, H, W]. Outputs: boxes [K, 4], scores [K], the number of boxes of each image [N].
struct GenerateProposals {
  double min_size = 0;
  double nms_threshold = 0;
  int64_t pre_nms_count = 1;
  int64_t post_nms_count = 1;
  bool normalized = true;
  double nms_eta = 1;
  ElementType roi_num_type = ElementType::i64;
  static void fields(auto& o, auto&& f) {
    f("min_size", o.min_size);
    f("nms_threshold", o.nms_threshold);
    f("pre_nms_count", o.pre_nms_count);
    f("post_nms_count", o.post_nms_count);
    f("normalized", o.normalized);
    f("nms_eta", o.nms_eta);
    f("roi_num_type", o.roi_num_type);
  }
  HONE_OP("GenerateProposals") HONE_NO_GRAD("selects boxes")
};

/// Inputs: image size [3] (height, width, scale), anchors [H x W x A, 4], offsets [4 x A, H, W], scores [A, H, W].
/// Outputs: boxes [post_nms_count, 4] and scores, zero where there are fewer.
struct ExperimentalDetectronGenerateProposalsSingleImage {
  double min_size = 0;
  double nms_threshold = 0;
  int64_t pre_nms_count = 1;
  int64_t post_nms_count = 1;
  static void fields(auto& o, auto&& f) {
    f("min_size", o.min_size);
    f("nms_threshold", o.nms_threshold);
    f("pre_nms_count", o.pre_nms_count);
    f("post_nms_count", o.post_nms_count);
  }
  HONE_OP("ExperimentalDetectronGenerateProposalsSingleImage") HONE_NO_GRAD("selects boxes")
};

/// Inputs: regions [N, 4], offsets [N, 4 x classes], scores [N, classes] (background first), image size [1, 3] (height,
/// width, scale). Outputs: boxes [max_detections_per_image, 4], their classes (i32) and scores; zero where there are
/// fewer. They stand class by class where all are taken, by falling score where only the best are.
struct ExperimentalDetectronDetectionOutput {
  double score_threshold = 0;
  double nms_threshold = 0;
  int64_t num_classes = 1;
  int64_t post_nms_count = 1;
  int64_t max_detections_per_image = 1;
  bool class_agnostic_box_regression = false;  ///< says where the offsets came from; changes nothing
  double max_delta_log_wh = 0;
  std::vector<double> deltas_weights{};
  static void fields(auto& o, auto&& f) {
    f("score_threshold", o.score_threshold);
    f("nms_threshold", o.nms_threshold);
    f("num_classes", o.num_classes);
    f("post_nms_count", o.post_nms_count);
    f("max_detections_per_image", o.max_detections_per_image);
    f("class_agnostic_box_regression", o.class_agnostic_box_regression);
    f("max_delta_log_wh", o.max_delta_log_wh);
    f("deltas_weights", o.deltas_weights);
  }
  HONE_OP("ExperimentalDetectronDetectionOutput") HONE_NO_GRAD("selects boxes")
};

}  // namespace hone
