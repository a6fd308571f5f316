// Normalization: inference, training, gradients.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: data [N, C, ...], gamma, beta, mean, variance (each [C]).
struct BatchNormInference {
  double epsilon = 1e-5;
  static void fields(auto& o, auto&& f) { f("epsilon", o.epsilon); }
  HONE_OP("BatchNormInference") HONE_EXPAND HONE_GRAD
};

/// What a training BatchNorm applies to its result, so that one kernel makes one pass over memory.
enum class NormActivation { none, relu };
HONE_ENUM_NAMES(NormActivation, "none", "relu")
/// y = activation(gamma * (x - mean) / sqrt(variance + epsilon) + beta + residual) with the statistics of the batch
/// over N and space. Inputs: x, gamma, beta, running mean, running variance (each [C] f32), residual (optional, like
/// x). Outputs: y, new running mean and variance ((1 - momentum) * old + momentum * batch; the running variance is
/// unbiased), batch mean, 1 / sqrt(variance + epsilon).
struct BatchNormTraining {
  double epsilon = 1e-5;
  double momentum = 0.1;
  NormActivation activation = NormActivation::none;
  static void fields(auto& o, auto&& f) {
    f("epsilon", o.epsilon);
    f("momentum", o.momentum);
    f("activation", o.activation);
  }
  HONE_OP("BatchNormTraining") HONE_GRAD
};
/// Inputs: x, dy, gamma, batch mean, inverse deviation, y (only with an activation). Outputs: dx, dgamma, dbeta,
/// dresidual (like dy behind the activation).
struct BatchNormTrainingGrad {
  NormActivation activation = NormActivation::none;
  static void fields(auto& o, auto&& f) { f("activation", o.activation); }
  HONE_OP("BatchNormTrainingGrad") HONE_NO_GRAD("second derivatives of BatchNorm are not offered")
};

enum class EpsMode { inside_sqrt, outside_sqrt };
HONE_ENUM_NAMES(EpsMode, "INSIDE_SQRT", "OUTSIDE_SQRT")
/// Inputs: data, axes.
struct MVN {
  double eps = 1e-9;
  bool normalize_variance = true;
  EpsMode eps_mode = EpsMode::inside_sqrt;
  static void fields(auto& o, auto&& f) {
    f("eps", o.eps);
    f("normalize_variance", o.normalize_variance);
    f("eps_mode", o.eps_mode);
  }
  HONE_OP("MVN") HONE_EXPAND
};
/// Over the axes from `axis` to the last. Inputs: data, gamma, beta (optional), both of the normalized shape.
struct LayerNorm {
  double epsilon = 1e-5;
  int64_t axis = -1;
  static void fields(auto& o, auto&& f) {
    f("epsilon", o.epsilon);
    f("axis", o.axis);
  }
  HONE_OP("LayerNorm") HONE_EXPAND HONE_GRAD
};
/// Inputs: data, gamma.
struct RMSNorm {
  double epsilon = 1e-5;
  int64_t axis = -1;
  static void fields(auto& o, auto&& f) {
    f("epsilon", o.epsilon);
    f("axis", o.axis);
  }
  HONE_OP("RMSNorm") HONE_EXPAND
};
/// Inputs: data [N, C, ...], scale [C], bias [C].
struct GroupNormalization {
  int64_t num_groups = 1;
  double epsilon = 1e-5;
  static void fields(auto& o, auto&& f) {
    f("num_groups", o.num_groups);
    f("epsilon", o.epsilon);
  }
  HONE_OP("GroupNormalization") HONE_EXPAND
};
/// Inputs: data, axes. `eps_mode` is add or max.
struct NormalizeL2 {
  double eps = 1e-9;
  std::string eps_mode = "add";
  static void fields(auto& o, auto&& f) {
    f("eps", o.eps);
    f("eps_mode", o.eps_mode);
  }
  HONE_OP("NormalizeL2") HONE_EXPAND
};
/// Inputs: data, axes.
struct LRN {
  double alpha = 1e-4;
  double beta = 0.75;
  double bias = 1.0;
  int64_t size = 5;
  static void fields(auto& o, auto&& f) {
    f("alpha", o.alpha);
    f("beta", o.beta);
    f("bias", o.bias);
    f("size", o.size);
  }
  HONE_OP("LRN") HONE_NO_GRAD("not offered yet")
};

}  // namespace hone
