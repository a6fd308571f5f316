// Memory of values that come and go in every run, kept for the next one.
#pragma once
#include <memory>
#include <mutex>
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
  /// Bytes that wait for the next tensor.
  size_t unused_bytes() const;

 private:
  struct Block {
    void* data;
    size_t bytes;
  };
  void give_back(Block block) noexcept;

  mutable std::mutex mutex_;
  std::vector<Block> free_;  ///< the oldest first
  size_t free_bytes_ = 0;
};

}  // namespace hone
