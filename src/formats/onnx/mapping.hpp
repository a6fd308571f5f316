// The mapping table: one row an ONNX operator.
//
// To add an operator: write `Values my_op(NodeContext& n)` in the file of its family and give it a row there:
//     {"MyOp", 1, my_op},
// with the first operator set that has it. `n.version` tells the operator set of the model, so one function serves all
// versions.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "formats/onnx/node.hpp"

namespace hone::onnx {

struct OperatorRow {
  std::string_view name;
  int64_t since;  ///< first operator set with the operator
  Values (*build)(NodeContext&);
};

// The families: each file `map_*.cpp` lists its own rows.
std::span<const OperatorRow> elementwise_rows();
std::span<const OperatorRow> reduction_rows();
std::span<const OperatorRow> shape_rows();
std::span<const OperatorRow> indexing_rows();
std::span<const OperatorRow> network_rows();
std::span<const OperatorRow> normalization_rows();
std::span<const OperatorRow> quantization_rows();
std::span<const OperatorRow> control_rows();
std::span<const OperatorRow> sequence_rows();
std::span<const OperatorRow> attention_rows();
std::span<const OperatorRow> recurrent_rows();
std::span<const OperatorRow> sampling_rows();
std::span<const OperatorRow> spectral_rows();
std::span<const OperatorRow> random_rows();
std::span<const OperatorRow> experimental_rows();
std::span<const OperatorRow> microsoft_rows();              ///< of domain com.microsoft
std::span<const OperatorRow> microsoft_attention_rows();    ///< of domain com.microsoft
std::span<const OperatorRow> microsoft_group_query_rows();  ///< of domain com.microsoft
std::span<const OperatorRow> microsoft_recurrent_rows();    ///< of domain com.microsoft
std::span<const OperatorRow> microsoft_table_rows();        ///< of domain com.microsoft
std::span<const OperatorRow> ml_rows();                     ///< of domain ai.onnx.ml
std::span<const OperatorRow> linear_rows();                 ///< of domain ai.onnx.ml
std::span<const OperatorRow> tree_rows();                   ///< of domain ai.onnx.ml
std::span<const OperatorRow> feature_rows();                ///< of domain ai.onnx.ml
std::span<const OperatorRow> preview_rows();                ///< of domain ai.onnx.preview
std::span<const OperatorRow> training_rows();               ///< of domain ai.onnx.preview.training

/// Newest operator set of the default domain whose operators are known.
inline constexpr int64_t newest_opset = 28;

/// The row of an operator; null where there is none.
const OperatorRow* find_row(std::string_view domain, std::string_view op);
/// Known names of the domain nearest to `op` in spelling, best first.
std::vector<std::string> nearest_names(std::string_view domain, std::string_view op);

}  // namespace hone::onnx
