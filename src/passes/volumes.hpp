// Three spatial dimensions by means of two: kernels know images.
#pragma once
#include "rewrite/pass.hpp"

namespace hone {

/// Does an operator slide over three spatial dimensions? No CPU kernel does.
bool has_volumes(const Graph& g);

/// Convolution, GroupConvolution, MaxPool and AvgPool over volumes [N, C, D, H, W] of known shape become the same over
/// images: depth joins the batch, taps along the depth join the channels. Sums are added in another order.
Pass volumes_to_images_pass();

/// Elementwise operators behind images that were turned and reshaped move in front of the reshape, where the operator
/// that gives the images can take them as its last steps.
Pass functions_on_images_pass();

}  // namespace hone
