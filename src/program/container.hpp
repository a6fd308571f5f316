// The `.hone` container as bytes: what its reader and its writer share.
#pragma once
#include <cstdint>
#include <span>

namespace hone::container {

enum class SectionKind : uint32_t { metadata = 1, graph = 2, program = 3, constants = 4, constant_places = 5 };

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t sections;
  uint64_t file_size;
  uint64_t table_offset;
  uint64_t table_checksum;
  uint64_t reserved[3];
};
static_assert(sizeof(Header) == 64);

struct SectionRow {
  uint32_t kind;
  uint32_t reserved;
  uint64_t offset;
  uint64_t size;
  uint64_t checksum;
};
static_assert(sizeof(SectionRow) == 32);

// A text-mode transfer that changes line ends breaks the magic, as PNG's does.
inline constexpr char magic[8] = {'H', 'O', 'N', 'E', '\r', '\n', '\x1a', '\n'};
inline constexpr uint32_t max_sections = 4096;

/// The scheme of xxHash64, in pieces.
class Checksum {
 public:
  void update(std::span<const uint8_t> b);
  uint64_t finish() const;

 private:
  static constexpr uint64_t k1 = 0x9E3779B185EBCA87ull, k2 = 0xC2B2AE3D27D4EB4Full;
  static uint64_t round(uint64_t lane, uint64_t v) {
    lane += v * k2;
    lane = (lane << 31) | (lane >> 33);
    return lane * k1;
  }
  uint64_t lanes_[4] = {k1 + k2, k2, 0, 0 - k1};
  uint8_t rest_[32] = {};
  size_t rest_size_ = 0;
  uint64_t total_ = 0;
};

}  // namespace hone::container
