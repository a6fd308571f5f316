// Rules: a pattern and what to build in its place.
#pragma once
#include <string>
#include <vector>

#include "graph/builder.hpp"
#include "rewrite/pattern.hpp"

namespace hone {

/// Builds the replacement. One value replaces the output that the root pattern matched; a list replaces all outputs of
/// the root node (a null handle keeps one that has no uses). A null handle or an empty list declines; everything built
/// so far is rolled back.
using RuleAction = std::function<Values(const Match&, Builder&)>;

struct Rule {
  std::string name;
  Pattern root;
  RuleAction action;
  bool all_outputs = false;
};

Rule rule(std::string name, Pattern root, std::function<Value(const Match&, Builder&)> action);
Rule rule(std::string name, Pattern root, std::function<Values(const Match&, Builder&)> action);

struct RuleCounts {
  std::map<std::string, size_t> applied;
  size_t absorbed = 0;  ///< operators matched beside the roots
  /// Replacements that were rolled back because their type was another: a defect of the rule, kept visible.
  std::map<std::string, std::string> refused;
  size_t total() const;
};

/// Applies the rules until none matches. A rule never matches at a node that it made itself. Names, provenance and info
/// of what was matched go to the new nodes.
RuleCounts apply_rules(Graph& g, const std::vector<Rule>& rules);

}  // namespace hone
