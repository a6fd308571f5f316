// Post-training INT8 quantization: a graph in, the same graph with FakeQuantize out. Scales move into the types, and
// integers into the kernels, when it is compiled.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "compress/observe.hpp"
#include "compress/placement.hpp"
#include "compress/runner.hpp"

namespace hone {

enum class QuantizePreset {
  performance,  ///< symmetric activations
  mixed,        ///< asymmetric activations: for networks with SiLU, HardSwish, GELU
};

struct QuantizeOptions {
  size_t samples = 300;
  size_t bias_correction_samples = 64;  ///< 0: no bias correction
  QuantizePreset preset = QuantizePreset::performance;
  std::function<bool(const std::string& node)> ignored;
  /// Largest loss of the metric that is accepted; negative: do not measure. Needs `metric`.
  double max_drop = -1;
  /// Metric of a candidate (higher is better), on the validation split.
  std::function<double(const Graph&)> metric;
  Progress progress;
};

struct QuantizeReport {
  size_t quantized_nodes = 0;                            ///< convolutions and matrix products in int8
  size_t kept_nodes = 0;                                 ///< those left in higher precision
  double mac_share = 0;                                  ///< multiply-accumulates in int8 / all of the graph's
  std::vector<std::string> kept;                         ///< names, and why
  double metric_before = 0, metric_after = 0, drop = 0;  ///< where `metric` was given
};

struct Quantized {
  Graph graph;
  QuantizeReport report;
};

/// `model`: inference form with BatchNorm folded and without epilogues. Throws `Error` where nothing can be quantized,
/// where there is no sample, and where the model is quantized already.
Quantized quantize(const Graph& model, const CalibrationData& data, const QuantizeOptions& options,
                   const MakeRunner& make_runner);

}  // namespace hone
