// Common subexpressions and dead code.
#pragma once
#include "rewrite/pass.hpp"

namespace hone {

/// Merges nodes with the same operator, attributes and inputs, and equal constants. Returns the number of nodes
/// removed.
size_t merge_common_subexpressions(Graph& g);
Pass common_subexpression_pass();
Pass dead_code_pass();

}  // namespace hone
