// Reads TensorFlow Lite files (schema version 3).
//
// The model is its first subgraph, or the one of a signature; subgraphs that it calls become regions or are put in
// place. Shapes are those of the signature of each input, so sizes that the file leaves open stay open. Weights stay in
// the mapped file.
#pragma once
#include <memory>
#include <string>

#include "graph/graph.hpp"

namespace hone {

/// Throws `Error`: unreadable (malformed), unsupported (all unknown operators at once), unsafe. An empty signature: the
/// first subgraph.
Graph read_tflite(const std::string& path);
/// The same from memory, which `owner` keeps alive.
Graph parse_tflite(std::string_view bytes, std::shared_ptr<const void> owner, const std::string& signature = {});

}  // namespace hone
