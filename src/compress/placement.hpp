// Where FakeQuantize goes. Every input of a quantizable operator gets a quantizer; it moves up through operators that
// do not change values (reshapes, pooling maxima, concatenation...) and joins with others at branches, as NNCF's
// propagation solver does.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.hpp"

namespace hone {

struct PlacementOptions {
  /// Nodes whose name this accepts keep their precision.
  std::function<bool(const std::string& name)> ignored;
};

/// One activation quantizer: a FakeQuantize on `value` for the uses listed; other uses read the value itself.
struct ActivationQuantizer {
  ValueId value;
  std::vector<Use> uses;
  int group = -1;  ///< quantizers of one group share one range (inputs of a Concat that leads to a convolution)
};

/// One weight quantizer: on the constant that feeds `use`, per index of `axis` (-1: per tensor). Grouped weights count
/// both leading axes.
struct WeightQuantizer {
  Use use;
  std::vector<int64_t> channel_axes;
};

struct Placement {
  std::vector<ActivationQuantizer> activations;
  std::vector<WeightQuantizer> weights;
  std::vector<NodeId> quantized;  ///< operators that have quantizers
  std::vector<NodeId> ignored;    ///< quantizable operators that were left out
};

/// The graph is in inference form: BatchNorm folded, no epilogues.
Placement place_quantizers(const Graph& g, const PlacementOptions& options = {});

/// Does the node's weight (input 1, constant or FakeQuantized) make it one of the dense operators?
bool is_weighted(const Node& n);

}  // namespace hone
