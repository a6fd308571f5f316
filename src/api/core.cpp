#include "hone/core.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <sstream>

#include "api/cached_model.hpp"
#include "api/files.hpp"
#include "api/job_support.hpp"
#include "api/ports.hpp"
#include "base/thread_pool.hpp"
#include "cpu/features.hpp"

#ifndef HONE_VERSION
#define HONE_VERSION "0.1.0"
#endif

namespace hone {
namespace {

const Properties defaults = {{"INFERENCE_PRECISION_HINT", "f32"},
                             {"PERFORMANCE_HINT", "LATENCY"},
                             {"INFERENCE_NUM_THREADS", "0"},
                             {"NUM_STREAMS", "0"},
                             {"CACHE_DIR", ""}};

int to_int(const std::string& name, const std::string& value) {
  char* end = nullptr;
  const long v = std::strtol(value.c_str(), &end, 10);
  if (value.empty() || *end || v < 0 || v > 4096)
    throw Error(ErrorCode::usage, "[compile] property " + name + " wants a number", "'" + value + "'");
  return static_cast<int>(v);
}

}  // namespace

// A compiled graph with what the API promises about it. Requests of static graphs run side by side; others take turns.
class CompiledModelImpl {
 public:
  /// Of the file at `path`, or of `g` where the path is empty.
  CompiledModelImpl(std::string file, std::shared_ptr<const Graph> g, const Properties& given)
      : path(std::move(file)), source(std::move(g)), properties(defaults) {
    for (const auto& [k, v] : given) {
      if (!defaults.contains(k)) throw Error(ErrorCode::usage, "[compile] unknown property '" + k + "'");
      properties[k] = v;
    }
    const std::string precision = properties["INFERENCE_PRECISION_HINT"];
    if (!precision.empty()) precision_from(precision);  // refuses other words before anything is read
    options.exact_rest = precision == "f32" || precision.empty();
    options.threads = to_int("INFERENCE_NUM_THREADS", properties["INFERENCE_NUM_THREADS"]);
    const int streams = to_int("NUM_STREAMS", properties["NUM_STREAMS"]);
    const bool many = properties["PERFORMANCE_HINT"] == "THROUGHPUT";
    if (!many && properties["PERFORMANCE_HINT"] != "LATENCY")
      throw Error(ErrorCode::usage, "[compile] PERFORMANCE_HINT is LATENCY or THROUGHPUT",
                  "'" + properties["PERFORMANCE_HINT"] + "'");
    options.streams = streams > 0 ? streams : many ? (options.threads > 0 ? options.threads : available_cores()) : 1;
    options.explain = true;
    options.profile = true;
    ModelJob job;
    job.path = path;
    job.graph = source;
    job.precision = precision;
    job.choose = [&](const Graph& model) {
      return precision == "f32" || precision.empty() ? (is_quantized(model) ? Precision::int8 : Precision::f32)
                                                     : precision_from(precision);
    };
    job.options = options;
    job.cache_folder = properties["CACHE_DIR"];
    if (const char* folder = std::getenv("HONE_CACHE_DIR"); folder && job.cache_folder.empty())
      job.cache_folder = folder;
    loaded = load_model(job);
    options.precision = loaded.precision;
  }

  /// The model itself, read again where the program came from the cache.
  const Graph& graph() {
    std::lock_guard lock(reading);
    if (!source) source = std::make_shared<const Graph>(read_any_model(path));
    return *source;
  }

  std::string path;
  std::shared_ptr<const Graph> source;
  Properties properties;
  CompileOptions options;
  LoadedModel loaded;
  CompiledGraph& compiled = loaded.compiled;
  std::mutex reading;
  std::mutex serial;  // for graphs without a session of their own
};

class InferRequestImpl {
 public:
  explicit InferRequestImpl(std::shared_ptr<CompiledModelImpl> m) : model(std::move(m)) {
    if (const auto& session = model->compiled.session()) {
      request = session->request();
      request->set_callback([this](const Status& s) { finish(s ? nullptr : failed(s)); });
    }
    inputs.resize(model->compiled.inputs().size());
    outputs.resize(model->compiled.outputs().size());
  }
  ~InferRequestImpl() {
    request.reset();  // waits until its callback has returned
    if (worker.joinable()) worker.join();
  }
  static std::exception_ptr failed(const Status& s) {
    return std::make_exception_ptr(Error(ErrorCode::failed, s.message));
  }

  size_t port(const std::vector<CompiledGraph::Port>& ports, const std::string& name, const char* kind) const {
    for (size_t i = 0; i < ports.size(); ++i) {
      if (ports[i].name == name ||
          std::find(ports[i].names.begin(), ports[i].names.end(), name) != ports[i].names.end() ||
          std::to_string(i) == name)
        return i;
    }
    std::string names;
    for (const auto& p : ports) names += (names.empty() ? "" : ", ") + p.name;
    throw Error(ErrorCode::usage, std::string("[infer] no ") + kind + " '" + name + "'", "", "there are " + names);
  }

  void set(size_t i, const Tensor& t) {
    if (i >= inputs.size()) throw Error(ErrorCode::usage, "[infer] no input " + std::to_string(i));
    const auto& p = model->compiled.inputs()[i];
    if (t.element_type() != p.type.element || !PartialShape(t.shape()).compatible(p.type.shape)) {
      throw Error(ErrorCode::usage, "[infer] input '" + p.name + "' is " + to_string(p.type) + ", given " +
                                        name_of(t.element_type()) + to_string(t.shape()));
    }
    inputs[i] = t;
    if (request) {
      if (const Status s = request->set_input(i, t); !s) throw Error(ErrorCode::usage, s.message);
    }
  }

  void run() {
    if (request) {
      (void)request->wait();  // an asynchronous run before has told how it ended
      if (const Status s = request->run(); !s) throw Error(ErrorCode::failed, s.message);
      return;
    }
    std::vector<Datum> in;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i])
        throw Error(ErrorCode::usage, "[infer] input '" + model->compiled.inputs()[i].name + "' was not set");
      in.emplace_back(inputs[i]);
    }
    std::lock_guard lock(model->serial);
    outputs = model->compiled.infer(in);
  }

  std::shared_ptr<CompiledModelImpl> model;
  std::unique_ptr<Request> request;
  std::vector<Tensor> inputs;
  std::vector<Datum> outputs;
  std::function<void(std::exception_ptr)> callback;

  // Asynchronous runs: one at a time, on the session's threads or on one of our own. As with OpenVINO the request is
  // free when its callback is called, which may start it anew, and `wait` waits for the callback too.
  std::mutex mutex;
  std::condition_variable ended;
  bool running = false, pending = false;  ///< before its callback; until that has returned
  std::thread::id calling;                ///< the thread that is in the callback
  std::exception_ptr failure;
  std::thread worker;
  bool again = false;  ///< started by its callback; of `worker` alone

  void start() {
    bool inside = false;
    {
      std::lock_guard lock(mutex);
      if (running) throw Error(ErrorCode::usage, "[infer] the request is running already", "", "wait for it first");
      running = pending = true;
      failure = nullptr;
      inside = calling == std::this_thread::get_id();
    }
    if (request) {
      if (!inside) (void)request->wait();  // a run before has told how it ended
      if (const Status s = request->start(); !s) finish(failed(s));
    } else if (inside) {
      again = true;
    } else {
      if (worker.joinable()) worker.join();
      worker = std::thread([this] { run_started(); });
    }
  }
  void run_started() {
    do {
      again = false;
      std::exception_ptr e;
      try {
        run();
      } catch (...) {
        e = std::current_exception();
      }
      finish(e);
    } while (again);
  }
  void finish(std::exception_ptr e) {
    std::function<void(std::exception_ptr)> call;
    {
      std::lock_guard lock(mutex);
      failure = e;
      call = callback;
      running = false;
      calling = std::this_thread::get_id();
    }
    if (call) call(e);
    {
      std::lock_guard lock(mutex);
      calling = {};
      if (running) return;  // started anew
      pending = false;
    }
    ended.notify_all();
  }
};

InferRequest::InferRequest() = default;
InferRequest::InferRequest(std::shared_ptr<InferRequestImpl> impl) : impl_(std::move(impl)) {}
InferRequest::~InferRequest() = default;

void InferRequest::set_tensor(const std::string& name, const Tensor& tensor) {
  impl_->set(impl_->port(impl_->model->compiled.inputs(), name, "input"), tensor);
}
void InferRequest::set_input_tensor(size_t index, const Tensor& tensor) {
  impl_->set(index, tensor);
}

Tensor InferRequest::get_tensor(const std::string& name) const {
  const auto& in = impl_->model->compiled.inputs();
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i].name == name) return get_input_tensor(i);
  }
  return get_output_tensor(impl_->port(impl_->model->compiled.outputs(), name, "output"));
}
Tensor InferRequest::get_input_tensor(size_t index) const {
  if (index >= impl_->inputs.size()) throw Error(ErrorCode::usage, "[infer] no input " + std::to_string(index));
  return impl_->request ? impl_->request->input(index) : impl_->inputs[index];
}
Tensor InferRequest::get_output_tensor(size_t index) const {
  if (index >= impl_->outputs.size()) throw Error(ErrorCode::usage, "[infer] no output " + std::to_string(index));
  if (impl_->request) return impl_->request->output(index);
  return impl_->outputs[index].is_none() ? Tensor() : impl_->outputs[index].tensor();
}
void InferRequest::infer() {
  impl_->run();
}

void InferRequest::start_async() {
  impl_->start();
}
void InferRequest::wait() {
  std::unique_lock lock(impl_->mutex);
  impl_->ended.wait(lock, [&] { return !impl_->pending; });
  if (impl_->failure) std::rethrow_exception(impl_->failure);
}
bool InferRequest::wait_for(std::chrono::milliseconds timeout) {
  std::unique_lock lock(impl_->mutex);
  if (!impl_->ended.wait_for(lock, timeout, [&] { return !impl_->pending; })) return false;
  if (impl_->failure) std::rethrow_exception(impl_->failure);
  return true;
}
void InferRequest::set_callback(std::function<void(std::exception_ptr)> callback) {
  std::lock_guard lock(impl_->mutex);
  impl_->callback = std::move(callback);
}
std::vector<ProfilingInfo> InferRequest::get_profiling_info() const {
  std::vector<ProfilingInfo> out;
  if (!impl_->request) return out;
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->running)
      throw Error(ErrorCode::usage, "[infer] the request is running: its times are not known yet", "",
                  "wait for it first");
  }
  for (const StepProfile& s : impl_->request->profile()) {
    out.push_back({s.name, s.op, s.kernel, std::chrono::nanoseconds(static_cast<int64_t>(s.microseconds * 1e3))});
  }
  return out;
}
void InferRequest::reset_state() {
  if (impl_->request)
    impl_->request->reset_states();
  else
    impl_->model->compiled.reset_states();
}

CompiledModel::CompiledModel() = default;
CompiledModel::CompiledModel(std::shared_ptr<CompiledModelImpl> impl) : impl_(std::move(impl)) {}
CompiledModel::~CompiledModel() = default;
InferRequest CompiledModel::create_infer_request() const {
  return InferRequest(std::make_shared<InferRequestImpl>(impl_));
}
std::vector<Port> CompiledModel::inputs() const {
  return impl_->loaded.inputs;
}
std::vector<Port> CompiledModel::outputs() const {
  return impl_->loaded.outputs;
}
const std::map<std::string, std::string>& CompiledModel::rt_info() const {
  return impl_->loaded.info;
}
std::string CompiledModel::explain() const {
  return impl_->loaded.explanation;
}

std::string CompiledModel::get_property(const std::string& name) const {
  if (name == "OPTIMAL_NUMBER_OF_INFER_REQUESTS" || name == "NUM_STREAMS")
    return std::to_string(impl_->options.streams);
  if (name == "EXECUTION_DEVICES") return "CPU";
  const auto it = impl_->properties.find(name);
  if (it == impl_->properties.end()) throw Error(ErrorCode::usage, "[compile] unknown property '" + name + "'");
  return it->second;
}

void CompiledModel::export_model(const std::string& path) const {
  save_compiled_model(impl_->graph(), impl_->compiled, path);
}

Core::Core() = default;
Core::~Core() = default;
Model Core::read_model(const std::string& path, const std::string& network) const {
  return Model(std::make_shared<Graph>(read_any_model(path, network)));
}
void Core::save_model(const Model& model, const std::string& path, bool compress_to_fp16) const {
  save_any_model(model.graph(), path, {compress_to_fp16, 0});
}

static void check_device(const std::string& device) {
  if (device != "CPU" && device != "AUTO")
    throw Error(ErrorCode::usage, "[compile] no device '" + device + "'", "", "there is CPU");
}
CompiledModel Core::compile_model(const Model& model, const std::string& device, const Properties& properties) const {
  check_device(device);
  return CompiledModel(
      std::make_shared<CompiledModelImpl>("", std::make_shared<const Graph>(model.graph()), properties));
}
CompiledModel Core::compile_model(const std::string& path, const std::string& device,
                                  const Properties& properties) const {
  check_device(device);
  return CompiledModel(std::make_shared<CompiledModelImpl>(path, nullptr, properties));
}
std::vector<std::string> Core::get_available_devices() const {
  return {"CPU"};
}
std::string Core::get_property(const std::string& device, const std::string& name) const {
  check_device(device);
  if (name == "FULL_DEVICE_NAME") return host_info().cpu;
  if (name == "OPTIMIZATION_CAPABILITIES") return cpu::to_string(cpu::features());
  throw Error(ErrorCode::usage, "[core] unknown property '" + name + "'");
}

std::string version() {
  return HONE_VERSION;
}

}  // namespace hone
