#include "rewrite/traits.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "ops/basic.hpp"

namespace hone {
namespace {

// Names, not structs: the question is asked of every operator there is.
using Names = std::unordered_set<std::string_view>;

}  // namespace

bool is_commutative(const OpDef& op) {
  static const Names names{"Add",        "Multiply",  "Maximum",    "Minimum",   "SquaredDifference",
                           "Equal",      "NotEqual",  "LogicalAnd", "LogicalOr", "LogicalXor",
                           "BitwiseAnd", "BitwiseOr", "BitwiseXor"};
  return names.contains(op.name);
}

bool is_unary_elementwise(const OpDef& op) {
  static const Names names{"Abs",        "Negative", "Exp",      "Log",         "Sqrt",       "Sin",    "Cos",
                           "Tan",        "Asin",     "Acos",     "Atan",        "Sinh",       "Cosh",   "Asinh",
                           "Acosh",      "Atanh",    "Erf",      "Floor",       "Ceiling",    "Sign",   "Round",
                           "LogicalNot", "IsNaN",    "IsFinite", "IsInf",       "BitwiseNot", "Relu",   "Elu",
                           "Gelu",       "HSwish",   "HSigmoid", "Swish",       "Sigmoid",    "Tanh",   "Clamp",
                           "SoftPlus",   "SoftSign", "Mish",     "HardSigmoid", "Selu",       "Convert"};
  return names.contains(op.name);
}

bool is_broadcasting_elementwise(const OpDef& op) {
  static const Names names{"Add",
                           "Subtract",
                           "Multiply",
                           "Divide",
                           "Power",
                           "Maximum",
                           "Minimum",
                           "SquaredDifference",
                           "Mod",
                           "FloorMod",
                           "Equal",
                           "NotEqual",
                           "Less",
                           "LessEqual",
                           "Greater",
                           "GreaterEqual",
                           "LogicalAnd",
                           "LogicalOr",
                           "LogicalXor",
                           "BitwiseAnd",
                           "BitwiseOr",
                           "BitwiseXor",
                           "BitwiseLeftShift",
                           "BitwiseRightShift",
                           "Atan2",
                           "Select"};
  return names.contains(op.name);
}

bool is_parameter_like(Value v) {
  // Weight arithmetic is shallow: a long way up means data.
  constexpr size_t limit = 64;
  std::vector<NodeId> work{v.node().id}, seen = work;
  while (!work.empty()) {
    const NodeData& n = v.graph->node(work.back());
    work.pop_back();
    if (n.op == &op_def<Constant>() || n.op == &op_def<Variable>()) continue;
    if (n.inputs.empty() || n.op == &op_def<ReadValue>()) return false;
    for (const ValueId in : n.inputs) {
      if (in == no_id) continue;
      const NodeId p = v.graph->value(in).producer;
      if (std::find(seen.begin(), seen.end(), p) != seen.end()) continue;
      if (seen.size() == limit) return false;
      seen.push_back(p);
      work.push_back(p);
    }
  }
  return true;
}

}  // namespace hone
