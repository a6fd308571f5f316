#include "rewrite/pass.hpp"

#include <chrono>
#include <cstdio>
#include <optional>

#include "hone/error.hpp"
#include "ops/evaluate.hpp"

namespace hone {
namespace {

class Reference final : public Evaluator {
 public:
  std::vector<Datum> run(const Graph& g, NodeId node, std::vector<Datum> inputs) override {
    return evaluate_node(g, node, std::move(inputs));
  }
};

size_t run_in_regions(const Pass& pass, Graph& g, PassContext& context) {
  size_t changes = 0;
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id)) continue;
    const auto regions = g.node(id).regions;
    for (size_t r = 0; r < regions.size(); ++r) {
      auto copy = std::make_shared<Graph>(*regions[r]);
      size_t n = run_in_regions(pass, *copy, context);
      n += pass.run(*copy, context);
      if (n) g.set_region(id, r, copy);
      changes += n;
    }
  }
  return changes;
}

}  // namespace

Evaluator& reference_evaluator() {
  static Reference reference;
  return reference;
}

Pass rules_pass(std::string name, std::vector<Rule> rules, bool fuses) {
  Pass pass;
  pass.name = std::move(name);
  pass.run = [rules = std::move(rules), fuses](Graph& g, PassContext& context) {
    RuleCounts counts = apply_rules(g, rules);
    const size_t n = counts.total();
    if (fuses) context.result.fused += counts.absorbed;
    for (const auto& [rule, times] : counts.applied) context.result.rules.applied[rule] += times;
    context.result.rules.refused.merge(counts.refused);
    return n;
  };
  return pass;
}

PassReport run_passes(Graph& g, const std::vector<Pass>& passes, const PassOptions& options) {
  PassReport report;
  report.nodes_before = g.num_nodes();
  for (const Pass& pass : passes) {
    if (options.disabled.contains(pass.name)) continue;
    PassResult& result = report.passes.emplace_back();
    result.name = pass.name;
    PassContext context{options.evaluator ? *options.evaluator : reference_evaluator(), result};
    const auto start = std::chrono::steady_clock::now();
    try {
      std::optional<Transaction> whole;
      if (!pass.releases) whole.emplace(g);
      if (pass.in_regions) result.changes += run_in_regions(pass, g, context);
      result.changes += pass.run(g, context);
      if (options.verify && result.changes) verify(g);
      if (whole) whole->commit();
    } catch (const Error& e) {
      throw Error(e.code(), e.message(), "pass '" + pass.name + "'" + (e.where().empty() ? "" : ", " + e.where()),
                  e.hint());
    }
    result.microseconds = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    report.folded += result.folded;
    report.fused += result.fused;
    report.microseconds += result.microseconds;
    if (options.on_pass) options.on_pass(result, g);
  }
  report.nodes_after = g.num_nodes();
  return report;
}

std::string to_string(const PassReport& report) {
  std::string out;
  char line[160];
  for (const PassResult& p : report.passes) {
    if (!p.changes) continue;
    std::snprintf(line, sizeof line, "%-28s %6zu changes %6zu folded %6zu fused %10.0f us\n", p.name.c_str(), p.changes,
                  p.folded, p.fused, p.microseconds);
    out += line;
    for (const auto& [name, n] : p.rules.applied) out += "    " + name + " " + std::to_string(n) + "\n";
    for (const auto& [name, why] : p.rules.refused) out += "    " + name + " was undone: " + why + "\n";
  }
  return out;
}

}  // namespace hone
