// Suppression of overlapping boxes, class by class: what two-stage and anchor-based detectors end with.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class BoxOrder { class_id, score, none };
HONE_ENUM_NAMES(BoxOrder, "classid", "score", "none")

/// Inputs: boxes [N, M, 4] (x1, y1, x2, y2), scores [N, C, M]; or boxes [C, M, 4], scores [C, M] and the number of
/// boxes of each image [N]. Outputs: rows of class, score and box [K, 6], the boxes' places in the flattened first
/// input [K, 1], the number of rows of each image [N]. Without scaling by `normalized`, boxes include their last pixel.
/// `nms_eta` below 1 lowers a threshold above 0.5 with each box that is taken.
struct MulticlassNms {
  BoxOrder sort_result_type = BoxOrder::none;
  bool sort_result_across_batch = false;
  ElementType output_type = ElementType::i64;
  double iou_threshold = 0;
  double score_threshold = 0;
  int64_t nms_top_k = -1;
  int64_t keep_top_k = -1;
  int64_t background_class = -1;
  double nms_eta = 1;
  bool normalized = true;
  static void fields(auto& o, auto&& f) {
    f("sort_result_type", o.sort_result_type);
    f("sort_result_across_batch", o.sort_result_across_batch);
    f("output_type", o.output_type);
    f("iou_threshold", o.iou_threshold);
    f("score_threshold", o.score_threshold);
    f("nms_top_k", o.nms_top_k);
    f("keep_top_k", o.keep_top_k);
    f("background_class", o.background_class);
    f("nms_eta", o.nms_eta);
    f("normalized", o.normalized);
  }
  HONE_OP("MulticlassNms") HONE_NO_GRAD("selects boxes")
};

enum class ScoreDecay { gaussian, linear };
HONE_ENUM_NAMES(ScoreDecay, "gaussian", "linear")

/// Inputs and outputs as of MulticlassNms with two inputs. Scores of overlapping boxes decay all at once (Wang et al.,
/// SOLOv2) instead of one box after the other being dropped.
struct MatrixNms {
  BoxOrder sort_result_type = BoxOrder::none;
  bool sort_result_across_batch = false;
  ElementType output_type = ElementType::i64;
  double score_threshold = 0;
  int64_t nms_top_k = -1;
  int64_t keep_top_k = -1;
  int64_t background_class = -1;
  ScoreDecay decay_function = ScoreDecay::linear;
  double gaussian_sigma = 2;
  double post_threshold = 0;
  bool normalized = true;
  static void fields(auto& o, auto&& f) {
    f("sort_result_type", o.sort_result_type);
    f("sort_result_across_batch", o.sort_result_across_batch);
    f("output_type", o.output_type);
    f("score_threshold", o.score_threshold);
    f("nms_top_k", o.nms_top_k);
    f("keep_top_k", o.keep_top_k);
    f("background_class", o.background_class);
    f("decay_function", o.decay_function);
    f("gaussian_sigma", o.gaussian_sigma);
    f("post_threshold", o.post_threshold);
    f("normalized", o.normalized);
  }
  HONE_OP("MatrixNms") HONE_NO_GRAD("selects boxes")
};

}  // namespace hone
