// Models in any form Hone reads or writes, its own included.
#pragma once
#include <string>

#include "compile/compile.hpp"
#include "graph/graph.hpp"

namespace hone {

/// `.hone` (its graph) and every form that the readers know; files of weights alone with `network` of the zoo
/// (`NAME:key=value,...`). Throws `Error` naming the file.
Graph read_any_model(const std::string& path, const std::string& network = {});

/// The same for recorded cases: without a network, weights take the one network that fits.
Graph read_model_of_case(const std::string& path, const std::string& network);

struct SaveOptions {
  bool compress_to_fp16 = false;
  int opset = 0;  ///< of ONNX; 0: the default
};
/// By suffix. A `.hone` file gets the graph alone. Throws `Error`.
void save_any_model(const Graph& g, const std::string& path, const SaveOptions& options = {});
/// A `.hone` file with the program of a compiled static model, and the graph unless it is stripped; encrypted where a
/// key file is given. Throws `Error`.
void save_compiled_model(const Graph& g, const CompiledGraph& compiled, const std::string& path,
                         bool strip_graph = false, const std::string& key_file = {});

bool is_hone_path(const std::string& path);

}  // namespace hone
