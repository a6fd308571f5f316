#include "data/augment.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "data/small_pictures_test.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

Image ramp(int w, int h, int c) {
  Image image(w, h, c);
  for (size_t i = 0; i < image.byte_size(); ++i) image.data()[i] = uint8_t(i * 5 + 1);
  return image;
}

TEST(random, gives_the_same_numbers_on_every_machine) {
  Random r{1, 2, 3};
  EXPECT_EQ(r.bits(), Random({1, 2, 3}).bits());
  EXPECT_NE(Random({1, 2, 3}).bits(), Random({1, 3, 2}).bits());
  double sum = 0, squares = 0;
  for (int i = 0; i < 20000; ++i) {
    const double v = r.uniform();
    sum += v;
    squares += v * v;
    ASSERT_LT(r.below(7), 7u);
  }
  // standard errors: 0.002 and 0.002
  EXPECT_NEAR(sum / 20000, 0.5, 0.01);
  EXPECT_NEAR(squares / 20000, 1.0 / 3, 0.01);
}

TEST(random, draws_beta_with_the_right_moments) {
  Random r{5};
  for (double alpha : {0.2, 1.0, 4.0}) {
    double sum = 0, squares = 0;
    constexpr int n = 20000;
    for (int i = 0; i < n; ++i) {
      const double v = r.beta(alpha, alpha);
      ASSERT_TRUE(v >= 0 && v <= 1);
      sum += v;
      squares += (v - 0.5) * (v - 0.5);
    }
    EXPECT_NEAR(sum / n, 0.5, 0.015) << alpha;
    EXPECT_NEAR(squares / n, 1 / (4 * (2 * alpha + 1)), 0.008) << alpha;
  }
}

TEST(augment, places_rows_as_padding_cropping_and_flipping_would) {
  for (int channels : {1, 3}) {
    const Image image = ramp(7, 5, channels);
    const Color fill{9, 8, 7, 255};
    for (int dx = -8; dx <= 8; dx += 2) {
      for (int dy = -6; dy <= 6; dy += 3) {
        for (int flips = 0; flips < 4; ++flips) {
          const Placement p{(flips & 1) != 0, (flips & 2) != 0, dx, dy};
          Image out;
          place(image, p, fill, out);
          Image expected = crop(pad(image, 8, 6, 8, 6, fill), 8 + dx, 6 + dy, 7, 5);
          if (p.flip_x) expected = flip_horizontal(expected);
          if (p.flip_y) expected = flip_vertical(expected);
          ASSERT_EQ(out, expected) << channels << " " << dx << " " << dy << " " << flips;
        }
      }
    }
  }
}

TEST(augment, depends_on_seed_epoch_and_sample_only) {
  Augmentation a;
  a.flip_horizontal = 0.5;
  a.crop_padding = 2;
  a.rotate = 20;
  a.brightness = a.contrast = a.saturation = 0.3;
  a.hue = 0.1;
  a.cutout = 1;
  const Image image = ramp(16, 16, 3);
  EXPECT_EQ(augmented(image, a, 1, 2, 3), augmented(image, a, 1, 2, 3));
  EXPECT_NE(augmented(image, a, 1, 2, 3), augmented(image, a, 2, 2, 3));
  EXPECT_NE(augmented(image, a, 1, 2, 3), augmented(image, a, 1, 3, 3));
  EXPECT_NE(augmented(image, a, 1, 2, 3), augmented(image, a, 1, 2, 4));
}

TEST(augment, flips_with_the_asked_probability_and_crops_evenly) {
  Augmentation a;
  a.flip_horizontal = 0.25;
  a.crop_padding = 1;
  int flipped = 0;
  std::set<std::pair<int, int>> offsets;
  for (uint64_t i = 0; i < 4000; ++i) {
    const Placement p = SampleDraws(a, 0, 0, i).placement();
    flipped += p.flip_x;
    EXPECT_FALSE(p.flip_y);
    offsets.insert({p.dx, p.dy});
  }
  EXPECT_NEAR(flipped / 4000.0, 0.25, 0.03);  // 4 standard errors
  EXPECT_EQ(offsets.size(), 9u);
}

TEST(augment, one_change_does_not_disturb_another) {
  Augmentation a;
  a.flip_horizontal = 0.5;
  Augmentation b = a;
  b.crop_padding = 3;
  b.brightness = 0.5;
  for (uint64_t i = 0; i < 50; ++i)
    EXPECT_EQ(SampleDraws(a, 1, 1, i).placement().flip_x, SampleDraws(b, 1, 1, i).placement().flip_x);
}

TEST(augment, adjusts_colors) {
  Image image(1, 1, 3);
  const auto set = [&](uint8_t r, uint8_t g, uint8_t b) {
    image.data()[0] = r;
    image.data()[1] = g;
    image.data()[2] = b;
  };
  const auto is = [&](int r, int g, int b) {
    return image.data()[0] == r && image.data()[1] == g && image.data()[2] == b;
  };
  set(10, 20, 30);
  adjust_colors(image, 1, 1, 1, 0);
  EXPECT_TRUE(is(10, 20, 30));
  adjust_colors(image, 2, 1, 1, 0);
  EXPECT_TRUE(is(20, 40, 60));
  adjust_colors(image, 1, 1, 0, 0);  // luma 0.299*20 + 0.587*40 + 0.114*60 = 36.3
  EXPECT_TRUE(is(36, 36, 36));
  set(255, 0, 0);
  adjust_colors(image, 1, 1, 1, 1.0 / 3);  // a third round: red becomes green
  EXPECT_TRUE(is(0, 255, 0));
  set(200, 200, 200);
  adjust_colors(image, 2, 1, 1, 0);
  EXPECT_TRUE(is(255, 255, 255));
  Image two = grey(2, 1, {0, 100});
  adjust_colors(two, 1, 0.5, 1, 0);  // about the mean of 50
  EXPECT_EQ(two, grey(2, 1, {25, 75}));
}

TEST(augment, cuts_a_square_out) {
  Augmentation a;
  a.cutout = 1;
  a.cutout_size = 0.5;
  a.fill = {200};
  const Image image(8, 8, 1);
  bool whole_square = false;
  for (uint64_t i = 0; i < 40; ++i) {
    const Image out = augmented(image, a, 0, 0, i);
    int cut = 0;
    for (size_t k = 0; k < 64; ++k) cut += out.data()[k] == 200;
    EXPECT_TRUE(cut >= 4 && cut <= 16) << cut;
    whole_square = whole_square || cut == 16;
  }
  EXPECT_TRUE(whole_square);
}

TEST(augment, refuses_senseless_settings) {
  const auto refuses = [](auto change) {
    Augmentation a;
    change(a);
    EXPECT_THROW(a.validate(), Error);
  };
  refuses([](auto& a) { a.flip_horizontal = 1.5; });
  refuses([](auto& a) { a.area_min = 0; });
  refuses([](auto& a) { a.crop_padding = -1; });
  refuses([](auto& a) { a.rotate = NAN; });
  refuses([](auto& a) { a.cutout_size = 0; });
  refuses([](auto& a) { a.mixup = -1; });
  refuses([](auto& a) { a.fill = {1, 2}; });
}

}  // namespace
}  // namespace hone::data
