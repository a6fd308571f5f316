// Training as `train` and `auto` share it.
#pragma once
#include "api/job_support.hpp"
#include "tasks/recipe.hpp"
#include "train/trainer.hpp"

namespace hone {

struct TrainedModel {
  Graph graph;  ///< with its information
  ModelInfo info;
  Recipe recipe;
  data::Split split;
  TrainerResult result;
  Precision precision = Precision::f32;
  std::string file;
  std::string new_head;  ///< layer that was made anew; empty: none
};

/// Writes model.hone, checkpoint.safetensors, split.json, options.json and log.jsonl into `o.out`. Throws `Error`;
/// (interrupted) after saving.
TrainedModel run_training(const TrainOptions& o, const data::Dataset& data);

}  // namespace hone
