// A fast 128-bit hash that tells contents apart, and the identity of files on disk. Not for secrets: who wants to can
// make two contents collide (base/sha256.hpp is for those).
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hone {

struct ContentHash {
  uint64_t low = 0, high = 0;
  bool operator==(const ContentHash&) const = default;
  std::string hex() const;
};

/// More than 10 GB/s where the memory gives them: four multiply chains side by side.
ContentHash content_hash(std::span<const uint8_t> bytes);
ContentHash content_hash(std::string_view text);

/// What changes whenever somebody writes to a file: the time of the last change cannot be set back.
struct FileStamp {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified_ns = 0, changed_ns = 0;
  bool operator==(const FileStamp&) const = default;
  std::string text() const;
  static std::optional<FileStamp> parse(std::string_view text);
};
/// nullopt where there is no such regular file.
std::optional<FileStamp> file_stamp(const std::string& path);
/// Is the stamp old enough that every later write gets another one? File systems keep time in ticks of some
/// milliseconds; those that keep it in coarser units are never settled.
bool is_settled(const FileStamp& stamp);

}  // namespace hone
