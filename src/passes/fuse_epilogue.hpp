// Epilogue fusion: elementwise operators behind a dense operator, a reduction or another elementwise operator become
// its epilogue region and run on a result that is still in registers or L1.
#pragma once
#include "rewrite/pass.hpp"

namespace hone {

struct FuseOptions {
  /// Asked with the epilogue in place: can a kernel run the node? The compiler answers from its kernel rows; null:
  /// operators that carry epilogues everywhere (convolutions, MatMul, elementwise).
  std::function<bool(const Graph&, NodeId)> accepts;
  size_t max_operators = 24;  ///< of one region
  bool elementwise_roots = true;
};

/// Fuses as much as can be: bias, activation, residual, per-channel and squeeze-excite scale, conversion and
/// requantization of the result. A value that others read (a backward pass, a second branch, a Result) stays visible:
/// the region ends there or does not reach it. Returns the number of nodes that became part of another.
size_t fuse_epilogues(Graph& g, const FuseOptions& options = {});
Pass fuse_epilogues_pass(FuseOptions options = {});

}  // namespace hone
