// Losses.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class Reduction { none, mean, sum };
HONE_ENUM_NAMES(Reduction, "none", "mean", "sum")
/// Inputs: logits [N, C], labels ([N] integer class numbers, or [N, C] probabilities). Outputs: loss (scalar, or [N]
/// for none), log-probabilities [N, C].
struct SoftmaxCrossEntropy {
  double label_smoothing = 0.0;
  Reduction reduction = Reduction::mean;
  int64_t ignore_index = -100;
  static void fields(auto& o, auto&& f) {
    f("label_smoothing", o.label_smoothing);
    f("reduction", o.reduction);
    f("ignore_index", o.ignore_index);
  }
  HONE_OP("SoftmaxCrossEntropy") HONE_GRAD
};
/// Inputs: log-probabilities, labels, dloss. Output: dlogits.
struct SoftmaxCrossEntropyGrad {
  double label_smoothing = 0.0;
  Reduction reduction = Reduction::mean;
  int64_t ignore_index = -100;
  static void fields(auto& o, auto&& f) {
    f("label_smoothing", o.label_smoothing);
    f("reduction", o.reduction);
    f("ignore_index", o.ignore_index);
  }
  HONE_OP("SoftmaxCrossEntropyGrad") HONE_NO_GRAD("second derivatives of the loss are not offered")
};
/// Inputs: prediction, target.
struct MeanSquaredError {
  Reduction reduction = Reduction::mean;
  static void fields(auto& o, auto&& f) { f("reduction", o.reduction); }
  HONE_OP("MeanSquaredError") HONE_EXPAND
};
/// Inputs: logits, target in [0, 1], weight (optional).
struct BinaryCrossEntropyWithLogits {
  Reduction reduction = Reduction::mean;
  static void fields(auto& o, auto&& f) { f("reduction", o.reduction); }
  HONE_OP("BinaryCrossEntropyWithLogits") HONE_EXPAND
};
/// Distillation: temperature^2 * mean over the batch of KL(softmax(teacher / T) || softmax(student / T)). Inputs:
/// student logits, teacher logits.
struct KLDivergence {
  double temperature = 1.0;
  static void fields(auto& o, auto&& f) { f("temperature", o.temperature); }
  HONE_OP("KLDivergence") HONE_EXPAND
};

}  // namespace hone
