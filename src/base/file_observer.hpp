// Which files a piece of work reads.
#pragma once
#include <string>
#include <vector>

namespace hone {

/// Collects the paths of all files that this thread maps while it lives; they nest.
class FileObserver {
 public:
  FileObserver();
  ~FileObserver();
  FileObserver(const FileObserver&) = delete;
  FileObserver& operator=(const FileObserver&) = delete;
  const std::vector<std::string>& paths() const { return paths_; }
  /// Tells the observers of this thread.
  static void opened(const std::string& path);

 private:
  std::vector<std::string> paths_;
  FileObserver* outer_;
};

}  // namespace hone
