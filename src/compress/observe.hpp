// Statistics of activations in one stream: the graph gets reductions as further results, runs on each sample, and only
// the running figures are kept. Memory does not grow with the number of samples.
#pragma once
#include <functional>
#include <vector>

#include "compress/runner.hpp"

namespace hone {

struct RangeStatistics {
  double mean_min = 0, mean_max = 0;  ///< means over samples of each sample's smallest and largest element
  double min = 0, max = 0;            ///< over everything
  size_t samples = 0;
};

/// Called after each sample with the number done; returning false stops (the statistics so far count).
using Progress = std::function<bool(size_t done, size_t of)>;

/// Ranges of `values` over up to `samples` samples. Axis 0 counts as the batch: each of its entries is a sample of its
/// own.
std::vector<RangeStatistics> observe_ranges(const Graph& g, const std::vector<ValueId>& values,
                                            const CalibrationData& data, size_t samples, const MakeRunner& make_runner,
                                            const Progress& progress = {});

/// Adds to the graph the mean of each value over all axes but 1, as further results; for bias correction. Returns how
/// many were there before.
size_t add_channel_means(Graph& g, const std::vector<ValueId>& values);

}  // namespace hone
