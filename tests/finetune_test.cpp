// Models of other frameworks, straight from the command line: fine-tuned with what Hone chooses, measured, asked.
#include <algorithm>
#include <cstdlib>

#include "workspace.hpp"

namespace hone {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace workspace;

namespace {

std::string shared(const std::string& file) {
  const char* given = std::getenv("HONE_DATA");
  return (fs::path(given ? given : HONE_SOURCE_DIR "/../shared/data") / file).string();
}

bool no_digits() {
  return !fs::exists(shared("datasets/mnist/images-idx3-ubyte")) || !fs::exists(shared("models/onnx"));
}
constexpr const char* needs_digits = "no test data: set HONE_DATA to the folder with datasets/mnist and models/";

// The digits as dark strokes on bright paper: a network trained on bright strokes does not know them.
const std::string& dark_digits() {
  static const std::string folder = [] {
    const std::string to = at("dark");
    fs::create_directories(to);
    std::string images = read_text_file(shared("datasets/mnist/images-idx3-ubyte"));
    for (size_t i = 16; i < images.size(); ++i) images[i] = static_cast<char>(255 - static_cast<uint8_t>(images[i]));
    write_file(to + "/images-idx3-ubyte", images);
    write_file(to + "/labels-idx1-ubyte", read_text_file(shared("datasets/mnist/labels-idx1-ubyte")));
    return to;
  }();
  return folder;
}

json log_of(const std::string& run) {
  json log = json::array();
  std::istringstream in(read_text_file(at(run + "/log.jsonl")));
  for (std::string line; std::getline(in, line);) log.push_back(json::parse(line));
  return log;
}

double accuracy(const std::string& arguments) {
  const Outcome o = hone_run("test " + arguments + " --json");
  EXPECT_EQ(o.code, 0) << arguments << ": " << o.err;
  return o.code == 0 ? o.parsed()["metrics"]["accuracy"].get<double>() : -1;
}

}  // namespace

// The file's Reshape to [1, 256] is for one picture; a batch of them takes it along.
TEST(FineTune, adapts_a_network_whose_file_fixes_its_batch) {
  if (no_digits()) GTEST_SKIP() << needs_digits;
  const std::string file = shared("models/onnx/mnist_8/mnist-8.onnx");
  const double before = accuracy(file + " --data " + dark_digits() + " --split all --mean 0 --scale 1");
  EXPECT_LT(before, 0.4);
  const Outcome t = hone_run("train " + dark_digits() + " --model " + file +
                             " --epochs 20 --precision f32 --threads 1 --json --out " + at("digits"));
  ASSERT_EQ(t.code, 0) << t.err;
  const json log = log_of("digits");
  EXPECT_LT(log.back()["loss"].get<double>(), log.front()["loss"].get<double>());
  EXPECT_GT(accuracy(at("digits/model.hone") + " --data " + dark_digits()), before + 0.3);
  // With the file's own batch again, in the file's own form.
  ASSERT_EQ(hone_run("convert " + at("digits/model.hone") + " " + at("digits.onnx") + " --force").code, 0);
  EXPECT_EQ(accuracy(at("digits.onnx") + " --data " + dark_digits()),
            accuracy(at("digits/model.hone") + " --data " + dark_digits()));
}

// Made for pixels of 0..255, it gives scores of thousands: their loss would wipe out what it knows.
TEST(FineTune, adapts_a_network_of_raw_pixels) {
  if (no_digits()) GTEST_SKIP() << needs_digits;
  const std::string file = shared("models/onnx/mnist_8/mnist-8.onnx"), pixels = " --mean 0 --scale 1";
  const double before = accuracy(file + " --data " + dark_digits() + " --split all" + pixels);
  const Outcome t = hone_run("train " + dark_digits() + " --model " + file + pixels +
                             " --epochs 12 --precision f32 --threads 1 --json --out " + at("raw"));
  ASSERT_EQ(t.code, 0) << t.err;
  EXPECT_NE(t.err.find("to be within reach of the loss"), std::string::npos) << t.err;
  EXPECT_EQ(t.err.find("no epoch is better"), std::string::npos) << t.err;
  const json log = log_of("raw");
  EXPECT_LT(log.front()["loss"].get<double>(), 10);
  EXPECT_LT(log.back()["loss"].get<double>(), 0.7 * log.front()["loss"].get<double>());
  EXPECT_GT(accuracy(at("raw/model.hone") + " --data " + dark_digits()), before + 0.3);
}

TEST(FineTune, adapts_a_network_to_other_pictures) {
  if (no_digits()) GTEST_SKIP() << needs_digits;
  const std::string file = shared("models/onnx/samplenet/samplenet.onnx"), digits = shared("datasets/mnist"),
                    pixels = " --scale 255 --reverse-channels";
  const double before = accuracy(file + " --data " + digits + " --split all" + pixels);
  const Outcome t = hone_run("train " + digits + " --model " + file + pixels +
                             " --epochs 6 --precision f32 --threads 1 --json --out " + at("things"));
  ASSERT_EQ(t.code, 0) << t.err;
  const json log = log_of("things");
  EXPECT_LT(log.back()["loss"].get<double>(), log.front()["loss"].get<double>());
  // What the run was given travels with the model: no --scale here.
  EXPECT_GT(accuracy(at("things/model.hone") + " --data " + digits), before + 0.3);
}

TEST(FineTune, says_how_pictures_become_the_input) {
  if (no_digits()) GTEST_SKIP() << needs_digits;
  const std::string file = shared("models/onnx/mnist_8/mnist-8.onnx"), digits = shared("datasets/mnist");
  // Nobody can know what a foreign file takes: it is said, in every verb in the same words.
  const Outcome silent = hone_run("test " + file + " --data " + digits);
  expect_refused(silent, 2, "say it with --mean");
  EXPECT_GT(accuracy(file + " --data " + digits + " --mean 0 --scale 1"), 0.95);
  EXPECT_LT(accuracy(file + " --data " + digits + " --mean 255 --scale -1"), 0.5);

  const std::string picture = shared("datasets/images/mnist_28.png"), predict = "predict " + file + " " + picture;
  expect_refused(hone_run(predict), 2, "say it with --mean");
  std::string names;
  for (int k = 0; k < 10; ++k) names += "number-" + std::to_string(k) + "\n";
  write_file(at("numbers.txt"), names);
  const Outcome plain = hone_run(predict + " --mean 0 --scale 1 --precision f32 --json"),
                named = hone_run(predict + " --mean 0 --scale 1 --precision f32 --json --labels " + at("numbers.txt"));
  ASSERT_EQ(plain.code, 0) << plain.err;
  ASSERT_EQ(named.code, 0) << named.err;
  const std::string number = plain.parsed()["results"][0]["predictions"][0]["label"];
  EXPECT_EQ(named.parsed()["results"][0]["predictions"][0]["label"], "number-" + number);

  for (const std::string& call :
       {"test " + file + " --data " + digits, predict, "train " + digits + " --model " + file + " --out " + at("bad"),
        "quantize " + file + " --data " + digits + " --out " + at("bad.hone")}) {
    expect_refused(hone_run(call + " --mean 1,2"), 2, "--mean has 2 values for 1 channels");
    expect_refused(hone_run(call + " --mean 0 --scale 0"), 2, "--scale divides by 0");
    expect_refused(hone_run(call + " --mean 0 --layout CHW"), 2, "--layout takes one of NCHW, NHWC");
    expect_refused(hone_run(call + " --mean 0 --reverse-channels"), 2, "the model takes grey pictures");
    EXPECT_EQ(hone_run(call + " --mean dark").code, 2) << call;
  }
  expect_refused(hone_run(predict + " --mean 0 --labels " + at("none.txt")), 3, "list of names");
  EXPECT_FALSE(fs::exists(at("bad/model.hone")));
  EXPECT_FALSE(fs::exists(at("bad.hone")));
}

TEST(FineTune, keeps_the_pixels_that_the_call_gave) {
  const Outcome t = hone_run("train " + at("photos") +
                             " --model resnet8 --epochs 1 --mean 10,20,30 --scale 50 --reverse-channels --threads 1 "
                             "--precision f32 --out " +
                             at("pixels") + " --force");
  ASSERT_EQ(t.code, 0) << t.err;
  const json options = json::parse(read_text_file(at("pixels/options.json")));
  EXPECT_EQ(options["mean"], (std::vector<double>{10, 20, 30}));
  // Saying the same again changes nothing, saying something else does.
  const std::string ask =
      "predict " + at("pixels/model.hone") + " " + at("photos/disc/0.png") + " --precision f32 --json";
  const json stored = hone_run(ask).parsed()["results"];
  EXPECT_EQ(hone_run(ask + " --mean 10,20,30 --scale 50").parsed()["results"], stored);
  EXPECT_NE(hone_run(ask + " --mean 100").parsed()["results"], stored);
  EXPECT_NE(hone_run(ask + " --reverse-channels --mean 10,20,30").parsed()["results"], stored);
}

// A network for three classes on pictures of two of them, and of its own three under other names.
TEST(FineTune, gives_a_file_the_classes_of_the_data) {
  const std::string common = " --epochs 4 --precision f32 --threads 1 --json --force --out ";
  ASSERT_EQ(hone_run("train " + at("photos") + " --model resnet8" + common + at("three")).code, 0);
  ASSERT_EQ(hone_run("convert " + at("three/model.hone") + " " + at("three.onnx") + " --force").code, 0);
  for (const char* label : {"disc", "stripes"}) {
    fs::create_directories(at("two"));
    fs::copy(at("photos") + "/" + label, at("two") + "/" + label, fs::copy_options::recursive);
  }
  const Outcome t = hone_run("train " + at("two") + " --model " + at("three.onnx") + common + at("tuned"));
  ASSERT_EQ(t.code, 0) << t.err;
  EXPECT_EQ(t.parsed()["new_head"], "linear/matmul");
  EXPECT_NE(t.err.find("'linear/matmul' of 64 features and 3 classes is replaced by a new one for 2 classes, "
                       "fitted to the features as they are"),
            std::string::npos)
      << t.err;
  EXPECT_GE(accuracy(at("tuned/model.hone") + " --data " + at("two") + " --split all"), 0.9);
  const json predicted =
      hone_run("predict " + at("tuned/model.hone") + " " + at("two/disc/0.png") + " --precision f32 --json").parsed();
  EXPECT_EQ(predicted["results"][0]["predictions"][0]["label"], "disc");

  // As many classes: the own layer stays unless a new one is asked for.
  const Outcome same = hone_run("train " + at("photos") + " --model " + at("three.onnx") + common + at("same"));
  ASSERT_EQ(same.code, 0) << same.err;
  EXPECT_FALSE(same.parsed().contains("new_head"));
  const Outcome fresh =
      hone_run("train " + at("photos") + " --new-head --model " + at("three.onnx") + common + at("same"));
  ASSERT_EQ(fresh.code, 0) << fresh.err;
  EXPECT_EQ(fresh.parsed()["new_head"], "linear/matmul");

  expect_refused(
      hone_run("train " + at("two") + " --features nowhere --model " + at("three.onnx") + common + at("bad")), 2,
      "no tensor is called so");
  expect_refused(hone_run("train " + at("two") + " --new-head --model resnet8" + common + at("bad")), 2,
                 "--new-head is for a model file");
}

TEST(FineTune, converts_a_file_of_one_picture_to_a_batch) {
  if (no_digits()) GTEST_SKIP() << needs_digits;
  const std::string file = shared("models/onnx/mnist_8/mnist-8.onnx"), pixels = " --mean 0 --scale 1",
                    digits = shared("datasets/mnist");
  for (const char* batch : {"8", "?"}) {
    const Outcome c = hone_run("convert " + file + " " + at("batch.onnx") + " --force --batch '" + batch + "'");
    ASSERT_EQ(c.code, 0) << batch << ": " << c.err;
    EXPECT_EQ(accuracy(at("batch.onnx") + " --data " + digits + pixels), accuracy(file + " --data " + digits + pixels))
        << batch;
  }
}

}  // namespace hone
