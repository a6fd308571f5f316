// SHA-256 (FIPS 180-4): revisions of data, manifests of packages.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hone {

class Sha256 {
 public:
  void update(const void* data, size_t n);
  void update(std::string_view text) { update(text.data(), text.size()); }
  /// The digest of all bytes so far; the object is spent.
  std::array<uint8_t, 32> finish();
  /// The same as 64 lower-case hexadecimal digits.
  std::string finish_hex();

 private:
  void block(const uint8_t* p);
  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> buffer_{};
  uint64_t size_ = 0;
};

std::string sha256_hex(std::span<const uint8_t> bytes);

}  // namespace hone
