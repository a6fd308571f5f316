// Asynchronous requests and models side by side, as a program with several threads uses them.
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "hone/core.hpp"
#include "hone/tools.hpp"

namespace hone {
namespace {

// y = sum over k of x w[k], with a product in it, so that the pool has something to share out.
Model product(const PartialShape& shape) {
  ModelBuilder b("product");
  const auto x = b.parameter("x", ElementType::f32, shape);
  Tensor w(ElementType::f32, {64, 48});
  for (size_t i = 0; i < w.size(); ++i) w.data<float>()[i] = static_cast<float>(i % 7) - 3;
  b.result("y", b.add("MatMul", {x, b.constant(w)}));
  return b.build();
}
Tensor input(int64_t rows, int seed) {
  Tensor x(ElementType::f32, {rows, 64});
  for (size_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>((i + static_cast<size_t>(seed)) % 5);
  return x;
}
// Small whole numbers: exact in any order of summation.
bool right(const Tensor& x, const Tensor& y) {
  for (int64_t r = 0; r < x.shape()[0]; ++r) {
    for (int64_t c = 0; c < 48; ++c) {
      float sum = 0;
      for (int64_t k = 0; k < 64; ++k) sum += x.data<float>()[r * 64 + k] * (static_cast<float>((k * 48 + c) % 7) - 3);
      if (y.data<float>()[r * 48 + c] != sum) return false;
    }
  }
  return true;
}

// Static shapes run on a session's threads, dynamic ones on a thread of the request.
class Async : public ::testing::TestWithParam<bool> {
 protected:
  CompiledModel compiled(const Properties& properties = {}) const {
    return Core().compile_model(product(GetParam() ? PartialShape({Dimension(), 64}) : PartialShape({16, 64})), "CPU",
                                properties);
  }
};

TEST_P(Async, a_request_is_free_when_its_callback_is_called) {
  const CompiledModel model = compiled({{"NUM_STREAMS", "2"}, {"INFERENCE_NUM_THREADS", "2"}});
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<size_t> idle;
  int ended = 0, wrong = 0;
  std::vector<InferRequest> requests;
  std::vector<Tensor> given;
  for (size_t i = 0; i < 4; ++i) {
    requests.push_back(model.create_infer_request());
    given.push_back(input(16, static_cast<int>(i)));
    idle.push_back(i);
  }
  for (size_t i = 0; i < 4; ++i) {
    requests[i].set_input_tensor(given[i]);
    requests[i].set_callback([&, i](std::exception_ptr e) {
      const bool good = !e && right(given[i], requests[i].get_output_tensor());
      std::lock_guard lock(mutex);
      ++ended;
      wrong += !good;
      idle.push_back(i);
      changed.notify_one();
    });
  }
  for (int run = 0; run < 100; ++run) {
    size_t i;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return !idle.empty(); });
      i = idle.front();
      idle.pop_front();
    }
    requests[i].start_async();
  }
  for (InferRequest& r : requests) r.wait();
  EXPECT_EQ(ended, 100);
  EXPECT_EQ(wrong, 0);
}

TEST_P(Async, a_callback_may_start_its_request_anew) {
  InferRequest r = compiled().create_infer_request();
  const Tensor x = input(16, 2);
  r.set_input_tensor(x);
  int runs = 0;
  r.set_callback([&](std::exception_ptr) {
    if (++runs < 5) r.start_async();
  });
  r.start_async();
  r.wait();
  EXPECT_EQ(runs, 5);
  EXPECT_TRUE(right(x, r.get_output_tensor()));
}

TEST_P(Async, a_dropped_request_waits_for_its_callback) {
  std::mutex gate;
  std::condition_variable changed;
  bool inside = false, open = false;
  std::thread opener;
  {
    InferRequest r = compiled().create_infer_request();
    r.set_input_tensor(input(16, 0));
    r.set_callback([&](std::exception_ptr) {
      std::unique_lock lock(gate);
      inside = true;
      changed.notify_all();
      changed.wait(lock, [&] { return open; });
    });
    r.start_async();
    EXPECT_FALSE(r.wait_for(std::chrono::milliseconds(1)));  // the callback is waited for too
    std::unique_lock lock(gate);
    changed.wait(lock, [&] { return inside; });
    opener = std::thread([&] {
      std::lock_guard lock(gate);
      open = true;
      changed.notify_all();
    });
  }
  opener.join();
  EXPECT_TRUE(open);
}

TEST_P(Async, two_models_run_side_by_side) {
  const auto work = [&](int seed, int& wrong) {
    const CompiledModel model = compiled({{"INFERENCE_NUM_THREADS", "2"}});
    InferRequest r = model.create_infer_request();
    for (int run = 0; run < 60; ++run) {
      // Dynamic models meet several sizes.
      const Tensor x = input(GetParam() ? 1 + run % 3 : 16, seed + run);
      r.set_input_tensor(x);
      if (run % 2) {
        r.infer();
      } else {
        r.start_async();
        r.wait();
      }
      wrong += !right(x, r.get_output_tensor());
    }
  };
  int first = 0, second = 0;
  std::thread other([&] { work(1, second); });
  work(0, first);
  other.join();
  EXPECT_EQ(first, 0);
  EXPECT_EQ(second, 0);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Async, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "dynamic" : "static"; });

TEST(Async, a_failed_run_is_told_once) {
  ModelBuilder b("pick");
  const auto at = b.parameter("at", ElementType::i64, PartialShape({2}));
  b.result("y", b.add("Gather",
                      {b.constant(Tensor::of<float>({3}, {5, 6, 7})), at, b.constant(Tensor::scalar<int64_t>(0))}));
  InferRequest r = Core().compile_model(b.build()).create_infer_request();
  for (int round = 0; round < 2; ++round) {
    r.set_input_tensor(Tensor::of<int64_t>({2}, {0, 9}));
    r.start_async();
    EXPECT_THROW(r.wait(), Error);
    r.set_input_tensor(Tensor::of<int64_t>({2}, {2, 0}));
    if (round == 0) {
      r.infer();
    } else {
      r.start_async();
      r.wait();
    }
    EXPECT_EQ(r.get_output_tensor().to_doubles(), (std::vector<double>{7, 5}));
  }
}

}  // namespace
}  // namespace hone
