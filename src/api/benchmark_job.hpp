// Measuring a graph, as `benchmark` and `auto` share it.
#pragma once
#include "api/job_support.hpp"

namespace hone {

/// Dynamic dimensions become their minimum, at least 1. Loading counts compilation only. Throws `Error`.
BenchmarkResult benchmark_graph(const Graph& model, Precision precision, const BenchmarkOptions& options);

/// Measures a file in a process of its own where this program is `hone` (memory and threads of the caller then do not count), else here.
BenchmarkResult benchmark_isolated(const std::string& path, const std::string& precision, const BenchmarkOptions& options);

}  // namespace hone
