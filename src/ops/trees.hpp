// Decision trees (ai.onnx.ml).
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class TreeAggregate { average, sum, min, max };
HONE_ENUM_NAMES(TreeAggregate, "average", "sum", "min", "max")
enum class TreePostTransform { none, softmax, logistic, softmax_zero };
HONE_ENUM_NAMES(TreePostTransform, "none", "softmax", "logistic", "softmax_zero")

/// Input: [N, features]. Output: [N, targets], f32. All trees walk from their root; a child >= 0 is a node, a child c <
/// 0 is leaf -c - 1. A node takes its true child where `x[feature] MODE split` holds, MODE being 0 <=, 1 <, 2 >=, 3 >,
/// 4 ==, 5 !=, 6 member of set number `split`, or where x is NaN and `missing_true` is set. Leaf l adds `leaf_weights`
/// to `leaf_targets` for the entries from leaf_first[l] to leaf_first[l + 1]; set s lists `set_values` in the same way.
struct TreeEnsemble {
  int64_t num_targets = 1;
  TreeAggregate aggregate = TreeAggregate::sum;
  TreePostTransform post_transform = TreePostTransform::none;
  Tensor roots;         ///< i64
  Tensor features;      ///< i64, one entry a node, as the next five
  Tensor modes;         ///< u8
  Tensor splits;        ///< f64
  Tensor true_nodes;    ///< i64
  Tensor false_nodes;   ///< i64
  Tensor missing_true;  ///< boolean
  Tensor leaf_first;    ///< i64, leaves + 1
  Tensor leaf_targets;  ///< i64
  Tensor leaf_weights;  ///< f32
  Tensor set_first;     ///< i64, sets + 1
  Tensor set_values;    ///< f64
  Tensor base_values;   ///< f32, one a target or none
  static void fields(auto& o, auto&& f) {
    f("num_targets", o.num_targets);
    f("aggregate", o.aggregate);
    f("post_transform", o.post_transform);
    f("roots", o.roots);
    f("features", o.features);
    f("modes", o.modes);
    f("splits", o.splits);
    f("true_nodes", o.true_nodes);
    f("false_nodes", o.false_nodes);
    f("missing_true", o.missing_true);
    f("leaf_first", o.leaf_first);
    f("leaf_targets", o.leaf_targets);
    f("leaf_weights", o.leaf_weights);
    f("set_first", o.set_first);
    f("set_values", o.set_values);
    f("base_values", o.base_values);
  }
  HONE_OP("TreeEnsemble") HONE_NO_GRAD("piecewise constant")
};

}  // namespace hone
