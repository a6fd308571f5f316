// Products of integers, for the mappings that have them under several names.
#pragma once
#include "formats/onnx/node.hpp"

namespace hone::onnx {

/// The i32 product of the matrices `a` and `b` less their zero points (none: 0; one number, or a vector along the rows
/// of `a` and the columns of `b`).
Value integer_matmul(NodeContext& n, Value a, Value a_zero, Value b, Value b_zero);

}  // namespace hone::onnx
