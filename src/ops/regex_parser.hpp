// The parser of regular expressions: recursive descent that emits the states of the automaton directly.
#pragma once
#include "ops/regex.hpp"

namespace hone {

/// Characters as sorted ranges of code points.
class CharacterClass {
 public:
  static constexpr uint32_t last_character = 0x10FFFF;
  struct Range {
    uint32_t low, high;
  };
  CharacterClass() = default;
  CharacterClass(uint32_t low, uint32_t high) : ranges_{{low, high}} {}

  void add(uint32_t low, uint32_t high) { ranges_.push_back({low, high}); }
  void add(const CharacterClass& other) { ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end()); }
  CharacterClass negated() const;
  /// With the other case of each ASCII letter.
  CharacterClass either_case() const;
  const std::vector<Range>& ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }

 private:
  std::vector<Range> ranges_;
};

class RegexParser {
 public:
  RegexParser(Regex& regex, std::string_view pattern) : r_(regex), pattern_(pattern) {}
  void parse();

 private:
  /// Entered at one state and left through the `next` of another.
  struct Fragment {
    int32_t first, last;
  };
  struct Flags {
    bool fold_case = false, dot_takes_all = false;
  };

  [[noreturn]] void fail(const std::string& what) const;
  int32_t state(Regex::State s);
  Regex::State& at(int32_t s) { return r_.states_[static_cast<size_t>(s)]; }
  /// A state that only leads on.
  int32_t joint() { return state({Regex::Kind::split, -1, -1, -1}); }
  Fragment byte(uint32_t low, uint32_t high);
  Fragment then(Fragment a, Fragment b);
  Fragment either(Fragment a, Fragment b);
  Fragment optional(Fragment a, bool lazy);
  Fragment loop(Fragment a, bool lazy);

  bool more() const { return at_ < pattern_.size(); }
  char peek() const { return pattern_[at_]; }
  uint32_t character();
  uint32_t escaped(char c);
  CharacterClass named_class(char c) const;
  CharacterClass posix_class();
  CharacterClass bracket();

  Fragment alternatives(int depth);
  Fragment sequence(int depth);
  Fragment repeated(int depth);
  bool counts(int& low, int& high);
  Fragment copies(Fragment first, size_t begin, size_t end, int depth, int low, int high, bool lazy);
  Fragment atom(int depth);
  Fragment group(int depth);
  void read_flags();
  Fragment assertion(Regex::Kind kind);
  Fragment characters(CharacterClass c);
  void encode(uint32_t low, uint32_t high, Fragment& all);

  Regex& r_;
  std::string_view pattern_;
  size_t at_ = 0;
  Flags flags_;
};

}  // namespace hone
