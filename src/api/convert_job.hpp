// The parts of `hone convert`: what its switches do to the graph, and what it says it did.
#pragma once
#include <set>

#include "formats/import_notes.hpp"
#include "graph/graph.hpp"
#include "hone/tools.hpp"
#include "rewrite/pass.hpp"

namespace hone {

/// Cuts, shapes, types, frozen values, batch, picture steps and names, in this order. Throws `Error` (usage) naming the
/// switch and the tensor.
void apply_convert_options(Graph& g, const ConvertOptions& options);

/// Follows the nodes of the file through the passes by their provenance.
class ChangeLog {
 public:
  ChangeLog(const Graph& g, const std::vector<ImportNote>& notes);
  /// To be called after every pass.
  void after(const PassResult& pass, const Graph& g);
  std::vector<ConvertChange> finish(const Graph& g);

 private:
  std::vector<std::string> order_;  ///< nodes of the file
  std::set<std::string> living_;
  std::vector<ConvertChange> changes_;
};

}  // namespace hone
