#include "base/log.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace hone {

static LogLevel threshold() {
  static const LogLevel level = [] {
    const char* env = std::getenv("HONE_LOG");
    const std::string_view s = env ? env : "warning";
    if (s == "error") return LogLevel::error;
    if (s == "info") return LogLevel::info;
    if (s == "debug") return LogLevel::debug;
    if (!s.empty() && s != "warning")
      std::fprintf(stderr, "hone warning: HONE_LOG is '%s', it takes error, warning, info or debug\n", env);
    return LogLevel::warning;
  }();
  return level;
}

bool log_enabled(LogLevel level) {
  return level <= threshold();
}

void log(LogLevel level, std::string_view text) {
  if (!log_enabled(level)) return;
  static constexpr const char* names[] = {"error", "warning", "info", "debug"};
  const std::string line = std::string("hone ") + names[int(level)] + ": " + std::string(text) + "\n";
  std::fputs(line.c_str(), stderr);
}

}  // namespace hone
