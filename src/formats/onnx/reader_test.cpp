#include "formats/onnx/reader.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "base/file.hpp"
#include "formats/formats.hpp"
#include "formats/onnx/emit.hpp"
#include "formats/onnx/file_maker_test.hpp"
#include "formats/onnx/proto.hpp"
#include "formats/onnx/writer.hpp"
#include "formats/protobuf.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/evaluate.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/random.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

using protozero::pbf_writer;

using File = OnnxFile;

Tensor run(const Graph& g, std::vector<Datum> in) {
  return evaluate(g, in)[0].tensor();
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST(OnnxReader, computes_nodes_listed_in_any_order) {
  File f;
  f.input("x", ElementType::f32, {2}).add(File::node("Neg", {"a"}, {"y"})).add(File::node("Add", {"x", "w"}, {"a"}));
  f.constant("w", Tensor::of<float>({2}, {1, 2})).output("y");
  EXPECT_TRUE(run(f.read(), {Tensor::of<float>({2}, {10, 20})}).identical(Tensor::of<float>({2}, {-11, -22})));
}

TEST(OnnxReader, keeps_tensor_and_node_names) {
  File f;
  f.input("x", ElementType::f32, {2})
      .add(File::node("Relu", {"x"}, {"hidden"}))
      .add(File::node("Neg", {"hidden"}, {"y"}))
      .output("y");
  const Graph g = f.read();
  EXPECT_TRUE(g.input("x"));
  const Value y = g.outputs()[0], hidden = y.node().input(0);
  EXPECT_EQ(hidden.names(), std::vector<std::string>{"hidden"});
  EXPECT_EQ(hidden.node().name(), "hidden_node");
  EXPECT_EQ(g.node(hidden.node().id).provenance, std::vector<std::string>{"hidden_node"});
  EXPECT_EQ(g.handle(g.results()[0]).name(), "y");
}

TEST(OnnxReader, offers_near_names_for_the_first_unknown_operators_alone) {
  File f;
  f.input("x", ElementType::f32, {2});
  for (int i = 0; i < 30; ++i) f.add(File::node("Relu" + std::to_string(i), {"x"}, {"y" + std::to_string(i)}));
  const std::string m = message_of([&] { f.read(); });
  size_t offers = 0;
  for (size_t at = m.find("nearest known"); at != m.npos; at = m.find("nearest known", at + 1)) ++offers;
  EXPECT_EQ(offers, 20u);
  EXPECT_NE(m.find("Relu29 x1"), m.npos) << m;
}

TEST(OnnxReader, reports_all_unknown_operators_with_their_nodes_and_near_names) {
  File f;
  f.input("x", ElementType::f32, {2})
      .add(File::node("Relux", {"x"}, {"a"}))
      .add(File::node("Relux", {"a"}, {"b"}))
      .add(File::node("Magic", {"b"}, {"y"}, "my.domain"))
      .output("y");
  const std::string m = message_of([&] { f.read(); });
  EXPECT_NE(m.find("Relux x2 (a_node, b_node)"), m.npos) << m;
  EXPECT_NE(m.find("nearest known: Relu"), m.npos) << m;
  EXPECT_NE(m.find("my.domain::Magic x1 (y_node)"), m.npos) << m;
}

TEST(OnnxReader, refuses_a_missing_operator_set_by_name) {
  File f;
  f.opset = 0;
  f.input("x", ElementType::f32, {2}).add(File::node("Relu", {"x"}, {"y"})).output("y");
  EXPECT_NE(message_of([&] { f.read(); }).find("lacks opset_import"), std::string::npos);
  f.ir = 2;  // from before operator sets: the rules of set 1 hold
  EXPECT_TRUE(run(f.read(), {Tensor::of<float>({2}, {-1, 2})}).identical(Tensor::of<float>({2}, {0, 2})));
}

TEST(OnnxReader, refuses_operator_sets_from_the_future) {
  File f;
  f.opset = 99;
  f.input("x", ElementType::f32, {2}).add(File::node("Relu", {"x"}, {"y"})).output("y");
  EXPECT_NE(message_of([&] { f.read(); }).find("operator set 99"), std::string::npos);
}

TEST(OnnxReader, broadcasts_along_an_axis_as_old_operator_sets_say) {
  File f;
  f.opset = 6;
  f.input("x", ElementType::f32, {1, 2, 2}).constant("b", Tensor::of<float>({2}, {10, 20}));
  f.add(File::node("Add", {"x", "b"}, {"y"}, "", onnx::AttributeList().i("broadcast", 1).i("axis", 1))).output("y");
  EXPECT_TRUE(run(f.read(), {Tensor::of<float>({1, 2, 2}, {1, 2, 3, 4})})
                  .identical(Tensor::of<float>({1, 2, 2}, {11, 12, 23, 24})));
}

TEST(OnnxReader, inlines_functions_with_their_attributes) {
  File f;
  std::string attribute, node = File::node("LeakyRelu", {"a"}, {"b"});
  pbf_writer(attribute).add_string(1, "alpha");
  pbf_writer(attribute).add_int32(20, 1);
  pbf_writer(attribute).add_string(21, "slope");
  pbf_writer(node).add_message(5, attribute);
  std::string function, set;
  pbf_writer(set).add_int64(2, 17);
  pbf_writer w(function);
  w.add_string(1, "Leak");
  w.add_string(4, "a");
  w.add_string(5, "b");
  w.add_message(7, node);
  w.add_message(9, set);
  w.add_string(10, "my.domain");
  pbf_writer(f.functions).add_message(25, function);
  f.input("x", ElementType::f32, {2})
      .add(File::node("Leak", {"x"}, {"y"}, "my.domain", onnx::AttributeList().f("slope", 0.5)))
      .output("y");
  EXPECT_TRUE(run(f.read(), {Tensor::of<float>({2}, {-2, 4})}).identical(Tensor::of<float>({2}, {-1, 4})));
}

TEST(OnnxReader, lifts_values_that_branches_capture) {
  auto branch = [](const std::string& op) {
    File b;
    b.add(File::node(op, {"x", "w"}, {"r_" + op})).output("r_" + op);
    return b.graph;
  };
  File f;
  f.input("c", ElementType::i64, {}).input("x", ElementType::f32, {2}).constant("w", Tensor::of<float>({2}, {3, 4}));
  f.add(File::node("Cast", {"c"}, {"cond"}, "", onnx::AttributeList().i("to", 9)));
  f.add(File::node("If", {"cond"}, {"y"}, "",
                   onnx::AttributeList().graph("then_branch", branch("Add")).graph("else_branch", branch("Mul"))))
      .output("y");
  const Graph g = f.read();
  const Tensor x = Tensor::of<float>({2}, {10, 20});
  EXPECT_TRUE(run(g, {Tensor::scalar<int64_t>(1), x}).identical(Tensor::of<float>({2}, {13, 24})));
  EXPECT_TRUE(run(g, {Tensor::scalar<int64_t>(0), x}).identical(Tensor::of<float>({2}, {30, 80})));
}

TEST(OnnxReader, maps_external_data_and_refuses_paths_that_leave_the_folder) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "external_data";
  std::filesystem::create_directories(folder);
  const float values[2] = {5, 7};
  write_file((folder / "w.bin").string(), std::string_view(reinterpret_cast<const char*>(values), sizeof values));
  auto model = [](const std::string& location) {
    std::string tensor, entry;
    pbf_writer(entry).add_string(1, "location");
    pbf_writer(entry).add_string(2, location);
    pbf_writer w(tensor);
    w.add_int64(1, 2);
    w.add_int32(2, 1);
    w.add_string(8, "w");
    w.add_message(13, entry);
    w.add_int32(14, 1);
    File f;
    f.input("x", ElementType::f32, {2}).add(File::node("Add", {"x", "w"}, {"y"})).output("y");
    pbf_writer(f.graph).add_message(5, tensor);
    return f.bytes();
  };
  const std::string path = (folder / "m.onnx").string();
  write_file(path, model("w.bin"));
  EXPECT_TRUE(run(read_onnx(path), {Tensor::of<float>({2}, {1, 1})}).identical(Tensor::of<float>({2}, {6, 8})));
  for (const char* bad : {"../w.bin", "/etc/passwd", "a/../../w.bin"}) {
    write_file(path, model(bad));
    EXPECT_NE(message_of([&] { read_onnx(path); }).find("outside of the model's folder"), std::string::npos) << bad;
  }
}

TEST(OnnxReader, never_crashes_on_truncated_or_flipped_files) {
  File f;
  f.input("x", ElementType::f32, {1, 2, 4, 4}).constant("w", Tensor(ElementType::f32, {3, 2, 3, 3}));
  f.add(File::node("Conv", {"x", "w"}, {"a"}, "", onnx::AttributeList().ints("pads", {1, 1, 1, 1})))
      .add(File::node("Softmax", {"a"}, {"y"}))
      .output("y");
  const std::string whole = f.bytes();
  auto attempt = [](const std::string& bytes) {
    auto owner = std::make_shared<std::string>(bytes);
    try {
      parse_onnx(*owner, owner);
    } catch (const Error&) {
    }
  };
  for (size_t n = 0; n < whole.size(); ++n) attempt(whole.substr(0, n));
  for (size_t i = 0; i < whole.size() * 8; ++i) {
    std::string flipped = whole;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << (i % 8)));
    attempt(flipped);
  }
}

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

TEST(OnnxReader, casts_between_strings_and_numbers) {
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

TEST(OnnxReader, scans_each_sample_of_a_batch_in_set_8) {
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

TEST(OnnxReader, transposed_convolutions_with_same_padding_give_strides_times_the_input) {
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

TEST(OnnxReader, activates_fused_convolutions) {
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

TEST(OnnxReader, normalizes_along_the_last_axis_of_an_unknown_rank) {
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

TEST(OnnxReader, products_of_integers_are_exact_beyond_what_f32_holds) {
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

TEST(OnnxReader, ranges_of_nothing_but_zeros_quantize_to_zeros) {
  File f;
  f.input("x", ElementType::f32, {3}).add(File::node("DynamicQuantizeLinear", {"x"}, {"q", "scale", "zero"}));
  f.add(File::node("DequantizeLinear", {"q", "scale", "zero"}, {"y"})).output("y");
  const std::string bytes = f.bytes();
  EXPECT_EQ(evaluate(parse_onnx(bytes, nullptr, ""), {Tensor(ElementType::f32, {3})})[0].tensor().to_doubles(),
            (std::vector<double>{0, 0, 0}));
}

TEST(OnnxReader, recurrent_layers_with_integer_weights_are_those_of_the_numbers_they_stand_for) {
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

TEST(OnnxReader, knows_experimental_operators_of_old_sets) {
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

TEST(OnnxReader, rows_of_quantized_tables_are_made_real_after_they_were_picked) {
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

TEST(OnnxReader, suppression_without_a_bound_keeps_all_that_do_not_overlap) {
  File f;
  f.constant("boxes", Tensor::of<float>({1, 2, 4}, {0, 0, 1, 1, 2, 2, 3, 3}))
      .constant("scores", Tensor::of<float>({1, 1, 2}, {0.5f, 0.7f}));
  f.constant("most", Tensor::of<int64_t>({1}, {std::numeric_limits<int64_t>::max()}))
      .constant("overlap", Tensor::of<float>({1}, {0.5f}));
  f.add(File::node("NonMaxSuppression", {"boxes", "scores", "most", "overlap"}, {"y"})).output("y");
  EXPECT_EQ(evaluate(f.read(), {})[0].tensor().to_ints(), (std::vector<int64_t>{0, 0, 1, 0, 0, 0}));
}

TEST(OnnxReader, means_of_integers_are_integers) {
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

TEST(OnnxReader, refuses_a_field_of_another_wire_type) {
  // Field 8 of the model (operator sets) holds field 1 (a name) as a number.
  const std::string bytes("\x08\x0d\x42\x02\x08\x0d", 6);
  EXPECT_THROW(
      {
        try {
          parse_onnx(bytes, nullptr, "");
        } catch (const Error& e) {
          EXPECT_NE(e.message().find("the file is malformed"), std::string::npos) << e.message();
          throw;
        }
      },
      Error);
}

TEST(OnnxReader, inputs_of_past_fuzzing_end_in_a_model_or_an_error) {
  size_t files = 0;
  for (const auto& e : std::filesystem::directory_iterator(std::string(HONE_SOURCE_DIR) + "/tests/fuzz/corpus/onnx")) {
    const auto bytes = std::make_shared<const std::string>(read_text_file(e.path().string()));
    try {
      parse_onnx(*bytes, bytes);
    } catch (const Error&) {
    }
    ++files;
  }
  EXPECT_GT(files, 0u);
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
