#include "api/files.hpp"
#include "api/job_support.hpp"

namespace hone {

TestResult test(const TestOptions& o) {
  const Graph g = read_any_model(o.model, o.network);
  const ModelInfo info = require_info(g, o.model);
  const Precision precision = choose_precision(o.precision, g, o.model);
  const auto data = data::open_dataset(o.data);
  check_labels(*data, info);
  const auto samples = part_samples(*data, o.split, &info);
  return test_result(measure(g, *data, samples, info.preprocessing, precision, o.threads, "test", o.progress), *data, info.labels);
}

}  // namespace hone
