#include "base/content_hash.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>

#include "base/file_pages.hpp"

namespace hone {
namespace {

constexpr uint64_t k1 = 0x9E3779B185EBCA87ull, k2 = 0xC2B2AE3D27D4EB4Full, k3 = 0x165667B19E3779F9ull;

uint64_t rotate(uint64_t v, int by) {
  return (v << by) | (v >> (64 - by));
}
uint64_t step(uint64_t lane, uint64_t v) {
  return rotate(lane + v * k2, 31) * k1;
}
uint64_t finish(uint64_t h) {
  h ^= h >> 33;
  h *= k2;
  h ^= h >> 29;
  h *= k3;
  return h ^ (h >> 32);
}

}  // namespace

std::string ContentHash::hex() const {
  static constexpr char digits[] = "0123456789abcdef";
  std::string s(32, '0');
  for (size_t i = 0; i < 16; ++i) {
    s[i] = digits[(high >> (60 - 4 * i)) & 15];
    s[16 + i] = digits[(low >> (60 - 4 * i)) & 15];
  }
  return s;
}

ContentHash content_hash(std::span<const uint8_t> b) {
  uint64_t lanes[4] = {k1 + k2, k2, k3, 0 - k1};
  const uint8_t* p = b.data();
  size_t n = b.size();
  // A mapped file must not come to lie in memory as a whole to be hashed.
  constexpr size_t window = 8 << 20;
  while (n >= 32) {
    const uint8_t* const begin = p;
    for (; n >= 32 && p - begin < ptrdiff_t(window); p += 32, n -= 32) {
      for (int i = 0; i < 4; ++i) {
        uint64_t v;
        std::memcpy(&v, p + 8 * i, 8);
        lanes[i] = step(lanes[i], v);
      }
    }
    if (b.size() > window) release_mapped({begin, p});
  }
  if (n > 0) {
    uint64_t rest[4] = {};
    std::memcpy(rest, p, n);
    for (int i = 0; i < 4; ++i) lanes[i] = step(lanes[i], rest[i]);
  }
  // Two ways to draw the lanes together: a collision of one half says nothing about the other.
  ContentHash h;
  h.low = h.high = b.size();
  for (int i = 0; i < 4; ++i) {
    h.low = step(h.low, lanes[i]);
    h.high = rotate(h.high ^ (lanes[3 - i] * k3), 27) * k1 + k2;
  }
  h.low = finish(h.low);
  h.high = finish(h.high);
  return h;
}

ContentHash content_hash(std::string_view text) {
  return content_hash({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::string FileStamp::text() const {
  return std::to_string(device) + " " + std::to_string(inode) + " " + std::to_string(size) + " " +
         std::to_string(modified_ns) + " " + std::to_string(changed_ns);
}

std::optional<FileStamp> FileStamp::parse(std::string_view text) {
  FileStamp s;
  const char *at = text.data(), *end = at + text.size();
  const auto number = [&](auto& v) {
    while (at < end && *at == ' ') ++at;
    const auto [next, error] = std::from_chars(at, end, v);
    at = next;
    return error == std::errc();
  };
  if (!number(s.device) || !number(s.inode) || !number(s.size) || !number(s.modified_ns) || !number(s.changed_ns))
    return std::nullopt;
  return s;
}

std::optional<FileStamp> file_stamp(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return std::nullopt;
  const auto ns = [](const timespec& t) { return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
  return FileStamp{st.st_dev, st.st_ino, static_cast<uint64_t>(st.st_size), ns(st.st_mtim), ns(st.st_ctim)};
}

bool is_settled(const FileStamp& s) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t age = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec - std::max(s.modified_ns, s.changed_ns);
  return s.changed_ns % 1'000'000 != 0 && age > 20'000'000;
}

}  // namespace hone
