// A linear probe: the classifier that reads the features of a network as they are. It is where fine-tuning with a new
// head begins, since what a random head sends back would spoil the features before it has learned to read them (Kumar
// et al. 2022, "Fine-tuning can distort pretrained features and underperform out-of-distribution").
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "compile/compile.hpp"
#include "data/dataset.hpp"
#include "data/preprocess.hpp"
#include "tasks/classifier_head.hpp"

namespace hone {

struct LinearProbe {
  std::vector<float> weights;  ///< [classes, features]
  std::vector<float> bias;     ///< [classes]; zeros without an intercept
};

struct LinearProbeOptions {
  double label_smoothing = 0.1;  ///< without it the weights of separable features would grow without end
  double weight_decay = 1e-3;    ///< on features of mean variance 1
  int iterations = 200;
  bool intercept = true;
};

/// Multinomial logistic regression on `features` [labels.size(), width], by accelerated gradient descent (Nesterov
/// 1983) with the step that the largest eigenvalue of the features allows: nothing to choose, whatever their scale. One
/// thread, the same bits everywhere.
LinearProbe fit_probe(std::span<const float> features, std::span<const int64_t> labels, size_t width, size_t classes,
                      const LinearProbeOptions& options = {});

/// Fits the new head of `model` to the features of `samples` (evenly spaced ones of them where there are many) as
/// `preprocessing` makes them, averaged over places where the head is a convolution before pooling. False, and nothing
/// changed, where the scores are not a linear function of them; but for a Relu before pooling, below which the scores
/// are not let. `progress(done, of)` false stops with `Error` (interrupted). Throws what scoring throws.
bool probe_head(Graph& model, const ClassifierHead& head, const data::Dataset& data,
                const std::vector<uint32_t>& samples, const data::Preprocessing& preprocessing,
                const CompileOptions& options, const LinearProbeOptions& probe = {},
                const std::function<bool(size_t, size_t)>& progress = {});

}  // namespace hone
