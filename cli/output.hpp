// What a verb prints: one JSON object for machines, a table for people, progress on stderr.
#pragma once
#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "hone/error.hpp"
#include "hone/tasks.hpp"

namespace hone::cli {

class Output {
 public:
  explicit Output(std::string verb) : verb_(std::move(verb)) {}
  bool json = false;

  const std::string& verb() const { return verb_; }
  /// The result: printed as the one JSON object with --json, else not at all.
  void result(const nlohmann::json& object);
  /// A line for a person (stdout without --json, stderr with it).
  void line(const std::string& text);
  /// Columns padded to their widest cell; the first row is the heading.
  void table(const std::vector<std::vector<std::string>>& rows);
  /// A callback that draws a bar on a terminal and prints a line per step elsewhere, and that stops when the user
  /// pressed Ctrl-C.
  ProgressCallback progress();
  /// `hone VERB: WHAT: WHERE: what to do`, and the error object with --json. Returns the exit code.
  int error(const Error& e);

 private:
  void clear_bar();
  std::string verb_;
  bool bar_shown_ = false;
  std::string last_stage_;
  int last_tenth_ = -1;
  std::chrono::steady_clock::time_point last_drawn_{};
};

/// Has the user pressed Ctrl-C (or was the process asked to end)?
bool interrupted();
/// Catches SIGINT and SIGTERM: the first asks for an orderly stop, the second ends the process at once.
void catch_interrupts();

/// `12.3`, `1,234`: short numbers for tables.
std::string short_number(double v);
std::string short_bytes(double bytes);

}  // namespace hone::cli
