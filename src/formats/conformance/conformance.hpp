// Runs recorded cases: folders with `io.json`, folders of the ONNX backend suites (`model.onnx` with
// `test_data_set_*`), pairs `light_*.onnx` with `*_output_0.pb`, layers `X.tflite` with `X_input0_int16.csv` and
// `X_golden_int16.csv`, and `.tar.gz` archives of such folders. Each case runs in a child process, so one that crashes
// or hangs is a row of the report, not the end of it.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "formats/conformance/compare.hpp"
#include "graph/graph.hpp"

namespace hone {

enum class CaseStatus { pass, fail, refused, crash };
const char* name_of(CaseStatus s);

struct CaseResult {
  std::string name;
  CaseStatus status = CaseStatus::fail;
  std::string reason;  ///< empty where the case passed
  double max_abs = 0;  ///< largest absolute difference of any output
  double seconds = 0;
};

struct ConformanceReport {
  size_t pass = 0, fail = 0, refused = 0, crash = 0;
  std::vector<CaseResult> cases;  ///< in order of their names
};

/// Runs one model: takes values for its parameters, gives its results. State carries on from call to call.
using Run = std::function<std::vector<Datum>(const std::vector<Datum>&)>;
/// Makes a Run from a graph: the reference interpreter by default, a compiler's session where it is injected.
using Prepare = std::function<Run(Graph)>;
Prepare reference_executor();

struct ConformanceOptions {
  Prepare prepare = reference_executor();
  std::function<Graph(const std::string& path)> read;  ///< empty: the readers
  std::string filter;                                  ///< only cases whose name contains it
  unsigned jobs = 2;                                   ///< children at a time
  double timeout_s = 120;                              ///< a case that takes longer fails
  bool isolate = true;                                 ///< false: in this process (for debugging)
  std::function<void(const CaseResult&)> on_case;
};

/// Throws `Error` (unreadable) where `path` does not exist or holds no cases.
ConformanceReport run_conformance(const std::string& path, const ConformanceOptions& options = {});

/// Unpacks a .tar.gz into `folder`. Names that leave the folder, links and devices are refused. Throws `Error`.
void unpack_tar_gz(const std::string& archive, const std::string& folder);

}  // namespace hone
