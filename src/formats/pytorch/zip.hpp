// Zip archives as PyTorch writes them: entries stored without compression, so their bytes stay in the mapped file.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace hone::pytorch {

/// Bytes and what keeps them alive.
struct Blob {
  std::string_view bytes;
  std::shared_ptr<const void> owner;
};

class ZipArchive {
 public:
  /// Throws `Error`: unreadable (not a zip archive, truncated), unsupported (compressed or encrypted entries).
  explicit ZipArchive(Blob file);
  static bool is_zip(std::string_view head) { return head.starts_with("PK\x03\x04"); }

  bool has(const std::string& name) const { return entries_.contains(name); }
  /// The bytes of an entry; throws `Error` where there is none.
  Blob read(const std::string& name) const;
  /// All names with their sizes, in order.
  const std::map<std::string, std::string_view>& entries() const { return entries_; }
  /// The folder that holds every entry, with its '/'; empty where there is none.
  const std::string& root() const { return root_; }

 private:
  std::map<std::string, std::string_view> entries_;
  std::shared_ptr<const void> owner_;
  std::string root_;
};

/// The file, mapped.
Blob map_file(const std::string& path);

}  // namespace hone::pytorch
