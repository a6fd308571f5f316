// A graph with sizes that only data can tell, cut in two: what is static becomes a program, the rest is interpreted.
#pragma once
#include <optional>

#include "graph/graph.hpp"

namespace hone {

/// `head` computes, from the graph's inputs, all static values that others need; `tail` takes the graph's inputs, then
/// the results of the head, and gives the graph's results.
struct Segments {
  Graph head, tail;
};

/// nullopt where nothing worth compiling is static, or where the graph has states.
std::optional<Segments> cut_static_head(const Graph& g);

}  // namespace hone
