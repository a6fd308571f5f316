// Where the time of a model goes: what the machine can do, what each layer does, which kernels were measured to be the
// fastest.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "hone/tasks.hpp"

namespace hone {

/// What this machine can do, measured; zero where it has no such instruction.
struct HostSpeed {
  int threads = 0;             ///< that all but the latency were measured with
  double f32_gflops = 0;       ///< multiply-adds of all threads, counted twice
  double bf16_gflops = 0;      ///< by vdpbf16ps (AMX tiles are not measured: their layers may show more than 100 %)
  double int8_gops = 0;        ///< by vpdpbusd (the same holds)
  double read_gbs = 0;         ///< memory read by all threads, GB/s
  double core_to_core_ns = 0;  ///< one way, between the first two cores that this process may use; 0 with one core
};
/// Takes about 150 ms and 128 MB. `threads` 0: all cores.
HONE_API HostSpeed measure_host(int threads = 0);

/// Billions of operations a second of a layer; 0 where operations are no measure of its work.
HONE_API double gflops(const LayerTime& layer);
/// What of the measured peak of its arithmetic a layer reaches, 1 for all; 0 where that is not known.
HONE_API double share_of_peak(const LayerTime& layer, const HostSpeed& speed);
/// One page from a benchmark with `per_layer`: header, timeline, roofline, table, reasons. Nothing is loaded from
/// elsewhere.
HONE_API std::string profile_html(const std::string& model, const BenchmarkResult& result, const HostInfo& host,
                                  const HostSpeed& speed);

/// What `tune` is told.
struct TuneOptions {
  std::string model;                           ///< file
  std::string precision = "auto";              ///< f32 | bf16 | int8 | auto
  int threads = 0;                             ///< 0: all cores; records serve this number of threads
  double time_budget = 60;                     ///< seconds
  std::map<std::string, PartialShape> shapes;  ///< by input name
  std::string out;            ///< `.hone`: the model with its records, else a file of records; empty: none
  ProgressCallback progress;  ///< answers false to stop
};
/// A node whose kernel changed.
struct TunedNode {
  std::string layer;     ///< its name
  std::string kernel;    ///< now
  std::string before;    ///< by cost
  double ms = 0;         ///< of `kernel`
  double before_ms = 0;  ///< of `before`
};
/// What `tune` found.
struct TuneResult {
  int64_t tuned_nodes = 0;         ///< nodes with more than one kernel that were measured
  std::vector<TunedNode> changed;  ///< of these, where another kernel was at least 3 % faster
  double seconds = 0;              ///< that it took
  double speedup = 1;              ///< of the whole model, measured in turns
  std::string records;             ///< JSON: by question to a kernel, so they serve every model with such layers
};
/// Measures the kernels of each node in its place in the model. Throws `Error`: unsupported where the model has no
/// program of its own.
HONE_API TuneResult tune(const TuneOptions& options);

}  // namespace hone
