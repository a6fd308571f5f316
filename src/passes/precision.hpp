// Precision: where values are computed and stored in bf16 or in 8-bit integers.
#pragma once
#include "rewrite/pass.hpp"

namespace hone {

struct PrecisionOptions {
  /// Asked with the new types in place: does a kernel run the node? The compiler answers from its kernel rows; null:
  /// the operators that such regions are made of.
  std::function<bool(const Graph&, NodeId)> accepts;
};

/// FakeQuantize and Quantize-Dequantize pairs become quantized types. An activation whose quantizer leads to an
/// operator with an integer form becomes u8 with one scale; weights of that operator become i8 constants with a scale
/// per output channel; pooling, Concat of equal scales and movement pass integers through; sums and averages read
/// integers and give real numbers to the next quantizer, which fuse_epilogues then makes the last step of their
/// producer. Where no integer form exists a Dequantize stands before the operator. The numbers are those of the graph
/// with FakeQuantize, but for ties and the order of sums. Returns the number of operators that compute on integers.
size_t quantize_types(Graph& g, Evaluator& evaluator, const PrecisionOptions& options = {});
Pass int8_pass(PrecisionOptions options = {});

/// Per-channel quantizers in front of depthwise convolutions, all channels with one zero point, become per-tensor ones:
/// the channels' scales move into the weights before and behind. Before `int8`. Returns the number of quantizers moved.
size_t move_channel_scales(Graph& g);
Pass channel_quantizers_pass();

/// FakeQuantize that stayed real (its value is read by what has no integer form) becomes Multiply, Round, Clamp, so
/// that it fuses like any elementwise operator. Equal but for ties.
Pass expand_quantizers_pass();

/// Dense operators, norms and the elementwise regions between them in bf16, with sums in f32. Softmax, losses,
/// optimizer steps, weights under training and per-channel operands stay f32; a weight is converted once. Runs after
/// fuse_epilogues. Returns the number of values in bf16.
size_t assign_bf16(Graph& g, const PrecisionOptions& options = {});
Pass bf16_pass(PrecisionOptions options = {});

/// f16 arithmetic becomes f32: for CPUs that only store half floats. Inputs, outputs, state and the inputs of control
/// flow keep their type. Returns the number of values widened.
size_t widen_half(Graph& g);
Pass widen_half_pass();

}  // namespace hone
