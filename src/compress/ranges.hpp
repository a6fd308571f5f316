// From observed values to quantizer parameters. The formulas are those of NNCF's fake_quantize.py, so that files
// quantized here and there agree.
#pragma once
#include <vector>

#include "hone/tensor.hpp"

namespace hone {

/// Input range of a FakeQuantize; one entry per channel or one.
struct QuantizerRange {
  std::vector<float> low, high;
  int levels = 256;
};

/// Symmetric weights, narrow range [-127, 127], 255 levels. Ranges below 1 % of the largest are widened to it, so that
/// dead channels keep a usable scale.
QuantizerRange symmetric_weights(const std::vector<float>& abs_max);

/// Symmetric activations, 256 levels: [0, high] where nothing was negative, else [-high * 128 / 127, high].
QuantizerRange symmetric_activations(float low, float high);

/// Asymmetric activations: the range holds zero, and zero is exactly a level.
QuantizerRange asymmetric_activations(float low, float high);

/// Largest magnitude per index of `axis`; of the whole tensor where axis is -1.
std::vector<float> abs_max_per_channel(const Tensor& t, int64_t axis);

}  // namespace hone
