#include "compile/buffer_pool.hpp"

#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <cstring>

#include "base/checked.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

constexpr size_t alignment = 64;
constexpr size_t large_page = size_t{2} << 20;

// With room for a vector past the end. Large blocks come in eight sizes an octave, so that a list that grows from run
// to run, or within a loop, finds the block that it had before.
size_t block_bytes(size_t bytes) {
  const size_t padded = checked_add(bytes, 2 * alignment) / alignment * alignment;
  if (padded < large_page) return padded;
  const size_t step = std::bit_floor(padded) / 8;
  return checked_add(padded, step - 1) / step * step;
}

void* allocate(size_t bytes) {
  if (bytes < 2 * large_page) return std::aligned_alloc(alignment, bytes);
  void* p = std::aligned_alloc(large_page, checked_add(bytes, large_page - 1) / large_page * large_page);
#if defined(MADV_HUGEPAGE)
  if (p) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return p;
}

}  // namespace

BufferPool::~BufferPool() {
  for (const Block& b : free_) std::free(b.data);
}

BufferPool::Block BufferPool::take(size_t bytes, std::unique_lock<std::mutex>& lock) {
  const size_t padded = block_bytes(bytes);
  size_t best = free_.size();
  for (size_t i = 0; i < free_.size(); ++i) {
    // A much larger block would be missing elsewhere.
    if (free_[i].bytes < padded || free_[i].bytes / 2 > padded) continue;
    if (best == free_.size() || free_[i].bytes < free_[best].bytes) best = i;
  }
  if (best < free_.size()) {
    const Block block = free_[best];
    free_bytes_ -= block.bytes;
    free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(best));
    return block;
  }
  lock.unlock();
  const Block block{allocate(padded), padded};
  if (!block.data)
    throw Error(ErrorCode::failed, "[run] out of memory for a tensor of " + std::to_string(bytes) + " bytes");
  return block;
}

Tensor BufferPool::tensor(ElementType type, const Shape& shape) {
  std::unique_lock lock(mutex_);
  const Block block = take(byte_size(type, static_cast<size_t>(element_count(shape))), lock);
  if (lock) lock.unlock();
  auto owner = std::shared_ptr<void>(block.data, [pool = shared_from_this(), block](void*) { pool->give_back(block); });
  return Tensor(type, shape, block.data, owner);
}

Tensor BufferPool::grown(const Tensor& base, const Shape& shape) {
  const size_t wanted = byte_size(base.element_type(), static_cast<size_t>(element_count(shape)));
  {
    std::lock_guard lock(mutex_);
    const auto it = growing_.find(base.raw());
    if (it != growing_.end() && it->second.used == base.byte_size() && wanted <= it->second.room) {
      it->second.used = wanted;
      return Tensor(base.element_type(), shape, base.raw(), it->second.owner.lock());
    }
  }
  const size_t room = checked_add(wanted, wanted / 2);
  std::unique_lock lock(mutex_);
  const Block block = take(room, lock);
  if (lock) lock.unlock();
  auto owner = std::shared_ptr<void>(block.data, [pool = shared_from_this(), block](void*) { pool->give_back(block); });
  std::memcpy(block.data, base.raw(), base.byte_size());
  lock.lock();
  growing_[block.data] = {owner, wanted, room};
  return Tensor(base.element_type(), shape, block.data, owner);
}

size_t BufferPool::unused_bytes() const {
  std::lock_guard lock(mutex_);
  return free_bytes_;
}

void BufferPool::give_back(Block block) noexcept {
  std::lock_guard lock(mutex_);
  growing_.erase(block.data);
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
