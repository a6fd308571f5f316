#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "options.hpp"
#include "picture_options.hpp"
#include "verb.hpp"

namespace hone::cli {

Work setup_quantize(CLI::App& app) {
  struct Options {
    QuantizeJob job;
    double max_drop = -1;
    std::string samples = "300", labels;
  };
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->job.model, "Float model")->required();
  app.add_option("--data", o->job.data, "Pictures to calibrate on; labelled ones where --max-drop is given")
      ->required();
  app.add_option("--out", o->job.out, "Result: .hone, .xml or .onnx")->required();
  app.add_option("--samples", o->samples, "Calibration pictures (default 300)");
  app.add_option("--max-drop", o->max_drop,
                 "Largest loss of the metric on the validation split, in points; beyond it the worst layers keep their "
                 "precision")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--preset", o->job.preset, "performance (symmetric activations) or mixed (asymmetric)");
  app.add_option("--ignore", o->job.ignore, "Regular expression on node names to leave out; may be repeated");
  add_picture_options(app, o->job.picture);
  app.add_option("--labels", o->labels, "File with the name of a class a line, in the order of the scores");
  app.add_option("--threads", o->job.threads, "Threads (default: all cores)")->check(CLI::Range(1, 1024));
  app.add_option("--seed", o->job.seed, "Seed of the choice of calibration pictures");
  app.add_flag("--force", o->job.force, "Overwrite an existing result");
  return [o](Output& out) {
    check_choice("--preset", o->job.preset, {"performance", "mixed"});
    const int64_t samples = parse_size(o->samples);
    if (samples < 1) throw Error(ErrorCode::usage, "[options] --samples wants at least 1", "'" + o->samples + "'");
    o->job.samples = static_cast<size_t>(samples);
    if (o->max_drop >= 0) o->job.max_drop = o->max_drop / 100;
    check_picture_options(o->job.picture);
    if (!o->labels.empty()) o->job.labels = read_lines(o->labels);
    check_result_file(o->job.out, o->job.force);
    o->job.progress = out.progress();
    const QuantizeResult r = quantize(o->job);
    out.line(r.out + ": " + std::to_string(r.quantized_nodes) + " layers in int8 (" + short_number(r.mac_share * 100) +
             " % of the multiply-accumulates), " + std::to_string(r.kept_nodes) + " kept" +
             (r.drop ? ", drop " + short_number(*r.drop * 100) + " points" : "") + ", " + short_number(r.seconds) +
             " s");
    for (const std::string& k : r.kept) out.line("  kept " + k);
    nlohmann::json j{{"out", r.out},
                     {"quantized_nodes", r.quantized_nodes},
                     {"kept_nodes", r.kept_nodes},
                     {"mac_share", r.mac_share},
                     {"seconds", r.seconds},
                     {"peak_rss_mb", r.peak_rss_mb},
                     {"kept", r.kept}};
    if (r.drop) j["drop"] = *r.drop * 100;
    out.result(j);
    return 0;
  };
}

}  // namespace hone::cli
