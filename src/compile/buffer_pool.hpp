// Memory of values that come and go in every run, kept for the next one.
#pragma once
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "hone/tensor.hpp"

namespace hone {

/// Tensors give their memory back to the pool when their last copy goes. Thread-safe.
class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  /// At most so many bytes wait unused.
  static constexpr size_t kept_bytes = size_t{256} << 20;

  ~BufferPool();
  /// Not initialised; aligned to 64 bytes, readable one vector past its end.
  Tensor tensor(ElementType type, const Shape& shape);
  /// A tensor that begins with the bytes of `base`, which has elements and no more than it; the rest is not
  /// initialised. What grows again and again is copied seldom: the memory has room behind it, which the tensor grown
  /// last may take.
  Tensor grown(const Tensor& base, const Shape& shape);
  /// Bytes that wait for the next tensor.
  size_t unused_bytes() const;

 private:
  struct Block {
    void* data;
    size_t bytes;
  };
  // A block with room behind the longest tensor in it.
  struct Growing {
    std::weak_ptr<void> owner;
    size_t used, room;
  };
  Block take(size_t bytes, std::unique_lock<std::mutex>& lock);
  void give_back(Block block) noexcept;

  mutable std::mutex mutex_;
  std::vector<Block> free_;  ///< the oldest first
  size_t free_bytes_ = 0;
  std::unordered_map<const void*, Growing> growing_;  ///< by the begin of the block
};

}  // namespace hone
