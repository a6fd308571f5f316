#include "base/file_observer.hpp"

#include <algorithm>

namespace hone {
namespace {

thread_local FileObserver* innermost = nullptr;

}  // namespace

FileObserver::FileObserver() : outer_(innermost) {
  innermost = this;
}
FileObserver::~FileObserver() {
  innermost = outer_;
}
void FileObserver::opened(const std::string& path) {
  for (FileObserver* o = innermost; o; o = o->outer_) {
    if (std::find(o->paths_.begin(), o->paths_.end(), path) == o->paths_.end()) o->paths_.push_back(path);
  }
}

}  // namespace hone
