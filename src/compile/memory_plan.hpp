// Where intermediate results lie in the arena: blocks whose lifetimes meet get different addresses.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace hone {

/// Memory that is in use from step `first` to step `last`, both included.
struct MemoryBlock {
  uint64_t bytes = 0;
  uint32_t first = 0, last = 0;
};

struct MemoryPlan {
  std::vector<uint64_t> offsets;  ///< of each block, aligned
  uint64_t bytes = 0;             ///< of the arena
  uint64_t lower_bound = 0;       ///< most bytes in use at one step: no plan is smaller
  const char* order = "";         ///< the order of placement that won
};

/// Greedy best fit in several orders (size, lifetime, area, first step); the smallest plan is kept. `anchored`, for two
/// threads and more: where a quarter more memory (at least 1 MiB) allows, the middles of blocks fall on the same few
/// addresses. Threads that share each tensor by halves then write the memory that they wrote before, which saves moving
/// it from core to core. A single thread is faster in less memory.
MemoryPlan plan_memory(std::span<const MemoryBlock> blocks, bool anchored);

}  // namespace hone
