#include "base/file.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>

#include "hone/error.hpp"

namespace hone {
namespace fs = std::filesystem;

static std::string temporary(const char* name) {
  fs::path dir = fs::temp_directory_path() / ("hone_file_test_" + std::to_string(::getpid()));
  fs::create_directories(dir);
  fs::remove(dir / name);  // of an earlier process with the same number
  return (dir / name).string();
}

TEST(File, writes_whole_files_and_reads_them_back) {
  const std::string path = temporary("whole");
  AtomicFile f(path);
  f.write("abc");
  f.align(8);
  EXPECT_EQ(f.position(), 8u);
  EXPECT_FALSE(fs::exists(path)) << "visible before commit";
  f.commit();
  EXPECT_EQ(read_text_file(path), std::string("abc\0\0\0\0\0", 8));
  EXPECT_EQ(MappedFile::open(path)->bytes().size(), 8u);
}

TEST(File, leaves_nothing_behind_without_commit) {
  const std::string path = temporary("half");
  { AtomicFile(path).write("x"); }
  EXPECT_FALSE(fs::exists(path));
  for (auto& e : fs::directory_iterator(fs::path(path).parent_path())) EXPECT_EQ(e.path().string().find("half"), std::string::npos);
}

TEST(File, names_a_missing_file_and_a_folder) {
  for (const std::string& path : {temporary("missing"), fs::temp_directory_path().string()}) {
    try {
      MappedFile::open(path);
      FAIL() << path;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::unreadable);
      EXPECT_EQ(e.where(), path);
    }
  }
}

}  // namespace hone
