#include "formats/nearest_names.hpp"

#include <algorithm>
#include <cctype>

namespace hone {
namespace {

char lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

// Levenshtein 1966.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t same = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
      const size_t next = std::min({row[j] + 1, row[j - 1] + 1, diagonal + same});
      diagonal = row[j];
      row[j] = next;
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<std::string> nearest_names(std::string_view op, const std::vector<std::string_view>& known) {
  std::vector<std::pair<size_t, std::string_view>> near;
  for (std::string_view name : known) {
    size_t distance = edit_distance(op.substr(0, 64), name);
    if (op.size() > 3 && (name.find(op) != name.npos || op.find(name) != op.npos))
      distance = std::min<size_t>(distance, 2);
    if (distance <= std::max<size_t>(2, op.size() / 3)) near.emplace_back(distance, name);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> out;
  for (size_t i = 0; i < std::min<size_t>(3, near.size()); ++i) out.emplace_back(near[i].second);
  return out;
}

}  // namespace hone
