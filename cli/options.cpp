#include "options.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "hone/error.hpp"

namespace hone::cli {
namespace {

[[noreturn]] void usage(const std::string& what, const std::string& text) {
  throw Error(ErrorCode::usage, "[options] " + what, "'" + text + "'");
}

// The number and the unit behind it.
std::pair<double, std::string> split_unit(const std::string& text, const char* what) {
  char* end = nullptr;
  const double v = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || !std::isfinite(v)) usage(what, text);
  return {v, end};
}

}  // namespace

double parse_seconds(const std::string& text) {
  static constexpr const char* what = "a time like 5ms, 2s, 10m or 1h is expected";
  const auto [v, unit] = split_unit(text, what);
  const double factor = unit.empty() || unit == "s" ? 1
                        : unit == "ms"              ? 1e-3
                        : unit == "m"               ? 60
                        : unit == "h"               ? 3600
                                                    : 0;
  if (factor == 0 || v < 0) usage(what, text);
  return v * factor;
}

int64_t parse_size(const std::string& text) {
  static constexpr const char* what = "a number like 300, 64k or 2M is expected";
  const auto [v, unit] = split_unit(text, what);
  const double factor = unit.empty() ? 1 : unit == "k" ? 1e3 : unit == "M" ? 1e6 : unit == "G" ? 1e9 : 0;
  if (factor == 0 || v < 0 || v * factor > 9e15) usage(what, text);
  return static_cast<int64_t>(v * factor);
}

std::pair<std::string, PartialShape> parse_shape(const std::string& text) {
  const size_t open = text.rfind('[');
  if (open == std::string::npos || text.back() != ']') usage("a shape like NAME[1,3,224,224] is expected", text);
  return {text.substr(0, open), PartialShape::parse(text.substr(open))};
}

std::pair<std::string, std::string> parse_assignment(const std::string& text) {
  const size_t at = text.find('=');
  if (at == std::string::npos) return {"", text};
  if (at + 1 == text.size()) usage("NAME=VALUE is expected", text);
  return {text.substr(0, at), text.substr(at + 1)};
}

std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) lines.push_back(line);
    if (lines.size() > 1000000 || line.size() > 65536)
      throw Error(ErrorCode::unreadable, "[options] the file is no list of names", path, "write one name a line");
  }
  if (lines.empty())
    throw Error(ErrorCode::unreadable, "[options] the list of names is empty or cannot be read", path,
                "write one name a line");
  return lines;
}

void check_choice(const std::string& option, const std::string& value, const std::vector<std::string>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
  std::string list;
  for (const std::string& a : allowed) list += (list.empty() ? "" : ", ") + a;
  usage(option + " takes one of " + list, value);
}

void check_overwrite(const std::string& path, bool force) {
  if (!force && std::filesystem::exists(path))
    throw Error(ErrorCode::failed, "[out] the result exists already", path, "choose another name or add --force");
}

void check_result_file(const std::string& path, bool force) {
  namespace fs = std::filesystem;
  check_overwrite(path, force);
  // What takes minutes to compute shall not fail because of where it goes.
  const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
  if (!fs::is_directory(folder))
    throw Error(ErrorCode::failed, "[out] there is no folder for the result", path, "make it first, or choose another");
  if (access(folder.c_str(), W_OK) != 0)
    throw Error(ErrorCode::failed, std::string("[out] cannot write into the folder (") + std::strerror(errno) + ")",
                path, "choose another place");
}

}  // namespace hone::cli
