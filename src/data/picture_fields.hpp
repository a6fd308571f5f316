// Settings read from text without the toolkit's reflection: what a small program needs to set `Preprocessing` from the
// metadata of a model. Part of the self-contained picture header.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "hone/error.hpp"

namespace hone::data {

/// The members of a flat JSON object whose values are strings or plain scalars, as text:
/// {"width":"28","mean":"[72.9]"}. Throws `Error` (unreadable) for anything else.
inline std::map<std::string, std::string> flat_json(std::string_view text) {
  size_t at = 0;
  const auto bad = [] { return Error(ErrorCode::unreadable, "[preprocess] the settings are not a flat JSON object"); };
  const auto skip = [&] {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r')) ++at;
  };
  const auto take = [&](char c) {
    skip();
    if (at >= text.size() || text[at] != c) throw bad();
    ++at;
  };
  const auto string = [&] {
    take('"');
    std::string out;
    while (at < text.size() && text[at] != '"') {
      if (text[at] == '\\') {
        ++at;
        if (at >= text.size() || (text[at] != '"' && text[at] != '\\' && text[at] != '/')) throw bad();
      }
      out += text[at++];
    }
    take('"');
    return out;
  };
  std::map<std::string, std::string> out;
  take('{');
  skip();
  if (at < text.size() && text[at] == '}') return out;
  for (;;) {
    skip();
    const std::string key = string();
    take(':');
    skip();
    if (at < text.size() && text[at] == '"') {
      out[key] = string();
    } else {
      const size_t begin = at;
      int depth = 0;
      while (at < text.size() && (depth > 0 || (text[at] != ',' && text[at] != '}'))) {
        if (text[at] == '{' || text[at] == '"') throw bad();
        depth += text[at] == '[' ? 1 : text[at] == ']' ? -1 : 0;
        ++at;
      }
      size_t end = at;
      while (end > begin && (text[end - 1] == ' ' || text[end - 1] == '\n')) --end;
      out[key] = std::string(text.substr(begin, end - begin));
    }
    skip();
    if (at < text.size() && text[at] == ',') {
      ++at;
      continue;
    }
    take('}');
    return out;
  }
}

/// The functor for `fields` that sets members from text; members without a text keep their value.
struct TextFields {
  const std::map<std::string, std::string>& values;

  template <class T>
  void operator()(std::string_view name, T& v) const {
    const auto it = values.find(std::string(name));
    if (it == values.end()) return;
    const std::string& text = it->second;
    if constexpr (std::is_same_v<T, bool>) {
      v = text == "true" || text == "1";
    } else if constexpr (std::is_same_v<T, int64_t>) {
      v = std::strtoll(text.c_str(), nullptr, 10);
    } else if constexpr (std::is_same_v<T, double>) {
      v = std::strtod(text.c_str(), nullptr);
    } else if constexpr (std::is_same_v<T, std::string>) {
      v = text;
    } else if constexpr (std::is_enum_v<T>) {
      const std::span<const std::string_view> names = enum_names(v);
      for (size_t i = 0; i < names.size(); ++i) {
        if (names[i] == text) {
          v = T(int(i));
          return;
        }
      }
      throw Error(ErrorCode::unreadable, "[preprocess] unknown value '" + text + "' of " + std::string(name));
    } else {  // a list of numbers: [1,2.5]
      v.clear();
      const char* p = text.c_str();
      while (*p && *p != '[') ++p;
      if (*p) ++p;
      for (;;) {
        char* end = nullptr;
        const double x = std::strtod(p, &end);
        if (end == p) return;
        v.push_back(static_cast<typename T::value_type>(x));
        p = *end == ',' ? end + 1 : end;
      }
    }
  }
};

/// Sets the members of `object` that `json` names.
template <class O>
void set_fields(O& object, std::string_view json) {
  const auto values = flat_json(json);
  O::fields(object, TextFields{values});
}

}  // namespace hone::data
