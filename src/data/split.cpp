#include "data/split.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <regex>

#include "data/random.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

[[noreturn]] void wrong(const std::string& what, const std::string& where, const std::string& hint = {}) {
  throw Error(ErrorCode::usage, "[split] " + what, where, hint);
}

using Indices = std::vector<uint32_t>;
/// Samples that must stay together.
using Units = std::vector<Indices>;

struct Wanted {
  size_t val = 0, test = 0;
};

Wanted wanted(const SplitOptions& o, size_t n, const std::string& where, bool with_test) {
  const bool shares_fit = o.val >= 0 && o.val < 1 && o.test >= 0 && o.test < 1 &&
                          (o.val_count ? 0 : o.val) + (o.test_count ? 0 : o.test) < 1;
  if (!shares_fit) wrong("shares must lie in [0, 1) and leave something to train", where);
  Wanted w;
  w.val = o.val_count.value_or(size_t(std::lround(o.val * double(n))));
  w.test = with_test ? o.test_count.value_or(size_t(std::lround(o.test * double(n)))) : 0;
  if (w.val >= n || w.test >= n || w.val + w.test >= n) {
    wrong("validation and test ask for " + std::to_string(w.val + w.test) + " of " + std::to_string(n) + " samples",
          where, "ask for fewer");
  }
  return w;
}

/// How many of each class go out when `total` of all `counts` do: proportional, at least one of every class that keeps
/// one behind (where `total` suffices), the largest remainders get what rounding left.
std::vector<size_t> apportion(const std::vector<size_t>& counts, size_t total) {
  size_t all = 0;
  for (size_t c : counts) all += c;
  std::vector<size_t> out(counts.size(), 0);
  if (total == 0 || all == 0) return out;
  std::vector<double> rest(counts.size(), 0);
  const auto most = [&](size_t c) { return counts[c] > 0 ? counts[c] - 1 : 0; };
  size_t given = 0;
  for (size_t c = 0; c < counts.size(); ++c) {
    const double exact = double(counts[c]) * double(total) / double(all);
    out[c] = std::min(std::max(size_t(exact), size_t{1}), most(c));
    rest[c] = exact - double(out[c]);
    given += out[c];
  }
  // One at a time, to the class furthest below its share or from the one furthest above it.
  for (; given < total; ++given) {
    size_t best = counts.size();
    for (size_t c = 0; c < counts.size(); ++c) {
      if (out[c] < most(c) && (best == counts.size() || rest[c] > rest[best])) best = c;
    }
    if (best == counts.size()) break;
    ++out[best];
    rest[best] -= 1;
  }
  for (; given > total; --given) {
    size_t best = counts.size();
    for (size_t c = 0; c < counts.size(); ++c) {
      // The last one of a class goes only where all others are down to one too.
      const auto rank = [&](size_t k) { return std::make_pair(out[k] > 1, -rest[k]); };
      if (out[c] > 0 && (best == counts.size() || rank(c) > rank(best))) best = c;
    }
    --out[best];
    rest[best] += 1;
  }
  return out;
}

/// Moves units out of `units` until `count` samples are out: whole units, passing over those that are too large.
Indices take(Units& units, size_t count) {
  Indices out;
  Units left;
  for (auto& u : units) {
    if (out.size() + u.size() <= count) {
      out.insert(out.end(), u.begin(), u.end());
    } else {
      left.push_back(std::move(u));
    }
  }
  units = std::move(left);
  return out;
}

/// Units of each class, shuffled. Duplicates with different labels go with the label of their first sample.
std::vector<Units> units_by_class(const Dataset& data, const Indices& samples, bool together, uint64_t seed) {
  std::vector<Units> by_class(data.classes().size());
  std::map<Digest, std::pair<size_t, size_t>> seen;  // content -> class, unit
  const std::vector<Digest>* digests = together ? &data.digests() : nullptr;
  for (uint32_t i : samples) {
    const auto label = size_t(data.label(i));
    if (digests) {
      const auto [at, is_new] = seen.try_emplace((*digests)[i], label, by_class[label].size());
      if (!is_new) {
        by_class[at->second.first][at->second.second].push_back(i);
        continue;
      }
    }
    by_class[label].push_back({i});
  }
  for (size_t c = 0; c < by_class.size(); ++c) Random({seed, 0x73706c6974u, c}).shuffle(by_class[c]);
  return by_class;
}

void sort_parts(Split& s) {
  for (Indices* v : {&s.train, &s.val, &s.test}) std::sort(v->begin(), v->end());
}

/// Splits `samples` stratified into s.train, s.val and s.test (added to what they hold).
void stratify(const Dataset& data, const Indices& samples, Wanted w, bool together, uint64_t seed, Split& s) {
  auto by_class = units_by_class(data, samples, together, seed);
  std::vector<size_t> counts(by_class.size());
  for (size_t c = 0; c < counts.size(); ++c) {
    for (const auto& u : by_class[c]) counts[c] += u.size();
  }
  const auto test = apportion(counts, w.test);
  for (size_t c = 0; c < counts.size(); ++c) counts[c] -= test[c];
  const auto val = apportion(counts, w.val);
  for (size_t c = 0; c < counts.size(); ++c) {
    const Indices out_test = take(by_class[c], test[c]), out_val = take(by_class[c], val[c]);
    s.test.insert(s.test.end(), out_test.begin(), out_test.end());
    s.val.insert(s.val.end(), out_val.begin(), out_val.end());
    for (const auto& u : by_class[c]) s.train.insert(s.train.end(), u.begin(), u.end());
  }
}

std::regex compile(const std::string& text, const std::string& where) {
  try {
    return std::regex(text);
  } catch (const std::regex_error& e) {
    wrong("the expression '" + text + "' is not valid (" + e.what() + ")", where);
  }
}

/// The first capture, or the whole match; empty where nothing matches.
std::string matched(const std::regex& r, const std::string& text) {
  std::smatch m;
  if (!std::regex_search(text, m, r)) return {};
  return m.size() > 1 && m[1].matched ? m[1].str() : m[0].str();
}

std::string group_key(const std::string& id, const std::string& rule, const std::regex* expression) {
  const size_t slash = id.find_last_of('/');
  if (rule == "parent") return slash == std::string::npos ? std::string() : id.substr(0, slash);
  if (rule == "token") {
    const std::string name = slash == std::string::npos ? id : id.substr(slash + 1);
    return name.substr(0, name.find_first_of("_-. "));
  }
  const std::string key = matched(*expression, id);
  return key.empty() ? "\x01" + id : key;
}

/// Whole groups to the part that lacks them most, large groups first, so that sizes and class shares come out as near
/// as they can.
void split_groups(const Dataset& data, const SplitOptions& o, Wanted w, Split& s) {
  if (o.group.empty())
    wrong("a group split needs a group key", data.path(), "give `parent`, `token` or a regular expression");
  std::optional<std::regex> expression;
  if (o.group != "parent" && o.group != "token") expression = compile(o.group, data.path());
  std::map<std::string, Indices> groups;
  for (uint32_t i = 0; i < data.size(); ++i)
    groups[group_key(data.id(i), o.group, expression ? &*expression : nullptr)].push_back(i);
  const size_t parts = 1 + (w.val > 0) + (w.test > 0);
  if (groups.size() < parts) {
    wrong("there are " + std::to_string(groups.size()) + " groups for " + std::to_string(parts) + " parts", data.path(),
          "choose a key that tells more groups apart");
  }
  Units order;
  for (auto& [key, members] : groups) order.push_back(std::move(members));
  Random({o.seed, 0x67726f7570u}).shuffle(order);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });

  const size_t classes = data.classes().size(), n = data.size();
  const auto counts = data.class_counts();
  const double share[3] = {double(n - w.val - w.test) / double(n), double(w.val) / double(n),
                           double(w.test) / double(n)};
  Indices* const target[3] = {&s.train, &s.val, &s.test};
  std::vector<double> have[3];
  for (auto& h : have) h.assign(classes, 0);
  size_t empty_parts = parts, groups_left = order.size();
  for (const auto& g : order) {
    std::vector<double> add(classes, 0);
    for (uint32_t i : g) add[size_t(data.label(i))] += 1;
    int best = -1;
    double best_cost = 0;
    for (int p = 0; p < 3; ++p) {
      if (share[p] == 0) continue;
      if (groups_left <= empty_parts && !target[p]->empty()) continue;  // the last groups fill the parts that have none
      // Change of the squared distance to the wanted count, relative to it, in each class and in total.
      double cost = 0, total_have = double(target[p]->size()), total_want = share[p] * double(n);
      for (size_t c = 0; c < classes; ++c) {
        const double want = std::max(share[p] * double(counts[c]), 0.5);
        const double before = (have[p][c] - want) / want, after = (have[p][c] + add[c] - want) / want;
        cost += (after * after - before * before) / double(classes);
      }
      const double before = (total_have - total_want) / total_want,
                   after = (total_have + double(g.size()) - total_want) / total_want;
      cost += after * after - before * before;
      if (best < 0 || cost < best_cost) {
        best = p;
        best_cost = cost;
      }
    }
    empty_parts -= target[best]->empty();
    --groups_left;
    target[best]->insert(target[best]->end(), g.begin(), g.end());
    for (size_t c = 0; c < classes; ++c) have[best][c] += add[c];
  }
}

std::vector<std::pair<double, std::string>> time_keys(const Dataset& data, const std::string& rule) {
  std::vector<std::pair<double, std::string>> keys(data.size());
  if (rule == "modified") {
    for (size_t i = 0; i < keys.size(); ++i) {
      keys[i].first = data.modified(i);
      if (keys[i].first < 0)
        wrong("the samples carry no time", data.path(), "give a regular expression for the time in the name");
    }
    return keys;
  }
  const std::regex expression = compile(rule, data.path());
  bool numbers = true;
  for (size_t i = 0; i < keys.size(); ++i) {
    keys[i].second = matched(expression, data.id(i));
    if (keys[i].second.empty())
      wrong("no time in the name " + data.id(i), data.path(), "correct the expression '" + rule + "'");
    char* end = nullptr;
    keys[i].first = std::strtod(keys[i].second.c_str(), &end);
    numbers = numbers && *end == 0;
  }
  for (auto& k : keys) {
    if (numbers) {
      k.second.clear();
    } else {
      k.first = 0;
    }
  }
  return keys;
}

void split_times(const Dataset& data, const SplitOptions& o, Wanted w, Split& s) {
  const auto keys = time_keys(data, o.time);
  Indices order = data.indices(Part::none);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
  const size_t n = order.size();
  // A cut moves forward to the next change of time, so that equal times stay together.
  const auto cut = [&](size_t at) {
    while (at > 0 && at < n && keys[order[at]] == keys[order[at - 1]]) ++at;
    return at;
  };
  const size_t val = cut(n - w.val - w.test), test = std::max(val, cut(n - w.test));
  s.train.assign(order.begin(), order.begin() + ptrdiff_t(val));
  s.val.assign(order.begin() + ptrdiff_t(val), order.begin() + ptrdiff_t(test));
  s.test.assign(order.begin() + ptrdiff_t(test), order.end());
  if (s.train.empty() || (w.val > 0 && s.val.empty()) || (w.test > 0 && s.test.empty())) {
    wrong("too many samples have the same time to cut between them", data.path(),
          "choose another time key or another split");
  }
}

}  // namespace

Split make_split(const Dataset& data, const SplitOptions& o) {
  Split s;
  s.seed = o.seed;
  s.revision = data.revision();
  if (o.kind == SplitKind::automatic && data.has_parts()) {
    s.val = data.indices(Part::val);
    s.test = data.indices(Part::test);
    const Indices pool = data.indices(Part::train);
    const bool need_val = s.val.empty() && (o.val_count.value_or(1) > 0) && (o.val_count || o.val > 0);
    const bool need_test = s.test.empty() && (o.test_count.value_or(1) > 0) && (o.test_count || o.test > 0);
    if (!need_val && !need_test) {
      s.kind = "given";
      s.train = pool;
    } else {
      s.kind = "given+stratified";
      Wanted w = wanted(o, pool.size(), data.path(), need_test);
      if (!need_val) w.val = 0;
      stratify(data, pool, w, o.duplicates_together, o.seed, s);
    }
  } else {
    const Wanted w = wanted(o, data.size(), data.path(), true);
    switch (o.kind) {
      case SplitKind::group:
        s.kind = "group";
        split_groups(data, o, w, s);
        break;
      case SplitKind::time:
        s.kind = "time";
        split_times(data, o, w, s);
        break;
      default:
        s.kind = "stratified";
        stratify(data, data.indices(Part::none), w, o.duplicates_together, o.seed, s);
    }
  }
  sort_parts(s);
  return s;
}

Split split_off_validation(const Dataset& data, size_t count, uint64_t seed) {
  SplitOptions o;
  o.seed = seed;
  o.val_count = count;
  if (data.has_parts() && !data.indices(Part::test).empty()) o.test_count = 0;
  return make_split(data, o);
}

std::vector<Leak> find_leaks(const Dataset& data, const Split& split) {
  const auto& digests = data.digests();
  struct First {
    uint32_t index;
    Part part;
  };
  std::map<Digest, std::vector<First>> seen;  // the first sample of each part
  std::vector<Leak> leaks;
  const auto add = [&](const Indices& samples, Part part) {
    for (uint32_t i : samples) {
      auto& others = seen[digests[i]];
      bool own = false, told = false;
      for (const First& f : others) {
        own = own || f.part == part;
        if (f.part == part || told) continue;
        leaks.push_back({f.index, i, f.part, part, data.label(f.index) == data.label(i)});
        told = true;
      }
      if (!own) others.push_back({i, part});
    }
  };
  add(split.train, Part::train);
  add(split.val, Part::val);
  add(split.test, Part::test);
  return leaks;
}

}  // namespace hone::data
