// Makes every node one that a kernel takes: picks kernels, inserts Reorder nodes where a kernel wants another layout,
// undoes epilogues and expands composites that no kernel of this CPU has.
#pragma once
#include <string>
#include <unordered_map>
#include <vector>

#include "compile/select.hpp"

namespace hone {

/// Operators that stand for memory and order, not for computation.
bool is_structural(const OpDef& op);
/// Is output 0 the very bytes of input 0 (Reshape, a Convert to the same type, a Reorder that moves nothing)?
bool is_view(const Graph& g, NodeId node);

struct Legalized {
  std::unordered_map<NodeId, Choice> choices;  ///< of all nodes that are neither structural nor views
  std::vector<std::string> notes;              ///< lines of `explain`: node, kernel, refusals
};

/// Changes the graph. All types must be static. Throws `Error` (unsupported) where a node has no kernel at all, with
/// all refusals.
Legalized legalize(Graph& g, const SelectOptions& options, bool explain);

}  // namespace hone
