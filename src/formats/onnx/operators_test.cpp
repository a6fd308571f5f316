// Operators whose meaning in ONNX is not that of the operator of the same name: old sets, integers, fused forms.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "formats/onnx/emit.hpp"
#include "formats/onnx/file_maker_test.hpp"
#include "formats/onnx/reader.hpp"
#include "formats/onnx/writer.hpp"
#include "ops/evaluate.hpp"
#include "ops/resize.hpp"

namespace hone {
namespace {

using File = OnnxFile;

TEST(OnnxOperators, broadcasts_along_an_axis_as_old_operator_sets_say) {
  File f;
  f.opset = 6;
  f.input("x", ElementType::f32, {1, 2, 2}).constant("b", Tensor::of<float>({2}, {10, 20}));
  f.add(File::node("Add", {"x", "b"}, {"y"}, "", onnx::AttributeList().i("broadcast", 1).i("axis", 1))).output("y");
  EXPECT_TRUE(run(f.read(), {Tensor::of<float>({1, 2, 2}, {1, 2, 3, 4})})
                  .identical(Tensor::of<float>({1, 2, 2}, {11, 12, 23, 24})));
}

TEST(OnnxOperators, casts_between_strings_and_numbers) {
  File f;
  f.opset = 13;
  f.input("x", ElementType::f32, {4}).add(File::node("Cast", {"x"}, {"text"}, "", onnx::AttributeList().i("to", 8)));
  f.add(File::node("Cast", {"text"}, {"y"}, "", onnx::AttributeList().i("to", 1))).output("text").output("y");
  const std::string bytes = f.bytes();
  const float x[] = {0.1f, 2, -1.5e-7f, std::numeric_limits<float>::infinity()};
  const auto out = evaluate(parse_onnx(bytes, nullptr, ""), {Tensor::of<float>({4}, x)});
  EXPECT_EQ(out[0].tensor().strings(), (std::vector<std::string>{"0.1", "2.0", "-1.5e-07", "inf"}));
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(out[1].tensor().data<float>()[i], x[i]);
}

TEST(OnnxOperators, scans_each_sample_of_a_batch_in_set_8) {
  File body, f;
  body.input("sum", ElementType::f32, {1}).input("next", ElementType::f32, {1});
  body.add(File::node("Add", {"sum", "next"}, {"total"}))
      .add(File::node("Identity", {"total"}, {"part"}))
      .output("total")
      .output("part");
  f.opset = 8;
  f.input("start", ElementType::f32, {2, 1}).input("x", ElementType::f32, {2, 3, 1});
  f.add(File::node("Scan", {"", "start", "x"}, {"y", "z"}, "",
                   onnx::AttributeList().i("num_scan_inputs", 1).graph("body", body.graph)))
      .output("y")
      .output("z");
  const std::string bytes = f.bytes();
  const float start[] = {10, 20}, x[] = {1, 2, 3, 4, 5, 6};
  const auto out =
      evaluate(parse_onnx(bytes, nullptr, ""), {Tensor::of<float>({2, 1}, start), Tensor::of<float>({2, 3, 1}, x)});
  EXPECT_EQ(out[0].tensor().to_doubles(), (std::vector<double>{16, 35}));
  EXPECT_EQ(out[1].tensor().shape(), (Shape{2, 3, 1}));
  EXPECT_EQ(out[1].tensor().to_doubles(), (std::vector<double>{11, 13, 16, 24, 29, 35}));
}

TEST(OnnxOperators, transposed_convolutions_with_same_padding_give_strides_times_the_input) {
  File f;
  f.opset = 11;
  const Tensor w = Tensor(ElementType::f32, {1, 2, 3, 3});
  f.input("x", ElementType::f32, {1, 1, 3, 3}).constant("w", w);
  f.add(File::node("ConvTranspose", {"x", "w"}, {"y"}, "",
                   onnx::AttributeList().s("auto_pad", "SAME_UPPER").ints("strides", {2, 2})))
      .output("y");
  const std::string bytes = f.bytes();
  EXPECT_EQ(parse_onnx(bytes, nullptr, "").outputs()[0].shape(), (PartialShape{1, 2, 6, 6}));
}

TEST(OnnxOperators, activates_fused_convolutions) {
  File f;
  Tensor w(ElementType::f32, {1, 1, 1, 1});
  w.data<float>()[0] = 2;
  f.input("x", ElementType::f32, {1, 1, 1, 3}).constant("w", w);
  f.add(File::node("FusedConv", {"x", "w"}, {"y"}, "com.microsoft",
                   onnx::AttributeList().s("activation", "Clip").floats("activation_params", {-1, 3})))
      .output("y");
  const std::string bytes = f.bytes();
  const float x[] = {-4, 1, 7};
  EXPECT_EQ(evaluate(parse_onnx(bytes, nullptr, ""), {Tensor::of<float>({1, 1, 1, 3}, x)})[0].tensor().to_doubles(),
            (std::vector<double>{-1, 2, 3}));
}

TEST(OnnxOperators, normalizes_along_the_last_axis_of_an_unknown_rank) {
  File f;
  f.input("x", ElementType::f32, {2})
      .input("mask", ElementType::i64, {4})
      .constant("flat", Tensor::of<int64_t>({1}, {-1}));
  f.add(File::node("NonZero", {"mask"}, {"places"})).add(File::node("Reshape", {"places", "flat"}, {"shape"}));
  f.add(File::node("Reshape", {"x", "shape"}, {"any"})).add(File::node("Softmax", {"any"}, {"y"})).output("y");
  const std::string bytes = f.bytes();
  const Graph g = parse_onnx(bytes, nullptr, "");
  ASSERT_FALSE(g.outputs()[0].shape().rank_known());
  const float x[] = {0, std::log(3.0f)};
  const Tensor row =
      evaluate(g, {Tensor::of<float>({2}, x), Tensor::of<int64_t>({4}, {0, 1, 1, 0})})[0].tensor();  // shape [1, 2]
  EXPECT_NEAR(row.data<float>()[0], 0.25, 1e-6);
  const Tensor column =
      evaluate(g, {Tensor::of<float>({2}, x), Tensor::of<int64_t>({4}, {0, 0, 1, 0})})[0].tensor();  // shape [2]
  EXPECT_NEAR(column.data<float>()[1], 0.75, 1e-6);
}

TEST(OnnxOperators, knows_the_norm_that_onnx_runtime_writes_without_a_domain) {
  File f;
  f.opset = 17;
  f.input("x", ElementType::f32, {1, 2}).constant("scale", Tensor::of<float>({2}, {1, 2}));
  f.add(File::node("SimplifiedLayerNormalization", {"x", "scale"}, {"y"}, "",
                   onnx::AttributeList().i("axis", -1).f("epsilon", 0.5)))
      .output("y");
  const Tensor y = run(f.read(), {Tensor::of<float>({1, 2}, {2, 1})});
  // The mean of the squares is 2.5.
  EXPECT_NEAR(y.data<float>()[0], 2 / std::sqrt(3.0), 1e-6);
  EXPECT_NEAR(y.data<float>()[1], 2 / std::sqrt(3.0), 1e-6);
}

TEST(OnnxOperators, aligned_corners_of_an_open_length_are_those_of_its_multiple) {
  for (const float scale : {2.0f, 1.5f}) {
    File f;
    f.opset = 13;
    f.input("x", ElementType::f32, {1, 1, -1});
    f.constant("scales", Tensor::of<float>({3}, {1, 1, scale}));
    f.add(File::node("Resize", {"x", "", "scales"}, {"y"}, "",
                     onnx::AttributeList().s("mode", "linear").s("coordinate_transformation_mode", "align_corners")))
        .output("y");
    const Graph g = f.read();
    const Node resize = g.outputs()[0].node();
    ASSERT_TRUE(resize.is<Interpolate>());
    EXPECT_EQ(resize.as<Interpolate>()->coordinate_transformation_mode,
              scale == 2 ? CoordinateMode::align_corners : CoordinateMode::align_corners_unrounded);
    // ONNX has one word for both, by whether scales or sizes are given.
    EXPECT_EQ(to_onnx(g, {}).find("unrounded"), std::string::npos);
  }
}

TEST(OnnxOperators, products_of_integers_are_exact_beyond_what_f32_holds) {
  // Sums up to 600 * 255 * 127 > 2^24, the last one odd.
  File f;
  const std::vector<int8_t> w(600, 127);
  f.input("x", ElementType::f32, {1, 600})
      .constant("w", Tensor::of<int8_t>({600, 1}, w))
      .constant("one", Tensor::of<float>({}, std::vector<float>{1}));
  f.constant("none", Tensor::of<uint8_t>({}, std::vector<uint8_t>{0}))
      .add(File::node("QuantizeLinear", {"x", "one", "none"}, {"q"}));
  f.add(File::node("MatMulInteger", {"q", "w"}, {"y"})).output("y");
  std::vector<float> x(600, 255);
  x[599] = 254;
  const std::string bytes = f.bytes();
  EXPECT_EQ(evaluate(parse_onnx(bytes, nullptr, ""), {Tensor::of<float>({1, 600}, x)})[0].tensor().to_ints(),
            (std::vector<int64_t>{127 * (599 * 255 + 254)}));
}

TEST(OnnxOperators, ranges_of_nothing_but_zeros_quantize_to_zeros) {
  File f;
  f.input("x", ElementType::f32, {3}).add(File::node("DynamicQuantizeLinear", {"x"}, {"q", "scale", "zero"}));
  f.add(File::node("DequantizeLinear", {"q", "scale", "zero"}, {"y"})).output("y");
  const std::string bytes = f.bytes();
  EXPECT_EQ(evaluate(parse_onnx(bytes, nullptr, ""), {Tensor(ElementType::f32, {3})})[0].tensor().to_doubles(),
            (std::vector<double>{0, 0, 0}));
}

TEST(OnnxOperators, recurrent_layers_with_integer_weights_are_those_of_the_numbers_they_stand_for) {
  // One input, two units: gates i, o, f, c. The data are whole steps of their range, so nothing is rounded.
  const std::vector<int8_t> w{10, -20, 30, 5, 7, -9, 40, 1}, r{3, 8, -5, 2, 9, -7, 6, 1, 4, -3, 2, 5, -8, 7, 1, 6};
  const auto real = [](const std::vector<int8_t>& v, size_t rows, float scale, int zero) {
    std::vector<float> out(v.size());  // rows become columns
    for (size_t i = 0; i < v.size(); ++i)
      out[i % (v.size() / rows) * rows + i / (v.size() / rows)] = scale * static_cast<float>(v[i] - zero);
    return out;
  };
  const auto attributes = onnx::AttributeList().i("hidden_size", 2);
  File quantized, plain;
  for (File* f : {&quantized, &plain}) f->input("x", ElementType::f32, {3, 1, 1});
  quantized.constant("w", Tensor::of<int8_t>({1, 1, 8}, w)).constant("r", Tensor::of<int8_t>({1, 2, 8}, r));
  quantized.constant("sw", Tensor::of<float>({1}, std::vector<float>{0.02f}))
      .constant("zw", Tensor::of<int8_t>({1}, std::vector<int8_t>{3}));
  quantized.constant("sr", Tensor::of<float>({1}, std::vector<float>{0.05f}))
      .constant("zr", Tensor::of<int8_t>({1}, std::vector<int8_t>{-1}));
  quantized
      .add(File::node("DynamicQuantizeLSTM", {"x", "w", "r", "", "", "", "", "", "sw", "zw", "sr", "zr"}, {"y"},
                      "com.microsoft", attributes))
      .output("y");
  plain.constant("w", Tensor::of<float>({1, 8, 1}, real(w, 1, 0.02f, 3)))
      .constant("r", Tensor::of<float>({1, 8, 2}, real(r, 2, 0.05f, -1)));
  plain.add(File::node("LSTM", {"x", "w", "r"}, {"y"}, "", attributes)).output("y");
  const std::vector<float> x{0, 0.2f, 1};
  const std::string a = quantized.bytes(), b = plain.bytes();
  const Tensor y = evaluate(parse_onnx(a, nullptr, ""), {Tensor::of<float>({3, 1, 1}, x)})[0].tensor();
  const Tensor expected = evaluate(parse_onnx(b, nullptr, ""), {Tensor::of<float>({3, 1, 1}, x)})[0].tensor();
  ASSERT_EQ(y.shape(), (Shape{3, 1, 1, 2}));
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(y.data<float>()[i], expected.data<float>()[i], 1e-5) << i;
}

TEST(OnnxOperators, knows_experimental_operators_of_old_sets) {
  File f;
  f.ir = 3;
  f.opset = 6;
  const Shape shape{1, 2, 3, 4};
  f.input("x", ElementType::f32, shape);
  f.add(File::node("ImageScaler", {"x"}, {"y"}, "", onnx::AttributeList().f("scale", 2).floats("bias", {1, -1})));
  f.add(File::node("Crop", {"x"}, {"z"}, "", onnx::AttributeList().ints("border", {1, 0, 2, 1})));
  f.add(File::node("MeanVarianceNormalization", {"x"}, {"m"}, "",
                   onnx::AttributeList().i("across_channels", 1).i("normalize_variance", 0)));
  f.output("y").output("z").output("m");
  Tensor x(ElementType::f32, shape);
  for (size_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>(i);
  const auto out = evaluate(f.read(), {x});
  EXPECT_EQ(get_element(out[0].tensor(), 11), 23);
  EXPECT_EQ(get_element(out[0].tensor(), 12), 23);
  EXPECT_EQ(out[1].tensor().to_doubles(), (std::vector<double>{1, 5, 13, 17}));
  EXPECT_EQ(get_element(out[2].tensor(), 0), -11.5);
}

TEST(OnnxOperators, rows_of_quantized_tables_are_made_real_after_they_were_picked) {
  // Two rows of 32 elements of 4 bits, two blocks each; all bytes 0x31: 1 and 3 in turns.
  File f;
  Tensor table(ElementType::u8, {2, 16});
  std::fill_n(static_cast<uint8_t*>(table.raw()), 32, uint8_t{0x31});
  f.constant("table", table)
      .constant("scales", Tensor::of<float>({2, 2}, {1, 2, 10, 20}))
      .constant("zeros", Tensor::of<uint8_t>({2, 1}, {0x10, 0x02}));
  f.constant("ids", Tensor::of<int64_t>({1, 1}, {1}));
  f.add(File::node("GatherBlockQuantized", {"table", "ids", "scales", "zeros"}, {"y"}, "com.microsoft",
                   onnx::AttributeList().i("bits", 4).i("block_size", 16).i("gather_axis", 0).i("quantize_axis", 1)));
  f.output("y");
  const Tensor y = evaluate(f.read(), {})[0].tensor();
  ASSERT_EQ(y.shape(), (Shape{1, 1, 32}));
  EXPECT_EQ(get_element(y, 0), (1 - 2) * 10);
  EXPECT_EQ(get_element(y, 1), (3 - 2) * 10);
  EXPECT_EQ(get_element(y, 16), 1 * 20);
  EXPECT_EQ(get_element(y, 31), 3 * 20);
}

TEST(OnnxOperators, suppression_without_a_bound_keeps_all_that_do_not_overlap) {
  File f;
  f.constant("boxes", Tensor::of<float>({1, 2, 4}, {0, 0, 1, 1, 2, 2, 3, 3}))
      .constant("scores", Tensor::of<float>({1, 1, 2}, {0.5f, 0.7f}));
  f.constant("most", Tensor::of<int64_t>({1}, {std::numeric_limits<int64_t>::max()}))
      .constant("overlap", Tensor::of<float>({1}, {0.5f}));
  f.add(File::node("NonMaxSuppression", {"boxes", "scores", "most", "overlap"}, {"y"})).output("y");
  EXPECT_EQ(evaluate(f.read(), {})[0].tensor().to_ints(), (std::vector<int64_t>{0, 0, 1, 0, 0, 0}));
}

TEST(OnnxOperators, means_of_integers_are_integers) {
  File f;
  f.constant("x", Tensor::of<uint8_t>({2, 3}, {10, 12, 20, 0, 0, 9}))
      .constant("s", Tensor::scalar<float>(0.5f))
      .constant("z", Tensor::scalar<uint8_t>(4));
  f.add(File::node("QLinearReduceMean", {"x", "s", "z", "s", "z"}, {"y"}, "com.microsoft",
                   onnx::AttributeList().ints("axes", {1}).i("keepdims", 0)))
      .output("y");
  const std::string bytes = f.bytes();
  EXPECT_EQ(evaluate(parse_onnx(bytes, nullptr, ""), {})[0].tensor().to_ints(), (std::vector<int64_t>{14, 3}));
}

}  // namespace
}  // namespace hone
