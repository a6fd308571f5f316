// Graphs in `.hone` files: the whole graph in binary form, with large tensors kept apart so that they stay mapped.
#pragma once
#include <vector>

#include "graph/graph.hpp"

namespace hone {

/// Nodes, types, names, regions and epilogues. Contents of Constants and Variables are appended to `constants` as raw
/// bytes; the graph refers to them by number.
std::vector<uint8_t> graph_bytes(const Graph& g, std::vector<Tensor>& constants);
/// The same graph again; tensors share the memory of `constants`. Throws `Error` (unreadable) on malformed bytes.
Graph graph_from_bytes(std::span<const uint8_t> bytes, const std::vector<Tensor>& constants);

}  // namespace hone
