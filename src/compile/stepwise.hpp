// Runs graphs whose sizes only data can tell, node by node on the kernels of this CPU.
//
// Each node is planned for the shapes that it meets: a kernel is chosen and prepared, weights are packed. Plans are
// kept, a few for each node, packed weights always, so that a run with other sizes costs choosing, not packing. What no
// kernel takes (and what is too small to be worth one) runs on the reference. Regions of control flow run the same way.
#pragma once
#include <memory>
#include <vector>

#include "compile/select.hpp"
#include "ops/evaluate.hpp"
#include "runtime/session.hpp"

namespace hone {

struct StepwiseOptions {
  SelectOptions select;  ///< `pool` is used by every run
  bool profile = false;
  /// Nodes with fewer elements in all inputs run on the reference: it takes less time than choosing a kernel does.
  size_t worthwhile_elements = 256;
};

class StepwiseGraph {
 public:
  /// Nothing is planned yet.
  StepwiseGraph(Graph graph, const StepwiseOptions& options);
  ~StepwiseGraph();
  StepwiseGraph(const StepwiseGraph&) = delete;
  StepwiseGraph& operator=(const StepwiseGraph&) = delete;

  /// Runs on values for the parameters, in order. `variables`: contents of states, read and updated; null: initial
  /// contents. Not thread-safe. Throws `Error` naming the node.
  std::vector<Datum> run(const std::vector<Datum>& inputs, VariableStore* variables = nullptr);

  const Graph& graph() const;
  /// Nodes with their kernels and times, where asked for; regions count to their node.
  std::vector<StepProfile> profile() const;

 private:
  struct Impl;
  struct Shared;
  StepwiseGraph(Graph graph, std::shared_ptr<Shared> shared);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hone
