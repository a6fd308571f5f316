// Another batch for models whose file spells its own.
#pragma once
#include <map>

#include "graph/graph.hpp"

namespace hone {

/// Gives inputs new shapes, as `Graph::reshape` does. Exporters often write the batch that they were run with into the
/// target of a Reshape ([1, 256] behind [1, 16, 4, 4]); such a number follows the batch where the present shapes show
/// that the reshape leaves that dimension alone: as many elements before it and as many behind it, on both sides. Each
/// sample is then reshaped as before. On failure the graph is as it was. Returns the number of Reshapes that changed.
size_t reshape_with_batch(Graph& g, const std::map<ValueId, PartialShape>& shapes);

}  // namespace hone
