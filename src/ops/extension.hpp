// Shared libraries with operators of users, loaded into this process.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "hone/export.hpp"
#include "hone/extension.h"

namespace hone {

/// Loads a library; once is enough, again does nothing. It stays loaded. Throws `Error`: unreadable (no shared
/// library), unsupported (no entry point, another ABI, malformed or doubled operators), failed (its entry point
/// throws). Thread-safe.
HONE_API void load_extension(const std::string& path);
/// Paths of the loaded libraries, in order.
std::vector<std::string> loaded_extensions();
/// The operator for a node of this domain and type; null where no library has it. `any_domain`: by type alone.
const hone_ext_operator* find_extension(std::string_view domain, std::string_view type, bool any_domain = false);

}  // namespace hone
