#include "base/file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "base/file_observer.hpp"
#include "base/file_pages.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

Error io_error(const std::string& path, const char* what) {
  const int e = errno;
  const ErrorCode code = e == ENOSPC || e == EDQUOT || e == EFBIG ? ErrorCode::no_space : ErrorCode::failed;
  return Error(
      code, std::string("[file] cannot ") + what + " (" + std::strerror(e) + ")", path,
      code == ErrorCode::no_space ? "free some space or choose another place" : "check the path and its permissions");
}

// All live maps, by their last byte: only there may pages be given back.
struct Maps {
  std::shared_mutex mutex;
  std::map<uintptr_t, uintptr_t> begin_of;
};
Maps& maps() {
  static auto* m = new Maps;  // outlives every map
  return *m;
}

}  // namespace

void release_mapped(std::span<const uint8_t> bytes) noexcept {
  constexpr uintptr_t page = 4096;
  const auto at = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t first = (at + page - 1) / page * page, last = (at + bytes.size()) / page * page;
  if (first >= last) return;
  Maps& all = maps();
  std::lock_guard lock(all.mutex);
  const auto it = all.begin_of.lower_bound(last - 1);
  if (it == all.begin_of.end() || it->second > first) return;
  (void)madvise(const_cast<uint8_t*>(bytes.data() + (first - at)), last - first, MADV_DONTNEED);
}

void populate_mapped(std::span<const uint8_t> bytes) noexcept {
#if defined(MADV_POPULATE_READ)
  constexpr uintptr_t page = 4096;
  if (bytes.empty()) return;
  const auto at = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t first = at / page * page, last = at + bytes.size();
  Maps& all = maps();
  std::shared_lock lock(all.mutex);
  const auto it = all.begin_of.lower_bound(last - 1);
  if (it == all.begin_of.end() || it->second > at) return;
  (void)madvise(const_cast<uint8_t*>(bytes.data() - (at - first)), last - first, MADV_POPULATE_READ);
#else
  (void)bytes;
#endif
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    throw Error(ErrorCode::unreadable, std::string("[file] cannot open (") + std::strerror(errno) + ")", path,
                "check the path");
  struct stat st {};
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    ::close(fd);
    throw Error(ErrorCode::unreadable, "[file] not a regular file", path, "name a file");
  }
  std::shared_ptr<MappedFile> f(new MappedFile);
  f->path_ = path;
  f->size_ = size_t(st.st_size);
  if (f->size_ > 0) {
    void* p = mmap(nullptr, f->size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
      const int e = errno;
      ::close(fd);
      throw Error(ErrorCode::unreadable, std::string("[file] cannot map (") + std::strerror(e) + ")", path);
    }
    f->data_ = static_cast<const uint8_t*>(p);
    const auto begin = reinterpret_cast<uintptr_t>(p);
    std::lock_guard lock(maps().mutex);
    maps().begin_of[begin + f->size_ - 1] = begin;
  }
  ::close(fd);
  FileObserver::opened(path);
  return f;
}

MappedFile::~MappedFile() {
  if (!data_) return;
  {
    std::lock_guard lock(maps().mutex);
    maps().begin_of.erase(reinterpret_cast<uintptr_t>(data_) + size_ - 1);
  }
  munmap(const_cast<uint8_t*>(data_), size_);
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  temporary_ = path_ + ".tmp" + std::to_string(getpid());
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) throw io_error(path_, "create");
  buffer_.reserve(1 << 20);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) {
    ::close(fd_);
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0) {
      if (errno == EINTR) continue;
      throw io_error(path_, "write");
    }
    done += size_t(n);
  }
  buffer_.clear();
}

void AtomicFile::write(const void* data, size_t n) {
  const auto* p = static_cast<const uint8_t*>(data);
  position_ += n;
  while (n > 0) {
    const size_t chunk = std::min(n, size_t{1} << 20);
    buffer_.insert(buffer_.end(), p, p + chunk);
    p += chunk;
    n -= chunk;
    if (buffer_.size() >= (1 << 20)) flush();
  }
}

void AtomicFile::align(size_t alignment) {
  static constexpr uint8_t zeros[64] = {};
  while (position_ % alignment != 0) write(zeros, std::min<size_t>(64, alignment - position_ % alignment));
}

void AtomicFile::commit() {
  flush();
  if (fsync(fd_) != 0 && errno != EINVAL && errno != EROFS) throw io_error(path_, "sync");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw io_error(path_, "rename");
  ::close(fd_);
  fd_ = -1;
}

std::string read_text_file(const std::string& path) {
  auto f = MappedFile::open(path);
  return std::string(reinterpret_cast<const char*>(f->bytes().data()), f->bytes().size());
}

void write_file(const std::string& path, std::string_view content) {
  AtomicFile f(path);
  f.write(content);
  f.commit();
}

}  // namespace hone
