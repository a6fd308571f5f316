#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "options.hpp"
#include "picture_options.hpp"
#include "verb.hpp"

namespace hone::cli {

Work setup_predict(CLI::App& app) {
  auto o = std::make_shared<PredictOptions>();
  auto labels = std::make_shared<std::string>();
  app.add_option("MODEL", o->model, "Model file")->required();
  app.add_option("FILE", o->files, "Pictures")->required();
  app.add_option("--top", o->top, "Labels a picture (default 5)")->check(CLI::Range(1, 1000000));
  app.add_option("--draw", o->draw, "Folder for the pictures with their label");
  app.add_option("--precision", o->precision, "f32, bf16, int8 or auto (default)");
  add_picture_options(app, o->picture);
  app.add_option(
      "--labels", *labels,
      "File with the name of a class a line, in the order of the scores (default: the model's, else numbers)");
  app.add_option("--threads", o->threads, "Threads (default: all cores)")->check(CLI::Range(1, 1024));
  app.add_flag("!--no-cache", o->cache, "Compile afresh");
  return [o, labels](Output& out) {
    check_choice("--precision", o->precision, {"f32", "bf16", "int8", "auto"});
    check_picture_options(o->picture);
    if (!labels->empty()) o->labels = read_lines(*labels);
    nlohmann::json results = nlohmann::json::array();
    for (const FilePredictions& f : predict(*o)) {
      nlohmann::json list = nlohmann::json::array();
      std::string text = f.file + ":";
      for (const Prediction& p : f.predictions) {
        list.push_back({{"label", p.label}, {"score", p.score}});
        text += " " + p.label + " " + short_number(p.score) + ",";
      }
      text.pop_back();
      out.line(text);
      results.push_back({{"file", f.file}, {"predictions", list}});
    }
    out.result({{"results", results}});
    return 0;
  };
}

}  // namespace hone::cli
