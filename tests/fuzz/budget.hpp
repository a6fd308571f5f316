// The memory and the time an input may take.
#pragma once
#include <cstddef>

/// Counts the memory that is live at the same time while it exists (under AddressSanitizer; elsewhere it does not) and
/// ends the program where that was more than `fixed` + `multiple` x `size` bytes, a multiple of the input's size above
/// what every reader needs. Ends it, too, where the program computed longer than `seconds`: time of the processor, so
/// that a busy machine is no finding. Only one at a time. Other threads count too.
class InputBudget {
 public:
  static constexpr size_t fixed = size_t{64} << 20;
  static constexpr size_t multiple = 1024;
  static constexpr int seconds = 10;

  explicit InputBudget(size_t size);
  ~InputBudget();
  InputBudget(const InputBudget&) = delete;
  InputBudget& operator=(const InputBudget&) = delete;

 private:
  size_t size_;
};
