#include "data/preprocess.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "data/small_pictures_test.hpp"
#include "data/test_data_test.hpp"
#include "hone/error.hpp"
#include "tensor/fields.hpp"

namespace hone::data {
namespace {

TEST(preprocess, normalizes_and_orders_channels) {
  Preprocessing p;
  p.width = 2;
  p.height = 1;
  p.color = ColorOrder::bgr;
  p.mean = {10, 20, 30};  // in the order of the output: blue first
  p.scale = {2};
  const Image image = filled(2, 1, {90, 60, 50});
  EXPECT_EQ(p.apply(image).to_doubles(), (std::vector<double>{20, 20, 20, 20, 30, 30}));
  EXPECT_EQ(p.apply(image).shape(), (Shape{1, 3, 1, 2}));
  p.layout = PixelLayout::nhwc;
  EXPECT_EQ(p.apply(image).to_doubles(), (std::vector<double>{20, 20, 30, 20, 20, 30}));
  EXPECT_EQ(p.apply(image).shape(), (Shape{1, 1, 2, 3}));
}

TEST(preprocess, letterboxes_with_borders) {
  Preprocessing p;
  p.resize = ResizeRule::letterbox;
  p.width = p.height = 4;
  p.fill = {114};
  p.color = ColorOrder::grey;
  const Image image = p.fit(filled(8, 4, {200}));
  EXPECT_EQ(std::vector<uint8_t>(image.data(), image.data() + 16),
            (std::vector<uint8_t>{114, 114, 114, 114, 200, 200, 200, 200, 200, 200, 200, 200, 114, 114, 114, 114}));
  p.anchor = Anchor::top_left;
  EXPECT_EQ(p.fit(filled(8, 4, {200})).row(0)[0], 200);
  EXPECT_EQ(p.fit(filled(8, 4, {200})).row(3)[0], 114);
}

TEST(preprocess, crops_the_middle) {
  Preprocessing p;
  p.resize = ResizeRule::crop;
  p.width = p.height = 2;
  p.color = ColorOrder::grey;
  Image image(6, 2, 1);
  for (int x = 0; x < 6; ++x) image.pixel(x, 0)[0] = image.pixel(x, 1)[0] = uint8_t(10 * x);
  const Image out = p.fit(image);
  EXPECT_EQ(std::vector<uint8_t>(out.data(), out.data() + 4), (std::vector<uint8_t>{20, 30, 20, 30}));
  p.crop_fraction = 0.5;
  EXPECT_EQ(p.fit(filled(100, 40, {7})).width(), 2);
}

TEST(preprocess, treats_alpha_and_grey_as_told) {
  Preprocessing p;
  p.resize = ResizeRule::exact;
  EXPECT_EQ(p.fit(filled(1, 1, {5})), filled(1, 1, {5, 5, 5}));
  EXPECT_EQ(p.fit(filled(1, 1, {5, 6, 7, 0})), filled(1, 1, {5, 6, 7}));
  p.alpha = AlphaRule::blend;
  p.fill = {255};
  EXPECT_EQ(p.fit(filled(1, 1, {5, 6, 7, 0})), filled(1, 1, {255, 255, 255}));
  p.alpha = AlphaRule::refuse;
  EXPECT_THROW(p.fit(filled(1, 1, {5, 6, 7, 0})), Error);
  p.channel_rule = ChannelRule::refuse;
  try {
    p.fit(filled(1, 1, {5}));
    FAIL() << "a grey picture was taken";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(e.what()).find("1 channel, the model takes 3"), std::string::npos) << e.what();
  }
  p.width = p.height = 2;
  EXPECT_THROW(p.fit(filled(3, 2, {1, 2, 3})), Error);
}

TEST(preprocess, refuses_senseless_settings) {
  const auto refuses = [](auto change) {
    Preprocessing p;
    p.width = p.height = 8;
    change(p);
    EXPECT_THROW(p.validate(), Error);
  };
  refuses([](auto& p) { p.width = 0; });
  refuses([](auto& p) { p.width = p.height = 0; });
  refuses([](auto& p) { p.width = 1 << 20; });
  refuses([](auto& p) { p.scale = {0}; });
  refuses([](auto& p) { p.mean = {1, 2}; });
  refuses([](auto& p) { p.mean = {NAN}; });
  refuses([](auto& p) { p.fill = {256}; });
  refuses([](auto& p) { p.fill = {}; });
  refuses([](auto& p) { p.crop_fraction = 1.5; });
}

TEST(preprocess, is_stored_and_read_back_with_a_model) {
  Preprocessing a;
  a.resize = ResizeRule::letterbox;
  a.width = 320;
  a.height = 240;
  a.filter = Filter::bicubic;
  a.mean = {127.5};
  a.scale = {1, 2, 3};
  a.alpha = AlphaRule::blend;
  a.exif_orientation = false;
  FieldWriter writer;
  visit_fields(a, writer);
  const auto bytes = writer.take();
  Preprocessing b;
  FieldReader reader(bytes);
  visit_fields(b, reader);
  EXPECT_EQ(a, b);
}

TEST(preprocess, reproduces_pillow_on_a_photograph) {
  const std::string dir = data_folder("datasets/images");
  if (dir.empty()) GTEST_SKIP() << "no sample pictures: set HONE_DATA";
  Preprocessing p;
  p.width = 192;
  p.height = 48;
  p.mean = p.scale = {127.5};
  const Tensor t = p.apply_file(dir + "/text_cls.jpg");
  double sum = 0;
  for (double v : t.to_doubles()) sum += v;
  // Pillow: sum((resize(192x48, bilinear) - 127.5) / 127.5); the sum of 27648 floats rounds in the last digits
  EXPECT_NEAR(sum, 16973.61568627451, 0.01);
  try {
    p.apply_file(dir + "/missing.jpg");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(e.where().find("missing.jpg"), std::string::npos);
  }
}

}  // namespace
}  // namespace hone::data
