#include "formats/tensorflow/mapping.hpp"

#include <algorithm>
#include <unordered_map>

#include "formats/nearest_names.hpp"

namespace hone::tensorflow {
namespace {

using Table = std::unordered_map<std::string_view, const OperatorRow*>;

const Table& table() {
  static const Table index = [] {
    Table t;
    for (auto rows :
         {basic_rows(), elementwise_rows(), reduction_rows(), shape_rows(), slice_rows(), indexing_rows(),
          network_rows(), image_rows(), color_rows(), control_rows(), list_rows(), random_rows(), signal_rows(),
          box_rows(), quantization_rows(), quantized_rows(), sparse_rows(), text_rows(), matrix_rows()}) {
      for (const OperatorRow& r : rows) t.emplace(r.name, &r);
    }
    return t;
  }();
  return index;
}

}  // namespace

const OperatorRow* find_row(std::string_view op) {
  const auto r = table().find(op);
  return r == table().end() ? nullptr : r->second;
}

size_t num_rows() {
  return table().size();
}

std::vector<std::string> nearest_names(std::string_view op) {
  std::vector<std::string_view> known;
  for (const auto& [name, row] : table()) known.push_back(name);
  return hone::nearest_names(op, known);
}

int output_index(std::string_view op, std::string_view output, int64_t number) {
  const OperatorRow* row = find_row(op);
  if (!row) return -1;
  if (row->outputs.empty()) return static_cast<int>(number);
  int index = 0;
  for (std::string_view rest = row->outputs;; ++index) {
    const size_t comma = rest.find(',');
    if (rest.substr(0, comma) == output) return index + static_cast<int>(number);
    if (comma == rest.npos) return -1;
    rest.remove_prefix(comma + 1);
  }
}

bool is_observer(std::string_view op) {
  return op.ends_with("Summary") || op.ends_with("SummaryV2") || op == "PrintV2" || op.starts_with("Save") ||
         op == "MergeSummary" || op == "LogicalPrint";
}

bool is_training_operator(std::string_view op) {
  static constexpr std::string_view names[] = {"NoOp",
                                               "Assert",
                                               "Assign",
                                               "AssignAdd",
                                               "AssignSub",
                                               "ScatterUpdate",
                                               "ScatterAdd",
                                               "ScatterSub",
                                               "CountUpTo",
                                               "ShardedFilename",
                                               "MergeV2Checkpoints",
                                               "DeleteSessionTensor",
                                               "LookupTableImport",
                                               "LookupTableImportV2",
                                               "InitializeTable",
                                               "InitializeTableV2",
                                               "InitializeTableFromTextFile",
                                               "InitializeTableFromTextFileV2",
                                               "TensorArrayCloseV3",
                                               "ControlTrigger",
                                               "Abort",
                                               "QueueCloseV2",
                                               "QueueEnqueueV2",
                                               "QueueEnqueueManyV2"};
  return std::find(std::begin(names), std::end(names), op) != std::end(names) || op.starts_with("Apply") ||
         op.starts_with("ResourceApply") || op.starts_with("ResourceSparseApply") || op.starts_with("SparseApply") ||
         op.starts_with("Restore") || op.starts_with("AssignVariable") || op.starts_with("AssignAddVariable") ||
         op.starts_with("AssignSubVariable") || op.starts_with("ResourceScatter") || is_observer(op);
}

}  // namespace hone::tensorflow
