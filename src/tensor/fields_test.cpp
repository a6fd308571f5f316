#include "tensor/fields.hpp"

#include <gtest/gtest.h>

#include <span>

#include "hone/error.hpp"

namespace hone {
namespace {

enum class Mode { constant, edge };
std::span<const std::string_view> enum_names(Mode) {
  static constexpr std::string_view names[] = {"constant", "edge"};
  return names;
}

struct Sample {
  int64_t axis = 1;
  bool flag = false;
  double alpha = 0.5;
  std::vector<int64_t> pads{1, 2};
  std::vector<std::string> names{"a", "b,c"};
  Mode mode = Mode::constant;
  ElementType type = ElementType::f32;
  PartialShape shape{1, -1};
  Tensor value = Tensor::of<float>({2}, {1, 2});
  static void fields(auto& o, auto&& f) {
    f("axis", o.axis);
    f("flag", o.flag);
    f("alpha", o.alpha);
    f("pads", o.pads);
    f("names", o.names);
    f("mode", o.mode);
    f("type", o.type);
    f("shape", o.shape);
    f("value", o.value);
  }
};

Sample changed() {
  Sample s;
  s.axis = -3;
  s.flag = true;
  s.alpha = 1e-7;
  s.pads = {};
  s.names = {"x\"y", ""};
  s.mode = Mode::edge;
  s.type = ElementType::i4;
  s.shape = PartialShape::dynamic();
  s.value = Tensor::scalar<int64_t>(7);
  return s;
}

std::vector<std::pair<std::string, std::string>> printed(Sample s) {
  FieldPrinter p;
  visit_fields(s, p);
  return p.take();
}

}  // namespace

TEST(Fields, travel_through_text_and_bytes) {
  Sample from = changed(), by_text, by_bytes;
  FieldParser parser(printed(from));
  visit_fields(by_text, parser);
  parser.finish("Sample");
  EXPECT_EQ(printed(by_text), printed(from));
  FieldWriter w;
  visit_fields(from, w);
  const auto bytes = w.take();
  FieldReader r(bytes);
  visit_fields(by_bytes, r);
  EXPECT_EQ(printed(by_bytes), printed(from));
}

TEST(Fields, name_unknown_fields_and_values) {
  Sample s;
  using Values = std::vector<std::pair<std::string, std::string>>;
  FieldParser unknown(Values{{"axes", "1"}});
  visit_fields(s, unknown);
  EXPECT_THROW(unknown.finish("Sample"), Error);
  FieldParser wrong(Values{{"mode", "reflect"}});
  EXPECT_THROW(visit_fields(s, wrong), Error);
}

TEST(Fields, refuse_truncated_bytes) {
  Sample from = changed();
  FieldWriter w;
  visit_fields(from, w);
  const auto bytes = w.take();
  for (size_t n = 0; n < bytes.size(); ++n) {
    Sample s;
    FieldReader r(std::span<const uint8_t>(bytes).first(n));
    EXPECT_THROW(visit_fields(s, r), Error) << n;
  }
}

}  // namespace hone
