#include <algorithm>
#include <map>

#include "api/convert_job.hpp"
#include "ops/basic.hpp"

namespace hone {
namespace {

bool computes(const NodeData& n) {
  return n.op != &op_def<Constant>() && n.op != &op_def<Parameter>() && n.op != &op_def<Result>();
}

std::vector<std::string> sources(const NodeData& n) {
  if (!n.provenance.empty()) return n.provenance;
  return n.name.empty() ? std::vector<std::string>{} : std::vector<std::string>{n.name};
}

}  // namespace

ChangeLog::ChangeLog(const Graph& g, const std::vector<ImportNote>& notes) {
  for (NodeId id : g.topological_order()) {
    if (!computes(g.node(id))) continue;
    for (const std::string& s : sources(g.node(id))) {
      if (living_.insert(s).second) order_.push_back(s);
    }
  }
  for (const ImportNote& n : notes) changes_.push_back({"upgraded", n.node, n.from + " -> " + n.to, {}});
}

void ChangeLog::after(const PassResult& pass, const Graph& g) {
  if (pass.changes == 0) return;
  std::set<std::string> now;
  for (NodeId id : g.topological_order()) {
    if (!computes(g.node(id))) continue;
    for (const std::string& s : sources(g.node(id))) now.insert(s);
  }
  for (const std::string& s : order_) {
    if (living_.contains(s) && !now.contains(s))
      changes_.push_back({pass.folded > 0 ? "folded" : "removed", s, pass.name, {}});
  }
  living_ = std::move(now);
}

std::vector<ConvertChange> ChangeLog::finish(const Graph& g) {
  const std::set<std::string> known(order_.begin(), order_.end());
  for (NodeId id : g.topological_order()) {
    const NodeData& n = g.node(id);
    if (!computes(n)) continue;
    std::vector<std::string> from;
    for (const std::string& s : sources(n)) {
      if (known.contains(s)) from.push_back(s);
    }
    if (from.size() > 1)
      changes_.push_back({"fused", n.name.empty() ? from.back() : n.name, std::string(n.op->name), from});
  }
  return std::move(changes_);
}

}  // namespace hone
