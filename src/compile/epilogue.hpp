// From an epilogue region of the graph to the flat list of steps that kernels run.
#pragma once
#include <optional>
#include <string>

#include "device/epilogue.hpp"
#include "graph/graph.hpp"

namespace hone {

/// The steps of the node's epilogue (empty for a node without one). nullopt where an operator or an operand has no step
/// form; `why` says which.
std::optional<Epilogue> lower_epilogue(const Graph& g, NodeId node, std::string* why = nullptr);

}  // namespace hone
