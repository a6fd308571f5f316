// A loop over samples on several threads that keeps the error of the lowest index. Internal to src/data.
#pragma once
#include <cstdint>
#include <exception>
#include <mutex>

#include "base/thread_pool.hpp"

namespace hone::data {

struct LoopErrors {
  size_t count = 0;
  int64_t first = -1;
  std::exception_ptr error;
};

/// Calls `f(i, thread)` for i in [0, n) on `threads` threads (0 = all cores). Errors do not stop the loop.
template <class F>
LoopErrors for_each_sample(size_t n, int threads, F&& f) {
  LoopErrors errors;
  std::mutex mutex;
  ThreadPool pool(n < 2 ? 1 : threads);
  pool.parallel_for_dynamic(int64_t(n), 8, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i) {
      try {
        f(size_t(i), thread);
      } catch (...) {
        const std::lock_guard lock(mutex);
        ++errors.count;
        if (errors.first < 0 || i < errors.first) {
          errors.first = i;
          errors.error = std::current_exception();
        }
      }
    }
  });
  return errors;
}

/// The same, and the first error is thrown.
template <class F>
void for_each_sample_or_throw(size_t n, int threads, F&& f) {
  const LoopErrors errors = for_each_sample(n, threads, f);
  if (errors.error) std::rethrow_exception(errors.error);
}

}  // namespace hone::data
