// The attributes of a layer, where they are not the fields of Hone's operator as they stand.
#pragma once
#include <pugixml.hpp>

#include "graph/graph.hpp"
#include "ops/custom.hpp"

namespace hone::ir {

/// Appends `<data>`, where there is something in it.
void write_fields(pugi::xml_node layer, const Graph& g, NodeId id);

/// An operator of a user's library: its attributes are text, lists are joined with commas, as OpenVINO's own extensions
/// have them.
void write_custom(pugi::xml_node layer, const Custom& op);

}  // namespace hone::ir
