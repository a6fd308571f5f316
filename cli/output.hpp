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
/// Catches SIGINT and SIGTERM. The first asks a verb that `stops_itself` for an orderly stop, and ends any other in the
/// middle of its work with one line and code 130; half-written files named after `arguments` go. The second ends the
/// process at once.
void catch_interrupts(Output& out, bool stops_itself, std::vector<std::string> arguments);

/// Opens what the caller closed of standard input, output and error, lest a result file takes its place.
void hold_standard_streams();
/// `code`, or 1 with one line on stderr where standard output took not all that was printed. A reader that left early
/// (`| head`) is no error.
int after_printing(int code);

/// Writes a file as a whole: where that fails nothing is left. `what` names it in the `Error`.
void write_text(const std::string& path, const std::string& text, const char* what);

/// `12.3`, `1,234`: short numbers for tables.
std::string short_number(double v);
std::string short_bytes(double bytes);

}  // namespace hone::cli
