// Choices that nobody wants to make by hand: network, input size, batch, learning rate, epochs and augmentation from
// what the data are.
#pragma once
#include <optional>
#include <string>

#include "data/augment.hpp"
#include "data/dataset.hpp"
#include "data/preprocess.hpp"
#include "data/split.hpp"
#include "grad/train_step.hpp"

namespace hone {

struct Recipe {
  std::string network;
  data::Preprocessing preprocessing;
  data::Augmentation augmentation;
  int64_t batch = 128, epochs = 8;
};

/// What the user fixed already; zero and empty mean free.
struct RecipeRequest {
  std::string network;
  int64_t size = 0, batch = 0, epochs = 0;
  std::string augmentation;                    ///< comma-separated names, "none", or empty
  std::optional<data::Preprocessing> input{};  ///< of a model file; a width of 0 is free
  bool measure = true;                         ///< of `input`: mean and scale come from the pictures
};

/// Reads headers and a sample of pictures. Throws `Error`.
Recipe choose_recipe(const data::Dataset& data, const data::Split& split, const RecipeRequest& request);

/// Peak learning rate for the batch that is really used: in proportion to it (Goyal et al. 2017), and a tenth for a
/// model that brings trained weights, which larger steps would undo before they adapt it.
double default_learning_rate(OptimizerKind optimizer, int64_t batch, bool trained);

/// Largest global norm of the gradients, 0 for any. Weights that come with a model may meet pixels, and give scores, of
/// any size: without a bound the first steps can throw away what they know.
double default_clip_norm(bool trained);

/// Largest gradient of a unit relative to its weights (adaptive gradient clipping), 0 for any. Networks that were made
/// for raw pixels have gradients thousands of times as large as their weights, in some layers only, where one bound
/// for all stops the others; ordinary gradients are far below it.
double default_unit_clip(bool trained);

/// "flip,crop,rotate,colour,cutout,mixup" for pictures of `size`. Throws `Error` (usage) for unknown names.
data::Augmentation parse_augmentation(const std::string& names, int64_t size);

}  // namespace hone
