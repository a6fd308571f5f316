#include "formats/pytorch/mapping.hpp"

#include <algorithm>
#include <unordered_map>

namespace hone::pytorch {
namespace {

const std::unordered_map<std::string_view, const OperatorRow*>& table() {
  static const auto index = [] {
    std::unordered_map<std::string_view, const OperatorRow*> t;
    for (auto rows : {elementwise_rows(), activation_rows(), reduction_rows(), order_rows(), shape_rows(),
                      indexing_rows(), creation_rows(), network_rows(), pooling_rows(), normalization_rows(),
                      attention_rows(), recurrent_rows(), symbolic_rows(), control_rows(), vision_rows()}) {
      for (const OperatorRow& r : rows) t.emplace(r.name, &r);
    }
    return t;
  }();
  return index;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t next = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = row[j];
      row[j] = next;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string operator_name(std::string_view target) {
  if (!target.starts_with("torch.ops.")) return std::string(target);
  target.remove_prefix(10);
  const size_t library = target.find('.');
  if (library == target.npos) return std::string(target);
  const size_t overload = target.find('.', library + 1);
  if (overload != target.npos) target = target.substr(0, overload);
  return std::string(target.starts_with("aten.") ? target.substr(5) : target);
}

bool is_in_place(std::string_view op) {
  // `_operator.and_` and `__and__` end like in-place operators and are none.
  return op.size() > 1 && op.back() == '_' && !op.ends_with("__") && !op.starts_with("_operator.");
}

const OperatorRow* find_row(std::string_view op) {
  auto it = table().find(op);
  if (it == table().end() && is_in_place(op)) it = table().find(op.substr(0, op.size() - 1));
  return it == table().end() ? nullptr : it->second;
}

size_t operator_count() {
  return table().size();
}

std::vector<std::string> nearest_names(std::string_view op) {
  std::vector<std::pair<size_t, std::string>> near;
  for (const auto& [name, row] : table()) {
    const size_t distance = edit_distance(op.substr(0, 64), name);
    if (distance <= std::max<size_t>(2, op.size() / 3)) near.emplace_back(distance, name);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> out;
  for (size_t i = 0; i < std::min<size_t>(3, near.size()); ++i) out.push_back(near[i].second);
  return out;
}

}  // namespace hone::pytorch
