// Files that claim what no exporter writes: each is refused with an error of its node, whatever memory or time the
// claim would have taken.
#include <gtest/gtest.h>

#include "formats/onnx/file_maker_test.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

using File = OnnxFile;
using List = onnx::AttributeList;

constexpr int64_t huge = int64_t{1} << 62;

// Empty where the file is refused by the node, which is called "y_node".
std::string refused(File& f, const std::string& node) {
  const std::string bytes = f.add(node).output("y").bytes();
  try {
    parse_onnx(bytes, nullptr, "");
  } catch (const Error& e) {
    return e.where().find("y_node") != std::string::npos ? "" : e.message() + " at " + e.where();
  }
  return "was accepted";
}

TEST(HostileOnnx, windows_have_as_many_numbers_as_axes_and_none_is_absurd) {
  for (const List& window : {List().ints("strides", {1}), List().ints("strides", {0, 1}),
                             List().ints("dilations", {huge, 1}), List().ints("pads", {0, 0, huge, 0})}) {
    File f;
    f.input("x", ElementType::f32, {1, 1, 4, 4}).constant("w", Tensor(ElementType::f32, {1, 1, 2, 2}));
    EXPECT_EQ(refused(f, File::node("Conv", {"x", "w"}, {"y"}, "", window)), "");
    List transposed = window;
    transposed.s("auto_pad", "SAME_UPPER");
    File t;
    t.input("x", ElementType::f32, {1, 1, 4, 4}).constant("w", Tensor(ElementType::f32, {1, 1, 2, 2}));
    EXPECT_EQ(refused(t, File::node("ConvTranspose", {"x", "w"}, {"y"}, "", transposed)), "");
    List pooled = window;
    pooled.ints("kernel_shape", {2, 2}).i("ceil_mode", 1);
    File p;
    p.opset = 18;
    p.input("x", ElementType::f32, {1, 1, 4, 4});
    EXPECT_EQ(refused(p, File::node("LpPool", {"x"}, {"y"}, "", pooled)), "");
  }
  File axes;
  axes.input("x", ElementType::f32, {1, 1, 4, 4}).input("i", ElementType::i64, {1, 1, 4, 4});
  EXPECT_EQ(refused(axes, File::node("MaxUnpool", {"x", "i"}, {"y"}, "", List().ints("kernel_shape", {2, 2, 2}))), "");
}

TEST(HostileOnnx, lists_are_no_longer_than_any_tensor_has_axes) {
  File f;
  f.input("x", ElementType::f32, {2, 3})
      .input("from", ElementType::i64, {huge >> 16})
      .input("to", ElementType::i64, {2});
  EXPECT_EQ(refused(f, File::node("Slice", {"x", "from", "to"}, {"y"})), "");
  File c;
  c.opset = 18;
  c.input("x", ElementType::f32, {1, 4, 4})
      .input("size", ElementType::i64, {huge >> 16})
      .input("k", ElementType::i64, {2});
  EXPECT_EQ(refused(c, File::node("Col2Im", {"x", "size", "k"}, {"y"})), "");
}

TEST(HostileOnnx, names_of_values_are_given_once) {
  const auto made_twice = [](File& f, const std::string& node) {
    const std::string bytes = f.add(node).output("y").bytes();
    try {
      parse_onnx(bytes, nullptr, "");
    } catch (const Error& e) {
      return e.message() + " at " + e.where();
    }
    return std::string("was accepted");
  };
  File two;
  two.input("x", ElementType::f32, {4}).add(File::node("Abs", {"x"}, {"y"}));
  EXPECT_EQ(made_twice(two, File::node("Relu", {"x"}, {"y"})),
            "[Relu] output 'y' is an input, a stored tensor or another output of the graph as well at node 'y_node'");
  File same;
  same.input("x", ElementType::f32, {4});
  EXPECT_TRUE(made_twice(same, File::node("Split", {"x"}, {"y", "y"})).starts_with("[Split] output 'y' is"));
  File input;
  input.input("y", ElementType::f32, {4});
  EXPECT_TRUE(made_twice(input, File::node("Relu", {"y"}, {"y"})).starts_with("[Relu] output 'y' is"));
  File stored;
  stored.input("x", ElementType::f32, {4}).constant("y", Tensor(ElementType::f32, {4}));
  EXPECT_TRUE(made_twice(stored, File::node("Relu", {"x"}, {"y"})).starts_with("[Relu] output 'y' is"));
  File inputs;
  inputs.input("x", ElementType::f32, {4}).input("x", ElementType::f32, {4});
  EXPECT_TRUE(made_twice(inputs, File::node("Relu", {"x"}, {"y"})).starts_with("[onnx] input 'x' is listed twice"));
  // Results may be asked for twice, and constants be written twice.
  File constants;
  constants.input("x", ElementType::f32, {4});
  for (int i = 0; i < 2; ++i) constants.add(File::node("Constant", {}, {"c"}, "", List().f("value_float", 2)));
  EXPECT_EQ(made_twice(constants, File::node("Mul", {"x", "c"}, {"y"})), "was accepted");
  File results;
  results.input("x", ElementType::f32, {4}).output("y");
  EXPECT_EQ(made_twice(results, File::node("Relu", {"x"}, {"y"})), "was accepted");
}

TEST(HostileOnnx, packed_weights_are_as_many_as_the_attributes_say) {
  for (int64_t rows : {int64_t{1}, huge}) {
    File f;
    f.input("x", ElementType::f32, {1, 8}).constant("w", Tensor(ElementType::u8, {1, 1, 4}));
    f.constant("s", Tensor(ElementType::f32, {1}));
    const List list = List().i("N", rows).i("K", huge).i("block_size", huge).i("bits", 4);
    EXPECT_EQ(refused(f, File::node("MatMulNBits", {"x", "w", "s"}, {"y"}, "com.microsoft", list)), "");
  }
}

TEST(HostileOnnx, a_constant_without_elements_gives_no_number) {
  File f;
  f.opset = 1;
  f.input("x", ElementType::f32, {2, 3}).constant("none", Tensor(ElementType::i64, {0}));
  EXPECT_EQ(refused(f, File::node("Tile", {"x", "none", "none"}, {"y"})), "");
}

}  // namespace
}  // namespace hone
