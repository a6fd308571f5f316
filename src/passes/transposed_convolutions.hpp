// Transposed convolutions by means of convolutions.
#pragma once
#include "rewrite/pass.hpp"

namespace hone {

/// A transposed convolution with strides gives blocks of stride_h x stride_w results, and each block sees the same
/// ceil(kernel / stride) pixels: it is a convolution with as many times the channels, whose blocks are then laid side
/// by side and cropped. ConvolutionBackpropData and GroupConvolutionBackpropData of known shape with constant weights
/// become that; activations, per-channel operands and per-tensor quantizers behind them move in front of the
/// rearrangement. Images whose windows lie side by side (kernel = stride, no pads) have kernels of their own and stay.
/// Returns the number of operators changed.
size_t convolve_blocks(Graph& g);
Pass transposed_convolutions_pass();

}  // namespace hone
