#include "base/thread_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

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

TEST(ThreadPool, runs_nested_loops_inline) {
  ThreadPool pool(2);
  std::atomic<int> total = 0;
  pool.parallel_for(4, 1, [&](int64_t b, int64_t e, int) {
    for (int64_t i = b; i < e; ++i) pool.parallel_for(8, 1, [&](int64_t b2, int64_t e2, int) { total += int(e2 - b2); });
  });
  EXPECT_EQ(total, 32);
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

}  // namespace hone
