// Measuring a graph, as `benchmark` and `auto` share it.
#pragma once
#include "api/job_support.hpp"

namespace hone {

/// Dynamic dimensions become their minimum, at least 1. Loading counts compilation only. Throws `Error`.
BenchmarkResult benchmark_graph(const Graph& model, Precision precision, const BenchmarkOptions& options);

/// Measures a file in a process of its own where this program is `hone` (memory and threads of the caller then do not
/// count), else here.
BenchmarkResult benchmark_isolated(const std::string& path, const std::string& precision,
                                   const BenchmarkOptions& options);

/// Hone and its peers in turns: A/B/A/B. The figures of Hone are those of its median round. Throws `Error`: usage (no
/// such peer), and what `time_in_peer` throws.
BenchmarkResult benchmark_with_peers(const BenchmarkOptions& options);

}  // namespace hone
