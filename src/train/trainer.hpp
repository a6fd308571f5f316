// The training loop of a classifier: steps of one compiled program, validation, checkpoints, early stopping. What a
// step is, the graph says (grad/train_step.hpp); the trainer only feeds it.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "compile/compile.hpp"
#include "data/augment.hpp"
#include "data/dataset.hpp"
#include "data/loader.hpp"
#include "data/preprocess.hpp"
#include "grad/train_step.hpp"

namespace hone {

struct TrainerOptions {
  TrainStepOptions step;
  TrainingFormOptions form;
  int64_t batch = 128, epochs = 8;  ///< a batch that the model takes: see `training_batch`
  double learning_rate = 0.1;
  double warmup_epochs = 1;
  Precision precision = Precision::f32;
  int threads = 0;
  uint64_t seed = 0;
  bool keep_start = false;         ///< the model's own weights count as epoch 0: training may have made them worse
  int patience = 0;                ///< epochs without a better validation accuracy; 0: off
  double time_budget_seconds = 0;  ///< the schedule is shortened to what fits; 0: none
  std::string checkpoint;          ///< file written after each epoch and on a stop; empty: none
  std::string resume;              ///< checkpoint to go on from; empty: none
};

struct EpochResult {
  int64_t epoch = 0;  ///< 1-based
  double loss = 0, train_accuracy = 0, validation_accuracy = 0, learning_rate = 0;
  double images_per_s = 0;  ///< over the training steps, data loading included, validation excluded
  double seconds = 0;
};

struct TrainerProgress {
  int64_t epoch = 0, epochs = 0, step = 0, steps = 0;  ///< steps of the whole run
  double loss = 0, images_per_s = 0, eta_seconds = -1;
};

struct TrainerResult {
  Graph model;  ///< with the weights of the latest epoch within one standard error of the best validation accuracy
  std::vector<EpochResult> epochs;
  double best_accuracy = 0;  ///< on validation, of these weights
  int64_t best_epoch = 0;    ///< that they are from; 0: the model's own
  double images_per_s = 0, train_seconds = 0;
  bool stopped = false;  ///< the callback asked for it; the checkpoint holds the state
};

/// The batch to train `model` with: `wanted`, or the one that its file was made for where something inside insists on
/// that. Rates depend on it, so it is settled before them. Throws `Error` (unsupported) where pictures do not fit.
int64_t training_batch(const Graph& model, const data::Preprocessing& preprocessing, int64_t wanted);

/// Called after every step; false stops the run after saving a checkpoint.
using TrainerCallback = std::function<bool(const TrainerProgress&)>;

/// Trains `model` (input f32 [N, C, H, W], output [N, classes]) on `train` samples of `data`; `val` may be empty.
/// The same seed, data and options give the same weights on any number of threads. Throws `Error`.
TrainerResult train_classifier(const Graph& model, const data::Dataset& data, const std::vector<uint32_t>& train,
                               const std::vector<uint32_t>& val, const data::Preprocessing& preprocessing,
                               const data::Augmentation& augmentation, const TrainerOptions& options,
                               const TrainerCallback& callback = {});

}  // namespace hone
