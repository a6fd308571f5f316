#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "options.hpp"
#include "picture_options.hpp"
#include "verb.hpp"

namespace hone::cli {

Work setup_test(CLI::App& app) {
  auto o = std::make_shared<TestOptions>();
  auto labels = std::make_shared<std::string>();
  app.add_option("MODEL", o->model, "Model file")->required();
  app.add_option("--data", o->data, "Labelled pictures")->required();
  app.add_option("--split", o->split, "train, val, test or all (default: test)");
  app.add_option("--precision", o->precision,
                 "f32, bf16, int8 or auto (default: f32; a quantized file: its own arithmetic)");
  app.add_option("--network", o->network,
                 "Network of the zoo for a file of weights alone (.pth, .safetensors), NAME or NAME:key=value");
  add_picture_options(app, o->picture);
  app.add_option("--labels", *labels,
                 "File with the name of a class a line, in the order of the scores (default: the model's, else the "
                 "data's)");
  app.add_option("--threads", o->threads, "Threads (default: all cores)")->check(CLI::Range(1, 1024));
  app.add_flag("!--no-cache", o->cache, "Compile afresh");
  return [o, labels](Output& out) {
    check_choice("--split", o->split, {"train", "val", "test", "all"});
    if (!o->precision.empty()) check_choice("--precision", o->precision, {"f32", "bf16", "int8", "auto"});
    check_picture_options(o->picture);
    if (!labels->empty()) o->labels = read_lines(*labels);
    o->progress = out.progress();
    const TestResult r = test(*o);
    out.table({{"metric", "value"},
               {"accuracy", short_number(r.accuracy * 100) + " %"},
               {"95 % interval", short_number(r.ci95_low * 100) + " - " + short_number(r.ci95_high * 100) + " %"},
               {"top 5", short_number(r.top5 * 100) + " %"},
               {"loss", short_number(r.loss)},
               {"samples", std::to_string(r.samples)}});
    nlohmann::json classes = nlohmann::json::array();
    std::vector<std::vector<std::string>> rows{{"class", "precision", "recall", "samples"}};
    for (size_t i = 0; i < r.labels.size(); ++i) {
      int64_t n = 0;
      for (int64_t k : r.confusion[i]) n += k;
      rows.push_back({r.labels[i], short_number(r.precision[i]), short_number(r.recall[i]), std::to_string(n)});
      classes.push_back(
          {{"label", r.labels[i]}, {"precision", r.precision[i]}, {"recall", r.recall[i]}, {"samples", n}});
    }
    out.table(rows);
    // clang-format off
    out.result({{"metrics", {{"accuracy", r.accuracy}, {"top5", r.top5}, {"loss", r.loss}}},
                {"ci95", {r.ci95_low, r.ci95_high}},
                {"samples", r.samples},
                {"classes", classes},
                // clang-format on
                {"confusion", r.confusion}});
    return 0;
  };
}

}  // namespace hone::cli
