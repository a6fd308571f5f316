#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "hone/tools.hpp"
#include "options.hpp"
#include "verb.hpp"

namespace hone::cli {
namespace {

// What happened to which node: a line each for people, lists by kind for machines.
void show(Output& out, const ConvertReport& r) {
  for (const char* kind : {"upgraded", "fused", "folded", "removed"}) {
    size_t count = 0;
    for (const ConvertChange& c : r.by_node) count += c.kind == kind;
    if (count) out.line(std::string(kind) + " (" + std::to_string(count) + "):");
    for (const ConvertChange& c : r.by_node) {
      if (c.kind != kind) continue;
      std::string line = "  " + c.node;
      if (c.from.empty()) {
        line += ": " + c.detail;
      } else {
        line += " (" + c.detail + ") <-";
        for (const std::string& f : c.from) line += " " + f;
      }
      out.line(line);
    }
  }
  out.line("passes:");
  for (const std::string& c : r.changes) out.line("  " + c);
}

nlohmann::json lists(const ConvertReport& r) {
  nlohmann::json report{{"upgraded", nlohmann::json::array()},
                        {"fused", nlohmann::json::array()},
                        {"folded", nlohmann::json::array()},
                        {"removed", nlohmann::json::array()}};
  for (const ConvertChange& c : r.by_node) {
    nlohmann::json entry{{"node", c.node}};
    if (c.kind == "fused")
      entry.update({{"operator", c.detail}, {"from", c.from}});
    else if (c.kind == "upgraded")
      entry["change"] = c.detail;
    else
      entry["pass"] = c.detail;
    report[c.kind].push_back(entry);
  }
  return report;
}

}  // namespace

Work setup_convert(CLI::App& app) {
  struct Options {
    std::string in, out, reverse;
    ConvertOptions convert;
    bool report = false;
  };
  auto o = std::make_shared<Options>();
  // Values of lists stand one behind each switch, so that file names are never taken for them.
  const auto list = [&](const char* names, std::vector<std::string>& to, const char* help) {
    app.add_option(names, to, help)->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  app.add_option("IN", o->in, "Model file")->required();
  app.add_option("OUT", o->out, "Result: .onnx, .xml or .hone")->required();
  list("--input", o->convert.inputs,
       "NAME[SHAPE]:TYPE=VALUE: shape, type or value of an input, or a place to cut the graph; may be repeated");
  list("--output", o->convert.outputs, "Tensor NAME at which the graph ends; may be repeated");
  list("--layout", o->convert.layout, "[NAME=]NCHW: the model's input; [NAME=]'NCHW->NHWC': and what the result takes");
  list("--mean,--mean-values", o->convert.mean, "[NAME=]V,V,V subtracted from the input, one or one a channel");
  list("--scale,--scale-values", o->convert.scale, "[NAME=]V,V,V by which the input is divided, behind the mean");
  app.add_flag("--reverse-channels{}", o->reverse,
               "Channels from last to first (RGB and BGR), before mean and scale; --reverse-channels=NAME for one of "
               "several inputs");
  list("--resize", o->convert.resize,
       "[NAME=]HxW or any, then :linear, :cubic or :nearest: pictures the result takes and resizes");
  app.add_option("--batch", o->convert.batch, "N, N..M or ?: the first dimension of the inputs");
  list("--rename", o->convert.rename, "OLD=NEW: another name for a tensor; may be repeated");
  app.add_option("--network", o->convert.network,
                 "Network of the zoo for a file of weights alone (.pth, .safetensors), NAME or NAME:key=value");
  app.add_flag("--fp16", o->convert.fp16, "Store weights as f16");
  app.add_option("--opset", o->convert.opset, "Operator set of the ONNX file")->check(CLI::Range(13, 23));
  app.add_flag("--report", o->report, "Say node by node what was upgraded, fused, folded and removed");
  app.add_flag("--force", o->convert.force, "Overwrite an existing result");
  auto* reverse = app.get_option("--reverse-channels");
  return [o, reverse](Output& out) {
    check_result_file(o->out, o->convert.force);
    if (reverse->count() > 0) o->convert.reverse_channels.push_back(o->reverse);
    const ConvertReport r = convert(o->in, o->out, o->convert);
    out.line(r.out + ": " + std::to_string(r.nodes) + " nodes, " + std::to_string(r.fused) + " fused, " +
             std::to_string(r.folded) + " folded");
    nlohmann::json object{
        {"out", r.out}, {"nodes", r.nodes}, {"fused", r.fused}, {"folded", r.folded}, {"changes", r.changes}};
    if (o->report) {
      show(out, r);
      object["report"] = lists(r);
    }
    out.result(object);
    return 0;
  };
}

}  // namespace hone::cli
