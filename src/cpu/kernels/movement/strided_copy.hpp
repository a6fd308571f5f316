// Copies between strided boxes of memory: the one routine behind Transpose, Reorder, Concat, Split, Slice, Pad,
// Broadcast and Tile.
#pragma once
#include <cstdint>
#include <vector>

#include "base/thread_pool.hpp"

namespace hone::cpu {

/// A box of elements of `element` bytes (1, 2, 4 or 8); strides and offsets count elements. Strides of the source may
/// be 0 or negative.
struct StridedCopy {
  static constexpr size_t max_rank = 24;  ///< dimensions after `simplify` that `run` can walk
  int64_t element = 4;
  std::vector<int64_t> dims, from_strides, to_strides;
  int64_t from_offset = 0, to_offset = 0;

  /// Drops dimensions of 1 and merges those that both sides walk as one. Call once, at plan time.
  void simplify();
  /// Runs on the pool; never allocates.
  void run(const void* from, void* to, ThreadPool& pool) const;

 private:
  void run_outer(const uint8_t* from, uint8_t* to, int64_t begin, int64_t end) const;
  /// The dimension that is contiguous in the source and its partner, contiguous in the target: walked in square blocks.
  int transposed_ = -1;
};

}  // namespace hone::cpu
