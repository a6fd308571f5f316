#include "ops/regex_parser.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "hone/error.hpp"

namespace hone {
namespace {

constexpr size_t max_states = 20000;  // of the automaton: counted repetitions multiply it

bool is_hex(char c) {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}

/// The bytes of a character, and how many there are.
std::pair<std::array<uint32_t, 4>, size_t> utf8_of(uint32_t c) {
  if (c < 0x80) return {{c}, 1};
  if (c < 0x800) return {{0xC0 | c >> 6, 0x80 | (c & 63)}, 2};
  if (c < 0x10000) return {{0xE0 | c >> 12, 0x80 | (c >> 6 & 63), 0x80 | (c & 63)}, 3};
  return {{0xF0 | c >> 18, 0x80 | (c >> 12 & 63), 0x80 | (c >> 6 & 63), 0x80 | (c & 63)}, 4};
}

}  // namespace

CharacterClass CharacterClass::negated() const {
  std::vector<Range> sorted = ranges_;
  std::sort(sorted.begin(), sorted.end(), [](Range a, Range b) { return a.low < b.low; });
  CharacterClass out;
  uint32_t next = 0;
  for (const Range& r : sorted) {
    if (r.low > next) out.add(next, r.low - 1);
    next = std::max(next, r.high + 1);
  }
  if (next <= last_character) out.add(next, last_character);
  return out;
}

CharacterClass CharacterClass::either_case() const {
  CharacterClass out = *this;
  const auto fold = [&](uint32_t from, uint32_t to) {  // the letters from `from` are those from `to` of the other case
    for (const Range& r : ranges_) {
      const uint32_t low = std::max(r.low, from), high = std::min(r.high, from + 25);
      if (low <= high) out.add(low - from + to, high - from + to);
    }
  };
  fold('a', 'A');
  fold('A', 'a');
  return out;
}

void RegexParser::parse() {
  const int32_t begin = state({Regex::Kind::save, -1, -1, 0}), end = state({Regex::Kind::save, -1, -1, 1});
  const Fragment all = then(then({begin, begin}, alternatives(0)), {end, end});
  if (at_ != pattern_.size()) fail("a closing parenthesis without its opening");
  const int32_t match = state({Regex::Kind::match, -1, -1, -1});
  at(all.last).next = match;
  r_.start_ = all.first;
}

void RegexParser::fail(const std::string& what) const {
  throw Error(ErrorCode::failed, "[Regex] " + what + " in the pattern '" + std::string(pattern_.substr(0, 200)) + "'");
}

int32_t RegexParser::state(Regex::State s) {
  if (r_.states_.size() >= max_states) fail("too many states");
  r_.states_.push_back(s);
  return static_cast<int32_t>(r_.states_.size() - 1);
}

RegexParser::Fragment RegexParser::byte(uint32_t low, uint32_t high) {
  std::bitset<256> set;
  for (uint32_t c = low; c <= high; ++c) set.set(c);
  r_.sets_.push_back(set);
  const int32_t id = state({Regex::Kind::bytes, -1, -1, static_cast<int32_t>(r_.sets_.size() - 1)});
  return {id, id};
}
RegexParser::Fragment RegexParser::then(Fragment a, Fragment b) {
  at(a.last).next = b.first;
  return {a.first, b.last};
}
RegexParser::Fragment RegexParser::either(Fragment a, Fragment b) {
  const int32_t fork = joint(), join = joint();
  at(fork).next = a.first;
  at(fork).other = b.first;
  at(a.last).next = join;
  at(b.last).next = join;
  return {fork, join};
}
RegexParser::Fragment RegexParser::optional(Fragment a, bool lazy) {
  const int32_t empty = joint();
  const Fragment none{empty, empty};
  return lazy ? either(none, a) : either(a, none);
}
// One or more.
RegexParser::Fragment RegexParser::loop(Fragment a, bool lazy) {
  const int32_t back = joint(), out = joint();
  at(a.last).next = back;
  at(back).next = lazy ? out : a.first;
  at(back).other = lazy ? a.first : out;
  return {a.first, out};
}

// The next character of the pattern.
uint32_t RegexParser::character() {
  const auto first = static_cast<unsigned char>(pattern_[at_++]);
  if (first < 0x80) return first;
  const size_t tail = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  if (first < 0xC2 || first > 0xF4 || pattern_.size() - at_ < tail) fail("bytes that are not UTF-8");
  uint32_t c = first & (0x3Fu >> tail);
  for (size_t i = 0; i < tail; ++i) {
    const auto b = static_cast<unsigned char>(pattern_[at_++]);
    if ((b & 0xC0) != 0x80) fail("bytes that are not UTF-8");
    c = c << 6 | (b & 0x3Fu);
  }
  return c;
}

// The character that a backslash and `c` stand for.
uint32_t RegexParser::escaped(char c) {
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
    case 'a':
      return '\a';
    case 'x': {
      const bool braces = more() && peek() == '{';
      if (braces) ++at_;
      std::string digits;
      while (more() && is_hex(peek()) && digits.size() < (braces ? 6u : 2u)) digits += pattern_[at_++];
      if (digits.empty() || (!braces && digits.size() != 2) || (braces && !(more() && peek() == '}')))
        fail("a bad \\x");
      if (braces) ++at_;
      const auto value = static_cast<uint32_t>(std::stoul(digits, nullptr, 16));
      if (value > CharacterClass::last_character) fail("a bad \\x");
      return value;
    }
    default:
      if (std::isalnum(static_cast<unsigned char>(c))) fail(std::string("an escape that is not offered, \\") + c + ",");
      --at_;
      return character();
  }
}

// The class behind a backslash; an empty one where the letter names none.
CharacterClass RegexParser::named_class(char c) const {
  CharacterClass s;
  switch (c) {
    case 'd':
    case 'D':
      s.add('0', '9');
      break;
    case 'w':
    case 'W':
      s.add('0', '9');
      s.add('A', 'Z');
      s.add('_', '_');
      s.add('a', 'z');
      break;
    case 's':
    case 'S':
      s.add('\t', '\n');
      s.add('\f', '\r');
      s.add(' ', ' ');
      break;
    default:
      return {};
  }
  return std::isupper(static_cast<unsigned char>(c)) ? s.negated() : s;
}

// `[:name:]`, from its bracket on; an empty class where there is none.
CharacterClass RegexParser::posix_class() {
  const size_t close = pattern_.find(":]", at_);
  if (!pattern_.substr(at_).starts_with("[:") || close == pattern_.npos) return {};
  std::string_view name = pattern_.substr(at_ + 2, close - at_ - 2);
  const bool negated = name.starts_with('^');
  if (negated) name.remove_prefix(1);
  CharacterClass s;
  const auto digits = [&] { s.add('0', '9'); };
  const auto letters = [&] { s.add('A', 'Z'), s.add('a', 'z'); };
  if (name == "alnum")
    digits(), letters();
  else if (name == "alpha")
    letters();
  else if (name == "ascii")
    s.add(0, 0x7F);
  else if (name == "blank")
    s.add('\t', '\t'), s.add(' ', ' ');
  else if (name == "cntrl")
    s.add(0, 0x1F), s.add(0x7F, 0x7F);
  else if (name == "digit")
    digits();
  else if (name == "graph")
    s.add('!', '~');
  else if (name == "lower")
    s.add('a', 'z');
  else if (name == "print")
    s.add(' ', '~');
  else if (name == "punct")
    s.add('!', '/'), s.add(':', '@'), s.add('[', '`'), s.add('{', '~');
  else if (name == "space")
    s.add('\t', '\r'), s.add(' ', ' ');
  else if (name == "upper")
    s.add('A', 'Z');
  else if (name == "word")
    digits(), letters(), s.add('_', '_');
  else if (name == "xdigit")
    digits(), s.add('A', 'F'), s.add('a', 'f');
  else
    fail("a class of no known name");
  at_ = close + 2;
  return negated ? s.negated() : s;
}

CharacterClass RegexParser::bracket() {
  CharacterClass s;
  const bool negated = more() && peek() == '^';
  if (negated) ++at_;
  for (bool first = true;; first = false) {
    if (!more()) fail("a class without its closing bracket");
    if (peek() == ']' && !first) break;
    if (const CharacterClass posix = posix_class(); !posix.empty()) {
      s.add(posix);
      continue;
    }
    const auto one = [&] {
      uint32_t c = character();
      if (c != '\\') return c;
      if (!more()) fail("a backslash at the end");
      return escaped(pattern_[at_++]);
    };
    if (peek() == '\\' && pattern_.size() > at_ + 1) {
      if (const CharacterClass named = named_class(pattern_[at_ + 1]); !named.empty()) {
        at_ += 2;
        s.add(named);
        continue;
      }
    }
    const uint32_t low = one();
    uint32_t high = low;
    if (pattern_.size() > at_ + 1 && peek() == '-' && pattern_[at_ + 1] != ']') {
      ++at_;
      high = one();
      if (high < low) fail("a range that goes down");
    }
    if (flags_.fold_case && high >= 0x80) fail("letters beyond ASCII whose case does not count");
    s.add(low, high);
  }
  ++at_;
  if (flags_.fold_case) s = s.either_case();
  return negated ? s.negated() : s;
}

RegexParser::Fragment RegexParser::alternatives(int depth) {
  if (depth > 200) fail("groups nested too deeply");
  const Flags outside = flags_;
  Fragment all = sequence(depth);
  while (more() && peek() == '|') {
    ++at_;
    all = either(all, sequence(depth));
  }
  flags_ = outside;
  return all;
}

RegexParser::Fragment RegexParser::sequence(int depth) {
  const int32_t empty = joint();
  Fragment all{empty, empty};
  while (more() && peek() != '|' && peek() != ')') all = then(all, repeated(depth));
  return all;
}

RegexParser::Fragment RegexParser::repeated(int depth) {
  const size_t begin = at_, groups = r_.groups_;
  Fragment f = atom(depth);
  const size_t end = at_;
  for (bool again = false; more(); again = true) {
    int low, high;  // high -1: no limit
    if (peek() == '*')
      low = 0, high = -1, ++at_;
    else if (peek() == '+')
      low = 1, high = -1, ++at_;
    else if (peek() == '?')
      low = 0, high = 1, ++at_;
    else if (!(peek() == '{' && counts(low, high)))
      break;
    const bool lazy = more() && peek() == '?';
    if (lazy) ++at_;
    if (again && !(low <= 1 && (high < 0 || high == 1))) fail("a repetition of a repetition with counts");
    const size_t numbered = r_.groups_;
    r_.groups_ = groups;  // copies number their groups as the first did
    f = copies(f, begin, end, depth, low, high, lazy);
    r_.groups_ = numbered;
  }
  return f;
}

// Parses `{m}`, `{m,}` or `{m,n}`; anything else is a literal brace.
bool RegexParser::counts(int& low, int& high) {
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
RegexParser::Fragment RegexParser::copies(Fragment first, size_t begin, size_t end, int depth, int low, int high,
                                          bool lazy) {
  bool fresh = true;
  const size_t groups = r_.groups_;
  const auto again = [&] {
    if (fresh) {
      fresh = false;
      return first;
    }
    const size_t saved = at_;
    at_ = begin;
    r_.groups_ = groups;
    const Fragment f = atom(depth);
    if (at_ != end) fail("a repetition of a repetition with counts");
    at_ = saved;
    return f;
  };
  const int32_t empty = joint();
  Fragment all{empty, empty};
  for (int i = 0; i + 1 < low; ++i) all = then(all, again());
  if (high < 0) return then(all, low == 0 ? optional(loop(again(), lazy), lazy) : loop(again(), lazy));
  if (low > 0) all = then(all, again());
  // x{0,2} is (x(x)?)?: a copy is tried only behind the one before it.
  Fragment rest{-1, -1};
  for (int i = low; i < high; ++i) {
    const Fragment one = again();
    rest = optional(rest.first < 0 ? one : then(one, rest), lazy);
  }
  return rest.first < 0 ? all : then(all, rest);
}

RegexParser::Fragment RegexParser::atom(int depth) {
  switch (peek()) {
    case '(':
      ++at_;
      return group(depth);
    case '[':
      ++at_;
      return characters(bracket());
    case '.': {
      ++at_;
      return characters(flags_.dot_takes_all ? CharacterClass(0, CharacterClass::last_character)
                                             : CharacterClass('\n', '\n').negated());
    }
    case '^':
      ++at_;
      return assertion(Regex::Kind::begin);
    case '$':
      ++at_;
      return assertion(Regex::Kind::end);
    case '*':
    case '+':
    case '?':
      fail("a repetition of nothing");
    case '\\': {
      ++at_;
      if (!more()) fail("a backslash at the end");
      const char e = pattern_[at_++];
      if (e == 'b') return assertion(Regex::Kind::word);
      if (e == 'B') return assertion(Regex::Kind::not_word);
      if (e == 'A') return assertion(Regex::Kind::begin);
      if (e == 'z') return assertion(Regex::Kind::end);
      if (const CharacterClass named = named_class(e); !named.empty()) return characters(named);
      const uint32_t c = escaped(e);
      return characters({c, c});
    }
    default: {
      const uint32_t c = character();
      if (flags_.fold_case && c >= 0x80) fail("letters beyond ASCII whose case does not count");
      return characters(flags_.fold_case ? CharacterClass(c, c).either_case() : CharacterClass(c, c));
    }
  }
}

RegexParser::Fragment RegexParser::group(int depth) {
  bool captures = true;
  const Flags outside = flags_;
  if (pattern_.substr(at_).starts_with("?P<") || pattern_.substr(at_).starts_with("?<")) {
    at_ = pattern_.find('<', at_) + 1;
    const size_t first = at_;
    while (more() && (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '_')) ++at_;
    if (at_ == first || !more() || peek() != '>') fail("a group without its name");
    ++at_;
  } else if (more() && peek() == '?') {
    captures = false;
    ++at_;
    read_flags();
    if (pattern_[at_ - 1] == ')') {  // the flags count until the group around ends
      const int32_t empty = joint();
      return {empty, empty};
    }
  }
  const size_t number = captures ? ++r_.groups_ : 0;
  Fragment f = alternatives(depth + 1);
  flags_ = outside;
  if (!more()) fail("an opening parenthesis without its closing");
  ++at_;
  if (!captures) return f;
  const int32_t begin = state({Regex::Kind::save, -1, -1, static_cast<int32_t>(2 * number)}),
                end = state({Regex::Kind::save, -1, -1, static_cast<int32_t>(2 * number + 1)});
  return then(then({begin, begin}, f), {end, end});
}

// Flags up to `:` or `)`, which is passed over too.
void RegexParser::read_flags() {
  for (bool on = true;; ++at_) {
    if (!more()) fail("a group extension that is not offered");
    switch (peek()) {
      case '-':
        on = false;
        break;
      case 'i':
        flags_.fold_case = on;
        break;
      case 's':
        flags_.dot_takes_all = on;
        break;
      case ':':
      case ')':
        ++at_;
        return;
      default:
        fail("a group extension that is not offered");
    }
  }
}

RegexParser::Fragment RegexParser::assertion(Regex::Kind kind) {
  const int32_t id = state({kind, -1, -1, -1});
  return {id, id};
}

RegexParser::Fragment RegexParser::characters(CharacterClass c) {
  std::bitset<256> plain;
  Fragment all{-1, -1};
  for (const auto& r : c.ranges()) {
    for (uint32_t b = r.low; b <= std::min<uint32_t>(r.high, 0x7F); ++b) plain.set(b);
    if (r.high >= 0x80) encode(std::max<uint32_t>(r.low, 0x80), r.high, all);
  }
  if (plain.none() && all.first >= 0) return all;
  r_.sets_.push_back(plain);  // of an empty class, which matches nothing, an empty one
  const int32_t id = state({Regex::Kind::bytes, -1, -1, static_cast<int32_t>(r_.sets_.size() - 1)});
  return all.first < 0 ? Fragment{id, id} : either({id, id}, all);
}

// Adds the bytes of all characters of a range: it is cut until the last bytes of each part run over all they can be.
void RegexParser::encode(uint32_t low, uint32_t high, Fragment& all) {
  for (const uint32_t last : {0x7FFu, 0xFFFFu}) {
    if (low <= last && high > last) {
      encode(low, last, all);
      encode(last + 1, high, all);
      return;
    }
  }
  for (int bits = 6; bits < 24; bits += 6) {
    const uint32_t tail = (1u << bits) - 1;
    if ((low & ~tail) == (high & ~tail)) break;
    if ((low & tail) != 0) {
      encode(low, low | tail, all);
      encode((low | tail) + 1, high, all);
      return;
    }
    if ((high & tail) != tail) {
      encode(low, (high & ~tail) - 1, all);
      encode(high & ~tail, high, all);
      return;
    }
  }
  const auto [first, n] = utf8_of(low);
  const auto [last, same] = utf8_of(high);
  Fragment f = byte(first[0], last[0]);
  for (size_t i = 1; i < std::min(n, same); ++i) f = then(f, byte(first[i], last[i]));
  all = all.first < 0 ? f : either(all, f);
}

}  // namespace hone
