// Names that a reader offers where it does not know one.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace hone {

/// At most three of `known` that look like `op`, nearest first: few edits away, case aside, or one within the other.
std::vector<std::string> nearest_names(std::string_view op, const std::vector<std::string_view>& known);

/// To how many unknown operators of a file names are offered: each costs about a millisecond, and a file may have any
/// number of them.
constexpr size_t most_suggested = 20;

}  // namespace hone
