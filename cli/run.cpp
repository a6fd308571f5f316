#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "hone/tools.hpp"
#include "options.hpp"
#include "picture_options.hpp"
#include "verb.hpp"

namespace hone::cli {
namespace {

// A tensor name as a file name of its own: what a file system or a shell would stumble over becomes '_'.
std::string file_name(const std::string& name, std::set<std::string>& taken) {
  std::string s;
  for (char c : name) s += std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_' ? c : '_';
  if (s.empty() || s[0] == '.') s = "_" + s;
  std::string fresh = s;
  for (size_t i = 2; !taken.insert(fresh).second; ++i) fresh = s + "_" + std::to_string(i);
  return fresh;
}

void make_output_folder(const std::string& path) {
  std::error_code e;
  std::filesystem::create_directories(path, e);
  if (e || !std::filesystem::is_directory(path))
    throw Error(ErrorCode::failed,
                "[run] cannot create the folder (" + (e ? e.message() : "a file is in the way") + ")", path,
                "choose another --output-dir");
}

nlohmann::json write_value(const NamedValue& v, const std::filesystem::path& dir, std::set<std::string>& taken) {
  const std::string base = file_name(v.name, taken);
  if (v.value.is_none()) return {{"name", v.name}, {"type", "none"}};
  if (v.value.is_sequence()) {
    nlohmann::json files = nlohmann::json::array();
    for (const Datum& d : v.value.sequence()) {
      const std::string name = base + "." + std::to_string(files.size()) + ".npy";
      save_npy((dir / name).string(), d.tensor());
      files.push_back(name);
    }
    return {{"name", v.name}, {"type", "sequence"}, {"files", files}};
  }
  const Tensor& t = v.value.tensor();
  save_npy((dir / (base + ".npy")).string(), t);
  return {{"name", v.name}, {"file", base + ".npy"}, {"shape", t.shape()}, {"type", name_of(t.element_type())}};
}

}  // namespace

Work setup_run(CLI::App& app) {
  struct Options {
    std::string model, dir, network;
    std::vector<std::string> inputs, shapes;
    PictureOptions picture;
    RunOptions run;
    uint64_t seed = 0;
  };
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->model, "Model file")->required();
  app.add_option("--input", o->inputs, "NAME=FILE: .npy or a picture; may be repeated; inputs not named are random");
  app.add_option("--shape", o->shapes, "NAME[1,3,224,224]: shape of a random input; may be repeated");
  app.add_option("--output-dir", o->dir, "Folder for the outputs")->required();
  app.add_option("--network", o->network,
                 "Network of the zoo for a file of weights alone (.pth, .safetensors), NAME or NAME:key=value");
  app.add_option("--repeat", o->run.repeat, "Runs in one session; the outputs of the last are written")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--precision", o->run.precision,
                 "f32, bf16, int8 or auto (default: f32; a quantized file: its own arithmetic)");
  app.add_option("--threads", o->run.threads, "Threads (default: all cores)")->check(CLI::Range(1, 1024));
  app.add_option("--seed", o->seed, "Seed of random inputs");
  o->run.cache = true;
  app.add_flag("!--no-cache", o->run.cache, "Compile afresh");
  add_picture_options(app, o->picture);
  return [o](Output& out) {
    if (!o->run.precision.empty()) check_choice("--precision", o->run.precision, {"f32", "bf16", "int8", "auto"});
    check_picture_options(o->picture);
    std::map<std::string, Datum> inputs;
    std::optional<Model> model;  // read only where a picture has to become an input, or nothing is cached
    for (size_t i = 0; i < o->inputs.size(); ++i) {
      auto [name, file] = parse_assignment(o->inputs[i]);
      if (name.empty()) name = std::to_string(i);
      if (inputs.contains(name)) throw Error(ErrorCode::usage, "[run] input '" + name + "' is given twice");
      if (!std::filesystem::exists(file))
        throw Error(ErrorCode::unreadable, "[run] there is no file for input '" + name + "'", file,
                    "--input wants NAME=FILE");
      if (file.ends_with(".npy")) {
        inputs[name] = load_npy(file);
        continue;
      }
      if (!model) model = Core().read_model(o->model, o->network);
      const auto ports = model->inputs();
      size_t index = ports.size();
      for (size_t k = 0; k < ports.size(); ++k) {
        if (ports[k].name == name) index = k;
      }
      for (size_t k = 0; k < ports.size() && index == ports.size(); ++k) {
        if (std::to_string(k) == name) index = k;
      }
      if (index == ports.size()) throw Error(ErrorCode::usage, "[run] the model has no input '" + name + "'", o->model);
      inputs[name] = load_input(*model, index, file, o->picture);
    }
    for (const std::string& text : o->shapes) o->run.shapes.insert(parse_shape(text));
    o->run.network = o->network;
    const auto values = run_file(o->model, inputs, o->run, o->seed);
    make_output_folder(o->dir);
    nlohmann::json outputs = nlohmann::json::array();
    std::set<std::string> taken;
    for (const NamedValue& v : values) {
      outputs.push_back(write_value(v, o->dir, taken));
      const auto& j = outputs.back();
      out.line(v.name + ": " + j["type"].get<std::string>() + (j.contains("shape") ? " " + j["shape"].dump() : ""));
    }
    const nlohmann::json result{{"outputs", outputs}};
    const auto path = std::filesystem::path(o->dir) / "outputs.json";
    write_text(path.string(), result.dump(1) + "\n", "run");
    out.result(result);
    return 0;
  };
}

}  // namespace hone::cli
