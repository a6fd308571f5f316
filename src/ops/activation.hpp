// Activations and Softmax.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class GeluMode { erf, tanh };
HONE_ENUM_NAMES(GeluMode, "ERF", "TANH")
struct Relu {
  HONE_OP("Relu") HONE_GRAD
};
/// Inputs: data, slope (per channel, or broadcast like NumPy).
struct PRelu {
  HONE_OP("PRelu") HONE_GRAD
};
struct Elu {
  double alpha = 1.0;
  static void fields(auto& o, auto&& f) { f("alpha", o.alpha); }
  HONE_OP("Elu") HONE_GRAD
};
struct Gelu {
  GeluMode approximation_mode = GeluMode::erf;
  static void fields(auto& o, auto&& f) { f("approximation_mode", o.approximation_mode); }
  HONE_OP("Gelu") HONE_GRAD
};
struct HSwish {
  HONE_OP("HSwish") HONE_GRAD
};
struct HSigmoid {
  HONE_OP("HSigmoid") HONE_GRAD
};
/// Inputs: data, beta (optional scalar, 1).
struct Swish {
  HONE_OP("Swish") HONE_GRAD
};
struct Sigmoid {
  HONE_OP("Sigmoid") HONE_GRAD
};
struct Tanh {
  HONE_OP("Tanh") HONE_GRAD
};
struct Clamp {
  double min = 0.0;
  double max = 0.0;
  static void fields(auto& o, auto&& f) {
    f("min", o.min);
    f("max", o.max);
  }
  HONE_OP("Clamp") HONE_GRAD
};
struct SoftPlus {
  HONE_OP("SoftPlus") HONE_GRAD
};
struct SoftSign {
  HONE_OP("SoftSign") HONE_GRAD
};
struct Mish {
  HONE_OP("Mish") HONE_GRAD
};
/// Inputs: data, alpha, beta (scalars).
struct HardSigmoid {
  HONE_OP("HardSigmoid") HONE_GRAD
};
/// Inputs: data, alpha, lambda (scalars).
struct Selu {
  HONE_OP("Selu") HONE_GRAD
};
struct Softmax {
  int64_t axis = 1;
  static void fields(auto& o, auto&& f) { f("axis", o.axis); }
  HONE_OP("Softmax") HONE_GRAD
};
struct LogSoftmax {
  int64_t axis = 1;
  static void fields(auto& o, auto&& f) { f("axis", o.axis); }
  HONE_OP("LogSoftmax") HONE_GRAD
};

}  // namespace hone
