// The mapping table: one row an operator, all its overloads.
//
// To add an operator: write `Values my_op(NodeContext& n)` in the file of its family and give it a row there:
//     {"my_op", my_op},            // torch.ops.aten.my_op.*
//     {"library.my_op", my_op},    // torch.ops.library.my_op.*
// Arguments are those of the operator's schema, by name. `my_op_`, which changes its first argument, needs no row of
// its own.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "formats/pytorch/node.hpp"

namespace hone::pytorch {

struct OperatorRow {
  std::string_view name;
  Values (*build)(NodeContext&);
};

// The families: each file `map_*.cpp` lists its own rows.
std::span<const OperatorRow> elementwise_rows();
std::span<const OperatorRow> activation_rows();
std::span<const OperatorRow> reduction_rows();
std::span<const OperatorRow> order_rows();
std::span<const OperatorRow> shape_rows();
std::span<const OperatorRow> joining_rows();
std::span<const OperatorRow> indexing_rows();
std::span<const OperatorRow> creation_rows();
std::span<const OperatorRow> network_rows();
std::span<const OperatorRow> pooling_rows();
std::span<const OperatorRow> normalization_rows();
std::span<const OperatorRow> attention_rows();
std::span<const OperatorRow> recurrent_rows();
std::span<const OperatorRow> symbolic_rows();
std::span<const OperatorRow> control_rows();
std::span<const OperatorRow> vision_rows();
std::span<const OperatorRow> loss_rows();
std::span<const OperatorRow> matrix_rows();
std::span<const OperatorRow> special_rows();
std::span<const OperatorRow> cumulative_rows();
std::span<const OperatorRow> spectral_rows();

/// Norms of matrices, for the operators whose arguments say which kind is meant.
Values matrix_norm(NodeContext& n);

/// `torch.ops.aten.add_.Tensor` -> `add_`; `torch.ops.torchvision.nms.default` -> `torchvision.nms`; `_operator.mul`
/// stays.
std::string operator_name(std::string_view target);
/// The row of an operator; the in-place form has the row of the plain one. Null where there is none.
const OperatorRow* find_row(std::string_view op);
/// Does the operator change its first argument?
bool is_in_place(std::string_view op);
/// Number of operators in the table.
size_t operator_count();
/// Known names nearest to `op` in spelling, best first.
std::vector<std::string> nearest_names(std::string_view op);

}  // namespace hone::pytorch
