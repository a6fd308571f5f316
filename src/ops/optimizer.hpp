// Optimizer steps.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

// One call updates many tensors: inputs and outputs come in groups of K, one entry per parameter. Hyper-parameters that
// change from step to step are scalar f32 inputs, so one compiled program serves the whole training. Weight decay is
// decoupled for AdamW and added to the gradient for SGD; `decay_mask[k]` = 0 leaves parameter k out (norms, biases). A
// gradient scale of exactly 0 skips the step: parameters and buffers stay as they are, whatever the gradients hold.
/// Inputs: learning rate, gradient scale, K parameters, K gradients, K momentum buffers. Outputs: K new parameters, K
/// new buffers. g = scale * grad + decay * p; m = momentum * m + g; p -= lr * (nesterov ? g + momentum * m : m).
struct SgdStep {
  int64_t count = 1;
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 0.0;
  std::vector<int64_t> decay_mask{};
  static void fields(auto& o, auto&& f) {
    f("count", o.count);
    f("momentum", o.momentum);
    f("nesterov", o.nesterov);
    f("weight_decay", o.weight_decay);
    f("decay_mask", o.decay_mask);
  }
  HONE_OP("SgdStep") HONE_NO_GRAD("optimizer")
};
/// Inputs: learning rate, gradient scale, step number (1-based, f32), K parameters, K gradients, K first moments, K
/// second moments. Outputs: K new of each of the three. g = scale * grad; m = beta1 * m + (1 - beta1) * g; v = beta2 *
/// v + (1 - beta2) * g^2; p -= lr * (decay * p + (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon)).
struct AdamWStep {
  int64_t count = 1;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  std::vector<int64_t> decay_mask{};
  static void fields(auto& o, auto&& f) {
    f("count", o.count);
    f("beta1", o.beta1);
    f("beta2", o.beta2);
    f("epsilon", o.epsilon);
    f("weight_decay", o.weight_decay);
    f("decay_mask", o.decay_mask);
  }
  HONE_OP("AdamWStep") HONE_NO_GRAD("optimizer")
};
/// Inputs: gradients. Outputs: min(1, max_norm / norm) (1 where max_norm is 0; 0 where the norm is not finite, so the
/// step is skipped), the global L2 norm.
struct GradientScale {
  double max_norm = 0.0;
  static void fields(auto& o, auto&& f) { f("max_norm", o.max_norm); }
  HONE_OP("GradientScale") HONE_NO_GRAD("optimizer")
};
/// Inputs: decay (scalar), K averages, K parameters. Outputs: K new averages: decay * average + (1 - decay) *
/// parameter.
struct EmaStep {
  int64_t count = 1;
  static void fields(auto& o, auto&& f) { f("count", o.count); }
  HONE_OP("EmaStep") HONE_NO_GRAD("optimizer")
};

}  // namespace hone
