#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "hone/tools.hpp"
#include "options.hpp"
#include "verb.hpp"

namespace hone::cli {

Work setup_convert(CLI::App& app) {
  struct Options {
    std::string in, out;
    ConvertOptions convert;
    bool report = false;
  };
  auto o = std::make_shared<Options>();
  app.add_option("IN", o->in, "Model file")->required();
  app.add_option("OUT", o->out, "Result: .onnx, .xml or .hone")->required();
  app.add_option("--input", o->convert.inputs, "NAME[SHAPE]:TYPE=VALUE: shape, type or value of an input, or a place to cut the graph; may be repeated");
  app.add_flag("--fp16", o->convert.fp16, "Store weights as f16");
  app.add_option("--opset", o->convert.opset, "Operator set of the ONNX file")->check(CLI::Range(13, 28));
  app.add_flag("--report", o->report, "Say what was fused, folded and upgraded");
  app.add_flag("--force", o->convert.force, "Overwrite an existing result");
  return [o](Output& out) {
    check_overwrite(o->out, o->convert.force);
    const ConvertReport r = convert(o->in, o->out, o->convert);
    out.line(r.out + ": " + std::to_string(r.nodes) + " nodes, " + std::to_string(r.fused) + " fused, " + std::to_string(r.folded) + " folded");
    if (o->report) {
      for (const std::string& c : r.changes) out.line("  " + c);
    }
    out.result({{"out", r.out}, {"nodes", r.nodes}, {"fused", r.fused}, {"folded", r.folded}, {"changes", r.changes}});
    return 0;
  };
}

}  // namespace hone::cli
