// Makes a graph sayable in another format: epilogues unfolded, operators that the format lacks expanded.
#pragma once
#include <functional>
#include <string>

#include "graph/builder.hpp"

namespace hone {

struct FormatRules {
  std::string name;                               ///< in messages
  std::function<bool(const Graph&, NodeId)> has;  ///< can the node be written as it is?
  bool fake_quantize = false;                     ///< write Quantize and Dequantize as FakeQuantize and arithmetic
  bool whole_sequences = false;                   ///< recurrent sequences must have lengths and biases
  bool state = false;                             ///< has ReadValue and Assign
};

/// Throws `Error` (unsupported) naming the first node that has no counterpart and no expansion. Regions are left as
/// they are.
Graph prepared_for(const Graph& g, const FormatRules& rules);

}  // namespace hone
