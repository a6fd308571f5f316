// Regular expressions in time linear in the text (Thompson's construction, no backtracking), so that a pattern from a
// file cannot hang or overflow the stack. The syntax is RE2's without captures, Unicode classes and flags: literals, .,
// [classes], \d \w \s \b and their negations, ^ $, ( ) (?: ), |, * + ? {m,n} (lazy forms match the same texts). Bytes
// of UTF-8 sequences match `.` together.
#pragma once
#include <bitset>
#include <string_view>
#include <vector>

namespace hone {

class Regex {
 public:
  /// Throws `Error` on a malformed or too large pattern.
  explicit Regex(std::string_view pattern);
  /// Does the whole text match?
  bool full_match(std::string_view text) const;

 private:
  friend class RegexParser;
  enum class Kind : uint8_t { bytes, split, begin, end, word, not_word, match };
  struct State {
    Kind kind;
    int32_t next = -1, other = -1;
    int32_t set = -1;  ///< of `bytes`
  };
  void follow(std::vector<int32_t>& list, std::vector<bool>& seen, int32_t state, std::string_view text,
              size_t at) const;
  std::vector<State> states_;
  std::vector<std::bitset<256>> sets_;
  int32_t start_ = -1;
};

}  // namespace hone
