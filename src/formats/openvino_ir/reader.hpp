// Reads OpenVINO IR, versions 10 and 11, operator sets 1 to 16: the .xml and, mapped, the .bin beside it.
//
// Layers become the Hone operators of the same name and attributes; what differs has a row in `exceptions.cpp`. Shapes
// are inferred anew, so a model stays reshapeable; constants stay in the mapped file where their bytes are aligned.
#pragma once
#include <memory>
#include <span>
#include <string>

#include "graph/graph.hpp"

namespace hone {

/// Throws `Error`: unreadable, unsupported (all unknown operators at once, other versions), unsafe.
Graph read_openvino_ir(const std::string& xml_path);
/// The same from memory; `owner` keeps the weights alive.
Graph parse_openvino_ir(std::string_view xml, std::span<const uint8_t> weights, std::shared_ptr<const void> owner);

}  // namespace hone
