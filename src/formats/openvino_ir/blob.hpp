// The file of weights beside the IR.
#pragma once
#include <cstdint>
#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tensor/fields.hpp"

namespace hone::ir {

/// All weights, each distinct content once.
class Blob {
 public:
  /// Offset of the content.
  uint64_t put(const void* data, size_t n) {
    const uint64_t h = hash_bytes(data, n);
    for (auto [it, end] = known_.equal_range(h); it != end; ++it) {
      if (it->second.second == n && std::memcmp(bytes_.data() + it->second.first, data, n) == 0)
        return it->second.first;
    }
    bytes_.resize((bytes_.size() + 63) / 64 * 64);  // aligned, so that readers can use them in place
    const uint64_t at = bytes_.size();
    const auto* p = static_cast<const uint8_t*>(data);
    bytes_.insert(bytes_.end(), p, p + n);
    known_.emplace(h, std::pair(at, n));
    return at;
  }
  std::vector<uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<uint8_t> bytes_;
  std::unordered_multimap<uint64_t, std::pair<uint64_t, size_t>> known_;
};

}  // namespace hone::ir
