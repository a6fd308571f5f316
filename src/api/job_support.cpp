#include "api/job_support.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/file.hpp"
#include "base/sha256.hpp"
#include "cpu/features.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "train/evaluate_classifier.hpp"

namespace hone {

bool is_quantized(const Graph& g) {
  for (NodeId id : g.topological_order()) {
    const std::string_view op = g.node(id).op->name;
    if (op == "FakeQuantize" || op == "Quantize" || op == "Dequantize") return true;
  }
  return false;
}

Precision choose_precision(const std::string& name, const Graph& g, const std::string& path) {
  if (name.empty()) return is_quantized(g) ? Precision::int8 : Precision::f32;
  const Precision p = precision_from(name);
  if (p == Precision::int8 && !is_quantized(g)) {
    throw Error(ErrorCode::unsupported, "[precision] int8 wants a quantized file", path,
                "make one with: hone quantize " + path + " --data DATA --out int8.hone");
  }
  return p;
}

Precision training_precision(const std::string& name) {
  if (name == "auto" || name.empty()) {
    const auto& f = cpu::features();
    return f.avx512_bf16 || f.amx_bf16 ? Precision::bf16 : Precision::f32;
  }
  return precision_from(name);
}

ModelInfo require_info(const Graph& g, const std::string& path) {
  auto info = load_info(g);
  if (!info)
    throw Error(ErrorCode::usage, "[model] the file carries no labels and no preprocessing", path,
                "use a model made by hone train or auto, or by hone quantize with --mean and --scale");
  return *info;
}

void take_picture_options(data::Preprocessing& p, const PictureOptions& o, const std::string& verb) {
  const std::string begin = "[" + verb + "] ";
  if (!o.layout.empty()) p.layout = o.layout == "NHWC" ? data::PixelLayout::nhwc : data::PixelLayout::nchw;
  if (o.reverse_channels) {
    if (p.color == data::ColorOrder::grey)
      throw Error(ErrorCode::usage, begin + "--reverse-channels: the model takes grey pictures");
    p.color = p.color == data::ColorOrder::bgr ? data::ColorOrder::rgb : data::ColorOrder::bgr;
  }
  const auto channels = static_cast<size_t>(p.channels());
  for (const auto& [what, given, kept] : {std::tuple{"--mean", &o.mean, &p.mean}, {"--scale", &o.scale, &p.scale}}) {
    if (given->empty()) continue;
    if (given->size() != 1 && given->size() != channels)
      throw Error(ErrorCode::usage, begin + what + " has " + std::to_string(given->size()) + " values for " +
                                        std::to_string(channels) + " channels");
    if (!std::all_of(given->begin(), given->end(), [](double v) { return std::isfinite(v); }))
      throw Error(ErrorCode::usage, begin + what + " wants finite numbers");
    *kept = *given;
  }
  if (std::count(o.scale.begin(), o.scale.end(), 0.0) > 0)
    throw Error(ErrorCode::usage, begin + "--scale divides by 0");
}

ModelInfo classifier_info(const Graph& g, const std::string& path, const PictureOptions& o,
                          const std::vector<std::string>& labels, const std::string& verb) {
  auto info = load_info(g);
  if (!info) {
    if (o.mean.empty() && o.scale.empty()) {
      throw Error(ErrorCode::usage, "[model] the file does not say how pictures become its input", path,
                  "say it with --mean V,V,V and --scale V,V,V: (sample - mean) / scale of samples 0..255");
    }
    const auto own = g.inputs().size() == 1 ? picture_preprocessing(g.inputs()[0].shape(), o.layout) : std::nullopt;
    if (!own || own->resize == data::ResizeRule::exact)
      throw Error(ErrorCode::unsupported,
                  "[" + verb + "] a model with one input for pictures of a fixed size is expected", path,
                  "fix the size with: hone convert --input NAME[1,3,H,W]");
    info.emplace();
    info->preprocessing = *own;
  }
  if (!labels.empty()) info->labels = labels;
  take_picture_options(info->preprocessing, o, verb);
  return *info;
}

std::optional<data::Preprocessing> picture_preprocessing(const PartialShape& s, const std::string& layout) {
  if (!s.rank_known() || s.rank() != 4) return std::nullopt;
  data::Preprocessing p;
  const bool nhwc = layout == "NHWC" || (layout.empty() && (s[3] == Dimension(3) || s[3] == Dimension(1)) &&
                                         s[1] != Dimension(3) && s[1] != Dimension(1));
  p.layout = nhwc ? data::PixelLayout::nhwc : data::PixelLayout::nchw;
  const Dimension h = s[nhwc ? 1 : 2], w = s[nhwc ? 2 : 3], c = s[nhwc ? 3 : 1];
  if (h.is_static() && w.is_static()) {
    p.height = h.min();
    p.width = w.min();
  } else {
    p.resize = data::ResizeRule::exact;
  }
  if (c == Dimension(1)) p.color = data::ColorOrder::grey;
  return p;
}

std::vector<uint32_t> part_samples(const data::Dataset& data, const std::string& part, const ModelInfo* info) {
  if (part == "all") return data.indices(data::Part::none);
  std::vector<uint32_t> samples;
  if (info && !info->split.empty() && info->data_revision == data.revision()) {
    const data::Split split = data::split_from_json(info->split, data, "the split stored with the model");
    samples = part == "train" ? split.train : part == "val" ? split.val : split.test;
  } else if (data.has_parts()) {
    samples = data.indices(part == "train" ? data::Part::train : part == "val" ? data::Part::val : data::Part::test);
  } else {
    samples = data.indices(data::Part::none);  // foreign data without parts: all of them
  }
  if (samples.empty())
    throw Error(ErrorCode::failed, "[data] there are no samples in the split '" + part + "'", data.path(),
                "choose another --split");
  return samples;
}

void check_labels(const data::Dataset& data, const ModelInfo& info) {
  if (data.classes() == info.labels) return;
  if (data.classes().size() != info.labels.size()) {
    throw Error(ErrorCode::failed,
                "[data] the model knows " + std::to_string(info.labels.size()) + " classes, the data have " +
                    std::to_string(data.classes().size()),
                data.path());
  }
  for (size_t i = 0; i < info.labels.size(); ++i) {
    if (data.classes()[i] != info.labels[i]) {
      throw Error(ErrorCode::failed,
                  "[data] class " + std::to_string(i) + " is '" + data.classes()[i] + "' in the data and '" +
                      info.labels[i] + "' in the model",
                  data.path());
    }
  }
}

MakeRunner compiled_runner(int threads, Precision precision) {
  class CompiledRunner : public Runner {
   public:
    CompiledRunner(const Graph& g, const CompileOptions& o) : compiled_(compile_model(g, o)) {}
    std::vector<Datum> run(const std::vector<Datum>& inputs) override { return compiled_.infer(inputs); }

   private:
    CompiledGraph compiled_;
  };
  return [threads, precision](const Graph& g) {
    CompileOptions o;
    o.threads = threads;
    o.precision = precision;
    return std::make_unique<CompiledRunner>(g, o);
  };
}

bool gives_probabilities(const Graph& g) {
  return !g.results().empty() && g.outputs()[0].node().is<Softmax>();
}

ClassificationMetrics measure(CompiledGraph& model, bool probabilities, const data::Dataset& data,
                              const std::vector<uint32_t>& samples, const data::Preprocessing& preprocessing,
                              const std::string& stage, const ProgressCallback& progress) {
  ClassificationMetrics m(data.classes().size());
  const auto report = [&](size_t done, size_t of) {
    return !progress || progress({stage, static_cast<double>(done), static_cast<double>(of), "pictures", "", -1});
  };
  score_samples(
      model, data, samples, preprocessing,
      [&](uint32_t i, int64_t label, std::span<const float> s) {
        if (s.size() != data.classes().size()) {
          throw Error(ErrorCode::failed, "[test] the model gives " + std::to_string(s.size()) +
                                             " scores, the data have " + std::to_string(data.classes().size()) +
                                             " classes");
        }
        m.add(i, label, s, probabilities);
      },
      report);
  return m;
}

ClassificationMetrics measure(const Graph& g, const data::Dataset& data, const std::vector<uint32_t>& samples,
                              const data::Preprocessing& preprocessing, Precision precision, int threads,
                              const std::string& stage, const ProgressCallback& progress) {
  if (samples.empty()) return ClassificationMetrics(data.classes().size());
  CompileOptions o;
  o.precision = precision;
  o.threads = threads;
  Graph model = g;
  set_scoring_shape(model, preprocessing, std::min<int64_t>(score_batch, static_cast<int64_t>(samples.size())));
  CompiledGraph compiled = compile_model(model, o);
  return measure(compiled, gives_probabilities(g), data, samples, preprocessing, stage, progress);
}

TestResult test_result(const ClassificationMetrics& m, const data::Dataset& data,
                       const std::vector<std::string>& labels, size_t worst) {
  TestResult r;
  r.samples = m.samples();
  r.accuracy = m.accuracy();
  r.top5 = m.top5();
  r.loss = m.loss();
  std::tie(r.ci95_low, r.ci95_high) = wilson_interval(r.accuracy, r.samples);
  r.labels = labels;
  r.confusion = m.confusion();
  r.precision = m.precision();
  r.recall = m.recall();
  for (const auto& s : m.worst(worst)) r.worst.push_back({data.id(s.index), s.label, s.predicted, s.probability});
  return r;
}

double peak_rss_mb() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return static_cast<double>(u.ru_maxrss) / 1024;
}

void check_folder(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code e;
  fs::path there = fs::absolute(path);
  while (!fs::exists(there, e) && there.has_relative_path()) there = there.parent_path();
  if (!fs::is_directory(there, e))
    throw Error(ErrorCode::failed, "[out] cannot create the folder (a file is in the way)", path,
                "choose another --out");
  if (access(there.c_str(), W_OK) != 0)
    throw Error(ErrorCode::failed, std::string("[out] cannot write into the folder (") + std::strerror(errno) + ")",
                there.string(), "choose another --out");
}

void make_folder(const std::string& path) {
  check_folder(path);
  std::error_code e;
  std::filesystem::create_directories(path, e);
  if (e || !std::filesystem::is_directory(path))
    throw Error(ErrorCode::failed,
                "[out] cannot create the folder (" + (e ? e.message() : "a file is in the way") + ")", path,
                "choose another --out");
}

std::string sha256_of_file(const std::string& path) {
  const auto f = MappedFile::open(path);
  return sha256_hex(f->bytes());
}

}  // namespace hone
