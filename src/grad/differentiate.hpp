// Reverse-mode differentiation as a graph rewrite: the backward nodes are appended to the same graph.
#pragma once
#include <string>
#include <vector>

#include "graph/graph.hpp"

namespace hone {

/// Gradients of the scalar `loss` to each value of `wrt` (null handles where the loss does not depend on it). Appends
/// nodes to the graph of `loss`. Operators without `grad` but with `expand` on the way are replaced by their expansion
/// first. The graph must not carry epilogues on the way: differentiate first, fuse later. Throws `Error` that names
/// every blocking node, with the graph unchanged.
Values differentiate(Value loss, const Values& wrt);

struct BlockingNode {
  std::string node, op, reason;
};

/// Nodes between `wrt` and `loss` through which no gradient passes. Empty: trainable.
std::vector<BlockingNode> blocking_nodes(Value loss, const Values& wrt);

}  // namespace hone
