// The random words behind Dropout, RandomUniform and RandomNormal; see random.hpp for how operators use them.
#pragma once
#include <array>
#include <cstdint>

namespace hone {

/// Philox4x32-10: four random words for a key and a counter.
inline std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter) {
  std::array<uint32_t, 4> c{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0};
  auto k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

/// Words in order, from block `counter` on.
class PhiloxStream {
 public:
  PhiloxStream(uint64_t key, uint64_t counter) : key_(key), counter_(counter) {}
  uint32_t next() {
    if (at_ == 4) {
      words_ = philox(key_, counter_++);
      at_ = 0;
    }
    return words_[at_++];
  }
  /// The first block that was not begun.
  uint64_t counter() const { return counter_; }

 private:
  uint64_t key_, counter_;
  std::array<uint32_t, 4> words_{};
  size_t at_ = 4;
};

}  // namespace hone
