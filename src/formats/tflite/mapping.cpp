#include "formats/tflite/mapping.hpp"

#include <algorithm>
#include <cctype>
#include <unordered_map>

#include "formats/nearest_names.hpp"

namespace hone::tflite {
namespace {

const std::unordered_map<int32_t, const OperatorRow*>& table() {
  static const auto index = [] {
    std::unordered_map<int32_t, const OperatorRow*> t;
    for (auto rows : {arithmetic_rows(), activation_rows(), convolution_rows(), image_rows(), shape_rows(),
                      slicing_rows(), indexing_rows(), reduction_rows(), quantization_rows(), recurrent_rows(),
                      control_rows(), random_rows(), spectral_rows(), detection_rows(), stablehlo_rows()}) {
      for (const OperatorRow& r : rows) t.emplace(r.code, &r);
    }
    return t;
  }();
  return index;
}

// Operators of the schema without a row, so that messages can name them.
constexpr std::pair<int32_t, std::string_view> others[] = {
    {10, "HASHTABLE_LOOKUP"},
    {15, "LSH_PROJECTION"},
    {29, "CONCAT_EMBEDDINGS"},
    {30, "SKIP_GRAM"},
    {33, "EMBEDDING_LOOKUP_SPARSE"},
    {51, "DELEGATE"},
    {171, "STABLEHLO_CONVOLUTION"},
    {173, "STABLEHLO_CUSTOM_CALL"},
    {174, "STABLEHLO_REDUCE"},
    {190, "STABLEHLO_SCATTER"},
    {198, "STABLEHLO_REDUCE_WINDOW"},
    {199, "STABLEHLO_SORT"},
    {200, "STABLEHLO_WHILE"},
    {201, "STABLEHLO_GATHER"},
    {204, "STABLEHLO_RNG_BIT_GENERATOR"},
    {205, "REDUCE_WINDOW"},
};

}  // namespace

const OperatorRow* find_row(int32_t code) {
  const auto it = table().find(code);
  return it == table().end() ? nullptr : it->second;
}

const CustomRow* find_custom(std::string_view name) {
  for (auto rows : {convolution_customs(), detection_customs()}) {
    for (const CustomRow& r : rows) {
      if (r.name == name) return &r;
    }
  }
  return nullptr;
}

std::string operator_name(const OperatorInfo& o) {
  if (o.code == 32) return std::string(o.custom);
  if (const OperatorRow* r = find_row(o.code)) return std::string(r->name);
  for (const auto& [code, name] : others) {
    if (code == o.code) return std::string(name);
  }
  return "builtin operator " + std::to_string(o.code);
}

std::vector<std::string> nearest_names(std::string_view op) {
  if (op.starts_with("Flex")) op.remove_prefix(4);
  std::vector<std::string_view> known;
  for (const auto& [code, row] : table()) known.push_back(row->name);
  for (auto rows : {convolution_customs(), detection_customs()}) {
    for (const CustomRow& r : rows) known.push_back(r.name);
  }
  return hone::nearest_names(op, known);
}

}  // namespace hone::tflite
