#include "compile/model_file.hpp"

#include "compile/graph_file.hpp"
#include "cpu/features.hpp"
#include "cpu/reference/reference.hpp"
#include "hone/error.hpp"
#include "program/hone_file.hpp"

namespace hone {

void save_model_file(const std::string& path, const ModelFile& file) {
  HoneFile out;
  out.metadata = file.metadata;
  for (const auto& p : file.programs) out.programs.push_back(*p);
  if (file.graph) out.graph = graph_bytes(*file.graph, out.graph_constants);
  write_hone(path, out);
}

ModelFile load_model_file(const std::string& path) {
  HoneFile in = read_hone(path);
  ModelFile file;
  file.metadata = std::move(in.metadata);
  for (Program& p : in.programs) file.programs.push_back(std::make_shared<const Program>(std::move(p)));
  if (!in.graph.empty()) {
    try {
      file.graph = std::make_shared<const Graph>(graph_from_bytes(in.graph, in.graph_constants));
    } catch (const Error& e) {
      throw e.at(path);
    }
  }
  return file;
}

CompiledGraph compile_file(const ModelFile& file, const CompileOptions& options) {
  cpu::add_reference_kernels();
  std::string has;
  for (const auto& p : file.programs) {
    const auto it = p->info.find("precision");
    const std::string precision = it == p->info.end() ? "f32" : it->second;
    has += (has.empty() ? "" : ", ") + precision + " for " + p->target;
    if (options.precision != Precision::automatic && precision != name_of(options.precision)) continue;
    // A program made for more than this CPU has: only its session can tell whether every step still has a kernel.
    try {
      return load_program(p, options);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::unsupported) throw;
    }
  }
  if (!file.graph) {
    throw Error(ErrorCode::unsupported,
                std::string("[compile] the file has no program in ") + name_of(options.precision) + " for this CPU (" +
                    cpu::to_string(cpu::features()) + ")",
                "it has " + (has.empty() ? "none" : has), "compile the model for this CPU");
  }
  return compile_model(*file.graph, options);
}

}  // namespace hone
