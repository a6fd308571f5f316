// The command line as a user meets it: every verb on a small data set, its JSON keys and exit codes, wrong input,
// Ctrl-C.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "formats/npy/npy.hpp"
#include "hone/core.hpp"
#include "hone/tools.hpp"
#include "workspace.hpp"

namespace hone {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace workspace;

[[maybe_unused]] static const auto* const environment = ::testing::AddGlobalTestEnvironment(new Workspace);

TEST(Cli, trains_tests_and_predicts) {
  model();
  const json t = hone_run("test " + model() + " --data " + at("photos") + " --json").parsed();
  EXPECT_GT(t["metrics"]["accuracy"].get<double>(), 0.7);
  EXPECT_GT(t["samples"].get<int>(), 10);
  const Outcome p = hone_run("predict " + model() + " " + at("photos/disc/0.png") + " " + at("photos/cross/1.png") +
                             " --top 2 --precision f32 --json");
  ASSERT_EQ(p.code, 0) << p.err;
  ASSERT_EQ(p.parsed()["results"].size(), 2u);
  EXPECT_EQ(p.parsed()["results"][0]["predictions"].size(), 2u);
  EXPECT_TRUE(p.parsed()["results"][0]["predictions"][0].contains("score"));
}

TEST(Cli, quantizes_within_the_accepted_drop) {
  const Outcome q = hone_run("quantize " + model() + " --data " + at("photos") + " --samples 40 --max-drop 5 --out " +
                             at("int8.hone") + " --force --json");
  ASSERT_EQ(q.code, 0) << q.err;
  const json j = q.parsed();
  EXPECT_GT(j["quantized_nodes"].get<int>(), 5);
  EXPECT_LE(j["drop"].get<double>(), 5);
  for (const char* key : {"out", "kept_nodes", "seconds", "peak_rss_mb"}) EXPECT_TRUE(j.contains(key)) << key;
  const Outcome again =
      hone_run("quantize " + at("int8.hone") + " --data " + at("photos") + " --out " + at("twice.hone"));
  expect_refused(again, 1, "quantized already");
  EXPECT_FALSE(fs::exists(at("twice.hone")));
}

// A classifier that another framework wrote: it says nothing about pictures or labels.
TEST(Cli, quantizes_what_does_not_say_how_pictures_become_its_input) {
  ASSERT_EQ(hone_run("convert " + model() + " " + at("own.onnx") + " --force").code, 0);
  std::string bytes = read_text_file(at("own.onnx"));
  for (const std::string key : {"hone/preprocessing", "model_info/labels"}) {
    const size_t place = bytes.find(key);
    ASSERT_NE(place, bytes.npos) << key;
    bytes[place] = 'X';
  }
  write_file(at("foreign.onnx"), bytes);
  const std::string quantize = "quantize " + at("foreign.onnx") + " --data " + at("photos") +
                               " --samples 8 --force --out " + at("foreign8.onnx");
  expect_refused(hone_run(quantize), 2, "say it with --mean");
  expect_refused(hone_run(quantize + " --mean 1,2"), 2, "2 values for 3 channels");
  expect_refused(hone_run(quantize + " --mean 1 --labels " + at("none.txt")), 3, "list of names");
  ASSERT_EQ(hone_run(quantize + " --mean 128 --scale 64").code, 0);
  expect_refused(hone_run("test " + at("foreign8.onnx") + " --data " + at("photos")), 1, "in the model");
  std::string names;
  const json own = hone_run("test " + model() + " --data " + at("photos") + " --json").parsed();
  for (const json& c : own["classes"]) names += c["label"].get<std::string>() + "\n";
  write_file(at("labels.txt"), names);
  ASSERT_EQ(hone_run(quantize + " --mean 128 --scale 64 --labels " + at("labels.txt")).code, 0);
  const Outcome t = hone_run("test " + at("foreign8.onnx") + " --data " + at("photos") + " --json");
  ASSERT_EQ(t.code, 0) << t.err;
  EXPECT_GT(t.parsed()["samples"].get<int>(), 0);
}

TEST(Cli, converts_and_compares) {
  for (const char* form : {"model.onnx", "model.xml"}) {
    const Outcome c = hone_run("convert " + model() + " " + at(form) + " --force --json");
    ASSERT_EQ(c.code, 0) << form << ": " << c.err;
    for (const char* key : {"out", "nodes", "fused", "folded"}) EXPECT_TRUE(c.parsed().contains(key)) << key;
    const Outcome d = hone_run("compare " + model() + " " + at(form) + " --random 2 --json");
    EXPECT_EQ(d.code, 0) << form << ": " << d.err << d.out;
    EXPECT_TRUE(d.parsed()["equal"].get<bool>());
    // Labels, preprocessing and split go along.
    const Outcome t = hone_run("test " + at(form) + " --data " + at("photos") + " --json"),
                  own = hone_run("test " + model() + " --data " + at("photos") + " --json");
    ASSERT_EQ(t.code, 0) << form << ": " << t.err;
    EXPECT_EQ(t.parsed()["samples"], own.parsed()["samples"]) << form;
    EXPECT_EQ(t.parsed()["metrics"], own.parsed()["metrics"]) << form;
  }
  const Outcome other = hone_run("train " + at("photos") +
                                 " --model resnet8 --epochs 1 --batch 16 --seed 5 --threads 1 --precision f32 --out " +
                                 at("other") + " --force");
  ASSERT_EQ(other.code, 0) << other.err;
  const Outcome d = hone_run("compare " + model() + " " + at("other/model.hone") + " --json");
  EXPECT_EQ(d.code, 1);
  expect_refused(hone_run("compare " + model() + " " + model() + " --shape depth[1,2]"), 2,
                 "no input 'depth' to give a shape to");
  expect_refused(hone_run("run " + model() + " --shape 0[1,2] --output-dir " + at("shaped")), 2,
                 "does not fit input '0'");
  EXPECT_FALSE(d.parsed()["equal"].get<bool>());
}

TEST(Cli, compares_tiny_outputs_by_their_own_size) {
  // y = x * scale, for two scales that are 10 % apart.
  const auto file = [](const std::string& name, float scale) {
    ModelBuilder b("net");
    const auto x = b.parameter("x", ElementType::f32, {2, 3});
    b.result("y", b.add("Multiply", {x, b.constant(Tensor::of<float>({}, {scale}))}));
    Core().save_model(b.build(), at(name));
    return at(name);
  };
  const std::string tiny = file("tiny.onnx", 1e-6F), other = file("tiny2.onnx", 1.1e-6F);
  EXPECT_EQ(hone_run("compare " + tiny + " " + tiny).code, 0);
  const Outcome d = hone_run("compare " + tiny + " " + other + " --json");
  EXPECT_EQ(d.code, 1);
  EXPECT_FALSE(d.parsed()["equal"].get<bool>());
  EXPECT_EQ(hone_run("compare " + tiny + " " + other + " --atol 1e-4").code, 0);  // as said
  EXPECT_EQ(hone_run("compare " + tiny + " " + file("near.onnx", 1.00005e-6F)).code, 0);
  // Large outputs have the tolerance that the page names.
  EXPECT_EQ(hone_run("compare " + file("big.onnx", 1e3F) + " " + file("big2.onnx", 1.1e3F)).code, 1);
}

TEST(Cli, says_what_is_wrong_with_an_input) {
  ModelBuilder b("net");
  const auto x = b.parameter("x", ElementType::f32, {2, 2});
  const auto inside = b.add("Relu", {x}, {}, "17");
  b.result("y", b.add("Negative", {inside}, {}, "t"));
  Core().save_model(b.build(), at("inputs.onnx"));
  save_npy(at("floats.npy"), Tensor::of<float>({2, 2}, {-1, 2, 3, -4}));
  save_npy(at("words.npy"), Tensor::strings({2}, {"a", "b"}));
  const std::string run = "run " + at("inputs.onnx") + " --output-dir " + at("wrong") + " --input ",
                    good = at("floats.npy");
  expect_refused(hone_run(run + "5=" + good), 2, "no input '5': the inputs are x");
  expect_refused(hone_run(run + "z=" + good), 2, "no input 'z': the inputs are x");
  expect_refused(hone_run(run + "x=" + good + " --input x=" + good), 2, "input 'x' is given twice");
  expect_refused(hone_run(run + "x=" + good + " --input 0=" + good), 2, "is given twice");
  expect_refused(hone_run(run + "x=" + at("words.npy")), 2, "input 'x' is f32, given string");
  expect_refused(hone_run(run + "x"), 3, "--input wants NAME=FILE");
  EXPECT_FALSE(fs::exists(at("wrong")));
  expect_refused(hone_run("run " + at("inputs.onnx") + " --output-dir " + good), 1, "cannot create the folder");
  expect_refused(hone_run("convert " + at("inputs.onnx") + " " + at("typed.onnx") + " --input x:float99"), 2,
                 "names no element type");
  // A number may be the name of a tensor inside: the graph is cut there.
  const Outcome cut = hone_run("run " + at("inputs.onnx") + " --output-dir " + at("cut") + " --input 17=" + good);
  ASSERT_EQ(cut.code, 0) << cut.err;
  EXPECT_EQ(load_npy(at("cut/y.npy")).to_doubles(), (std::vector<double>{1, -2, -3, 4}));
}

TEST(Cli, outputs_of_one_value_have_names_and_files_of_their_own) {
  ModelBuilder b("net");
  const auto x = b.parameter("x", ElementType::f32, {2}), t = b.add("Relu", {x}, {}, "t");
  b.result("y", t);
  b.result("z", t);
  b.result("same", x);
  Core().save_model(b.build(), at("aliases.onnx"));
  ASSERT_EQ(hone_run("convert " + at("aliases.onnx") + " " + at("aliases.xml") + " --force").code, 0);
  for (const char* file : {"aliases.onnx", "aliases.xml"}) {
    const Outcome o = hone_run("run " + at(file) + " --output-dir " + at("aliases") + " --json");
    ASSERT_EQ(o.code, 0) << o.err;
    const json outputs = o.parsed()["outputs"];
    ASSERT_EQ(outputs.size(), 3u) << file;
    for (size_t i = 0; i < 3; ++i) {
      const std::string name = i == 0 ? "y" : i == 1 ? "z" : "same";
      EXPECT_EQ(outputs[i]["name"], name) << file;
      EXPECT_EQ(outputs[i]["file"], name + ".npy") << file;
    }
  }
}

TEST(Cli, runs_on_tensors_and_writes_them) {
  Tensor x(ElementType::f32, {2, 3, 16, 16});
  write_npy(at("x.npy"), x);
  const Outcome o =
      hone_run("run " + model() + " --input input=" + at("x.npy") + " --output-dir " + at("results") + " --json");
  ASSERT_EQ(o.code, 0) << o.err;
  const json out = json::parse(read_text_file(at("results/outputs.json")));
  EXPECT_EQ(out, o.parsed());
  const Tensor y = read_npy(at("results/" + out["outputs"][0]["file"].get<std::string>()));
  EXPECT_EQ(y.shape(), (Shape{2, 3}));
}

TEST(Cli, benchmarks_and_inspects) {
  const Outcome b = hone_run("benchmark " + model() + " -t 100ms --threads 1 --precision f32 --json");
  ASSERT_EQ(b.code, 0) << b.err;
  for (const char* key :
       {"latency_ms", "throughput_fps", "load_ms", "first_inference_ms", "peak_rss_mb", "precision", "threads"}) {
    EXPECT_TRUE(b.parsed().contains(key)) << key;
  }
  const Outcome i = hone_run("inspect " + model() + " --trainable --flops --svg " + at("net.svg") + " --force --json");
  ASSERT_EQ(i.code, 0) << i.err;
  EXPECT_TRUE(i.parsed()["trainable"]["ok"].get<bool>());
  EXPECT_GT(i.parsed()["operators"]["Convolution"].get<int>(), 5);
  EXPECT_GT(fs::file_size(at("net.svg")), 1000u);
}

TEST(Cli, goes_the_whole_way_by_itself) {
  const Outcome o = hone_run("auto " + at("photos") + " --model resnet8 --epochs 6 --batch 16 --max-drop 20 --out " +
                             at("auto") + " --force --json");
  ASSERT_EQ(o.code, 0) << o.err;
  const json r = o.parsed();
  EXPECT_EQ(r, json::parse(read_text_file(at("auto/report.json"))));
  EXPECT_EQ(r["data"]["classes"], 3);
  EXPECT_GE(r["rows"].size(), 2u);
  for (const json& row : r["rows"]) {
    for (const char* key : {"precision", "metric", "file", "size_bytes", "latency_ms", "throughput_fps", "peak_rss_mb"})
      EXPECT_TRUE(row.contains(key)) << key;
    EXPECT_EQ(row["metric"]["ci95"].size(), 2u);
  }
  EXPECT_TRUE(fs::exists(r["chosen"].get<std::string>()));
  EXPECT_NE(read_text_file(at("auto/report.html")).find("Confusion matrix"), std::string::npos);
  const Outcome c = shell(at("auto/package/bin/classify") + " " + at("photos/stripes/3.png"));
  EXPECT_EQ(c.code, 0) << c.err;
}

TEST(Cli, looks_for_what_the_end_needs_before_it_trains) {
  // A copy of the program without what packages are made of.
  fs::create_directories(at("alone/bin"));
  fs::copy_file(HONE_BINARY, at("alone/bin/hone"), fs::copy_options::overwrite_existing);
  const std::string job = " auto " + at("photos") + " --model resnet8 --epochs 6 --out ";
  const Outcome o = shell(at("alone/bin/hone") + job + at("vain"));
  expect_refused(o, 1, "the runtime library is missing");
  fs::create_directories(at("alone/lib"));
  fs::copy_file(fs::path(HONE_BINARY).parent_path().parent_path() / "lib/libhone_runtime.so",
                at("alone/lib/libhone_runtime.so"), fs::copy_options::overwrite_existing);
  const Outcome p = shell(at("alone/bin/hone") + job + at("vain"));
  expect_refused(p, 1, "a built part is missing");
  for (const Outcome* r : {&o, &p}) EXPECT_EQ(lines(r->err), 1u) << r->err;
  EXPECT_FALSE(fs::exists(at("vain")));
  write_file(at("occupied"), "");
  expect_refused(hone_run(job + at("occupied/out")), 1, "a file is in the way");
}

TEST(Cli, says_whether_targets_are_met) {
  const std::string job = "auto " + at("photos") + " --model resnet8 --epochs 1 --batch 16 --max-drop 100 --out " +
                          at("target") + " --force --json ";
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
  for (const char* wrong : {"--target speed=3", "--target latency", "--target size=big", "--target latency=0"})
    EXPECT_EQ(hone_run(job + wrong).code, 2) << wrong;
}

TEST(Cli, answers_wrong_usage_with_two_lines_and_code_2) {
  for (const std::string& a : {std::string("fly"), std::string("train"), "train " + at("photos") + " --speed 3",
                               "benchmark " + model() + " -t soon", "train " + at("photos") + " --model resnet21",
                               "train " + at("photos") + " --precision f7"}) {
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

TEST(Cli, says_once_that_an_instruction_set_cannot_be_had) {
  const std::string call =
      std::string(HONE_BINARY) + " predict " + model() + " " + at("photos/disc/0.png") + " --precision f32 --json";
  const Outcome plain = shell(call), odd = shell("HONE_ISA=sse9 " + call);
  ASSERT_EQ(odd.code, 0) << odd.err;
  EXPECT_EQ(odd.parsed()["results"], plain.parsed()["results"]);
  EXPECT_EQ(lines(odd.err), lines(plain.err) + 1) << odd.err;
  EXPECT_NE(odd.err.find("HONE_ISA is 'sse9', which is no instruction set"), std::string::npos) << odd.err;
}

TEST(Cli, keeps_existing_results_unless_forced) {
  model();
  const Outcome o = hone_run("convert " + model() + " " + at("run/model.hone"));
  expect_refused(o, 1, "--force");
}

TEST(Cli, leaves_nothing_half_written_where_space_runs_out) {
  const Outcome o = shell("sh -c 'ulimit -f 8; exec " + std::string(HONE_BINARY) + " convert " + model() + " " +
                          at("small.hone") + "'");
  expect_refused(o, 1, "small.hone");
  for (const auto& e : fs::directory_iterator(Workspace::root()))
    EXPECT_EQ(e.path().filename().string().find("small"), std::string::npos) << e.path();
}

TEST(Cli, stops_on_interrupt_with_everything_saved_and_goes_on) {
  const pid_t child = fork();
  if (child == 0) {
    if (!freopen(at("stdout").c_str(), "w", stdout) || !freopen(at("stderr").c_str(), "w", stderr)) _exit(1);
    execl(HONE_BINARY, "hone", "train", at("photos").c_str(), "--model", "resnet8", "--epochs", "400", "--batch", "16",
          "--precision", "f32", "--threads", "1", "--out", at("stopped").c_str(), static_cast<char*>(nullptr));
    _exit(1);
  }
  // The first epochs write the checkpoint.
  for (int i = 0; i < 600 && !fs::exists(at("stopped/checkpoint.safetensors")); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130) << read_text_file(at("stderr"));
  EXPECT_NE(read_text_file(at("stderr")).find("--resume"), std::string::npos);
  EXPECT_TRUE(fs::exists(at("stopped/checkpoint.safetensors")));
  EXPECT_FALSE(fs::exists(at("stopped/model.hone")));
  const Outcome other =
      hone_run("train " + at("photos") +
               " --model resnet8 --epochs 3 --batch 16 --precision f32 --threads 1 --resume " + at("stopped"));
  expect_refused(other, 2, "another run");
  // What the refusal of the first call says to type goes on with its options.
  const Outcome on = shell("timeout --preserve-status -s INT 4 " + std::string(HONE_BINARY) + " train " + at("photos") +
                           " --resume " + at("stopped"));
  EXPECT_EQ(on.code, 130) << on.err;
  EXPECT_EQ(on.err.find("another run"), std::string::npos) << on.err;
}

TEST(Cli, stops_on_interrupt_while_it_measures) {
  const std::string out = at("measured"), err = at("measured.err");
  std::ofstream(err).close();  // to be there when it is looked at
  const pid_t child = fork();
  if (child == 0) {
    setsid();
    if (!freopen(at("stdout").c_str(), "w", stdout) || !freopen(err.c_str(), "w", stderr)) _exit(1);
    execl(HONE_BINARY, "hone", "auto", at("photos").c_str(), "--model", "resnet8", "--epochs", "1", "--threads", "1",
          "--out", out.c_str(), static_cast<char*>(nullptr));
    _exit(1);
  }
  for (int i = 0; i < 1200 && read_text_file(err).find("benchmark") == std::string::npos; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  kill(-child, SIGINT);  // as a terminal does: measurements run in a process of their own
  int status = 0;
  waitpid(child, &status, 0);
  const std::string said = read_text_file(err);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130) << said;
  EXPECT_EQ(said.find("internal"), std::string::npos) << said;
  EXPECT_FALSE(fs::exists(out + "/package"));
  EXPECT_FALSE(fs::exists(out + "/report.json"));
}

TEST(Cli, says_what_options_and_variables_name_in_vain) {
  const std::string train = "train " + at("photos") + " --model resnet8 --out " + at("vain");
  expect_refused(hone_run(train + " --freeze nosuch"), 2,
                 "--freeze 'nosuch' begins the name of no weight: weights are");
  const Outcome zero = hone_run(train + " --lr 0");
  expect_refused(zero, 2, "--lr: Value 0 is too small");
  EXPECT_FALSE(fs::exists(at("vain/model.hone")));
  for (const std::string value : {"abc", "-5", "1000000000"}) {
    const Outcome o =
        shell("HONE_NUM_THREADS=" + value + " " + HONE_BINARY + " run " + model() + " --output-dir " + at("vain_out"));
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_NE(o.err.find("HONE_NUM_THREADS is '" + value + "'"), std::string::npos) << o.err;
  }
}

TEST(Cli, ends_at_an_interrupt_where_there_is_nothing_to_save) {
  const Outcome o = shell("timeout --preserve-status -s INT 2 " + std::string(HONE_BINARY) + " run " + model() +
                          " --repeat 1000000 --json --output-dir " + at("endless"));
  EXPECT_EQ(o.code, 130) << o.err;
  EXPECT_EQ(o.parsed()["error"]["code"], "interrupted") << o.out;
  EXPECT_FALSE(fs::exists(at("endless")));
}

TEST(Cli, says_that_nothing_could_be_printed_and_keeps_results_clear_of_closed_streams) {
  const std::string inspect = std::string(HONE_BINARY) + " inspect " + model();
  expect_refused(shell("( " + inspect + " >/dev/full )"), 1, "cannot write (No space left on device): standard output");
  const std::string onnx = at("closed.onnx");
  EXPECT_EQ(shell("( " + std::string(HONE_BINARY) + " convert " + model() + " " + onnx + " >&- 2>&- <&- )").code, 0);
  EXPECT_EQ(hone_run("compare " + model() + " " + onnx).code, 0);
}

TEST(Cli, says_where_a_result_cannot_go_before_it_works) {
  for (const std::string& verb : {std::string("tune "), "quantize --data " + at("photos") + " "})
    expect_refused(hone_run(verb + model() + " --out " + at("none/result.hone")), 1, "there is no folder");
  expect_refused(hone_run("convert " + model() + " " + at("net.tflite")), 2, ".onnx, .xml or .hone");
}

}  // namespace hone
