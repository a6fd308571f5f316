// The operators of an epilogue, without the standard library: files compiled for one instruction set include this.
#pragma once
#include <stdint.h>

namespace hone {

enum class EpilogueOp : uint8_t {
  // two operands
  add,
  subtract,
  multiply,
  divide,
  maximum,
  minimum,
  prelu,  ///< a where a >= 0, else a * b
  // one operand; alpha and beta are the operator's constants
  relu,
  clamp,  ///< to [alpha, beta]
  sigmoid,
  tanh,
  swish,         ///< a * sigmoid(alpha * a)
  hswish,        ///< a * min(max(a + 3, 0), 6) / 6
  hsigmoid,      ///< min(max(a + 3, 0), 6) / 6
  hard_sigmoid,  ///< clamp(alpha * a + beta, 0, 1)
  gelu_erf,
  gelu_tanh,
  elu,         ///< a where a > 0, else alpha * (exp(a) - 1)
  leaky_relu,  ///< a where a >= 0, else alpha * a
  softplus,
  mish,
  exp,
  abs,
  negative,
  sqrt,
  scale_shift,  ///< alpha * a + beta
  round,        ///< to the nearest integer, ties to even
};

/// How an operand is spread over the result [N, C, spatial...] (or [..., C] for matrix products: the last axis).
enum class Spread : uint8_t {
  scalar,       ///< one element
  per_channel,  ///< C elements
  full,         ///< the shape and layout of the result
  per_row,      ///< N x C elements, broadcast over space (squeeze-excite scale)
};

}  // namespace hone
