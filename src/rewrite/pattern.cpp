#include "rewrite/pattern.hpp"

#include <algorithm>
#include <cmath>

#include "ops/basic.hpp"
#include "rewrite/traits.hpp"

namespace hone {

struct Pattern::Data {
  enum class Kind { any, constant, op, opt, alternatives };
  Kind kind = Kind::any;
  std::vector<const OpDef*> ops;
  std::vector<Pattern> inputs;  // of an operator; {with, without} of opt; alternatives
  bool any_inputs = false, more_inputs = false, one_use = false, shared = false, epilogue = false;
  size_t output = 0;
  std::vector<std::function<bool(Value)>> predicates;
};

namespace {

Pattern make(Pattern::Data::Kind kind) {
  auto d = std::make_shared<Pattern::Data>();
  d->kind = kind;
  return Pattern(std::move(d));
}

Pattern::Data& edit(const Pattern& p) {
  return const_cast<Pattern::Data&>(*p.data());
}

}  // namespace

Pattern Pattern::one_use() const {
  data_->one_use = true;
  return *this;
}
Pattern Pattern::shared() const {
  data_->shared = true;
  return *this;
}
Pattern Pattern::where(std::function<bool(Value)> predicate) const {
  data_->predicates.push_back(std::move(predicate));
  return *this;
}
Pattern Pattern::output(size_t i) const {
  data_->output = i;
  return *this;
}
Pattern Pattern::more_inputs() const {
  data_->more_inputs = true;
  return *this;
}
Pattern Pattern::with_epilogue() const {
  data_->epilogue = true;
  return *this;
}

Pattern any() {
  return make(Pattern::Data::Kind::any);
}
Pattern constant() {
  return make(Pattern::Data::Kind::constant);
}
Pattern constant(double v, double tolerance) {
  return constant().where([=](Value value) {
    const Tensor t = value.constant();
    // Exporters write such numbers as scalars or as small broadcast tensors.
    if (t.element_type() == ElementType::string || t.size() == 0 || t.size() > 65536) return false;
    for (size_t i = 0; i < t.size(); ++i) {
      if (!(std::fabs(get_element(t, i) - v) <= tolerance * std::fabs(v))) return false;
    }
    return true;
  });
}
Pattern weights() {
  return any().where(is_parameter_like);
}
Pattern any_of(std::vector<Pattern> alternatives) {
  Pattern p = make(Pattern::Data::Kind::alternatives);
  edit(p).inputs = std::move(alternatives);
  return p;
}
Pattern op_pattern(std::vector<const OpDef*> ops, std::vector<Pattern> inputs, bool any_inputs) {
  Pattern p = make(Pattern::Data::Kind::op);
  edit(p).ops = std::move(ops);
  edit(p).inputs = std::move(inputs);
  edit(p).any_inputs = any_inputs;
  return p;
}
Pattern opt_pattern(Pattern with, Pattern without) {
  Pattern p = make(Pattern::Data::Kind::opt);
  edit(p).inputs = {std::move(with), std::move(without)};
  return p;
}

std::vector<const OpDef*> root_operators(const Pattern& p) {
  const Pattern::Data& d = *p.data();
  if (d.kind == Pattern::Data::Kind::op) return d.ops;
  std::vector<const OpDef*> out;
  if (d.kind != Pattern::Data::Kind::alternatives && d.kind != Pattern::Data::Kind::opt) return out;
  for (const Pattern& a : d.inputs) {
    const auto ops = root_operators(a);
    if (ops.empty()) return {};
    out.insert(out.end(), ops.begin(), ops.end());
  }
  return out;
}

// Solves a list of goals (pattern, value) with full backtracking over input orders and alternatives.
class Matcher {
 public:
  struct Goal {
    const Pattern::Data* pattern;
    Value value;
  };

  static bool solve(std::vector<Goal> goals, Match& m) {
    while (!goals.empty()) {
      const auto [p, v] = goals.back();
      goals.pop_back();
      if (const auto bound = m.values_.find(p); bound != m.values_.end()) {
        if (bound->second != v) return false;
        continue;
      }
      if (!v || !accepts(*p, v)) return false;
      m.values_[p] = v;
      switch (p->kind) {
        case Pattern::Data::Kind::any:
        case Pattern::Data::Kind::constant:
          continue;
        case Pattern::Data::Kind::opt:
        case Pattern::Data::Kind::alternatives:
          for (const Pattern& alternative : p->inputs) {
            Match trial = m;
            auto rest = goals;
            rest.push_back({alternative.data(), v});
            if (solve(std::move(rest), trial)) {
              m = std::move(trial);
              return true;
            }
          }
          return false;
        case Pattern::Data::Kind::op:
          break;
      }
      const Node n = v.node();
      m.nodes_.push_back(n.id);
      if (p->any_inputs) continue;
      if (p->inputs.size() == 2 && is_commutative(n.op())) {
        Match trial = m;
        auto rest = goals;
        rest.push_back({p->inputs[1].data(), n.input(0)});
        rest.push_back({p->inputs[0].data(), n.input(1)});
        auto straight = goals;
        straight.push_back({p->inputs[1].data(), n.input(1)});
        straight.push_back({p->inputs[0].data(), n.input(0)});
        if (solve(std::move(straight), trial)) {
          m = std::move(trial);
          return true;
        }
        goals = std::move(rest);
        continue;
      }
      for (size_t i = p->inputs.size(); i-- > 0;) goals.push_back({p->inputs[i].data(), n.input(i)});
    }
    return true;
  }

  static std::optional<Match> run(const Pattern& p, Node node) {
    const Pattern::Data* root = p.data();
    while (root->kind == Pattern::Data::Kind::opt || root->kind == Pattern::Data::Kind::alternatives) {
      // The alternatives of a root are tried one by one, each with its own output number.
      for (const Pattern& a : root->inputs) {
        if (auto m = run(a, node)) {
          m->values_[root] = m->values_[a.data()];
          return m;
        }
      }
      return std::nullopt;
    }
    if (root->output >= node.num_outputs()) return std::nullopt;
    Match m;
    m.root_ = node;
    if (!solve({{root, node.output(root->output)}}, m)) return std::nullopt;
    std::sort(m.nodes_.begin(), m.nodes_.end());
    m.nodes_.erase(std::unique(m.nodes_.begin(), m.nodes_.end()), m.nodes_.end());
    std::erase(m.nodes_, node.id);
    m.nodes_.insert(m.nodes_.begin(), node.id);
    return inner_nodes_are_free(m) ? std::optional(std::move(m)) : std::nullopt;
  }

 private:
  static bool accepts(const Pattern::Data& p, Value v) {
    if (p.one_use && v.uses().size() != 1) return false;
    const Node n = v.node();
    if (p.kind == Pattern::Data::Kind::constant && !n.is<Constant>()) return false;
    if (p.kind == Pattern::Data::Kind::op) {
      const NodeData& d = v.graph->node(n.id);
      if (std::find(p.ops.begin(), p.ops.end(), d.op) == p.ops.end() || v.index() != p.output) return false;
      if (d.epilogue && !p.epilogue) return false;
      if (!p.any_inputs) {
        const size_t have = v.graph->num_op_inputs(n.id);
        if (p.more_inputs ? have < p.inputs.size() : have != p.inputs.size()) return false;
      }
    }
    return std::all_of(p.predicates.begin(), p.predicates.end(), [&](const auto& f) { return f(v); });
  }

  static bool inner_nodes_are_free(const Match& m) {
    for (const auto& [p, v] : m.values_) {
      if (p->kind != Pattern::Data::Kind::op || p->shared || v.node() == m.root_) continue;
      for (const Value& out : v.node().outputs()) {
        for (const Use& u : out.uses()) {
          if (std::find(m.nodes_.begin(), m.nodes_.end(), u.node) == m.nodes_.end()) return false;
        }
      }
    }
    return true;
  }
};

std::optional<Match> match(const Pattern& p, Node node) {
  return Matcher::run(p, node);
}

}  // namespace hone
