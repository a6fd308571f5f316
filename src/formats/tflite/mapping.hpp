// The mapping table: one row a builtin operator.
//
// To add an operator: write `Values my_op(NodeContext& n)` in the file of its family and give it a row there:
//     {53, "MY_OP", my_op},
// with its code in the schema. The values it returns are real numbers; the reader quantizes them as the output tensors
// say.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "formats/tflite/node.hpp"

namespace hone::tflite {

enum class Numbers {
  computed,  ///< results are new numbers: each is rounded to the scale of its output
  moved,     ///< results are some of the numbers read: where all scales are equal nothing is rounded
};

struct OperatorRow {
  int32_t code;
  std::string_view name;
  Values (*build)(NodeContext&);
  Numbers numbers = Numbers::computed;
};

struct CustomRow {
  std::string_view name;
  Values (*build)(NodeContext&);
};

// The families: each file `map_*.cpp` lists its own rows.
std::span<const OperatorRow> arithmetic_rows();
std::span<const OperatorRow> activation_rows();
std::span<const OperatorRow> convolution_rows();
std::span<const OperatorRow> image_rows();
std::span<const OperatorRow> shape_rows();
std::span<const OperatorRow> slicing_rows();
std::span<const OperatorRow> indexing_rows();
std::span<const OperatorRow> reduction_rows();
std::span<const OperatorRow> quantization_rows();
std::span<const OperatorRow> recurrent_rows();
std::span<const OperatorRow> control_rows();
std::span<const OperatorRow> random_rows();
std::span<const OperatorRow> spectral_rows();
std::span<const OperatorRow> detection_rows();
std::span<const OperatorRow> stablehlo_rows();
std::span<const CustomRow> convolution_customs();
std::span<const CustomRow> detection_customs();

/// The row of a builtin operator; null where there is none.
const OperatorRow* find_row(int32_t code);
const CustomRow* find_custom(std::string_view name);
/// What an operator is called in messages.
std::string operator_name(const OperatorInfo& o);
/// Known names nearest to `op` in spelling, best first.
std::vector<std::string> nearest_names(std::string_view op);

}  // namespace hone::tflite
