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
  for (const char* verb : {"auto", "train", "test", "predict", "quantize", "convert", "compare", "run", "benchmark", "inspect", "package", "conformance"}) {
    EXPECT_NE(help.find(std::string("  ") + verb + " "), std::string::npos) << verb;
    EXPECT_NE(contract.find(std::string("| ") + verb + " |"), std::string::npos) << verb;
    const Outcome o = hone_run(std::string(verb) + " --help");
    EXPECT_EQ(o.code, 0) << verb;
    EXPECT_NE(o.out.find("examples:"), std::string::npos) << verb;
  }
}

}  // namespace hone
