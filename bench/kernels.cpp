// Speed of the convolution kernels on the layers of ResNet-20, ResNet-50 and MobileNetV2: GFLOP/s and share of peak.
//
// Where it was built with oneDNN (Debian: libdnnl-dev), each layer is timed by oneDNN as well, in turns.
//
//   bench_kernels [--net resnet20|resnet50|mobilenet] [--type f32|bf16|int8] [--threads N] [--batch N] [--peak GFLOPS
//   of one core, f32]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cpu/features.hpp"
#include "cpu/registry.hpp"
#include "ops/convolution.hpp"
#include "yardstick.hpp"

namespace {

using namespace hone;

struct Layer {
  int64_t size, channels, columns, kernel, stride;
  bool depthwise;
  int count;
};

std::vector<Layer> layers_of(const std::string& net) {
  if (net == "resnet20") {
    return {{28, 1, 16, 3, 1, false, 1},  {28, 16, 16, 3, 1, false, 6}, {28, 16, 32, 3, 2, false, 1},
            {14, 32, 32, 3, 1, false, 5}, {14, 32, 64, 3, 2, false, 1}, {7, 64, 64, 3, 1, false, 5},
            {28, 16, 32, 1, 2, false, 1}, {14, 32, 64, 1, 2, false, 1}};
  }
  if (net == "mobilenet") {
    return {{224, 3, 32, 3, 2, false, 1},  {112, 32, 32, 3, 1, true, 1},  {112, 32, 16, 1, 1, false, 1},
            {112, 16, 96, 1, 1, false, 1}, {112, 96, 96, 3, 2, true, 1},  {56, 96, 24, 1, 1, false, 1},
            {56, 24, 144, 1, 1, false, 2}, {56, 144, 144, 3, 1, true, 1}, {56, 144, 24, 1, 1, false, 1},
            {56, 144, 144, 3, 2, true, 1}, {28, 144, 32, 1, 1, false, 1}, {28, 32, 192, 1, 1, false, 3},
            {28, 192, 192, 3, 1, true, 2}, {28, 192, 32, 1, 1, false, 2}, {28, 192, 192, 3, 2, true, 1},
            {14, 192, 64, 1, 1, false, 1}, {14, 64, 384, 1, 1, false, 4}, {14, 384, 384, 3, 1, true, 4},
            {14, 384, 64, 1, 1, false, 3}, {14, 384, 96, 1, 1, false, 1}, {14, 96, 576, 1, 1, false, 3},
            {14, 576, 576, 3, 1, true, 2}, {14, 576, 96, 1, 1, false, 2}, {14, 576, 576, 3, 2, true, 1},
            {7, 576, 160, 1, 1, false, 1}, {7, 160, 960, 1, 1, false, 3}, {7, 960, 960, 3, 1, true, 3},
            {7, 960, 160, 1, 1, false, 2}, {7, 960, 320, 1, 1, false, 1}, {7, 320, 1280, 1, 1, false, 1}};
  }
  return {{224, 3, 64, 7, 2, false, 1},    {56, 64, 64, 1, 1, false, 1},    {56, 64, 64, 3, 1, false, 3},
          {56, 64, 256, 1, 1, false, 4},   {56, 256, 64, 1, 1, false, 2},   {56, 256, 128, 1, 1, false, 1},
          {56, 128, 128, 3, 2, false, 1},  {28, 128, 512, 1, 1, false, 4},  {56, 256, 512, 1, 2, false, 1},
          {28, 512, 128, 1, 1, false, 3},  {28, 128, 128, 3, 1, false, 3},  {28, 512, 256, 1, 1, false, 1},
          {28, 256, 256, 3, 2, false, 1},  {14, 256, 1024, 1, 1, false, 6}, {28, 512, 1024, 1, 2, false, 1},
          {14, 1024, 256, 1, 1, false, 5}, {14, 256, 256, 3, 1, false, 5},  {14, 1024, 512, 1, 1, false, 1},
          {14, 512, 512, 3, 2, false, 1},  {7, 512, 2048, 1, 1, false, 3},  {14, 1024, 2048, 1, 2, false, 1},
          {7, 2048, 512, 1, 1, false, 2},  {7, 512, 512, 3, 1, false, 2}};
}

Tensor filled(ElementType type, const Shape& shape) {
  Tensor t(type, {element_count(shape) + 64});
  std::minstd_rand rng(1);
  for (size_t i = 0; i < t.size(); ++i)
    set_element(t, i, is_integer(type) ? double(rng() % 100) : double(rng() % 1000) * 1e-3 - 0.5);
  return t;
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Options {
  std::string net = "resnet50", type = "f32";
  int threads = 1;
  int64_t batch = 1;
  double peak = 117.3;
};

struct Sum {
  double seconds = 0, flops = 0, yardstick = 0;  ///< negative where a layer has no yardstick
};
struct Sums {
  Sum all, depthwise;
};

void run_layer(const Layer& l, const Options& o, ThreadPool& pool, Sums* sums) {
  const int64_t pad = l.kernel / 2, out = (l.size + 2 * pad - l.kernel) / l.stride + 1;
  KernelQuery q;
  FieldWriter writer;
  auto set = [&](auto op) {
    op.strides = {l.stride, l.stride};
    op.pads_begin = op.pads_end = {pad, pad};
    visit_fields(op, writer);
  };
  if (l.depthwise) {
    set(GroupConvolution{});
  } else {
    set(Convolution{});
  }
  const std::vector<uint8_t> attributes = writer.take();
  q.op = l.depthwise ? "GroupConvolution" : "Convolution";
  q.attributes = attributes;
  q.threads = o.threads;
  const bool int8 = o.type == "int8";
  TensorDesc x, w, bias, y;
  x.type = int8 ? ElementType::u8 : o.type == "bf16" ? ElementType::bf16 : ElementType::f32;
  x.shape = {o.batch, l.channels, l.size, l.size};
  x.layout = Layout::channels_last;
  y = x;
  y.shape = {o.batch, l.columns, out, out};
  w.type = int8 ? ElementType::i8 : ElementType::f32;
  w.shape =
      l.depthwise ? Shape{l.channels, 1, 1, l.kernel, l.kernel} : Shape{l.columns, l.channels, l.kernel, l.kernel};
  w.constant = true;
  bias.type = ElementType::f32;
  bias.shape = {l.columns};
  bias.constant = true;
  if (int8) {
    auto a = std::make_shared<Quantization>(), b = std::make_shared<Quantization>();
    a->scales = {0.02f};
    x.quantization = y.quantization = a;
    b->scales.assign(size_t(l.columns), 0.01f);
    b->axis = 0;
    w.quantization = b;
  }
  Tensor weights = filled(w.type, w.shape);
  w.value = Tensor(w.type, w.shape, weights.raw());
  q.inputs = {x, w, bias};
  q.outputs = {y};
  q.num_op_inputs = 2;
  q.epilogue.operands = {{2, Spread::per_channel}};
  q.epilogue.steps = {{EpilogueOp::add, 0, 1}, {EpilogueOp::relu, 2}};
  const Kernel* best = nullptr;
  for (const Kernel* k : cpu::kernels_for(q.op)) {
    if (k->supports(q) && (!best || k->plan(q).cost < best->plan(q).cost)) best = k;
  }
  if (!best) {
    std::printf("no kernel for %s\n", o.type.c_str());
    return;
  }
  Tensor data = filled(x.type, x.shape), offsets = filled(bias.type, bias.shape), result = filled(y.type, y.shape);
  std::vector<const void*> inputs = {data.raw(), weights.raw(), offsets.raw()};
  std::vector<Tensor> packs;
  for (const PackedInput& p : best->plan(q).packs) {
    packs.push_back(best->pack(q, p));
    inputs[p.input] = packs.back().raw();
  }
  auto prepared = best->prepare(q);
  Tensor scratch(ElementType::u8, {int64_t(prepared->scratch_bytes()) + 64});
  void* outputs[] = {result.raw()};
  KernelArgs args{inputs, outputs, scratch.raw(), pool};
  prepared->run(args);
  double least = 1e9, other = 1e9;
  const YardstickLayer same{o.batch, l.size, l.channels, l.columns, l.kernel, l.stride, l.depthwise};
  for (int turn = 0; turn < 2; ++turn) {
    const double stop = seconds() + 0.05;
    for (int i = 0; i < 5 || seconds() < stop; ++i) {
      const double start = seconds();
      prepared->run(args);
      least = std::min(least, seconds() - start);
    }
    other = std::min(other, yardstick_seconds(same, o.type, o.threads));
  }
  const double flops =
      2.0 * double(o.batch * out * out * l.columns * l.kernel * l.kernel) * double(l.depthwise ? 1 : l.channels);
  const double peak = o.peak * o.threads * (int8 ? 4 : o.type == "bf16" ? 2 : 1);
  std::printf("%3dx %4ld -> %4ld  %ldx%ld s%ld @%-3ld %s %9.1f us %8.1f GFLOP/s %5.1f %%", l.count, long(l.channels),
              long(l.columns), long(l.kernel), long(l.kernel), long(l.stride), long(l.size), l.depthwise ? "dw" : "  ",
              least * 1e6, flops / least * 1e-9, flops / least * 1e-7 / peak);
  if (other > 0) std::printf("  oneDNN %9.1f us, %.2f times", other * 1e6, other / least);
  std::printf("  %s\n", best->name);
  const auto add = [&](Sum& sum) {
    sum.seconds += least * l.count;
    sum.flops += flops * l.count;
    sum.yardstick = other > 0 && sum.yardstick >= 0 ? sum.yardstick + other * l.count : -1;
  };
  add(sums->all);
  if (l.depthwise) add(sums->depthwise);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i], value = argv[i + 1];
    if (key == "--net") o.net = value;
    if (key == "--type") o.type = value;
    if (key == "--threads") o.threads = std::atoi(value.c_str());
    if (key == "--batch") o.batch = std::atoi(value.c_str());
    if (key == "--peak") o.peak = std::atof(value.c_str());
  }
  std::printf("%s %s batch %ld threads %d cpu %s\n", o.net.c_str(), o.type.c_str(), long(o.batch), o.threads,
              cpu::to_string(cpu::features()).c_str());
  ThreadPool pool(o.threads);
  Sums sums;
  for (const Layer& l : layers_of(o.net)) run_layer(l, o, pool, &sums);
  const double peak = o.peak * o.threads * (o.type == "int8" ? 4 : o.type == "bf16" ? 2 : 1);
  const auto print = [&](const char* what, const Sum& sum) {
    if (sum.seconds == 0) return;
    std::printf("%s %.3f ms, %.1f GFLOP/s, %.1f %% of peak", what, sum.seconds * 1e3, sum.flops / sum.seconds * 1e-9,
                sum.flops / sum.seconds * 1e-7 / peak);
    if (sum.yardstick > 0)
      std::printf("; oneDNN %.3f ms, %.2f times", sum.yardstick * 1e3, sum.yardstick / sum.seconds);
    std::printf("\n");
  };
  print("sum", sums.all);
  print("depthwise", sums.depthwise);
}
