// Text in graphs of TensorFlow: changed, split, and laid in rows. Expected values: TensorFlow 2.21.
#include <gtest/gtest.h>

#include "formats/tensorflow/graph_maker_test.hpp"
#include "formats/tensorflow/reader.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"

namespace hone::tensorflow {
namespace {

constexpr int32_t f32 = 1, text = 7;

Attribute texts_attribute(const std::string& name, const std::vector<std::string>& v) {
  std::string list;
  protozero::pbf_writer l(list);
  for (const auto& s : v) l.add_bytes(2, s);
  return attribute(name, [&](auto& w) { w.add_message(1, list); });
}
GraphMaker& constant_text(GraphMaker& m, const std::string& name, const std::string& s) {
  std::string t;
  protozero::pbf_writer w(t);
  w.add_int32(1, text);
  w.add_message(2, shape_message({}));
  w.add_bytes(8, s);
  return m.node(name, "Const", {},
                {type_attribute("dtype", text), attribute("value", [&](auto& a) { a.add_message(8, t); })});
}
std::vector<Datum> run(const GraphMaker& m, const std::vector<Datum>& in) {
  return evaluate(m.read(), in);
}
std::vector<double> numbers(const Datum& d) {
  return d.tensor().to_doubles();
}
std::vector<std::string> strings(const Datum& d) {
  return d.tensor().strings();
}
const Tensor sentences = Tensor::strings({3}, {"The Fox, the FOX!", "", "a fox?"});

TEST(TensorFlowText, words_of_sentences_stand_in_rows) {
  GraphMaker m;
  m.input("x", {3}, text).node("lower", "StringLower", {"x"});
  m.node(
      "plain", "StaticRegexReplace", {"lower"},
      {text_attribute("pattern", "[!\"#$%&()\\*\\+,-\\./:;<=>?@\\[\\\\\\]^_`{|}~\\']"), text_attribute("rewrite", "")});
  constant_text(m, "empty", "");
  constant_text(m, "fill", "-");
  m.node("split", "StringSplitV2", {"plain", "empty"});
  m.ints("zero", {1}, {0})
      .ints("one", {1}, {1})
      .ints("both", {2}, {0, 0})
      .ints("row", {2}, {0, 1})
      .ints("step", {2}, {1, 1});
  m.node("rows", "StridedSlice", {"split", "both", "row", "step"},
         {int_attribute("begin_mask", 1), int_attribute("end_mask", 1), int_attribute("shrink_axis_mask", 2)});
  m.node("count", "StridedSlice", {"split:2", "zero", "one", "one"}, {int_attribute("shrink_axis_mask", 1)});
  m.ints("shape", {2}, {-1, 3});
  m.node("y", "RaggedTensorToTensor", {"shape", "split:1", "fill", "count", "rows"},
         {texts_attribute("row_partition_types", {"FIRST_DIM_SIZE", "VALUE_ROWIDS"})});
  const auto y = run(m, {sentences});
  EXPECT_EQ(y[0].tensor().shape(), (Shape{3, 3}));
  EXPECT_EQ(strings(y[0]), (std::vector<std::string>{"the", "fox", "the", "-", "-", "-", "a", "fox", "-"}));
}

TEST(TensorFlowText, rows_of_rows_are_filled_up_from_within) {
  GraphMaker m;
  m.input("x", {7}).constant("fill", {}, {9}).ints("shape", {}, {-1});
  m.ints("outer", {4}, {0, 2, 2, 4}).ints("inner", {5}, {0, 3, 3, 4, 7});
  m.node("y", "RaggedTensorToTensor", {"shape", "x", "fill", "outer", "inner"},
         {texts_attribute("row_partition_types", {"ROW_SPLITS", "ROW_SPLITS"})});
  const auto y = run(m, {Tensor::of<float>({7}, {1, 2, 3, 4, 5, 6, 7})});
  EXPECT_EQ(y[0].tensor().shape(), (Shape{3, 2, 3}));
  EXPECT_EQ(numbers(y[0]), (std::vector<double>{1, 2, 3, 9, 9, 9, 9, 9, 9, 9, 9, 9, 4, 9, 9, 5, 6, 7}));
}

TEST(TensorFlowText, patterns_may_be_constants_or_attributes) {
  GraphMaker m;
  m.input("x", {3}, text);
  constant_text(m, "pattern", "([a-z])o");
  constant_text(m, "rewrite", "<\\1>");
  m.node("all", "RegexReplace", {"x", "pattern", "rewrite"});
  m.node(
      "first", "StaticRegexReplace", {"x"},
      {text_attribute("pattern", "[Tt]he"), text_attribute("rewrite", "1"), flag_attribute("replace_global", false)});
  m.node("fits", "StaticRegexFullMatch", {"x"}, {text_attribute("pattern", ".*\\bfox\\W?")});
  const auto y = run(m, {sentences});
  EXPECT_EQ(strings(y[0]), (std::vector<std::string>{"The Fox, the FOX!", "", "a <f>x?"}));
  EXPECT_EQ(strings(y[1]), (std::vector<std::string>{"1 Fox, the FOX!", "", "a fox?"}));
  EXPECT_EQ(numbers(y[2]), (std::vector<double>{0, 0, 1}));
}

TEST(TensorFlowText, characters_leave_and_come_back) {
  GraphMaker m;
  m.input("x", {2}, text);
  m.node("points", "UnicodeDecode", {"x"}, {text_attribute("input_encoding", "UTF-8")});
  m.node("y", "UnicodeEncode", {"points:1", "points"}, {text_attribute("output_encoding", "UTF-8")});
  m.node("length", "StringLength", {"y"}, {text_attribute("unit", "UTF8_CHAR")});
  const auto y = run(m, {Tensor::strings({2}, {"é€", "\xff!"})});
  EXPECT_EQ(numbers(y[0]), (std::vector<double>{2, 2}));
  GraphMaker other;
  other.input("x", {2}, text).node("y", "UnicodeDecode", {"x"}, {text_attribute("input_encoding", "UTF-16")});
  EXPECT_THROW(other.read(), Error);
}

TEST(TensorFlowText, words_are_counted_row_by_row) {
  for (const bool binary : {false, true}) {
    GraphMaker m;
    m.input("x", {7}, 3).ints("splits", {5}, {0, 3, 3, 4, 7}).ints("size", {}, {4}).constant("weights", {0}, {});
    m.node("y", "RaggedBincount", {"splits", "x", "size", "weights"},
           {type_attribute("T", f32), flag_attribute("binary_output", binary)});
    const auto y = run(m, {Tensor::of<int32_t>({7}, {1, 3, 1, 0, 5, 2, 2})});
    const double two = binary ? 1 : 2;
    EXPECT_EQ(numbers(y[0]), (std::vector<double>{0, two, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, two, 0}));
  }
}

TEST(TensorFlowText, case_beyond_ascii_is_refused) {
  GraphMaker m;
  m.input("x", {3}, text).node("y", "StringUpper", {"x"}, {text_attribute("encoding", "utf-8")});
  try {
    m.read();
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("letters beyond ASCII"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace hone::tensorflow
