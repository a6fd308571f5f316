// The state of a training run between two steps: weights, optimizer, averages, position in the data. A run that goes on
// from it gives the same bits as one that never stopped.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "compile/compile.hpp"
#include "data/loader.hpp"
#include "train/trainer.hpp"

namespace hone {

struct Checkpoint {
  std::map<std::string, Tensor> states;        ///< Variables of the training step
  std::map<std::string, Tensor> best_weights;  ///< of the best epoch so far
  data::LoaderState loader;
  int64_t step = 0;  ///< steps done
  std::vector<EpochResult> epochs;
  double best_accuracy = -1;
  int64_t best_epoch = 0;
  double loss_sum = 0;  ///< of the epoch under way
  int64_t correct = 0, seen = 0;
  std::string fingerprint;  ///< of model, data and options: another run is refused
};

void save_checkpoint(const std::string& path, const Checkpoint& c);
/// Throws `Error` (unreadable) for another file, (usage) where the fingerprint differs.
Checkpoint load_checkpoint(const std::string& path, const std::string& fingerprint);

}  // namespace hone
