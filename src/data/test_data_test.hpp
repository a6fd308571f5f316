// Where tests find real data: HONE_DATA, else `shared/data` beside the checkout.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>

namespace hone::data {

/// The folder `relative` of the test data, or an empty string where it is not there.
inline std::string data_folder(const std::string& relative) {
  namespace fs = std::filesystem;
  const char* root = std::getenv("HONE_DATA");
  const fs::path base = root ? fs::path(root) : fs::path(HONE_SOURCE_DIR).parent_path() / "shared" / "data";
  const fs::path path = base / relative;
  std::error_code ignored;
  return fs::is_directory(path, ignored) ? path.string() : std::string();
}

}  // namespace hone::data
