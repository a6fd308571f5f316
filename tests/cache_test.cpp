// The cache of compiled models as a user meets it: through the command line and the API.
#include <fcntl.h>

#include <algorithm>
#include <fstream>

#include "api/files.hpp"
#include "base/content_hash.hpp"
#include "command.hpp"
#include "formats/npy/npy.hpp"
#include "hone/core.hpp"
#include "zoo/zoo.hpp"

namespace hone {
namespace {

namespace fs = std::filesystem;
using testing_command::Outcome;

class ModelCaching : public testing_command::CommandTest {
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
  std::string environment() const { return "HONE_CACHE_DIR=" + at("cache"); }
  Outcome benchmark(const std::string& options, const std::string& more = "") const {
    return hone("benchmark " + at("net.onnx") + " --json -t 10ms --threads 1 " + options, environment() + " " + more);
  }
  Outcome run(const std::string& options) const {
    return hone("run " + at("net.onnx") + " --output-dir " + at("out") + " --seed 3 --threads 1 --json " + options,
                environment());
  }
  std::vector<double> result(const Outcome& o) const {
    EXPECT_EQ(o.code, 0) << o.err;
    return read_npy(at("out/" + o.parsed()["outputs"][0]["file"].get<std::string>())).to_doubles();
  }
  static size_t warnings(const std::string& text) {
    size_t n = 0;
    for (size_t at = text.find("warning:"); at != std::string::npos; at = text.find("warning:", at + 1)) ++n;
    return n;
  }
  std::string only_entry() const {
    std::vector<std::string> all;
    for (const auto& e : fs::directory_iterator(at("cache"))) {
      if (e.path().extension() == ".hone") all.push_back(e.path().string());
    }
    EXPECT_EQ(all.size(), 1u);
    return all.at(0);
  }
};

TEST_F(ModelCaching, loads_what_was_compiled_before_in_every_precision) {
  for (const char* precision : {"f32", "auto"}) {
    const std::string options = std::string("--precision ") + precision + " --tune-budget 200ms";
    const auto first = benchmark(options), second = benchmark(options);
    ASSERT_EQ(first.code, 0) << first.err;
    ASSERT_EQ(second.code, 0) << second.err;
    EXPECT_FALSE(first.parsed()["from_cache"].get<bool>());
    EXPECT_TRUE(second.parsed()["from_cache"].get<bool>());
    // The choice that was measured is kept.
    EXPECT_EQ(first.parsed()["taken"], second.parsed()["taken"]);
    EXPECT_EQ(second.parsed()["precision"], precision);
  }
  EXPECT_FALSE(benchmark("--precision f32 --no-cache").parsed()["from_cache"].get<bool>());
  EXPECT_FALSE(benchmark("--precision f32 --shape '0[2,3,16,16]'").parsed()["from_cache"].get<bool>());
  EXPECT_TRUE(benchmark("--precision f32 --shape '0[2,3,16,16]'").parsed()["from_cache"].get<bool>());
}

TEST_F(ModelCaching, gives_the_same_numbers) {
  const auto plain = result(run("--no-cache"));
  EXPECT_FALSE(fs::exists(at("cache")));
  EXPECT_EQ(result(run("")), plain);
  EXPECT_EQ(result(run("")), plain);
  // Inputs by name, by position and inside of the graph.
  Tensor x(ElementType::f32, {1, 3, 16, 16});
  for (size_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>(i % 7);
  write_npy(at("x.npy"), x);
  const auto named = result(run("--no-cache --input 0=" + at("x.npy")));
  EXPECT_NE(named, plain);
  EXPECT_EQ(result(run("--input 0=" + at("x.npy"))), named);
  EXPECT_EQ(result(run("--input 0=" + at("x.npy"))), named);
}

TEST_F(ModelCaching, survives_damage_with_one_warning) {
  const auto plain = result(run("--no-cache"));
  EXPECT_EQ(result(run("")), plain);
  for (const char* how : {"cut", "flip", "foreign", "empty"}) {
    const std::string path = only_entry();
    const auto size = fs::file_size(path);
    if (how[0] == 'c') fs::resize_file(path, size - 100);
    if (how[0] == 'e') fs::resize_file(path, 0);
    if (how[0] == 'f') {
      std::string bytes = read_text_file(path);
      if (how[1] == 'l')
        bytes[bytes.size() - 3000] ^= 1;
      else
        bytes[8] ^= 2;  // the version of the container
      const int fd = ::open(path.c_str(), O_WRONLY);
      ASSERT_EQ(::pwrite(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
      ::close(fd);
    }
    const Outcome o = run("");
    EXPECT_EQ(result(o), plain) << how;
    EXPECT_EQ(warnings(o.err), 1u) << how << ": " << o.err;
    EXPECT_NE(o.err.find("[cache]"), std::string::npos) << o.err;
    EXPECT_EQ(warnings(run("").err), 0u) << how;  // compiled anew and stored
  }
}

TEST_F(ModelCaching, goes_on_without_a_usable_folder) {
  const auto plain = result(run("--no-cache"));
  write_file(at("cache"), "in the way");
  const Outcome o = run("");
  EXPECT_EQ(result(o), plain);
  EXPECT_EQ(warnings(o.err), 1u) << o.err;
  fs::remove(at("cache"));
  const Outcome wrong = benchmark("--precision f32", "HONE_CACHE_SIZE=lots");
  EXPECT_EQ(wrong.code, 2) << wrong.err;
  const Outcome full = shell("ulimit -f 8; " + environment() + " " + std::string(HONE_BINARY) + " run " +
                             at("net.onnx") + " --output-dir " + at("out") + " --seed 3 --threads 1 --json");
  EXPECT_EQ(result(full), plain);
  EXPECT_EQ(warnings(full.err), 1u) << full.err;
}

TEST_F(ModelCaching, compiles_for_the_isa_at_hand) {
  const Outcome first = benchmark("--precision f32");
  ASSERT_EQ(first.code, 0) << first.err;
  const Outcome reference = benchmark("--precision f32", "HONE_ISA=reference");
  ASSERT_EQ(reference.code, 0) << reference.err;
  EXPECT_FALSE(reference.parsed()["from_cache"].get<bool>());
  EXPECT_TRUE(benchmark("--precision f32", "HONE_ISA=reference").parsed()["from_cache"].get<bool>());
}

TEST_F(ModelCaching, two_processes_may_share_the_folder) {
  const auto plain = result(run("--no-cache"));
  const std::string one =
      environment() + " " + std::string(HONE_BINARY) + " run " + at("net.onnx") + " --seed 3 --threads 1 --output-dir ";
  std::string all;
  for (int i = 0; i < 4; ++i) all += one + at("p" + std::to_string(i)) + " & ";
  const Outcome o = shell(all + "wait");
  EXPECT_EQ(o.err, "");
  for (int i = 0; i < 4; ++i) {
    const std::string folder = at("p" + std::to_string(i));
    const auto j = nlohmann::json::parse(read_text_file(folder + "/outputs.json"));
    EXPECT_EQ(read_npy(folder + "/" + j["outputs"][0]["file"].get<std::string>()).to_doubles(), plain);
  }
  EXPECT_NE(only_entry(), "");
}

TEST_F(ModelCaching, is_off_in_the_api_unless_asked_for) {
  const Core core;
  const char* own = std::getenv("HONE_CACHE_DIR");
  const std::string before = own ? own : "";
  unsetenv("HONE_CACHE_DIR");
  const auto infer = [](const CompiledModel& m) {
    InferRequest r = m.create_infer_request();
    Tensor x(ElementType::f32, {1, 3, 16, 16});
    for (size_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>(i % 5);
    r.set_input_tensor(0, x);
    r.infer();
    return r.get_output_tensor(0).to_doubles();
  };
  const Properties with{{"CACHE_DIR", at("cache")}, {"INFERENCE_NUM_THREADS", "1"}},
      without{{"INFERENCE_NUM_THREADS", "1"}};
  const CompiledModel plain = core.compile_model(at("net.onnx"), "CPU", without);
  EXPECT_FALSE(fs::exists(at("cache")));
  for (int i = 0; i < 2; ++i) {
    const CompiledModel m = core.compile_model(at("net.onnx"), "CPU", with);
    EXPECT_EQ(infer(m), infer(plain));
    ASSERT_EQ(m.inputs().size(), 1u);
    EXPECT_EQ(m.inputs()[0].name, plain.inputs()[0].name);
    EXPECT_EQ(m.inputs()[0].names, plain.inputs()[0].names);
    EXPECT_EQ(m.inputs()[0].partial_shape, plain.inputs()[0].partial_shape);
    EXPECT_EQ(m.outputs()[0].name, plain.outputs()[0].name);
    EXPECT_EQ(m.explain(), plain.explain());
    EXPECT_FALSE(m.explain().empty());
    m.export_model(at("exported.hone"));
    EXPECT_GT(fs::file_size(at("exported.hone")), 1000u);
  }
  EXPECT_NE(only_entry(), "");
  fs::remove_all(at("cache"));
  // A model in memory, and the environment in place of the property.
  setenv("HONE_CACHE_DIR", at("cache").c_str(), 1);
  const Model model = core.read_model(at("net.onnx"));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(infer(core.compile_model(model, "CPU", without)), infer(plain));
  EXPECT_NE(only_entry(), "");
  if (own)
    setenv("HONE_CACHE_DIR", before.c_str(), 1);
  else
    unsetenv("HONE_CACHE_DIR");
}

}  // namespace
}  // namespace hone
