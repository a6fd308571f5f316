// The main job: data in, packaged INT8 classifier out. Every stage is one of the other verbs.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/benchmark_job.hpp"
#include "api/files.hpp"
#include "api/package_job.hpp"
#include "api/quantize_job.hpp"
#include "api/report_html.hpp"
#include "api/train_job.hpp"
#include "base/file.hpp"
#include "cpu/features.hpp"
#include "data/stats.hpp"
#include "hone/error.hpp"
#include "passes/batch.hpp"
#include "passes/canonicalize.hpp"

namespace hone {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json metric_json(const MeasuredMetric& m) {
  return {{"name", m.name}, {"value", m.value}, {"ci95", {m.low, m.high}}};
}

MeasuredMetric metric_of(const ClassificationMetrics& m) {
  const auto [low, high] = wilson_interval(m.accuracy(), m.samples());
  return {"accuracy", m.accuracy(), low, high, m.samples()};
}

struct Row {
  Precision precision;
  MeasuredMetric metric;
  std::string file;
  uint64_t size = 0;
  BenchmarkResult speed;
};

json row_json(const Row& r) {
  return {{"precision", name_of(r.precision)},
          {"metric", metric_json(r.metric)},
          {"file", r.file},
          {"size_bytes", r.size},
          {"latency_ms", r.speed.median_ms},
          {"throughput_fps", r.speed.throughput_fps},
          {"peak_rss_mb", r.speed.peak_rss_mb}};
}

// The file that a precision is deployed from, with its program for batch 1.
void save_deployed(const Graph& model, const ModelInfo& info, Precision precision, int threads,
                   const std::string& path) {
  Graph g = model;
  store_info(g, info);
  reshape_with_batch(g, {{g.inputs()[0].id, PartialShape(info.preprocessing.batch_shape(1))}});
  CompileOptions c;
  c.precision = precision;
  c.threads = threads;
  Graph stored = model;  // the graph keeps its free batch
  store_info(stored, info);
  save_compiled_model(stored, compile_model(g, c), path);
}

// How far a row is from the targets: the largest ratio of what it takes to what it may take, at most 1 where all are
// met.
double excess(const Row& r, const AutoOptions& o) {
  double worst = 0;
  if (o.target_latency_ms > 0) worst = std::max(worst, r.speed.median_ms / o.target_latency_ms);
  if (o.target_size_bytes > 0)
    worst = std::max(worst, static_cast<double>(r.size) / static_cast<double>(o.target_size_bytes));
  return worst;
}

// INT8 where it holds the accuracy, else the fastest that does. Of those that meet the targets; where only rows meet
// them that lose more than the drop, the most accurate of these; where none does, the nearest.
const Row* choose(const std::vector<Row>& rows, const AutoOptions& o) {
  const auto holds = [&](const Row& r) { return rows.front().metric.value - r.metric.value <= o.max_drop + 1e-12; };
  const Row *best = nullptr, *accurate = nullptr, *nearest = &rows.front();
  for (const Row& r : rows) {
    if (excess(r, o) < excess(*nearest, o)) nearest = &r;
    if (excess(r, o) > 1) continue;
    if (!accurate || r.metric.value > accurate->metric.value) accurate = &r;
    if (holds(r) && (!best || r.precision == Precision::int8 ||
                     (best->precision != Precision::int8 && r.speed.median_ms < best->speed.median_ms)))
      best = &r;
  }
  return best ? best : accurate ? accurate : nearest;
}

json target_json(const Row& chosen, const AutoOptions& o) {
  json t{{"met", excess(chosen, o) <= 1}};
  if (o.target_latency_ms > 0) t["latency_ms"] = o.target_latency_ms;
  if (o.target_size_bytes > 0) t["size_bytes"] = o.target_size_bytes;
  return t;
}

}  // namespace

std::string auto_build(const AutoOptions& given) {
  AutoOptions o = given;
  TrainOptions& t = o.train;
  const auto in_out = [&](const std::string& name) { return (fs::path(t.out) / name).string(); };
  if (!t.force && fs::exists(in_out("report.json")))
    throw Error(ErrorCode::failed, "[auto] the result exists already", in_out("report.json"),
                "choose another --out or add --force");
  // What the end of the job needs is looked for before its beginning.
  check_package_parts();
  check_folder(t.out);
  check_folder(in_out("package"));
  const auto data = data::open_dataset(t.data);
  const data::Duplicates duplicates = data->size() <= 200000 ? data::find_duplicates(*data) : data::Duplicates{};
  const TrainedModel trained = run_training(t, *data);
  const auto& split = trained.split;
  const bool has_test = !split.test.empty();
  const auto& judged = has_test ? split.test : split.val;
  ModelInfo info = trained.info;

  Graph deployed = trained.graph;
  run_passes(deployed, canonicalize_passes());
  QuantizeJob q;
  q.data = t.data;
  q.max_drop = split.val.empty() ? -1 : o.max_drop;
  q.threads = t.threads;
  q.seed = t.seed;
  q.progress = t.progress;
  const Quantized quantized = run_quantization(trained.graph, info, *data, split.train, split.val, q);

  // Each precision once over the test split.
  std::vector<Row> rows;
  std::map<std::string, ClassificationMetrics> metrics;
  const auto add = [&](const Graph& g, Precision p) {
    ClassificationMetrics m =
        measure(g, *data, judged, info.preprocessing, p, t.threads, std::string("test ") + name_of(p), t.progress);
    Row r;
    r.precision = p;
    r.metric = metric_of(m);
    r.file = std::string("model.") + name_of(p) + ".hone";
    info.metrics[name_of(p)] = r.metric;
    metrics.emplace(name_of(p), std::move(m));
    rows.push_back(std::move(r));
  };
  add(deployed, Precision::f32);
  const auto& f = cpu::features();
  if (f.avx512_bf16 || f.amx_bf16 || f.neon_bf16) add(deployed, Precision::bf16);
  add(quantized.graph, Precision::int8);
  const auto show_step = [&](const char* step, const char* what) {
    if (t.progress && !t.progress({step, 0, 0, "", what, -1}))
      throw Error(ErrorCode::interrupted, "[auto] stopped; the trained model is saved", t.out);
  };
  for (Row& r : rows) {
    show_step("benchmark", name_of(r.precision));
    const Graph& g = r.precision == Precision::int8 ? quantized.graph : deployed;
    save_deployed(g, info, r.precision, t.threads, in_out(r.file));
    r.size = fs::file_size(in_out(r.file));
    BenchmarkOptions b;
    b.threads = t.threads;
    b.seconds = 1;
    b.per_layer = true;
    r.speed = benchmark_isolated(in_out(r.file), name_of(r.precision), b);
  }
  const Row* chosen = choose(rows, o);
  const json target = target_json(*chosen, o);
  const HostInfo host = host_info();
  json report{{"task", info.task},
              {"data",
               {{"path", t.data},
                {"classes", data->classes().size()},
                {"labels", data->classes()},
                {"train", split.train.size()},
                {"val", split.val.size()},
                {"test", split.test.size()},
                {"judged_on", has_test ? "test" : "val"},
                {"revision", data->revision()},
                {"duplicates", duplicates.redundant},
                {"split", {{"kind", split.kind}, {"seed", split.seed}}}}},
              {"training",
               {{"seconds", trained.result.train_seconds},
                {"epochs", trained.result.epochs.size()},
                {"images_per_s", trained.result.images_per_s},
                // clang-format off
                {"metric", {{"name", "accuracy"}, {"value", trained.result.best_accuracy}, {"split", "val"}}},
                {"network", trained.recipe.network},
                {"batch", trained.recipe.batch},
                {"precision", name_of(trained.precision)},
                {"log", json::array()}}},
              // clang-format on
              {"quantization",
               {{"quantized_nodes", quantized.report.quantized_nodes},
                {"kept_nodes", quantized.report.kept_nodes},
                {"kept", quantized.report.kept},
                {"mac_share", quantized.report.mac_share},
                {"validation_drop", quantized.report.drop}}},
              {"rows", json::array()},
              {"chosen", in_out(chosen->file)},
              {"package", in_out("package")},
              {"target", target},
              {"host", {{"cpu", host.cpu}, {"cores", host.cores}, {"isa", host.isa}}}};
  for (const EpochResult& e : trained.result.epochs) {
    report["training"]["log"].push_back({{"epoch", e.epoch},
                                         {"loss", e.loss},
                                         {"train_accuracy", e.train_accuracy},
                                         {"validation_accuracy", e.validation_accuracy}});
  }
  for (const Row& r : rows) report["rows"].push_back(row_json(r));

  show_step("package", "");
  PackageOptions p;
  p.model = in_out(chosen->file);
  p.out = in_out("package");
  p.force = true;
  p.verify = true;
  package_model(p, name_of(chosen->precision), report.dump(), data.get(), &judged);

  show_step("report", "");
  const ClassificationMetrics& shown = metrics.at(name_of(chosen->precision));
  ReportPage page;
  page.report = report.dump();
  page.test = test_result(shown, *data, info.labels);
  for (const auto& s : shown.worst(24)) page.worst.push_back(s);
  page.layers = chosen->speed.layers;
  page.data = data.get();
  write_file(in_out("report.html"), report_html(page));
  write_file(in_out("report.json"), report.dump(1) + "\n");
  return report.dump();
}

}  // namespace hone
