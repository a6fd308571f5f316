// All operators, by name.
#pragma once
#include <string_view>
#include <vector>

#include "graph/op_def.hpp"

namespace hone {

const std::vector<const OpDef*>& all_ops();
/// Null where there is no such operator.
const OpDef* find_op(std::string_view name);

}  // namespace hone
