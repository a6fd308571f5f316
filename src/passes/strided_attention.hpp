// Attention between its reshapes: heads are read and written where they lie.
#pragma once
#include "rewrite/pass.hpp"

namespace hone {

struct AttentionOptions {
  /// Does a kernel run the node? Null: always.
  std::function<bool(const Graph&, NodeId)> accepts;
  /// Quantizers of Q, K, V, the weights and the scores go into the operator. Else attention with quantizers stays
  /// apart.
  bool quantizers = true;
};

/// Products with a Softmax between them, and ScaledDotProductAttention, become StridedAttention where all shapes are
/// static. Reshapes, slices, splits and transpositions of Q, K and V that only say where a head lies are read through,
/// and so is a transposition of the result; scales on either side of the product become one; masks are added up;
/// a quantizer of the result is moved behind its transposition; `Select(IsNaN(softmax), 0, softmax)` becomes the
/// operator's own zero rows. Returns the number of attentions.
size_t make_strided_attention(Graph& g, const AttentionOptions& options = {});
Pass strided_attention_pass(AttentionOptions options = {});

}  // namespace hone
