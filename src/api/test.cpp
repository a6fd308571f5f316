#include <algorithm>

#include "api/cached_model.hpp"
#include "api/files.hpp"
#include "api/job_support.hpp"
#include "train/evaluate_classifier.hpp"

namespace hone {

TestResult test(const TestOptions& o) {
  const Graph g = read_any_model(o.model, o.network);
  ModelInfo info = classifier_info(g, o.model, o.picture, o.labels, "test");
  const Precision precision = choose_precision(o.precision, g, o.model);
  const auto data = data::open_dataset(o.data);
  if (info.labels.empty()) info.labels = data->classes();  // measuring refuses another number of scores
  check_labels(*data, info);
  const auto samples = part_samples(*data, o.split, &info);
  ModelJob job;
  job.path = o.model;
  job.network = o.network;
  job.precision = o.precision;
  const auto batch = static_cast<int64_t>(std::min<size_t>(score_batch, samples.size()));
  job.question = "score " + std::to_string(batch) + "\n";
  job.choose = [&](const Graph&) { return precision; };
  job.prepare = [&](Graph& model) { set_scoring_shape(model, info.preprocessing, batch); };
  job.options.threads = o.threads;
  job.cache_folder = cache_folder(o.cache);
  LoadedModel model = load_model(job);
  ClassificationMetrics m =
      measure(model.compiled, model.last_operator == "Softmax", *data, samples, info.preprocessing, "test", o.progress);
  return test_result(m, *data, info.labels);
}

}  // namespace hone
