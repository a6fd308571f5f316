// Empirical bias correction: quantization shifts the mean of each channel; the bias takes the shift back, layer after
// layer, so that later layers see corrected inputs.
#pragma once
#include <vector>

#include "compress/runner.hpp"

namespace hone {

/// `quantized` is `model` with FakeQuantize nodes: the same node ids for `layers` (convolutions and matrix products).
/// Layers without a constant bias get one.
void correct_biases(Graph& quantized, const Graph& model, const std::vector<NodeId>& layers,
                    const CalibrationData& data, size_t samples, const MakeRunner& make_runner);

}  // namespace hone
