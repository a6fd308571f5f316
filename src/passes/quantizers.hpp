// Quantizers of a graph read as scales and zero points.
#pragma once
#include <functional>
#include <optional>

#include "graph/graph.hpp"
#include "rewrite/pass.hpp"

namespace hone {

/// What a quantizer makes of a tensor: integers of `type` in [low, high] that stand for (i - zero point) * scale.
struct IntegerForm {
  ElementType type = ElementType::u8;
  QuantizationPtr quantization;
  int64_t low = 0, high = 255;
};

/// The form of an activation quantizer with one constant range, as u8; nullopt where the range does not contain zero,
/// the levels do not fit, or input and output ranges differ.
std::optional<IntegerForm> activation_form(Node fake_quantize);

/// Integer weights: i8 with a scale per output channel and no zero points.
struct IntegerWeights {
  Tensor value;
  QuantizationPtr quantization;
};
/// The weights of a dense operator behind FakeQuantize, Quantize-Dequantize or Dequantize; nullopt where they are
/// float, asymmetric, or quantized along another axis than output channels.
std::optional<IntegerWeights> integer_weights(Node dense, Evaluator& evaluator);

/// Dequantize of Quantize with the same constants, one scale for the tensor: the FakeQuantize that it is, where its
/// result is `wanted`. Others stay: their arithmetic is exact, that of FakeQuantize rounds. Returns how many were
/// found.
size_t join_quantize_dequantize(Graph& g, const std::function<bool(ValueId)>& wanted);
/// All of them, before what stands between quantizers is recognized.
Pass join_quantizers_pass();

}  // namespace hone
