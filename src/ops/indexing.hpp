// Gather, scatter, sort, select.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: data, indices, axis (scalar). Negative indices count from the end.
struct Gather {
  int64_t batch_dims = 0;
  static void fields(auto& o, auto&& f) { f("batch_dims", o.batch_dims); }
  HONE_OP("Gather") HONE_GRAD
};
struct GatherElements {
  int64_t axis = 0;
  static void fields(auto& o, auto&& f) { f("axis", o.axis); }
  HONE_OP("GatherElements") HONE_GRAD
};
struct GatherND {
  int64_t batch_dims = 0;
  static void fields(auto& o, auto&& f) { f("batch_dims", o.batch_dims); }
  HONE_OP("GatherND") HONE_GRAD
};
enum class ScatterReduction { none, sum, prod, min, max, mean };
HONE_ENUM_NAMES(ScatterReduction, "none", "sum", "prod", "min", "max", "mean")
/// Inputs: data, indices, updates, axis (scalar).
struct ScatterElementsUpdate {
  ScatterReduction reduction = ScatterReduction::none;
  bool use_init_val = true;
  static void fields(auto& o, auto&& f) {
    f("reduction", o.reduction);
    f("use_init_val", o.use_init_val);
  }
  HONE_OP("ScatterElementsUpdate") HONE_GRAD
};
/// Inputs: data, indices, updates.
struct ScatterNDUpdate {
  ScatterReduction reduction = ScatterReduction::none;
  static void fields(auto& o, auto&& f) { f("reduction", o.reduction); }
  HONE_OP("ScatterNDUpdate") HONE_GRAD
};
/// Inputs: data, indices, updates, axis (scalar).
struct ScatterUpdate {
  HONE_OP("ScatterUpdate") HONE_GRAD
};
enum class NegativeIndices { ignore_negative, normalize };
HONE_ENUM_NAMES(NegativeIndices, "ignore_negative", "normalize")
/// Inputs: indices, depth, on value, off value. Indices outside of [0, depth) give off values; with `normalize`,
/// negative ones count from the end.
struct OneHot {
  int64_t axis = -1;
  NegativeIndices negative_indices_mode = NegativeIndices::ignore_negative;
  static void fields(auto& o, auto&& f) {
    f("axis", o.axis);
    f("negative_indices_mode", o.negative_indices_mode);
  }
  HONE_OP("OneHot") HONE_NO_GRAD("index")
};
enum class TopKMode { max, min };
HONE_ENUM_NAMES(TopKMode, "max", "min")
enum class TopKSort { none, value, index };
HONE_ENUM_NAMES(TopKSort, "none", "value", "index")
/// Inputs: data, k (scalar). Outputs: values, indices.
struct TopK {
  int64_t axis = -1;
  TopKMode mode = TopKMode::max;
  TopKSort sort = TopKSort::value;
  ElementType index_element_type = ElementType::i32;
  bool stable = false;
  static void fields(auto& o, auto&& f) {
    f("axis", o.axis);
    f("mode", o.mode);
    f("sort", o.sort);
    f("index_element_type", o.index_element_type);
    f("stable", o.stable);
  }
  HONE_OP("TopK") HONE_GRAD
};
/// Output: [rank, count].
struct NonZero {
  ElementType output_type = ElementType::i64;
  static void fields(auto& o, auto&& f) { f("output_type", o.output_type); }
  HONE_OP("NonZero") HONE_NO_GRAD("index")
};
enum class BoxEncoding { corner, center };
HONE_ENUM_NAMES(BoxEncoding, "corner", "center")
/// Inputs: boxes [B, M, 4], scores [B, C, M], max output boxes per class, IoU threshold, score threshold, soft NMS
/// sigma (all but the first two optional). A box goes where its overlap with a selected one is above the threshold;
/// with a sigma, its score falls instead. Outputs: selected indices [K, 3], selected scores [K, 3], number of valid
/// outputs [1].
struct NonMaxSuppression {
  BoxEncoding box_encoding = BoxEncoding::corner;
  bool sort_result_descending = true;
  ElementType output_type = ElementType::i64;
  static void fields(auto& o, auto&& f) {
    f("box_encoding", o.box_encoding);
    f("sort_result_descending", o.sort_result_descending);
    f("output_type", o.output_type);
  }
  HONE_OP("NonMaxSuppression") HONE_NO_GRAD("index")
};
/// Inputs: data, lengths.
struct ReverseSequence {
  int64_t batch_axis = 0;
  int64_t seq_axis = 1;
  static void fields(auto& o, auto&& f) {
    f("batch_axis", o.batch_axis);
    f("seq_axis", o.seq_axis);
  }
  HONE_OP("ReverseSequence") HONE_GRAD
};

}  // namespace hone
