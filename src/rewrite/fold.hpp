// Constant folding: what depends on constants alone is computed now.
#pragma once
#include "rewrite/pass.hpp"

namespace hone {

struct FoldOptions {
  /// Keep FakeQuantize, Quantize, Dequantize and the arithmetic that turns stored integers into float weights: the
  /// precision pass reads them, and folding them would give up the compression.
  bool keep_quantization = true;
  /// A node whose result is larger than twice its inputs by more than this many bytes is not folded (Broadcast, Tile,
  /// Range...).
  size_t growth_limit = size_t{1} << 20;
  /// Such results, up to this many bytes in all, are computed nevertheless where something small is made of them
  /// (tables of positions that a small network is applied to).
  size_t passing_limit = size_t{1} << 28;
};

/// Evaluates constant subgraphs chain by chain: intermediates are released as soon as they are consumed. Values whose
/// elements are known from shape arithmetic become constants as well. Returns the number of nodes that were folded
/// away.
size_t fold_constants(Graph& g, Evaluator& evaluator, const FoldOptions& options = {});
Pass fold_pass(FoldOptions options = {}, std::string name = "fold");

}  // namespace hone
