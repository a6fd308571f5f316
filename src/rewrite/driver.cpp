#include <algorithm>
#include <deque>
#include <unordered_set>

#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "rewrite/rule.hpp"

namespace hone {
namespace {

// Worklist over nodes, with an index from root operators to rules.
class Driver {
 public:
  Driver(Graph& g, const std::vector<Rule>& rules) : g_(g), rules_(rules) {
    for (size_t r = 0; r < rules.size(); ++r) {
      const auto roots = root_operators(rules[r].root);
      if (roots.empty()) anywhere_.push_back(r);
      for (const OpDef* op : roots) {
        auto& list = index_[op];
        if (list.empty() || list.back() != r) list.push_back(r);
      }
    }
  }

  RuleCounts run() {
    for (NodeId id : g_.topological_order()) push(id);
    // Rules shrink the graph or move to a normal form; one that does neither would go on for ever.
    const size_t limit = 200 * g_.node_capacity() + 10000;
    size_t steps = 0;
    while (!work_.empty()) {
      const NodeId id = work_.front();
      work_.pop_front();
      queued_.erase(id);
      if (!g_.alive(id)) continue;
      if (!try_rules(id)) continue;
      if (++steps > limit)
        throw Error(ErrorCode::failed, "[rewrite] the rules do not settle", "last rule '" + last_ + "'");
    }
    return std::move(counts_);
  }

 private:
  void push(NodeId id) {
    if (g_.alive(id) && queued_.insert(id).second) work_.push_back(id);
  }
  void push_around(NodeId id) {
    push(id);
    for (ValueId v : g_.node(id).inputs) {
      if (v != no_id) push(g_.value(v).producer);
    }
    for (ValueId v : g_.node(id).outputs) {
      for (const Use& u : g_.value(v).uses) push(u.node);
    }
  }

  bool try_rules(NodeId id) {
    const auto it = index_.find(g_.node(id).op);
    if (it != index_.end()) {
      for (size_t r : it->second) {
        if (try_rule(id, r)) return true;
      }
    }
    for (size_t r : anywhere_) {
      if (try_rule(id, r)) return true;
    }
    return false;
  }

  bool try_rule(NodeId id, size_t r) {
    if (const auto made = made_by_.find(id); made != made_by_.end() && made->second.contains(r)) return false;
    const auto m = match(rules_[r].root, g_.handle(id));
    return m && apply(*m, r);
  }

  bool apply(const Match& m, size_t r) {
    const Rule& rule = rules_[r];
    const Node root = m.root();
    Transaction t(g_);
    Builder b(g_);
    b.set_provenance(provenance_of(m));
    Values to;
    try {
      to = rule.action(m, b);
    } catch (const Error& e) {
      throw Error(e.code(), e.message(), "rule '" + rule.name + "'" + (e.where().empty() ? "" : ", " + e.where()),
                  e.hint());
    }
    Values from{m[rule.root]};
    if (rule.all_outputs) from = root.outputs();
    if (to.size() != from.size() || std::none_of(to.begin(), to.end(), [](const Value& v) { return bool(v); }))
      return false;
    for (size_t i = 0; i < to.size(); ++i) {
      if (!to[i] && !from[i].uses().empty()) return false;
      if (to[i] && !to[i].type().compatible(from[i].type())) {
        counts_.refused[rule.name] = to_string(from[i].type()) + " became " + to_string(to[i].type());
        return false;
      }
    }
    const std::unordered_set<NodeId> added(b.added().begin(), b.added().end());
    std::vector<NodeId> touched;
    for (NodeId n : m.nodes()) {
      for (ValueId v : g_.node(n).inputs) {
        if (v != no_id) touched.push_back(g_.value(v).producer);
      }
    }
    for (size_t i = 0; i < to.size(); ++i) {
      if (!to[i] || to[i] == from[i]) continue;
      const bool same_type = to[i].type() == from[i].type();
      replace(from[i], to[i], added);
      if (!same_type) propagate(to[i].id);
      take_name(root, to[i].node(), added);
    }
    for (const auto& [key, value] : g_.node(root.id).info) {
      if (to[0] && added.contains(to[0].node().id)) g_.set_info(to[0].node().id, key, value);
    }
    for (NodeId n : b.added()) {
      auto& makers = made_by_[n];
      makers.clear();
      makers.insert(r);
    }
    made_by_[root.id].insert(r);  // where it stays, wrapped
    for (NodeId n : m.nodes()) remove_dead(n);
    for (NodeId n : b.added()) remove_dead(n);
    t.commit();
    ++counts_.applied[rule.name];
    counts_.absorbed += m.nodes().size() - 1;
    last_ = rule.name;
    for (NodeId n : b.added()) {
      if (g_.alive(n)) push_around(n);
    }
    for (NodeId n : touched) {
      if (g_.alive(n)) push_around(n);
    }
    for (const Value& v : to) {
      if (v && g_.alive(v.node().id)) push_around(v.node().id);
    }
    return true;
  }

  // Uses inside the replacement itself stay: a rule may wrap what it matched.
  void replace(Value from, Value to, const std::unordered_set<NodeId>& added) {
    std::vector<Use> own;
    for (const Use& u : from.uses()) {
      if (added.contains(u.node)) own.push_back(u);
    }
    g_.replace_uses(from.id, to.id);
    for (const Use& u : own) g_.set_input(u.node, u.index, from.id);
  }

  // A replacement may know its shape better than what it replaces: its users learn that.
  void propagate(ValueId v) {
    std::deque<NodeId> todo;
    for (const Use& u : g_.value(v).uses) todo.push_back(u.node);
    while (!todo.empty()) {
      const NodeId n = todo.front();
      todo.pop_front();
      if (!g_.infer(n)) continue;
      for (ValueId out : g_.node(n).outputs) {
        for (const Use& u : g_.value(out).uses) todo.push_back(u.node);
      }
    }
  }

  std::vector<std::string> provenance_of(const Match& m) const {
    std::vector<std::string> out;
    const auto put = [&](const std::string& s) {
      if (!s.empty() && std::find(out.begin(), out.end(), s) == out.end()) out.push_back(s);
    };
    std::vector<NodeId> nodes(m.nodes().begin() + 1, m.nodes().end());
    nodes.push_back(m.root().id);  // last, as the file has it
    for (NodeId id : nodes) {
      const NodeData& n = g_.node(id);
      if (n.provenance.empty()) put(n.name);
      for (const std::string& s : n.provenance) put(s);
    }
    return out;
  }

  void take_name(Node root, Node node, const std::unordered_set<NodeId>& added) {
    if (added.contains(node.id) && node.name().empty() && !root.name().empty()) g_.set_name(node.id, root.name());
  }

  void remove_dead(NodeId id) {
    std::vector<NodeId> todo{id};
    while (!todo.empty()) {
      const NodeId n = todo.back();
      todo.pop_back();
      if (!g_.alive(n)) continue;
      const NodeData& d = g_.node(n);
      if (d.op->has_side_effect || d.op == &op_def<Parameter>() || d.op == &op_def<Result>()) continue;
      if (std::any_of(d.outputs.begin(), d.outputs.end(), [&](ValueId v) { return !g_.value(v).uses.empty(); }))
        continue;
      for (ValueId v : d.inputs) {
        if (v != no_id) todo.push_back(g_.value(v).producer);
      }
      g_.remove(n);
    }
  }

  Graph& g_;
  const std::vector<Rule>& rules_;
  std::unordered_map<const OpDef*, std::vector<size_t>> index_;
  std::vector<size_t> anywhere_;
  std::deque<NodeId> work_;
  std::unordered_set<NodeId> queued_;
  std::unordered_map<NodeId, std::unordered_set<size_t>> made_by_;
  RuleCounts counts_;
  std::string last_;
};

}  // namespace

Rule rule(std::string name, Pattern root, std::function<Value(const Match&, Builder&)> action) {
  return {std::move(name), std::move(root),
          [action = std::move(action)](const Match& m, Builder& b) { return Values{action(m, b)}; }, false};
}
Rule rule(std::string name, Pattern root, std::function<Values(const Match&, Builder&)> action) {
  return {std::move(name), std::move(root), std::move(action), true};
}

size_t RuleCounts::total() const {
  size_t n = 0;
  for (const auto& [name, count] : applied) n += count;
  return n;
}

RuleCounts apply_rules(Graph& g, const std::vector<Rule>& rules) {
  return Driver(g, rules).run();
}

}  // namespace hone
