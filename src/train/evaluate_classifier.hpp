// Runs a classifier over labelled pictures, a batch at a time.
#pragma once
#include <functional>
#include <vector>

#include "compile/compile.hpp"
#include "data/dataset.hpp"
#include "data/preprocess.hpp"

namespace hone {

/// Scores of one sample: its index in the data set, its label and the model's output row.
using ScoreSink = std::function<void(uint32_t sample, int64_t label, std::span<const float> scores)>;

/// `model` takes f32 [N, C, H, W] with a dynamic or fixed N and gives [N, classes] first. Compiled for `batch` (or the
/// fixed N) at the given precision; the last batch is filled up and the filling ignored. `progress(done, of)` false
/// stops with `Error` (interrupted).
void score_samples(const Graph& model, const data::Dataset& data, const std::vector<uint32_t>& samples,
                   const data::Preprocessing& preprocessing, const CompileOptions& options, int64_t batch,
                   const ScoreSink& sink, const std::function<bool(size_t, size_t)>& progress = {});

/// The same with a model that is compiled already; `batch` is the first dimension of its input.
void score_samples(CompiledGraph& model, const data::Dataset& data, const std::vector<uint32_t>& samples,
                   const data::Preprocessing& preprocessing, const ScoreSink& sink,
                   const std::function<bool(size_t, size_t)>& progress = {});

/// Gives a classifier's input the size of preprocessed pictures and, where N is dynamic, this batch. Throws `Error`
/// (unsupported).
void set_scoring_shape(Graph& g, const data::Preprocessing& preprocessing, int64_t batch);

/// A picture as an input of this type: integers, as quantized models take them, are the nearest ones within its range.
Tensor as_input(const Tensor& picture, ElementType type);

/// Index of the largest score; the first of equals.
int64_t best_class(std::span<const float> scores);

}  // namespace hone
