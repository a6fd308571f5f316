#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "options.hpp"
#include "train_options.hpp"
#include "verb.hpp"

namespace hone::cli {

Work setup_auto(CLI::App& app) {
  struct Options {
    AutoOptions job;
    std::string task = "classification", budget;
    std::vector<std::string> targets;
    double max_drop = 0.3;
  };
  auto o = std::make_shared<Options>();
  add_train_options(app, o->job.train);
  app.add_option("--task", o->task, "classification");
  app.add_option("--target", o->targets,
                 "latency=5ms or size=2M (of the chosen file): the best model within the targets; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--max-drop", o->max_drop, "Largest loss of the metric by INT8, in points (default 0.3)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--time-budget", o->budget, "Time for training, like 10m");
  return [o](Output& out) {
    check_train_options(o->job.train);
    check_choice("--task", o->task, {"classification"});
    for (const std::string& target : o->targets) {
      const auto [key, value] = parse_assignment(target);
      check_choice("--target", key, {"latency", "size"});
      if (key == "latency")
        o->job.target_latency_ms = parse_seconds(value) * 1e3;
      else
        o->job.target_size_bytes = parse_size(value);
      if (key == "latency" ? o->job.target_latency_ms <= 0 : o->job.target_size_bytes <= 0)
        throw Error(ErrorCode::usage, "[options] --target wants more than 0", "'" + target + "'");
    }
    if (!o->budget.empty()) o->job.train.time_budget_seconds = parse_seconds(o->budget);
    o->job.max_drop = o->max_drop / 100;
    o->job.train.progress = out.progress();
    const auto report = nlohmann::json::parse(auto_build(o->job));
    std::vector<std::vector<std::string>> rows{
        {"precision", "accuracy", "95 % interval", "size", "latency", "throughput", "memory"}};
    for (const auto& r : report["rows"]) {
      const auto& m = r["metric"];
      rows.push_back(
          {r["precision"], short_number(m["value"].get<double>() * 100) + " %",
           short_number(m["ci95"][0].get<double>() * 100) + " - " + short_number(m["ci95"][1].get<double>() * 100),
           short_bytes(r["size_bytes"]), short_number(r["latency_ms"]) + " ms",
           short_number(r["throughput_fps"]) + " /s", short_number(r["peak_rss_mb"]) + " MB"});
    }
    out.table(rows);
    out.line("chosen: " + report["chosen"].get<std::string>());
    out.line("package: " + report["package"].get<std::string>());
    out.line("report: " + o->job.train.out + "/report.html");
    out.result(report);
    if (report["target"]["met"].get<bool>()) return 0;
    // The work is done and kept, but what was asked for does not hold.
    const std::string chosen = report["chosen"];
    for (const auto& r : report["rows"]) {
      if (!chosen.ends_with("/" + r["file"].get<std::string>())) continue;
      std::string line = "hone auto: [auto] no precision meets the target";
      for (const std::string& target : o->targets) line += " " + target;
      std::fprintf(stderr, "%s: the nearest is %s with %s ms and %s: %s: train a smaller --model, or allow more\n",
                   line.c_str(), r["precision"].get<std::string>().c_str(), short_number(r["latency_ms"]).c_str(),
                   short_bytes(r["size_bytes"]).c_str(), chosen.c_str());
    }
    return 1;
  };
}

}  // namespace hone::cli
