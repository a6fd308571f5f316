// One pool of threads per session: workers spin for a while after their last task, then sleep.
#pragma once
#include <cstdint>
#include <memory>

namespace hone {

/// Non-owning reference to a callable `void(int64_t begin, int64_t end, int thread)`.
class RangeFn {
 public:
  template <class F>
  RangeFn(F& f)  // NOLINT: implicit on purpose, call sites pass lambdas
      : object_(&f), call_([](void* o, int64_t b, int64_t e, int t) { (*static_cast<F*>(o))(b, e, t); }) {}
  void operator()(int64_t begin, int64_t end, int thread) const { call_(object_, begin, end, thread); }

 private:
  void* object_;
  void (*call_)(void*, int64_t, int64_t, int);
};

/// Runs loops on `size()` threads, the caller included. The split depends on `n`, `grain` and the number of threads
/// only. One caller at a time; nested calls run inline. Never allocates after construction and never throws.
class ThreadPool {
 public:
  /// `threads` >= 1; 0 takes HONE_NUM_THREADS, else the number of cores this process may use.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  /// Calls `f(begin, end, thread)` over disjoint ranges that cover [0, n). Ranges are at least `grain` long where n
  /// allows, contiguous and fixed per thread: thread t gets the t-th part, so a thread meets the memory it wrote
  /// before. `f` must not throw.
  template <class F>
  void parallel_for(int64_t n, int64_t grain, F&& f) noexcept {
    run_static(n, grain, RangeFn(f));
  }
  /// The same in pieces of `grain`, for work of uneven cost: who is done with a part helps with those of others.
  template <class F>
  void parallel_for_dynamic(int64_t n, int64_t grain, F&& f) noexcept {
    run_dynamic(n, grain, RangeFn(f));
  }

 private:
  struct Impl;
  void run_static(int64_t n, int64_t grain, RangeFn f) noexcept;
  void run_dynamic(int64_t n, int64_t grain, RangeFn f) noexcept;
  int size_;
  std::unique_ptr<Impl> impl_;
};

/// Cores this process may use (scheduling affinity and cgroup quota respected).
int available_cores();

}  // namespace hone
