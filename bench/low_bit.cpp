// Products of a row with weights of 4 and 8 bits: how much of the memory's bandwidth they reach, measured in turns with
// plain reading of as many bytes by as many threads.
//
//   bench_low_bit [threads]      (default: all cores)
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "cpu/features.hpp"
#include "cpu/registry.hpp"
#include "ops/compressed_matmul.hpp"

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

TensorDesc desc(ElementType type, Shape shape) {
  TensorDesc d;
  d.type = type;
  d.shape = std::move(shape);
  return d;
}

Tensor filled(ElementType type, Shape shape, std::mt19937_64& rng) {
  Tensor t(type, std::move(shape));
  auto* p = static_cast<uint64_t*>(t.raw());
  for (size_t i = 0; i < t.byte_size() / 8; ++i) p[i] = rng();
  return t;
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

void measure(const Kernel& row, ThreadPool& pool, ElementType type, int64_t m, int64_t n, int64_t k, int64_t group,
             bool bf16) {
  std::mt19937_64 rng(1);
  CompressedMatMul op{group, bit_width(type) == 4 ? 8 : 128, true};
  FieldWriter writer;
  visit_fields(op, writer);
  const auto attributes = writer.take();
  KernelQuery q;
  q.op = CompressedMatMul::name;
  q.attributes = attributes;
  const int64_t groups = (k + group - 1) / group;
  Tensor scales(ElementType::f16, {n, groups});
  for (size_t i = 0; i < scales.size(); ++i) set_element(scales, i, 0.01);
  q.inputs = {desc(ElementType::f32, {m, k}), desc(type, {n, k}), desc(ElementType::f16, {n, groups})};
  q.inputs[1].value = filled(type, {n, k}, rng);
  q.inputs[2].value = scales;
  q.inputs[1].constant = q.inputs[2].constant = true;
  q.num_op_inputs = 3;
  q.outputs = {desc(ElementType::f32, {m, n})};
  q.threads = pool.size();
  q.bf16_compute = bf16;
  if (const Support s = row.supports(q); !s) return;
  const KernelPlan plan = row.plan(q);
  std::vector<const void*> inputs(3);
  std::vector<Tensor> packs;
  double bytes = 0;
  for (const PackedInput& p : plan.packs) {
    packs.push_back(row.pack(q, p));
    inputs[p.input] = packs.back().raw();
    bytes += static_cast<double>(packs.back().byte_size());
  }
  q.inputs[1].value = {};
  Tensor x(ElementType::f32, {m, k});
  for (size_t i = 0; i < x.size(); ++i) set_element(x, i, static_cast<double>(rng() % 1000) / 500 - 1);
  inputs[0] = x.raw();
  Tensor y(ElementType::f32, {m, n});
  std::vector<void*> outputs{y.raw()};
  const auto prepared = row.prepare(q);
  Tensor scratch(ElementType::u8, {static_cast<int64_t>(prepared->scratch_bytes()) + 64});
  std::vector<double> own, plain, ratio;
  for (int turn = 0; turn < 12; ++turn) {
    const auto start = Clock::now();
    prepared->run({inputs, outputs, scratch.raw(), pool});
    const double t = seconds_since(start), r = read(pool, packs[0]) / static_cast<double>(packs[0].byte_size()) * bytes;
    if (turn < 2) continue;
    own.push_back(t);
    plain.push_back(r);
    ratio.push_back(r / t);
  }
  const double t = median(own);
  std::printf(
      "%-36s %-3s group %-5lld M=%-3lld %lldx%lld %s: %8.3f ms, %6.1f GB/s (reading: %6.1f), share %.0f %% "
      "(%.0f-%.0f), %7.1f GFLOP/s\n",
      row.name, name_of(type), static_cast<long long>(group), static_cast<long long>(m), static_cast<long long>(k),
      static_cast<long long>(n), bf16 ? "bf16" : "f32 ", t * 1e3, bytes / t / 1e9, bytes / median(plain) / 1e9,
      100 * median(ratio), 100 * *std::min_element(ratio.begin(), ratio.end()),
      100 * *std::max_element(ratio.begin(), ratio.end()), 2e-9 * static_cast<double>(m * n * k) / t);
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 0;
  ThreadPool pool(std::max(0, threads));
  std::printf("%s, %d threads\n", cpu::to_string(cpu::features()).c_str(), pool.size());
  for (const Kernel* row : cpu::kernels_for(CompressedMatMul::name)) {
    for (bool bf16 : {false, true}) {
      measure(*row, pool, ElementType::u4, 1, 32768, 4096, 128, bf16);
      measure(*row, pool, ElementType::u4, 1, 32768, 4096, 32, bf16);
      measure(*row, pool, ElementType::u8, 1, 16384, 4096, 4096, bf16);
      measure(*row, pool, ElementType::u4, 8, 16384, 4096, 128, bf16);
      measure(*row, pool, ElementType::u4, 128, 4096, 4096, 128, bf16);
    }
  }
}
