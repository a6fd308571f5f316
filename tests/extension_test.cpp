// Operators of users' shared libraries, through every verb that reads models.
#include <cmath>

#include "command.hpp"
#include "formats/npy/npy.hpp"
#include "hone/core.hpp"

namespace hone {
namespace {

// A GraphProto by hand: y = relu(NoisyRelu(x)) with f32[4] in and out.
std::string field(int number, const std::string& body) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  size_t n = body.size();
  for (; n > 127; n >>= 7) out += static_cast<char>((n & 127) | 128);
  return out + static_cast<char>(n) + body;
}
std::string number(int n, int v) {
  return std::string(1, static_cast<char>(n << 3)) + static_cast<char>(v);
}

std::string value(const std::string& name) {
  const std::string shape = field(1, number(1, 4));
  return field(1, name) + field(2, field(1, number(1, 1) + field(2, shape)));
}

std::string model_with(const std::string& domain) {
  const auto attribute = [](const char* name, float v) {
    std::string bytes(reinterpret_cast<const char*>(&v), 4);
    return field(5, field(1, name) + std::string("\x15") + bytes + std::string("\xa0\x01\x01", 3));
  };
  const std::string noisy = field(1, "x") + field(2, "n") + field(3, "noise") + field(4, "NoisyRelu") +
                            attribute("mean", 0.25f) + attribute("variance", 0) + field(7, domain);
  const std::string relu = field(1, "n") + field(2, "y") + field(3, "last") + field(4, "Relu");
  const std::string graph =
      field(1, noisy) + field(1, relu) + field(2, "g") + field(11, value("x")) + field(12, value("y"));
  return number(1, 7) + field(7, graph) + field(8, field(1, "") + number(2, 13)) +
         field(8, field(1, domain) + number(2, 1));
}

class Extension : public testing_command::CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    write_file(at("net.onnx"), model_with("MyNoisyReluDomain"));
    const float x[] = {-1, 0, 0.5f, 2};
    write_npy(at("x.npy"), Tensor::of<float>({4}, x));
  }
  std::string bad(int n) const {
    return std::string(HONE_BAD_EXTENSIONS) + "/libbad_extension_" + std::to_string(n) + ".so";
  }
  const std::string own = std::string(" --extension ") + HONE_NOISY_RELU;
  void expect_result(const std::string& model) const {
    const auto o = hone("run " + at(model) + " --input x=" + at("x.npy") + " --output-dir " + at("out") + own);
    ASSERT_EQ(o.code, 0) << model << ": " << o.err;
    const Tensor y = read_npy(at("out/y.npy"));
    for (size_t i = 0; i < 4; ++i)
      EXPECT_FLOAT_EQ(y.data<float>()[i], (std::array{0.f, 0.25f, 0.75f, 2.25f}[i])) << model;
  }
};

}  // namespace

TEST_F(Extension, gives_readers_an_operator) {
  expect_refused(hone("run " + at("net.onnx") + " --output-dir " + at("out")), 3, "--extension LIB.so");
  expect_result("net.onnx");
  const auto i = hone("inspect " + at("net.onnx") + " --json" + own);
  ASSERT_EQ(i.code, 0) << i.err;
  EXPECT_EQ(i.parsed()["operators"]["Custom"], 1);
  EXPECT_EQ(i.parsed()["outputs"][0]["shape"], "[4]");
}

TEST_F(Extension, travels_through_every_form) {
  for (const char* form : {"again.onnx", "again.xml", "again.hone"}) {
    const auto c = hone("convert " + at("net.onnx") + " " + at(form) + own);
    ASSERT_EQ(c.code, 0) << form << ": " << c.err;
    expect_result(form);
    expect_refused(hone("run " + at(form) + " --output-dir " + at("out")), 3, "--extension");
    const auto d = hone("compare " + at("net.onnx") + " " + at(form) + " --json" + own);
    EXPECT_EQ(d.code, 0) << form << ": " << d.err;
  }
}

TEST_F(Extension, is_measured_and_checked) {
  const auto b = hone("benchmark " + at("net.onnx") + " -t 0.1 --threads 1 --precision f32 --json" + own);
  ASSERT_EQ(b.code, 0) << b.err;
  EXPECT_GT(b.parsed()["latency_ms"]["median"].get<double>(), 0);
  const float y[] = {0, 0.25f, 0.75f, 2.25f};
  write_npy(at("y.npy"), Tensor::of<float>({4}, y));
  write_file(
      at("io.json"),
      R"({"model": "net.onnx", "cases": [{"inputs": [{"name": "x", "file": "x.npy"}], "outputs": [{"name": "y", "file": "y.npy"}]}]})");
  const auto c = hone("conformance " + at(".") + " --json" + own);
  EXPECT_EQ(c.code, 0) << c.err;
  EXPECT_EQ(c.parsed()["pass"], 1);
}

TEST_F(Extension, refuses_libraries_that_are_none) {
  const auto with = [&](const std::string& library) {
    return hone("run " + at("net.onnx") + " --output-dir " + at("out") + " --extension " + library);
  };
  const auto refused = [&](const std::string& library, int code, const std::string& why) {
    const auto o = with(library);
    expect_refused(o, code, why);
    EXPECT_EQ(lines(o.err), 1u) << o.err;
  };
  refused(at("absent.so"), 3, "cannot be opened");
  refused(at("x.npy"), 3, "no shared library");
  refused(bad(8), 3, "no hone_extension_entry");
  refused(bad(6), 3, "extension ABI 2, this Hone has 1");
  refused(bad(7), 1, "hone_extension_entry throws");
  refused(bad(5), 3, "lacks its type or a function");
  refused(bad(1), 1, "evaluate throws, which an extension must not: no such luck");
  refused(bad(2), 1, "evaluate failed: the variance is too large");
  refused(bad(3), 1, "unknown element type 'f33'");
  refused(bad(4), 1, "takes 2 to 3 inputs, given 1");
  expect_refused(hone("run " + at("net.onnx") + " --output-dir " + at("out") + own + " --extension " + bad(1)), 3,
                 "another library has operator MyNoisyReluDomain::NoisyRelu");
}

TEST_F(Extension, runs_the_recorded_model) {
  const char* data = std::getenv("HONE_DATA");
  const std::string file = std::string(data ? data : HONE_SOURCE_DIR "/../shared/data") +
                           "/models/onnx/custom_op_noisy_relu/noisy_relu.onnx";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "needs " << file;
  const auto o = hone("run " + file + " --output-dir " + at("out") + own + " --json");
  ASSERT_EQ(o.code, 0) << o.err;
  const Tensor y = read_npy(at("out/Y.npy"));
  ASSERT_EQ(y.shape(), (Shape{5}));
  for (size_t i = 0; i < 5; ++i) EXPECT_GE(y.data<float>()[i], 0);
  EXPECT_EQ(hone("run " + file + " --output-dir " + at("again") + own).code, 0);
  EXPECT_TRUE(read_npy(at("again/Y.npy")).identical(y));  // noise of a fixed seed
}

}  // namespace hone
