// The self-contained picture header against the toolkit it is made from.
#include <gtest/gtest.h>

#include <filesystem>

#include "data/preprocess.hpp"
#include "data/test_data_test.hpp"
#include "data/test_folder_test.hpp"
#include "hone/tensor.hpp"
#include "tensor/fields.hpp"

// Generated; behind all others, because it brings the headers of libjpeg and libpng.
#include "hone_picture.hpp"

namespace hone::data {
namespace {

/// A preprocessing as the metadata of a model hold it: every field as the text of the field printer.
std::string as_json(Preprocessing p) {
  FieldPrinter printer;
  visit_fields(p, printer);
  std::string s = "{";
  for (const auto& [name, text] : printer.take()) {
    std::string quoted;
    for (char c : text) quoted += c == '"' ? std::string("\\\"") : std::string(1, c);
    s += (s.size() > 1 ? ", \"" : "\"") + name + "\": \"" + quoted + "\"";
  }
  return s + "}";
}

Preprocessing settings(int variant) {
  Preprocessing p;
  p.resize = variant % 2 ? ResizeRule::letterbox : ResizeRule::crop;
  p.width = 40 + 8 * variant;
  p.height = 56;
  p.filter = variant % 3 ? Filter::bilinear : Filter::bicubic;
  p.color = variant % 3 == 2 ? ColorOrder::grey : variant % 3 ? ColorOrder::bgr : ColorOrder::rgb;
  p.mean = {123.675};
  p.scale = {58.395};
  p.fill = {1, 2, 3};
  p.alpha = AlphaRule::blend;
  p.layout = variant % 2 ? PixelLayout::nhwc : PixelLayout::nchw;
  p.crop_fraction = 0.875;
  return p;
}

void expect_same(const std::string& file, int variant) {
  const Preprocessing p = settings(variant);
  hone_picture::data::Preprocessing q;
  hone_picture::data::set_fields(q, as_json(p));
  const Tensor expected = p.apply_file(file);
  const auto fitted = q.fit(hone_picture::data::read_image(file, q.exif_orientation));
  std::vector<float> values(fitted.byte_size());
  hone_picture::data::Normalizer(q).to_float(fitted, values.data());
  ASSERT_EQ(values.size(), expected.size());
  EXPECT_EQ(std::memcmp(values.data(), expected.raw(), expected.byte_size()), 0) << file << " variant " << variant;
}

TEST(picture_header, gives_the_bits_of_the_toolkit) {
  const TestFolder dir("picture_header");
  Image image(90, 70, 3);
  for (size_t i = 0; i < image.byte_size(); ++i) image.data()[i] = uint8_t(i * i / 7);
  write_image(dir.path() + "/a.png", image);
  write_image(dir.path() + "/b.jpg", image);
  for (int variant = 0; variant < 6; ++variant) {
    expect_same(dir.path() + "/a.png", variant);
    expect_same(dir.path() + "/b.jpg", variant);
  }
  const std::string samples = data_folder("datasets/images");
  if (samples.empty()) GTEST_SKIP() << "no sample pictures: set HONE_DATA";
  for (const auto& e : std::filesystem::directory_iterator(samples)) expect_same(e.path().string(), 1);
}

TEST(picture_header, refuses_what_it_cannot_read) {
  using hone_picture::data::flat_json;
  EXPECT_EQ(flat_json(" { } ").size(), 0u);
  EXPECT_EQ(flat_json(R"({"a":[1, 2] ,"b":"x\"y","c":-1.5})").at("a"), "[1, 2]");
  EXPECT_EQ(flat_json(R"({"a":[1, 2] ,"b":"x\"y","c":-1.5})").at("b"), "x\"y");
  const std::string good = R"({"width":"28","mean":[1,2]})";
  for (size_t n = 0; n < good.size(); ++n) EXPECT_THROW(flat_json(good.substr(0, n)), hone_picture::Error) << n;
  for (const char* bad : {R"({"a":{}})", R"({"a" 1})", R"({"a":"\u0041"})", "[]"})
    EXPECT_THROW(flat_json(bad), hone_picture::Error) << bad;
  hone_picture::data::Preprocessing q;
  EXPECT_THROW(hone_picture::data::set_fields(q, R"({"resize":"sideways"})"), hone_picture::Error);
}

}  // namespace
}  // namespace hone::data
