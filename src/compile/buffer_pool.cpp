#include "compile/buffer_pool.hpp"

#include <sys/mman.h>

#include <bit>
#include <cstdlib>

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

Tensor BufferPool::tensor(ElementType type, const Shape& shape) {
  const size_t wanted = byte_size(type, static_cast<size_t>(element_count(shape)));
  const size_t padded = block_bytes(wanted);
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
    block = {allocate(padded), padded};
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
