#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/file.hpp"
#include "formats/openvino_ir/reader.hpp"
#include "formats/openvino_ir/writer.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/attention.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/control.hpp"
#include "ops/convolution.hpp"
#include "ops/evaluate.hpp"
#include "ops/pooling.hpp"
#include "ops/quantize.hpp"

namespace hone {
namespace {

Graph through(const Graph& g, const WriteOptions& options = {}) {
  auto both = std::make_shared<std::pair<std::string, std::vector<uint8_t>>>(to_openvino_ir(g, options));
  return parse_openvino_ir(both->first, both->second, both);
}

Tensor ramp(Shape shape) {
  Tensor t(ElementType::f32, std::move(shape));
  for (size_t i = 0; i < t.size(); ++i) t.data<float>()[i] = 0.05f * static_cast<float>(i) - 1;
  return t;
}

Graph network() {
  Graph g;
  Builder b(g);
  g.name = "net";
  g.info["model_info/labels"] = "cat dog";
  const Value x = b.parameter(ElementType::f32, PartialShape{Dimension(1, 8), 2, 6, 6}, "image");
  Convolution c;
  c.pads_begin = c.pads_end = {1, 1};
  MaxPool p;
  p.kernel = p.strides = {2, 2};
  b.result(b(Softmax{1}, b(p, b(Relu{}, b(c, x, b.constant(ramp({3, 2, 3, 3})))))), "scores");
  return g;
}

void expect_near(const Tensor& a, const Tensor& e, double tolerance) {
  ASSERT_EQ(a.shape(), e.shape());
  for (size_t i = 0; i < e.size(); ++i) EXPECT_NEAR(get_element(a, i), get_element(e, i), tolerance);
}

TEST(OpenvinoIr, round_trip_keeps_results_names_bounds_and_model_info) {
  const Graph g = network(), back = through(g);
  const Tensor in = ramp({2, 2, 6, 6});
  expect_near(evaluate(back, {in})[0].tensor(), evaluate(g, {in})[0].tensor(), 1e-6);
  EXPECT_EQ(back.name, "net");
  EXPECT_EQ(back.info.at("model_info/labels"), "cat dog");
  EXPECT_TRUE(back.input("image"));
  EXPECT_EQ(back.handle(back.results()[0]).name(), "scores");
  EXPECT_EQ(back.inputs()[0].shape()[0], Dimension(1, 8));
}

TEST(OpenvinoIr, attention_without_a_mask_has_a_scalar_zero_there) {
  Graph g;
  Builder b(g);
  const Value q = b.parameter(ElementType::f32, {1, 2, 3, 4}, "q");
  b.result(b(ScaledDotProductAttention{}, Values{q, q, q, Value{}, b.scalar<float>(0.3f)}), "y");
  const Tensor in = ramp({1, 2, 3, 4});
  expect_near(evaluate(through(g), {in})[0].tensor(), evaluate(g, {in})[0].tensor(), 1e-6);
}

TEST(OpenvinoIr, outputs_of_one_value_keep_their_names) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {2}, "x"), y = b(Relu{}, x);
  g.set_names(y.id, {"inner", "a", "b"});
  b.result(y, "b");
  b.result(y, "a");
  const auto [xml, weights] = to_openvino_ir(g);
  const Graph back = parse_openvino_ir(xml, weights, nullptr);
  ASSERT_EQ(back.results().size(), 2u);
  EXPECT_EQ(back.node(back.results()[0]).name, "b");
  EXPECT_EQ(back.node(back.results()[1]).name, "a");
}

TEST(OpenvinoIr, compresses_constants_to_fp16_and_says_why_the_convert_is_there) {
  WriteOptions o;
  o.compress_to_fp16 = true;
  const Graph g = network();
  EXPECT_LT(to_openvino_ir(g, o).second.size(), to_openvino_ir(g).second.size());
  EXPECT_NE(to_openvino_ir(g, o).first.find("decompression"), std::string::npos);
  const Tensor in = ramp({1, 2, 6, 6});
  expect_near(evaluate(through(g, o), {in})[0].tensor(), evaluate(g, {in})[0].tensor(), 1e-2);
}

TEST(OpenvinoIr, stores_equal_constants_once) {
  Graph g;
  Builder b(g);
  Value x = b.parameter(ElementType::f32, PartialShape{64}, "x");
  for (int i = 0; i < 4; ++i) x = b(Add{}, x, b.constant(ramp({64})));
  b.result(x, "y");
  EXPECT_EQ(to_openvino_ir(g).second.size(), 64 * sizeof(float));
}

TEST(OpenvinoIr, writes_quantize_and_dequantize_as_fake_quantize) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{4}, "x"), scale = b.scalar<float>(0.5f),
              zero = b.constant(Tensor::scalar<uint8_t>(10));
  Quantize q;
  q.output_type = ElementType::u8;
  q.axis = 0;
  b.result(b(Dequantize{0, ElementType::f32}, b(q, x, scale, zero), scale, zero), "y");
  const auto xml = to_openvino_ir(g).first;
  EXPECT_NE(xml.find("type=\"FakeQuantize\""), xml.npos);
  const Tensor in = Tensor::of<float>({4}, {-100, 0.6f, 3, 1000});
  expect_near(evaluate(through(g), {in})[0].tensor(), Tensor::of<float>({4}, {-5, 0.5f, 3, 122.5f}), 1e-5);
}

TEST(OpenvinoIr, keeps_loops_with_their_bodies) {
  // Three rounds of s = s + s, every s collected.
  auto body = std::make_shared<Graph>();
  {
    Builder b(*body);
    b.parameter(ElementType::i64, PartialShape(Shape{}));
    const Value c = b.parameter(ElementType::boolean, PartialShape(Shape{}));
    const Value s = b.parameter(ElementType::f32, PartialShape{2});
    const Value twice = b(Add{}, s, s);
    b.result(c);
    b.result(twice);
    b.result(twice);
  }
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{2}, "x");
  Loop op;
  op.num_carried = 1;
  op.scan_outputs = {-1};
  const Values out = b.all(op, {b.scalar<int64_t>(3), b.scalar<bool>(true), x}, {body});
  b.result(out[0], "last");
  b.result(out[1], "all");
  const auto got = evaluate(through(g), {Tensor::of<float>({2}, {1, 10})});
  expect_near(got[0].tensor(), Tensor::of<float>({2}, {8, 80}), 0);
  expect_near(got[1].tensor(), Tensor::of<float>({3, 2}, {2, 20, 4, 40, 8, 80}), 0);
}

TEST(OpenvinoIr, reads_constants_at_odd_offsets) {
  const std::string xml = R"(<net name="n" version="11"><layers>
    <layer id="0" name="x" type="Parameter" version="opset1"><data shape="2" element_type="f32"/><output><port id="0" precision="FP32"/></output></layer>
    <layer id="1" name="c" type="Const" version="opset1"><data shape="2" element_type="f32" offset="3" size="8"/><output><port id="0" precision="FP32"/></output></layer>
    <layer id="2" name="a" type="Add" version="opset1"><rt_info><attribute name="strange" version="7" value="kept"/></rt_info>
      <input><port id="0"/><port id="1"/></input><output><port id="2" precision="FP32" names="sum,with\,comma"/></output></layer>
    <layer id="3" name="r" type="Result" version="opset1"><input><port id="0"/></input></layer>
  </layers><edges><edge from-layer="0" from-port="0" to-layer="2" to-port="0"/><edge from-layer="1" from-port="0" to-layer="2" to-port="1"/>
    <edge from-layer="2" from-port="2" to-layer="3" to-port="0"/></edges></net>)";
  std::vector<uint8_t> weights(11);
  const float values[2] = {1.5f, -2};
  std::memcpy(weights.data() + 3, values, 8);
  const Graph g = parse_openvino_ir(xml, weights, nullptr);
  EXPECT_TRUE(evaluate(g, {Tensor::of<float>({2}, {1, 1})})[0].tensor().identical(Tensor::of<float>({2}, {2.5f, -1})));
  const Value sum = g.outputs()[0];
  EXPECT_EQ(sum.names(), (std::vector<std::string>{"sum", "with,comma"}));
  EXPECT_NE(to_openvino_ir(g).first.find("name=\"strange\" version=\"7\" value=\"kept\""), std::string::npos);
  weights.resize(6);
  EXPECT_THROW(parse_openvino_ir(xml, weights, nullptr), Error);
}

TEST(OpenvinoIr, never_crashes_on_truncated_or_changed_files) {
  const auto written = to_openvino_ir(network());
  const std::string& xml = written.first;
  auto attempt = [&](const std::string& text) {
    try {
      parse_openvino_ir(text, written.second, nullptr);
    } catch (const Error&) {
    }
  };
  for (size_t n = 0; n < xml.size(); n += 7) attempt(xml.substr(0, n));
  for (size_t i = 0; i < xml.size(); i += 2) {
    std::string changed = xml;
    changed[i] = static_cast<char>('0' + (i * 7) % 75);
    attempt(changed);
  }
}

TEST(OpenvinoIr, writes_both_files_or_neither) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "ir_write";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "model.xml");  // a folder in the way of the second file
  EXPECT_THROW(write_openvino_ir(network(), (folder / "model.xml").string()), Error);
  write_openvino_ir(network(), (folder / "good.xml").string());
  EXPECT_EQ(read_openvino_ir((folder / "good.xml").string()).num_nodes(), network().num_nodes());
}

TEST(OpenvinoIr, says_layers_without_an_operator_in_others) {
  const std::string port = "<dim>1</dim><dim>2</dim><dim>1</dim><dim>1</dim></port>";
  const std::string xml =
      "<net name='n' version='11'><layers><layer id='0' name='x' type='Parameter' version='opset1'><data "
      "shape='1,2,1,1' element_type='f32'/><output><port id='0' "
      "precision='FP32'>" +
      port +
      "</output></layer><layer id='1' name='g' type='GRN' version='opset1'><data bias='11'/><input><port id='0'>" +
      port + "</input><output><port id='1' precision='FP32'>" + port +
      "</output></layer><layer id='2' name='r' type='Result' version='opset1'><input><port id='0'>" + port +
      "</input></layer></layers><edges><edge from-layer='0' from-port='0' to-layer='1' to-port='0'/><edge "
      "from-layer='1' from-port='1' to-layer='2' to-port='0'/></edges></net>";
  const float x[] = {3, 4};
  const Graph g = parse_openvino_ir(xml, {}, nullptr);
  const Tensor y = evaluate(g, {Tensor::of<float>({1, 2, 1, 1}, x)})[0].tensor();
  EXPECT_FLOAT_EQ(y.data<float>()[0], 0.5f);  // 3 / sqrt(9 + 16 + 11)
  EXPECT_FLOAT_EQ(y.data<float>()[1], 4.0f / 6);
}

// As in the fuzz target, what follows a zero byte is the .bin file.
TEST(OpenvinoIr, inputs_of_past_fuzzing_end_in_a_model_or_an_error) {
  size_t files = 0;
  for (const auto& e :
       std::filesystem::directory_iterator(std::string(HONE_SOURCE_DIR) + "/tests/fuzz/corpus/openvino_ir")) {
    const auto bytes = std::make_shared<const std::string>(read_text_file(e.path().string()));
    const size_t xml = std::min(bytes->find('\0'), bytes->size()), bin = std::min(xml + 1, bytes->size());
    try {
      parse_openvino_ir({bytes->data(), xml},
                        {reinterpret_cast<const uint8_t*>(bytes->data()) + bin, bytes->size() - bin}, bytes);
    } catch (const Error&) {
    }
    ++files;
  }
  EXPECT_GT(files, 0u);
}

}  // namespace
}  // namespace hone
