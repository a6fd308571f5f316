// Reading, saving, compiling and running models. Names follow OpenVINO 2.0.
#pragma once
#include <chrono>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hone/model.hpp"

namespace hone {

/// Properties of a compiled model, by name; values are text.
///   INFERENCE_PRECISION_HINT  f32 (default) | bf16 | int8 | auto     (docs/cli.md says what each means)
///   PERFORMANCE_HINT          LATENCY (default) | THROUGHPUT
///   INFERENCE_NUM_THREADS     0 = all cores (default)
///   NUM_STREAMS               requests that run at a time; 0 = chosen by the hint
///   CACHE_DIR                 folder for compiled models; empty = the environment's HONE_CACHE_DIR, else none
///   (default)
using Properties = std::map<std::string, std::string>;

/// Time of one step of the last run.
struct ProfilingInfo {
  std::string node_name;                  ///< of the graph
  std::string node_type;                  ///< its operator
  std::string exec_type;                  ///< the kernel that ran it
  std::chrono::nanoseconds real_time{0};  ///< wall clock
};

class InferRequestImpl;
class CompiledModelImpl;

/// One inference at a time. Requests of one compiled model may run at the same time; each belongs to one thread at a
/// time.
class HONE_API InferRequest {
 public:
  InferRequest();  ///< empty: to be assigned
  /// For the library.
  explicit InferRequest(std::shared_ptr<InferRequestImpl> impl);
  ~InferRequest();
  /// By name or position. The tensor's memory is used as it is where it is aligned to 64 bytes and of the right type
  /// and shape; else copied. Throws `Error` naming the input where it does not fit.
  void set_tensor(const std::string& name, const Tensor& tensor);
  /// The same by position, from 0.
  void set_input_tensor(size_t index, const Tensor& tensor);
  /// The same for the first input.
  void set_input_tensor(const Tensor& tensor) { set_input_tensor(0, tensor); }
  /// Inputs as set; outputs of the last run. Output memory belongs to the request and is overwritten by the next run.
  Tensor get_tensor(const std::string& name) const;
  /// By position, from 0: empty where nothing was set. Throws `Error` (usage) where there is none.
  Tensor get_input_tensor(size_t index = 0) const;
  /// By position, from 0: empty before the first run and for absent optionals. Throws `Error` (usage) where there is
  /// none.
  Tensor get_output_tensor(size_t index = 0) const;
  /// Runs and waits. Throws `Error`.
  void infer();
  /// Queues the run and returns at once.
  void start_async();
  /// Waits for the run that `start_async` queued; throws what it threw.
  void wait();
  /// Waits no longer than `timeout`; false where the run goes on. Throws what the run threw.
  bool wait_for(std::chrono::milliseconds timeout);
  /// Called on a worker thread when an asynchronous run ends, with null or the exception.
  void set_callback(std::function<void(std::exception_ptr)> callback);
  /// Times of the steps of this request's last run, in their order; none where only the run settles sizes. Throws
  /// `Error` (usage) while it runs.
  std::vector<ProfilingInfo> get_profiling_info() const;
  /// Recurrent state back to its initial value.
  void reset_state();

 private:
  std::shared_ptr<InferRequestImpl> impl_;
};

/// A model ready to run. Thread-safe.
class HONE_API CompiledModel {
 public:
  CompiledModel();  ///< empty: to be assigned
  /// For the library.
  explicit CompiledModel(std::shared_ptr<CompiledModelImpl> impl);
  ~CompiledModel();
  /// A request with memory of its own; it keeps the model alive.
  InferRequest create_infer_request() const;
  /// In the model's order.
  std::vector<Port> inputs() const;
  /// In the model's order.
  std::vector<Port> outputs() const;
  /// Any of the properties above, also OPTIMAL_NUMBER_OF_INFER_REQUESTS and EXECUTION_DEVICES. Throws `Error` for
  /// unknown names.
  std::string get_property(const std::string& name) const;
  /// Which kernel runs each node and why others were refused.
  std::string explain() const;
  /// Writes the compiled program with the graph as a `.hone` file. Throws `Error`, also for models that have no program
  /// because their shapes are not known.
  void export_model(const std::string& path) const;
  /// What the model carries with it: labels, preprocessing...
  const std::map<std::string, std::string>& rt_info() const;

 private:
  std::shared_ptr<CompiledModelImpl> impl_;
};

/// The entry point. Thread-safe.
class HONE_API Core {
 public:
  Core();
  ~Core();
  /// ONNX (`.onnx`), OpenVINO IR (`.xml` with its `.bin`) or `.hone`. Throws `Error` (unreadable, unsupported, unsafe).
  /// Files of weights alone (`.pth`, `.safetensors`) need the `network` of the zoo that they belong to, as
  /// `NAME:key=value,...`.
  Model read_model(const std::string& path, const std::string& network = {}) const;
  /// Form by suffix: `.onnx`, `.xml`, `.hone`. The file appears whole or not at all.
  void save_model(const Model& model, const std::string& path, bool compress_to_fp16 = false) const;
  /// Takes the model as it is now; later changes of it do not show. `device` is CPU. Throws `Error`: a node that no
  /// kernel takes, wrong properties.
  CompiledModel compile_model(const Model& model, const std::string& device = "CPU",
                              const Properties& properties = {}) const;
  /// A `.hone` file that holds a program for this CPU is loaded as it is.
  CompiledModel compile_model(const std::string& path, const std::string& device = "CPU",
                              const Properties& properties = {}) const;
  /// Names for `compile_model`.
  std::vector<std::string> get_available_devices() const;
  /// FULL_DEVICE_NAME, OPTIMIZATION_CAPABILITIES (instruction sets). Throws `Error` (usage) for other names.
  std::string get_property(const std::string& device, const std::string& name) const;
};

/// Loads a shared library with operators (include/hone/extension.h); readers then know them, everywhere in this
/// process. Throws `Error`: unreadable, unsupported (no entry point, built for another ABI), failed. Thread-safe.
HONE_API void load_extension(const std::string& path);

/// `0.1.0`, and the build.
HONE_API std::string version();

}  // namespace hone
