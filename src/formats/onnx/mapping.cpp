#include "formats/onnx/mapping.hpp"

#include <algorithm>
#include <unordered_map>

namespace hone::onnx {
namespace {

using Domain = std::unordered_map<std::string_view, const OperatorRow*>;

const std::unordered_map<std::string_view, Domain>& table() {
  static const auto index = [] {
    std::unordered_map<std::string_view, Domain> t;
    auto take = [&](std::string_view domain, std::span<const OperatorRow> rows) {
      for (const OperatorRow& r : rows) t[domain].emplace(r.name, &r);
    };
    for (auto rows : {elementwise_rows(), reduction_rows(), shape_rows(), indexing_rows(), network_rows(), normalization_rows(), quantization_rows(),
                      control_rows(), sequence_rows(), attention_rows(), recurrent_rows(), sampling_rows(), spectral_rows(), random_rows()}) {
      take("", rows);
    }
    take("ai.onnx.ml", ml_rows());
    take("ai.onnx.ml", tree_rows());
    take("ai.onnx.ml", feature_rows());
    take("ai.onnx.preview", preview_rows());
    take("ai.onnx.preview.training", training_rows());
    take("com.microsoft", microsoft_rows());
    take("com.microsoft", microsoft_attention_rows());
    // Quantizers give the standard operators in this domain as well.
    take("com.microsoft", quantization_rows());
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
      const size_t same = std::tolower(a[i - 1]) == std::tolower(b[j - 1]) ? 0 : 1;
      const size_t next = std::min({row[j] + 1, row[j - 1] + 1, diagonal + same});
      diagonal = row[j];
      row[j] = next;
    }
  }
  return row[b.size()];
}

}  // namespace

const OperatorRow* find_row(std::string_view domain, std::string_view op) {
  const auto d = table().find(domain);
  if (d == table().end()) return nullptr;
  const auto r = d->second.find(op);
  return r == d->second.end() ? nullptr : r->second;
}

std::vector<std::string> nearest_names(std::string_view domain, std::string_view op) {
  std::vector<std::pair<size_t, std::string>> near;
  auto d = table().find(domain);
  if (d == table().end()) d = table().find("");
  for (const auto& [name, row] : d->second) {
    size_t distance = edit_distance(op.substr(0, 64), name);
    if (op.size() > 3 && (name.find(op) != name.npos || op.find(name) != op.npos)) distance = std::min<size_t>(distance, 2);
    if (distance <= std::max<size_t>(2, op.size() / 3)) near.emplace_back(distance, name);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> out;
  for (size_t i = 0; i < std::min<size_t>(3, near.size()); ++i) out.push_back(near[i].second);
  return out;
}

}  // namespace hone::onnx
