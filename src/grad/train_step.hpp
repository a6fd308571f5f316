// One training step as a graph: forward, loss, backward, clipping, optimizer, moving average. Compiled once, run every
// step.
#pragma once
#include <string>
#include <vector>

#include "grad/training_form.hpp"

namespace hone {

enum class OptimizerKind { sgd, adamw };

struct TrainStepOptions {
  OptimizerKind optimizer = OptimizerKind::sgd;
  double momentum = 0.9;
  bool nesterov = true;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 5e-4;  ///< not applied to norms and biases
  double label_smoothing = 0;
  double clip_norm = 0;  ///< global L2 norm of the gradients; 0: off
  double unit_clip = 0;  ///< of each unit's gradient by its weights, before the global one: clip_units.hpp; 0: off
  double ema_decay = 0;  ///< 0: no moving average; else weights `ema/NAME` follow
};

/// Inputs of the step by name: the model's inputs, `labels` (i64 [N], or f32 [N, C] for mixed labels), `learning_rate`
/// (f32 scalar), `step` (f32 scalar, 1-based; AdamW), `ema_decay` (f32 scalar; with EMA). Outputs by name: `loss`
/// (scalar), `logits`, `gradient_norm` (scalar).
struct TrainStep {
  Graph graph;
  std::vector<TrainableWeight> weights;
};

/// `model` has one float output [N, C]: logits (a Softmax at its end is left out of the loss). Throws `Error` naming
/// the blocking nodes.
TrainStep train_step(const Graph& model, const TrainStepOptions& options, const TrainingFormOptions& form_options = {},
                     bool label_probabilities = false);

/// Name of the moving average of a weight.
inline std::string ema_name(const std::string& weight) {
  return "ema/" + weight;
}

/// The loss of a classification model: logits before a final Softmax or LogSoftmax.
Value logits_of(const Graph& model);

}  // namespace hone
