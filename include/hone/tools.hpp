// Looking at models: compare two of them, check them against stored results, see what can be trained, draw them; NumPy
// files.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "hone/core.hpp"
#include "hone/pictures.hpp"

namespace hone {

/// NumPy `.npy` (versions 1 to 3 read, 1 written). Types that NumPy lacks travel wider, as docs/cli.md says. Throws
/// `Error`.
HONE_API Tensor load_npy(const std::string& path);
/// The file appears whole or not at all. Throws `Error`.
HONE_API void save_npy(const std::string& path, const Tensor& tensor);

/// A tensor for input number `input` from a picture file, through the model's stored preprocessing or `options`. Throws
/// `Error`.
HONE_API Tensor load_input(const Model& model, size_t input, const std::string& path,
                           const PictureOptions& options = {});
/// Floats uniform in [0, 1), integers 1, dynamic dimensions 1.
HONE_API Tensor random_input(const Port& port, uint64_t seed);

/// How `run_model` runs.
struct RunOptions {
  std::string precision;  ///< f32 | bf16 | int8 | auto; empty: f32, of a quantized file its own arithmetic
  int threads = 0;        ///< 0: all cores
  int repeat = 1;         ///< runs in one session, at least 1
  bool cache = false;     ///< `run_file`: keep the compiled model in the cache folder
  std::string network;    ///< `run_file`: of a file of weights alone, `NAME` or `NAME:key=value`
  std::map<std::string, PartialShape> shapes;  ///< of inputs that are random, by name or position
};
/// An output with its name.
struct NamedValue {
  std::string name;  ///< first tensor name, else the node's
  Datum value;       ///< a tensor, a sequence, a map or none
};
/// Runs a model once (or `repeat` times in one session, states carried on); every output in the model's order. Inputs
/// may name any tensor of the file: the graph is cut there. Missing inputs are random from `seed`.
HONE_API std::vector<NamedValue> run_model(const Model& model, const std::map<std::string, Datum>& inputs,
                                           const RunOptions& options = {}, uint64_t seed = 0);
/// The same for a file, pictures aside. With `options.cache` a model that was compiled before is not even read.
HONE_API std::vector<NamedValue> run_file(const std::string& path, const std::map<std::string, Datum>& inputs,
                                          const RunOptions& options = {}, uint64_t seed = 0);

/// How far one output differs.
struct OutputDifference {
  std::string name;    ///< in the first model
  double max_abs = 0;  ///< largest |a - b|
  double max_rel = 0;  ///< largest |a - b| / |b|
  bool equal = true;   ///< every |a - b| <= atol + rtol * |b|
};
/// What is compared and how closely.
struct CompareOptions {
  std::map<std::string, Tensor> inputs;  ///< missing ones are random
  std::map<std::string, PartialShape>
      shapes;          ///< of random inputs whose shape the model leaves open, by name or position
  int random = 1;      ///< number of random inputs
  double rtol = 1e-3;  ///< relative to the second model's value
  double atol = -1;    ///< absolute; negative: 1e-4, or 1e-4 of an output's largest |value| where that is less than 1
  uint64_t seed = 0;   ///< of random inputs
};
/// What a comparison found.
struct CompareResult {
  std::vector<OutputDifference> outputs;  ///< in the order of the first model
  std::string first_difference;    ///< first tensor in A's order, present by name in both, that differs (else the first
                                   ///< output); empty: none
  bool equal = true;               ///< every output on every input
  std::vector<std::string> notes;  ///< what a person should know: the form that was given to a peer
};
/// Runs both on the same inputs. Outputs are matched by name, else by position.
HONE_API CompareResult compare(const Model& a, const Model& b, const CompareOptions& options = {});
/// Runs the file in Hone and in another runtime, "openvino" or "onnxruntime", which Python must have. Throws `Error`:
/// usage (no such peer), failed (Python or the package is missing), unsupported (the peer refuses the model).
HONE_API CompareResult compare_with_peer(const std::string& file, const std::string& peer,
                                         const CompareOptions& options = {});

/// One thing that conversion did to one node.
struct ConvertChange {
  std::string kind;  ///< "upgraded" while reading, "fused", "folded" to a constant, or "removed"
  std::string node;  ///< in the result for fused, else of the file
  std::string
      detail;  ///< upgraded: `Gemm-11 -> MatMul + Add`; fused: the operator; folded, removed: the pass that did it
  std::vector<std::string> from;  ///< fused: the nodes of the file that it stands for
};
/// What `convert` did.
struct ConvertReport {
  std::string out;                     ///< the file written
  int64_t nodes = 0;                   ///< of the result
  int64_t fused = 0;                   ///< operators that became part of another
  int64_t folded = 0;                  ///< operators that became constants
  std::vector<std::string> changes;    ///< one line a pass that changed something
  std::vector<ConvertChange> by_node;  ///< in the order of the file
};
/// What `hone convert` is told. Values that belong to one input may begin with `NAME=`; without it they go to the only
/// picture input, that is the only one of 4 dimensions.
struct ConvertOptions {
  std::vector<std::string>
      inputs;  ///< `NAME[SHAPE]:TYPE=VALUE`, each part behind the name optional: shape, type, frozen value, or a cut
  std::vector<std::string> outputs;  ///< tensor names at which the graph ends; empty: its own outputs
  std::vector<std::string>
      layout;  ///< `NCHW` (what the model's input is) or `NCHW->NHWC` (and what the result's takes)
  std::vector<std::string>
      mean;  ///< numbers with commas, one or one a channel in the model's order: (x - mean) / scale
  std::vector<std::string> scale;             ///< likewise; none may be 0
  std::vector<std::string> reverse_channels;  ///< input names, "" for the only picture input; before mean and scale
  std::vector<std::string>
      resize;  ///< `HEIGHTxWIDTH` or `any`, then `:linear` (default), `:cubic` or `:nearest`: pictures the result takes
  std::string batch;                ///< `8`, `1..8` or `?`; empty: as it is
  std::vector<std::string> rename;  ///< `OLD=NEW` tensor names
  bool fp16 = false;                ///< weights as f16
  int opset = 0;                    ///< of ONNX; 0: Hone's default
  bool force = false;               ///< overwrite the result
  std::string network;              ///< of a file of weights alone: `NAME` or `NAME:key=value,...` of the zoo
};
/// Reads, changes and writes a model; forms by suffix. Picture steps become part of the graph, as `hone/preprocess.hpp`
/// describes. Throws `Error`; an existing result then stays as it was.
HONE_API ConvertReport convert(const std::string& in, const std::string& out, const ConvertOptions& options = {});

/// An operator that has no gradient.
struct BlockingOperator {
  std::string node;    ///< its name
  std::string op;      ///< its operator
  std::string reason;  ///< why no gradient passes
};
/// Operators that no gradient passes through on the way from weights to outputs. Empty: the model can be trained.
HONE_API std::vector<BlockingOperator> trainable_report(const Model& model);
/// The graph as a drawing.
HONE_API std::string to_svg(const Model& model);
/// Operators that no kernel runs, not even the reference.
HONE_API std::vector<std::string> unsupported_operators(const Model& model);

/// One case of `conformance`.
struct ConformanceCase {
  std::string name;    ///< folder of the case
  std::string status;  ///< pass | fail | refused | crash
  std::string reason;  ///< empty for pass
  double max_abs = 0;  ///< largest difference to the expected outputs
};
/// Folders with `io.json` or ONNX `test_data_set_*`, and archives of them. Files of weights alone are run as `network`,
/// or as the one network of the zoo that fits.
HONE_API std::vector<ConformanceCase> conformance(const std::string& folder,
                                                  const std::function<bool(size_t done, size_t of)>& progress = {},
                                                  const std::string& network = {});

}  // namespace hone
