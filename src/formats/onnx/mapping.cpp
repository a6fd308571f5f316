#include "formats/onnx/mapping.hpp"

#include <algorithm>
#include <unordered_map>

#include "formats/nearest_names.hpp"

namespace hone::onnx {
namespace {

using Domain = std::unordered_map<std::string_view, const OperatorRow*>;

const std::unordered_map<std::string_view, Domain>& table() {
  static const auto index = [] {
    std::unordered_map<std::string_view, Domain> t;
    auto take = [&](std::string_view domain, std::span<const OperatorRow> rows) {
      for (const OperatorRow& r : rows) t[domain].emplace(r.name, &r);
    };
    for (auto rows : {elementwise_rows(), reduction_rows(), shape_rows(), indexing_rows(), network_rows(),
                      normalization_rows(), quantization_rows(), control_rows(), sequence_rows(), attention_rows(),
                      recurrent_rows(), sampling_rows(), spectral_rows(), random_rows(), experimental_rows()}) {
      take("", rows);
    }
    take("ai.onnx.ml", ml_rows());
    take("ai.onnx.ml", linear_rows());
    take("ai.onnx.ml", tree_rows());
    take("ai.onnx.ml", feature_rows());
    take("ai.onnx.preview", preview_rows());
    take("ai.onnx.preview.training", training_rows());
    take("com.microsoft", microsoft_rows());
    take("com.microsoft", microsoft_attention_rows());
    take("com.microsoft", microsoft_group_query_rows());
    take("com.microsoft", microsoft_table_rows());
    take("com.microsoft", microsoft_recurrent_rows());
    // Quantizers give the standard operators in this domain as well.
    take("com.microsoft", quantization_rows());
    return t;
  }();
  return index;
}

}  // namespace

const OperatorRow* find_row(std::string_view domain, std::string_view op) {
  const auto d = table().find(domain);
  if (d == table().end()) return nullptr;
  const auto r = d->second.find(op);
  return r == d->second.end() ? nullptr : r->second;
}

std::vector<std::string> nearest_names(std::string_view domain, std::string_view op) {
  auto d = table().find(domain);
  if (d == table().end()) d = table().find("");
  std::vector<std::string_view> known;
  for (const auto& [name, row] : d->second) known.push_back(name);
  return hone::nearest_names(op, known);
}

}  // namespace hone::onnx
