// Log lines on stderr. HONE_LOG = error | warning (default) | info | debug. A library prints nothing unless asked.
#pragma once
#include <string_view>

namespace hone {

enum class LogLevel { error, warning, info, debug };

bool log_enabled(LogLevel level);
/// One line, whole, from any thread.
void log(LogLevel level, std::string_view text);

}  // namespace hone
