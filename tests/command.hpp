// Calls of the command line from tests, each test in a folder of its own that is removed at the end.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/file.hpp"

namespace hone::testing_command {

struct Outcome {
  int code = -1;
  std::string out, err;
  nlohmann::json parsed() const { return nlohmann::json::parse(out); }
};

class CommandTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("hone_command_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  Outcome shell(const std::string& command) const {
    const std::string out = at("stdout"), err = at("stderr");
    const int status = std::system(("( " + command + " ) >" + out + " 2>" + err).c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_text_file(out), read_text_file(err)};
  }
  /// `environment` stands before the command, like "A=1 B=2".
  Outcome hone(const std::string& arguments, const std::string& environment = "") const {
    return shell(environment + " " + HONE_BINARY + " " + arguments);
  }
  void expect_refused(const Outcome& o, int code, const std::string& part) const {
    EXPECT_EQ(o.code, code) << o.err;
    EXPECT_NE(o.err.find(part), std::string::npos) << o.err;
    EXPECT_EQ(o.err.find("terminate"), std::string::npos) << o.err;
  }
  static size_t lines(const std::string& s) { return static_cast<size_t>(std::count(s.begin(), s.end(), '\n')); }

 private:
  std::filesystem::path folder_;
};

}  // namespace hone::testing_command
