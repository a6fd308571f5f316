// Another batch for models whose file spells its own.
#pragma once
#include <map>

#include "graph/graph.hpp"

namespace hone {

/// Gives inputs new shapes, as `Graph::reshape` does. Exporters often write the batch that they were run with into the
/// file; what holds it follows where each sample stays as it was:
/// - a number in the target of a Reshape ([1, 256] behind [1, 16, 4, 4]) where the present shapes show that the reshape
///   leaves that dimension alone: as many elements before it and as many behind it, on both sides;
/// - a dimension that a Reshape makes of the batch and of what lies behind it (heads, windows: [1, 12, 64] to [12,
/// 64]),
///   as long as no operator on the way to the outputs mixes its rows;
/// - the target of a Broadcast of the inputs, and what is joined with them and depends on no input (class tokens).
/// On failure the graph is as it was. Returns the number of nodes that changed.
size_t reshape_with_batch(Graph& g, const std::map<ValueId, PartialShape>& shapes);

/// Whole numbers that nodes take beside their data (shapes, bounds, axes) become Constants where they can be computed
/// now, from constants or from shapes that are known; what they are made of stays for others. Differentiation wants to
/// see them, and inference knows more by them.
void settle_shapes(Graph& g);

}  // namespace hone
