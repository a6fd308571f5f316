// A folder for one test, removed with it, and small pictures to put there.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "image/image.hpp"

namespace hone::data {

/// 4x3 RGB, different for each `seed`.
inline Image test_picture(int seed) {
  Image image(4, 3, 3);
  for (size_t i = 0; i < image.byte_size(); ++i) image.data()[i] = uint8_t(i * 7 + size_t(seed) * 31);
  return image;
}

class TestFolder {
 public:
  explicit TestFolder(const std::string& name) {
    static int counter = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("hone_" + name + "_" + std::to_string(::getpid()) + "_" + std::to_string(counter++));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::string path() const { return path_.string(); }
  void text(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << content;
  }
  void picture(const std::string& name, int seed) const { picture(name, test_picture(seed)); }
  void picture(const std::string& name, const Image& image) const {
    const auto bytes = encode_png(image);
    text(name, std::string(bytes.begin(), bytes.end()));
  }

 private:
  std::filesystem::path path_;
};

}  // namespace hone::data
