// Reads TensorFlow: frozen graphs (GraphDef, binary or text), SavedModel folders and MetaGraphs with their checkpoints.
//
// Variables are frozen to what the checkpoint holds; functions are built in place; control flow of both kinds becomes
// If and Loop; what only serves training, saving and restoring is left out. Types and shapes are inferred anew. Weights
// stay in the mapped files where their bytes are aligned. Tensors are named as TensorFlow names them ("node",
// "node:1"); those of functions after the node that calls them.
#pragma once
#include <string>

#include "graph/graph.hpp"

namespace hone {

/// A file (.pb, .pbtxt as text, .meta) or the folder of a SavedModel. Throws `Error`: unreadable (malformed),
/// unsupported (all unknown operators at once).
Graph read_tensorflow(const std::string& path);
/// A GraphDef, MetaGraphDef or SavedModel without variables from memory, which `owner` keeps alive.
Graph parse_tensorflow(std::string_view bytes, std::shared_ptr<const void> owner);
/// Does a file that begins with `head` look like one of them?
bool is_tensorflow(std::string_view head, const std::string& path);

}  // namespace hone
