#include "api/peer.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/files.hpp"
#include "base/file.hpp"
#include "formats/npy/npy.hpp"
#include "hone/error.hpp"

// The Python script, as a string (see CMakeLists.txt).
#include "peer_script.hpp"

extern char** environ;

namespace hone {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string python() {
  const char* given = std::getenv("HONE_PYTHON");
  return given && *given ? given : "python3";
}

// Runs the script on a job file and waits. Throws `Error` where Python does not start or dies.
void spawn_script(const std::string& job_file, const std::string& peer) {
  const std::string program = python();
  const char* arguments[] = {program.c_str(), "-c", peer_script, job_file.c_str(), nullptr};
  // What the peer prints must not mix with our own output.
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0 /* read */, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 1 /* write */, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1 /* write */, 0);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, program.c_str(), &actions, nullptr, const_cast<char**>(arguments), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (!failed) {
    while (waitpid(pid, &status, 0) < 0) {
      if (errno != EINTR)
        throw Error(ErrorCode::failed, std::string("[peer] cannot wait for Python: ") + std::strerror(errno));
    }
  }
  if (failed || (WIFEXITED(status) && WEXITSTATUS(status) == 127)) {
    throw Error(ErrorCode::failed, "[peer] no Python to run " + peer + " in", program,
                "install python3 with `pip install numpy " + peer + "`, or set HONE_PYTHON to a Python that has them");
  }
  if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGINT || WTERMSIG(status) == SIGTERM))
    throw Error(ErrorCode::interrupted, "[peer] interrupted");
  if (WIFSIGNALED(status))
    throw Error(ErrorCode::failed, "[peer] " + peer + " died with signal " + std::to_string(WTERMSIG(status)));
}

json ask(const PeerJob& job, const TemporaryFolder& folder, json task) {
  task["peer"] = job.peer;
  task["model"] = fs::absolute(job.model).string();
  task["precision"] = job.precision;
  task["hint"] = job.hint;
  task["threads"] = job.threads;
  task["streams"] = job.streams;
  task["outputs"] = job.outputs;
  task["static"] = job.fixed;
  task["values"] = job.values;
  task["inputs"] = json::array();
  for (size_t i = 0; i < job.inputs.size(); ++i) {
    if (!job.inputs[i].value.is_tensor()) {
      throw Error(ErrorCode::unsupported, "[peer] an input is no tensor: " + job.peer + " is given tensors alone",
                  job.inputs[i].names.empty() ? "" : job.inputs[i].names[0]);
    }
    const std::string name = "input" + std::to_string(i) + ".npy";
    write_npy(folder.path() + "/" + name, job.inputs[i].value.tensor());
    task["inputs"].push_back({{"names", job.inputs[i].names}, {"file", name}});
  }
  const std::string file = folder.path() + "/job.json";
  // Names in files need not be UTF-8: what is not becomes U+FFFD and is then found by position.
  write_file(file, task.dump(-1, ' ', false, json::error_handler_t::replace));
  spawn_script(file, job.peer);
  const std::string result = folder.path() + "/result.json";
  if (!fs::exists(result)) throw Error(ErrorCode::failed, "[peer] " + job.peer + " ended without an answer", python());
  const json answer = json::parse(read_text_file(result));
  if (!answer.contains("error")) return answer;
  const std::string kind = answer["error"], message = answer["message"];
  if (kind == "missing") {
    throw Error(ErrorCode::failed, "[peer] Python lacks the package " + message, python(),
                "install it with `pip install " + message + "`, or set HONE_PYTHON to a Python that has it");
  }
  if (kind == "read")
    throw Error(ErrorCode::unsupported, "[peer] " + job.peer + " refuses the model: " + message, job.model);
  throw Error(ErrorCode::failed, "[peer] " + job.peer + " failed: " + message, job.model);
}

std::vector<PeerTensor> tensors(const json& list, const TemporaryFolder& folder) {
  std::vector<PeerTensor> out;
  for (const json& j : list) {
    PeerTensor t{j.at("names"), {}};
    const auto read = [&](const json& name) { return read_npy(folder.path() + "/" + name.get<std::string>()); };
    if (j.at("kind") == "tensor") t.value = Datum(read(j.at("files")[0]));
    if (j.at("kind") == "sequence") {
      std::vector<Datum> elements;
      for (const json& f : j.at("files")) elements.emplace_back(read(f));
      t.value = Datum(std::move(elements));
    }
    out.push_back(std::move(t));
  }
  return out;
}

bool reads(const std::string& peer, const std::string& file) {
  std::string suffix = fs::path(file).extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (suffix == ".onnx") return true;
  return peer == "openvino" && (suffix == ".xml" || suffix == ".tflite" || suffix == ".pb" || suffix == ".pdmodel");
}

}  // namespace

const std::vector<std::string>& peer_names() {
  static const std::vector<std::string> names{"openvino", "onnxruntime"};
  return names;
}

void check_peer(const std::string& name, const std::string& verb) {
  if (std::find(peer_names().begin(), peer_names().end(), name) == peer_names().end()) {
    throw Error(ErrorCode::usage, "[" + verb + "] no peer '" + name + "'", "", "there are openvino and onnxruntime");
  }
}

TemporaryFolder::TemporaryFolder() {
  std::error_code e;
  path_ = (fs::temp_directory_path(e) / "hone-XXXXXX").string();
  if (e || !mkdtemp(path_.data()))
    throw Error(ErrorCode::no_space, std::string("[peer] cannot make a temporary folder: ") + std::strerror(errno),
                path_, "set TMPDIR to a folder that can be written");
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code e;
  fs::remove_all(path_, e);
}

std::string file_for_peer(const std::string& peer, const std::string& file, const Graph& g,
                          const TemporaryFolder& folder, std::string* note) {
  if (reads(peer, file)) return file;
  const std::string out = folder.path() + (peer == "openvino" ? "/model.xml" : "/model.onnx");
  save_any_model(g, out);
  if (note)
    *note = peer + " does not read the form of " + fs::path(file).filename().string() +
            ": it was given Hone's export to " + (peer == "openvino" ? "OpenVINO IR" : "ONNX");
  return out;
}

PeerOutputs run_in_peer(const PeerJob& job) {
  const TemporaryFolder folder;
  const json answer = ask(job, folder, {{"task", "run"}});
  return {answer.at("version"), tensors(answer.at("outputs"), folder), tensors(answer.at("values"), folder)};
}

PeerTimes time_in_peer(const PeerJob& job, double seconds) {
  const TemporaryFolder folder;
  const json j = ask(job, folder, {{"task", "time"}, {"seconds", seconds}});
  PeerTimes t;
  t.version = j.at("version");
  t.precision = j.at("precision");
  t.note = j.at("note");
  t.median_ms = j.at("median_ms");
  t.min_ms = j.at("min_ms");
  t.load_ms = j.at("load_ms");
  t.first_inference_ms = j.at("first_inference_ms");
  t.runs_per_s = j.at("runs_per_s");
  t.peak_rss_mb = j.at("peak_rss_mb");
  return t;
}

}  // namespace hone
