// From an inference graph to a trainable one and back. Weights keep the constants they came from, so that import, zero
// training steps and export is the identity.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "graph/graph.hpp"
#include "ops/evaluate.hpp"

namespace hone {

/// One constant of the model that became a Variable.
struct TrainableWeight {
  NodeId constant;          ///< node of the inference graph
  std::string variable_id;  ///< name of the Variable
  bool trainable;           ///< false: running statistics
  bool decays;              ///< weight decay applies: not for norms and biases
};

struct TrainingForm {
  Graph graph;  ///< Variables for weights, BatchNormTraining with explicit running statistics, Dropout switched on
  std::vector<TrainableWeight> weights;
};

struct TrainingFormOptions {
  /// Weights whose name this accepts are frozen: they stay constants.
  std::function<bool(const std::string& name)> frozen;
  double batch_norm_momentum = 0.1;
};

/// Constants that are weights (of convolutions, matrix products, norms, per-channel scales and biases, embeddings,
/// slopes) become Variables; BatchNormInference becomes BatchNormTraining with the ReLU and the residual behind it
/// where nothing else reads the value between.
TrainingForm to_training_form(const Graph& model, const TrainingFormOptions& options = {});

/// Gives each norm scales, biases and statistics of its own: files may store equal ones once. Training makes them
/// differ.
void separate_norms(Graph& model);

/// Puts contents of variables back into the constants of `model`, in the constants' own element type.
void write_back(Graph& model, const std::vector<TrainableWeight>& weights, const VariableStore& contents);

}  // namespace hone
