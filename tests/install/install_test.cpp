// What `cmake --install` lays out, as a user of it meets it: the components alone and together, their CMake package,
// programs built against them, and what the libraries export.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>

#include "base/file.hpp"

namespace hone {
namespace {

namespace fs = std::filesystem;

class Installed : public ::testing::Test {
 public:
  // Installed and built once for all tests.
  static void SetUpTestSuite() {
    root() = fs::temp_directory_path() / ("hone_install_" + std::to_string(::getpid()));
    fs::create_directories(root() / "models");
    install("runtime", root() / "runtime");
    install("runtime", prefix());
    install("toolkit", prefix());
    const std::string build = (root() / "build").string();
    built() = shell(std::string(HONE_CMAKE) + " -S " HONE_SOURCE_DIR "/tests/install -B " + build +
                    " -G Ninja -DCMAKE_BUILD_TYPE=Release -DEXAMPLES=" HONE_SOURCE_DIR
                    "/examples -DCMAKE_CXX_COMPILER=" HONE_CXX " -DCMAKE_CXX_COMPILER_LAUNCHER=" HONE_LAUNCHER
                    " -DCMAKE_C_FLAGS='" HONE_SANITIZE "' -DCMAKE_CXX_FLAGS='-Wall -Wextra -Werror " HONE_SANITIZE
                    "' -DCMAKE_PREFIX_PATH=" +
                    prefix().string() + " && " HONE_CMAKE " --build " + build);
  }
  static void TearDownTestSuite() { fs::remove_all(root()); }

  static fs::path& root() {
    static fs::path p;
    return p;
  }
  static fs::path prefix() { return root() / "prefix"; }
  static std::string& built() {
    static std::string failure;
    return failure;
  }
  static std::string models() { return (root() / "models").string(); }

  // "" where the command succeeds, else what it printed.
  static std::string shell(const std::string& command, std::string* output = nullptr) {
    const std::string file = (root() / "output").string();
    const int status = std::system(("(" + command + ") >" + file + " 2>&1").c_str());
    const std::string text = read_text_file(file);
    if (output) *output = text;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : command + "\n" + text;
  }
  static void install(const char* component, const fs::path& to) {
    ASSERT_EQ(shell(std::string(HONE_CMAKE) + " --install " HONE_BINARY_DIR " --component " + component + " --prefix " +
                    to.string()),
              "");
  }
  static std::string program(const std::string& name) { return (root() / "build" / name).string(); }
};

TEST_F(Installed, lays_out_bin_lib_include_and_share) {
  for (const char* f : {"bin/hone", "bin/classify", "include/hone/hone.hpp", "include/hone/hone.h",
                        "include/hone/preprocess.hpp", "include/hone/runtime.hpp", "share/hone/hone_picture.hpp"}) {
    EXPECT_TRUE(fs::exists(prefix() / f)) << f;
  }
  std::set<std::string> libraries;
  for (const auto& e : fs::recursive_directory_iterator(prefix())) libraries.insert(e.path().filename().string());
  for (const char* f : {"libhone.so", "libhone_runtime.so", "HoneConfig.cmake", "HoneConfigVersion.cmake"})
    EXPECT_TRUE(libraries.contains(f)) << f;
  // The runtime component is of use alone and brings nothing of the toolkit.
  EXPECT_TRUE(fs::exists(root() / "runtime/include/hone/runtime.hpp"));
  EXPECT_FALSE(fs::exists(root() / "runtime/include/hone/hone.hpp"));
  EXPECT_FALSE(fs::exists(root() / "runtime/bin"));
}

TEST_F(Installed, programs_build_against_the_toolkit_and_run) {
  ASSERT_EQ(built(), "");
  EXPECT_EQ(shell(program("build_model") + " " + models()), "");
  std::string out;
  EXPECT_EQ(shell(program("infer") + " " + models() + "/tiny.onnx", &out), "");
  EXPECT_NE(out.find("both runs equal"), std::string::npos) << out;
  EXPECT_EQ(shell(program("infer_c") + " " + models() + "/tiny.xml", &out), "");
  EXPECT_NE(out.find("f32, 128 bytes"), std::string::npos) << out;
  // Errors of the library arrive as what they are.
  EXPECT_NE(shell(program("infer") + " " + models() + "/missing.onnx", &out), "");
  EXPECT_TRUE(out.starts_with("infer: ")) << out;
  EXPECT_NE(shell(program("infer_c") + " " + models() + "/missing.onnx", &out), "");
  EXPECT_TRUE(out.starts_with("infer_c: load: ")) << out;
}

TEST_F(Installed, errors_callbacks_and_values_cross_the_border) {
  ASSERT_EQ(built(), "");
  ASSERT_EQ(shell(program("build_model") + " " + models()), "");
  EXPECT_EQ(shell(program("across") + " " + models()), "");
  std::string out;
  EXPECT_EQ(shell(program("bare") + " " + models() + "/program.hone", &out), "");
  EXPECT_NE(out.find("128 bytes"), std::string::npos) << out;
  EXPECT_NE(shell(program("bare") + " " + models() + "/tiny.onnx", &out), "");
  EXPECT_TRUE(out.starts_with("bare: ")) << out;
}

TEST_F(Installed, the_command_line_works_from_where_it_was_installed) {
  ASSERT_EQ(shell(program("build_model") + " " + models()), "");
  EXPECT_EQ(shell((prefix() / "bin/hone").string() + " inspect " + models() + "/tiny.onnx"), "");
}

TEST_F(Installed, the_library_exports_the_public_api_alone) {
  std::string library, out;
  for (const auto& e : fs::recursive_directory_iterator(prefix())) {
    if (e.path().filename() == "libhone.so") library = e.path().string();
  }
  ASSERT_EQ(shell("nm -D -C --defined-only " + library, &out), "");
  std::istringstream lines(out);
  size_t symbols = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.size() < 19) continue;
    std::string name = line.substr(19);
    for (const char* kind : {"typeinfo for ", "typeinfo name for ", "vtable for "}) {
      if (name.starts_with(kind)) name = name.substr(std::string(kind).size());
    }
    EXPECT_TRUE(name.starts_with("hone::") || name.starts_with("hone_")) << name;
    for (const char* internal : {"hone::Graph", "hone::Builder", "hone::data::", "hone::onnx::", "hone::ThreadPool"})
      EXPECT_FALSE(name.starts_with(internal)) << name;
    ++symbols;
  }
  EXPECT_GT(symbols, 100u);
  EXPECT_LT(symbols, 800u);
}

}  // namespace
}  // namespace hone
