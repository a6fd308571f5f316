// Attention.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// softmax(Q K^T * scale + mask) V. Inputs: query [N..., L, E], key [N..., S, E], value [N..., S, V], mask (optional,
/// broadcast to [N..., L, S]; boolean: true takes part, else it is added), scale (optional scalar, 1 / sqrt(E)). Output
/// [N..., L, V]. The batch dimensions of all are broadcast. With `causal` position i sees keys up to i, and the mask is
/// not read.
struct ScaledDotProductAttention {
  bool causal = false;
  static void fields(auto& o, auto&& f) { f("causal", o.causal); }
  HONE_OP("ScaledDotProductAttention") HONE_EXPAND
};

}  // namespace hone
