#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "options.hpp"
#include "verb.hpp"

namespace hone::cli {

Work setup_benchmark(CLI::App& app) {
  struct Options {
    BenchmarkOptions job;
    std::string seconds = "2";
    std::vector<std::string> shapes;
    bool no_cache = false;
  };
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->job.model, "Model file")->required();
  app.add_option("--hint", o->job.hint, "latency (default) or throughput");
  app.add_option("--threads", o->job.threads, "Threads (default: all cores)")->check(CLI::Range(1, 1024));
  app.add_option("--streams", o->job.streams, "Requests at a time (default: by hint)")->check(CLI::Range(1, 1024));
  app.add_option("--precision", o->job.precision, "f32, bf16, int8 or auto (default)");
  app.add_flag("--no-cache", o->no_cache, "Compile afresh");
  app.add_option("-t,--time", o->seconds, "Time to measure, like 2s (default)");
  app.add_option("--shape", o->shapes, "NAME[1,3,224,224]: shape of an input; may be repeated");
  app.add_flag("--layers", o->job.per_layer, "Time of each layer");
  return [o](Output& out) {
    check_choice("--hint", o->job.hint, {"latency", "throughput"});
    check_choice("--precision", o->job.precision, {"f32", "bf16", "int8", "auto"});
    o->job.seconds = parse_seconds(o->seconds);
    o->job.cache = !o->no_cache;
    for (const std::string& s : o->shapes) o->job.shapes.insert(parse_shape(s));
    const BenchmarkResult r = benchmark(o->job);
    const HostInfo host = host_info();
    out.line(host.cpu + ", " + std::to_string(host.cores) + " cores, " + host.isa + ", " + std::to_string(r.threads) + " threads, " + r.precision);
    out.table({{"", "median", "min", "p90", "p99"},
               {"latency, ms", short_number(r.median_ms), short_number(r.min_ms), short_number(r.p90_ms), short_number(r.p99_ms)}});
    out.line("throughput " + short_number(r.throughput_fps) + " /s, load " + short_number(r.load_ms) + " ms, first inference " + short_number(r.first_inference_ms) +
             " ms, peak memory " + short_number(r.peak_rss_mb) + " MB");
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
                     {"threads", r.threads},
                     {"host", {{"cpu", host.cpu}, {"cores", host.cores}, {"isa", host.isa}}}};
    if (o->job.per_layer) j["layers"] = layers;
    out.result(j);
    return 0;
  };
}

}  // namespace hone::cli
