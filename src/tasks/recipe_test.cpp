#include "tasks/recipe.hpp"

#include <gtest/gtest.h>

#include "hone/error.hpp"

namespace hone {
namespace {

std::unique_ptr<data::Dataset> flat(int side, size_t n) {
  auto pixels = std::make_shared<std::vector<uint8_t>>(n * static_cast<size_t>(side) * static_cast<size_t>(side), 100);
  for (size_t i = 0; i < pixels->size(); i += 2) (*pixels)[i] = 120;
  data::PixelBlock block;
  block.name = "flat";
  block.width = block.height = side;
  for (size_t i = 0; i < n; ++i) block.labels.push_back(static_cast<uint8_t>(i % 2));
  block.pixels = pixels->data();
  block.owner = pixels;
  return data::make_memory_dataset("flat", {"a", "b"}, {block});
}

data::Split all_of(const data::Dataset& d) {
  data::Split s;
  s.train = d.indices(data::Part::none);
  return s;
}

}  // namespace

TEST(Recipe, takes_small_pictures_as_they_are) {
  const auto d = flat(28, 60);
  const Recipe r = choose_recipe(*d, all_of(*d), {});
  EXPECT_EQ(r.network, "resnet20");
  EXPECT_EQ(r.preprocessing.width, 28);
  EXPECT_EQ(r.preprocessing.resize, data::ResizeRule::stretch);
  EXPECT_EQ(r.preprocessing.color, data::ColorOrder::grey);
  EXPECT_EQ(r.preprocessing.mean, (std::vector<double>{110}));
  EXPECT_EQ(r.preprocessing.scale, (std::vector<double>{10}));
  EXPECT_EQ(r.epochs, 60);
}

TEST(Recipe, keeps_what_the_user_fixed) {
  const auto d = flat(28, 60);
  const Recipe r = choose_recipe(*d, all_of(*d), {"resnet8", 32, 7, 3, "cutout"});
  EXPECT_EQ(r.network, "resnet8");
  EXPECT_EQ(r.preprocessing.width, 32);
  EXPECT_EQ(r.batch, 7);
  EXPECT_EQ(r.epochs, 3);
  EXPECT_GT(r.augmentation.cutout, 0);
  EXPECT_EQ(r.augmentation.flip_horizontal, 0);
}

TEST(Recipe, takes_the_input_that_a_file_fixes) {
  const auto d = flat(28, 60);
  RecipeRequest request;
  request.input.emplace();
  request.input->width = 40;
  request.input->height = 48;
  request.input->layout = data::PixelLayout::nhwc;
  request.input->scale = {255};
  request.measure = false;
  Recipe r = choose_recipe(*d, all_of(*d), request);
  EXPECT_EQ(r.preprocessing, *request.input);
  EXPECT_EQ(r.augmentation.crop_padding, 5);
  // An open size is that of the data; pixels that nobody described are measured.
  request.input->width = request.input->height = 0;
  request.measure = true;
  r = choose_recipe(*d, all_of(*d), request);
  EXPECT_EQ(r.preprocessing.width, 28);
  EXPECT_EQ(r.preprocessing.mean, (std::vector<double>{110, 110, 110}));
  EXPECT_EQ(r.preprocessing.scale, (std::vector<double>{10, 10, 10}));
}

TEST(Recipe, fills_what_moves_in_with_the_colour_of_the_edges) {
  // 100 and 120 in turns, row by row.
  const auto d = flat(28, 60);
  const Recipe r = choose_recipe(*d, all_of(*d), {});
  EXPECT_EQ(r.augmentation.fill, (std::vector<int64_t>{110}));
  EXPECT_GT(r.augmentation.crop_padding, 0);
}

TEST(Recipe, learning_rates_follow_batch_optimizer_and_what_the_weights_know) {
  EXPECT_DOUBLE_EQ(default_learning_rate(OptimizerKind::sgd, 128, false), 0.2);
  EXPECT_DOUBLE_EQ(default_learning_rate(OptimizerKind::sgd, 32, false), 0.05);
  EXPECT_DOUBLE_EQ(default_learning_rate(OptimizerKind::sgd, 32, true), 0.005);
  EXPECT_DOUBLE_EQ(default_learning_rate(OptimizerKind::sgd, 1, true), 0.02 / 128);
  EXPECT_DOUBLE_EQ(default_learning_rate(OptimizerKind::adamw, 64, false), 1e-3);
  EXPECT_DOUBLE_EQ(default_learning_rate(OptimizerKind::adamw, 64, true), 1e-4);
  EXPECT_EQ(default_clip_norm(false), 0);
  EXPECT_GT(default_clip_norm(true), 0);
  EXPECT_EQ(default_unit_clip(false), 0);
  EXPECT_GT(default_unit_clip(true), 0);
}

TEST(Recipe, names_the_augmentations_it_knows) {
  EXPECT_THROW(parse_augmentation("flip,swirl", 28), Error);
  EXPECT_EQ(parse_augmentation("crop", 32).crop_padding, 4);
}

}  // namespace hone
