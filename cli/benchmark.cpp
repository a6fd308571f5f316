#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "options.hpp"
#include "verb.hpp"

namespace hone::cli {

static std::string two_digits(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", v);
  return text;
}

Work setup_benchmark(CLI::App& app) {
  struct Options {
    BenchmarkOptions job;
    std::string seconds = "2";
    std::vector<std::string> shapes, peers;
    std::string tune_budget = "2s";
    bool no_cache = false;
  };
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->job.model, "Model file")->required();
  app.add_option("--hint", o->job.hint, "latency (default) or throughput");
  app.add_option("--threads", o->job.threads, "Threads (default: all cores)")->check(CLI::Range(1, 1024));
  app.add_option("--streams", o->job.streams, "Requests at a time (default: by hint)")->check(CLI::Range(1, 1024));
  app.add_option("--precision", o->job.precision, "f32, bf16, int8 or auto (default)");
  app.add_flag("--no-cache", o->no_cache, "Compile afresh");
  app.add_option("--tune-budget", o->tune_budget, "Time to measure what --precision auto chooses from, like 2s (default); 0: by rule");
  app.add_option("-t,--time", o->seconds, "Time to measure, like 2s (default)");
  app.add_option("--shape", o->shapes, "NAME[1,3,224,224]: shape of an input; may be repeated");
  app.add_flag("--layers", o->job.per_layer, "Time of each layer");
  app.add_option("--peer", o->peers, "openvino, onnxruntime: measured in turns with Hone")->delimiter(',');
  app.add_option("--rounds", o->job.rounds, "Turns with peers (default 3)")->check(CLI::Range(1, 100));
  return [o](Output& out) {
    check_choice("--hint", o->job.hint, {"latency", "throughput"});
    check_choice("--precision", o->job.precision, {"f32", "bf16", "int8", "auto"});
    o->job.seconds = parse_seconds(o->seconds);
    o->job.tune_seconds = parse_seconds(o->tune_budget);
    o->job.cache = !o->no_cache;
    o->job.peers = o->peers;
    for (const std::string& s : o->shapes) o->job.shapes.insert(parse_shape(s));
    const BenchmarkResult r = benchmark(o->job);
    const HostInfo host = host_info();
    out.line(host.cpu + ", " + std::to_string(host.cores) + " cores, " + host.isa + ", " + std::to_string(r.threads) + " threads, " + r.precision + (r.precision == "auto" ? " (" + r.taken + ")" : ""));
    out.table({{"", "median", "min", "p90", "p99"},
               {"latency, ms", short_number(r.median_ms), short_number(r.min_ms), short_number(r.p90_ms), short_number(r.p99_ms)}});
    out.line("throughput " + short_number(r.throughput_fps) + " /s, load " + short_number(r.load_ms) + " ms" + (r.from_cache ? " from the cache" : "") + ", first inference " + short_number(r.first_inference_ms) +
             " ms, peak memory " + short_number(r.peak_rss_mb) + " MB");
    nlohmann::json peers = nlohmann::json::array();
    if (!r.peers.empty()) {
      std::vector<std::vector<std::string>> rows{{"", "median, ms", "min, ms", "per second", "load, ms", "first, ms", "memory, MB", "precision", "ratio", "spread"},
                                                 {"hone " + version(), short_number(r.median_ms), short_number(r.min_ms), short_number(r.throughput_fps), short_number(r.load_ms),
                                                  short_number(r.first_inference_ms), short_number(r.peak_rss_mb), r.precision}};
      for (const PeerBenchmark& p : r.peers) {
        rows.push_back({p.name + " " + p.version, short_number(p.median_ms), short_number(p.min_ms), short_number(p.throughput_fps), short_number(p.load_ms),
                        short_number(p.first_inference_ms), short_number(p.peak_rss_mb), p.precision, two_digits(p.ratio), two_digits(p.ratio_min) + "-" + two_digits(p.ratio_max)});
        peers.push_back({{"name", p.name},
                         {"version", p.version},
                         {"precision", p.precision},
                         {"latency_ms", {{"median", p.median_ms}, {"min", p.min_ms}}},
                         {"throughput_fps", p.throughput_fps},
                         {"load_ms", p.load_ms},
                         {"first_inference_ms", p.first_inference_ms},
                         {"peak_rss_mb", p.peak_rss_mb},
                         {"ratio", p.ratio},
                         {"ratio_min", p.ratio_min},
                         {"ratio_max", p.ratio_max}});
        if (!p.note.empty()) peers.back()["note"] = p.note;
      }
      out.table(rows);
      out.line("ratio: how many times faster Hone is, median over " + std::to_string(o->job.rounds) + " rounds (A/B/A/B)");
      for (const PeerBenchmark& p : r.peers) {
        if (!p.note.empty()) out.line(p.note);
      }
    }
    nlohmann::json layers = nlohmann::json::array();
    if (o->job.per_layer) {
      std::vector<std::vector<std::string>> rows{{"layer", "operator", "kernel", "ms"}};
      for (const LayerTime& l : r.layers) {
        rows.push_back({l.name, l.op, l.kernel, short_number(l.milliseconds)});
        layers.push_back({{"name", l.name}, {"op", l.op}, {"kernel", l.kernel}, {"ms", l.milliseconds}});
      }
      out.table(rows);
    }
    nlohmann::json j{{"latency_ms", {{"median", r.median_ms}, {"min", r.min_ms}, {"p90", r.p90_ms}, {"p99", r.p99_ms}}},
                     {"throughput_fps", r.throughput_fps},
                     {"load_ms", r.load_ms},
                     {"first_inference_ms", r.first_inference_ms},
                     {"peak_rss_mb", r.peak_rss_mb},
                     {"precision", r.precision},
                     {"taken", r.taken},
                     {"from_cache", r.from_cache},
                     {"threads", r.threads},
                     {"host", {{"cpu", host.cpu}, {"cores", host.cores}, {"isa", host.isa}}}};
    if (o->job.per_layer) j["layers"] = layers;
    if (!r.peers.empty()) j["peers"] = peers;
    out.result(j);
    return 0;
  };
}

}  // namespace hone::cli
