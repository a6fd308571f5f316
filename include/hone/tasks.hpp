// The jobs around a model: train, test, predict, quantize, package, and all of them in one. Each verb of the command
// line is one of these.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hone/core.hpp"
#include "hone/pictures.hpp"

namespace hone {

/// Reports of long work. Called from the working thread; return false to stop: the work ends with `Error` (interrupted)
/// after saving what it has.
struct ProgressEvent {
  std::string stage;        ///< "train", "calibrate", "benchmark"...
  double done = 0;          ///< in `unit`
  double of = 0;            ///< the whole; 0: not known
  std::string unit;         ///< "steps", "images"...
  std::string detail;       ///< "loss 0.31, 1180 images/s"
  double eta_seconds = -1;  ///< -1: not known
};
/// May be empty. Returns whether to go on.
using ProgressCallback = std::function<bool(const ProgressEvent&)>;

/// What `train` is told.
struct TrainOptions {
  std::string data;                ///< folder of labelled pictures or IDX files
  std::string model = "auto";      ///< a network of the zoo, or a file to fine-tune
  std::string out = "out";         ///< folder for model.hone, checkpoint.hone, log.jsonl, split.json
  std::string resume;              ///< folder of an interrupted run
  int epochs = 0;                  ///< 0: chosen from the size of the data
  int batch = 0;                   ///< 0: chosen, as the model allows
  double learning_rate = 0;        ///< 0: chosen by batch, optimizer and whether the model brings trained weights
  std::string optimizer = "sgd";   ///< sgd | adamw
  double weight_decay = 5e-4;      ///< of weights; norms and biases have none
  double label_smoothing = 0.1;    ///< in [0, 1)
  double ema_decay = 0;            ///< of averaged weights, in [0, 1); 0: off
  double clip_norm = -1;           ///< largest norm of the gradient; 0: off; negative: chosen (5 for a file's weights)
  double unit_clip = -1;           ///< adaptive clipping: gradient of a unit by its weights; 0: off; negative: chosen
  double warmup_epochs = 1;        ///< with a rising learning rate
  std::string precision = "auto";  ///< f32 | bf16 | auto: bf16 where the CPU has it
  int threads = 0;                 ///< 0: all cores
  uint64_t seed = 0;               ///< of weights, split, order and augmentation
  int input_size = 0;              ///< 0: the data's own
  bool augment = true;             ///< in training only
  std::string augmentation;        ///< empty: chosen; else "flip,crop,rotate,colour,cutout,mixup"
  int patience = 0;                ///< epochs without improvement on validation before stopping; 0: off
  bool deterministic = true;       ///< the same bits on any number of threads
  std::string split_group;  ///< keeps pictures of one key together: regular expression on the file name whose first
                            ///< group is the key
  std::string split_time;   ///< the latest keys become the test split: regular expression on the file name whose first
                            ///< group is the key
  std::vector<std::string> freeze;  ///< weights whose name begins with one of these
  bool freeze_backbone = false;     ///< trains the layer of the classes alone
  bool new_head = false;            ///< a new layer of the classes also where the file has as many as the data
  std::string features;             ///< tensor of the file behind which a new layer of the classes is put
  std::string network;              ///< of the zoo, for a file of weights alone; empty: the one that fits
  PictureOptions picture;           ///< what `model` takes, where its file does not say; kept with the result
  double time_budget_seconds = 0;   ///< 0: none
  bool force = false;               ///< overwrite the result
  ProgressCallback progress;        ///< may be empty
};

/// One epoch of training.
struct EpochLog {
  int epoch = 0;                   ///< from 1
  double loss = 0;                 ///< mean over the epoch's pictures
  double train_accuracy = 0;       ///< in [0, 1], while training
  double validation_accuracy = 0;  ///< in [0, 1], after the epoch
  double learning_rate = 0;        ///< at its end
  double images_per_s = 0;         ///< over the training steps, data loading included
  double seconds = 0;              ///< wall clock
};

/// What `train` made.
struct TrainResult {
  std::string model;                     ///< file
  std::string metric_name = "accuracy";  ///< in [0, 1]
  double metric = 0;                     ///< on the validation split
  int epochs = 0;                        ///< trained in all, earlier runs included
  double images_per_s = 0;               ///< of training steps, data loading included, validation not
  double seconds = 0;                    ///< wall clock
  std::string new_head;                  ///< layer that was made anew for the classes of the data; empty: none
  std::vector<EpochLog> log;             ///< one an epoch
};
/// Trains or fine-tunes. Throws `Error`: unusable data, wrong options, interrupted (a checkpoint is there).
HONE_API TrainResult train(const TrainOptions& options);

/// What `test` is told.
struct TestOptions {
  std::string model;                ///< file
  std::string data;                 ///< folder
  std::string split = "test";       ///< train | val | test | all
  std::string precision;            ///< f32 | bf16 | int8 | auto; empty: the file's own arithmetic
  std::string network;              ///< of a file of weights alone
  PictureOptions picture;           ///< for a model that does not say what it takes, or says it wrongly
  std::vector<std::string> labels;  ///< by score; empty: the model's, else those of the data
  int threads = 0;                  ///< 0: all cores
  bool cache = true;                ///< compiled models are kept
  ProgressCallback progress;        ///< may be empty
};
/// One sample as a model sees it.
struct SamplePrediction {
  std::string id;          ///< name within the data
  int64_t label = 0;       ///< index of the true class
  int64_t predicted = 0;   ///< index of the class with the highest score
  double probability = 0;  ///< of the true label
};
/// What `test` measured.
struct TestResult {
  size_t samples = 0;                           ///< measured
  double accuracy = 0;                          ///< in [0, 1]
  double top5 = 0;                              ///< share of samples whose class is among the five best, in [0, 1]
  double loss = 0;                              ///< mean cross entropy, in nats
  double ci95_low = 0;                          ///< lower end of the 95 % Wilson score interval of the accuracy
  double ci95_high = 0;                         ///< upper end
  std::vector<std::string> labels;              ///< by class
  std::vector<std::vector<int64_t>> confusion;  ///< [true][predicted]
  std::vector<double> precision;                ///< by class, in [0, 1]
  std::vector<double> recall;                   ///< by class, in [0, 1]
  std::vector<SamplePrediction> worst;          ///< lowest probability of the true label first
};
/// Measures a model on labelled pictures. Throws `Error`.
HONE_API TestResult test(const TestOptions& options);

/// What `predict` is told.
struct PredictOptions {
  std::string model;                ///< file
  std::vector<std::string> files;   ///< pictures
  int top = 5;                      ///< labels a picture
  std::string precision = "auto";   ///< f32 | bf16 | int8 | auto
  std::string draw;                 ///< folder for pictures with their label; empty: none
  PictureOptions picture;           ///< for a model that does not say what it takes, or says it wrongly
  std::vector<std::string> labels;  ///< by score; empty: the model's, else their numbers
  int threads = 0;                  ///< 0: all cores
  bool cache = true;                ///< compiled models are kept
};
/// A label with its score.
struct Prediction {
  std::string label;  ///< of the model
  double score = 0;   ///< probability, in [0, 1]
};
/// What a model says of a picture.
struct FilePredictions {
  std::string file;                     ///< as given
  std::vector<Prediction> predictions;  ///< best first
};
/// Classifies pictures with the model's stored preprocessing, or that of `options`. Throws `Error` naming the file.
HONE_API std::vector<FilePredictions> predict(const PredictOptions& options);

/// What `quantize` is told.
struct QuantizeJob {
  std::string model;                   ///< file
  std::string data;                    ///< folder of pictures: calibration, and with `max_drop` validation
  std::string out;                     ///< result file
  size_t samples = 300;                ///< pictures for calibration
  double max_drop = -1;                ///< accuracy, as a fraction: 0.003 = 0.3 points; negative: not measured
  std::string preset = "performance";  ///< performance (symmetric activations) | mixed
  std::vector<std::string> ignore;     ///< regular expressions on node names
  int threads = 0;                     ///< 0: all cores
  uint64_t seed = 0;                   ///< of the choice of pictures
  bool force = false;                  ///< overwrite the result
  ProgressCallback progress;           ///< may be empty
  PictureOptions picture;              ///< what the model takes, where its file does not say; kept with the result
  std::vector<std::string> labels;     ///< names of the classes; empty: the model's, else their numbers
};
/// What `quantize` made.
struct QuantizeResult {
  std::string out;                ///< file
  size_t quantized_nodes = 0;     ///< convolutions and matrix products in int8
  size_t kept_nodes = 0;          ///< that stayed in float
  double mac_share = 0;           ///< multiply-accumulates in int8, in [0, 1]
  double seconds = 0;             ///< wall clock
  double peak_rss_mb = 0;         ///< of the process
  std::optional<double> drop;     ///< of accuracy on validation, as a fraction; absent where it was not measured
  std::vector<std::string> kept;  ///< names of the nodes that stayed in float
};
/// Makes an INT8 model. Throws `Error`; an existing result then stays as it was.
HONE_API QuantizeResult quantize(const QuantizeJob& job);

/// What `benchmark` is told.
struct BenchmarkOptions {
  std::string model;                           ///< file
  std::string precision = "auto";              ///< f32 | bf16 | int8 | auto
  std::string hint = "latency";                ///< latency | throughput
  int threads = 0;                             ///< 0: all cores
  int streams = 0;                             ///< requests at a time; 0: by the hint
  double seconds = 2;                          ///< of measuring
  bool cache = true;                           ///< compiled models are kept
  double tune_seconds = 2;                     ///< precision auto: time spent on measuring; 0: by rule
  std::map<std::string, PartialShape> shapes;  ///< by input name
  bool per_layer = false;                      ///< fills `layers`
  std::string records;                         ///< file of tuning records; empty: what the model carries
  std::vector<std::string>
      peers;       ///< "openvino", "onnxruntime": measured in turns with Hone, each in a process of its own
  int rounds = 3;  ///< with peers: turns, which share `seconds` for each engine
};
/// Time of one node.
struct LayerTime {
  std::string name;         ///< of the node
  std::string op;           ///< its operator
  std::string kernel;       ///< that ran it
  double milliseconds = 0;  ///< of the fastest run
  std::string type;         ///< of its arithmetic: "f32", "bf16" or "int8"
  double gflop = 0;         ///< multiplications and additions, in billions, of dense operators; 0 for others
  double mbytes = 0;        ///< inputs, weights and outputs, each once
  std::string why;          ///< that kernel, in a few words
  std::vector<std::string> refused = {};  ///< the other kernels, each with its reason: `KERNEL: REASON`
};
/// Another runtime on the same model, inputs, threads and precision. A ratio above 1 says that Hone is faster (latency,
/// or requests a second where throughput was asked for); it is the median over the rounds, each of which compares
/// neighbours in time.
struct PeerBenchmark {
  std::string name;               ///< "openvino", "onnxruntime"
  std::string version;            ///< as it says itself
  std::string precision;          ///< that it ran in
  std::string note;               ///< what to know when comparing; often empty
  double median_ms = 0;           ///< latency
  double min_ms = 0;              ///< latency
  double throughput_fps = 0;      ///< requests a second
  double load_ms = 0;             ///< reading and compiling
  double first_inference_ms = 0;  ///< the first run alone
  double peak_rss_mb = 0;         ///< of its process
  double ratio = 0;               ///< median over the rounds
  double ratio_min = 0;           ///< over the rounds
  double ratio_max = 0;           ///< over the rounds
};
/// What `benchmark` measured.
struct BenchmarkResult {
  double median_ms = 0;              ///< latency
  double min_ms = 0;                 ///< latency
  double p90_ms = 0;                 ///< latency that 90 % of the runs stay below
  double p99_ms = 0;                 ///< latency that 99 % of the runs stay below
  double throughput_fps = 0;         ///< samples a second
  double load_ms = 0;                ///< reading and compiling
  double first_inference_ms = 0;     ///< the first run alone
  double peak_rss_mb = 0;            ///< of the process
  std::string precision;             ///< as asked for
  std::string taken;                 ///< of auto, what was chosen
  bool from_cache = false;           ///< was it compiled before?
  int threads = 0;                   ///< that it ran on
  std::vector<LayerTime> layers;     ///< with `per_layer`, in order
  std::vector<PeerBenchmark> peers;  ///< in the order asked
};
/// Measures latency, throughput, loading and memory of a model on random inputs. Throws `Error`.
HONE_API BenchmarkResult benchmark(const BenchmarkOptions& options);

/// What `package` is told.
struct PackageOptions {
  std::string model;   ///< file made by `auto_build`, `train` or `quantize`
  std::string out;     ///< folder
  bool verify = true;  ///< measure again with the packaged program
  bool force = false;  ///< overwrite the result
  std::string
      encrypt;  ///< key file (32 bytes or 64 hexadecimal digits): model.hone is encrypted with AES-256-GCM; empty: not
  std::string sign;  ///< Ed25519 private key (PEM): manifest.sig signs manifest.json; empty: not
};
/// A file of a package.
struct PackagedFile {
  std::string path;    ///< below the package's folder
  uint64_t bytes = 0;  ///< its size
  std::string sha256;  ///< 64 hexadecimal digits
};
/// Makes a folder with the compiled model and a small program around it. The files. Throws `Error`.
HONE_API std::vector<PackagedFile> package(const PackageOptions& options);
/// Checks that `manifest.sig` signs the manifest of the folder, by an Ed25519 public key (PEM), and that the folder
/// holds exactly what the manifest says; with a key file also that the model can be decrypted. The files. Throws
/// `Error` (failed) naming the first that differs.
HONE_API std::vector<PackagedFile> verify_package(const std::string& folder, const std::string& public_key_file,
                                                  const std::string& key_file = {});

/// What `auto_build` is told.
struct AutoOptions {
  TrainOptions train;             ///< data, network, `out`
  double max_drop = 0.003;        ///< largest loss of accuracy by INT8, as a fraction
  double target_latency_ms = 0;   ///< median latency of a run that the chosen model must not exceed; 0: none
  int64_t target_size_bytes = 0;  ///< size of its file that it must not exceed; 0: none
};
/// Train, test, quantize, compile, benchmark, package, report. Returns the content of `out/report.json`. Where no
/// precision reaches the targets, the nearest is packaged and the report's `target.met` is false. Throws `Error`.
HONE_API std::string auto_build(const AutoOptions& options);

/// `{"cpu", "cores", "isa"}` of this machine.
struct HostInfo {
  std::string cpu;  ///< as the system names it
  std::string isa;  ///< instruction sets that kernels use
  int cores = 0;    ///< available to this process
};
/// Of this machine. Thread-safe.
HONE_API HostInfo host_info();

}  // namespace hone
