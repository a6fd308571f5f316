#include "base/thread_pool.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/log.hpp"
#include "base/pool_use.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hone {
namespace {

// A worker that spins hands over in 0.1 us, one that sleeps in 10-30 us; networks have serial gaps of tens of us.
constexpr auto spin_time = std::chrono::microseconds(200);

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

thread_local bool inside_pool = false;

std::atomic<int> wanted_threads{0};

// How many threads a loop of a pool may take: all, unless the pools in use want more than there are cores. Two that
// spin on one core hold each other up.
int share_of(int threads) {
  const int wanted = wanted_threads.load(std::memory_order_relaxed);
  if (wanted <= threads) return threads;
  static const int cores = available_cores();
  return wanted <= cores ? threads : std::max(1, cores * threads / wanted);
}

// A thread that wakes stays on the core it slept on as long as something runs on every other one, be it of the lowest
// priority: for tens of milliseconds caller and worker would take turns on one core. So the worker leaves it.
void leave_core(int core) {
  cpu_set_t all, others;
  if (sched_getaffinity(0, sizeof all, &all) != 0) return;
  others = all;
  CPU_CLR(core, &others);
  if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0)
    sched_setaffinity(0, sizeof all, &all);
}

}  // namespace

PoolUse::PoolUse(const ThreadPool& pool) noexcept : threads_(pool.size()) {
  wanted_threads.fetch_add(threads_, std::memory_order_relaxed);
}
PoolUse::~PoolUse() {
  wanted_threads.fetch_sub(threads_, std::memory_order_relaxed);
}

int available_cores() {
  cpu_set_t set;
  int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : int(std::thread::hardware_concurrency());
  std::ifstream quota("/sys/fs/cgroup/cpu.max");
  std::string limit;
  double period = 0;
  if (quota >> limit >> period && limit != "max" && period > 0) {
    cores = std::min(cores, std::max(1, int(std::lround(std::atof(limit.c_str()) / period))));
  }
  return std::max(1, cores);
}

struct ThreadPool::Impl {
  // A worker claims its part of a loop before it begins. A part that nobody has claimed when the caller is done with
  // its own is done by the caller: a worker that another process keeps off its core holds nobody up.
  struct alignas(64) Slot {
    std::atomic<uint64_t> claimed{0}, done{0};
    std::atomic<uint64_t> left{0};  ///< pieces of a loop on demand that nobody has begun: first << 32 | end
    bool claim(uint64_t e) {
      uint64_t last = claimed.load(std::memory_order_relaxed);
      return last < e && claimed.compare_exchange_strong(last, e, std::memory_order_acq_rel);
    }
    // The next piece, or -1. Who helps takes from the end, furthest from where the owner works.
    int64_t take(bool own) {
      uint64_t now = left.load(std::memory_order_relaxed);
      for (;;) {
        const uint64_t first = now >> 32, end = now & 0xffffffffu;
        if (first >= end) return -1;
        const uint64_t rest = own ? (first + 1) << 32 | end : first << 32 | (end - 1);
        if (left.compare_exchange_weak(now, rest, std::memory_order_relaxed)) return int64_t(own ? first : end - 1);
      }
    }
  };
  alignas(64) std::atomic<uint64_t> epoch{0};
  std::atomic<int> sleeping{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> busy{false};
  std::atomic<int> limit{1 << 30};  ///< workers from this number on sleep
  std::atomic<int> caller_core{-1};
  bool crowded = false;  ///< more threads than cores
  // The loop of the current epoch.
  int64_t n = 0, grain = 1;
  int parts = 1;
  bool dynamic = false;
  const RangeFn* f = nullptr;

  std::mutex mutex;
  std::condition_variable wake;
  std::vector<Slot> slots;
  std::vector<std::thread> workers;

  // The part of worker `thread`, with its number, whoever computes it.
  void work(int thread) {
    if (dynamic) {
      for (int i = 0; i < parts; ++i) {
        Slot& from = slots[size_t((thread + i) % parts)];
        for (int64_t k; (k = from.take(i == 0)) >= 0;) {
          if (k * grain < n) (*f)(k * grain, std::min(n, (k + 1) * grain), thread);
        }
      }
    } else if (thread < parts) {
      const int64_t b = n * thread / parts, e = n * (thread + 1) / parts;
      if (b < e) (*f)(b, e, thread);
    }
  }

  void loop(int thread) {
    inside_pool = true;
    auto moved = std::chrono::steady_clock::time_point();
    uint64_t seen = 0;
    for (;;) {
      auto deadline = std::chrono::steady_clock::now() + spin_time;
      uint64_t now;
      for (int spins = 0; (now = epoch.load(std::memory_order_acquire)) == seen; ++spins) {
        if (stop.load(std::memory_order_relaxed)) return;
        relax();
        if ((spins & 63) == 63 && std::chrono::steady_clock::now() > deadline) {
          std::unique_lock lock(mutex);
          sleeping.fetch_add(1, std::memory_order_seq_cst);
          wake.wait(lock, [&] { return epoch.load(std::memory_order_seq_cst) != seen || stop.load(); });
          sleeping.fetch_sub(1, std::memory_order_relaxed);
          deadline = std::chrono::steady_clock::now() + spin_time;
        }
      }
      seen = now;
      if (thread >= limit.load(std::memory_order_relaxed)) {
        std::unique_lock lock(mutex);
        sleeping.fetch_add(1, std::memory_order_seq_cst);
        wake.wait(lock, [&] { return thread < limit.load(std::memory_order_relaxed) || stop.load(); });
        sleeping.fetch_sub(1, std::memory_order_relaxed);
        continue;
      }
      if (const int core = sched_getcpu(); !crowded && core == caller_core.load(std::memory_order_relaxed)) {
        const auto time = std::chrono::steady_clock::now();
        if (time - moved > spin_time) leave_core(core);
        moved = time;
      }
      Slot& slot = slots[size_t(thread)];
      if (!slot.claim(seen)) continue;
      work(thread);
      slot.done.store(seen, std::memory_order_release);
    }
  }

  void run(int threads) noexcept {
    limit.store(threads, std::memory_order_relaxed);
    caller_core.store(sched_getcpu(), std::memory_order_relaxed);
    const uint64_t e = epoch.fetch_add(1, std::memory_order_seq_cst) + 1;
    const int left_out = std::max(0, int(slots.size()) - threads);
    if (sleeping.load(std::memory_order_seq_cst) > left_out) {
      std::lock_guard lock(mutex);
      wake.notify_all();
    }
    inside_pool = true;
    work(0);
    for (size_t t = 1; t < slots.size(); ++t) {
      if (!slots[t].claim(e)) continue;
      work(int(t));
      slots[t].done.store(e, std::memory_order_relaxed);
    }
    inside_pool = false;
    for (size_t t = 1; t < slots.size(); ++t) {
      for (int spins = 0; slots[t].done.load(std::memory_order_acquire) != e; ++spins) {
        relax();
        if (spins > 20000) std::this_thread::yield();  // more threads than cores: let the worker run
      }
    }
  }
};

static int default_threads() {
  const char* env = std::getenv("HONE_NUM_THREADS");
  if (!env || *env == '\0') return available_cores();
  char* end = nullptr;
  const long n = std::strtol(env, &end, 10);
  if (*end == '\0' && n >= 1 && n <= 1024) return static_cast<int>(n);
  static std::once_flag said;
  std::call_once(said, [env] {
    log(LogLevel::warning,
        std::string("HONE_NUM_THREADS is '") + env + "', no number from 1 to 1024: all cores are used");
  });
  return available_cores();
}

ThreadPool::ThreadPool(int threads) : size_(threads), impl_(std::make_unique<Impl>()) {
  if (size_ <= 0) size_ = default_threads();
  impl_->slots = std::vector<Impl::Slot>(size_t(size_));
  impl_->crowded = size_ > available_cores();
  for (int t = 1; t < size_; ++t) impl_->workers.emplace_back([this, t] { impl_->loop(t); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stop.store(true);
  }
  impl_->wake.notify_all();
  for (auto& w : impl_->workers) w.join();
}

void ThreadPool::run_static(int64_t n, int64_t grain, RangeFn f) noexcept {
  if (n <= 0) return;
  grain = std::max<int64_t>(1, grain);
  const int threads = share_of(size_);
  const int parts = int(std::min<int64_t>(threads, std::max<int64_t>(1, n / grain)));
  if (parts == 1 || inside_pool || impl_->busy.exchange(true, std::memory_order_acquire)) {
    f(0, n, 0);
    return;
  }
  impl_->n = n;
  impl_->parts = parts;
  impl_->dynamic = false;
  impl_->f = &f;
  impl_->run(threads);
  impl_->busy.store(false, std::memory_order_release);
}

void ThreadPool::run_dynamic(int64_t n, int64_t grain, RangeFn f) noexcept {
  if (n <= 0) return;
  grain = std::max<int64_t>(1, grain);
  const int threads = share_of(size_);
  if (threads == 1 || n <= grain || inside_pool || impl_->busy.exchange(true, std::memory_order_acquire)) {
    f(0, n, 0);
    return;
  }
  const int64_t pieces = std::min<int64_t>((n + grain - 1) / grain, 1 << 30);
  impl_->n = n;
  impl_->grain = (n + pieces - 1) / pieces;
  impl_->parts = threads;
  for (int t = 0; t < threads; ++t) {
    const uint64_t first = uint64_t(pieces * t / threads), end = uint64_t(pieces * (t + 1) / threads);
    impl_->slots[size_t(t)].left.store(first << 32 | end, std::memory_order_relaxed);
  }
  impl_->dynamic = true;
  impl_->f = &f;
  impl_->run(threads);
  impl_->busy.store(false, std::memory_order_release);
}

}  // namespace hone
