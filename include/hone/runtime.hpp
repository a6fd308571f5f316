// The bare runtime: loads a compiled model (`.hone`) and runs it. For programs that link `libhone_runtime` alone,
// without the toolkit. Nothing here throws: every call answers a Status.
//
//   hone::runtime::Model model;
//   hone::runtime::Status s = model.load("model.hone");
//   if (!s) { fprintf(stderr, "%s\n", s.message); return 1; }
//   std::memcpy(model.input_data(0), pixels, model.input(0).bytes);
//   s = model.run();
//   const float* scores = static_cast<const float*>(model.output_data(0));
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "hone/export.hpp"

namespace hone::runtime {

/// Success, or a message that says what failed, where, and what to do. Fixed size: making one allocates nothing.
struct [[nodiscard]] Status {
  bool ok = true;                                         ///< success
  char message[512] = {};                                 ///< what failed; empty after a success
  explicit operator bool() const noexcept { return ok; }  ///< success
};

/// An input or output: pointers live as long as the model.
struct TensorInfo {
  const char* name = "";           ///< first tensor name of the model
  const char* type = "";           ///< "f32", "u8"...: names of docs/cli.md
  const int64_t* shape = nullptr;  ///< logical dimensions (NCHW for pictures); the data are dense and row-major
  size_t rank = 0;                 ///< number of dimensions, 0 for a scalar
  size_t elements = 0;             ///< product of the dimensions
  size_t bytes = 0;                ///< of the data
};

/// How a model is loaded.
struct LoadOptions {
  int threads = 0;                  ///< 0: HONE_NUM_THREADS, else all cores
  const char* precision = nullptr;  ///< "f32", "bf16", "int8"; null: the first program of the file that fits this CPU
  bool check = true;                ///< verify the checksum of the weights
  bool profile = false;             ///< time every step
  const char* key_file =
      nullptr;  ///< key of an encrypted model (needs libcrypto.so.3); null: HONE_KEY_FILE of the environment
};

/// A loaded model with one request. A model belongs to one thread at a time; models of one file share its mapped
/// weights.
class HONE_API Model {
 public:
  Model() noexcept;  ///< empty: to be loaded
  ~Model();
  Model(Model&&) noexcept;             ///< leaves an empty model
  Model& operator=(Model&&) noexcept;  ///< ends what was loaded

  /// Maps the file and prepares its program for this CPU. Refuses files that are damaged or hold no fitting program.
  Status load(const char* path, const LoadOptions& options = {}) noexcept;
  /// A second request on the same program, weights and threads' settings, with memory of its own.
  Status clone_into(Model& other) const noexcept;

  /// 0 where nothing is loaded.
  size_t num_inputs() const noexcept;
  /// 0 where nothing is loaded.
  size_t num_outputs() const noexcept;
  /// A default TensorInfo where `i` is out of range.
  TensorInfo input(size_t i) const noexcept;
  /// A default TensorInfo where `i` is out of range.
  TensorInfo output(size_t i) const noexcept;
  /// Position by name; -1 where there is none.
  int input_index(const char* name) const noexcept;
  /// Position by name; -1 where there is none.
  int output_index(const char* name) const noexcept;

  /// Memory of an input, to be filled before `run`.
  void* input_data(size_t i) noexcept;
  /// Results of the last run.
  const void* output_data(size_t i) const noexcept;
  /// Uses memory of the caller for an input or output from now on (copied where it is not aligned to 64 bytes); it must
  /// hold `bytes`.
  Status bind_input(size_t i, const void* data, size_t bytes) noexcept;
  /// The same for an output: a run writes there.
  Status bind_output(size_t i, void* data, size_t bytes) noexcept;

  /// One inference. Allocates nothing.
  Status run() noexcept;
  /// Recurrent state back to its initial content.
  void reset_states() noexcept;

  /// What the file says about the model: "labels", "preprocessing"... (text, most of it JSON); null where the key is
  /// not there.
  const char* metadata(const char* key) const noexcept;
  /// Number of entries.
  size_t num_metadata() const noexcept;
  /// Key of entry `i`; null where it is out of range.
  const char* metadata_key(size_t i) const noexcept;
  /// Precision of the program that was taken.
  const char* precision() const noexcept;
  /// Bytes of intermediate results and scratch.
  size_t memory_bytes() const noexcept;
  /// Steps of the program with the time of the last run in microseconds (profile only).
  size_t num_steps() const noexcept;
  /// Step `i`; strings live as long as the model. Fails where `i` is out of range.
  Status step(size_t i, const char** name, const char** op, const char** kernel, double* microseconds) const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Instruction sets found on this CPU, e.g. "avx2 avx512 vnni bf16".
HONE_API const char* cpu_features() noexcept;

}  // namespace hone::runtime
