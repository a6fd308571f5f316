#include "base/file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/file_pages.hpp"
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
  for (auto& e : fs::directory_iterator(fs::path(path).parent_path()))
    EXPECT_EQ(e.path().string().find("half"), std::string::npos);
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

TEST(MappedFile, gives_pages_back_and_brings_them_in_again) {
  const std::string path = temporary("pages");
  std::string content(3 << 20, 'x');
  for (size_t i = 0; i < content.size(); i += 977) content[i] = static_cast<char>('a' + i % 26);
  write_file(path, content);
  const auto map = MappedFile::open(path);
  const auto bytes = map->bytes();
  const auto same = [&] {
    return std::equal(bytes.begin(), bytes.end(), reinterpret_cast<const uint8_t*>(content.data()));
  };
  const auto resident = [&] {
    std::vector<unsigned char> pages((bytes.size() + 4095) / 4096);
    size_t mapped = 0;
    std::ifstream map_file("/proc/self/pagemap", std::ios::binary);
    for (size_t p = 0; p < pages.size(); ++p) {
      uint64_t entry = 0;
      map_file.seekg(static_cast<std::streamoff>((reinterpret_cast<uintptr_t>(bytes.data()) / 4096 + p) * 8));
      map_file.read(reinterpret_cast<char*>(&entry), 8);
      mapped += entry >> 63;
    }
    return mapped;
  };
  EXPECT_TRUE(same());
  const size_t before = resident();
  release_mapped(bytes.subspan(100, bytes.size() - 200));
  const size_t after = resident();
  if (before > 0) {
    EXPECT_LE(after, 2u);  // the first page and the last
  }
  populate_mapped(bytes.subspan(100));
  const size_t populated = resident();
  if (populated > after) {  // a system that can
    EXPECT_EQ(populated, (bytes.size() + 4095) / 4096);
  }
  EXPECT_TRUE(same());
  // Memory that is no file keeps what it holds.
  std::vector<uint8_t> own(1 << 20, 7);
  release_mapped(own);
  populate_mapped(own);
  populate_mapped({});
  EXPECT_EQ(std::count(own.begin(), own.end(), 7), 1 << 20);
  fs::remove(path);
}

}  // namespace hone
