// The list of all operators. No static initializers: the list is built on first use.
#include "ops/registry.hpp"

#include <unordered_map>

namespace hone {

#define HONE_OP_ROW(NAME) \
  struct NAME;            \
  template <>             \
  const OpDef& op_def<NAME>();
#include "ops/ops.inc"
#undef HONE_OP_ROW

const std::vector<const OpDef*>& all_ops() {
  static const std::vector<const OpDef*> ops = {
#define HONE_OP_ROW(NAME) &op_def<NAME>(),
#include "ops/ops.inc"
#undef HONE_OP_ROW
  };
  return ops;
}

const OpDef* find_op(std::string_view name) {
  static const auto index = [] {
    std::unordered_map<std::string_view, const OpDef*> m;
    for (const OpDef* op : all_ops()) m.emplace(op->name, op);
    return m;
  }();
  const auto it = index.find(name);
  return it == index.end() ? nullptr : it->second;
}

}  // namespace hone
