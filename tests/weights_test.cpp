// PyTorch's files on the command line: exported programs, and weights with the network that they belong to.
#include <algorithm>

#include "command.hpp"
#include "formats/npy/npy.hpp"
#include "formats/pytorch/archive_samples_test.hpp"

namespace hone {
namespace {

class Weights : public testing_command::CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    // SampLeNet with small numbers that are not all alike.
    const std::pair<const char*, std::vector<int64_t>> shapes[] = {
        {"conv1.weight", {6, 3, 5, 5}}, {"conv1.bias", {6}}, {"conv2.weight", {16, 6, 5, 5}}, {"conv2.bias", {16}},
        {"fc1.weight", {120, 400}},     {"fc1.bias", {120}}, {"fc2.weight", {84, 120}},       {"fc2.bias", {84}},
        {"fc3.weight", {10, 84}},       {"fc3.bias", {10}}};
    std::string header, data;
    for (const auto& [name, shape] : shapes) {
      std::vector<float> v(static_cast<size_t>(element_count(shape)));
      for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i * 7919 % 101) / 1000 - 0.04f;
      header += (header.empty() ? "{\"" : ", \"") + std::string(name) + R"(": {"dtype": "F32", "shape": )" +
                to_string(shape) + R"(, "data_offsets": [)" + std::to_string(data.size()) + ", ";
      data += archive_samples::floats(v);
      header += std::to_string(data.size()) + "]}";
    }
    header += "}";
    write_file(at("w.safetensors"), archive_samples::little(header.size(), 8) + header + data);
  }
};

}  // namespace

TEST_F(Weights, want_a_network_and_name_those_that_fit) {
  auto o = hone("run " + at("w.safetensors") + " --output-dir " + at("out"));
  expect_refused(o, 3, "fitting: samplenet");
  EXPECT_EQ(lines(o.err), 1u) << o.err;
  expect_refused(hone("convert " + at("w.safetensors") + " " + at("w.onnx") + " --network resnet20"), 3,
                 "fitting: samplenet");
  expect_refused(hone("inspect " + at("w.safetensors") + " --network samplenet:colour=1"), 2, "no parameter 'colour'");
}

TEST_F(Weights, become_models_of_their_network) {
  auto o = hone("convert " + at("w.safetensors") + " " + at("w.onnx") + " --network samplenet --json");
  ASSERT_EQ(o.code, 0) << o.err;
  o = hone("inspect " + at("w.safetensors") + " --network samplenet --json");
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.parsed()["parameters"], 62006);
  ASSERT_EQ(hone("run " + at("w.safetensors") + " --network samplenet --seed 3 --output-dir " + at("a")).code, 0);
  ASSERT_EQ(hone("run " + at("w.onnx") + " --seed 3 --output-dir " + at("b")).code, 0);
  const auto a = read_npy(at("a") + "/logits.npy").to_doubles(), b = read_npy(at("b") + "/logits.npy").to_doubles();
  ASSERT_EQ(a.size(), 10u);
  EXPECT_NE(a[0], a[1]);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4);  // other fusion, other rounding
  expect_refused(hone("inspect " + at("w.onnx") + " --network samplenet"), 2, "a whole model");
}

TEST_F(Weights, exported_programs_convert) {
  write_file(at("net.pt2"), archive_samples::linear_archive());
  for (const char* form : {"net.onnx", "net.xml"}) {
    auto o = hone("convert " + at("net.pt2") + " " + at(form));
    ASSERT_EQ(o.code, 0) << o.err;
    o = hone("compare " + at("net.pt2") + " " + at(form) + " --json");
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_TRUE(o.parsed()["equal"].get<bool>());
  }
}

}  // namespace hone
