// Passes: named, timed, switchable changes of a graph, verified one by one.
#pragma once
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "graph/graph.hpp"
#include "rewrite/rule.hpp"

namespace hone {

/// Computes constant nodes while a graph is folded. The default is the reference evaluation; a compiler injects its
/// kernels.
class Evaluator {
 public:
  virtual ~Evaluator() = default;
  /// Outputs of one node for these inputs (none Datums for absent ones). Throws `Error` where it cannot.
  virtual std::vector<Datum> run(const Graph& g, NodeId node, std::vector<Datum> inputs) = 0;
};
Evaluator& reference_evaluator();

/// What one pass did.
struct PassResult {
  std::string name;
  size_t changes = 0;
  size_t folded = 0;  ///< nodes replaced by constants
  size_t fused = 0;   ///< nodes that became part of another
  double microseconds = 0;
  RuleCounts rules;
};

/// What a pass is given besides the graph.
struct PassContext {
  Evaluator& evaluator;
  PassResult& result;  ///< `folded`, `fused` and `rules` may be filled in
};

struct Pass {
  std::string name;
  /// Changes the graph; returns the number of changes.
  std::function<size_t(Graph&, PassContext&)> run;
  /// Also run on the regions of control flow.
  bool in_regions = true;
  /// The pass is its own judge of failures, so that what it consumes is released at once and not kept for a rollback.
  bool releases = false;
};

/// A pass made of rules. `fuses`: operators matched beside the root count as fused.
Pass rules_pass(std::string name, std::vector<Rule> rules, bool fuses = false);

struct PassOptions {
  std::set<std::string> disabled;                                ///< names of passes not to run
  Evaluator* evaluator = nullptr;                                ///< null: the reference
  bool verify = true;                                            ///< check the graph after every pass
  std::function<void(const PassResult&, const Graph&)> on_pass;  ///< called after each
};

struct PassReport {
  std::vector<PassResult> passes;
  size_t folded = 0, fused = 0, nodes_before = 0, nodes_after = 0;
  double microseconds = 0;
};

/// Runs the passes in order. A pass that throws leaves the graph as it was before that pass.
PassReport run_passes(Graph& g, const std::vector<Pass>& passes, const PassOptions& options = {});
/// One line a pass that changed something.
std::string to_string(const PassReport& report);

}  // namespace hone
