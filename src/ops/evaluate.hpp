// The reference interpreter: runs a graph node by node with each operator's `eval`. Slow, exact, total.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "graph/graph.hpp"
#include "ops/eval.hpp"

namespace hone {

/// Evaluates one operator. `types`, where given, are the wanted types of the outputs (element type and quantization).
std::vector<Datum> evaluate_op(const OpDef& op, const void* attributes, std::vector<Datum> inputs,
                               const std::vector<Region>& regions, size_t num_outputs, const Types* types = nullptr);
/// One node of a graph with its epilogue; `inputs` are those of the node. Quantized inputs and outputs hold integers.
std::vector<Datum> evaluate_node(const Graph& g, NodeId node, std::vector<Datum> inputs);

/// Contents of Variables by `variable_id`; carried from run to run.
using VariableStore = std::map<std::string, Datum>;

struct EvaluateOptions {
  VariableStore* variables = nullptr;  ///< read and updated; null: initial values, assignments are lost
  /// Called with every value as it is computed.
  std::function<void(const Graph&, ValueId, const Datum&)> on_value;
};

/// Runs the graph on values for its parameters, in order. Throws `Error` naming the node.
std::vector<Datum> evaluate(const Graph& g, const std::vector<Datum>& inputs, const EvaluateOptions& options = {});

/// real = (integer - zero point) * scale, and back with rounding half to even and saturation.
Tensor dequantize(const Tensor& t, const Quantization& q);
Tensor quantize(const Tensor& t, const Quantization& q, ElementType type);

}  // namespace hone
