// The runtime as a package uses it: libhone_runtime and its public header alone, on files written beforehand.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "hone/runtime.hpp"
#include "program/hone_file.hpp"

namespace hone {
namespace {

// y = relu(x), with a state that counts nothing: c <- y.
Program relu_program() {
  Program p;
  p.target = "any";
  const auto tensor = [&](Place place) {
    ProgramTensor t;
    t.type = ElementType::f32;
    t.shape = {2, 3, 8, 8};
    t.bytes = 4 * 2 * 3 * 64;
    t.place = place;
    t.root = static_cast<uint32_t>(p.tensors.size());
    p.tensors.push_back(t);
    return t.root;
  };
  const uint32_t x = tensor(Place::input), y = tensor(Place::output), c = tensor(Place::state);
  p.inputs = {{"x", {"picture"}, x}};
  p.outputs = {{"y", {}, y}};
  p.states = {{"c", c, y, no_tensor, false}};
  ProgramStep s;
  s.op = "Relu";
  s.name = "relu";
  s.inputs = {x};
  s.outputs = {y};
  s.num_op_inputs = 1;
  p.steps = {s};
  p.info["precision"] = "f32";
  verify(p);
  return p;
}

class RuntimeLibrary : public testing::Test {
 protected:
  RuntimeLibrary() {
    HoneFile f;
    f.metadata = {{"labels", "[\"cat\"]"}};
    f.programs = {relu_program()};
    write_hone(path_, f);
  }
  ~RuntimeLibrary() override { std::filesystem::remove(path_); }
  std::string path_ =
      std::filesystem::temp_directory_path() / ("runtime_library_test_" + std::to_string(::getpid()) + ".hone");
};

TEST_F(RuntimeLibrary, loads_and_runs_a_file) {
  runtime::Model m;
  const runtime::Status s = m.load(path_.c_str(), {.threads = 2, .profile = true});
  ASSERT_TRUE(s) << s.message;
  ASSERT_EQ(m.num_inputs(), 1u);
  EXPECT_STREQ(m.input(0).name, "x");
  EXPECT_STREQ(m.input(0).type, "f32");
  ASSERT_EQ(m.input(0).rank, 4u);
  EXPECT_EQ(m.input(0).shape[1], 3);
  EXPECT_EQ(m.input(0).bytes, 1536u);
  EXPECT_EQ(m.input_index("picture"), 0);
  EXPECT_EQ(m.output_index("z"), -1);
  EXPECT_STREQ(m.metadata("labels"), "[\"cat\"]");
  EXPECT_EQ(m.metadata("absent"), nullptr);
  EXPECT_STREQ(m.precision(), "f32");
  auto* x = static_cast<float*>(m.input_data(0));
  for (int i = 0; i < 384; ++i) x[i] = static_cast<float>(i - 100);
  ASSERT_TRUE(m.run());
  const auto* y = static_cast<const float*>(m.output_data(0));
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[383], 283);
  const char* op = nullptr;
  double microseconds = -1;
  ASSERT_TRUE(m.step(0, nullptr, &op, nullptr, &microseconds));
  EXPECT_STREQ(op, "Relu");
  EXPECT_GE(microseconds, 0);
}

TEST_F(RuntimeLibrary, a_second_request_shares_the_program) {
  runtime::Model a, b;
  ASSERT_TRUE(a.load(path_.c_str(), {.threads = 1}));
  ASSERT_TRUE(a.clone_into(b));
  static_cast<float*>(a.input_data(0))[0] = 1;
  static_cast<float*>(b.input_data(0))[0] = 2;
  ASSERT_TRUE(a.run());
  ASSERT_TRUE(b.run());
  EXPECT_EQ(static_cast<const float*>(a.output_data(0))[0], 1);
  EXPECT_EQ(static_cast<const float*>(b.output_data(0))[0], 2);
}

TEST_F(RuntimeLibrary, memory_of_the_caller_is_used) {
  runtime::Model m;
  ASSERT_TRUE(m.load(path_.c_str(), {.threads = 1}));
  std::vector<float> x(385, 3), y(384);
  ASSERT_TRUE(m.bind_input(0, x.data() + 1, 1536));
  ASSERT_TRUE(m.bind_output(0, y.data(), 1536));
  ASSERT_TRUE(m.run());
  EXPECT_EQ(y[200], 3);
  EXPECT_FALSE(m.bind_input(0, x.data(), 100));
  EXPECT_FALSE(m.bind_input(7, x.data(), 1536));
}

TEST_F(RuntimeLibrary, what_cannot_be_loaded_is_a_status) {
  runtime::Model m;
  EXPECT_FALSE(m.run());
  runtime::Status s = m.load("/nowhere/model.hone");
  EXPECT_FALSE(s);
  EXPECT_NE(std::string(s.message).find("/nowhere/model.hone"), std::string::npos) << s.message;
  s = m.load(path_.c_str(), {.precision = "int8"});
  EXPECT_FALSE(s);
  EXPECT_NE(std::string(s.message).find("it has f32"), std::string::npos) << s.message;
  std::ofstream(path_, std::ios::binary)
      << "not a model, but long enough to hold the header of one, which has 64 bytes";
  s = m.load(path_.c_str());
  EXPECT_FALSE(s);
  EXPECT_NE(std::string(s.message).find("not a compiled model"), std::string::npos) << s.message;
  EXPECT_EQ(m.num_inputs(), 0u);
}

}  // namespace
}  // namespace hone
