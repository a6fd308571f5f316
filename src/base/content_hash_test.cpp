#include "base/content_hash.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "base/file.hpp"
#include "base/file_observer.hpp"

namespace hone {
namespace {

namespace fs = std::filesystem;

TEST(ContentHash, differs_where_one_bit_or_the_length_differs) {
  std::set<std::string> seen;
  std::vector<uint8_t> bytes(97, 0);
  for (size_t n = 0; n <= bytes.size(); ++n)
    EXPECT_TRUE(seen.insert(content_hash({bytes.data(), n}).hex()).second) << n;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_TRUE(seen.insert(content_hash(bytes).hex()).second) << bit;
    bytes[bit / 8] = 0;
  }
  EXPECT_EQ(content_hash("abc"), content_hash(std::string("abc")));
  EXPECT_EQ(content_hash("abc").hex().size(), 32u);
  // The halves are independent: swapped blocks change both.
  const ContentHash a = content_hash(std::string(32, 'a') + std::string(32, 'b')),
                    b = content_hash(std::string(32, 'b') + std::string(32, 'a'));
  EXPECT_NE(a.low, b.low);
  EXPECT_NE(a.high, b.high);
}

class Stamps : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = (fs::temp_directory_path() / ("hone_stamp_" + std::to_string(::getpid()))).string();
    std::ofstream(path_) << "content";
  }
  void TearDown() override { fs::remove(path_); }
  std::string path_;
};

TEST_F(Stamps, change_with_every_write_even_where_the_time_is_set_back) {
  const FileStamp before = *file_stamp(path_);
  EXPECT_EQ(FileStamp::parse(before.text()), before);
  EXPECT_FALSE(FileStamp::parse("1 2 3"));
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  std::ofstream(path_) << "CONTENT";
  timespec times[2] = {};
  times[0].tv_nsec = UTIME_OMIT;
  times[1] = {before.modified_ns / 1'000'000'000, before.modified_ns % 1'000'000'000};
  ASSERT_EQ(utimensat(AT_FDCWD, path_.c_str(), times, 0), 0);
  const FileStamp after = *file_stamp(path_);
  EXPECT_EQ(after.modified_ns, before.modified_ns);
  EXPECT_NE(after, before);
  EXPECT_FALSE(file_stamp(path_ + ".none"));
}

TEST_F(Stamps, of_the_last_moment_are_not_settled) {
  FileStamp s = *file_stamp(path_);
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  s.modified_ns = s.changed_ns = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  EXPECT_FALSE(is_settled(s));
  s.modified_ns = s.changed_ns = 1'600'000'000'123'456'789;
  EXPECT_TRUE(is_settled(s));
  s.changed_ns = 1'600'000'000'000'000'000;  // a file system that keeps whole seconds
  EXPECT_FALSE(is_settled(s));
}

TEST_F(Stamps, observers_see_mapped_files_once) {
  FileObserver outer;
  {
    FileObserver inner;
    (void)MappedFile::open(path_);
    (void)MappedFile::open(path_);
    EXPECT_EQ(inner.paths(), std::vector<std::string>{path_});
  }
  EXPECT_EQ(outer.paths(), std::vector<std::string>{path_});
}

}  // namespace
}  // namespace hone
