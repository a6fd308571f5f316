#include <algorithm>
#include <chrono>
#include <fstream>

#include "api/benchmark_job.hpp"
#include "api/cached_model.hpp"
#include "api/files.hpp"
#include "api/job_support.hpp"
#include "api/layer_profile.hpp"
#include "api/model_run.hpp"
#include "api/ports.hpp"
#include "base/file.hpp"
#include "base/thread_pool.hpp"
#include "cpu/features.hpp"
#include "hone/error.hpp"
#include "hone/tools.hpp"

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point t) {
  return std::chrono::duration<double, std::milli>(Clock::now() - t).count();
}

double percentile(const std::vector<double>& sorted, double p) {
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(p * static_cast<double>(sorted.size())))];
}

// Runs requests on all streams for some seconds; requests a second.
double throughput(Session& session, const std::vector<Tensor>& inputs, double seconds) {
  std::vector<std::unique_ptr<Request>> requests;
  // Twice as many as run at a time: a stream that is done finds the next one waiting.
  for (int s = 0; s < 2 * session.streams(); ++s) {
    requests.push_back(session.request());
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (const Status st = requests.back()->set_input(i, inputs[i]); !st) throw Error(ErrorCode::failed, st.message);
    }
  }
  const auto wait = [](Request& r) {
    if (const Status st = r.wait(); !st) throw Error(ErrorCode::failed, st.message);
  };
  for (auto& r : requests) (void)r->start();
  for (auto& r : requests) wait(*r);
  size_t done = 0;
  const auto start = Clock::now();
  for (auto& r : requests) (void)r->start();
  for (size_t k = 0; ms_since(start) < seconds * 1e3; k = (k + 1) % requests.size()) {
    wait(*requests[k]);
    ++done;
    (void)requests[k]->start();
  }
  for (auto& r : requests) {
    wait(*r);
    ++done;
  }
  return static_cast<double>(done) / (ms_since(start) / 1e3);
}

}  // namespace

HostInfo host_info() {
  HostInfo h;
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(':');
    if ((line.starts_with("model name") || line.starts_with("Model")) && colon != std::string::npos) {
      h.cpu = line.substr(line.find_first_not_of(' ', colon + 1));
      break;
    }
  }
  if (h.cpu.empty()) h.cpu = "unknown CPU";
  h.cores = available_cores();
  h.isa = cpu::to_string(cpu::features());
  return h;
}

namespace {

ModelJob job_of(const BenchmarkOptions& o) {
  ModelJob job;
  job.precision = o.precision;
  job.question = to_text(o.shapes);
  job.prepare = [shapes = o.shapes](Graph& g) { settle_shapes(g, shapes, "benchmark"); };
  job.accepts = [shapes = o.shapes](const Program& p, const auto&) {
    for (const auto& [name, shape] : shapes) {
      const bool same =
          std::any_of(p.inputs.begin(), p.inputs.end(), [&, n = &name, s = &shape](const ProgramPort& port) {
            const bool named = port.name == *n ||
                               std::find(port.names.begin(), port.names.end(), *n) != port.names.end() ||
                               p.inputs.size() == 1;
            return named && PartialShape(p[port.tensor].shape) == *s;
          });
      if (!same) return false;
    }
    return true;
  };
  job.options.threads = o.threads;
  job.options.profile = job.options.explain = o.per_layer;
  if (!o.records.empty())
    job.options.records =
        std::make_shared<const TuningRecords>(tuning_records_from(read_text_file(o.records), o.records));
  job.options.tune_seconds = o.tune_seconds;
  if (o.hint == "throughput")
    job.options.streams = o.streams > 0 ? o.streams : o.threads > 0 ? o.threads : available_cores();
  return job;
}

BenchmarkResult benchmark_job(const ModelJob& job, const BenchmarkOptions& o) {
  BenchmarkResult r;
  const auto load_start = Clock::now();
  LoadedModel model = load_model(job);
  CompiledGraph& compiled = model.compiled;
  const bool streams = o.hint == "throughput";
  r.load_ms = ms_since(load_start);
  std::vector<Datum> inputs;
  std::vector<Tensor> tensors;
  for (const Port& p : model.inputs) {
    tensors.push_back(random_input(p, 0));
    inputs.emplace_back(tensors.back());
  }
  Request* request = compiled.request();
  if (request) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (const Status s = request->set_input(i, tensors[i]); !s) throw Error(ErrorCode::failed, s.message);
    }
  }
  const auto once = [&] {
    if (!request) {
      compiled.infer(inputs);
    } else if (const Status s = request->run(); !s) {
      throw Error(ErrorCode::failed, s.message);
    }
  };
  const auto first = Clock::now();
  with_advice(advice_on_shapes(model.inputs, {}, {}), once);
  r.first_inference_ms = ms_since(first);
  for (int i = 0; i < 3; ++i) once();
  std::vector<double> times;
  const auto start = Clock::now();
  while (ms_since(start) < o.seconds * 1e3 || times.size() < 5) {
    const auto t = Clock::now();
    once();
    times.push_back(ms_since(t));
  }
  std::sort(times.begin(), times.end());
  r.median_ms = times[times.size() / 2];
  r.min_ms = times.front();
  r.p90_ms = percentile(times, 0.9);
  r.p99_ms = percentile(times, 0.99);
  int64_t batch = 1;
  if (!tensors.empty() && tensors[0].rank() > 0) batch = std::max<int64_t>(1, tensors[0].shape()[0]);
  r.throughput_fps = static_cast<double>(batch) * 1e3 / r.median_ms;
  if (streams && compiled.session())
    r.throughput_fps = static_cast<double>(batch) * throughput(*compiled.session(), tensors, o.seconds);
  r.peak_rss_mb = peak_rss_mb();
  r.precision = name_of(model.precision);
  r.taken = name_of(model.taken);
  r.from_cache = model.from_cache;
  r.threads = o.threads > 0 ? o.threads : available_cores();
  if (o.per_layer) {
    r.layers = layer_times(compiled.program().get(), compiled.profile(), model.explanation);
  }
  return r;
}

}  // namespace

BenchmarkResult benchmark_graph(const Graph& model, Precision precision, const BenchmarkOptions& o) {
  ModelJob job = job_of(o);
  job.graph = std::make_shared<const Graph>(model);
  job.precision = name_of(precision);
  job.choose = [precision](const Graph&) { return precision; };
  return benchmark_job(job, o);
}

BenchmarkResult benchmark(const BenchmarkOptions& o) {
  if (!o.peers.empty()) return benchmark_with_peers(o);
  ModelJob job = job_of(o);
  job.path = o.model;
  job.choose = [&](const Graph& g) { return choose_precision(o.precision, g, o.model); };
  job.cache_folder = cache_folder(o.cache);
  return benchmark_job(job, o);
}

}  // namespace hone
