#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "options.hpp"
#include "train_options.hpp"
#include "verb.hpp"

namespace hone::cli {

Work setup_auto(CLI::App& app) {
  struct Options {
    AutoOptions job;
    std::string task = "classification", target, budget;
    double max_drop = 0.3;
  };
  auto o = std::make_shared<Options>();
  add_train_options(app, o->job.train);
  app.add_option("--task", o->task, "classification");
  app.add_option("--target", o->target, "latency=5ms: the smallest model within the latency is wanted");
  app.add_option("--max-drop", o->max_drop, "Largest loss of the metric by INT8, in points (default 0.3)")->check(CLI::NonNegativeNumber);
  app.add_option("--time-budget", o->budget, "Time for training, like 10m");
  return [o](Output& out) {
    check_train_options(o->job.train);
    check_choice("--task", o->task, {"classification"});
    if (!o->target.empty()) {
      const auto [key, value] = parse_assignment(o->target);
      check_choice("--target", key, {"latency"});
      o->job.target_latency_ms = parse_seconds(value) * 1e3;
    }
    if (!o->budget.empty()) o->job.train.time_budget_seconds = parse_seconds(o->budget);
    o->job.max_drop = o->max_drop / 100;
    o->job.train.progress = out.progress();
    const auto report = nlohmann::json::parse(auto_build(o->job));
    std::vector<std::vector<std::string>> rows{{"precision", "accuracy", "95 % interval", "size", "latency", "throughput", "memory"}};
    for (const auto& r : report["rows"]) {
      const auto& m = r["metric"];
      rows.push_back({r["precision"], short_number(m["value"].get<double>() * 100) + " %",
                      short_number(m["ci95"][0].get<double>() * 100) + " - " + short_number(m["ci95"][1].get<double>() * 100),
                      short_bytes(r["size_bytes"]), short_number(r["latency_ms"]) + " ms", short_number(r["throughput_fps"]) + " /s",
                      short_number(r["peak_rss_mb"]) + " MB"});
    }
    out.table(rows);
    out.line("chosen: " + report["chosen"].get<std::string>());
    out.line("package: " + report["package"].get<std::string>());
    out.line("report: " + o->job.train.out + "/report.html");
    out.result(report);
    return 0;
  };
}

}  // namespace hone::cli
