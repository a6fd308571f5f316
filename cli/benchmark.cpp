#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "hone/profile.hpp"
#include "options.hpp"
#include "verb.hpp"

namespace hone::cli {

static std::string two_digits(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", v);
  return text;
}

static std::string rounded(double v) {
  return std::to_string(std::llround(v));
}

// In a child process: what measuring takes must not count as the model's memory.
static HostSpeed measure_aside(int threads) {
  HostSpeed speed;
  static_assert(std::is_trivially_copyable_v<HostSpeed>);
  int ends[2];
  if (pipe(ends) != 0) return speed;
  const pid_t child = fork();
  if (child == 0) {
    speed = measure_host(threads);
    _exit(write(ends[1], &speed, sizeof speed) == static_cast<ssize_t>(sizeof speed) ? 0 : 1);
  }
  close(ends[1]);
  if (child > 0) {
    if (read(ends[0], &speed, sizeof speed) != static_cast<ssize_t>(sizeof speed)) speed = {};
    waitpid(child, nullptr, 0);
  }
  close(ends[0]);
  return speed;
}

Work setup_benchmark(CLI::App& app) {
  struct Options {
    BenchmarkOptions job;
    std::string seconds = "2";
    std::vector<std::string> shapes, peers;
    std::string tune_budget = "2s";
    bool no_cache = false, force = false;
    std::string report;
  };
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->job.model, "Model file")->required();
  app.add_option("--hint", o->job.hint, "latency (default) or throughput");
  app.add_option("--threads", o->job.threads, "Threads (default: all cores)")->check(CLI::Range(1, 1024));
  app.add_option("--streams", o->job.streams, "Requests at a time (default: by hint)")->check(CLI::Range(1, 1024));
  app.add_option("--precision", o->job.precision, "f32, bf16, int8 or auto (default)");
  app.add_flag("--no-cache", o->no_cache, "Compile afresh");
  app.add_option("--tune-budget", o->tune_budget,
                 "Time to measure what --precision auto chooses from, like 2s (default); 0: by rule");
  app.add_option("-t,--time", o->seconds, "Time to measure, like 2s (default)");
  app.add_option("--shape", o->shapes, "NAME[1,3,224,224]: shape of an input; may be repeated");
  app.add_flag("--layers", o->job.per_layer,
               "Each layer: time, GFLOP/s, share of the measured peak, kernel and why that one");
  app.add_option("--report", o->report, "FILE.html: timeline, roofline and layers as a page");
  app.add_option("--records", o->job.records, "Tuning records (hone tune); default: what the model carries");
  app.add_flag("--force", o->force, "Overwrite the report");
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
    if (!o->report.empty()) check_result_file(o->report, o->force);
    const bool layers_wanted = o->job.per_layer || !o->report.empty();
    o->job.per_layer = layers_wanted;
    const HostInfo host = host_info();
    // Whoever reads JSON without layers measures short runs in great number: there the header would cost more than it
    // says.
    HostSpeed speed;
    if (layers_wanted || !out.json) speed = measure_aside(o->job.threads);
    const BenchmarkResult r = benchmark(o->job);
    out.line(host.cpu + ", " + std::to_string(host.cores) + " cores, " + host.isa + ", " + std::to_string(r.threads) +
             " threads, " + r.precision + (r.precision == "auto" ? " (" + r.taken + ")" : ""));
    if (speed.threads > 0) {
      std::string line = "measured: f32 " + rounded(speed.f32_gflops) + " GFLOP/s";
      if (speed.bf16_gflops > 0) line += ", bf16 " + rounded(speed.bf16_gflops) + " GFLOP/s";
      if (speed.int8_gops > 0) line += ", int8 " + rounded(speed.int8_gops) + " GOP/s";
      out.line(line + ", memory " + short_number(speed.read_gbs) + " GB/s, core to core " +
               rounded(speed.core_to_core_ns) + " ns");
    }
    out.table({{"", "median", "min", "p90", "p99"},
               {"latency, ms", short_number(r.median_ms), short_number(r.min_ms), short_number(r.p90_ms),
                short_number(r.p99_ms)}});
    out.line("throughput " + short_number(r.throughput_fps) + " /s, load " + short_number(r.load_ms) + " ms" +
             (r.from_cache ? " from the cache" : "") + ", first inference " + short_number(r.first_inference_ms) +
             " ms, peak memory " + short_number(r.peak_rss_mb) + " MB");
    nlohmann::json peers = nlohmann::json::array();
    if (!r.peers.empty()) {
      std::vector<std::vector<std::string>> rows{
          {"", "median, ms", "min, ms", "per second", "load, ms", "first, ms", "memory, MB", "precision", "ratio",
           "spread"},
          {"hone " + version(), short_number(r.median_ms), short_number(r.min_ms), short_number(r.throughput_fps),
           short_number(r.load_ms), short_number(r.first_inference_ms), short_number(r.peak_rss_mb), r.precision}};
      for (const PeerBenchmark& p : r.peers) {
        rows.push_back({p.name + " " + p.version, short_number(p.median_ms), short_number(p.min_ms),
                        short_number(p.throughput_fps), short_number(p.load_ms), short_number(p.first_inference_ms),
                        short_number(p.peak_rss_mb), p.precision, two_digits(p.ratio),
                        two_digits(p.ratio_min) + "-" + two_digits(p.ratio_max)});
        peers.push_back({{"name", p.name},
                         {"version", p.version},
                         {"precision", p.precision},
                         // clang-format off
                         {"latency_ms", {{"median", p.median_ms}, {"min", p.min_ms}}},
                         {"throughput_fps", p.throughput_fps},
                         {"load_ms", p.load_ms},
                         {"first_inference_ms", p.first_inference_ms},
                         {"peak_rss_mb", p.peak_rss_mb},
                         {"ratio", p.ratio},
                         {"ratio_min", p.ratio_min},
                         // clang-format on
                         {"ratio_max", p.ratio_max}});
        if (!p.note.empty()) peers.back()["note"] = p.note;
      }
      out.table(rows);
      out.line("ratio: how many times faster Hone is, median over " + std::to_string(o->job.rounds) +
               " rounds (A/B/A/B)");
      for (const PeerBenchmark& p : r.peers) {
        if (!p.note.empty()) out.line(p.note);
      }
    }
    nlohmann::json layers = nlohmann::json::array();
    if (o->job.per_layer) {
      std::vector<std::vector<std::string>> rows{{"layer", "operator", "kernel", "ms", "GFLOP/s", "of peak, %", "why"}};
      for (const LayerTime& l : r.layers) {
        const double share = share_of_peak(l, speed);
        rows.push_back({l.name, l.op, l.kernel, short_number(l.milliseconds), l.gflop > 0 ? rounded(gflops(l)) : "",
                        share > 0 ? rounded(share * 100) : "", l.why});
        layers.push_back({{"name", l.name},
                          {"op", l.op},
                          {"kernel", l.kernel},
                          {"ms", l.milliseconds},
                          {"type", l.type},
                          {"gflop", l.gflop},
                          {"gflops", gflops(l)},
                          {"share_of_peak", share},
                          {"mbytes", l.mbytes},
                          {"why", l.why},
                          {"refused", l.refused}});
      }
      out.table(rows);
    }
    // clang-format off
    nlohmann::json j{{"latency_ms", {{"median", r.median_ms}, {"min", r.min_ms}, {"p90", r.p90_ms}, {"p99", r.p99_ms}}},
                     {"throughput_fps", r.throughput_fps},
                     {"load_ms", r.load_ms},
                     {"first_inference_ms", r.first_inference_ms},
                     {"peak_rss_mb", r.peak_rss_mb},
                     {"precision", r.precision},
                     {"taken", r.taken},
                     {"from_cache", r.from_cache},
                     {"threads", r.threads},
                     // clang-format on
                     {"host", {{"cpu", host.cpu}, {"cores", host.cores}, {"isa", host.isa}}}};
    if (o->job.per_layer) j["layers"] = layers;
    if (speed.threads > 0) {
      j["host"].update({{"f32_gflops", speed.f32_gflops},
                        {"bf16_gflops", speed.bf16_gflops},
                        {"int8_gops", speed.int8_gops},
                        {"memory_gbs", speed.read_gbs},
                        {"core_to_core_ns", speed.core_to_core_ns}});
    }
    if (!o->report.empty()) {
      write_text(o->report, profile_html(o->job.model, r, host, speed), "benchmark");
      j["report"] = o->report;
    }
    if (!r.peers.empty()) j["peers"] = peers;
    out.result(j);
    return 0;
  };
}

}  // namespace hone::cli
