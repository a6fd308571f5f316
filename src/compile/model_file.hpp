// Compiled models as files: metadata, the graph they come from, and programs for one or more CPUs and precisions.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "compile/compile.hpp"

namespace hone {

struct ModelFile {
  std::map<std::string, std::string> metadata;  ///< labels, preprocessing, split, metrics...: text, most of it JSON
  std::shared_ptr<const Graph> graph;           ///< null: stripped
  std::vector<std::shared_ptr<const Program>> programs;
};

/// Writes a `.hone` file; it appears whole or not at all. Throws `Error`.
void save_model_file(const std::string& path, const ModelFile& file);
/// Throws `Error` (unreadable, unsupported). Weights stay in the mapped file.
ModelFile load_model_file(const std::string& path);

/// Runs the file: its program for this CPU and the wanted precision where there is one, else its graph compiled again.
/// Throws `Error` (unsupported) that lists the programs of the file where neither is there. `options.precision`
/// `automatic` takes any program.
CompiledGraph compile_file(const ModelFile& file, const CompileOptions& options = {});

}  // namespace hone
