// Scores that a softmax can tell apart.
#pragma once
#include "compile/compile.hpp"
#include "data/dataset.hpp"
#include "data/preprocess.hpp"
#include "tasks/classifier_head.hpp"

namespace hone {

/// Networks made for raw pixels may give scores of thousands. Which one is largest is all that counts for them, but the
/// loss of a wrong answer is thousands too, and the gradient then makes everything smaller until nothing is left. Where
/// the scores of (evenly spaced) `samples` deviate from their mean by more than 30 in root mean square, the weights and
/// the bias of the head are divided by the temperature that leaves 3 (temperature scaling: Guo et al. 2017, "On
/// calibration of modern neural networks"). No answer changes. Returns the temperature: 1 where nothing was to do, or
/// where the scores are not a linear function of the head. Throws what scoring throws.
double temper_head(Graph& model, const ClassifierHead& head, const data::Dataset& data,
                   const std::vector<uint32_t>& samples, const data::Preprocessing& preprocessing,
                   const CompileOptions& options);

}  // namespace hone
