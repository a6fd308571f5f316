// A step of one token on a cache of keys and values: in bytes (CachedAttention) and in bf16 and f32 (StridedAttention),
// in turns with plain reading of as many bytes by as many threads.
//
//   bench_attention [threads]      (default: all cores)
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "cpu/features.hpp"
#include "cpu/registry.hpp"
#include "ops/cached_attention.hpp"
#include "ops/strided_attention.hpp"

using namespace hone;

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}
double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

// Seconds to read the bytes: eight sums side by side, which the compiler turns into vectors.
double read(ThreadPool& pool, const Tensor& t) {
  const auto* p = static_cast<const uint64_t*>(t.raw());
  const auto blocks = static_cast<int64_t>(t.byte_size() / 4096);
  static std::atomic<uint64_t> sink;
  const auto start = Clock::now();
  pool.parallel_for(blocks, 1, [&](int64_t begin, int64_t end, int) {
    uint64_t s[8] = {};
    for (int64_t i = begin * 512; i < end * 512; i += 8) {
      for (int k = 0; k < 8; ++k) s[k] += p[i + k];
    }
    sink.fetch_add(s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7], std::memory_order_relaxed);
  });
  return seconds_since(start);
}

struct Shapes {
  int64_t heads, groups, tokens, features;
};

class Case {
 public:
  Case(const Shapes& s, ElementType cache, ElementType query) : s_(s), cache_(cache), query_(query) {
    if (cache == ElementType::i8) {
      set(CachedAttention{});
      add(query, {1, s.heads, 1, s.features}, -1, 1);
      for (int i = 0; i < 2; ++i) {
        add(ElementType::i8, {1, s.groups, s.tokens, s.features}, -127, 127);
        add(ElementType::f32, {1, s.groups, s.tokens}, 0.005, 0.01);
      }
      add(ElementType::i64, {1}, double(s.tokens), double(s.tokens));
      bytes_ = double(2 * s.groups * s.tokens * (s.features + 4));
      result(query, {1, s.heads, 1, s.features});
      return;
    }
    const int64_t shared = s.heads / s.groups, matrix = s.tokens * s.features;
    StridedAttention op;
    op.batch = {s.groups, shared};
    op.sizes = {1, s.tokens, s.features, s.features};
    op.query = op.result = {0, shared * s.features, s.features, s.features};
    op.key = op.value = {0, matrix, 0, s.features};
    op.shape = {1, s.heads, 1, s.features};
    op.scale = 1 / std::sqrt(double(s.features));
    set(op);
    add(cache, op.shape, -1, 1);
    add(cache, {1, s.groups, s.tokens, s.features}, -1, 1);
    add(cache, {1, s.groups, s.tokens, s.features}, -1, 1);
    bytes_ = double(2 * s.groups * matrix) * double(byte_size(cache, 1));
    result(cache, op.shape);
  }

  void measure(ThreadPool& pool) {
    q_.threads = pool.size();
    const Kernel* best = nullptr;
    for (const Kernel* k : cpu::kernels_for(q_.op)) {
      if (k->supports(q_) && (!best || k->plan(q_).cost < best->plan(q_).cost)) best = k;
    }
    if (!best) return;
    const auto prepared = best->prepare(q_);
    const Tensor scratch(ElementType::u8, {static_cast<int64_t>(prepared->scratch_bytes()) + 64});
    std::vector<const void*> in;
    for (const Tensor& t : inputs_) in.push_back(t.raw());
    std::vector<void*> out{output_.raw()};
    std::vector<double> own, plain;
    for (int turn = 0; turn < 14; ++turn) {
      const auto start = Clock::now();
      prepared->run({in, out, const_cast<void*>(scratch.raw()), pool});
      const double t = seconds_since(start);
      const double r = read(pool, inputs_[1]) / double(inputs_[1].byte_size()) * bytes_;
      if (turn < 4) continue;
      own.push_back(t);
      plain.push_back(r);
    }
    const double t = median(own), r = median(plain);
    std::printf("%3ld heads %2ld groups %6ld tokens x %3ld  %-4s on %-4s %-38s %8.1f us  %6.1f GB/s  %.2f of reading\n",
                long(s_.heads), long(s_.groups), long(s_.tokens), long(s_.features), name_of(query_), name_of(cache_),
                best->name, t * 1e6, bytes_ / t * 1e-9, r / t);
  }

 private:
  template <class Op>
  void set(Op op) {
    FieldWriter writer;
    visit_fields(op, writer);
    attributes_ = writer.take();
    q_.op = Op::name;
    q_.attributes = attributes_;
  }
  void add(ElementType type, Shape shape, double low, double high) {
    Tensor t(type, shape);
    for (size_t i = 0; i < t.size(); ++i) set_element(t, i, low + (high - low) * double(rng_() % 1001) / 1000);
    inputs_.push_back(t);
    TensorDesc d;
    d.type = type;
    d.shape = std::move(shape);
    q_.inputs.push_back(std::move(d));
    q_.num_op_inputs = q_.inputs.size();
  }
  void result(ElementType type, Shape shape) {
    output_ = Tensor(type, shape);
    TensorDesc d;
    d.type = type;
    d.shape = std::move(shape);
    q_.outputs = {std::move(d)};
  }

  Shapes s_;
  ElementType cache_, query_;
  std::mt19937_64 rng_{1};
  KernelQuery q_;
  std::vector<uint8_t> attributes_;
  std::vector<Tensor> inputs_;
  Tensor output_;
  double bytes_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  ThreadPool pool(argc > 1 ? std::atoi(argv[1]) : 0);
  std::printf("%d threads, %s\n", pool.size(), cpu::to_string(cpu::features()).c_str());
  for (const Shapes& s : {Shapes{32, 32, 1024, 64}, Shapes{32, 8, 1024, 128}, Shapes{32, 8, 8192, 128}}) {
    for (auto [query, cache] : {std::pair{ElementType::bf16, ElementType::i8},
                                {ElementType::bf16, ElementType::bf16},
                                {ElementType::f32, ElementType::i8},
                                {ElementType::f32, ElementType::f32}})
      Case(s, cache, query).measure(pool);
  }
}
