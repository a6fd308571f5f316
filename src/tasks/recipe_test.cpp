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
  const Recipe r = choose_recipe(*d, all_of(*d), {"resnet8", 32, 7, 3, 0.5, "cutout"});
  EXPECT_EQ(r.network, "resnet8");
  EXPECT_EQ(r.preprocessing.width, 32);
  EXPECT_EQ(r.batch, 7);
  EXPECT_EQ(r.epochs, 3);
  EXPECT_EQ(r.learning_rate, 0.5);
  EXPECT_GT(r.augmentation.cutout, 0);
  EXPECT_EQ(r.augmentation.flip_horizontal, 0);
}

TEST(Recipe, names_the_augmentations_it_knows) {
  EXPECT_THROW(parse_augmentation("flip,swirl", 28), Error);
  EXPECT_EQ(parse_augmentation("crop", 32).crop_padding, 4);
}

}  // namespace hone
