// Canonical forms: what does nothing goes, what has several spellings gets one.
#pragma once
#include "rewrite/pass.hpp"

namespace hone {

/// Operators that change nothing: Convert to the same type, Add of 0, Pad by 0, Dropout in inference...
Pass remove_nops_pass();
/// One spelling for arithmetic with constants, chains of reshapes and transposes, minima and maxima.
Pass normal_forms_pass();
/// Activations as exporters spell them out: Gelu, HSwish, HSigmoid, Swish, SoftPlus, Mish.
Pass recognize_activations_pass();
/// LayerNorm, RMSNorm and Softmax as exporters spell them out.
Pass recognize_norms_pass();
/// GroupNormalization as MVN over rows, scale and shift. Not part of `canonicalize_passes`: for devices without the
/// operator.
Pass group_norms_to_rows_pass();
/// Scaled dot product attention spelled out in products and Softmax. Not part of `canonicalize_passes`: for devices
/// that have the operator.
Pass recognize_attention_pass();
/// Split, one convolution a part, Concat: one grouped convolution.
Pass recognize_group_convolution_pass();
/// Depthwise convolutions that give several results a channel: one convolution for each, shuffled. Not part of
/// `canonicalize_passes`: for devices with a depthwise kernel.
Pass split_channel_multipliers_pass();
/// BatchNormInference becomes Multiply and Add; per-channel Multiply moves into the weights of the operator before or
/// behind it.
Pass fold_batch_norm_pass();
/// Products of integers whose ranges are found while the model runs: a fixed quantization, which integer kernels take.
Pass integer_products_pass();
/// Convolutions of one input whose results are added: one convolution with the sum of the weights, which are constants.
Pass merge_branches_pass();
/// Transposes sink towards the results, meet and cancel.
Pass sink_transposes_pass();

/// All of the above with folding, common subexpressions and dead code between them, in an order that settles.
std::vector<Pass> canonicalize_passes();

}  // namespace hone
