// The mapping table: one row a TensorFlow operator.
//
// To add an operator: write `Items my_op(NodeContext& n)` in the file of its family and give it a row there:
//     {"MyOp", my_op},
// with the names of its outputs where it has several: functions name the tensors that they read by them.
#pragma once
#include <span>

#include "formats/tensorflow/node.hpp"

namespace hone::tensorflow {

struct OperatorRow {
  std::string_view name;
  Items (*build)(NodeContext&);
  std::string_view outputs = {};  ///< "values,indices"; empty: one output, or one list of outputs
};

// The families: each file `map_*.cpp` lists its own rows.
std::span<const OperatorRow> basic_rows();
std::span<const OperatorRow> elementwise_rows();
std::span<const OperatorRow> reduction_rows();
std::span<const OperatorRow> shape_rows();
std::span<const OperatorRow> slice_rows();
std::span<const OperatorRow> indexing_rows();
std::span<const OperatorRow> network_rows();
std::span<const OperatorRow> image_rows();
std::span<const OperatorRow> color_rows();
std::span<const OperatorRow> control_rows();
std::span<const OperatorRow> list_rows();
std::span<const OperatorRow> random_rows();
std::span<const OperatorRow> signal_rows();
std::span<const OperatorRow> box_rows();
std::span<const OperatorRow> quantization_rows();
std::span<const OperatorRow> quantized_rows();
std::span<const OperatorRow> sparse_rows();
std::span<const OperatorRow> text_rows();
std::span<const OperatorRow> matrix_rows();

/// The row of an operator; null where there is none.
const OperatorRow* find_row(std::string_view op);
/// Number of operators in the table.
size_t num_rows();
/// Known names nearest to `op` in spelling, best first.
std::vector<std::string> nearest_names(std::string_view op);
/// The number of the output `output` of an operator, counted over all outputs; -1 where it is not known.
int output_index(std::string_view op, std::string_view output, int64_t number);

/// Operators of training and bookkeeping, which an inference graph does without.
bool is_training_operator(std::string_view op);
/// Operators that look at values and give nothing: what only they read is no output of the model, what they read may
/// be.
bool is_observer(std::string_view op);

}  // namespace hone::tensorflow
