// Values as people type them: sizes with k/M/G, times with ms/s/m/h, shapes and inputs by name.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "hone/shape.hpp"

namespace hone::cli {

/// "5ms", "2s", "10m", "1h", "1.5" (seconds). Throws `Error` (usage).
double parse_seconds(const std::string& text);
/// "300", "64k", "2M". Throws `Error` (usage).
int64_t parse_size(const std::string& text);
/// "x[1,3,224,224]" or "[1,3,224,224]" (the only input: name ""). Throws `Error` (usage).
std::pair<std::string, PartialShape> parse_shape(const std::string& text);
/// "name=value"; without '=' the name is empty. Throws `Error` (usage) where there is nothing behind the '='.
std::pair<std::string, std::string> parse_assignment(const std::string& text);
/// The lines of a text file that are not empty. Throws `Error` (unreadable).
std::vector<std::string> read_lines(const std::string& path);
/// Throws `Error` (usage) unless `value` is one of `allowed`.
void check_choice(const std::string& option, const std::string& value, const std::vector<std::string>& allowed);
/// Throws `Error` (failed) where the result exists already and `force` is off.
void check_overwrite(const std::string& path, bool force);
/// Throws `Error` (failed) where the result exists already and `force` is off, or its folder does not take it.
void check_result_file(const std::string& path, bool force);

}  // namespace hone::cli
