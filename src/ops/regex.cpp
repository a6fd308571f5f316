#include "ops/regex.hpp"

#include <algorithm>
#include <utility>

#include "hone/error.hpp"
#include "ops/regex_parser.hpp"

namespace hone {
namespace {

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/// Bytes of the character that begins at `at`; 1 where there is none.
size_t character_length(std::string_view text, size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  const size_t n = first < 0xC2 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 1;
  if (n > text.size() - at) return 1;
  for (size_t i = 1; i < n; ++i) {
    if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) return 1;
  }
  return n;
}

}  // namespace

/// The states at one place of the text, those that count first in front, each with the places it has saved.
struct Regex::Threads {
  explicit Threads(size_t states, size_t slots) : slots(slots), seen(states, 0) {}
  void clear() {
    ids.clear();
    places.clear();
    ++generation;
  }
  bool take(int32_t id) {
    uint32_t& s = seen[static_cast<size_t>(id)];
    return std::exchange(s, generation) != generation;
  }
  size_t slots;
  std::vector<int32_t> ids;
  std::vector<size_t> places;  ///< `slots` a thread
  std::vector<uint32_t> seen;
  uint32_t generation = 1;
  // While one state is followed: what is still to follow, and the places on the way there.
  struct Step {
    int32_t state;  ///< -1: gives `slot` back its old content
    size_t slot, old;
  };
  std::vector<Step> steps;
  std::vector<size_t> own;
};

Regex::Regex(std::string_view pattern) {
  RegexParser(*this, pattern).parse();
}

// All states that `state` reaches without reading, in the order in which they count.
void Regex::follow(Threads& list, int32_t state, const size_t* places, std::string_view text, size_t at,
                   Budget& budget) const {
  list.own.assign(places, places + list.slots);
  list.steps.assign(1, {state, 0, 0});
  const bool before = at > 0 && is_word(text[at - 1]), after = at < text.size() && is_word(text[at]);
  while (!list.steps.empty()) {
    const Threads::Step step = list.steps.back();
    list.steps.pop_back();
    budget.spend(1);
    if (step.state < 0) {
      list.own[step.slot] = step.old;
      continue;
    }
    if (!list.take(step.state)) continue;
    const State& s = states_[static_cast<size_t>(step.state)];
    const auto go = [&](int32_t next) {
      if (next >= 0) list.steps.push_back({next, 0, 0});
    };
    switch (s.kind) {
      case Kind::bytes:
      case Kind::match:
        list.ids.push_back(step.state);
        list.places.insert(list.places.end(), list.own.begin(), list.own.end());
        break;
      case Kind::split:
        go(s.other);
        go(s.next);
        break;
      case Kind::save:
        if (const auto slot = static_cast<size_t>(s.set); slot < list.slots) {
          list.steps.push_back({-1, slot, std::exchange(list.own[slot], at)});
        }
        go(s.next);
        break;
      case Kind::begin:
        if (at == 0) go(s.next);
        break;
      case Kind::end:
        if (at == text.size()) go(s.next);
        break;
      case Kind::word:
        if (before != after) go(s.next);
        break;
      case Kind::not_word:
        if (before == after) go(s.next);
        break;
    }
  }
}

void Regex::Budget::exceeded() {
  throw Error(ErrorCode::unsafe, "[Regex] matching takes too many steps", "",
              "give it less text, or a simpler pattern");
}

bool Regex::full_match(std::string_view text) const {
  Budget budget;
  return full_match(text, budget);
}
bool Regex::full_match(std::string_view text, Budget& budget) const {
  budget.spend(states_.size() / 8);
  Threads now(states_.size(), 0), next(states_.size(), 0);
  follow(now, start_, nullptr, text, 0, budget);
  for (size_t i = 0; i < text.size() && !now.ids.empty(); ++i) {
    next.clear();
    for (int32_t id : now.ids) {
      const State& s = states_[static_cast<size_t>(id)];
      if (s.kind == Kind::bytes && sets_[static_cast<size_t>(s.set)][static_cast<unsigned char>(text[i])])
        follow(next, s.next, nullptr, text, i + 1, budget);
    }
    std::swap(now, next);
  }
  return std::any_of(now.ids.begin(), now.ids.end(),
                     [&](int32_t id) { return states_[static_cast<size_t>(id)].kind == Kind::match; });
}

Regex::Match Regex::search(std::string_view text, size_t from, Prefer prefer, Budget& budget) const {
  budget.spend(states_.size() / 8);
  const size_t slots = 2 * (std::min<size_t>(groups_, 9) + 1);
  const Match nowhere(slots, npos);
  Match best;
  Threads now(states_.size(), slots), next(states_.size(), slots);
  for (size_t i = from; i <= text.size(); ++i) {
    if (best.empty()) follow(now, start_, nowhere.data(), text, i, budget);  // counts less than what began earlier
    if (now.ids.empty() && !best.empty()) break;
    next.clear();
    for (size_t k = 0; k < now.ids.size(); ++k) {
      const State& s = states_[static_cast<size_t>(now.ids[k])];
      const size_t* places = now.places.data() + k * slots;
      if (!best.empty() && places[0] > best[0]) break;  // begins later, and so do those behind it
      if (s.kind == Kind::match) {
        if (best.empty() || places[0] < best[0] || places[1] > best[1] || prefer == Prefer::first)
          best.assign(places, places + slots);
        if (prefer == Prefer::first) break;  // the others count less
        continue;
      }
      if (i < text.size() && sets_[static_cast<size_t>(s.set)][static_cast<unsigned char>(text[i])])
        follow(next, s.next, places, text, i + 1, budget);
    }
    std::swap(now, next);
  }
  return best;
}

RegexRewrite::RegexRewrite(const Regex& regex, std::string rewrite) : regex_(regex), rewrite_(std::move(rewrite)) {
  for (size_t i = 0; i < rewrite_.size(); ++i) {
    if (rewrite_[i] != '\\') continue;
    const char c = ++i < rewrite_.size() ? rewrite_[i] : '\0';
    if (c == '\\') continue;
    if (c < '0' || c > '9' || static_cast<size_t>(c - '0') > regex.groups())
      throw Error(ErrorCode::failed,
                  "[Regex] the rewrite '" + rewrite_.substr(0, 200) + "' names no group of the pattern");
  }
}

void RegexRewrite::append(std::string& out, std::string_view text, const Regex::Match& match) const {
  for (size_t i = 0; i < rewrite_.size(); ++i) {
    if (rewrite_[i] != '\\' || rewrite_[++i] == '\\') {
      out += rewrite_[i];
      continue;
    }
    const auto group = static_cast<size_t>(rewrite_[i] - '0');
    const size_t begin = match[2 * group], end = match[2 * group + 1];
    if (begin != Regex::npos && end != Regex::npos) out += text.substr(begin, end - begin);
  }
}

// An empty match right behind the last one is none, as RE2 has it.
std::string RegexRewrite::apply(std::string_view text, bool global, Regex::Budget& budget) const {
  std::string out;
  size_t at = 0, last_end = Regex::npos;
  while (at <= text.size()) {
    const Regex::Match match = regex_.search(text, at, Regex::Prefer::first, budget);
    if (match.empty()) break;
    out += text.substr(at, match[0] - at);
    if (match[0] == match[1] && match[0] == last_end) {
      at = match[0];
      const size_t n = at < text.size() ? character_length(text, at) : 1;
      out += text.substr(at, n);
      at += n;
      last_end = Regex::npos;
      continue;
    }
    append(out, text, match);
    at = last_end = match[1];
    if (!global) break;
  }
  if (at < text.size()) out += text.substr(at);
  return out;
}

}  // namespace hone
