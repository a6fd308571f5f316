// Files: mapped for reading, written to a temporary name and renamed when whole.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hone {

/// A read-only memory map of a whole file.
class MappedFile {
 public:
  /// Throws `Error` (unreadable) where the file is missing, a folder, or cannot be mapped.
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile() = default;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

/// Collects a file under a temporary name beside its destination; `commit` syncs and renames. Destroyed before: nothing
/// is left.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  /// Throw `Error` (no_space, failed).
  void write(const void* data, size_t n);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Zero bytes up to the next multiple of `alignment`.
  void align(size_t alignment);
  uint64_t position() const { return position_; }
  void commit();

 private:
  void flush();
  std::string path_, temporary_;
  int fd_ = -1;
  uint64_t position_ = 0;
  std::vector<uint8_t> buffer_;
};

std::string read_text_file(const std::string& path);
void write_file(const std::string& path, std::string_view content);

}  // namespace hone
