// What an operator with regions sees while it is evaluated; whoever evaluates says how a region runs.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.hpp"
#include "ops/eval.hpp"

namespace hone {

class RegionContext : public EvalCtx {
 public:
  /// Results of region `r` on these inputs.
  using Run = std::function<std::vector<Datum>(size_t r, std::vector<Datum> inputs)>;
  RegionContext(std::vector<Datum> inputs, size_t outputs, const std::vector<Region>& regions, Run run)
      : EvalCtx(std::move(inputs), outputs), regions_(regions), run_(std::move(run)) {}

  std::vector<Datum> run_region(size_t r, std::vector<Datum> inputs) override {
    if (r >= regions_.size()) fail("region " + std::to_string(r) + " is missing");
    return run_(r, std::move(inputs));
  }
  /// What stands for an output of a region that never ran: no elements where the size is not known.
  Tensor blank_region_output(size_t r, size_t o) const override {
    const Values outputs = regions_.at(r)->outputs();
    if (o >= outputs.size() || !outputs[o].type().is_tensor())
      fail("output " + std::to_string(o) + " of the region is no tensor");
    Shape shape;
    if (outputs[o].shape().rank_known()) {
      for (const Dimension& d : outputs[o].shape()) shape.push_back(d.is_static() ? d.min() : 0);
    }
    return Tensor(outputs[o].element_type(), shape);
  }

 private:
  const std::vector<Region>& regions_;
  Run run_;
};

}  // namespace hone
