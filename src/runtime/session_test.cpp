#include "runtime/session.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

#include "cpu/registry.hpp"
#include "hone/error.hpp"

namespace {
std::atomic<int64_t> allocations{0};
}

// Counts every allocation of the program: a run must not make any.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // malloc and free on both sides
void* operator new(size_t n) {
  ++allocations;
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, size_t) noexcept {
  std::free(p);
}

namespace hone {
namespace {

// y = x + constant, element by element; refuses NaN.
class AddKernel : public PreparedKernel {
 public:
  explicit AddKernel(size_t n) : n_(static_cast<int64_t>(n)) {}
  size_t scratch_bytes() const override { return 128; }
  void run(const KernelArgs& a) noexcept override {
    const auto *x = static_cast<const float*>(a.inputs[0]), *c = static_cast<const float*>(a.inputs[1]);
    auto* y = static_cast<float*>(a.outputs[0]);
    std::memset(a.scratch, 1, 128);
    if (x[0] != x[0] && a.error) return a.error->set("[Plus] input is NaN");
    a.pool.parallel_for(n_, 16, [&](int64_t b, int64_t e, int) {
      for (int64_t i = b; i < e; ++i) y[i] = x[i] + c[i];
    });
  }

 private:
  int64_t n_;
};

const Kernel rows[] = {{"plus_slow", "test", "Plus", [](const KernelQuery&) { return Support::yes(); },
                        [](const KernelQuery&) {
                          return KernelPlan{{}, -1, {}, 100};
                        },
                        nullptr,
                        [](const KernelQuery& q) -> std::unique_ptr<PreparedKernel> {
                          return std::make_unique<AddKernel>(q.outputs[0].size());
                        }},
                       {"plus_f32", "test", "Plus", [](const KernelQuery&) { return Support::yes(); },
                        [](const KernelQuery&) {
                          return KernelPlan{{}, 0, {}, 1};
                        },
                        nullptr,
                        [](const KernelQuery& q) -> std::unique_ptr<PreparedKernel> {
                          return std::make_unique<AddKernel>(q.outputs[0].size());
                        }}};

// y = (x + c) + s; s <- y.
std::shared_ptr<const Program> program(const char* kernel = "plus_f32") {
  cpu::add_kernels(rows);
  auto p = std::make_shared<Program>();
  const auto tensor = [&](Place place, uint64_t offset = 0) {
    ProgramTensor t;
    t.type = ElementType::f32;
    t.shape = {1000};
    t.bytes = 4000;
    t.place = place;
    t.offset = offset;
    t.root = static_cast<uint32_t>(p->tensors.size());
    p->tensors.push_back(t);
    return t.root;
  };
  const auto x = tensor(Place::input), c = tensor(Place::constant), a = tensor(Place::arena), s = tensor(Place::state),
             y = tensor(Place::output);
  Tensor bytes(ElementType::u8, {4000});
  auto* f = static_cast<float*>(bytes.raw());
  for (int i = 0; i < 1000; ++i) f[i] = static_cast<float>(i);
  p->constants = {bytes};
  p->arena_bytes = 4032;
  p->inputs = {{"x", {"alias"}, x}};
  p->outputs = {{"y", {}, y}};
  p->states = {{"s", s, y, no_tensor, false}};
  for (auto [in, other, out] : {std::array{x, c, a}, std::array{a, s, y}}) {
    ProgramStep step;
    step.op = "Plus";
    step.name = "plus";
    step.kernel = kernel;
    step.inputs = {in, other};
    step.outputs = {out};
    step.num_op_inputs = 2;
    p->steps.push_back(step);
  }
  verify(*p);
  return p;
}

TEST(Session, runs_and_carries_state) {
  auto session = Session::create(program(), {.threads = 2});
  auto r = session->request();
  r->input(0).data<float>()[3] = 0.5f;
  ASSERT_TRUE(r->run());
  EXPECT_EQ(r->output(0).data<float>()[3], 3.5f);
  ASSERT_TRUE(r->run());
  EXPECT_EQ(r->output(0).data<float>()[3], 7.0f);
  EXPECT_EQ(r->state("s").data<float>()[3], 7.0f);
  r->reset_states();
  ASSERT_TRUE(r->run());
  EXPECT_EQ(r->output(0).data<float>()[3], 3.5f);
}

TEST(Session, a_run_allocates_nothing) {
  auto session = Session::create(program(), {.threads = 2, .profile = true});
  auto r = session->request();
  ASSERT_TRUE(r->run());
  const int64_t before = allocations;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(r->run());
  EXPECT_EQ(allocations - before, 0);
}

TEST(Session, tensors_of_the_caller_are_used_where_they_lie_or_copied) {
  auto session = Session::create(program(), {.threads = 1});
  auto r = session->request();
  Tensor aligned(ElementType::f32, {1000}), out(ElementType::f32, {1000});
  aligned.data<float>()[1] = 2;
  std::vector<float> loose(1001);
  ASSERT_TRUE(r->set_input(0, aligned));
  ASSERT_TRUE(r->set_output(0, out));
  ASSERT_TRUE(r->run());
  EXPECT_EQ(out.data<float>()[1], 3);
  float* odd = loose.data() + (reinterpret_cast<uintptr_t>(loose.data()) % 64 == 0);
  odd[1] = 10;
  ASSERT_TRUE(r->set_input(0, Tensor(ElementType::f32, {1000}, odd)));
  std::vector<float> loose_out(1001);
  float* odd_out = loose_out.data() + (reinterpret_cast<uintptr_t>(loose_out.data()) % 64 == 0);
  ASSERT_TRUE(r->set_output(0, Tensor(ElementType::f32, {1000}, odd_out)));
  r->reset_states();
  ASSERT_TRUE(r->run());
  EXPECT_EQ(odd_out[1], 11);
  odd[1] = 20;  // copied anew at each run
  r->reset_states();
  ASSERT_TRUE(r->run());
  EXPECT_EQ(odd_out[1], 21);
}

TEST(Session, wrong_tensors_are_refused) {
  auto r = Session::create(program(), {.threads = 1})->request();
  const Status s = r->set_input(0, Tensor(ElementType::f32, {999}));
  EXPECT_FALSE(s);
  EXPECT_NE(std::string(s.message).find("'x' is f32[1000]"), std::string::npos) << s.message;
  EXPECT_FALSE(r->set_input(1, Tensor(ElementType::f32, {1000})));
  EXPECT_FALSE(r->share_state("s", Tensor(ElementType::f32, {5})));
  EXPECT_FALSE(r->set_state("none", Tensor(ElementType::f32, {1000})));
}

TEST(Session, what_only_data_reveals_is_a_status) {
  auto r = Session::create(program(), {.threads = 1})->request();
  r->input(0).data<float>()[0] = NAN;
  const Status s = r->run();
  EXPECT_FALSE(s);
  EXPECT_STREQ(s.message, "[Plus] input is NaN");
  r->input(0).data<float>()[0] = 0;
  EXPECT_TRUE(r->run());
}

TEST(Session, many_requests_share_streams_and_constants) {
  auto session = Session::create(program(), {.threads = 2, .streams = 2});
  EXPECT_EQ(session->streams(), 2);
  EXPECT_EQ(session->threads(), 1);
  std::vector<std::unique_ptr<Request>> requests;
  std::atomic<int> called{0};
  for (int i = 0; i < 8; ++i) {
    requests.push_back(session->request());
    requests.back()->input(0).data<float>()[5] = static_cast<float>(i);
    requests.back()->set_callback([&](const Status& s) { called += s.ok; });
  }
  for (int round = 1; round <= 10; ++round) {
    for (auto& r : requests) ASSERT_TRUE(r->start());
    for (auto& r : requests) ASSERT_TRUE(r->wait());
    for (int i = 0; i < 8; ++i)
      EXPECT_EQ(requests[static_cast<size_t>(i)]->output(0).data<float>()[5], static_cast<float>(round * (i + 5)));
  }
  EXPECT_EQ(called, 80);
}

TEST(Session, a_callback_may_start_its_request_anew) {
  auto session = Session::create(program(), {.threads = 1});
  auto r = session->request();
  r->input(0).data<float>()[0] = 1;
  int left = 4;
  r->set_callback([&](const Status& s) {
    if (s && --left > 0) {
      ASSERT_TRUE(r->start());
    }
  });
  ASSERT_TRUE(r->start());
  ASSERT_TRUE(r->wait());
  EXPECT_EQ(left, 0);
  EXPECT_EQ(r->output(0).data<float>()[0], 4);  // the state grew by one at each run
}

TEST(Session, two_sessions_run_at_the_same_time) {
  const auto shared = program();
  const auto work = [&](float x, bool& right) {
    auto session = Session::create(shared, {.threads = 2});
    auto r = session->request();
    for (int i = 0; i < 1000; ++i) r->input(0).data<float>()[i] = x;
    right = true;
    for (int round = 1; round <= 200; ++round) {
      right &= bool(round % 2 ? r->run() : r->start()) && r->wait();
      const float* y = r->output(0).data<float>();
      for (int i = 0; i < 1000; ++i) right &= y[i] == static_cast<float>(round) * (x + static_cast<float>(i));
    }
  };
  bool first = false, second = false;
  std::thread other([&] { work(3, second); });
  work(1, first);
  other.join();
  EXPECT_TRUE(first && second);
}

TEST(Session, takes_the_cheapest_kernel_where_the_compiled_one_is_missing) {
  auto session = Session::create(program("plus_of_another_cpu"), {.threads = 1, .profile = true});
  auto r = session->request();
  ASSERT_TRUE(r->run());
  EXPECT_EQ(r->profile()[0].kernel, "plus_f32");
}

TEST(Session, a_step_without_kernel_is_unsupported) {
  auto p = std::make_shared<Program>(*program());
  p->steps[0].op = "Unheard";
  try {
    Session::create(p);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
    EXPECT_NE(e.message().find("[Unheard]"), std::string::npos);
  }
}

TEST(Session, ports_are_found_by_any_name) {
  auto session = Session::create(program(), {.threads = 1});
  EXPECT_EQ(session->input_index("alias"), 0u);
  EXPECT_EQ(session->output_index("y"), 0u);
  EXPECT_EQ(session->input_index("z"), std::nullopt);
}

}  // namespace
}  // namespace hone
