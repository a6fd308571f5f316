#include "data/resize.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "hone/error.hpp"
#include "tensor/fields.hpp"

namespace hone::data {
namespace {

// A fixed pattern with edges and smooth parts; the oracle script computed the same.
Image pattern(int w, int h, int c) {
  Image image(w, h, c);
  for (uint32_t y = 0; y < uint32_t(h); ++y) {
    for (uint32_t x = 0; x < uint32_t(w); ++x) {
      for (uint32_t k = 0; k < uint32_t(c); ++k) {
        image.pixel(int(x), int(y))[k] = uint8_t((x * x * 7 + y * 13 + x * y * 3 + k * 41) % 256);
      }
    }
  }
  return image;
}

TEST(resize, equals_pillow_bit_for_bit) {
  // FNV-1a of the pixels that Pillow 13 gives for the same picture, filter and box.
  struct {
    int w, h, c, out_w, out_h;
    Filter filter;
    Box box;
    uint64_t hash;
  } const cases[] = {
      {13, 9, 1, 5, 4, Filter::bilinear, {0, 0, 13, 9}, 0x31404e47b2cfa12eu},
      {13, 9, 3, 5, 4, Filter::bilinear, {0, 0, 13, 9}, 0xcabc6ec0fcb86032u},
      {13, 9, 3, 20, 31, Filter::bilinear, {0, 0, 13, 9}, 0x1dca0ae04d538679u},
      {13, 9, 3, 6, 17, Filter::bicubic, {0, 0, 13, 9}, 0x4df26db9036d8640u},
      {13, 9, 4, 6, 5, Filter::bicubic, {0, 0, 13, 9}, 0xa929ba55015e5f90u},
      {13, 9, 4, 29, 20, Filter::bilinear, {0, 0, 13, 9}, 0xc6e325db60c39422u},
      {13, 9, 3, 13, 4, Filter::bilinear, {0, 0, 13, 9}, 0x86d2f7f887dbd6dfu},
      {13, 9, 3, 7, 9, Filter::bicubic, {0, 0, 13, 9}, 0x11dd61cdce43dde4u},
      {13, 9, 3, 5, 7, Filter::nearest, {0, 0, 13, 9}, 0xc9ac300d0964bf3au},
      {40, 30, 1, 17, 71, Filter::nearest, {0, 0, 40, 30}, 0xea75f4458cb4e1b1u},
      {97, 61, 3, 32, 32, Filter::bilinear, {0, 0, 97, 61}, 0xa1f49271ea745f38u},
      {97, 61, 3, 32, 32, Filter::bicubic, {3.5, 2.25, 80.75, 60.0}, 0xcd2b9b67a21fa57fu},
      {97, 61, 1, 64, 10, Filter::bilinear, {10, 5, 97, 61}, 0x08de1ab30a0f9864u},
  };
  for (const auto& t : cases) {
    const Image out = resize(pattern(t.w, t.h, t.c), t.out_w, t.out_h, t.filter, t.box);
    EXPECT_EQ(hash_bytes(out.data(), out.byte_size()), t.hash)
        << t.w << "x" << t.h << "x" << t.c << " to " << t.out_w << "x" << t.out_h << " filter " << int(t.filter);
  }
  const Image small = resize(pattern(13, 9, 1), 5, 4);
  const std::vector<uint8_t> expected = {27, 106, 141, 134, 129, 60,  127, 113, 119, 125,
                                         97, 140, 112, 136, 118, 130, 136, 146, 132, 125};
  EXPECT_EQ(std::vector<uint8_t>(small.data(), small.data() + 20), expected);
}

TEST(resize, to_the_same_size_changes_nothing) {
  const Image a = pattern(11, 7, 3);
  for (Filter f : {Filter::nearest, Filter::bilinear, Filter::bicubic}) EXPECT_EQ(resize(a, 11, 7, f), a);
}

TEST(resize, handles_single_pixels) {
  const Image one = pattern(1, 1, 3);
  const Image big = resize(one, 9, 4, Filter::bicubic);
  for (int i = 0; i < 36; ++i) EXPECT_EQ(std::memcmp(big.data() + 3 * i, one.data(), 3), 0);
  EXPECT_EQ(resize(pattern(500, 3, 1), 1, 1).byte_size(), 1u);
}

TEST(resize, refuses_empty_sizes_and_boxes_outside) {
  const Image a = pattern(4, 4, 1);
  EXPECT_THROW(resize(a, 0, 3), Error);
  EXPECT_THROW(resize(Image(), 3, 3), Error);
  EXPECT_THROW(resize(a, 2, 2, Filter::bilinear, {0, 0, 5, 4}), Error);
  EXPECT_THROW(resize(a, 2, 2, Filter::nearest, {2, 0, 2, 4}), Error);
}

}  // namespace
}  // namespace hone::data
