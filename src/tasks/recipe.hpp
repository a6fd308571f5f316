// Choices that nobody wants to make by hand: network, input size, batch, learning rate, epochs and augmentation from
// what the data are.
#pragma once
#include <string>

#include "data/augment.hpp"
#include "data/dataset.hpp"
#include "data/preprocess.hpp"
#include "data/split.hpp"

namespace hone {

struct Recipe {
  std::string network;
  data::Preprocessing preprocessing;
  data::Augmentation augmentation;
  int64_t batch = 128, epochs = 8;
  double learning_rate = 0.1;
};

/// What the user fixed already; zero and empty mean free.
struct RecipeRequest {
  std::string network;
  int64_t size = 0, batch = 0, epochs = 0;
  double learning_rate = 0;
  std::string augmentation;  ///< comma-separated names, "none", or empty
};

/// Reads headers and a sample of pictures. Throws `Error`.
Recipe choose_recipe(const data::Dataset& data, const data::Split& split, const RecipeRequest& request);

/// "flip,crop,rotate,colour,cutout,mixup" for pictures of `size`. Throws `Error` (usage) for unknown names.
data::Augmentation parse_augmentation(const std::string& names, int64_t size);

}  // namespace hone
