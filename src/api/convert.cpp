#include "api/convert_job.hpp"
#include "api/files.hpp"
#include "passes/canonicalize.hpp"

namespace hone {

ConvertReport convert(const std::string& in, const std::string& out, const ConvertOptions& o) {
  ImportNotes notes;
  Graph g = read_any_model(in, o.network);
  apply_convert_options(g, o);
  ChangeLog log(g, notes.notes());
  PassOptions options;
  options.on_pass = [&](const PassResult& pass, const Graph& graph) { log.after(pass, graph); };
  const PassReport report = run_passes(g, canonicalize_passes(), options);
  SaveOptions save;
  save.compress_to_fp16 = o.fp16;
  save.opset = o.opset;
  save_any_model(g, out, save);
  ConvertReport r;
  r.out = out;
  r.nodes = static_cast<int64_t>(g.num_nodes());
  r.fused = static_cast<int64_t>(report.fused);
  r.folded = static_cast<int64_t>(report.folded);
  for (const PassResult& p : report.passes) {
    if (p.changes == 0) continue;
    r.changes.push_back(p.name + ": " + std::to_string(p.changes) + " changes, " + std::to_string(p.fused) +
                        " fused, " + std::to_string(p.folded) + " folded");
  }
  r.by_node = log.finish(g);
  return r;
}

}  // namespace hone
