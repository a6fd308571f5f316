// What the tables of a graph are initialized with.
#pragma once
#include <filesystem>

#include "formats/tensorflow/importer.hpp"

namespace hone::tensorflow {

/// Files that stand beside a graph.
struct Assets {
  std::vector<std::filesystem::path> folders;  ///< where they may lie; empty: the graph has no place of its own
  std::map<std::string, Bytes> names;          ///< by the node that holds the path
};

/// Tables whose keys and values are constants or lines of text files, by the name of their node; initializers inside of
/// functions are followed to the call. A file is sought by its own name in the folders, wherever it lay when the model
/// was saved.
Tables table_contents(const GraphMessage& graph, const std::shared_ptr<const void>& owner, const Assets& assets);

}  // namespace hone::tensorflow
