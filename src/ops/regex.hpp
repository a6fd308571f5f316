// Regular expressions in time linear in the text (Thompson's construction, no backtracking), so that a pattern from a
// file cannot hang or overflow the stack. The syntax is RE2's without Unicode classes and multi-line mode: literals, .,
// [classes] with [:posix:] ones, \d \w \s \b and their negations, \xHH, ^ $, ( ) (?: ) (?P<name> ), the flags i and s,
// |, * + ? {m,n} and their lazy forms. Pattern and text are UTF-8: a character is one, however many bytes it takes.
#pragma once
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hone {

class Regex {
 public:
  /// Begin and end of the match, then of its first nine groups; `npos` where a group took no part.
  using Match = std::vector<size_t>;
  static constexpr size_t npos = static_cast<size_t>(-1);

  /// The steps that matching may take in all: linear in the text is still long where pattern and text are, and so are
  /// many matches that each look far ahead.
  class Budget {
   public:
    explicit Budget(uint64_t steps = uint64_t{1} << 28) : left_(steps) {}
    void spend(uint64_t steps) {
      if (steps > left_) exceeded();
      left_ -= steps;
    }

   private:
    [[noreturn]] static void exceeded();
    uint64_t left_;
  };

  /// Throws `Error` on a malformed or too large pattern.
  explicit Regex(std::string_view pattern);
  /// Does the whole text match? Throws `Error` where that exceeds the budget, as the functions below do.
  bool full_match(std::string_view text, Budget& budget) const;
  bool full_match(std::string_view text) const;  ///< with a budget of its own
  enum class Prefer { first, longest };
  /// The leftmost match that begins at `from` or later; where several begin there, the one that Perl would find, or the
  /// longest. Empty where there is none.
  Match search(std::string_view text, size_t from, Prefer prefer, Budget& budget) const;
  /// Number of groups that capture.
  size_t groups() const { return groups_; }

 private:
  friend class RegexParser;
  enum class Kind : uint8_t { bytes, split, begin, end, word, not_word, save, match };
  /// Of `split`, `next` is tried before `other`.
  struct State {
    Kind kind;
    int32_t next = -1, other = -1;
    int32_t set = -1;  ///< of `bytes`; of `save`, the place in a Match
  };
  struct Threads;
  void follow(Threads& list, int32_t state, const size_t* places, std::string_view text, size_t at,
              Budget& budget) const;
  std::vector<State> states_;
  std::vector<std::bitset<256>> sets_;
  int32_t start_ = -1;
  size_t groups_ = 0;
};

/// How a rewrite joins groups: `\0` is the match, `\1` its first group, `\\` a backslash. Throws `Error` where it names
/// a group that the pattern lacks.
class RegexRewrite {
 public:
  RegexRewrite(const Regex& regex, std::string rewrite);
  /// The text with its first match rewritten, or all that do not overlap.
  std::string apply(std::string_view text, bool global, Regex::Budget& budget) const;

 private:
  void append(std::string& out, std::string_view text, const Regex::Match& match) const;
  const Regex& regex_;
  std::string rewrite_;
};

}  // namespace hone
