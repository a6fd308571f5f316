#include "data/geometry.hpp"

#include <gtest/gtest.h>

#include "data/small_pictures_test.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

TEST(geometry, crops_and_refuses_what_lies_outside) {
  const Image a = grey(3, 2, {0, 1, 2, 3, 4, 5});
  EXPECT_EQ(crop(a, 1, 0, 2, 2), grey(2, 2, {1, 2, 4, 5}));
  EXPECT_EQ(center_crop(a, 1, 2), grey(1, 2, {1, 4}));
  EXPECT_THROW(crop(a, 2, 0, 2, 1), Error);
  EXPECT_THROW(crop(a, -1, 0, 2, 1), Error);
  EXPECT_THROW(crop(a, 0, 0, 0, 1), Error);
}

TEST(geometry, pads_with_a_color) {
  EXPECT_EQ(pad(grey(1, 1, {5}), 1, 0, 2, 1, {9}), grey(4, 2, {9, 5, 9, 9, 9, 9, 9, 9}));
  EXPECT_THROW(pad(grey(1, 1, {5}), -1, 0, 0, 0, {}), Error);
}

TEST(geometry, flips_and_turns_exactly) {
  const Image a = grey(3, 2, {0, 1, 2, 3, 4, 5});
  EXPECT_EQ(flip_horizontal(a), grey(3, 2, {2, 1, 0, 5, 4, 3}));
  EXPECT_EQ(flip_vertical(a), grey(3, 2, {3, 4, 5, 0, 1, 2}));
  EXPECT_EQ(rotate_quarters(a, 1), grey(2, 3, {2, 5, 1, 4, 0, 3}));
  EXPECT_EQ(rotate_quarters(a, 2), grey(3, 2, {5, 4, 3, 2, 1, 0}));
  EXPECT_EQ(rotate_quarters(a, -1), grey(2, 3, {3, 0, 4, 1, 5, 2}));
  EXPECT_EQ(rotate_quarters(a, 4), a);
}

TEST(geometry, rotation_about_the_centre_agrees_with_quarter_turns) {
  const Image a = grey(3, 3, {10, 20, 30, 40, 50, 60, 70, 80, 90});
  EXPECT_EQ(rotate(a, 0, {}), a);
  EXPECT_EQ(rotate(a, 90, {}), rotate_quarters(a, 1));
  EXPECT_EQ(rotate(a, 180, {}), rotate_quarters(a, 2));
  // a wide picture loses what leaves the frame and fills what it uncovers
  const Image wide = rotate(grey(5, 1, {1, 2, 3, 4, 5}), 90, {77});
  EXPECT_EQ(wide, grey(5, 1, {77, 77, 3, 77, 77}));
}

TEST(geometry, converts_channels) {
  Image rgb(2, 1, 3);
  const uint8_t v[] = {255, 0, 0, 10, 20, 30};
  std::copy(v, v + 6, rgb.data());
  EXPECT_EQ(with_channels(rgb, 1), grey(2, 1, {76, 18}));  // 0.299 R + 0.587 G + 0.114 B
  const Image back = with_channels(grey(1, 1, {7}), 4);
  EXPECT_EQ(std::vector<uint8_t>(back.data(), back.data() + 4), (std::vector<uint8_t>{7, 7, 7, 255}));
  Image rgba(1, 1, 4);
  const uint8_t w[] = {100, 200, 0, 128};
  std::copy(w, w + 4, rgba.data());
  const Image over = blend_over(rgba, {255, 255, 255, 255});
  EXPECT_EQ(std::vector<uint8_t>(over.data(), over.data() + 3), (std::vector<uint8_t>{177, 227, 127}));
}

TEST(geometry, draws_clipped_rectangles_and_pastes) {
  Image a(4, 3, 1);
  draw_rectangle(a, -2, 0, 2, 5, {9});
  EXPECT_EQ(a, grey(4, 3, {9, 9, 9, 0, 0, 0, 9, 0, 0, 0, 9, 0}));
  Image b(3, 2, 1);
  paste(b, grey(2, 2, {1, 2, 3, 4}), 2, -1);
  EXPECT_EQ(b, grey(3, 2, {0, 0, 3, 0, 0, 0}));
  paste(b, grey(2, 2, {1, 2, 3, 4}), 5, 5);
  EXPECT_EQ(b, grey(3, 2, {0, 0, 3, 0, 0, 0}));
}

}  // namespace
}  // namespace hone::data
