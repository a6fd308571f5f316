// One stream: prepared kernels, an arena, scratch and a pool. Walks the steps of a program.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.hpp"
#include "program/program.hpp"

namespace hone {

/// Aligned memory with a readable vector behind its end.
class AlignedMemory {
 public:
  AlignedMemory() = default;
  explicit AlignedMemory(size_t bytes);
  /// Writes to each page: none is left for the first run to take a fault on.
  void touch(ThreadPool& pool) const;
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::shared_ptr<void> owner_;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

/// Times of a request's steps in microseconds; empty where it takes none.
struct StepTimes {
  std::vector<double> last, shortest;
};

/// Memory of a request: one pointer an input, output, state.
struct Bindings {
  std::span<void*const> inputs, outputs, states;
  StepTimes& times;
};

class Executor {
 public:
  /// Throws `Error` where a step has no kernel.
  Executor(std::shared_ptr<const Program> program, std::shared_ptr<ThreadPool> pool);
  /// One run. False: `error` says why. Allocates nothing.
  bool run(const Bindings& b, RunError& error) noexcept;

  size_t memory_bytes() const { return arena_.size() + scratch_.size(); }
  int threads() const { return pool_->size(); }
  const std::vector<const Kernel*>& kernels() const { return kernels_; }

 private:
  struct Step {
    PreparedKernel* kernel = nullptr;  ///< null: a copy
    uint32_t first_input = 0, num_inputs = 0, first_output = 0, num_outputs = 0;
    size_t copy_bytes = 0;
    uint8_t* scratch = nullptr;
  };
  // A pointer of the tables that depends on the request.
  struct Patch {
    uint32_t slot;
    uint32_t index;
    Place place;
    bool output;
  };
  struct Commit {
    const void* from;  ///< null: from the patched source
    Place place;
    uint32_t index, state;
    size_t bytes;
  };
  void copy(void* to, const void* from, size_t bytes) noexcept;

  std::shared_ptr<const Program> program_;
  std::shared_ptr<ThreadPool> pool_;
  AlignedMemory arena_, scratch_;
  std::vector<std::unique_ptr<PreparedKernel>> prepared_;
  std::vector<const Kernel*> kernels_;
  std::vector<Step> steps_;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
  std::vector<Patch> patches_;
  std::vector<Commit> commits_;
};

/// The kernel for a step on this CPU: the one the compiler took, else the cheapest with the same packed forms. Throws
/// `Error`.
const Kernel* choose_kernel(const KernelQuery& query, const ProgramStep& step);

}  // namespace hone
