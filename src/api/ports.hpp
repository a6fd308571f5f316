// Inputs and outputs of graphs as the API shows them.
#pragma once
#include "graph/graph.hpp"
#include "hone/model.hpp"

namespace hone {

Port port_of(const Value& v, const std::string& node_name);
/// An output of a graph. A value that gives several, or is an input too, bears the names of all; this one's comes
/// first.
Port output_port(const Graph& g, NodeId result);
/// By tensor name, node name or position. Throws `Error` (usage) that lists the inputs.
Value find_input(const Graph& g, const std::string& name);
/// Any value by tensor name, else the only output of a node of that name; null where there is none.
Value find_tensor(const Graph& g, const std::string& name);

}  // namespace hone
