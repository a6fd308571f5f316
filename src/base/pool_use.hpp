// Several pools in one process share its cores: each says when it is in use, and loops take no more threads than their
// share.
#pragma once
#include "base/thread_pool.hpp"

namespace hone {

/// The pool's threads count as wanted while this lives: during a run of a model. Where all pools in use want more
/// threads than there are cores, their loops take a share of the cores each, at least the caller's own.
class PoolUse {
 public:
  explicit PoolUse(const ThreadPool& pool) noexcept;
  ~PoolUse();
  PoolUse(const PoolUse&) = delete;
  PoolUse& operator=(const PoolUse&) = delete;

 private:
  int threads_;
};

}  // namespace hone
