// Which kernel computes a node, and why not another one.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compile/tuning.hpp"
#include "device/kernel.hpp"
#include "graph/graph.hpp"

namespace hone {

struct SelectOptions {
  int threads = 1;
  bool bf16_compute = false;
  std::shared_ptr<ThreadPool> pool = nullptr;              ///< compiles with it: folding and packing
  std::shared_ptr<const TuningRecords> records = nullptr;  ///< measured choices, of this CPU
  KernelCandidates* candidates = nullptr;                  ///< where given: filled with all that could be chosen
};

/// The kernel of one node.
struct Choice {
  const Kernel* kernel = nullptr;
  KernelPlan plan;
  Epilogue epilogue;
  bool is_reference() const { return std::string_view(kernel->provider) == "reference"; }
};

struct Refusal {
  std::string kernel, why;
};

/// The question for a node. `attributes` must outlive the query.
KernelQuery query_of(const Graph& g, NodeId node, const Epilogue& epilogue, const std::vector<uint8_t>& attributes,
                     const SelectOptions& options);
/// Gives every input and output of the query that is an image (rank 3 to 5, not a weight) this layout.
void set_image_layouts(const Graph& g, NodeId node, Layout layout, KernelQuery& query);
/// The row that a record names, else the cheapest one that takes the query; nullopt where none does. A measured choice
/// costs no more than the cheapest: records decide between kernels, not between layouts. `refusals` collects what the
/// others said.
std::optional<Choice> select_kernel(const KernelQuery& query, std::vector<Refusal>* refusals = nullptr,
                                    const SelectOptions* options = nullptr);

}  // namespace hone
