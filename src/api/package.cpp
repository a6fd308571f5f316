// A folder with the compiled model and a small program around it, checked and listed.
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "api/files.hpp"
#include "api/package_job.hpp"
#include "base/file.hpp"
#include "hone/error.hpp"
#include "hone/tools.hpp"
#include "passes/batch.hpp"
#include "program/crypto.hpp"
#include "program/hone_file.hpp"

// The sources of the packaged program, as strings (see CMakeLists.txt).
#include "classify_sources.hpp"

namespace hone {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Where `classify` lies: beside the running program (the command line), or in bin/ beside the folder of the toolkit's
// library.
fs::path program_folder() {
  std::error_code e;
  const fs::path self = fs::read_symlink("/proc/self/exe", e).parent_path();
  if (fs::exists(self / "classify", e)) return self;
  Dl_info library{};
  if (dladdr(reinterpret_cast<const void*>(&program_folder), &library) && library.dli_fname) {
    const fs::path lib = fs::canonical(library.dli_fname, e).parent_path();
    for (const fs::path& root : {lib.parent_path(), lib.parent_path().parent_path()}) {  // lib/ or lib/<machine>/
      if (fs::exists(root / "bin" / "classify", e)) return root / "bin";
    }
  }
  return self;
}

// The runtime library: in lib/ beside that folder, or where Debian's layout puts it.
fs::path runtime_library() {
  const fs::path lib = program_folder().parent_path() / "lib";
  std::error_code e;
  if (fs::exists(lib / "libhone_runtime.so", e)) return fs::canonical(lib / "libhone_runtime.so");
  for (const auto& entry : fs::directory_iterator(lib, e)) {
    if (fs::exists(entry.path() / "libhone_runtime.so", e)) return fs::canonical(entry.path() / "libhone_runtime.so");
  }
  throw Error(ErrorCode::failed, "[package] the runtime library is missing", lib.string(),
              "install the component runtime too");
}

// What was built to go into every package.
struct BuiltParts {
  fs::path program, header, library;
};
BuiltParts built_parts() {
  const BuiltParts p{program_folder() / "classify",
                     program_folder().parent_path() / "share" / "hone" / "hone_picture.hpp", runtime_library()};
  for (const fs::path& part : {p.program, p.header}) {
    if (access(part.c_str(), R_OK) != 0)
      throw Error(ErrorCode::failed, std::string("[package] a built part is missing (") + std::strerror(errno) + ")",
                  part.string(), "install Hone whole, or build the targets classify and hone_runtime");
  }
  return p;
}

void copy_built(const fs::path& from, const fs::path& to) {
  std::error_code e;
  fs::create_directories(to.parent_path(), e);
  if (!fs::copy_file(from, to, fs::copy_options::overwrite_existing, e))
    throw Error(ErrorCode::failed, "[package] a built part cannot be copied (" + e.message() + ")", from.string());
}

std::string card_text(const json& card) {
  std::string s = "# Model card\n\n";
  s += "Task: " + card["task"].get<std::string>() + ", precision " + card["precision"].get<std::string>() + ".\n\n";
  s += "Data revision: " + card["data_revision"].get<std::string>() + "\n\nClasses: ";
  for (const auto& l : card["labels"]) s += l.get<std::string>() + ", ";
  s.resize(s.size() - 2);
  s += "\n\n| precision | accuracy | 95 % interval | samples |\n|---|---|---|---|\n";
  for (const auto& [p, m] : card["metrics"].items()) {
    char row[160];
    std::snprintf(row, sizeof row, "| %s | %.2f %% | %.2f - %.2f | %zu |\n", p.c_str(), m["value"].get<double>() * 100,
                  m["ci95"][0].get<double>() * 100, m["ci95"][1].get<double>() * 100, m["samples"].get<size_t>());
    s += row;
  }
  if (card.contains("speed")) {
    s += "\n| precision | size, bytes | latency, ms | throughput, /s |\n|---|---|---|---|\n";
    for (const auto& r : card["speed"]) {
      char row[160];
      std::snprintf(row, sizeof row, "| %s | %llu | %.3f | %.0f |\n", r["precision"].get<std::string>().c_str(),
                    static_cast<unsigned long long>(r["size_bytes"].get<uint64_t>()), r["latency_ms"].get<double>(),
                    r["throughput_fps"].get<double>());
      s += row;
    }
  }
  s += "\nHost: " + card["host"]["cpu"].get<std::string>() + ", " + std::to_string(card["host"]["cores"].get<int>()) +
       " cores, " + card["host"]["isa"].get<std::string>() + "\n";
  return s;
}

std::vector<PackagedFile> write_manifest(const fs::path& out, const std::string& signing_key) {
  std::vector<PackagedFile> files;
  for (const auto& e : fs::recursive_directory_iterator(out)) {
    if (!e.is_regular_file()) continue;
    const std::string rel = fs::relative(e.path(), out).generic_string();
    if (rel == "manifest.json") continue;
    files.push_back({rel, fs::file_size(e.path()), sha256_of_file(e.path().string())});
  }
  std::sort(files.begin(), files.end(), [](const PackagedFile& a, const PackagedFile& b) { return a.path < b.path; });
  json list = json::array();
  for (const PackagedFile& f : files) list.push_back({{"path", f.path}, {"bytes", f.bytes}, {"sha256", f.sha256}});
  const std::string text = json{{"files", list}}.dump(1) + "\n";
  write_file((out / "manifest.json").string(), text);
  if (!signing_key.empty()) {
    const auto signature = sign(text, signing_key);
    write_file((out / "manifest.sig").string(), {reinterpret_cast<const char*>(signature.data()), signature.size()});
  }
  for (const char* name : {"manifest.json", "manifest.sig"}) {
    const fs::path file = out / name;
    if (fs::exists(file)) files.push_back({name, fs::file_size(file), sha256_of_file(file.string())});
  }
  return files;
}

}  // namespace

void check_package_parts() {
  built_parts();
}

std::vector<PackagedFile> package_model(const PackageOptions& o, const std::string& precision,
                                        const std::string& report, const data::Dataset* data,
                                        const std::vector<uint32_t>* samples) {
  if (!o.encrypt.empty()) read_key(o.encrypt);  // a wrong key file is refused before any work
  if (!o.sign.empty()) sign("", o.sign);
  const BuiltParts parts = built_parts();
  const Graph g = read_any_model(o.model);
  const ModelInfo info = require_info(g, o.model);
  const Precision p = precision_from(precision);
  // What will be packaged is what is measured: the figure on the card must be the program's own.
  if (o.verify && data && samples && info.metrics.contains(precision)) {
    const double now = measure(g, *data, *samples, info.preprocessing, p, 0).accuracy();
    const MeasuredMetric& recorded = info.metrics.at(precision);
    if (std::abs(now - recorded.value) * static_cast<double>(samples->size()) > 0.5) {
      throw Error(ErrorCode::failed,
                  "[package] the program gives accuracy " + std::to_string(now) + ", recorded for " + precision +
                      " is " + std::to_string(recorded.value),
                  o.model, "measure and store the model again");
    }
  }
  // Built beside its place and moved there whole.
  const fs::path out(o.out), temporary = out.string() + ".tmp" + std::to_string(getpid());
  if (fs::exists(out) && !o.force)
    throw Error(ErrorCode::failed, "[package] the result exists already", o.out, "choose another --out or add --force");
  make_folder(temporary.string());
  try {
    Graph fixed = g;
    reshape_with_batch(fixed, {{fixed.inputs()[0].id, PartialShape(info.preprocessing.batch_shape(1))}});
    CompileOptions c;
    c.precision = p;
    save_compiled_model(g, compile_model(fixed, c), (temporary / "model.hone").string(), true, o.encrypt);
    std::string labels;
    for (const std::string& l : info.labels) labels += l + "\n";
    write_file((temporary / "labels.txt").string(), labels);
    copy_built(parts.header, temporary / "hone_picture.hpp");
    const HostInfo host = host_info();
    json card{{"task", info.task},
              {"precision", precision},
              {"labels", info.labels},
              {"data_revision", info.data_revision},
              {"split", info.split.empty() ? json() : json::parse(info.split)["kind"]},
              {"metrics", json::object()},
              {"host", {{"cpu", host.cpu}, {"cores", host.cores}, {"isa", host.isa}}},
              {"hone", version()}};
    for (const auto& [name, m] : info.metrics)
      card["metrics"][name] = {{"name", m.name}, {"value", m.value}, {"ci95", {m.low, m.high}}, {"samples", m.samples}};
    if (!report.empty()) {
      const json r = json::parse(report);
      card["speed"] = r["rows"];
      card["training"] = {{"epochs", r["training"]["epochs"]}, {"network", r["training"]["network"]}};
    }
    write_file((temporary / "model_card.json").string(), card.dump(1) + "\n");
    write_file((temporary / "model_card.md").string(), card_text(card));
    write_file((temporary / "classify.cpp").string(), classify_source);
    write_file((temporary / "CMakeLists.txt").string(), classify_cmake);
    copy_built(parts.program, temporary / "bin" / "classify");
    copy_built(parts.library, temporary / "lib" / parts.library.filename());  // under the name the program asks for
    const auto files = write_manifest(temporary, o.sign);
    fs::remove_all(out);
    fs::rename(temporary, out);
    return files;
  } catch (...) {
    std::error_code e;
    fs::remove_all(temporary, e);
    throw;
  }
}

std::vector<PackagedFile> package(const PackageOptions& o) {
  if (!o.encrypt.empty()) read_key(o.encrypt);
  if (!o.sign.empty()) sign("", o.sign);
  const Graph g = read_any_model(o.model);
  const ModelInfo info = require_info(g, o.model);
  const std::string precision = is_quantized(g) ? "int8" : "f32";
  if (!o.verify) return package_model(o, precision, "", nullptr, nullptr);
  if (info.data.empty() || !fs::exists(info.data)) {
    throw Error(ErrorCode::failed, "[package] the data to measure on are gone", info.data, "add --no-verify");
  }
  const auto data = data::open_dataset(info.data);
  const auto samples = part_samples(*data, "test", &info);
  return package_model(o, precision, "", data.get(), &samples);
}

std::vector<PackagedFile> verify_package(const std::string& folder, const std::string& public_key_file,
                                         const std::string& key_file) {
  const fs::path root(folder);
  const auto differs = [](const std::string& what, const fs::path& file) {
    return Error(ErrorCode::failed, "[package] " + what, file.string(), "take the package from its source again");
  };
  if (!fs::exists(root / "manifest.json"))
    throw Error(ErrorCode::unreadable, "[package] no package: there is no manifest.json", folder);
  if (!fs::exists(root / "manifest.sig")) throw differs("the package is not signed: there is no manifest.sig", root);
  const std::string text = read_text_file((root / "manifest.json").string()),
                    signature = read_text_file((root / "manifest.sig").string());
  if (!signature_fits(text, {reinterpret_cast<const uint8_t*>(signature.data()), signature.size()}, public_key_file)) {
    throw differs("the signature does not fit: the manifest was changed, or signed with another key",
                  root / "manifest.json");
  }
  std::vector<PackagedFile> files;
  try {
    const json manifest = json::parse(text);
    for (const json& f : manifest.at("files")) files.push_back({f.at("path"), f.at("bytes"), f.at("sha256")});
  } catch (const json::exception& e) {
    throw Error(ErrorCode::unreadable, std::string("[package] the manifest is malformed: ") + e.what(),
                (root / "manifest.json").string());
  }
  std::set<std::string> listed{"manifest.json", "manifest.sig"};
  for (const PackagedFile& f : files) {
    const fs::path file = root / f.path;
    // Names come from whoever signed: still, none may lead out of the folder.
    if (fs::path(f.path).is_absolute() || f.path.find("..") != std::string::npos)
      throw Error(ErrorCode::unsafe, "[package] the manifest names a file outside of the package", f.path);
    if (!fs::is_regular_file(fs::symlink_status(file))) throw differs("a file of the manifest is missing", file);
    if (fs::file_size(file) != f.bytes || sha256_of_file(file.string()) != f.sha256)
      throw differs("the file is not the one of the manifest", file);
    listed.insert(f.path);
  }
  for (const auto& e : fs::recursive_directory_iterator(root)) {
    if (!e.is_directory() && !listed.contains(fs::relative(e.path(), root).generic_string()))
      throw differs("the file is not in the manifest", e.path());
  }
  if (!key_file.empty()) read_hone((root / "model.hone").string(), {.checksums = true, .key_file = key_file});
  return files;
}

}  // namespace hone
