// Writes ONNX with a choice of operator set (13 to 23): checker-clean, tensor names kept, QuantizeLinear and
// DequantizeLinear for INT8.
#pragma once
#include <string>

#include "formats/formats.hpp"

namespace hone {

/// Throws `Error`: usage (operator set), unsupported (an operator that ONNX lacks and that has no expansion, by name),
/// no_space.
void write_onnx(const Graph& g, const std::string& path, const WriteOptions& options = {});
/// The serialised ModelProto.
std::string to_onnx(const Graph& g, const WriteOptions& options = {});

}  // namespace hone
