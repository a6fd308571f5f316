// Patterns: small trees of operators to look for. A pattern is also the key under which a Match finds what it matched.
//
//     auto x = any();
//     auto swish = op<Multiply>(x, op<Sigmoid>(x));      // inputs of commutative operators match in either order
//     m[x]                                               // the value
//
// Inner operators must have no users outside of the match, unless `shared()`.
#pragma once
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "graph/graph.hpp"

namespace hone {

class Pattern {
 public:
  struct Data;
  explicit Pattern(std::shared_ptr<Data> data) : data_(std::move(data)) {}

  /// The matched value has exactly one use.
  Pattern one_use() const;
  /// The matched operator may have users outside of the match; it then stays beside the replacement.
  Pattern shared() const;
  /// Further conditions on the matched value.
  Pattern where(std::function<bool(Value)> predicate) const;
  /// Matches output `i` of the operator, not output 0.
  Pattern output(size_t i) const;
  /// The operator may have more inputs than the pattern lists.
  Pattern more_inputs() const;
  /// The operator may carry an epilogue. Without this no node with an epilogue matches.
  Pattern with_epilogue() const;

  const Data* data() const { return data_.get(); }

 private:
  std::shared_ptr<Data> data_;
};

/// Any value.
Pattern any();
/// Output of a Constant.
Pattern constant();
/// A constant whose elements all equal `v`, within `tolerance` relative to it.
Pattern constant(double v, double tolerance = 1e-4);
/// A value that depends on constants and Variables alone.
Pattern weights();
/// The first of the alternatives that matches.
Pattern any_of(std::vector<Pattern> alternatives);
Pattern op_pattern(std::vector<const OpDef*> ops, std::vector<Pattern> inputs, bool any_inputs);
Pattern opt_pattern(Pattern with, Pattern without);

/// An operator on these inputs; with no inputs given, on any. Several operators are alternatives: `op<Convolution,
/// GroupConvolution>(x, w)`.
template <class... Ops, class... P>
Pattern op(P... inputs) {
  return op_pattern({&op_def<Ops>()...}, std::vector<Pattern>{inputs...}, sizeof...(P) == 0);
}
/// The operator on these inputs, or the first input alone.
template <class Op, class... P>
Pattern opt(Pattern inner, P... others) {
  return opt_pattern(op_pattern({&op_def<Op>()}, std::vector<Pattern>{inner, others...}, false), inner);
}

/// What a pattern matched.
class Match {
 public:
  /// The value; a null handle where the pattern took no part (an operator of `opt` that was absent, another
  /// alternative).
  Value operator[](const Pattern& p) const {
    const auto it = values_.find(p.data());
    return it == values_.end() ? Value{} : it->second;
  }
  bool has(const Pattern& p) const { return values_.contains(p.data()); }
  Node node(const Pattern& p) const { return (*this)[p].node(); }
  /// Attributes of the matched operator.
  template <class Op>
  const Op& as(const Pattern& p) const {
    return *node(p).as<Op>();
  }
  Node root() const { return root_; }
  /// Matched operators, the root first. Constants are not among them.
  const std::vector<NodeId>& nodes() const { return nodes_; }

 private:
  friend class Matcher;
  std::unordered_map<const Pattern::Data*, Value> values_;
  std::vector<NodeId> nodes_;
  Node root_;
};

/// Operators that the root of the pattern may be; empty: any.
std::vector<const OpDef*> root_operators(const Pattern& p);
/// Matches with `node` at the root.
std::optional<Match> match(const Pattern& p, Node node);

}  // namespace hone
