#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "hone/tasks.hpp"
#include "hone/tools.hpp"
#include "options.hpp"
#include "verb.hpp"

namespace hone::cli {

Work setup_inspect(CLI::App& app) {
  struct Options {
    std::string model, svg, verify, key, network;
    bool trainable = false, flops = false, force = false, text = false;
  };
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->model, "Model file, or with --verify the folder of a package")->required();
  app.add_option("--network", o->network,
                 "Network of the zoo for a file of weights alone (.pth, .safetensors), NAME or NAME:key=value");
  app.add_flag("--trainable", o->trainable, "Say whether the model can be trained and what is in the way");
  app.add_option("--svg", o->svg, "Draw the graph into this file");
  app.add_flag("--flops", o->flops, "Operations (always part of the result; kept for scripts)");
  app.add_flag("--text", o->text, "Print the graph as text");
  app.add_flag("--force", o->force, "Overwrite an existing drawing");
  app.add_option("--verify", o->verify,
                 "Ed25519 public key (PEM): check the signature and the files of a package; `openssl pkey -in sign.pem "
                 "-pubout -out sign.pub.pem`");
  app.add_option("--key", o->key, "Key file of an encrypted model (or HONE_KEY_FILE)");
  return [o](Output& out) {
    if (!o->verify.empty()) {
      nlohmann::json files = nlohmann::json::array();
      std::vector<std::vector<std::string>> rows{{"file", "bytes"}};
      for (const PackagedFile& f : verify_package(o->model, o->verify, o->key)) {
        files.push_back({{"path", f.path}, {"bytes", f.bytes}, {"sha256", f.sha256}});
        rows.push_back({f.path, std::to_string(f.bytes)});
      }
      out.table(rows);
      out.line("verified: the signature fits and every file is the one that was signed");
      out.result({{"verified", true}, {"files", files}});
      return 0;
    }
    if (!o->key.empty()) setenv("HONE_KEY_FILE", o->key.c_str(), 1);
    if (!o->svg.empty()) check_result_file(o->svg, o->force);
    const Model model = Core().read_model(o->model, o->network);
    nlohmann::json j;
    for (const auto& [key, ports] : {std::pair{"inputs", model.inputs()}, std::pair{"outputs", model.outputs()}}) {
      j[key] = nlohmann::json::array();
      for (const Port& p : ports) {
        j[key].push_back({{"name", p.name}, {"type", name_of(p.element_type)}, {"shape", to_string(p.partial_shape)}});
        out.line(std::string(key).substr(0, std::string(key).size() - 1) + " " + p.name + " " +
                 name_of(p.element_type) + to_string(p.partial_shape));
      }
    }
    const auto operators = model.operators();
    j["operators"] = operators;
    j["parameters"] = model.parameter_count();
    j["flops"] = model.flops();
    j["unsupported"] = unsupported_operators(model);
    std::vector<std::vector<std::string>> rows{{"operator", "count"}};
    for (const auto& [name, count] : operators) rows.push_back({name, std::to_string(count)});
    out.table(rows);
    out.line("parameters " + std::to_string(model.parameter_count()) + ", " +
             short_number(static_cast<double>(model.flops()) / 1e9) + " GFLOP");
    if (o->text) out.line(model.to_text());
    if (o->trainable) {
      nlohmann::json blocking = nlohmann::json::array();
      for (const BlockingOperator& b : trainable_report(model)) {
        blocking.push_back({{"node", b.node}, {"operator", b.op}, {"reason", b.reason}});
        out.line("not trainable through " + b.op + " '" + b.node + "': " + b.reason);
      }
      if (blocking.empty()) out.line("trainable");
      j["trainable"] = {{"ok", blocking.empty()}, {"blocking", blocking}};
    }
    if (!o->svg.empty()) {
      write_text(o->svg, to_svg(model), "inspect");
      j["svg"] = o->svg;
    }
    out.result(j);
    return 0;
  };
}

}  // namespace hone::cli
