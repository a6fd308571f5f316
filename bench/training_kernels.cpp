// Speed of the training kernels on the layers of ResNet-20 (28x28x1), and what their sum predicts for a whole step.
//
//   bench_training_kernels [--type f32|bf16] [--threads N] [--batch N] [--peak GFLOPS of one core, f32] [--all]
//                          [--only TEXT]
//
// Every operator runs on buffers that are rotated, so activations come from memory as in a step. `--all` prints every
// row that supports a layer, otherwise the cheapest, as the compiler takes it. `--only` selects by operator and layer,
// "Convolution 28x28 16->16".
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "cpu/registry.hpp"
#include "ops/convolution.hpp"
#include "ops/loss.hpp"
#include "ops/normalization.hpp"
#include "ops/optimizer.hpp"

namespace {

using namespace hone;

struct Options {
  std::string type = "f32";
  int threads = 2;
  int64_t batch = 128;
  double peak = 117.3;
  bool all = false;
  std::string only;
};

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

TensorDesc desc(ElementType type, Shape shape) {
  TensorDesc d;
  d.type = type;
  d.layout = shape.size() == 4 ? Layout::channels_last : Layout::plain;
  d.shape = std::move(shape);
  return d;
}
TensorDesc weights(Shape shape) {
  TensorDesc d = desc(ElementType::f32, std::move(shape));
  d.layout = Layout::plain;
  return d;
}
TensorDesc absent() {
  TensorDesc d;
  d.present = false;
  return d;
}

/// Small random values in any float type, and room to read past the end.
Tensor filled(const TensorDesc& d) {
  Tensor t(d.type, {static_cast<int64_t>(d.size()) + 64});
  std::minstd_rand rng(1);
  for (size_t i = 0; i < t.size(); ++i) {
    const float v = static_cast<float>(rng() % 1000) * 1e-3f - 0.5f;
    if (d.type == ElementType::f32)
      t.data<float>()[i] = v;
    else if (d.type == ElementType::bf16)
      t.data<bfloat16>()[i] = bfloat16(v);
    else if (d.type == ElementType::i64)
      t.data<int64_t>()[i] = static_cast<int64_t>(rng() % 10);
  }
  return t;
}

struct Bench {
  Options o;
  ThreadPool pool;
  std::map<std::string, double> by_op;  ///< milliseconds of a step
  double total = 0, flops = 0;

  explicit Bench(const Options& options) : o(options), pool(options.threads) {}

  /// Times one operator; `count` times a step. `products`: multiply-adds of a run.
  template <class Op>
  void time(const Op& op, std::vector<TensorDesc> in, std::vector<TensorDesc> out, int count, double products,
            const char* label) {
    FieldWriter writer;
    Op copy = op;
    visit_fields(copy, writer);
    const std::vector<uint8_t> attributes = writer.take();
    KernelQuery q;
    q.op = Op::name;
    q.attributes = attributes;
    q.num_op_inputs = in.size();
    q.inputs = std::move(in);
    q.outputs = std::move(out);
    q.threads = o.threads;
    if (!o.only.empty() && (std::string(Op::name) + " " + label).find(o.only) == std::string::npos) return;
    std::vector<const Kernel*> rows;
    for (const Kernel* k : cpu::kernels_for(q.op))
      if (k->supports(q)) rows.push_back(k);
    std::stable_sort(rows.begin(), rows.end(),
                     [&](const Kernel* a, const Kernel* b) { return a->plan(q).cost < b->plan(q).cost; });
    if (rows.empty()) {
      std::printf("%-28s %-26s no kernel\n", Op::name, label);
      return;
    }
    constexpr size_t sets = 3;
    std::vector<Tensor> tensors;
    std::vector<const void*> inputs[sets];
    std::vector<void*> outputs[sets];
    double bytes = 0;
    for (size_t s = 0; s < sets; ++s) {
      for (const TensorDesc& d : q.inputs) {
        inputs[s].push_back(nullptr);
        if (!d.present) continue;
        tensors.push_back(filled(d));
        inputs[s].back() = tensors.back().raw();
        bytes += static_cast<double>(d.bytes()) / sets;
      }
      for (const TensorDesc& d : q.outputs) {
        outputs[s].push_back(nullptr);
        if (!d.present) continue;
        tensors.push_back(filled(d));
        outputs[s].back() = tensors.back().raw();
        bytes += static_cast<double>(d.bytes()) / sets;
      }
    }
    if (!o.all) rows.resize(1);
    bool first = true;
    for (const Kernel* row : rows) {
      auto prepared = row->prepare(q);
      std::vector<uint8_t> scratch(prepared->scratch_bytes() + 64);
      void* at = scratch.data() + (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64;
      std::vector<double> times;
      for (size_t i = 0; i < 40; ++i) {
        KernelArgs args{inputs[i % sets], outputs[i % sets], at, pool};
        const double start = seconds();
        prepared->run(args);
        times.push_back(seconds() - start);
      }
      std::sort(times.begin(), times.end());
      const double t = times.front();  // the machine may be shared: the best run says what the kernel can do
      std::printf("%-28s %-26s %8.3f ms x%-2d", Op::name, label, t * 1e3, count);
      if (products > 0) {
        const double rate = 2 * products / t * 1e-9;
        std::printf(" %7.1f GF/s %5.1f %%", rate, 100 * rate / (o.peak * (o.type == "bf16" ? 2 : 1) * o.threads));
      } else {
        std::printf(" %7.1f GB/s        ", bytes / t * 1e-9);
      }
      std::printf("  %s\n", row->name);
      if (first) {
        by_op[Op::name] += t * 1e3 * count;
        total += t * 1e3 * count;
        flops += 2 * products * count;
      }
      first = false;
    }
  }

  /// A convolution and its gradients. `data_gradient`: false for the first layer.
  void convolution(int64_t size, int64_t in, int64_t out, int64_t kernel, int64_t stride, int count,
                   bool data_gradient) {
    const ElementType t = o.type == "bf16" ? ElementType::bf16 : ElementType::f32;
    const int64_t pad = kernel / 2, result = (size + 2 * pad - kernel) / stride + 1;
    const TensorDesc x = desc(t, {o.batch, in, size, size}), y = desc(t, {o.batch, out, result, result}),
                     w = weights({out, in, kernel, kernel});
    char label[64];
    std::snprintf(label, sizeof label, "%ldx%ld %ld->%ld k%ld s%ld", long(size), long(size), long(in), long(out),
                  long(kernel), long(stride));
    // taps beyond the border count as products, as everywhere in the literature
    const auto products = static_cast<double>(o.batch * result * result * in * out * kernel * kernel);
    const std::vector<int64_t> s = {stride, stride}, p = {pad, pad};
    time(Convolution{s, p, p, {}, AutoPad::explicit_}, {x, w}, {y}, count, products, label);
    if (data_gradient)
      time(ConvolutionBackpropData{s, p, p, {}, AutoPad::explicit_, {}}, {y, w, desc(ElementType::i64, {2})}, {x},
           count, products, label);
    time(ConvolutionBackpropWeights{s, p, p, {}, {kernel, kernel}, 1, false}, {x, y}, {w}, count, products, label);
  }
  void norm(int64_t size, int64_t channels, bool relu, bool residual, int count) {
    const ElementType t = o.type == "bf16" ? ElementType::bf16 : ElementType::f32;
    const TensorDesc x = desc(t, {o.batch, channels, size, size}), c = desc(ElementType::f32, {channels}),
                     none = absent();
    char label[64];
    std::snprintf(label, sizeof label, "%ldx%ldx%ld%s%s", long(size), long(size), long(channels), relu ? " relu" : "",
                  residual ? " residual" : "");
    const NormActivation a = relu ? NormActivation::relu : NormActivation::none;
    time(BatchNormTraining{1e-5, 0.1, a}, {x, c, c, c, c, residual ? x : none}, {x, c, c, c, c}, count, 0, label);
    time(BatchNormTrainingGrad{a}, {x, x, c, c, c, relu ? x : none}, {x, c, c, residual ? x : none}, count, 0, label);
  }

  void step() {
    convolution(28, 1, 16, 3, 1, 1, false);
    convolution(28, 16, 16, 3, 1, 6, true);
    convolution(28, 16, 32, 3, 2, 1, true);
    convolution(28, 16, 32, 1, 2, 1, true);
    convolution(14, 32, 32, 3, 1, 5, true);
    convolution(14, 32, 64, 3, 2, 1, true);
    convolution(14, 32, 64, 1, 2, 1, true);
    convolution(7, 64, 64, 3, 1, 5, true);
    norm(28, 16, true, false, 4);
    norm(28, 16, true, true, 3);
    norm(14, 32, true, false, 3);
    norm(14, 32, true, true, 3);
    norm(14, 32, false, false, 1);
    norm(7, 64, true, false, 3);
    norm(7, 64, true, true, 3);
    norm(7, 64, false, false, 1);
    const TensorDesc logits = desc(ElementType::f32, {o.batch, 10}), labels = desc(ElementType::i64, {o.batch}),
                     scalar = desc(ElementType::f32, {});
    time(SoftmaxCrossEntropy{}, {logits, labels}, {scalar, logits}, 1, 0, "10 classes");
    time(SoftmaxCrossEntropyGrad{}, {logits, labels, scalar}, {logits}, 1, 0, "10 classes");
    std::vector<TensorDesc> parameters;
    auto add = [&](int64_t in, int64_t out, int64_t k) {
      parameters.push_back(weights({out, in, k, k}));
      parameters.push_back(weights({out}));
      parameters.push_back(weights({out}));
    };
    add(1, 16, 3);
    for (int i = 0; i < 6; ++i) add(16, 16, 3);
    add(16, 32, 3), add(16, 32, 1);
    for (int i = 0; i < 5; ++i) add(32, 32, 3);
    add(32, 64, 3), add(32, 64, 1);
    for (int i = 0; i < 5; ++i) add(64, 64, 3);
    parameters.push_back(weights({10, 64}));
    parameters.push_back(weights({10}));
    const auto n = static_cast<int64_t>(parameters.size());
    std::vector<TensorDesc> in = {scalar, scalar}, out;
    for (int g = 0; g < 3; ++g) in.insert(in.end(), parameters.begin(), parameters.end());
    for (int g = 0; g < 2; ++g) out.insert(out.end(), parameters.begin(), parameters.end());
    time(SgdStep{n, 0.9, true, 5e-4, {}}, in, out, 1, 0, "ResNet-20");
  }
};

}  // namespace

int main(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (a == "--type") o.type = value, ++i;
    if (a == "--threads") o.threads = std::atoi(value), ++i;
    if (a == "--batch") o.batch = std::atoll(value), ++i;
    if (a == "--peak") o.peak = std::atof(value), ++i;
    if (a == "--only") o.only = value, ++i;
    if (a == "--all") o.all = true;
  }
  Bench bench(o);
  bench.step();
  std::printf(
      "\nResNet-20, batch %ld, %s, %d threads: kernels %.2f ms a step = %.0f images/s; convolutions %.1f GFLOP\n",
      long(o.batch), o.type.c_str(), o.threads, bench.total, static_cast<double>(o.batch) / bench.total * 1e3,
      bench.flops * 1e-9);
  for (const auto& [op, ms] : bench.by_op) std::printf("  %-28s %8.2f ms\n", op.c_str(), ms);
  return 0;
}
