// Quantization as `quantize` and `auto` share it.
#pragma once
#include "api/job_support.hpp"
#include "compress/quantize.hpp"

namespace hone {

/// `calibration` and `validation` are indices into `data`; validation is used where `job.max_drop` >= 0. Throws
/// `Error`.
Quantized run_quantization(const Graph& model, const ModelInfo& info, const data::Dataset& data,
                           const std::vector<uint32_t>& calibration, const std::vector<uint32_t>& validation,
                           const QuantizeJob& job);

}  // namespace hone
