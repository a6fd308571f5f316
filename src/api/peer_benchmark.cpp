// Hone and other runtimes on the same model in one run, in turns.
#include <algorithm>

#include "api/benchmark_job.hpp"
#include "api/files.hpp"
#include "api/peer.hpp"
#include "api/ports.hpp"
#include "base/thread_pool.hpp"
#include "hone/tools.hpp"

namespace hone {
namespace {

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v.size() % 2 ? v[v.size() / 2] : (v[v.size() / 2 - 1] + v[v.size() / 2]) / 2;
}

// The inputs that Hone's own measurement takes: given shapes, dynamic dimensions at their minimum.
std::vector<PeerTensor> inputs_of(const Graph& g, const std::map<std::string, PartialShape>& shapes) {
  std::map<ValueId, PartialShape> given;
  for (const auto& [name, shape] : shapes) given[find_input(g, name).id] = shape;
  std::vector<PeerTensor> out;
  for (const Value& v : g.inputs()) {
    Port p = port_of(v, v.node().name());
    if (const auto it = given.find(v.id); it != given.end()) p.partial_shape = it->second;
    out.push_back({p.names.empty() ? std::vector<std::string>{p.name} : p.names, Datum(random_input(p, 0))});
  }
  return out;
}

// The round whose median latency is the median of all.
template <class T>
const T& middle(std::vector<T>& rounds) {
  std::sort(rounds.begin(), rounds.end(), [](const T& a, const T& b) { return a.median_ms < b.median_ms; });
  return rounds[rounds.size() / 2];
}

}  // namespace

BenchmarkResult benchmark_with_peers(const BenchmarkOptions& o) {
  for (const std::string& p : o.peers) check_peer(p, "benchmark");
  const Graph g = read_any_model(o.model);
  const std::string precision = name_of(choose_precision(o.precision, g, o.model));
  const TemporaryFolder folder;
  PeerJob job;
  job.inputs = inputs_of(g, o.shapes);
  job.outputs = g.results().size();
  job.precision = o.precision != "auto" ? precision : is_quantized(g) ? "int8" : "auto";
  job.hint = o.hint;
  job.threads = o.threads > 0 ? o.threads : available_cores();
  job.streams = o.streams > 0 ? o.streams : job.threads;
  job.fixed = true;
  double batch = 1;
  if (!job.inputs.empty() && job.inputs[0].value.tensor().rank() > 0)
    batch = std::max(1.0, static_cast<double>(job.inputs[0].value.tensor().shape()[0]));

  std::vector<std::string> files, notes(o.peers.size());
  for (size_t i = 0; i < o.peers.size(); ++i) files.push_back(file_for_peer(o.peers[i], o.model, g, folder, &notes[i]));

  BenchmarkOptions own = o;
  own.peers.clear();
  own.seconds = o.seconds / std::max(1, o.rounds);
  std::vector<BenchmarkResult> rounds;
  std::vector<std::vector<PeerTimes>> times(o.peers.size());
  std::vector<std::vector<double>> ratios(o.peers.size());
  for (int round = 0; round < std::max(1, o.rounds); ++round) {
    rounds.push_back(benchmark_isolated(o.model, o.precision, own));
    for (size_t i = 0; i < o.peers.size(); ++i) {
      job.peer = o.peers[i];
      job.model = files[i];
      const PeerTimes t = time_in_peer(job, own.seconds);
      times[i].push_back(t);
      ratios[i].push_back(o.hint == "throughput" ? rounds.back().throughput_fps / (t.runs_per_s * batch)
                                                 : t.median_ms / rounds.back().median_ms);
    }
  }
  std::vector<PeerBenchmark> peers;
  for (size_t i = 0; i < o.peers.size(); ++i) {
    const PeerTimes& t = middle(times[i]);
    PeerBenchmark p{o.peers[i],
                    t.version,
                    t.precision,
                    notes[i],
                    t.median_ms,
                    t.min_ms,
                    t.runs_per_s * batch,
                    t.load_ms,
                    t.first_inference_ms,
                    t.peak_rss_mb,
                    median(ratios[i]),
                    *std::min_element(ratios[i].begin(), ratios[i].end()),
                    *std::max_element(ratios[i].begin(), ratios[i].end())};
    if (!t.note.empty()) p.note += (p.note.empty() ? "" : "; ") + o.peers[i] + " " + t.note;
    peers.push_back(p);
  }
  BenchmarkResult r = middle(rounds);
  r.peers = peers;
  return r;
}

}  // namespace hone
