// Binary convolutions against f32 ones of the same shape, measured in turns: the 3x3 layers of ResNet-18. Packing the
// signs of x is part of the time.
//
//   bench_binary [threads]      (default: 1)
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "cpu/features.hpp"
#include "cpu/registry.hpp"
#include "ops/binary_convolution.hpp"

using namespace hone;

namespace {

using Clock = std::chrono::steady_clock;

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

struct Layer {
  int64_t size, channels, columns, stride;
};

// One kernel on random data.
class Candidate {
 public:
  template <class Op>
  Candidate(const Kernel& row, Op op, ElementType weights, const Layer& l, ThreadPool& pool)
      : name(row.name), pool_(pool) {
    FieldWriter writer;
    visit_fields(op, writer);
    attributes_ = writer.take();
    q_.op = row.op;
    q_.attributes = attributes_;
    const int64_t out = (l.size - 1) / l.stride + 1;
    const auto add = [&](ElementType t, Shape shape, Layout layout, std::vector<TensorDesc>& to) {
      TensorDesc d;
      d.type = t;
      d.shape = std::move(shape);
      d.layout = layout;
      to.push_back(d);
    };
    add(ElementType::f32, {1, l.channels, l.size, l.size}, Layout::channels_last, q_.inputs);
    add(weights, {l.columns, l.channels, 3, 3}, Layout::plain, q_.inputs);
    add(ElementType::f32, {1, l.columns, out, out}, Layout::channels_last, q_.outputs);
    q_.num_op_inputs = 2;
    q_.threads = pool.size();
    std::minstd_rand rng(1);
    Tensor w(weights, q_.inputs[1].shape);
    for (size_t i = 0; i < w.size(); ++i)
      set_element(w, i, weights == ElementType::u1 ? double(rng() % 2) : double(rng() % 100) * 0.01 - 0.5);
    q_.inputs[1].value = w;
    q_.inputs[1].constant = true;
    fits = static_cast<bool>(row.supports(q_));
    if (!fits) return;
    x_ = Tensor(ElementType::f32, {element_count(q_.inputs[0].shape) + 16});
    for (size_t i = 0; i < x_.size(); ++i) set_element(x_, i, double(rng() % 100) * 0.02 - 1);
    y_ = Tensor(ElementType::f32, {element_count(q_.outputs[0].shape) + 16});
    inputs_ = {x_.raw(), w.raw()};
    for (const PackedInput& p : row.plan(q_).packs) {
      packs_.push_back(row.pack(q_, p));
      inputs_[p.input] = packs_.back().raw();
    }
    prepared_ = row.prepare(q_);
    scratch_ = Tensor(ElementType::u8, {static_cast<int64_t>(prepared_->scratch_bytes()) + 64});
    outputs_ = {y_.raw()};
  }
  void run() {
    const auto start = Clock::now();
    for (int i = 0; i < repeats; ++i) prepared_->run({inputs_, outputs_, scratch_.raw(), pool_});
    const double t = std::chrono::duration<double>(Clock::now() - start).count() / repeats;
    if (warm_)
      times.push_back(t);
    else
      repeats = static_cast<int>(std::clamp(3e-3 / t, 1.0, 100.0));
    warm_ = true;
  }
  std::string name;
  bool fits = false;
  std::vector<double> times;
  int repeats = 1;

 private:
  ThreadPool& pool_;
  std::vector<uint8_t> attributes_;
  KernelQuery q_;
  Tensor x_, y_, scratch_;
  std::vector<Tensor> packs_;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
  std::unique_ptr<PreparedKernel> prepared_;
  bool warm_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  ThreadPool pool(argc > 1 ? std::max(1, std::atoi(argv[1])) : 1);
  std::printf("%s, %d threads\n", cpu::to_string(cpu::features()).c_str(), pool.size());
  const Layer layers[] = {{56, 64, 64, 1},   {56, 64, 128, 2},  {28, 128, 128, 1}, {28, 128, 256, 2},
                          {14, 256, 256, 1}, {14, 256, 512, 2}, {7, 512, 512, 1}};
  double product = 1, against_all = 1;
  int count = 0;
  for (const Layer& l : layers) {
    Convolution op;
    op.strides = {l.stride, l.stride};
    op.pads_begin = op.pads_end = {1, 1};
    BinaryConvolution binary;
    binary.strides = op.strides;
    binary.pads_begin = binary.pads_end = op.pads_begin;
    std::vector<std::unique_ptr<Candidate>> all;
    for (const Kernel* row : cpu::kernels_for("BinaryConvolution")) {
      if (std::strcmp(row->provider, "hone") == 0)
        all.push_back(std::make_unique<Candidate>(*row, binary, ElementType::u1, l, pool));
    }
    const size_t binaries = all.size();
    for (const Kernel* row : cpu::kernels_for("Convolution")) {
      if (std::strcmp(row->provider, "hone") == 0)
        all.push_back(std::make_unique<Candidate>(*row, op, ElementType::f32, l, pool));
    }
    for (int turn = 0; turn < 9; ++turn) {
      for (auto& c : all) {
        if (c->fits) c->run();
      }
    }
    const Candidate *own = nullptr, *direct = nullptr, *fastest = nullptr;
    for (size_t i = 0; i < all.size(); ++i) {
      if (!all[i]->fits) continue;
      const auto better = [&](const Candidate*& best) {
        if (!best || median(all[i]->times) < median(best->times)) best = all[i].get();
      };
      if (i < binaries) {
        better(own);
      } else {
        better(fastest);
        if (all[i]->name.find("winograd") == std::string::npos) better(direct);
      }
    }
    if (!own || !direct) continue;
    const double t = median(own->times), d = median(direct->times), f = median(fastest->times);
    const double gop = 2e-9 * 9 * double(l.channels * l.columns) * std::pow(double((l.size - 1) / l.stride + 1), 2);
    std::printf(
        "%3lldx%lld %lld->%lld stride %lld: %s %.3f ms, %.0f GOP/s; direct f32 (%s) %.3f ms: %.1f times as fast; "
        "fastest f32 (%s) %.3f ms: %.1f\n",
        static_cast<long long>(l.size), static_cast<long long>(l.size), static_cast<long long>(l.channels),
        static_cast<long long>(l.columns), static_cast<long long>(l.stride), own->name.c_str(), t * 1e3, gop / t,
        direct->name.c_str(), d * 1e3, d / t, fastest->name.c_str(), f * 1e3, f / t);
    product *= d / t;
    against_all *= f / t;
    ++count;
  }
  if (count)
    std::printf("geometric mean: %.1f times direct f32, %.1f times the fastest f32\n", std::pow(product, 1.0 / count),
                std::pow(against_all, 1.0 / count));
}
