// Tuning, layer tables and reports as a user meets them.
#include "api/files.hpp"
#include "command.hpp"
#include "formats/npy/npy.hpp"
#include "zoo/zoo.hpp"

namespace hone {
namespace {

namespace fs = std::filesystem;
using testing_command::Outcome;

class Tune : public testing_command::CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    NetworkOptions o;
    o.classes = 10;
    o.channels = 3;
    o.height = o.width = 16;
    Graph g = build_network("resnet8", o);
    g.reshape({{g.inputs()[0].id, PartialShape(Shape{1, 3, 16, 16})}});
    save_any_model(g, at("net.onnx"));
  }
  Outcome call(const std::string& arguments) const { return hone(arguments, "HONE_CACHE_DIR=" + at("cache")); }
  static std::map<std::string, std::string> kernels(const Outcome& o) {
    EXPECT_EQ(o.code, 0) << o.err;
    std::map<std::string, std::string> all;
    const nlohmann::json layers = o.parsed()["layers"];
    for (const auto& l : layers) all[l["name"]] = l["kernel"];
    return all;
  }
};

TEST_F(Tune, writes_records_that_benchmark_uses_and_the_cache_keeps_apart) {
  const Outcome t = call("tune " + at("net.onnx") + " --out " + at("records.json") +
                         " --threads 1 --precision f32 --time-budget 20s --json");
  ASSERT_EQ(t.code, 0) << t.err;
  EXPECT_GT(t.parsed()["tuned_nodes"].get<int>(), 0);
  EXPECT_GE(t.parsed()["speedup"].get<double>(), 1);
  EXPECT_GT(t.parsed()["seconds"].get<double>(), 0);
  auto records = nlohmann::json::parse(read_text_file(at("records.json")));
  ASSERT_EQ(records["records"].size() > 0, true);
  // Whatever was measured: these records name the dearest kernels, and these run.
  const std::string plain = "benchmark " + at("net.onnx") + " --layers --json -t 10ms --threads 1 --precision f32";
  const auto before = kernels(call(plain));
  size_t changed = 0;
  const nlohmann::json layers = call(plain).parsed()["layers"];
  for (auto& r : records["records"]) {
    for (const auto& l : layers) {
      if (l["op"] != "Convolution" || l["kernel"] != r["kernel"]) continue;
      for (const auto& refused : l["refused"]) {
        const std::string text = refused;
        if (text.find(": costs more than") != std::string::npos && !text.starts_with("reference_"))
          r["kernel"] = text.substr(0, text.find(':'));
      }
    }
  }
  write_file(at("other.json"), records.dump());
  const Outcome with = call(plain + " --records " + at("other.json"));
  const nlohmann::json chosen = with.parsed()["layers"];
  for (const auto& l : chosen) {
    if (before.at(l["name"]) == l["kernel"]) continue;
    ++changed;
    EXPECT_EQ(l["why"], "tuning record") << l;
  }
  EXPECT_GT(changed, 0u);
  EXPECT_FALSE(with.parsed()["from_cache"].get<bool>());
  EXPECT_TRUE(call(plain + " --records " + at("other.json")).parsed()["from_cache"].get<bool>());
  EXPECT_EQ(kernels(call(plain)), before);
}

TEST_F(Tune, a_hone_file_carries_its_records) {
  const Outcome t =
      call("tune " + at("net.onnx") + " --out " + at("tuned.hone") + " --threads 1 --precision f32 --json");
  ASSERT_EQ(t.code, 0) << t.err;
  const Graph g = read_any_model(at("tuned.hone"));
  ASSERT_TRUE(g.info.contains("hone/tuning_records"));
  const auto records = nlohmann::json::parse(g.info.at("hone/tuning_records"));
  std::set<std::string> named;
  for (const auto& r : records["records"]) named.insert(r["kernel"]);
  size_t found = 0;
  for (const auto& [layer, kernel] :
       kernels(call("benchmark " + at("tuned.hone") + " --layers --json -t 10ms --threads 1 --precision f32")))
    found += named.contains(kernel);
  EXPECT_GT(found, 0u);
  // An existing file stays unless forced.
  expect_refused(call("tune " + at("net.onnx") + " --out " + at("tuned.hone")), 1, "--force");
}

TEST_F(Tune, refuses_what_are_no_records) {
  write_file(at("bad.json"), "{}");
  expect_refused(call("benchmark " + at("net.onnx") + " --records " + at("bad.json") + " -t 10ms"), 3,
                 "tuning records");
  expect_refused(call("benchmark " + at("net.onnx") + " --records " + at("missing.json") + " -t 10ms"), 3,
                 "missing.json");
}

TEST_F(Tune, layers_say_their_work_their_share_of_the_peak_and_why) {
  const Outcome o =
      call("benchmark " + at("net.onnx") + " --layers --json -t 50ms --threads 1 --precision f32 --no-cache");
  ASSERT_EQ(o.code, 0) << o.err;
  const auto j = o.parsed();
  EXPECT_GT(j["host"]["memory_gbs"].get<double>(), 0);
  EXPECT_TRUE(j["host"].contains("core_to_core_ns"));
  double gflop = 0;
  for (const auto& l : j["layers"]) {
    gflop += l["gflop"].get<double>();
    if (l["op"] != "Convolution") continue;
    EXPECT_GT(l["gflops"].get<double>(), 0);
    EXPECT_EQ(l["type"], "f32");
    EXPECT_FALSE(l["why"].get<std::string>().empty()) << l;
    if (j["host"]["f32_gflops"].get<double>() > 0) {
      EXPECT_GT(l["share_of_peak"].get<double>(), 0);
      EXPECT_NEAR(l["share_of_peak"].get<double>(), l["gflops"].get<double>() / j["host"]["f32_gflops"].get<double>(),
                  1e-9);
    }
  }
  // ResNet-8 at 16 x 16: its nine convolutions, twice the multiplications.
  EXPECT_NEAR(gflop, call("inspect " + at("net.onnx") + " --flops --json").parsed()["flops"].get<double>() / 1e9,
              0.1 * gflop);
}

TEST_F(Tune, the_report_is_one_page_that_loads_nothing) {
  const Outcome o =
      call("benchmark " + at("net.onnx") + " --report " + at("page.html") + " -t 20ms --threads 1 --precision f32");
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_NE(o.out.find("GB/s, core to core"), std::string::npos) << o.out;
  const std::string page = read_text_file(at("page.html"));
  EXPECT_TRUE(page.starts_with("<!doctype html>"));
  for (const char* part : {"<svg", "Timeline", "Roofline", "Convolution", "GB/s", "net.onnx", "costs more than"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  for (const char* remote : {"http:", "https:", "<script", "<link", "@import", "url("})
    EXPECT_EQ(page.find(remote), std::string::npos) << remote;
  expect_refused(call("benchmark " + at("net.onnx") + " --report " + at("page.html") + " -t 20ms"), 1, "--force");
}

}  // namespace
}  // namespace hone
