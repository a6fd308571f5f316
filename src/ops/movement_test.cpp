// Shapes that exporters compute with operators are known, or at least symbolic.
#include "ops/movement.hpp"

#include <gtest/gtest.h>

#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

// The type of the value that the only Result of a graph takes.
std::string result_type(const std::string& body) {
  return to_string(parse_graph("graph {" + body + "}").outputs().at(0).type());
}

TEST(ShapeArithmetic, keeps_the_batch_symbol_through_gather_unsqueeze_concat_and_reshape) {
  EXPECT_EQ(result_type(R"(
    %x = Parameter() : f32[N,3,4,5]
    %s = ShapeOf(%x) %zero = Constant() {value=i64[]{0}} %axes = Constant() {value=i64[1]{0}}
    %n = Gather(%s, %zero, %zero) %n1 = Unsqueeze(%n, %axes)
    %rest = Constant() {value=i64[1]{-1}}
    %shape = Concat(%n1, %rest) %y = Reshape(%x, %shape) Result(%y))"),
            "f32[N,60]");
}

TEST(ShapeArithmetic, flows_through_slices_of_the_shape) {
  EXPECT_EQ(result_type(R"(
    %x = Parameter() : f32[N,3,H,W]
    %s = ShapeOf(%x) %two = Constant() {value=i64[1]{2}} %four = Constant() {value=i64[1]{4}} %one = Constant() {value=i64[1]{1}}
    %hw = StridedSlice(%s, %two, %four, %one) %c = Slice(%s, %one, %two, %one) %i = Convert(%hw) {destination_type=i32} %j = Convert(%i) {destination_type=i64}
    %shape = Concat(%c, %j) %b = Constant() {value=f32[]{1}} %y = Broadcast(%b, %shape) Result(%y))"),
            "f32[3,H,W]");
}

TEST(ShapeArithmetic, flows_through_split_reverse_tile_and_range) {
  EXPECT_EQ(result_type(R"(
    %x = Parameter() : f32[N,M]
    %s = ShapeOf(%x) %axis = Constant() {value=i64[]{0}} %n, %m = Split(%s, %axis) {num_splits=2}
    %r = Reverse(%s) {axes=[0]} %k = Squeeze(%n, %axis) %zero = Constant() {value=i64[]{0}} %one = Constant() {value=i64[]{1}}
    %range = Range(%zero, %k, %one) {output_type=i64} %column = Unsqueeze(%range, %axis)
    %b = Constant() {value=f32[]{1}} %swapped = Broadcast(%b, %r) %twice = Tile(%swapped, %n) Result(%twice) Result(%range))"),
            "f32[M,?]");
  EXPECT_EQ(result_type(R"(
    %x = Parameter() : f32[N,7]
    %s = ShapeOf(%x) %zero = Constant() {value=i64[]{0}} %one = Constant() {value=i64[]{1}} %n = Gather(%s, %zero, %zero)
    %range = Range(%zero, %n, %one) {output_type=i64} Result(%range))"),
            "i64[N]");
}

TEST(ShapeArithmetic, slices_to_the_end_keep_the_symbol_and_others_bound_it) {
  const char* text = R"(
    %x = Parameter() : f32[N:0..10]
    %a = Constant() {value=i64[1]{BEGIN}} %b = Constant() {value=i64[1]{END}} %s = Constant() {value=i64[1]{STEP}} %y = Slice(%x, %a, %b, %s) Result(%y))";
  const auto sliced = [&](const std::string& begin, const std::string& end, const std::string& step) {
    std::string t = text;
    for (auto [key, value] : {std::pair{"BEGIN", begin}, {"END", end}, {"STEP", step}})
      t.replace(t.find(key), std::string(key).size(), value);
    return result_type(t);
  };
  EXPECT_EQ(sliced("0", "2147483647", "1"), "f32[N:0..10]");
  EXPECT_EQ(sliced("0", "9223372036854775807", "2"), "f32[0..5]");
  EXPECT_EQ(sliced("1", "-1", "1"), "f32[0..8]");
  EXPECT_EQ(sliced("-3", "9223372036854775807", "1"), "f32[0..3]");
  EXPECT_EQ(sliced("-1", "-9223372036854775808", "-1"), "f32[N:0..10]");
}

TEST(ShapeArithmetic, takes_a_list_that_is_longer_than_any_tensor_has_axes_for_an_unknown_rank) {
  const auto with_list = [](const std::string& length, const std::string& op) {
    return result_type("%x = Parameter() : f32[2,3] %s = Parameter() : i64[" + length + "] %y = " + op + " Result(%y)");
  };
  const std::string many = "100000000000";
  for (const char* op : {"Reshape(%x, %s)", "Broadcast(%x, %s)", "Broadcast(%x, %s) {mode=bidirectional}",
                         "Tile(%x, %s)", "SumToShape(%x, %s)", "Unsqueeze(%x, %s)"}) {
    EXPECT_EQ(with_list(many, op), "f32[...]") << op;
    EXPECT_NE(with_list("3", op), "f32[...]") << op;
  }
  EXPECT_EQ(with_list("3", "Reshape(%x, %s)"), "f32[?,?,?]");
  EXPECT_EQ(with_list("3", "Tile(%x, %s)"), "f32[?,?,?]");
  EXPECT_EQ(with_list("1", "Unsqueeze(%x, %s)"), "f32[?,?,?]");
  const std::string parts = "%x = Parameter() : f32[2,3] %a = Constant() {value=i64[]{0}} %n = Parameter() : i64[" +
                            many + "] %y = VariadicSplit(%x, %a, %n)";
  EXPECT_THROW(parse_graph("graph {" + parts + "}"), Error);
  EXPECT_EQ(result_type("%x = Parameter() : i64[" + many +
                        "] %z = Parameter() : i64[2] %y = Concat(%x, %z) {axis=0} "
                        "Result(%y)"),
            "i64[100000000002]");
}

TEST(Reshape, infers_one_open_dimension_with_symbols) {
  const auto reshaped = [](const std::string& shape, const std::string& target, bool special_zero = false) {
    return result_type("%x = Parameter() : f32" + shape + " %s = Constant() {value=i64" + target +
                       "} %y = Reshape(%x, %s)" + (special_zero ? " {special_zero=true}" : "") + " Result(%y)");
  };
  EXPECT_EQ(reshaped("[N,4,6]", "[2]{-1,24}"), "f32[N,24]");
  EXPECT_EQ(reshaped("[N,4,6]", "[3]{0,0,-1}", true), "f32[N,4,6]");
  EXPECT_EQ(reshaped("[N,4,6]", "[3]{0,2,-1}", true), "f32[N,2,12]");
  EXPECT_EQ(reshaped("[2..4,6]", "[1]{-1}"), "f32[12..24]");
  EXPECT_EQ(reshaped("[0,1,4]", "[2]{0,-1}", true), "f32[0,4]");
  EXPECT_EQ(reshaped("[N,0,4]", "[3]{0,0,-1}", true), "f32[N,0,4]");
  EXPECT_EQ(reshaped("[2,6]", "[3]{3,-1,2}"), "f32[3,2,2]");
  EXPECT_THROW(reshaped("[2,6]", "[2]{5,3}"), Error);
  EXPECT_THROW(reshaped("[2,6]", "[2]{-1,-1}"), Error);
}

TEST(Movement, refuses_what_does_not_fit_by_name) {
  const auto refuses = [](const std::string& body, const std::string& what) {
    try {
      parse_graph("graph {" + body + "}");
    } catch (const Error& e) {
      return e.message().find(what) != std::string::npos ? "" : e.message();
    }
    return std::string("was accepted");
  };
  EXPECT_EQ(refuses("%x = Parameter() : f32[2,3] %y = Parameter() : f32[2,4] %z = Concat(%x, %y) {axis=0}",
                    "[Concat] input 1"),
            "");
  EXPECT_EQ(refuses("%x = Parameter() : f32[2,3] %o = Constant() {value=i64[2]{0,0}} %z = Transpose(%x, %o)",
                    "no permutation"),
            "");
  EXPECT_EQ(refuses("%x = Parameter() : f32[2,3] %a = Constant() {value=i64[]{1}} %z = Split(%x, %a) {num_splits=2}",
                    "does not split evenly"),
            "");
  EXPECT_EQ(refuses("%x = Parameter() : f32[2,3] %a = Constant() {value=i64[1]{4}} %z = Squeeze(%x, %a)",
                    "outside of rank 2"),
            "");
}

}  // namespace
}  // namespace hone
