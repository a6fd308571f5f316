// What several jobs of the API share.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "compile/compile.hpp"
#include "compress/runner.hpp"
#include "data/dataset.hpp"
#include "data/split.hpp"
#include "hone/tasks.hpp"
#include "tasks/metrics.hpp"
#include "tasks/model_info.hpp"

namespace hone {

/// Does the graph hold quantizers?
bool is_quantized(const Graph& g);
/// The precision for a name (empty: the file's own arithmetic, int8 for quantized graphs, else f32). Throws `Error`
/// (usage) where int8 is asked of a float file, with the line to type.
Precision choose_precision(const std::string& name, const Graph& g, const std::string& path);
/// bf16 where this CPU multiplies bf16, else f32.
Precision training_precision(const std::string& name);

/// The model's information. Throws `Error` (usage) where the file carries none.
ModelInfo require_info(const Graph& g, const std::string& path);

/// What the call says of pictures, put over what is known. Throws `Error` (usage) where it does not fit the channels.
void take_picture_options(data::Preprocessing& p, const PictureOptions& o, const std::string& verb);
/// How pictures become the model's only input and what its scores are called: as the file says, changed by what the
/// call says; labels are empty where neither names them. Throws `Error`: usage where neither says how, unsupported
/// where the input takes no pictures of a fixed size.
ModelInfo classifier_info(const Graph& g, const std::string& path, const PictureOptions& o,
                          const std::vector<std::string>& labels, const std::string& verb);

/// How a picture becomes an input of this shape that says nothing else: its size and channels, samples as they are.
/// Nothing where the shape is none of pictures. `layout` is "NCHW", "NHWC" or empty (from the shape).
std::optional<data::Preprocessing> picture_preprocessing(const PartialShape& shape, const std::string& layout);

/// Samples of a part. The model's own split is used where it was made for these data, else the data's parts; "all"
/// takes everything. Throws `Error` where the part is empty.
std::vector<uint32_t> part_samples(const data::Dataset& data, const std::string& part, const ModelInfo* info);
/// Data labels in the order of the model's. Throws `Error` where the names differ.
void check_labels(const data::Dataset& data, const ModelInfo& info);

/// Runs graphs with the compiled engine.
MakeRunner compiled_runner(int threads, Precision precision = Precision::f32);

/// Scores `samples`; softmaxed outputs are recognised. Throws what scoring throws.
ClassificationMetrics measure(const Graph& g, const data::Dataset& data, const std::vector<uint32_t>& samples,
                              const data::Preprocessing& preprocessing, Precision precision, int threads,
                              const std::string& stage = "test", const ProgressCallback& progress = {});
/// The same on a compiled model, which has one batch size.
ClassificationMetrics measure(CompiledGraph& model, bool probabilities, const data::Dataset& data,
                              const std::vector<uint32_t>& samples, const data::Preprocessing& preprocessing,
                              const std::string& stage, const ProgressCallback& progress);
/// Pictures that are scored at a time.
inline constexpr int64_t score_batch = 100;
TestResult test_result(const ClassificationMetrics& m, const data::Dataset& data,
                       const std::vector<std::string>& labels, size_t worst = 24);

/// Does the model end in a Softmax?
bool gives_probabilities(const Graph& g);

double peak_rss_mb();

/// The folder is there and takes files, or can be made. Throws `Error` (failed). Nothing is created.
void check_folder(const std::string& path);
/// Creates the folder (and its parents). Throws `Error` where it cannot.
void make_folder(const std::string& path);
std::string sha256_of_file(const std::string& path);

}  // namespace hone
