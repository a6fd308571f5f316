#include "formats/formats.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/file.hpp"
#include "formats/conformance/conformance.hpp"
#include "formats/onnx/file_maker_test.hpp"
#include "formats/onnx/reader.hpp"
#include "formats/openvino_ir/reader.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"

namespace hone {
namespace {

namespace fs = std::filesystem;

std::string data_folder() {
  if (const char* d = std::getenv("HONE_DATA")) return d;
  return (fs::path(HONE_SOURCE_DIR) / "../shared/data").lexically_normal().string();
}
#define NEED_DATA()                       \
  const std::string data = data_folder(); \
  if (!fs::exists(data + "/models")) GTEST_SKIP() << "no test data: set HONE_DATA to the folder with models/"

std::string message_of(const std::string& path) {
  try {
    read_model(path);
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST(Formats, refuses_known_formats_by_name_with_the_way_around) {
  const fs::path folder = fs::path(testing::TempDir()) / "refused";
  fs::create_directories(folder);
  const std::pair<const char*, const char*> cases[] = {
      {"a.caffemodel", "Caffe"}, {"a.cfg", "Darknet"}, {"a.param", "ncnn"}, {"a.pdmodel", "Paddle"}, {"a.h5", "Keras"}};
  for (const auto& [file, name] : cases) {
    write_file((folder / file).string(), "something");
    const std::string m = message_of((folder / file).string());
    EXPECT_NE(m.find(name), m.npos) << m;
    EXPECT_NE(m.find("not supported"), m.npos) << m;
  }
  EXPECT_NE(message_of((folder / "missing.onnx").string()).find("cannot open"), std::string::npos);
}

TEST(Formats, an_onnx_file_is_known_by_its_content_whatever_its_suffix) {
  OnnxFile file;
  file.input("x", ElementType::f32, {2}).add(OnnxFile::node("Neg", {"x"}, {"y"})).output("y");
  const fs::path folder = fs::path(testing::TempDir()) / "renamed";
  fs::create_directories(folder);
  for (const char* name : {"net.pb", "net.model", "net"}) {
    write_file((folder / name).string(), file.bytes());
    const Graph g = read_model((folder / name).string());
    EXPECT_EQ(g.inputs()[0].node().name(), "x") << name;
  }
  // A GraphDef with one node of TensorFlow, and the start of a SavedModel.
  const std::string placeholder("\x0a\x10\x0a\x01x\x12\x0bPlaceholder", 18);
  for (const std::string& bytes : {placeholder, std::string("\x08\x01\x12\x02\x12\x00", 6)}) {
    write_file((folder / "other.pb").string(), bytes);
    EXPECT_EQ(message_of((folder / "other.pb").string()).find("onnx"), std::string::npos);
  }
}

TEST(Formats, real_models_give_their_recorded_outputs) {
  NEED_DATA();
  ConformanceOptions o;
#ifdef HONE_SANITIZED
  o.timeout_s *= 10;  // the reference takes a minute and more for the largest case there
#endif
  for (const char* name :
       {"samplenet", "ultraface_rfb_320", "micro_kws", "squeezenet_fp16", "iris_mlp", "gpt2_past_tiny"}) {
    o.filter = name;
    const auto r = run_conformance(data + "/models/onnx", o);
    EXPECT_GT(r.pass, 0u) << name;
    for (const CaseResult& c : r.cases) EXPECT_EQ(c.status, CaseStatus::pass) << c.name << ": " << c.reason;
  }
}

TEST(Formats, an_imported_model_survives_both_exchange_formats) {
  NEED_DATA();
  const Graph g = read_model(data + "/models/onnx/samplenet/samplenet.onnx");
  Tensor in(ElementType::f32, g.inputs()[0].shape().to_shape());
  for (size_t i = 0; i < in.size(); ++i) in.data<float>()[i] = static_cast<float>(i % 17) / 17;
  const Tensor expected = evaluate(g, {in})[0].tensor();
  for (const char* file : {"samplenet.onnx", "samplenet.xml"}) {
    const std::string path = (fs::path(testing::TempDir()) / file).string();
    write_model(g, path);
    const Tensor got = evaluate(read_model(path), {in})[0].tensor();
    ASSERT_EQ(got.shape(), expected.shape());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(get_element(got, i), get_element(expected, i), 1e-5) << file;
  }
}

TEST(Formats, reads_openvinos_own_files) {
  NEED_DATA();
  const Graph ir = read_model(data + "/models/other/samplenet_openvino/SampLeNet.xml");
  EXPECT_EQ(ir.parameters().size(), 1u);
  Tensor in(ElementType::f32, ir.inputs()[0].shape().to_shape());
  const Tensor out = evaluate(ir, {in})[0].tensor();
  EXPECT_EQ(out.shape(), (Shape{1, 10}));
}

TEST(Formats, damaged_real_files_never_crash) {
  NEED_DATA();
  const auto file = MappedFile::open(data + "/models/onnx/samplenet/samplenet.onnx");
  const std::string whole(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    auto bytes = std::make_shared<std::string>(whole);
    if (round % 3 == 0) bytes->resize(random() % bytes->size());
    for (int k = 0; k < 8 && !bytes->empty(); ++k) {
      // Structure is at both ends; weights fill the middle.
      const size_t at = random() % 2 ? random() % std::min<size_t>(bytes->size(), 2000)
                                     : bytes->size() - 1 - random() % std::min<size_t>(bytes->size(), 2000);
      (*bytes)[at] = static_cast<char>(random());
    }
    try {
      parse_onnx(*bytes, bytes);
    } catch (const Error&) {
    }
  }
}

TEST(Conformance, reports_passes_failures_and_refusals_case_by_case) {
  NEED_DATA();
  if (!fs::exists(data + "/conformance/onnx_backend_simple.tar.gz")) GTEST_SKIP() << "no conformance archives";
  const auto r = run_conformance(data + "/conformance/onnx_backend_simple.tar.gz");
  EXPECT_EQ(r.cases.size(), r.pass + r.fail + r.refused + r.crash);
  EXPECT_EQ(r.crash, 0u);
  EXPECT_EQ(r.cases.size(), 18u);
  EXPECT_THROW(run_conformance(testing::TempDir() + "/there_is_nothing"), Error);
}

TEST(Conformance, a_case_that_dies_is_a_row) {
  NEED_DATA();
  ConformanceOptions o;
  o.filter = "iris";
  o.prepare = [](Graph) -> hone::Run { std::abort(); };
  const auto r = run_conformance(data + "/models/onnx", o);
  EXPECT_EQ(r.crash, r.cases.size());
  ASSERT_FALSE(r.cases.empty());
  EXPECT_NE(r.cases[0].reason.find("signal"), std::string::npos);
}

TEST(Compare, measures_differences_and_keeps_integers_exact) {
  Tolerance t;
  t.rtol = 1e-3;
  t.atol = 1e-4;
  EXPECT_TRUE(compare(Tensor::of<float>({2}, {1, 2.001f}), Tensor::of<float>({2}, {1, 2}), t, "y").equal);
  EXPECT_FALSE(compare(Tensor::of<float>({2}, {1, 2.1f}), Tensor::of<float>({2}, {1, 2}), t, "y").equal);
  EXPECT_FALSE(compare(Tensor::of<int8_t>({1}, {3}), Tensor::of<int8_t>({1}, {4}), t, "y").equal);
  t.steps = 1;
  EXPECT_TRUE(compare(Tensor::of<int8_t>({1}, {3}), Tensor::of<int8_t>({1}, {4}), t, "y").equal);
  EXPECT_FALSE(compare(Tensor::of<float>({1}, {1}), Tensor::of<float>({1, 1}, {1}), t, "y").equal);
  const Tolerance spread = Tolerance::parse("largest difference <= 0.05, mean <= 0.01 of the spread");
  EXPECT_DOUBLE_EQ(spread.spread_largest, 0.05);
  EXPECT_DOUBLE_EQ(spread.spread_mean, 0.01);
}

}  // namespace
}  // namespace hone
