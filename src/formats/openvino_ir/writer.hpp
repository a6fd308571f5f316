// Writes OpenVINO IR version 11: an .xml and a .bin, both or neither.
//
// Operators of OpenVINO's sets are written through their fields; Hone's own are expanded first; Quantize and Dequantize
// become the FakeQuantize and Convert-Subtract-Multiply forms that OpenVINO computes in INT8.
#pragma once
#include <string>

#include "formats/formats.hpp"

namespace hone {

/// Throws `Error`: unsupported (an operator that OpenVINO lacks and that has no expansion, by name), no_space.
void write_openvino_ir(const Graph& g, const std::string& xml_path, const WriteOptions& options = {});
/// The same into memory.
std::pair<std::string, std::vector<uint8_t>> to_openvino_ir(const Graph& g, const WriteOptions& options = {});

namespace ir {
/// The graph in operators that the IR has. Throws `Error`.
Graph prepared_for_ir(const Graph& g);
/// First operator set with the operator as Hone means it; 0 where OpenVINO lacks it.
int opset_of(std::string_view hone_op);
}  // namespace ir

}  // namespace hone
