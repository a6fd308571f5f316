#include "compile/buffer_pool.hpp"

#include <cstdlib>

#include "base/checked.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

constexpr size_t alignment = 64;

}  // namespace

BufferPool::~BufferPool() {
  for (const Block& b : free_) std::free(b.data);
}

Tensor BufferPool::tensor(ElementType type, const Shape& shape) {
  const size_t wanted = byte_size(type, static_cast<size_t>(element_count(shape)));
  const size_t padded = checked_add(wanted, 2 * alignment) / alignment * alignment;
  Block block{nullptr, 0};
  {
    std::lock_guard lock(mutex_);
    size_t best = free_.size();
    for (size_t i = 0; i < free_.size(); ++i) {
      // A much larger block would be missing elsewhere.
      if (free_[i].bytes < padded || free_[i].bytes / 2 > padded) continue;
      if (best == free_.size() || free_[i].bytes < free_[best].bytes) best = i;
    }
    if (best < free_.size()) {
      block = free_[best];
      free_bytes_ -= block.bytes;
      free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(best));
    }
  }
  if (!block.data) {
    block = {std::aligned_alloc(alignment, padded), padded};
    if (!block.data)
      throw Error(ErrorCode::failed, "[run] out of memory for a tensor of " + std::to_string(wanted) + " bytes");
  }
  auto owner = std::shared_ptr<void>(block.data, [pool = shared_from_this(), block](void*) { pool->give_back(block); });
  return Tensor(type, shape, block.data, owner);
}

size_t BufferPool::unused_bytes() const {
  std::lock_guard lock(mutex_);
  return free_bytes_;
}

void BufferPool::give_back(Block block) noexcept {
  std::lock_guard lock(mutex_);
  try {
    free_.push_back(block);
    free_bytes_ += block.bytes;
  } catch (...) {
    std::free(block.data);
  }
  while (free_bytes_ > kept_bytes) {
    free_bytes_ -= free_.front().bytes;
    std::free(free_.front().data);
    free_.erase(free_.begin());
  }
}

}  // namespace hone
