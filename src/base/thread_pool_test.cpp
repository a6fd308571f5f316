#include "base/thread_pool.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

#include "base/pool_use.hpp"

namespace hone {

TEST(ThreadPool, covers_every_index_once_with_any_number_of_threads) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (int64_t n : {0, 1, 7, 100, 1001}) {
      for (int64_t grain : {1, 16, 5000}) {
        std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
        auto count = [&](int64_t b, int64_t e, int) {
          for (int64_t i = b; i < e; ++i) hits[size_t(i)]++;
        };
        pool.parallel_for(n, grain, count);
        pool.parallel_for_dynamic(n, grain, count);
        for (auto& h : hits) ASSERT_EQ(h, 2) << "n " << n << " grain " << grain << " threads " << threads;
      }
    }
  }
}

TEST(ThreadPool, gives_the_same_part_to_the_same_thread_every_time) {
  ThreadPool pool(2);
  std::vector<int64_t> first(2, -1), second(2, -1);
  pool.parallel_for(10, 1, [&](int64_t b, int64_t, int t) { first[size_t(t)] = b; });
  pool.parallel_for(10, 1, [&](int64_t b, int64_t, int t) { second[size_t(t)] = b; });
  EXPECT_EQ(first, second);
  EXPECT_EQ(first, (std::vector<int64_t>{0, 5}));
}

TEST(ThreadPool, who_is_done_with_a_part_on_demand_helps_the_others) {
  ThreadPool pool(2);
  std::vector<std::atomic<int>> by(40);
  std::atomic<bool> second_began{false};
  // The first thread begins with its own half and is held up there until the other thread has done all the rest.
  std::atomic<int> done{0};
  pool.parallel_for_dynamic(40, 1, [&](int64_t b, int64_t, int t) {
    if (t == 1) second_began = true;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (b == 0 && t == 0 && done < 39 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    by[size_t(b)] = t + 1;
    done++;
  });
  EXPECT_EQ(done, 40);
  for (size_t i = 20; second_began && i < 40; ++i) EXPECT_EQ(by[i], 2) << i;
}

TEST(ThreadPool, runs_nested_loops_inline) {
  ThreadPool pool(2);
  std::atomic<int> total = 0;
  pool.parallel_for(4, 1, [&](int64_t b, int64_t e, int) {
    for (int64_t i = b; i < e; ++i)
      pool.parallel_for(8, 1, [&](int64_t b2, int64_t e2, int) { total += int(e2 - b2); });
  });
  EXPECT_EQ(total, 32);
}

TEST(ThreadPool, computes_every_part_of_short_loops_that_follow_each_other) {
  // Shorter than a worker's way to them: the caller takes over parts that nobody has begun, while others just begin.
  for (int threads : {2, 5}) {
    ThreadPool pool(threads);
    std::vector<int64_t> parts(size_t(threads), 0);
    std::atomic<int64_t> total = 0;
    int64_t want = 0;
    for (int64_t k = 0; k < 20000; ++k) {
      const int64_t n = 1 + k % 13;
      want += n;
      const auto count = [&](int64_t b, int64_t e, int t) {
        parts[size_t(t)] += e - b;  // a number is in use once at a time
        total.fetch_add(e - b, std::memory_order_relaxed);
      };
      if (k % 3 == 0)
        pool.parallel_for_dynamic(n, 1, [&](int64_t b, int64_t e, int t) { count(b, e, t); });
      else
        pool.parallel_for(n, 1, [&](int64_t b, int64_t e, int t) { count(b, e, t); });
      ASSERT_EQ(total, want) << "loop " << k;
    }
    EXPECT_EQ(std::accumulate(parts.begin(), parts.end(), int64_t(0)), want);
  }
}

TEST(ThreadPool, loops_take_no_more_than_their_share_of_the_cores) {
  ThreadPool pool(4);
  const auto threads_of = [&] {
    std::atomic<int> others{0};
    std::vector<std::atomic<int>> hits(1000);
    const auto caller = std::this_thread::get_id();
    auto count = [&](int64_t b, int64_t e, int) {
      if (std::this_thread::get_id() != caller) others++;
      for (int64_t i = b; i < e; ++i) hits[size_t(i)]++;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // time for others to begin
    };
    pool.parallel_for(1000, 1, count);
    pool.parallel_for_dynamic(1000, 100, count);
    for (auto& h : hits) EXPECT_EQ(h, 2);
    return others.load();
  };
  EXPECT_GT(threads_of(), 0);
  {
    const PoolUse alone(pool);
    EXPECT_GT(threads_of(), 0);
    const ThreadPool crowd(4 * available_cores());
    const PoolUse everybody(crowd), twice(crowd);
    EXPECT_EQ(threads_of(), 0);
  }
  EXPECT_GT(threads_of(), 0);
}

TEST(ThreadPool, two_pools_that_share_the_cores_lose_nothing) {
  const int size = std::max(2, available_cores());
  const auto work = [&](int64_t* total) {
    ThreadPool pool(size);
    for (int round = 0; round < 300; ++round) {
      const PoolUse use(pool);
      for (int64_t n : {1, 17, 1000}) {
        std::vector<int64_t> sums(static_cast<size_t>(size));
        auto add = [&](int64_t b, int64_t e, int t) {
          for (int64_t i = b; i < e; ++i) sums[size_t(t)] += i;
        };
        pool.parallel_for(n, 1, add);
        pool.parallel_for_dynamic(n, 8, add);
        *total += std::accumulate(sums.begin(), sums.end(), int64_t{0});
      }
    }
  };
  int64_t first = 0, second = 0;
  std::thread other([&] { work(&second); });
  work(&first);
  other.join();
  EXPECT_EQ(first, 300 * 2 * (0 + 136 + 499500));
  EXPECT_EQ(second, first);
}

TEST(ThreadPool, wakes_after_sleeping) {
  ThreadPool pool(2);
  std::atomic<int> total = 0;
  for (int k = 0; k < 3; ++k) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // longer than the spin
    pool.parallel_for(2, 1, [&](int64_t b, int64_t e, int) { total += int(e - b); });
  }
  EXPECT_EQ(total, 6);
}

TEST(ThreadPool, workers_that_leave_the_callers_core_may_come_back) {
  cpu_set_t own;
  ASSERT_EQ(sched_getaffinity(0, sizeof own, &own), 0);
  ThreadPool pool(std::min(2, available_cores()));
  std::atomic<int> other_masks{0};
  for (int loop = 0; loop < 300; ++loop) {
    pool.parallel_for(2, 1, [&](int64_t, int64_t, int) {
      cpu_set_t mask;
      if (sched_getaffinity(0, sizeof mask, &mask) != 0 || !CPU_EQUAL(&mask, &own)) ++other_masks;
    });
    // Some loops find the workers asleep, and so on whatever core.
    if (loop % 10 == 0) std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  EXPECT_EQ(other_masks, 0);
}

}  // namespace hone
