// Measuring a graph, as `benchmark` and `auto` share it.
#pragma once
#include "api/job_support.hpp"

namespace hone {

/// Dynamic dimensions become their minimum, at least 1. Loading counts compilation only. Throws `Error`.
BenchmarkResult benchmark_graph(const Graph& model, Precision precision, const BenchmarkOptions& options);

}  // namespace hone
