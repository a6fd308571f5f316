// The jobs around a model: train, test, predict, quantize, package, and all of them in one. Each verb of the command line is one of these.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hone/core.hpp"

namespace hone {

/// Reports of long work. Called from the working thread; return false to stop: the work ends with `Error` (interrupted) after saving what it has.
struct ProgressEvent {
  std::string stage;       ///< "train", "calibrate", "benchmark"...
  double done = 0, of = 0; ///< in `unit`
  std::string unit;
  std::string detail;      ///< "loss 0.31, 1180 images/s"
  double eta_seconds = -1; ///< -1: not known
};
using ProgressCallback = std::function<bool(const ProgressEvent&)>;

struct TrainOptions {
  std::string data;                  ///< folder of labelled pictures or IDX files
  std::string model = "auto";        ///< a network of the zoo, or a file to fine-tune
  std::string out = "out";           ///< folder for model.hone, checkpoint.hone, log.jsonl, split.json
  std::string resume;                ///< folder of an interrupted run
  int epochs = 0;                    ///< 0: chosen from the size of the data
  int batch = 0;                     ///< 0: chosen
  double learning_rate = 0;          ///< 0: chosen
  std::string optimizer = "sgd";     ///< sgd | adamw
  double weight_decay = 5e-4, label_smoothing = 0.1, ema_decay = 0, clip_norm = 0;
  double warmup_epochs = 1;
  std::string precision = "auto";    ///< f32 | bf16 | auto: bf16 where the CPU has it
  int threads = 0;
  uint64_t seed = 0;
  int input_size = 0;                ///< 0: the data's own
  bool augment = true;
  std::string augmentation;          ///< empty: chosen; else "flip,crop,rotate,colour,cutout,mixup"
  int patience = 0;                  ///< epochs without improvement on validation before stopping; 0: off
  bool deterministic = true;
  std::string split_group, split_time;  ///< regular expression on the file name whose first group is the key
  std::vector<std::string> freeze;      ///< weights whose name begins with one of these
  double time_budget_seconds = 0;       ///< 0: none
  bool force = false;
  ProgressCallback progress;
};

struct EpochLog {
  int epoch = 0;
  double loss = 0, train_accuracy = 0, validation_accuracy = 0, learning_rate = 0, images_per_s = 0, seconds = 0;
};

struct TrainResult {
  std::string model;         ///< file
  std::string metric_name = "accuracy";
  double metric = 0;         ///< on the validation split
  int epochs = 0;
  double images_per_s = 0, seconds = 0;
  std::vector<EpochLog> log;
};
HONE_API TrainResult train(const TrainOptions& options);

struct TestOptions {
  std::string model, data, split = "test", precision;  ///< empty precision: the file's own arithmetic
  std::string network;                                 ///< of a file of weights alone
  int threads = 0;
  ProgressCallback progress;
};
struct SamplePrediction {
  std::string id;
  int64_t label = 0, predicted = 0;
  double probability = 0;  ///< of the true label
};
struct TestResult {
  size_t samples = 0;
  double accuracy = 0, top5 = 0, loss = 0;
  double ci95_low = 0, ci95_high = 0;             ///< Wilson score interval of the accuracy
  std::vector<std::string> labels;
  std::vector<std::vector<int64_t>> confusion;    ///< [true][predicted]
  std::vector<double> precision, recall;          ///< by class
  std::vector<SamplePrediction> worst;            ///< lowest probability of the true label first
};
HONE_API TestResult test(const TestOptions& options);

struct PredictOptions {
  std::string model;
  std::vector<std::string> files;
  int top = 5;
  std::string precision = "auto", draw;
  int threads = 0;
};
struct Prediction {
  std::string label;
  double score = 0;
};
struct FilePredictions {
  std::string file;
  std::vector<Prediction> predictions;
};
HONE_API std::vector<FilePredictions> predict(const PredictOptions& options);

struct QuantizeJob {
  std::string model, data, out;
  size_t samples = 300;
  double max_drop = -1;       ///< accuracy, as a fraction: 0.003 = 0.3 points; negative: not measured
  std::string preset = "performance";
  std::vector<std::string> ignore;  ///< regular expressions on node names
  int threads = 0;
  uint64_t seed = 0;
  bool force = false;
  ProgressCallback progress;
};
struct QuantizeResult {
  std::string out;
  size_t quantized_nodes = 0, kept_nodes = 0;
  double mac_share = 0, seconds = 0, peak_rss_mb = 0;
  std::optional<double> drop;
  std::vector<std::string> kept;
};
HONE_API QuantizeResult quantize(const QuantizeJob& job);

struct BenchmarkOptions {
  std::string model, precision = "auto", hint = "latency";
  int threads = 0, streams = 0;
  double seconds = 2;
  bool cache = true;
  std::map<std::string, PartialShape> shapes;
  bool per_layer = false;
  std::vector<std::string> peers;  ///< "openvino", "onnxruntime": measured in turns with Hone, each in a process of its own
  int rounds = 3;                  ///< with peers: turns, which share `seconds` for each engine
};
struct LayerTime {
  std::string name, op, kernel;
  double milliseconds = 0;
};
/// Another runtime on the same model, inputs, threads and precision. A ratio above 1 says that Hone is faster (latency, or requests a second
/// where throughput was asked for); it is the median over the rounds, each of which compares neighbours in time.
struct PeerBenchmark {
  std::string name, version, precision, note;
  double median_ms = 0, min_ms = 0, throughput_fps = 0, load_ms = 0, first_inference_ms = 0, peak_rss_mb = 0;
  double ratio = 0, ratio_min = 0, ratio_max = 0;
};
struct BenchmarkResult {
  double median_ms = 0, min_ms = 0, p90_ms = 0, p99_ms = 0, throughput_fps = 0, load_ms = 0, first_inference_ms = 0, peak_rss_mb = 0;
  std::string precision;
  int threads = 0;
  std::vector<LayerTime> layers;
  std::vector<PeerBenchmark> peers;
};
HONE_API BenchmarkResult benchmark(const BenchmarkOptions& options);

struct PackageOptions {
  std::string model, out;
  bool verify = true, force = false;
  std::string encrypt;  ///< key file (32 bytes or 64 hexadecimal digits): model.hone is encrypted with AES-256-GCM; empty: not
  std::string sign;     ///< Ed25519 private key (PEM): manifest.sig signs manifest.json; empty: not
};
struct PackagedFile {
  std::string path;
  uint64_t bytes = 0;
  std::string sha256;
};
HONE_API std::vector<PackagedFile> package(const PackageOptions& options);
/// Checks that `manifest.sig` signs the manifest of the folder, by an Ed25519 public key (PEM), and that the folder holds exactly what the
/// manifest says; with a key file also that the model can be decrypted. The files. Throws `Error` (failed) naming the first that differs.
HONE_API std::vector<PackagedFile> verify_package(const std::string& folder, const std::string& public_key_file, const std::string& key_file = {});

struct AutoOptions {
  TrainOptions train;
  double max_drop = 0.003;
  double target_latency_ms = 0;  ///< 0: none
};
/// Train, test, quantize, compile, benchmark, package, report. Returns the content of `out/report.json`.
HONE_API std::string auto_build(const AutoOptions& options);

/// `{"cpu", "cores", "isa"}` of this machine.
struct HostInfo {
  std::string cpu, isa;
  int cores = 0;
};
HONE_API HostInfo host_info();

}  // namespace hone
