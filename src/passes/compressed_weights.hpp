// Weights that stay small integers.
#pragma once
#include "rewrite/pass.hpp"

namespace hone {

struct CompressedWeightsOptions {
  /// Does a kernel run the node? Null: always.
  std::function<bool(const Graph&, NodeId)> accepts;
};

/// MatMul with a constant right factor that is decompressed in the graph, (Convert(integers) - zero points) * scales
/// with or without groups along the inner dimension (OpenVINO's compressed weights, MatMulNBits), becomes
/// CompressedMatMul: the weights are never unpacked in memory. Before folding, which would unpack them. Returns the
/// number of products.
size_t keep_compressed_weights(Graph& g, const CompressedWeightsOptions& options = {});
Pass compressed_weights_pass(CompressedWeightsOptions options = {});

}  // namespace hone
