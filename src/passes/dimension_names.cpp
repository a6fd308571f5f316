#include "passes/dimension_names.hpp"

#include <algorithm>
#include <cctype>

#include "hone/error.hpp"

namespace hone {
namespace {

constexpr char any_number = '.';

[[noreturn]] void refuse(const std::string& what, std::string_view text) {
  throw Error(ErrorCode::usage, "[layout] " + what, "'" + std::string(text) + "'",
              "write one letter a dimension, as in NCHW, ? for any and ... for any number");
}

}  // namespace

DimensionNames::DimensionNames(std::string_view text) {
  std::string_view rest = text;
  if (rest.size() >= 2 && rest.front() == '[' && rest.back() == ']') rest = rest.substr(1, rest.size() - 2);
  while (!rest.empty()) {
    char c = rest.front();
    if (rest.starts_with("...")) {
      c = any_number;
      rest.remove_prefix(3);
    } else {
      rest.remove_prefix(1);
      if (c == ',' || c == ' ') continue;
      if (c != '?' && !std::isalpha(static_cast<unsigned char>(c))) refuse("no layout", text);
      c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    if (c != '?' && text_.find(c) != std::string::npos)
      refuse(c == any_number ? "'...' stands twice" : std::string("dimension ") + c + " stands twice", text);
    text_ += c;
  }
  if (text_ == ".") text_.clear();
}

std::string DimensionNames::spelled_out(size_t rank) const {
  const size_t at = text_.find(any_number);
  const size_t named = at == std::string::npos ? text_.size() : text_.size() - 1;
  if (at == std::string::npos ? named != rank : named > rank)
    refuse("the layout does not fit a tensor of " + std::to_string(rank) + " dimensions", text_);
  if (at == std::string::npos) return text_;
  return text_.substr(0, at) + std::string(rank - named, '?') + text_.substr(at + 1);
}

std::optional<size_t> DimensionNames::axis(char name, size_t rank) const {
  if (empty()) return std::nullopt;
  const size_t at = spelled_out(rank).find(name);
  if (at == std::string::npos) return std::nullopt;
  return at;
}

std::vector<int64_t> permutation(const DimensionNames& from, const DimensionNames& to, size_t rank) {
  if (from.empty() || to.empty() || from == to) return {};
  const std::string a = from.spelled_out(rank), b = to.spelled_out(rank);
  std::vector<int64_t> unnamed, order;
  for (size_t i = 0; i < rank; ++i) {
    if (a[i] == '?' || b.find(a[i]) == std::string::npos) unnamed.push_back(static_cast<int64_t>(i));
  }
  size_t next = 0;
  bool moves = false;
  for (size_t i = 0; i < rank; ++i) {
    const size_t at = b[i] == '?' ? std::string::npos : a.find(b[i]);
    if (at == std::string::npos &&
        (next == unnamed.size() || (b[i] != '?' && a[static_cast<size_t>(unnamed[next])] != '?'))) {
      refuse("no way from layout " + from.text() + " to this one", to.text());
    }
    order.push_back(at != std::string::npos ? static_cast<int64_t>(at) : unnamed[next++]);
    moves |= order.back() != static_cast<int64_t>(i);
  }
  return moves ? order : std::vector<int64_t>{};
}

}  // namespace hone
