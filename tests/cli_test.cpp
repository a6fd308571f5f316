// The command line as a user meets it: every verb on a small data set, its JSON keys and exit codes, wrong input, Ctrl-C.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.hpp"
#include "data/image.hpp"
#include "data/random.hpp"
#include "formats/npy/npy.hpp"

namespace hone {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Outcome {
  int code = -1;
  std::string out, err;
  json parsed() const { return json::parse(out); }
};

// One folder for the whole program; removed at the end.
class Workspace : public ::testing::Environment {
 public:
  static fs::path& root() {
    static fs::path p;
    return p;
  }
  void SetUp() override {
    root() = fs::temp_directory_path() / ("hone_cli_" + std::to_string(::getpid()));
    fs::create_directories(root());
    setenv("HONE_CACHE_DIR", (root() / "cache").c_str(), 1);  // not the user's own
    data::Random random{11};
    for (const char* label : {"cross", "disc", "stripes"}) {
      fs::create_directories(root() / "photos" / label);
      for (int i = 0; i < 40; ++i) {
        data::Image image(16, 16, 3);
        const int dx = static_cast<int>(random.below(5)) - 2, dy = static_cast<int>(random.below(5)) - 2;
        for (int y = 0; y < 16; ++y) {
          for (int x = 0; x < 16; ++x) {
            const int u = x - 8 - dx, v = y - 8 - dy;
            const bool on = label[0] == 'c' ? std::abs(u) < 2 || std::abs(v) < 2 : label[0] == 'd' ? u * u + v * v < 20 : (y + dy) % 4 < 2;
            for (int c = 0; c < 3; ++c) image.pixel(x, y)[c] = static_cast<uint8_t>((on ? 170 : 40) + random.below(60));
          }
        }
        data::write_image((root() / "photos" / label / (std::to_string(i) + ".png")).string(), image);
      }
    }
  }
  void TearDown() override { fs::remove_all(root()); }
};
[[maybe_unused]] const auto* workspace = ::testing::AddGlobalTestEnvironment(new Workspace);

std::string at(const std::string& name) { return (Workspace::root() / name).string(); }

Outcome shell(const std::string& command) {
  const std::string out = at("stdout"), err = at("stderr");
  const int status = std::system((command + " >" + out + " 2>" + err).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_text_file(out), read_text_file(err)};
}
Outcome hone_run(const std::string& arguments) { return shell(std::string(HONE_BINARY) + " " + arguments); }

// The model that most tests start from; trained once.
const std::string& model() {
  static const std::string file = [] {
    const Outcome o = hone_run("train " + at("photos") + " --model resnet8 --epochs 12 --batch 16 --precision f32 --threads 1 --out " + at("run") + " --json");
    EXPECT_EQ(o.code, 0) << o.err;
    return at("run/model.hone");
  }();
  return file;
}

size_t lines(const std::string& s) { return static_cast<size_t>(std::count(s.begin(), s.end(), '\n')); }

void expect_refused(const Outcome& o, int code, const std::string& part) {
  EXPECT_EQ(o.code, code) << o.err;
  EXPECT_NE(o.err.find(part), std::string::npos) << o.err;
  EXPECT_EQ(o.err.find("terminate"), std::string::npos) << o.err;
}

}  // namespace

TEST(Cli, trains_tests_and_predicts) {
  model();
  const json t = hone_run("test " + model() + " --data " + at("photos") + " --json").parsed();
  EXPECT_GT(t["metrics"]["accuracy"].get<double>(), 0.7);
  EXPECT_GT(t["samples"].get<int>(), 10);
  const Outcome p = hone_run("predict " + model() + " " + at("photos/disc/0.png") + " " + at("photos/cross/1.png") + " --top 2 --precision f32 --json");
  ASSERT_EQ(p.code, 0) << p.err;
  ASSERT_EQ(p.parsed()["results"].size(), 2u);
  EXPECT_EQ(p.parsed()["results"][0]["predictions"].size(), 2u);
  EXPECT_TRUE(p.parsed()["results"][0]["predictions"][0].contains("score"));
}

TEST(Cli, quantizes_within_the_accepted_drop) {
  const Outcome q = hone_run("quantize " + model() + " --data " + at("photos") + " --samples 40 --max-drop 5 --out " + at("int8.hone") + " --force --json");
  ASSERT_EQ(q.code, 0) << q.err;
  const json j = q.parsed();
  EXPECT_GT(j["quantized_nodes"].get<int>(), 5);
  EXPECT_LE(j["drop"].get<double>(), 5);
  for (const char* key : {"out", "kept_nodes", "seconds", "peak_rss_mb"}) EXPECT_TRUE(j.contains(key)) << key;
  const Outcome again = hone_run("quantize " + at("int8.hone") + " --data " + at("photos") + " --out " + at("twice.hone"));
  expect_refused(again, 1, "quantized already");
  EXPECT_FALSE(fs::exists(at("twice.hone")));
}

TEST(Cli, converts_and_compares) {
  for (const char* form : {"model.onnx", "model.xml"}) {
    const Outcome c = hone_run("convert " + model() + " " + at(form) + " --force --json");
    ASSERT_EQ(c.code, 0) << form << ": " << c.err;
    for (const char* key : {"out", "nodes", "fused", "folded"}) EXPECT_TRUE(c.parsed().contains(key)) << key;
    const Outcome d = hone_run("compare " + model() + " " + at(form) + " --random 2 --json");
    EXPECT_EQ(d.code, 0) << form << ": " << d.err << d.out;
    EXPECT_TRUE(d.parsed()["equal"].get<bool>());
  }
  const Outcome other = hone_run("train " + at("photos") + " --model resnet8 --epochs 1 --batch 16 --seed 5 --threads 1 --precision f32 --out " + at("other") + " --force");
  ASSERT_EQ(other.code, 0) << other.err;
  const Outcome d = hone_run("compare " + model() + " " + at("other/model.hone") + " --json");
  EXPECT_EQ(d.code, 1);
  EXPECT_FALSE(d.parsed()["equal"].get<bool>());
}

// What `hone run` gives for one tensor, as numbers.
std::vector<double> run_on(const std::string& file, const std::string& input, const Tensor& x) {
  write_npy(at("value.npy"), x);
  const Outcome o = hone_run("run " + file + " --input " + input + "=" + at("value.npy") + " --output-dir " + at("values") + " --json");
  EXPECT_EQ(o.code, 0) << o.err;
  return o.code == 0 ? read_npy(at("values/" + o.parsed()["outputs"][0]["file"].get<std::string>())).to_doubles() : std::vector<double>{};
}

void expect_close(const std::vector<double>& a, const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4) << i;  // sums of a few thousand f32 products in another order
}

TEST(Convert, builds_picture_steps_into_the_model) {
  // Bytes, blue first, channels last; the model takes RGB planes that are centred and scaled.
  const Outcome c = hone_run("convert " + model() + " " + at("camera.onnx") +
                             " --input input:u8 --layout 'NCHW->NHWC' --reverse-channels --mean 10,20,30 --scale 50,60,70 --rename input=camera --batch 2 --force --json");
  ASSERT_EQ(c.code, 0) << c.err;
  const json i = hone_run("inspect " + at("camera.onnx") + " --json").parsed();
  EXPECT_EQ(i["inputs"][0]["name"], "camera");
  EXPECT_EQ(i["inputs"][0]["type"], "u8");
  EXPECT_EQ(i["inputs"][0]["shape"], "[2,16,16,3]");
  Tensor bytes(ElementType::u8, {2, 16, 16, 3}), planes(ElementType::f32, {2, 3, 16, 16});
  const double mean[] = {10, 20, 30}, scale[] = {50, 60, 70};
  for (size_t n = 0; n < 2; ++n) {
    for (size_t p = 0; p < 256; ++p) {
      for (size_t k = 0; k < 3; ++k) {
        const size_t at = (n * 256 + p) * 3 + k;
        const double v = static_cast<double>((at * 89) % 256);
        set_element(bytes, at, v);
        set_element(planes, (n * 3 + 2 - k) * 256 + p, (v - mean[2 - k]) / scale[2 - k]);
      }
    }
  }
  expect_close(run_on(at("camera.onnx"), "camera", bytes), run_on(model(), "input", planes));
}

TEST(Convert, takes_the_stored_preprocessing_along) {
  // What is built into the graph, `predict` no longer does: the same probabilities.
  ASSERT_EQ(hone_run("convert " + model() + " " + at("stored.xml") + " --force").code, 0);
  const auto stored = [&](const char* key) {
    const std::string text = read_text_file(at("stored.xml")), mark = std::string("<") + key + " value=\"";
    const size_t from = text.find(mark);
    EXPECT_NE(from, std::string::npos) << key;
    std::string v = text.substr(from + mark.size(), text.find('"', from + mark.size()) - from - mark.size());
    std::replace(v.begin(), v.end(), ' ', ',');
    return v;
  };
  const Outcome c = hone_run("convert " + model() + " " + at("inside.hone") + " --input input:u8 --layout 'NCHW->NHWC' --mean " + stored("mean_values") + " --scale " + stored("scale_values") + " --force");
  ASSERT_EQ(c.code, 0) << c.err;
  const auto scores = [&](const std::string& file) {
    const json p = hone_run("predict " + file + " " + at("photos/disc/3.png") + " --top 3 --precision f32 --json").parsed()["results"][0]["predictions"];
    std::map<std::string, double> by_label;
    for (const json& e : p) by_label[e["label"]] = e["score"];
    return by_label;
  };
  const auto own = scores(model()), inside = scores(at("inside.hone"));
  ASSERT_EQ(own.size(), 3u);
  for (const auto& [label, score] : own) EXPECT_NEAR(inside.at(label), score, 1e-4) << label;
}

TEST(Convert, resizes_pictures_of_any_size) {
  ASSERT_EQ(hone_run("convert " + model() + " " + at("any.xml") + " --batch 1 --resize any:nearest --force").code, 0);
  EXPECT_EQ(hone_run("inspect " + at("any.xml") + " --json").parsed()["inputs"][0]["shape"], "[1,3,?,?]");
  // Every pixel twice as high and wide is the same picture.
  Tensor small(ElementType::f32, {1, 3, 16, 16}), large(ElementType::f32, {1, 3, 32, 32});
  for (size_t c = 0; c < 3; ++c) {
    for (size_t y = 0; y < 32; ++y) {
      for (size_t x = 0; x < 32; ++x) {
        const double v = static_cast<double>((c * 77 + (y / 2) * 16 + x / 2) % 13);
        set_element(large, (c * 32 + y) * 32 + x, v);
        set_element(small, (c * 16 + y / 2) * 16 + x / 2, v);
      }
    }
  }
  expect_close(run_on(at("any.xml"), "input", large), run_on(model(), "input", small));
}

TEST(Convert, stores_weights_of_its_own_form_as_f16) {
  ASSERT_EQ(hone_run("convert " + model() + " " + at("whole.hone") + " --force").code, 0);
  const Outcome c = hone_run("convert " + model() + " " + at("half.hone") + " --force --fp16");
  ASSERT_EQ(c.code, 0) << c.err;
  EXPECT_LT(std::filesystem::file_size(at("half.hone")), std::filesystem::file_size(at("whole.hone")) * 3 / 4);
  const Outcome same = hone_run("compare " + at("half.hone") + " " + at("whole.hone") + " --rtol 1e-2 --atol 1e-2");
  EXPECT_EQ(same.code, 0) << same.out;
}

TEST(Convert, takes_shapes_types_and_bounds) {
  const auto shape_of = [](const std::string& input) {
    const Outcome c = hone_run("convert " + model() + " " + at("shaped.hone") + " --force --input " + input);
    EXPECT_EQ(c.code, 0) << c.err;
    return hone_run("inspect " + at("shaped.hone")).out;
  };
  EXPECT_NE(shape_of("input[4,3,16,16]:f16").find("f16[4,3,16,16]"), std::string::npos);
  EXPECT_NE(shape_of("'input[1..8,3,16,16]'").find("f32[1..8,3,16,16]"), std::string::npos);
  EXPECT_NE(shape_of("'input[?,3,16,16]'").find("f32[?,3,16,16]"), std::string::npos);
  EXPECT_NE(shape_of("0[2,3,16,16]").find("f32[2,3,16,16]"), std::string::npos);
}

TEST(Convert, cuts_freezes_and_renames) {
  // Two inputs and two outputs: sum = a + b, product = sum * b.
  write_file(at("two.xml"), R"(<?xml version="1.0"?><net name="two" version="11"><layers>
<layer id="0" name="a" type="Parameter" version="opset1"><data shape="2" element_type="f32"/><output><port id="0" precision="FP32" names="a"><dim>2</dim></port></output></layer>
<layer id="1" name="b" type="Parameter" version="opset1"><data shape="2" element_type="f32"/><output><port id="0" precision="FP32" names="b"><dim>2</dim></port></output></layer>
<layer id="2" name="add" type="Add" version="opset1"><data auto_broadcast="numpy"/><input><port id="0"><dim>2</dim></port><port id="1"><dim>2</dim></port></input><output><port id="2" precision="FP32" names="sum"><dim>2</dim></port></output></layer>
<layer id="3" name="mul" type="Multiply" version="opset1"><data auto_broadcast="numpy"/><input><port id="0"><dim>2</dim></port><port id="1"><dim>2</dim></port></input><output><port id="2" precision="FP32" names="product"><dim>2</dim></port></output></layer>
<layer id="4" name="product_out" type="Result" version="opset1"><input><port id="0"><dim>2</dim></port></input></layer>
</layers><edges><edge from-layer="0" from-port="0" to-layer="2" to-port="0"/><edge from-layer="1" from-port="0" to-layer="2" to-port="1"/>
<edge from-layer="2" from-port="2" to-layer="3" to-port="0"/><edge from-layer="1" from-port="0" to-layer="3" to-port="1"/><edge from-layer="3" from-port="2" to-layer="4" to-port="0"/></edges></net>)");
  write_file(at("two.bin"), "");
  const auto convert = [](const std::string& options) { return hone_run("convert " + at("two.xml") + " " + at("part.onnx") + " --force " + options); };
  ASSERT_EQ(convert("--input b=3,4").code, 0);
  expect_close(run_on(at("part.onnx"), "a", Tensor::of<float>({2}, {1, 2})), {12, 24});
  ASSERT_EQ(convert("--input sum --input b=[3,4] --rename product=scaled --rename sum=in").code, 0);  // cut: `a` disappears
  const json i = hone_run("inspect " + at("part.onnx") + " --json").parsed();
  ASSERT_EQ(i["inputs"].size(), 1u);
  EXPECT_EQ(i["inputs"][0]["name"], "in");
  EXPECT_EQ(i["outputs"][0]["name"], "scaled");
  expect_close(run_on(at("part.onnx"), "in", Tensor::of<float>({2}, {5, 6})), {15, 24});
  ASSERT_EQ(convert("--output sum --input b=1,1").code, 0);
  expect_close(run_on(at("part.onnx"), "a", Tensor::of<float>({2}, {5, 6})), {6, 7});
}

TEST(Convert, reports_what_it_did_node_by_node) {
  // An operator of an old set, a sum of constants, a BatchNorm behind a convolution, and an Add of nothing.
  const auto port = [](const char* id, const char* dims, const std::string& name = {}) {
    std::string s = "<port id=\"" + std::string(id) + "\" precision=\"FP32\"" + (name.empty() ? "" : " names=\"" + name + "\"") + ">";
    for (const char* d = dims; *d; ++d) s += "<dim>" + std::string(1, *d) + "</dim>";
    return s + "</port>";
  };
  const auto constant = [&](int id, int offset, const char* dims, const char* shape) {
    return "<layer id=\"" + std::to_string(id) + "\" name=\"c" + std::to_string(id) + "\" type=\"Const\" version=\"opset1\"><data element_type=\"f32\" shape=\"" + shape +
           "\" offset=\"" + std::to_string(offset) + "\" size=\"4\"/><output>" + port("0", dims) + "</output></layer>";
  };
  std::string net = "<?xml version=\"1.0\"?><net name=\"old\" version=\"11\"><layers>";
  net += "<layer id=\"0\" name=\"x\" type=\"Parameter\" version=\"opset1\"><data shape=\"1,1,2,2\" element_type=\"f32\"/><output>" + port("0", "1122", "x") + "</output></layer>";
  net += constant(1, 0, "1111", "1,1,1,1");
  net += "<layer id=\"2\" name=\"doubled\" type=\"Add\" version=\"opset1\"><data auto_broadcast=\"numpy\"/><input>" + port("0", "1111") + port("1", "1111") + "</input><output>" +
         port("2", "1111") + "</output></layer>";
  net += "<layer id=\"3\" name=\"conv\" type=\"Convolution\" version=\"opset1\"><data strides=\"1,1\" pads_begin=\"0,0\" pads_end=\"0,0\" dilations=\"1,1\"/><input>" + port("0", "1122") +
         port("1", "1111") + "</input><output>" + port("2", "1122") + "</output></layer>";
  net += constant(4, 4, "1", "1");
  net += "<layer id=\"5\" name=\"norm\" type=\"BatchNormInference\" version=\"opset1\"><data epsilon=\"0.001\"/><input>" + port("0", "1") + port("1", "1") + port("2", "1122") +
         port("3", "1") + port("4", "1") + "</input><output>" + port("5", "1122", "y") + "</output></layer>";
  net += "<layer id=\"6\" name=\"out\" type=\"Result\" version=\"opset1\"><input>" + port("0", "1122") + "</input></layer></layers><edges>";
  const int edges[][4] = {{1, 0, 2, 0}, {1, 0, 2, 1}, {0, 0, 3, 0}, {2, 2, 3, 1}, {4, 0, 5, 0}, {4, 0, 5, 1}, {3, 2, 5, 2}, {4, 0, 5, 3}, {4, 0, 5, 4}, {5, 5, 6, 0}};
  for (const auto& e : edges) {
    net += "<edge from-layer=\"" + std::to_string(e[0]) + "\" from-port=\"" + std::to_string(e[1]) + "\" to-layer=\"" + std::to_string(e[2]) + "\" to-port=\"" + std::to_string(e[3]) + "\"/>";
  }
  write_file(at("old.xml"), net + "</edges></net>");
  const float numbers[] = {2, 1};
  write_file(at("old.bin"), std::string(reinterpret_cast<const char*>(numbers), sizeof numbers));
  const Outcome c = hone_run("convert " + at("old.xml") + " " + at("reported.onnx") + " --force --report --json");
  ASSERT_EQ(c.code, 0) << c.err;
  const json r = c.parsed()["report"];
  ASSERT_EQ(r["upgraded"].size(), 1u) << r.dump();
  EXPECT_EQ(r["upgraded"][0]["node"], "norm");
  EXPECT_EQ(r["upgraded"][0]["change"], "opset1::BatchNormInference -> BatchNormInference");
  ASSERT_EQ(r["folded"].size(), 1u) << r.dump();
  EXPECT_EQ(r["folded"][0]["node"], "doubled");
  ASSERT_FALSE(r["fused"].empty()) << r.dump();
  EXPECT_EQ(r["fused"][0]["operator"], "Convolution");
  EXPECT_EQ(r["fused"][0]["from"], (json{"conv", "norm"}));
  const Outcome text = hone_run("convert " + at("old.xml") + " " + at("reported.onnx") + " --force --report");
  for (const char* part : {"upgraded (1):\n  norm: ", "folded (1):\n  doubled: ", "(Convolution) <- conv norm", "passes:"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " in\n" << text.out;
  }
}

TEST(Convert, refuses_wrong_switches_with_one_line_and_writes_nothing) {
  for (const auto& [options, part] : std::vector<std::pair<std::string, std::string>>{
           {"--mean a", "--mean wants numbers"},
           {"--mean 1,2", "2 values for 3 channels"},
           {"--mean x=1", "the inputs are input"},
           {"--scale 0", "divides by 0"},
           {"--resize 3", "HEIGHTxWIDTH"},
           {"--resize 3x3:fast", "linear, cubic and nearest"},
           {"--layout NCHW-", "in quotes"},
           {"--layout NHW", "does not fit a tensor of 4 dimensions"},
           {"--rename a=b", "--rename names no tensor"},
           {"--rename input", "OLD=NEW"},
           {"--batch 1,2", "--batch wants"},
           {"--input 'input[1,3'", "NAME[SHAPE]:TYPE=VALUE"},
           {"--input input[1,3,16,16]:f99", "no element type"},
           {"--input nothing", "the inputs are input"},
           {"--input input[1,3,16,16]=3,4", "has a value that is no"},
           {"--output nowhere", "--output names no tensor"},
           {"--reverse-channels=z", "the inputs are input"}}) {
    const Outcome o = hone_run("convert " + model() + " " + at("refused.xml") + " " + options);
    expect_refused(o, 2, part);
    EXPECT_EQ(lines(o.err), 2u) << options << ": " << o.err;  // the error and where to read on
    EXPECT_FALSE(fs::exists(at("refused.xml"))) << options;
  }
}

TEST(Cli, runs_on_tensors_and_writes_them) {
  Tensor x(ElementType::f32, {2, 3, 16, 16});
  write_npy(at("x.npy"), x);
  const Outcome o = hone_run("run " + model() + " --input input=" + at("x.npy") + " --output-dir " + at("results") + " --json");
  ASSERT_EQ(o.code, 0) << o.err;
  const json out = json::parse(read_text_file(at("results/outputs.json")));
  EXPECT_EQ(out, o.parsed());
  const Tensor y = read_npy(at("results/" + out["outputs"][0]["file"].get<std::string>()));
  EXPECT_EQ(y.shape(), (Shape{2, 3}));
}

TEST(Cli, benchmarks_and_inspects) {
  const Outcome b = hone_run("benchmark " + model() + " -t 100ms --threads 1 --precision f32 --json");
  ASSERT_EQ(b.code, 0) << b.err;
  for (const char* key : {"latency_ms", "throughput_fps", "load_ms", "first_inference_ms", "peak_rss_mb", "precision", "threads"}) {
    EXPECT_TRUE(b.parsed().contains(key)) << key;
  }
  const Outcome i = hone_run("inspect " + model() + " --trainable --flops --svg " + at("net.svg") + " --force --json");
  ASSERT_EQ(i.code, 0) << i.err;
  EXPECT_TRUE(i.parsed()["trainable"]["ok"].get<bool>());
  EXPECT_GT(i.parsed()["operators"]["Convolution"].get<int>(), 5);
  EXPECT_GT(fs::file_size(at("net.svg")), 1000u);
}

TEST(Cli, packages_a_program_that_classifies) {
  const Outcome p = hone_run("package " + model() + " --out " + at("app") + " --no-verify --force --json");
  ASSERT_EQ(p.code, 0) << p.err;
  for (const char* f : {"model.hone", "labels.txt", "model_card.json", "model_card.md", "manifest.json", "classify.cpp", "CMakeLists.txt", "bin/classify"}) {
    EXPECT_TRUE(fs::exists(at("app/" + std::string(f)))) << f;
  }
  const Outcome c = shell(at("app/bin/classify") + " --top 3 " + at("photos/disc/0.png"));
  ASSERT_EQ(c.code, 0) << c.err;
  EXPECT_EQ(lines(c.out), 3u);
  // The same first label as the toolkit's.
  const json t = hone_run("predict " + model() + " " + at("photos/disc/0.png") + " --precision f32 --json").parsed();
  EXPECT_EQ(c.out.substr(0, c.out.find('\t')), t["results"][0]["predictions"][0]["label"].get<std::string>());
  expect_refused(shell(at("app/bin/classify") + " " + at("app/labels.txt")), 1, "labels.txt");
}

TEST(Cli, encrypts_and_signs_packages) {
  if (shell("openssl version && ls /usr/lib/*/libcrypto.so.3").code != 0) GTEST_SKIP() << "needs openssl and libcrypto.so.3 (Debian: openssl)";
  const std::string key = at("model.key"), other = at("other.key"), sign = at("sign.pem"), open = at("sign.pub.pem");
  ASSERT_EQ(shell("openssl rand -hex 32 > " + key + "; openssl rand -hex 32 > " + other + "; openssl genpkey -algorithm ed25519 -out " + sign + "; openssl pkey -in " + sign + " -pubout -out " + open).code, 0);
  const Outcome p = hone_run("package " + model() + " --out " + at("sealed") + " --no-verify --force --json --encrypt " + key + " --sign " + sign);
  ASSERT_EQ(p.code, 0) << p.err;
  EXPECT_EQ(p.parsed()["files"].back()["path"], "manifest.sig");
  const std::string classify = at("sealed/bin/classify") + " " + at("photos/disc/0.png");
  const Outcome c = shell(classify + " --key " + key);
  ASSERT_EQ(c.code, 0) << c.err;
  const json t = hone_run("predict " + model() + " " + at("photos/disc/0.png") + " --precision f32 --json").parsed();
  EXPECT_EQ(c.out.substr(0, c.out.find('\t')), t["results"][0]["predictions"][0]["label"].get<std::string>());
  EXPECT_EQ(shell("HONE_KEY_FILE=" + key + " " + classify).out, c.out);
  expect_refused(shell(classify), 1, "no key was given");
  expect_refused(shell(classify + " --key " + other), 1, "the key does not fit");
  expect_refused(shell(classify + " --key " + sign), 1, "64 hexadecimal digits");

  const std::string inspect = "inspect " + at("sealed") + " --verify " + open;
  const Outcome v = hone_run(inspect + " --key " + key + " --json");
  ASSERT_EQ(v.code, 0) << v.err;
  EXPECT_TRUE(v.parsed()["verified"].get<bool>());
  // The signature is plain Ed25519: other tools read it too.
  EXPECT_EQ(shell("openssl pkeyutl -verify -pubin -inkey " + open + " -rawin -in " + at("sealed/manifest.json") + " -sigfile " + at("sealed/manifest.sig")).code, 0);
  expect_refused(hone_run(inspect + " --key " + other), 1, "the key does not fit");
  const std::string manifest = read_text_file(at("sealed/manifest.json")), sealed = read_text_file(at("sealed/model.hone"));
  write_file(at("sealed/manifest.json"), manifest + " ");
  expect_refused(hone_run(inspect), 1, "the signature does not fit");
  write_file(at("sealed/manifest.json"), manifest);
  std::string flipped = sealed;
  flipped[sealed.size() / 2] ^= 1;
  write_file(at("sealed/model.hone"), flipped);
  expect_refused(hone_run(inspect), 1, "model.hone");
  expect_refused(shell(classify + " --key " + key), 1, "damaged");
  write_file(at("sealed/model.hone"), sealed);
  write_file(at("sealed/extra.txt"), "x");
  expect_refused(hone_run(inspect), 1, "extra.txt");
  fs::remove(at("sealed/extra.txt"));
  fs::remove(at("sealed/labels.txt"));
  expect_refused(hone_run(inspect), 1, "labels.txt");
  fs::remove(at("sealed/manifest.sig"));
  expect_refused(hone_run(inspect), 1, "not signed");
  // Key files that are none are refused before any work.
  expect_refused(hone_run("package " + model() + " --out " + at("none") + " --encrypt " + open), 3, "64 hexadecimal digits");
  expect_refused(hone_run("package " + model() + " --out " + at("none") + " --sign " + key), 3, "Ed25519");
  EXPECT_FALSE(fs::exists(at("none")));
}

TEST(Cli, goes_the_whole_way_by_itself) {
  const Outcome o = hone_run("auto " + at("photos") + " --model resnet8 --epochs 6 --batch 16 --max-drop 20 --out " + at("auto") + " --force --json");
  ASSERT_EQ(o.code, 0) << o.err;
  const json r = o.parsed();
  EXPECT_EQ(r, json::parse(read_text_file(at("auto/report.json"))));
  EXPECT_EQ(r["data"]["classes"], 3);
  EXPECT_GE(r["rows"].size(), 2u);
  for (const json& row : r["rows"]) {
    for (const char* key : {"precision", "metric", "file", "size_bytes", "latency_ms", "throughput_fps", "peak_rss_mb"}) EXPECT_TRUE(row.contains(key)) << key;
    EXPECT_EQ(row["metric"]["ci95"].size(), 2u);
  }
  EXPECT_TRUE(fs::exists(r["chosen"].get<std::string>()));
  EXPECT_NE(read_text_file(at("auto/report.html")).find("Confusion matrix"), std::string::npos);
  const Outcome c = shell(at("auto/package/bin/classify") + " " + at("photos/stripes/3.png"));
  EXPECT_EQ(c.code, 0) << c.err;
}

TEST(Cli, says_whether_targets_are_met) {
  const std::string job = "auto " + at("photos") + " --model resnet8 --epochs 1 --batch 16 --max-drop 100 --out " + at("target") + " --force --json ";
  const Outcome met = hone_run(job + "--target latency=10s --target size=50M");
  ASSERT_EQ(met.code, 0) << met.err;
  EXPECT_TRUE(met.parsed()["target"]["met"].get<bool>());
  EXPECT_EQ(met.parsed()["target"]["size_bytes"], 50000000);
  EXPECT_EQ(met.parsed()["target"]["latency_ms"], 10000.0);
  // Out of reach: everything is there, the nearest is chosen, one line says so, and scripts see it by the exit code.
  const Outcome missed = hone_run(job + "--target size=1k");
  EXPECT_EQ(missed.code, 1) << missed.err;
  const json r = missed.parsed();
  EXPECT_FALSE(r["target"]["met"].get<bool>());
  size_t smallest = SIZE_MAX;
  std::string file;
  for (const json& row : r["rows"]) {
    if (row["size_bytes"].get<size_t>() < smallest) smallest = row["size_bytes"], file = row["file"];
  }
  EXPECT_TRUE(r["chosen"].get<std::string>().ends_with("/" + file)) << r["chosen"];
  EXPECT_NE(missed.err.find("no precision meets the target size=1k: the nearest is "), std::string::npos) << missed.err;
  EXPECT_TRUE(fs::exists(r["chosen"].get<std::string>()));
  EXPECT_TRUE(fs::exists(at("target/package/bin/classify")));
  for (const char* wrong : {"--target speed=3", "--target latency", "--target size=big", "--target latency=0"}) EXPECT_EQ(hone_run(job + wrong).code, 2) << wrong;
}

TEST(Cli, answers_wrong_usage_with_two_lines_and_code_2) {
  for (const std::string& a : {std::string("fly"), std::string("train"), "train " + at("photos") + " --speed 3", "benchmark " + model() + " -t soon",
                               "train " + at("photos") + " --model resnet21", "train " + at("photos") + " --precision f7"}) {
    const Outcome o = hone_run(a);
    EXPECT_EQ(o.code, 2) << a << ": " << o.err;
    EXPECT_NE(o.err.find("see: hone"), std::string::npos) << a << ": " << o.err;
    EXPECT_EQ(lines(o.err), 2u) << a << ": " << o.err;
  }
  const Outcome j = hone_run("train " + at("photos") + " --speed 3 --json");
  EXPECT_EQ(j.parsed()["error"]["code"], "usage");
}

TEST(Cli, refuses_bad_input_with_one_line) {
  fs::create_directories(at("empty"));
  expect_refused(hone_run("train " + at("empty") + " --out " + at("bad")), 3, "empty");
  expect_refused(hone_run("train " + at("nowhere") + " --out " + at("bad")), 3, "nowhere");
  fs::create_directories(at("single/only"));
  fs::copy_file(at("photos/disc/0.png"), at("single/only/0.png"), fs::copy_options::overwrite_existing);
  expect_refused(hone_run("train " + at("single") + " --out " + at("bad")), 3, "class");
  fs::copy(at("photos"), at("torn"), fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  fs::resize_file(at("torn/disc/5.png"), 100);
  expect_refused(hone_run("train " + at("torn") + " --epochs 1 --model resnet8 --out " + at("bad")), 3, "5.png");
  write_file(at("junk.onnx"), "this is no model");
  expect_refused(hone_run("inspect " + at("junk.onnx")), 3, "junk.onnx");
  expect_refused(hone_run("inspect " + at("missing.onnx")), 3, "missing.onnx");
  expect_refused(hone_run("benchmark " + model() + " --precision int8"), 3, "hone quantize");
  EXPECT_FALSE(fs::exists(at("bad/model.hone")));
}

TEST(Cli, keeps_existing_results_unless_forced) {
  model();
  const Outcome o = hone_run("convert " + model() + " " + at("run/model.hone"));
  expect_refused(o, 1, "--force");
}

TEST(Cli, leaves_nothing_half_written_where_space_runs_out) {
  const Outcome o = shell("sh -c 'ulimit -f 8; exec " + std::string(HONE_BINARY) + " convert " + model() + " " + at("small.hone") + "'");
  expect_refused(o, 1, "small.hone");
  for (const auto& e : fs::directory_iterator(Workspace::root())) EXPECT_EQ(e.path().filename().string().find("small"), std::string::npos) << e.path();
}

TEST(Cli, stops_on_interrupt_with_everything_saved_and_goes_on) {
  const pid_t child = fork();
  if (child == 0) {
    if (!freopen(at("stdout").c_str(), "w", stdout) || !freopen(at("stderr").c_str(), "w", stderr)) _exit(1);
    execl(HONE_BINARY, "hone", "train", at("photos").c_str(), "--model", "resnet8", "--epochs", "400", "--batch", "16", "--precision", "f32", "--threads", "1", "--out",
          at("stopped").c_str(), static_cast<char*>(nullptr));
    _exit(1);
  }
  // The first epochs write the checkpoint.
  for (int i = 0; i < 600 && !fs::exists(at("stopped/checkpoint.safetensors")); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130) << read_text_file(at("stderr"));
  EXPECT_NE(read_text_file(at("stderr")).find("--resume"), std::string::npos);
  EXPECT_TRUE(fs::exists(at("stopped/checkpoint.safetensors")));
  EXPECT_FALSE(fs::exists(at("stopped/model.hone")));
  const Outcome other = hone_run("train " + at("photos") + " --model resnet8 --epochs 3 --batch 16 --precision f32 --threads 1 --resume " + at("stopped"));
  expect_refused(other, 2, "another run");
}

// Every command of the guides, in the order in which a reader meets them, from an empty folder with photos.
TEST(Documentation, commands_work_as_written) {
  const fs::path here = Workspace::root() / "reader";
  fs::create_directories(here / "bin");
  fs::create_directory_symlink(Workspace::root() / "photos", here / "photos");
  fs::create_symlink(HONE_BINARY, here / "bin" / "hone");
  write_npy((here / "x.npy").string(), Tensor(ElementType::f32, {1, 3, 16, 16}));
  size_t commands = 0;
  for (const char* page : {"train.md", "convert.md", "compress.md", "run.md"}) {
    std::istringstream in(read_text_file(std::string(HONE_SOURCE_DIR) + "/docs/" + page));
    for (std::string line; std::getline(in, line);) {
      if (!line.starts_with("    hone ") && !line.starts_with("    app/")) continue;
      const Outcome o = shell("cd " + here.string() + " && PATH=" + (here / "bin").string() + ":$PATH " + line);
      EXPECT_EQ(o.code, 0) << page << ": " << line << "\n" << o.err;
      ++commands;
    }
  }
  EXPECT_GE(commands, 12u);
}

TEST(Documentation, lists_the_verbs_that_exist) {
  const std::string help = hone_run("--help").out, contract = read_text_file(std::string(HONE_SOURCE_DIR) + "/docs/cli.md");
  for (const char* verb : {"auto", "train", "test", "predict", "quantize", "convert", "compare", "run", "benchmark", "inspect", "package", "tune", "conformance"}) {
    EXPECT_NE(help.find(std::string("  ") + verb + " "), std::string::npos) << verb;
    EXPECT_NE(contract.find(std::string("| ") + verb + " |"), std::string::npos) << verb;
    const Outcome o = hone_run(std::string(verb) + " --help");
    EXPECT_EQ(o.code, 0) << verb;
    EXPECT_NE(o.out.find("examples:"), std::string::npos) << verb;
  }
}

}  // namespace hone
