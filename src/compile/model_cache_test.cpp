#include "compile/model_cache.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.hpp"
#include "compile/compile.hpp"
#include "cpu/features.hpp"
#include "hone/error.hpp"
#include "ops/samples.hpp"
#include "zoo/zoo.hpp"

namespace hone {
namespace {

namespace fs = std::filesystem;

Graph network() {
  NetworkOptions o;
  o.classes = 10;
  o.channels = 3;
  o.height = o.width = 16;
  Graph g = build_network("resnet8", o);
  g.reshape({{g.inputs()[0].id, PartialShape(Shape{1, 3, 16, 16})}});
  return g;
}

const Program& program() {
  static const Program p = compile_program(network(), {.threads = 1});
  return p;
}

std::vector<double> outputs_of(std::shared_ptr<const Program> p) {
  return load_program(std::move(p), {.threads = 1}).infer({random_tensor({1, 3, 16, 16}, 7)})[0].tensor().to_doubles();
}
const std::vector<double>& expected() {
  static const auto y = outputs_of(std::make_shared<const Program>(program()));
  return y;
}

class Cache : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("hone_cache_" + std::to_string(::getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_);
    write("net.onnx", "the model");
    unsetenv("HONE_CACHE_SIZE");
    unsetenv("HONE_CACHE_VERIFY");
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string at(const std::string& name) const { return (root_ / name).string(); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(at(name)).parent_path());
    std::ofstream(at(name), std::ios::binary) << text;
  }
  ModelCache cache(uint64_t limit = 1 << 30) const { return ModelCache(at("cache"), limit); }
  void store(const std::string& question = "q", const std::vector<std::string>& files = {}) const {
    cache().store(at("net.onnx"), question, files, program(), {{"label", "cat"}});
  }
  std::vector<std::string> entries() const {
    std::vector<std::string> all;
    for (const auto& e : fs::directory_iterator(at("cache"))) {
      if (e.path().extension() == ".hone") all.push_back(e.path().string());
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  // Finds, and counts the lines of warning.
  std::optional<CachedModel> find(const std::string& question, size_t& warnings) const {
    ::testing::internal::CaptureStderr();
    auto hit = cache().find(at("net.onnx"), question);
    const std::string text = ::testing::internal::GetCapturedStderr();
    warnings = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
    return hit;
  }
  fs::path root_;
};

TEST_F(Cache, gives_back_the_program_bit_for_bit) {
  EXPECT_FALSE(cache().find(at("net.onnx"), "q"));
  store();
  for (int again = 0; again < 2; ++again) {
    const auto hit = cache().find(at("net.onnx"), "q");
    ASSERT_TRUE(hit);
    EXPECT_EQ(hit->metadata, (std::map<std::string, std::string>{{"label", "cat"}}));
    EXPECT_EQ(outputs_of(hit->program), expected());
  }
}

TEST_F(Cache, is_keyed_by_content_not_by_name) {
  store();
  write("elsewhere/other.onnx", "the model");
  EXPECT_TRUE(cache().find(at("elsewhere/other.onnx"), "q"));
  write("elsewhere/other.onnx", "the mode1");
  EXPECT_FALSE(cache().find(at("elsewhere/other.onnx"), "q"));
  EXPECT_FALSE(cache().find(at("net.onnx"), "another question"));
  EXPECT_FALSE(cache().find(at("missing.onnx"), "q"));
  write("net.onnx", "THE MODEL");
  EXPECT_FALSE(cache().find(at("net.onnx"), "q"));
}

TEST_F(Cache, notices_changed_weight_files) {
  write("weights/a.data", std::string(2 << 20, 'a'));
  store("q", {at("net.onnx"), at("weights/a.data")});
  size_t warnings = 0;
  EXPECT_TRUE(find("q", warnings));
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  // Long enough ago that its hash is remembered, by its stamp.
  EXPECT_TRUE(find("q", warnings));
  EXPECT_TRUE(find("q", warnings));
  {
    std::fstream f(at("weights/a.data"), std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(1000);
    f << 'b';
  }
  EXPECT_FALSE(find("q", warnings));
  EXPECT_EQ(warnings, 0u);  // nothing is wrong
  fs::remove(at("weights/a.data"));
  EXPECT_FALSE(find("q", warnings));
  // What lies beside the model under the usual names is part of the key: both versions are kept.
  write("net.bin", "one");
  store();
  write("net.bin", "two");
  EXPECT_FALSE(find("q", warnings));
  write("net.bin", "one");
  EXPECT_TRUE(find("q", warnings));
}

TEST_F(Cache, compiles_anew_where_an_entry_was_cut) {
  store();
  const std::string path = entries().at(0), whole = read_text_file(path);
  for (size_t size : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{200}, whole.size() / 2, whole.size() - 4096,
                      whole.size() - 1}) {
    fs::resize_file(path, size);
    size_t warnings = 0;
    EXPECT_FALSE(find("q", warnings)) << size;
    EXPECT_EQ(warnings, 1u) << size;
    store();
    const auto hit = find("q", warnings);
    ASSERT_TRUE(hit) << size;
    EXPECT_EQ(warnings, 0u);
    EXPECT_EQ(outputs_of(hit->program), expected());
  }
}

TEST_F(Cache, finds_every_flipped_bit_that_matters_and_warns_once) {
  store();
  const std::string path = entries().at(0), whole = read_text_file(path);
  size_t found = 0, tried = 0;
  for (size_t byte = 0; byte < whole.size(); byte += byte < 2048 ? 13 : whole.size() / 60) {
    ++tried;
    struct stat before {};
    ASSERT_EQ(stat(path.c_str(), &before), 0);
    const int fd = ::open(path.c_str(), O_WRONLY);
    const char flipped = static_cast<char>(whole[byte] ^ (1 << (byte % 8)));
    ASSERT_EQ(::pwrite(fd, &flipped, 1, static_cast<off_t>(byte)), 1);
    ::close(fd);
    // Hiding the change does not help: the time of change cannot be set.
    const timespec times[2] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    size_t warnings = 0;
    if (const auto hit = find("q", warnings)) {
      EXPECT_EQ(warnings, 0u);  // a byte between two sections
      EXPECT_EQ(outputs_of(hit->program), expected()) << byte;
    } else {
      EXPECT_EQ(warnings, 1u) << byte;
      ++found;
    }
    store();
  }
  EXPECT_GT(found, tried * 8 / 10);
}

TEST_F(Cache, refuses_entries_made_for_others) {
  store("q");
  store("r");
  const auto both = entries();
  ASSERT_EQ(both.size(), 2u);
  // Somebody copies one over the other.
  fs::copy_file(both[0], both[1], fs::copy_options::overwrite_existing);
  size_t q = 0, r = 0;
  EXPECT_NE(find("q", q).has_value(), find("r", r).has_value());
  EXPECT_EQ(q + r, 1u);
  // Another ISA, another entry.
  cpu::Features less = cpu::features();
  if (!less.avx2) GTEST_SKIP() << "needs AVX2";
  less = cpu::capped(less, "avx2");
  if (less == cpu::features()) GTEST_SKIP() << "needs more than AVX2";
  store("q");
  const cpu::ScopedFeatures scope(less);
  EXPECT_FALSE(find("q", q));
  EXPECT_EQ(q, 0u);
}

TEST_F(Cache, does_without_a_folder_that_cannot_be_used) {
  write("cache", "a file in the way");
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(cache().find(at("net.onnx"), "q"));
  store();
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_NE(text.find("[cache]"), std::string::npos);
  fs::remove(at("cache"));
  // A folder in the place of an entry.
  store();
  const std::string path = entries().at(0);
  fs::remove(path);
  fs::create_directories(path + "/x");
  size_t warnings = 0;
  EXPECT_FALSE(find("q", warnings));
  EXPECT_EQ(warnings, 1u);
  EXPECT_FALSE(ModelCache("").find(at("net.onnx"), "q"));
}

TEST_F(Cache, drops_what_was_used_longest_ago) {
  store("a");
  const uint64_t size = fs::file_size(entries().at(0));
  store("b");
  size_t w = 0;
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_TRUE(find("a", w));
  write("cache/0123.hone.tmp77", "left by a killed process");
  fs::last_write_time(at("cache/0123.hone.tmp77"), fs::file_time_type::clock::now() - std::chrono::hours(2));
  ModelCache small(at("cache"), size * 5 / 2);
  small.store(at("net.onnx"), "c", {}, program(), {});
  EXPECT_EQ(entries().size(), 2u);
  EXPECT_TRUE(find("a", w));
  EXPECT_FALSE(find("b", w));
  EXPECT_TRUE(find("c", w));
  EXPECT_FALSE(fs::exists(at("cache/0123.hone.tmp77")));
  // What never fits is not stored, and pushes nothing out.
  ModelCache(at("cache"), 100).store(at("net.onnx"), "d", {}, program(), {});
  EXPECT_EQ(entries().size(), 2u);
}

TEST_F(Cache, is_shared_by_processes) {
  (void)program();  // compiled before there are children: threads do not live on in them
  std::vector<pid_t> children;
  for (int c = 0; c < 4; ++c) {
    const pid_t pid = fork();
    if (pid == 0) {
      // Exit codes tell the parent: 0 all right, 1 a wrong result.
      for (int i = 0; i < 12; ++i) {
        const std::string q(1, static_cast<char>('a' + (i + c) % 2));
        cache().store(at("net.onnx"), q, {}, program(), {});
        if (const auto hit = cache().find(at("net.onnx"), q)) {
          const auto& own = program();
          if (hit->program->constants.size() != own.constants.size()) _exit(1);
          for (size_t k = 0; k < own.constants.size(); ++k) {
            const Tensor &x = hit->program->constants[k], &y = own.constants[k];
            if (x.byte_size() != y.byte_size() || std::memcmp(x.raw(), y.raw(), x.byte_size()) != 0) _exit(1);
          }
        } else {
          _exit(2);
        }
      }
      _exit(0);
    }
    children.push_back(pid);
  }
  for (pid_t pid : children) {
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  size_t w = 0;
  EXPECT_TRUE(find("a", w));
  EXPECT_TRUE(find("b", w));
  EXPECT_EQ(entries().size(), 2u);
}

TEST_F(Cache, knows_models_in_memory_by_content) {
  const Graph g = network();
  const ContentHash h = content_hash(g);
  EXPECT_EQ(content_hash(Graph(g)), h);
  cache().store(h, "q", program(), {});
  ASSERT_TRUE(cache().find(h, "q"));
  Graph larger = g;
  larger.reshape({{larger.inputs()[0].id, PartialShape(Shape{2, 3, 16, 16})}});
  EXPECT_NE(content_hash(larger), h);
}

TEST(CacheSettings, come_from_the_environment) {
  setenv("HONE_CACHE_SIZE", "1.5M", 1);
  EXPECT_EQ(cache_limit(), 1'500'000u);
  setenv("HONE_CACHE_SIZE", "much", 1);
  EXPECT_THROW((void)cache_limit(), Error);
  unsetenv("HONE_CACHE_SIZE");
  EXPECT_EQ(cache_limit(), 2'000'000'000u);
  const char* own = std::getenv("HONE_CACHE_DIR");
  const std::string before = own ? own : "";
  setenv("HONE_CACHE_DIR", "/a/b", 1);
  EXPECT_EQ(default_cache_folder(), "/a/b");
  unsetenv("HONE_CACHE_DIR");
  setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(default_cache_folder(), "/x/hone");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", "/h", 1);
  EXPECT_EQ(default_cache_folder(), "/h/.cache/hone");
  if (own) setenv("HONE_CACHE_DIR", before.c_str(), 1);
}

}  // namespace
}  // namespace hone
