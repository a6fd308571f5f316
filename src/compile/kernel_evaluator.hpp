// Folds constants with the kernels of this CPU: arithmetic on weights at the speed of memory, not of the reference
// evaluation.
#pragma once
#include "base/thread_pool.hpp"
#include "compile/select.hpp"
#include "rewrite/pass.hpp"

namespace hone {

/// Nodes on large static tensors run on kernels, all others on the reference. Not thread-safe.
class KernelEvaluator : public Evaluator {
 public:
  explicit KernelEvaluator(ThreadPool& pool) : pool_(pool) {}
  std::vector<Datum> run(const Graph& g, NodeId node, std::vector<Datum> inputs) override;

 private:
  bool run_on_kernel(const Graph& g, NodeId node, const std::vector<Datum>& inputs, std::vector<Datum>& outputs);
  ThreadPool& pool_;
};

}  // namespace hone
