// What passes need to know about operators beyond their definition.
#pragma once
#include "graph/graph.hpp"

namespace hone {

/// Do the two inputs of this operator commute?
bool is_commutative(const OpDef& op);
/// Elementwise function of one tensor: further inputs, if any, are scalars (Swish beta, HardSigmoid alpha).
bool is_unary_elementwise(const OpDef& op);
/// Elementwise with NumPy broadcasting of all its inputs.
bool is_broadcasting_elementwise(const OpDef& op);
inline bool is_elementwise(const OpDef& op) {
  return is_unary_elementwise(op) || is_broadcasting_elementwise(op);
}

/// Does the value depend on constants and Variables alone? Such values are weights, or arithmetic on weights.
bool is_parameter_like(Value v);

}  // namespace hone
