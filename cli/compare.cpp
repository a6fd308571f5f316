#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "hone/tools.hpp"
#include "options.hpp"
#include "verb.hpp"

namespace hone::cli {

Work setup_compare(CLI::App& app) {
  struct Options {
    std::string a, b;
    std::vector<std::string> inputs, shapes;
    CompareOptions compare;
  };
  auto o = std::make_shared<Options>();
  app.add_option("A", o->a, "Model file")->required();
  app.add_option("B", o->b, "Model file, or openvino: or onnxruntime: for that peer on file A")->required();
  app.add_option("--input", o->inputs, "NAME=FILE.npy; may be repeated");
  app.add_option("--shape", o->shapes, "NAME[1,3,224,224]: shape of a random input; may be repeated");
  app.add_option("--random", o->compare.random, "Number of random inputs (default 1)")->check(CLI::Range(1, 1000000));
  app.add_option("--rtol", o->compare.rtol, "Relative tolerance (default 1e-3)")->check(CLI::Range(0.0, 1e9));
  app.add_option("--atol", o->compare.atol,
                 "Absolute tolerance (default 1e-4, times the largest value of an output where that is less than 1)")
      ->check(CLI::Range(0.0, 1e9));
  app.add_option("--seed", o->compare.seed, "Seed of the random inputs");
  return [o](Output& out) {
    for (const std::string& text : o->inputs) {
      const auto [name, file] = parse_assignment(text);
      o->compare.inputs[name.empty() ? "0" : name] = load_npy(file);
    }
    for (const std::string& text : o->shapes) o->compare.shapes.insert(parse_shape(text));
    const bool peer = o->b.size() > 1 && o->b.back() == ':';
    const Core core;
    const CompareResult r = peer ? compare_with_peer(o->a, o->b.substr(0, o->b.size() - 1), o->compare)
                                 : compare(core.read_model(o->a), core.read_model(o->b), o->compare);
    nlohmann::json outputs = nlohmann::json::array();
    std::vector<std::vector<std::string>> rows{{"output", "largest difference", "relative", ""}};
    for (const OutputDifference& d : r.outputs) {
      char abs[32], rel[32];
      std::snprintf(abs, sizeof abs, "%.3g", d.max_abs);
      std::snprintf(rel, sizeof rel, "%.3g", d.max_rel);
      rows.push_back({d.name, abs, rel, d.equal ? "equal" : "differs"});
      outputs.push_back({{"name", d.name}, {"max_abs", d.max_abs}, {"max_rel", d.max_rel}});
    }
    out.table(rows);
    for (const std::string& note : r.notes) out.line(note);
    if (!r.first_difference.empty()) out.line("first difference: " + r.first_difference);
    out.result(
        {{"outputs", outputs},
         {"first_difference", r.first_difference.empty() ? nlohmann::json() : nlohmann::json(r.first_difference)},
         {"equal", r.equal}});
    return r.equal ? 0 : 1;
  };
}

}  // namespace hone::cli
