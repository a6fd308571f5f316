#include "cpu/kernels/isa_choice.hpp"

namespace hone::cpu {

void RowList::push(std::string_view name, const char* suffix, Kernel row) {
  names_.push_back(std::make_unique<std::string>(name));
  *names_.back() += suffix;
  row.name = names_.back()->c_str();
  rows_.push_back(row);
}

std::string row_prefix(std::string_view op) {
  std::string s;
  for (size_t i = 0; i < op.size(); ++i) {
    const bool upper = op[i] >= 'A' && op[i] <= 'Z';
    const bool after_lower = i > 0 && !(op[i - 1] >= 'A' && op[i - 1] <= 'Z');
    if (upper && after_lower) s += '_';
    s += upper ? char(op[i] - 'A' + 'a') : op[i];
  }
  return s;
}

}  // namespace hone::cpu
