// Comparing with other runtimes. What needs them is skipped where Python lacks them; what refuses them is always
// tested.
#include <algorithm>

#include "command.hpp"
#include "hone/core.hpp"

namespace hone {
namespace {

class Peers : public testing_command::CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    ModelBuilder b("net");
    const auto x = b.parameter("x", ElementType::f32, {2, 8});
    Tensor w(ElementType::f32, {8, 4});
    for (size_t i = 0; i < w.size(); ++i) set_element(w, i, 0.1 * static_cast<double>(i % 7) - 0.3);
    const auto product = b.add("MatMul", {x, b.constant(w)}, {}, "product");
    const auto active = b.add("Relu", {product}, {}, "active");
    b.result("y", b.add("Softmax", {active}, {{"axis", "1"}}, "y"));
    const Model m = b.build();
    const Core core;
    core.save_model(m, at("net.onnx"));
    core.save_model(m, at("net.xml"));
    core.save_model(m, at("net.hone"));
  }
  // The Python that has the package, or none.
  bool has(const std::string& package) const {
    const char* given = std::getenv("HONE_PYTHON");
    return shell(std::string(given ? given : "python3") + " -c 'import numpy, " + package + "'").code == 0;
  }
  // A stand-in for Python that answers what the script would.
  std::string python_that(const std::string& script) const {
    const std::string file = at("python");
    write_file(file, "#!/bin/sh\n" + script + "\n");
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    return "HONE_PYTHON=" + file;
  }
  std::string python_that_answers(const std::string& result) const {
    return python_that("printf '%s' '" + result + "' > \"$(dirname \"$3\")/result.json\"");
  }
};

}  // namespace

TEST_F(Peers, refuses_unknown_names) {
  const auto o = hone("compare " + at("net.onnx") + " tensorrt:");
  expect_refused(o, 2, "no peer 'tensorrt'");
  EXPECT_NE(o.err.find("openvino"), std::string::npos) << o.err;
}

TEST_F(Peers, says_what_to_install_where_python_or_the_package_is_missing) {
  auto o = hone("compare " + at("net.onnx") + " openvino:", "HONE_PYTHON=" + at("no_python"));
  expect_refused(o, 1, "pip install numpy openvino");
  EXPECT_EQ(lines(o.err), 1u) << o.err;
  o = hone("compare " + at("net.onnx") + " onnxruntime: --json",
           python_that_answers(R"({"error": "missing", "message": "onnxruntime"})"));
  expect_refused(o, 1, "pip install onnxruntime");
  EXPECT_EQ(o.parsed()["error"]["code"], "failed");
  EXPECT_EQ(lines(o.err), 1u) << o.err;
}

TEST_F(Peers, tells_a_refused_model_from_a_failed_run) {
  expect_refused(hone("compare " + at("net.onnx") + " openvino:",
                      python_that_answers(R"({"error": "read", "message": "no such operator"})")),
                 3, "refuses the model: no such operator");
  expect_refused(hone("compare " + at("net.onnx") + " openvino:",
                      python_that_answers(R"({"error": "run", "message": "out of memory"})")),
                 1, "failed: out of memory");
  expect_refused(hone("compare " + at("net.onnx") + " openvino:", python_that("kill -SEGV $$")), 1,
                 "died with signal 11");
}

TEST_F(Peers, leaves_no_temporary_files) {
  std::filesystem::create_directory(at("tmp"));
  hone("compare " + at("net.hone") + " onnxruntime:",
       "TMPDIR=" + at("tmp") + " " + python_that_answers(R"({"error": "run", "message": "x"})"));
  EXPECT_TRUE(std::filesystem::is_empty(at("tmp")));
}

TEST_F(Peers, agree_on_files_of_every_form) {
  size_t tried = 0;
  for (const char* peer : {"openvino", "onnxruntime"}) {
    if (!has(peer)) continue;
    ++tried;
    for (const char* form : {"net.onnx", "net.xml", "net.hone"}) {
      const auto o = hone("compare " + at(form) + " " + peer + ": --json --random 2");
      ASSERT_EQ(o.code, 0) << peer << " " << form << ": " << o.err;
      EXPECT_TRUE(o.parsed()["equal"].get<bool>());
      EXPECT_TRUE(o.parsed()["first_difference"].is_null());
      EXPECT_LT(o.parsed()["outputs"][0]["max_abs"].get<double>(), 1e-5);
    }
    const auto o = hone("compare " + at("net.hone") + " " + peer + ":");
    EXPECT_NE(o.out.find("Hone's export to"), std::string::npos) << o.out;
  }
  if (tried == 0) GTEST_SKIP() << "needs openvino or onnxruntime in python3 or HONE_PYTHON";
}

TEST_F(Peers, name_the_first_layer_that_differs) {
  size_t tried = 0;
  for (const char* peer : {"openvino", "onnxruntime"}) {
    if (!has(peer)) continue;
    ++tried;
    // Nothing is within less than nothing: the first tensor that both show is the first that differs.
    const auto o = hone("compare " + at("net.onnx") + " " + peer + ": --rtol 0 --atol 0 --random 4 --json");
    if (o.code == 0) continue;  // equal to the last bit
    EXPECT_EQ(o.code, 1) << o.err;
    const std::string first = o.parsed()["first_difference"];
    EXPECT_TRUE(first == "product" || first == "y") << first;  // a Relu of equal numbers is equal
  }
  if (tried == 0) GTEST_SKIP() << "needs openvino or onnxruntime in python3 or HONE_PYTHON";
}

TEST_F(Peers, benchmark_refuses_unknown_names_before_it_measures) {
  const auto o = hone("benchmark " + at("net.onnx") + " --peer openvino,tensorrt --json");
  expect_refused(o, 2, "no peer 'tensorrt'");
  EXPECT_EQ(o.parsed()["error"]["code"], "usage");
}

TEST_F(Peers, benchmark_compares_neighbours_in_time) {
  // A peer whose latency halves from round to round: the ratio is the median of the rounds, the spread their ends.
  const std::string answer =
      R"({"version":"1","precision":"f32","note":"","median_ms":%s,"min_ms":1,"load_ms":3,"first_inference_ms":4,"runs_per_s":5,"peak_rss_mb":6})";
  const std::string python = python_that("n=$(cat " + at("n") + " 2>/dev/null || echo 4000000); echo $((n/2)) > " +
                                         at("n") + "; printf '" + answer + "' $n > \"$(dirname \"$3\")/result.json\"");
  const auto o =
      hone("benchmark " + at("net.onnx") + " --peer openvino --threads 1 --precision f32 -t 0.3 --json", python);
  ASSERT_EQ(o.code, 0) << o.err;
  const auto peer = o.parsed()["peers"][0];
  EXPECT_EQ(peer["name"], "openvino");
  EXPECT_DOUBLE_EQ(peer["latency_ms"]["median"], 2e6);
  EXPECT_EQ(peer["load_ms"], 3);
  EXPECT_LE(peer["ratio_min"], peer["ratio"]);
  EXPECT_LE(peer["ratio"], peer["ratio_max"]);
  EXPECT_GT(peer["ratio_min"], 1000);
}

TEST_F(Peers, benchmark_measures_what_is_installed) {
  size_t tried = 0;
  for (const char* peer : {"openvino", "onnxruntime"}) {
    if (!has(peer)) continue;
    ++tried;
    for (const char* hint : {"latency", "throughput"}) {
      const auto o = hone("benchmark " + at("net.hone") + " --threads 2 -t 0.3 --rounds 2 --hint " + hint +
                          " --json --peer " + peer);
      ASSERT_EQ(o.code, 0) << peer << ": " << o.err;
      const auto row = o.parsed()["peers"][0];
      for (const char* key : {"ratio", "throughput_fps", "load_ms", "peak_rss_mb"})
        EXPECT_GT(row[key].get<double>(), 0) << key;
      EXPECT_NE(row["note"].get<std::string>().find("Hone's export"), std::string::npos);
    }
  }
  if (tried == 0) GTEST_SKIP() << "needs openvino or onnxruntime in python3 or HONE_PYTHON";
}

}  // namespace hone
