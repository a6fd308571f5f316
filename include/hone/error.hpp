// The one exception type of the toolkit, and what each code means to a shell.
#pragma once
#include <stdexcept>
#include <string>

#include "hone/export.hpp"

namespace hone {
/// What kind of failure, and the exit code that stands for it.
enum class ErrorCode {
  failed,       ///< the work failed or a check did not hold (exit code 1)
  no_space,     ///< a result could not be written (1)
  usage,        ///< wrong usage of a verb or a function (2)
  unreadable,   ///< a file is missing, truncated or malformed (3)
  unsupported,  ///< a file is well-formed but uses what Hone does not have (3)
  unsafe,       ///< a file asks for what is refused on principle: code execution, absurd sizes (3)
  interrupted,  ///< Ctrl-C (130)
};

/// Short name of a code, as the `--json` error object prints it.
HONE_API const char* error_name(ErrorCode code);
/// Process exit code that stands for an error code: 1, 2, 3 or 130.
HONE_API int exit_code(ErrorCode code);

/// Thrown by every function of the toolkit that can fail. Thread-safe to copy and rethrow.
class HONE_API Error : public std::runtime_error {
 public:
  /// `message` begins with `[operator]`, `[pass]` or `[verb]`; `where` names file, node or line; `hint` says what to
  /// do.
  Error(ErrorCode code, const std::string& message, std::string where = {}, std::string hint = {});

  ErrorCode code() const { return code_; }  ///< what kind of failure
  /// What failed, beginning with `[operator]`, `[pass]` or `[verb]`.
  const std::string& message() const { return message_; }
  const std::string& where() const { return where_; }  ///< file, node or line; may be empty
  const std::string& hint() const { return hint_; }    ///< what to do; may be empty
  /// The same error with a place added in front of the one it has (file, then node).
  Error at(const std::string& place) const;

 private:
  ErrorCode code_;
  std::string message_, where_, hint_;
};

}  // namespace hone
