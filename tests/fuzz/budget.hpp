// The memory an input may take: a multiple of its size above what every reader needs.
#pragma once
#include <cstddef>

/// Counts the memory that is live at the same time while it exists (under AddressSanitizer; elsewhere it does nothing)
/// and ends the program where that was more than `fixed` + `multiple` x `size` bytes. Only one at a time. Memory of
/// other threads counts too.
class AllocationBudget {
 public:
  static constexpr size_t fixed = size_t{64} << 20;
  static constexpr size_t multiple = 1024;

  explicit AllocationBudget(size_t size);
  ~AllocationBudget();
  AllocationBudget(const AllocationBudget&) = delete;
  AllocationBudget& operator=(const AllocationBudget&) = delete;

 private:
  size_t size_;
};
