// Attention that reads heads where they lie.
#pragma once
#include <optional>

#include "ops/attributes.hpp"

namespace hone {

/// softmax(Q K^T * scale + mask) V for each index of `batch`, where Q, K and V are matrices inside of larger tensors.
/// Inputs: the tensors that hold Q, K and V (they may be the same one), mask (optional, added, broadcast to
/// [batch..., L, S]), late mask (optional, the same, added to rounded scores). The compiler makes it of attention
/// between reshapes, slices and transpositions.
struct StridedAttention {
  std::vector<int64_t> batch{};  ///< such as sequences and heads
  std::vector<int64_t> sizes{};  ///< L, S, features of Q and K, features of V
  // Element of the first matrix, then steps: one for each dimension of `batch`, from row to row. Features are
  // neighbours.
  std::vector<int64_t> query{};
  std::vector<int64_t> key{};
  std::vector<int64_t> value{};
  std::vector<int64_t> result{};
  std::vector<int64_t> shape{};  ///< of the result, as many elements as the matrices have
  double scale = 1;
  bool causal = false;           ///< row i sees keys up to i
  bool zero_empty_rows = false;  ///< rows without a sum (all -inf, or not a number) give zeros
  /// Quantizers between the products, each {step, low, high}: x becomes clamp(round(x / step), low, high) * step.
  /// Empty, or those of Q, K, V and the weights, and perhaps one of the scores, scaled and with the first mask.
  std::vector<double> levels{};
  static void fields(auto& o, auto&& f) {
    f("batch", o.batch);
    f("sizes", o.sizes);
    f("query", o.query);
    f("key", o.key);
    f("value", o.value);
    f("result", o.result);
    f("shape", o.shape);
    f("scale", o.scale);
    f("causal", o.causal);
    f("zero_empty_rows", o.zero_empty_rows);
    f("levels", o.levels);
  }
  HONE_OP("StridedAttention") HONE_NO_GRAD("made when a graph is compiled")
};

/// Where the matrices begin, in the order of `batch`; nothing where the attributes are inconsistent, or a matrix lies
/// outside of a tensor of `elements`.
std::optional<std::vector<int64_t>> attention_offsets(const StridedAttention& op, const std::vector<int64_t>& place,
                                                      int64_t rows, int64_t columns, int64_t elements);

}  // namespace hone
