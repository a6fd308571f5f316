// Photos, and a model trained on them, for tests of the command line that would not have to train for themselves.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/file.hpp"
#include "command.hpp"
#include "data/random.hpp"
#include "image/image.hpp"

namespace hone::workspace {

namespace fs = std::filesystem;
using testing_command::Outcome;

/// One folder for all tests of the program, with photos of three classes; removed at the end. cli_test.cpp registers
/// it.
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
            const bool on = label[0] == 'c'   ? std::abs(u) < 2 || std::abs(v) < 2
                            : label[0] == 'd' ? u * u + v * v < 20
                                              : (y + dy) % 4 < 2;
            for (int c = 0; c < 3; ++c) image.pixel(x, y)[c] = static_cast<uint8_t>((on ? 170 : 40) + random.below(60));
          }
        }
        data::write_image((root() / "photos" / label / (std::to_string(i) + ".png")).string(), image);
      }
    }
  }
  void TearDown() override { fs::remove_all(root()); }
};

inline std::string at(const std::string& name) {
  return (Workspace::root() / name).string();
}

inline Outcome shell(const std::string& command) {
  const std::string out = at("stdout"), err = at("stderr");
  const int status = std::system((command + " >" + out + " 2>" + err).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_text_file(out), read_text_file(err)};
}
inline Outcome hone_run(const std::string& arguments) {
  return shell(std::string(HONE_BINARY) + " " + arguments);
}

/// The model that most tests start from; trained once.
inline const std::string& model() {
  static const std::string file = [] {
    const Outcome o =
        hone_run("train " + at("photos") +
                 " --model resnet8 --epochs 12 --batch 16 --precision f32 --threads 1 --out " + at("run") + " --json");
    EXPECT_EQ(o.code, 0) << o.err;
    return at("run/model.hone");
  }();
  return file;
}

inline size_t lines(const std::string& s) {
  return static_cast<size_t>(std::count(s.begin(), s.end(), '\n'));
}

inline void expect_refused(const Outcome& o, int code, const std::string& part) {
  EXPECT_EQ(o.code, code) << o.err;
  EXPECT_NE(o.err.find(part), std::string::npos) << o.err;
  EXPECT_EQ(o.err.find("terminate"), std::string::npos) << o.err;
}

}  // namespace hone::workspace
