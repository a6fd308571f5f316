#include "formats/onnx/writer.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/onnx/file_maker_test.hpp"
#include "formats/onnx/proto.hpp"
#include "formats/onnx/reader.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "image/image.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/blocks.hpp"
#include "ops/convolution.hpp"
#include "ops/evaluate.hpp"
#include "ops/image_decoder.hpp"
#include "ops/linear_algebra.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/random.hpp"
#include "ops/registry.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

TEST(OnnxWriter, gives_back_names_weights_and_results) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{Dimension::symbolic("batch"), 2, 4, 4}, "image");
  Tensor w(ElementType::f32, {3, 2, 3, 3});
  for (size_t i = 0; i < w.size(); ++i) w.data<float>()[i] = 0.01f * static_cast<float>(i);
  Convolution c;
  c.pads_begin = c.pads_end = {1, 1};
  const Value y = b(HSwish{}, b(c, x, b.constant(w)));
  b.result(y, "scores");
  Tensor in(ElementType::f32, {2, 2, 4, 4});
  for (size_t i = 0; i < in.size(); ++i) in.data<float>()[i] = 0.1f * static_cast<float>(i) - 2;
  const Tensor expected = run(g, {in});
  for (int64_t opset : {13, 17, 21}) {
    WriteOptions o;
    o.opset = opset;
    auto owner = std::make_shared<std::string>(to_onnx(g, o));
    const Graph back = parse_onnx(*owner, owner);
    EXPECT_TRUE(back.input("image")) << opset;
    EXPECT_EQ(back.handle(back.results()[0]).name(), "scores");
    EXPECT_EQ(back.inputs()[0].shape()[0].symbol_name(), "batch");
    const Tensor got = run(back, {in});
    ASSERT_EQ(got.shape(), expected.shape());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got.data<float>()[i], expected.data<float>()[i], 1e-5) << opset;
  }
  EXPECT_THROW(to_onnx(g, WriteOptions{.opset = 5}), Error);
}

TEST(OnnxWriter, pictures_are_decoded_after_a_round_trip) {
  data::Image image(5, 4, 3);
  for (size_t i = 0; i < image.byte_size(); ++i) image.data()[i] = static_cast<uint8_t>(i * 37);
  const std::vector<uint8_t> bytes = data::encode_png(image);
  const Tensor file = Tensor::of<uint8_t>({static_cast<int64_t>(bytes.size())}, bytes);
  for (const PixelFormat format : {PixelFormat::rgb, PixelFormat::bgr, PixelFormat::grayscale}) {
    Graph g;
    Builder b(g);
    b.result(b(ImageDecoder{format}, b.parameter(ElementType::u8, PartialShape{Dimension()}, "file")), "pixels");
    auto owner = std::make_shared<std::string>(to_onnx(g, {}));
    const Graph back = parse_onnx(*owner, owner);
    const Tensor got = run(back, {file});
    ASSERT_EQ(got.shape(), (Shape{4, 5, format == PixelFormat::grayscale ? 1 : 3}));
    EXPECT_TRUE(got.identical(run(g, {file})));
    EXPECT_EQ(got.data<uint8_t>()[1], format == PixelFormat::rgb ? 37 : format == PixelFormat::bgr ? 37 : 141);
    EXPECT_EQ(run(back, {Tensor::of<uint8_t>({3}, {1, 2, 3})}).size(), 0u);
    // a picture, but none that can be read: never an empty one in silence
    EXPECT_THROW(run(back, {Tensor::of<uint8_t>({8}, {'G', 'I', 'F', '8', '9', 'a', 1, 0})}), Error);
  }
}

TEST(OnnxWriter, determinants_of_large_matrices_stay_whole) {
  Graph g;
  Builder b(g);
  b.result(b(Determinant{}, b.parameter(ElementType::f32, {2, 6, 6}, "x")), "y");
  auto owner = std::make_shared<std::string>(to_onnx(g, {}));
  const Graph back = parse_onnx(*owner, owner);
  Tensor x(ElementType::f32, {2, 6, 6});
  for (size_t k = 0; k < 2; ++k) {
    for (size_t i = 0; i < 6; ++i) x.data<float>()[k * 36 + i * 6 + 5 - i] = static_cast<float>(i + 1 + k);
  }
  // an odd number of exchanges puts the antidiagonal upright
  EXPECT_TRUE(run(back, {x}).identical(Tensor::of<float>({2}, {-720, -5040})));
}

TEST(OnnxWriter, takes_the_first_operator_set_that_has_what_the_model_needs) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::i32, {2}, "x");
  b.result(b(BitwiseNot{}, x), "y");
  for (const auto& [asked, written] : {std::pair{0, 18}, std::pair{20, 20}}) {
    auto owner = std::make_shared<std::string>(to_onnx(g, WriteOptions{.opset = asked}));
    EXPECT_NE(owner->find(std::string("\x0a\0\x10", 3) + static_cast<char>(written)), std::string::npos) << asked;
    EXPECT_EQ(parse_onnx(*owner, owner).results().size(), 1u);
  }
  try {
    to_onnx(g, WriteOptions{.opset = 17});
    FAIL() << "an operator of operator set 18 was written in 17";
  } catch (const Error& e) {
    EXPECT_NE(e.message().find("needs operator set 18"), std::string::npos) << e.message();
  }
}

TEST(OnnxWriter, writes_bitwise_operators_on_booleans_as_logical_ones) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::boolean, {4}, "x");
  const Value y = b.parameter(ElementType::boolean, {4}, "y");
  b.result(b(BitwiseOr{}, b(BitwiseAnd{}, x, y), b(BitwiseNot{}, b(BitwiseXor{}, x, y))), "z");
  auto owner = std::make_shared<std::string>(to_onnx(g, WriteOptions{.opset = 17}));
  Tensor in[2] = {Tensor(ElementType::boolean, {4}), Tensor(ElementType::boolean, {4})};
  for (int i = 0; i < 4; ++i) {
    in[0].data<bool>()[i] = (i & 1) != 0;
    in[1].data<bool>()[i] = (i >> 1) != 0;
  }
  const Tensor z = run(parse_onnx(*owner, owner), {in[0], in[1]});
  EXPECT_EQ(z.to_doubles(), (std::vector<double>{1, 0, 0, 1}));
}

TEST(OnnxWriter, writes_weights_of_4_bits_in_the_operator_set_that_has_them) {
  Graph g;
  Builder b(g);
  Tensor w(ElementType::i4, {2, 2});
  for (size_t i = 0; i < w.size(); ++i) set_element(w, i, static_cast<double>(i) - 2);
  const Value x = b.parameter(ElementType::f32, {1, 2}, "x");
  b.result(b(MatMul{}, x, b(Convert{ElementType::f32}, b.constant(w))), "y");
  EXPECT_THROW(to_onnx(g, WriteOptions{.opset = 20}), Error);
  auto owner = std::make_shared<std::string>(to_onnx(g, {}));
  EXPECT_NE(owner->find(std::string("\x0a\0\x10\x15", 4)), std::string::npos);
  const Tensor y = run(parse_onnx(*owner, owner), {Tensor::of<float>({1, 2}, {1, 10})});
  EXPECT_EQ(y.to_doubles(), (std::vector<double>{-2, 9}));
}

TEST(OnnxWriter, writes_one_axis_as_a_vector) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {2, 1, 3}, "x");
  b.result(b(Squeeze{}, x, b.scalar<int64_t>(1)), "y");
  auto owner = std::make_shared<std::string>(to_onnx(g, {}));
  const Graph back = parse_onnx(*owner, owner);
  const Value y = back.handle(back.results()[0]).input(0);
  EXPECT_EQ(y.node().input(1).shape().to_shape(), (Shape{1}));
  EXPECT_EQ(y.shape().to_shape(), (Shape{2, 3}));
}

TEST(OnnxWriter, writes_roll_with_slices_and_with_counted_positions) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{Dimension::symbolic("n"), 3}, "x");
  b.result(b(Roll{}, x, b.ints({7, -1}), b.ints({0, 1})), "y");
  auto owner = std::make_shared<std::string>(to_onnx(g, {}));
  const Tensor y = run(parse_onnx(*owner, owner), {Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6})});
  EXPECT_EQ(y.to_doubles(), (std::vector<double>{5, 6, 4, 2, 3, 1}));
}

// Each operator on its first input, the others constant, and the same from its own ONNX nodes: sums in another order.
TEST(OnnxWriter, writes_transforms_angles_and_columns_by_what_onnx_has) {
  for (const char* name : {"Atan2", "Col2Im", "DFT", "IDFT", "IRDFT", "RDFT", "STFT"}) {
    const OpDef* op = find_op(name);
    ASSERT_TRUE(op) << name;
    size_t written = 0;
    for (const Sample& sample : op->samples()) {
      if (sample.inputs[0].tensor().element_type() != ElementType::f32) continue;
      Graph g;
      Builder b(g);
      Values in;
      for (const Datum& d : sample.inputs) {
        const Type t(d.tensor().element_type(), PartialShape(d.tensor().shape()));
        in.push_back(in.empty() ? b.parameter(t, "x") : b.constant(d.tensor()));
      }
      b.result(b.add(*op, sample.attributes, in).output(0), "y");
      auto owner = std::make_shared<std::string>(to_onnx(g, {}));
      const Tensor want = run(g, {sample.inputs[0]}), got = run(parse_onnx(*owner, owner), {sample.inputs[0]});
      ASSERT_EQ(got.shape(), want.shape()) << name;
      for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(get_element(got, i), get_element(want, i), 2e-5) << name;
      ++written;
    }
    EXPECT_GT(written, 0u) << name;
  }
}

TEST(OnnxWriter, writes_fake_quantize_as_quantize_and_dequantize) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{4}, "x");
  const Value low = b.scalar<float>(-1.28f), high = b.scalar<float>(1.27f);
  b.result(b(FakeQuantize{256}, Values{x, low, high, low, high}), "y");
  const Tensor in = Tensor::of<float>({4}, {-9, 0.014f, 0.5f, 9});
  const Tensor expected = run(g, {in});
  auto owner = std::make_shared<std::string>(to_onnx(g));
  EXPECT_NE(owner->find("QuantizeLinear"), std::string::npos);
  const Tensor got = run(parse_onnx(*owner, owner), {in});
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(got.data<float>()[i], expected.data<float>()[i], 1e-6);
}

TEST(OnnxWriter, gives_state_an_input_with_its_first_content_and_an_output) {
  // y = x + sum, and the sum grows by x.
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{2}, "x");
  Variable v;
  v.value = Tensor::of<float>({2}, {1, 2});
  v.variable_id = "sum";
  const Value y = b(Add{}, x, b(v));
  b.add(op_def<Assign>(), std::make_shared<Assign>(Assign{"sum"}), {y});
  b.result(y, "y");
  const std::string bytes = to_onnx(g);
  const onnx::GraphMessage message = onnx::parse_graph_message(onnx::parse_model(bytes).graph);
  ASSERT_EQ(message.inputs.size(), 2u);
  EXPECT_EQ(message.inputs[1].name, "sum");
  ASSERT_EQ(message.outputs.size(), 2u);
  EXPECT_EQ(message.outputs[1].name, "sum/next");
  EXPECT_EQ(message.initializers.size(), 1u);
  // Hone's own files are state again.
  const Graph back = parse_onnx(bytes, nullptr, "");
  EXPECT_EQ(back.results().size(), 1u);
  std::map<std::string, Datum> variables;
  const Tensor in = Tensor::of<float>({2}, {10, 20});
  EXPECT_EQ(evaluate(back, {in}, {.variables = &variables, .on_value = {}})[0].tensor().to_doubles(),
            (std::vector<double>{11, 22}));
  EXPECT_EQ(evaluate(back, {in}, {.variables = &variables, .on_value = {}})[0].tensor().to_doubles(),
            (std::vector<double>{21, 42}));
}

TEST(OnnxWriter, random_numbers_are_the_same_after_writing_and_reading) {
  Graph g;
  Builder b(g);
  const Value state = b.constant(Tensor::of<uint64_t>({2}, {0x3f800000, 0}));  // the bits of 1
  const Value shape = b.parameter(ElementType::i64, {2}, "shape"),
              high = b.parameter(ElementType::f32, PartialShape(Shape{}), "high");
  const auto draw = [&](const OpDef& op, Attributes a, const Values& in) {
    b.result(b.add(op, std::move(a), in).output(0));
  };
  const auto f = [&](float v) { return b.scalar<float>(v); };
  draw(op_def<RandomUniform>(), std::make_shared<RandomUniform>(), {shape, f(-1), f(2), state});
  draw(op_def<RandomUniform>(), std::make_shared<RandomUniform>(), {b.ints({4}), f(0), high, state});
  draw(op_def<RandomNormal>(), std::make_shared<RandomNormal>(), {shape, f(3), f(0.5f), state});
  draw(op_def<RandomUniform>(), std::make_shared<RandomUniform>(RandomUniform{ElementType::i32}),
       {shape, b.scalar<int32_t>(-3), b.scalar<int32_t>(9), state});
  const std::vector<Datum> in{Tensor::of<int64_t>({2}, {3, 5}), Tensor::scalar<float>(4)};
  const std::string bytes = to_onnx(g);
  const auto want = evaluate(g, in), got = evaluate(parse_onnx(bytes, nullptr, ""), in);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const auto a = got[i].tensor().to_doubles(), e = want[i].tensor().to_doubles();
    ASSERT_EQ(got[i].tensor().element_type(), want[i].tensor().element_type()) << i;
    ASSERT_EQ(a.size(), e.size()) << i;
    for (size_t k = 0; k < a.size() && i < 3; ++k)
      EXPECT_NEAR(a[k], e[k], 1e-6) << i;  // the range is applied in another order
  }
  // Integers come from finer draws than Hone's own.
  for (const double v : got[3].tensor().to_doubles()) {
    EXPECT_EQ(v, std::floor(v));
    EXPECT_GE(v, -3);
    EXPECT_LT(v, 9);
  }
}

TEST(OnnxWriter, leaves_out_constants_that_no_node_reads) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{2, 3}, "x");
  // ONNX has the order of Transpose as an attribute.
  b.result(b(Add{}, b(Transpose{}, x, b.ints({1, 0})), b.constant(Tensor(ElementType::f32, {3, 2}))), "y");
  const std::string bytes = to_onnx(g);
  EXPECT_EQ(onnx::parse_graph_message(onnx::parse_model(bytes).graph).initializers.size(), 1u);
}

}  // namespace
}  // namespace hone
