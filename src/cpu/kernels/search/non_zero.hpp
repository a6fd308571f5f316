// Where the elements of a tensor are that are not zero. Their number is data, so this is no row of the registry:
// whoever runs a graph node by node asks for the number, then gives the memory.
#pragma once
#include <vector>

#include "base/thread_pool.hpp"
#include "hone/tensor.hpp"

namespace hone::cpu {

class NonZeroPlaces {
 public:
  static bool takes(const Tensor& x);
  /// Counts. `x` and `pool` must outlive this.
  NonZeroPlaces(const Tensor& x, ThreadPool& pool);
  int64_t count() const { return begins_.back(); }
  /// Writes the places in order into a tensor [rank, count] of i64 or i32.
  void write(Tensor& places) const;

 private:
  const Tensor& x_;
  ThreadPool& pool_;
  std::vector<int64_t> begins_;  ///< number of places before each piece, and of all
};

}  // namespace hone::cpu
