// One mechanism for all linear operators with weights: scale their output or input channels by changing the weights.
#pragma once
#include "graph/builder.hpp"

namespace hone {

/// Where the channels of a linear operator lie.
struct ChannelTraits {
  size_t weights_input = 1;
  size_t output_axis = 1;  ///< channel axis of the result
  size_t input_axis = 1;   ///< channel axis of input 0
  /// Shapes in which one number an output (input) channel multiplies the weights.
  Shape output_scale_shape, input_scale_shape;
  bool pads_with_zero = false;  ///< does the operator see zeros around its input?
  bool scales_input = true;     ///< false where input channels cannot be told from the weights' shape
};

/// Convolution, GroupConvolution, ConvolutionBackpropData, GroupConvolutionBackpropData, MatMul with weights at input
/// 1; nullopt for others and where shapes are not known.
std::optional<ChannelTraits> channel_traits(Node n);

/// Weights times `scale` (one element, or one a channel of `axis_shape`). Looks through FakeQuantize, Dequantize and
/// the scale of compressed weights, so that these stay in front of the operator.
Value scaled_weights(Builder& b, Value weights, Value scale, const Shape& axis_shape);

/// The operator with its output channels multiplied by `scale`, as arithmetic on its weights.
Value scale_output_channels(Builder& b, Node n, const ChannelTraits& traits, Value scale);
/// The operator on `x` instead of its input 0, its input channels multiplied by `scale`.
Value scale_input_channels(Builder& b, Node n, const ChannelTraits& traits, Value x, Value scale);

}  // namespace hone
