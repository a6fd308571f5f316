#include "ops/regex.hpp"

#include <cctype>
#include <functional>
#include <string>

#include "hone/error.hpp"

namespace hone {
namespace {

using Set = std::bitset<256>;

constexpr size_t max_states = 20000;  // of the automaton: counted repetitions multiply it

Set range(int low, int high) {
  Set s;
  for (int c = low; c <= high; ++c) s.set(static_cast<size_t>(c));
  return s;
}
Set word_bytes() {
  return range('0', '9') | range('a', 'z') | range('A', 'Z') | range('_', '_');
}
bool is_word(char c) {
  return word_bytes()[static_cast<unsigned char>(c)];
}

// The class behind a backslash; an empty set where the letter names none.
Set named_class(char c) {
  switch (c) {
    case 'd':
      return range('0', '9');
    case 'D':
      return ~range('0', '9');
    case 'w':
      return word_bytes();
    case 'W':
      return ~word_bytes();
    case 's':
      return range('\t', '\r') | range(' ', ' ');
    case 'S':
      return ~(range('\t', '\r') | range(' ', ' '));
    default:
      return {};
  }
}

char escaped_char(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    default:
      return c;
  }
}

}  // namespace

// Recursive descent that emits states directly. A fragment is entered at one state and leaves through one `next`.
class RegexParser {
 public:
  RegexParser(Regex& regex, std::string_view pattern) : r_(regex), pattern_(pattern) {}

  void parse() {
    const Fragment all = alternatives(0);
    if (at_ != pattern_.size()) fail("a closing parenthesis without its opening");
    const int32_t match = state({Regex::Kind::match, -1, -1, -1});
    r_.states_[static_cast<size_t>(all.last)].next = match;
    r_.start_ = all.first;
  }

 private:
  struct Fragment {
    int32_t first, last;
  };

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::failed,
                "[RegexFullMatch] " + what + " in the pattern '" + std::string(pattern_.substr(0, 200)) + "'");
  }
  int32_t state(Regex::State s) {
    if (r_.states_.size() >= max_states) fail("too many states");
    r_.states_.push_back(s);
    return static_cast<int32_t>(r_.states_.size() - 1);
  }
  Regex::State& at(int32_t s) { return r_.states_[static_cast<size_t>(s)]; }
  // A state that only leads on.
  int32_t joint() { return state({Regex::Kind::split, -1, -1, -1}); }
  Fragment bytes(const Set& s) {
    r_.sets_.push_back(s);
    const int32_t id = state({Regex::Kind::bytes, -1, -1, static_cast<int32_t>(r_.sets_.size() - 1)});
    return {id, id};
  }
  Fragment then(Fragment a, Fragment b) {
    at(a.last).next = b.first;
    return {a.first, b.last};
  }
  Fragment either(Fragment a, Fragment b) {
    const int32_t fork = joint(), join = joint();
    at(fork).next = a.first;
    at(fork).other = b.first;
    at(a.last).next = join;
    at(b.last).next = join;
    return {fork, join};
  }
  Fragment optional(Fragment a) {
    const int32_t empty = joint();
    return either(a, {empty, empty});
  }
  Fragment loop(Fragment a) {  // one or more
    const int32_t back = joint(), out = joint();
    at(a.last).next = back;
    at(back).next = a.first;
    at(back).other = out;
    return {a.first, out};
  }

  bool more() const { return at_ < pattern_.size(); }
  char peek() const { return pattern_[at_]; }

  Fragment alternatives(int depth) {
    if (depth > 200) fail("groups nested too deeply");
    Fragment all = sequence(depth);
    while (more() && peek() == '|') {
      ++at_;
      all = either(all, sequence(depth));
    }
    return all;
  }

  Fragment sequence(int depth) {
    const int32_t empty = joint();
    Fragment all{empty, empty};
    while (more() && peek() != '|' && peek() != ')') all = then(all, repeated(depth));
    return all;
  }

  Fragment repeated(int depth) {
    const size_t begin = at_;
    Fragment f = atom(depth);
    const size_t end = at_;
    while (more()) {
      int low, high;  // high -1: no limit
      if (peek() == '*')
        low = 0, high = -1, ++at_;
      else if (peek() == '+')
        low = 1, high = -1, ++at_;
      else if (peek() == '?')
        low = 0, high = 1, ++at_;
      else if (!(peek() == '{' && counts(low, high)))
        break;
      if (more() && peek() == '?') ++at_;  // lazy: the same texts match
      f = copies(f, begin, end, depth, low, high);
    }
    return f;
  }

  // Parses `{m}`, `{m,}` or `{m,n}`; anything else is a literal brace.
  bool counts(int& low, int& high) {
    const size_t close = pattern_.find('}', at_);
    if (close == pattern_.npos || close == at_ + 1) return false;
    const std::string inner(pattern_.substr(at_ + 1, close - at_ - 1));
    const size_t comma = inner.find(',');
    const auto number = [&](const std::string& s, int& out) {
      if (s.empty() || s.size() > 4) return false;
      for (char c : s) {
        if (!std::isdigit(static_cast<unsigned char>(c))) return false;
      }
      out = std::stoi(s);
      return out <= 1000;
    };
    if (!number(inner.substr(0, comma), low)) return false;
    high = low;
    if (comma != inner.npos) {
      if (comma + 1 == inner.size())
        high = -1;
      else if (!number(inner.substr(comma + 1), high) || high < low)
        fail("bad counts");
    }
    at_ = close + 1;
    return true;
  }

  // Repetition by copying: the atom is parsed again for each copy.
  Fragment copies(Fragment first, size_t begin, size_t end, int depth, int low, int high) {
    bool fresh = true;
    const auto again = [&] {
      if (fresh) {
        fresh = false;
        return first;
      }
      const size_t saved = at_;
      at_ = begin;
      const Fragment f = atom(depth);
      if (at_ != end) fail("a repetition of a repetition with counts");
      at_ = saved;
      return f;
    };
    const int32_t empty = joint();
    Fragment all{empty, empty};
    for (int i = 0; i + 1 < low; ++i) all = then(all, again());
    if (high < 0) return then(all, low == 0 ? optional(loop(again())) : loop(again()));
    if (low > 0) all = then(all, again());
    for (int i = low; i < high; ++i) all = then(all, optional(again()));
    return all;
  }

  Fragment atom(int depth) {
    const char c = pattern_[at_++];
    switch (c) {
      case '(': {
        if (pattern_.substr(at_).starts_with("?:"))
          at_ += 2;
        else if (more() && peek() == '?')
          fail("a group extension that is not offered");
        const Fragment f = alternatives(depth + 1);
        if (!more()) fail("an opening parenthesis without its closing");
        ++at_;
        return f;
      }
      case '[':
        return bytes(bracket());
      case '.':
        return any_character();
      case '^':
        return assertion(Regex::Kind::begin);
      case '$':
        return assertion(Regex::Kind::end);
      case '*':
      case '+':
      case '?':
        fail("a repetition of nothing");
      case '\\': {
        if (!more()) fail("a backslash at the end");
        const char e = pattern_[at_++];
        if (e == 'b') return assertion(Regex::Kind::word);
        if (e == 'B') return assertion(Regex::Kind::not_word);
        if (e == 'A') return assertion(Regex::Kind::begin);
        if (e == 'z') return assertion(Regex::Kind::end);
        const Set s = named_class(e);
        if (s.any()) return bytes(s);
        const auto literal = static_cast<unsigned char>(escaped_char(e));
        return bytes(range(literal, literal));
      }
      default:
        return bytes(range(static_cast<unsigned char>(c), static_cast<unsigned char>(c)));
    }
  }

  Fragment assertion(Regex::Kind kind) {
    const int32_t id = state({kind, -1, -1, -1});
    return {id, id};
  }

  // One byte, or a lead byte of UTF-8 with what follows it; not a line feed.
  Fragment any_character() {
    const Set tail = range(0x80, 0xBF);
    Set one = range(0, 0x7F);
    one.reset('\n');
    Fragment all = bytes(one);
    all = either(all, then(bytes(range(0xC0, 0xDF)), bytes(tail)));
    all = either(all, then(then(bytes(range(0xE0, 0xEF)), bytes(tail)), bytes(tail)));
    return either(all, then(then(then(bytes(range(0xF0, 0xF7)), bytes(tail)), bytes(tail)), bytes(tail)));
  }

  Set bracket() {
    Set s;
    bool negated = false;
    if (more() && peek() == '^') negated = true, ++at_;
    for (bool first = true;; first = false) {
      if (!more()) fail("a class without its closing bracket");
      char c = pattern_[at_++];
      if (c == ']' && !first) break;
      if (c == '\\') {
        if (!more()) fail("a backslash at the end");
        const char e = pattern_[at_++];
        const Set named = named_class(e);
        if (named.any()) {
          s |= named;
          continue;
        }
        c = escaped_char(e);
      }
      unsigned char high = static_cast<unsigned char>(c);
      if (pattern_.size() > at_ + 1 && peek() == '-' && pattern_[at_ + 1] != ']') {
        ++at_;
        char h = pattern_[at_++];
        if (h == '\\' && more()) h = escaped_char(pattern_[at_++]);
        high = static_cast<unsigned char>(h);
        if (high < static_cast<unsigned char>(c)) fail("a range that goes down");
      }
      s |= range(static_cast<unsigned char>(c), high);
    }
    return negated ? ~s : s;
  }

  Regex& r_;
  std::string_view pattern_;
  size_t at_ = 0;
};

Regex::Regex(std::string_view pattern) {
  RegexParser(*this, pattern).parse();
}

// All states that `state` reaches without reading.
void Regex::follow(std::vector<int32_t>& list, std::vector<bool>& seen, int32_t state, std::string_view text,
                   size_t at) const {
  std::vector<int32_t> stack{state};
  while (!stack.empty()) {
    const int32_t id = stack.back();
    stack.pop_back();
    if (id < 0 || seen[static_cast<size_t>(id)]) continue;
    seen[static_cast<size_t>(id)] = true;
    const State& s = states_[static_cast<size_t>(id)];
    const bool before = at > 0 && is_word(text[at - 1]), after = at < text.size() && is_word(text[at]);
    switch (s.kind) {
      case Kind::bytes:
      case Kind::match:
        list.push_back(id);
        break;
      case Kind::split:
        stack.push_back(s.other);
        stack.push_back(s.next);
        break;
      case Kind::begin:
        if (at == 0) stack.push_back(s.next);
        break;
      case Kind::end:
        if (at == text.size()) stack.push_back(s.next);
        break;
      case Kind::word:
        if (before != after) stack.push_back(s.next);
        break;
      case Kind::not_word:
        if (before == after) stack.push_back(s.next);
        break;
    }
  }
}

bool Regex::full_match(std::string_view text) const {
  std::vector<int32_t> now, next;
  std::vector<bool> seen(states_.size(), false);
  follow(now, seen, start_, text, 0);
  for (size_t i = 0; i < text.size() && !now.empty(); ++i) {
    next.clear();
    seen.assign(states_.size(), false);
    for (int32_t id : now) {
      const State& s = states_[static_cast<size_t>(id)];
      if (s.kind == Kind::bytes && sets_[static_cast<size_t>(s.set)][static_cast<unsigned char>(text[i])])
        follow(next, seen, s.next, text, i + 1);
    }
    std::swap(now, next);
  }
  for (int32_t id : now) {
    if (states_[static_cast<size_t>(id)].kind == Kind::match) return true;
  }
  return false;
}

}  // namespace hone
