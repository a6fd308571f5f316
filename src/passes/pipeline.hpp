// The passes by name, and the lists that make a pipeline.
#pragma once
#include <string_view>

#include "passes/canonicalize.hpp"

namespace hone {

/// A pass of its own by name, with default options; throws `Error` where there is none.
Pass find_pass(std::string_view name);
std::vector<std::string> pass_names();

}  // namespace hone
