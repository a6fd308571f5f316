#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "hone/profile.hpp"
#include "options.hpp"
#include "verb.hpp"

namespace hone::cli {

Work setup_tune(CLI::App& app) {
  struct Options {
    TuneOptions job;
    std::string budget = "60s";
    std::vector<std::string> shapes;
    bool force = false;
  };
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->job.model, "Model file")->required();
  app.add_option("--out", o->job.out, "File for the records; NAME.hone: the model with its records")->required();
  app.add_option("--time-budget", o->budget, "Time to measure, like 60s (default)");
  app.add_option("--precision", o->job.precision, "f32, bf16, int8 or auto (default)");
  app.add_option("--threads", o->job.threads, "Threads (default: all cores)")->check(CLI::Range(1, 1024));
  app.add_option("--shape", o->shapes, "NAME[1,3,224,224]: shape of an input; may be repeated");
  app.add_flag("--force", o->force, "Overwrite");
  return [o](Output& out) {
    check_choice("--precision", o->job.precision, {"f32", "bf16", "int8", "auto"});
    check_result_file(o->job.out, o->force);
    o->job.time_budget = parse_seconds(o->budget);
    o->job.progress = out.progress();
    for (const std::string& s : o->shapes) o->job.shapes.insert(parse_shape(s));
    const TuneResult r = tune(o->job);
    std::vector<std::vector<std::string>> rows{{"layer", "kernel", "ms", "before", "ms"}};
    nlohmann::json changed = nlohmann::json::array();
    for (const TunedNode& n : r.changed) {
      rows.push_back({n.layer, n.kernel, short_number(n.ms), n.before, short_number(n.before_ms)});
      changed.push_back(
          {{"layer", n.layer}, {"kernel", n.kernel}, {"ms", n.ms}, {"before", n.before}, {"before_ms", n.before_ms}});
    }
    if (!r.changed.empty()) out.table(rows);
    out.line(std::to_string(r.tuned_nodes) + " nodes measured, " + std::to_string(r.changed.size()) +
             " kernels changed, " + short_number(r.speedup) + " times as fast, " + short_number(r.seconds) + " s");
    out.result({{"tuned_nodes", r.tuned_nodes},
                {"changed", changed},
                {"seconds", r.seconds},
                {"speedup", r.speedup},
                {"out", o->job.out}});
    return 0;
  };
}

}  // namespace hone::cli
