#include "hone/error.hpp"

namespace hone {

const char* error_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::failed:
      return "failed";
    case ErrorCode::no_space:
      return "no_space";
    case ErrorCode::usage:
      return "usage";
    case ErrorCode::unreadable:
      return "unreadable";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::unsafe:
      return "unsafe";
    case ErrorCode::interrupted:
      return "interrupted";
  }
  return "failed";
}

int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::failed:
    case ErrorCode::no_space:
      return 1;
    case ErrorCode::usage:
      return 2;
    case ErrorCode::unreadable:
    case ErrorCode::unsupported:
    case ErrorCode::unsafe:
      return 3;
    case ErrorCode::interrupted:
      return 130;
  }
  return 1;
}

static std::string joined(const std::string& message, const std::string& where, const std::string& hint) {
  std::string s = message;
  if (!where.empty()) s += ": " + where;
  if (!hint.empty()) s += ": " + hint;
  return s;
}

Error::Error(ErrorCode code, const std::string& message, std::string where, std::string hint)
    : std::runtime_error(joined(message, where, hint)),
      code_(code),
      message_(message),
      where_(std::move(where)),
      hint_(std::move(hint)) {}

Error Error::at(const std::string& place) const {
  return Error(code_, message_, where_.empty() ? place : place + ", " + where_, hint_);
}

}  // namespace hone
