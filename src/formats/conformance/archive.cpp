// Reads .tar.gz: ustar and GNU headers, regular files only.
#include <zlib.h>

#include <cstring>
#include <filesystem>

#include "base/file.hpp"
#include "formats/conformance/conformance.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

constexpr uint64_t max_unpacked = uint64_t{4} << 30;

class GzFile {
 public:
  explicit GzFile(const std::string& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
    if (!file_) throw Error(ErrorCode::unreadable, "[archive] cannot open", path);
  }
  ~GzFile() { gzclose(file_); }
  GzFile(const GzFile&) = delete;
  GzFile& operator=(const GzFile&) = delete;
  /// False at the end of the file.
  bool read(void* to, unsigned n) {
    const int got = gzread(file_, to, n);
    if (got == 0) return false;
    if (got != static_cast<int>(n))
      throw Error(ErrorCode::unreadable, "[archive] the file is truncated or not gzip", path_);
    return true;
  }

 private:
  std::string path_;
  gzFile file_;
};

uint64_t octal(const char* p, size_t n) {
  uint64_t v = 0;
  for (size_t i = 0; i < n && p[i] >= '0' && p[i] <= '7'; ++i) v = v * 8 + static_cast<uint64_t>(p[i] - '0');
  return v;
}

}  // namespace

void unpack_tar_gz(const std::string& archive, const std::string& folder) {
  GzFile in(archive);
  char header[512];
  std::string long_name;
  uint64_t total = 0;
  while (in.read(header, sizeof header)) {
    if (header[0] == '\0') break;
    const uint64_t size = octal(header + 124, 12);
    total += size;
    if (total > max_unpacked) throw Error(ErrorCode::unsafe, "[archive] unpacks to more than 4 GiB", archive);
    const char type = header[156];
    std::string content;
    content.reserve(size);
    for (uint64_t left = size; left > 0;) {
      char block[512];
      if (!in.read(block, sizeof block)) throw Error(ErrorCode::unreadable, "[archive] the file is truncated", archive);
      const size_t n = static_cast<size_t>(std::min<uint64_t>(left, sizeof block));
      content.append(block, n);
      left -= n;
    }
    if (type == 'L') {
      long_name = content.c_str();
      continue;
    }
    std::string name = long_name;
    long_name.clear();
    if (name.empty()) {
      name.assign(header, strnlen(header, 100));
      if (std::memcmp(header + 257, "ustar\0", 6) == 0 && header[345])
        name = std::string(header + 345, strnlen(header + 345, 155)) + "/" + name;
    }
    if (type != '0' && type != '\0') continue;  // folders come with their files; links and devices are left out
    const std::filesystem::path relative = std::filesystem::path(name).lexically_normal();
    if (relative.is_absolute() || relative.empty() || *relative.begin() == "..")
      throw Error(ErrorCode::unsafe, "[archive] a name leaves the folder: " + name, archive);
    const std::filesystem::path to = std::filesystem::path(folder) / relative;
    std::filesystem::create_directories(to.parent_path());
    std::FILE* f = std::fopen(to.c_str(), "wb");
    const bool good = f && std::fwrite(content.data(), 1, content.size(), f) == content.size();
    if (!f || std::fclose(f) != 0 || !good) throw Error(ErrorCode::no_space, "[archive] cannot write", to.string());
  }
}

}  // namespace hone
