// Names and `<rt_info>`, what the file says beside the computation.
#pragma once
#include <map>
#include <pugixml.hpp>
#include <string>
#include <vector>

#include "graph/graph.hpp"

namespace hone::ir {

/// A name, with its commas escaped; names of one value, joined with commas.
std::string escaped(const std::string& name);
std::string joined(const std::vector<std::string>& names);

/// What was read beside a node, or beside its output `port`; -1: the node, with the names of what it was fused from.
void write_info(pugi::xml_node to, const NodeData& n, int port);

/// "a/b" = "x" -> `<a><b value="x"/></a>`; characters that an element's name cannot have become underscores.
void write_model_info(pugi::xml_node net, const std::map<std::string, std::string>& info);

}  // namespace hone::ir
