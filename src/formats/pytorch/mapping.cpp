#include "formats/pytorch/mapping.hpp"

#include <algorithm>
#include <unordered_map>

#include "formats/nearest_names.hpp"

namespace hone::pytorch {
namespace {

const std::unordered_map<std::string_view, const OperatorRow*>& table() {
  static const auto index = [] {
    std::unordered_map<std::string_view, const OperatorRow*> t;
    for (auto rows : {elementwise_rows(),   activation_rows(), reduction_rows(), order_rows(),    shape_rows(),
                      joining_rows(),       indexing_rows(),   creation_rows(),  network_rows(),  pooling_rows(),
                      normalization_rows(), attention_rows(),  recurrent_rows(), symbolic_rows(), control_rows(),
                      vision_rows(),        loss_rows(),       matrix_rows(),    special_rows(),  cumulative_rows(),
                      spectral_rows()}) {
      for (const OperatorRow& r : rows) t.emplace(r.name, &r);
    }
    return t;
  }();
  return index;
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
  std::vector<std::string_view> known;
  for (const auto& [name, row] : table()) known.push_back(name);
  return hone::nearest_names(op, known);
}

}  // namespace hone::pytorch
