// The job `quantize`: canonical graph, calibration on pictures of the training split, check on the validation split,
// file.
#include "compress/quantize.hpp"

#include <algorithm>
#include <chrono>
#include <regex>

#include "api/files.hpp"
#include "api/job_support.hpp"
#include "api/quantize_job.hpp"
#include "data/random.hpp"
#include "hone/error.hpp"
#include "passes/batch.hpp"
#include "passes/canonicalize.hpp"

namespace hone {
namespace {

std::function<bool(const std::string&)> ignored_by(const std::vector<std::string>& patterns) {
  if (patterns.empty()) return {};
  std::vector<std::regex> list;
  for (const std::string& p : patterns) {
    try {
      list.emplace_back(p);
    } catch (const std::regex_error&) {
      throw Error(ErrorCode::usage, "[quantize] --ignore is no regular expression", "'" + p + "'");
    }
  }
  return [list](const std::string& name) {
    return std::any_of(list.begin(), list.end(), [&](const std::regex& r) { return std::regex_search(name, r); });
  };
}

// Scores without names are called by their numbers.
void name_scores(ModelInfo& info, const Graph& g) {
  const Values results = g.outputs();
  const PartialShape scores = results.empty() ? PartialShape() : results[0].shape();
  if (!info.labels.empty() || !scores.rank_known() || scores.rank() != 2 || !scores[1].is_static()) return;
  if (scores[1].min() > 1 << 20) return;
  for (int64_t k = 0; k < scores[1].min(); ++k) info.labels.push_back(std::to_string(k));
}

}  // namespace

Quantized run_quantization(const Graph& model, const ModelInfo& info, const data::Dataset& data,
                           const std::vector<uint32_t>& calibration, const std::vector<uint32_t>& validation,
                           const QuantizeJob& job) {
  Graph g = model;
  run_passes(g, canonicalize_passes());
  if (g.inputs().size() != 1) throw Error(ErrorCode::unsupported, "[quantize] a model with one input is expected");
  Graph single = g;  // calibration looks at one picture at a time
  reshape_with_batch(single, {{single.inputs()[0].id, PartialShape(info.preprocessing.batch_shape(1))}});
  // Calibration pictures: a seeded choice, each prepared once.
  std::vector<uint32_t> chosen = calibration;
  data::Random random{job.seed, 0x9a11b};
  for (size_t i = chosen.size(); i > 1; --i) std::swap(chosen[i - 1], chosen[random.below(i)]);
  chosen.resize(std::min(chosen.size(), job.samples));
  const CalibrationData inputs = [&](size_t i) -> std::optional<std::vector<Datum>> {
    if (i >= chosen.size()) return std::nullopt;
    return std::vector<Datum>{info.preprocessing.apply(data.read(chosen[i], info.preprocessing.exif_orientation))};
  };
  QuantizeOptions o;
  o.samples = job.samples;
  o.preset = job.preset == "mixed" ? QuantizePreset::mixed : QuantizePreset::performance;
  o.ignored = ignored_by(job.ignore);
  if (job.progress) {
    o.progress = [&](size_t done, size_t of) {
      return job.progress({"calibrate", static_cast<double>(done), static_cast<double>(of), "pictures", "", -1});
    };
  }
  if (job.max_drop >= 0) {
    o.max_drop = job.max_drop;
    o.metric = [&](const Graph& candidate) {
      return measure(candidate, data, validation, info.preprocessing,
                     is_quantized(candidate) ? Precision::int8 : Precision::f32, job.threads)
          .accuracy();
    };
  }
  Quantized q = quantize(single, inputs, o, compiled_runner(job.threads));
  // Back to the batch that the model had.
  reshape_with_batch(q.graph, {{q.graph.inputs()[0].id, g.inputs()[0].shape()}});
  return q;
}

QuantizeResult quantize(const QuantizeJob& job) {
  const auto start = std::chrono::steady_clock::now();
  const Graph g = read_any_model(job.model);
  ModelInfo info = classifier_info(g, job.model, job.picture, job.labels, "quantize");
  name_scores(info, g);
  const auto data = data::open_dataset(job.data);
  const auto calibration = part_samples(*data, data->has_parts() || !info.split.empty() ? "train" : "all", &info);
  std::vector<uint32_t> validation;
  if (job.max_drop >= 0) {
    check_labels(*data, info);
    validation = part_samples(*data, "val", &info);
  }
  Quantized q = run_quantization(g, info, *data, calibration, validation, job);
  info.metrics.clear();
  store_info(q.graph, info);
  save_any_model(q.graph, job.out);
  QuantizeResult r;
  r.out = job.out;
  r.quantized_nodes = q.report.quantized_nodes;
  r.kept_nodes = q.report.kept_nodes;
  r.mac_share = q.report.mac_share;
  r.kept = q.report.kept;
  if (job.max_drop >= 0) r.drop = q.report.drop;
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  r.peak_rss_mb = peak_rss_mb();
  return r;
}

}  // namespace hone
