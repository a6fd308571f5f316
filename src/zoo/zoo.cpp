#include "zoo/zoo.hpp"

#include <algorithm>

#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/movement.hpp"
#include "ops/pooling.hpp"
#include "zoo/layers.hpp"
#include "zoo/networks.hpp"

namespace hone {
namespace {

using zoo::Act;
using zoo::channels_of;
using zoo::Layers;
using zoo::make_divisible;

// CIFAR ResNet (He et al. 2015, section 4.2): three stages of n blocks with 16, 32, 64 channels; shortcuts without
// parameters (option A: every second pixel, zeros for the new channels). 6n + 2 layers.
Value cifar_resnet(Layers& l, Value x, int64_t n, const NetworkOptions& o) {
  const int64_t base = o.multiplier == 1 ? 16 : make_divisible(16 * o.multiplier);
  Builder& b = l.builder();
  x = l.activate(l.batch_norm(l.conv(x, "conv1", base, 3), "bn1"), Act::relu, "relu");
  for (int64_t stage = 0; stage < 3; ++stage) {
    for (int64_t i = 0; i < n; ++i) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      const int64_t out = base << stage, stride = stage > 0 && i == 0 ? 2 : 1;
      Value y = l.activate(l.batch_norm(l.conv(x, name + ".conv1", out, 3, stride), name + ".bn1"), Act::relu,
                           name + ".relu1");
      y = l.batch_norm(l.conv(y, name + ".conv2", out, 3), name + ".bn2");
      if (stride == 2) {
        const int64_t more = out - channels_of(x), before = more / 2;
        b.set_name(name + ".shortcut/stride");
        x = b(AvgPool{.strides = {2, 2}, .pads_begin = {0, 0}, .pads_end = {0, 0}, .kernel = {1, 1}}, x);
        b.set_name(name + ".shortcut/pads");
        const Value begin = b.ints({0, before, 0, 0}), end = b.ints({0, more - before, 0, 0});
        b.set_name(name + ".shortcut");
        x = b(Pad{}, x, begin, end, b.like(x, 0));
      }
      x = l.activate(l.add(y, x, name + ".add"), Act::relu, name + ".relu2");
    }
  }
  return l.linear(l.global_average(x, "avgpool"), "linear", o.classes);
}

// ImageNet ResNet (He et al. 2015, table 1; the stride of a bottleneck sits on its 3x3, as torchvision has it).
Value imagenet_resnet(Layers& l, Value x, const std::vector<int64_t>& blocks, bool bottleneck,
                      const NetworkOptions& o) {
  const int64_t base = o.multiplier == 1 ? 64 : make_divisible(64 * o.multiplier), expansion = bottleneck ? 4 : 1;
  Builder& b = l.builder();
  x = l.activate(l.batch_norm(l.conv(x, "conv1", base, 7, 2), "bn1"), Act::relu, "relu");
  b.set_name("maxpool");
  x = b(MaxPool{.strides = {2, 2}, .dilations = {1, 1}, .pads_begin = {1, 1}, .pads_end = {1, 1}, .kernel = {3, 3}}, x);
  for (size_t stage = 0; stage < blocks.size(); ++stage) {
    for (int64_t i = 0; i < blocks[stage]; ++i) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      const int64_t planes = base << stage, out = planes * expansion, stride = stage > 0 && i == 0 ? 2 : 1;
      Value y;
      if (bottleneck) {
        y = l.activate(l.batch_norm(l.conv(x, name + ".conv1", planes, 1), name + ".bn1"), Act::relu, name + ".relu1");
        y = l.activate(l.batch_norm(l.conv(y, name + ".conv2", planes, 3, stride), name + ".bn2"), Act::relu,
                       name + ".relu2");
        y = l.batch_norm(l.conv(y, name + ".conv3", out, 1), name + ".bn3");
      } else {
        y = l.activate(l.batch_norm(l.conv(x, name + ".conv1", planes, 3, stride), name + ".bn1"), Act::relu,
                       name + ".relu1");
        y = l.batch_norm(l.conv(y, name + ".conv2", planes, 3), name + ".bn2");
      }
      if (stride != 1 || channels_of(x) != out)
        x = l.batch_norm(l.conv(x, name + ".downsample.0", out, 1, stride), name + ".downsample.1");
      x = l.activate(l.add(y, x, name + ".add"), Act::relu, name + ".relu");
    }
  }
  return l.linear(l.global_average(x, "avgpool"), "fc", o.classes);
}

// MobileNetV2 (Sandler et al. 2018, table 2).
Value mobilenet_v2(Layers& l, Value x, const NetworkOptions& o) {
  struct Row {
    int64_t expand, out, repeat, stride;
  };
  static constexpr Row rows[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                 {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  const auto wide = [&](int64_t c) { return make_divisible(static_cast<double>(c) * o.multiplier); };
  const int64_t last = make_divisible(1280 * std::max(1.0, o.multiplier));
  x = l.activate(l.batch_norm(l.conv(x, "features.0.0", wide(32), 3, 2), "features.0.1"), Act::relu6, "features.0.2");
  int64_t index = 1;
  for (const Row& r : rows) {
    for (int64_t i = 0; i < r.repeat; ++i, ++index) {
      const std::string name = "features." + std::to_string(index) + ".conv.";
      const int64_t in = channels_of(x), out = wide(r.out), hidden = in * r.expand, stride = i == 0 ? r.stride : 1;
      Value y = x;
      int64_t at = 0;
      if (r.expand != 1) {
        y = l.activate(l.batch_norm(l.conv(y, name + "0.0", hidden, 1), name + "0.1"), Act::relu6, name + "0.2");
        at = 1;
      }
      const std::string dw = name + std::to_string(at);
      y = l.activate(l.batch_norm(l.conv(y, dw + ".0", hidden, 3, stride, hidden), dw + ".1"), Act::relu6, dw + ".2");
      y = l.batch_norm(l.conv(y, name + std::to_string(at + 1), out, 1), name + std::to_string(at + 2));
      x = stride == 1 && in == out ? l.add(x, y, name + "add") : y;
    }
  }
  x = l.activate(l.batch_norm(l.conv(x, "features.18.0", last, 1), "features.18.1"), Act::relu6, "features.18.2");
  return l.linear(l.global_average(x, "avgpool"), "classifier.1", o.classes);
}

// MobileNetV3 (Howard et al. 2019, tables 1 and 2).
struct V3Row {
  int64_t kernel, expanded, out;
  bool squeeze, hswish;
  int64_t stride;
};
// clang-format off
constexpr V3Row v3_small[] = {{3, 16, 16, true, false, 2},  {3, 72, 24, false, false, 2}, {3, 88, 24, false, false, 1}, {5, 96, 40, true, true, 2},
                              {5, 240, 40, true, true, 1},  {5, 240, 40, true, true, 1},  {5, 120, 48, true, true, 1},  {5, 144, 48, true, true, 1},
                              {5, 288, 96, true, true, 2},  {5, 576, 96, true, true, 1},  {5, 576, 96, true, true, 1}};
constexpr V3Row v3_large[] = {{3, 16, 16, false, false, 1}, {3, 64, 24, false, false, 2}, {3, 72, 24, false, false, 1}, {5, 72, 40, true, false, 2},
                              {5, 120, 40, true, false, 1}, {5, 120, 40, true, false, 1}, {3, 240, 80, false, true, 2}, {3, 200, 80, false, true, 1},
                              {3, 184, 80, false, true, 1}, {3, 184, 80, false, true, 1}, {3, 480, 112, true, true, 1}, {3, 672, 112, true, true, 1},
                              {5, 672, 160, true, true, 2}, {5, 960, 160, true, true, 1}, {5, 960, 160, true, true, 1}};
// clang-format on

Value mobilenet_v3(Layers& l, Value x, std::span<const V3Row> rows, int64_t hidden, const NetworkOptions& o) {
  const auto wide = [&](int64_t c) { return make_divisible(static_cast<double>(c) * o.multiplier); };
  constexpr double epsilon = 1e-3;
  x = l.activate(l.batch_norm(l.conv(x, "features.0.0", wide(16), 3, 2), "features.0.1", epsilon), Act::hswish,
                 "features.0.2");
  int64_t index = 1;
  for (const V3Row& r : rows) {
    const std::string name = "features." + std::to_string(index++) + ".block.";
    const int64_t in = channels_of(x), expanded = wide(r.expanded), out = wide(r.out);
    const Act act = r.hswish ? Act::hswish : Act::relu;
    Value y = x;
    int64_t at = 0;
    const auto part = [&] { return name + std::to_string(at++); };
    if (expanded != in) {
      const std::string p = part();
      y = l.activate(l.batch_norm(l.conv(y, p + ".0", expanded, 1), p + ".1", epsilon), act, p + ".2");
    }
    const std::string dw = part();
    y = l.activate(l.batch_norm(l.conv(y, dw + ".0", expanded, r.kernel, r.stride, expanded), dw + ".1", epsilon), act,
                   dw + ".2");
    if (r.squeeze) y = l.squeeze_excite(y, part(), make_divisible(static_cast<double>(expanded) / 4));
    const std::string project = part();
    y = l.batch_norm(l.conv(y, project + ".0", out, 1), project + ".1", epsilon);
    x = r.stride == 1 && in == out ? l.add(x, y, name + "add") : y;
  }
  const std::string last = "features." + std::to_string(index);
  x = l.activate(l.batch_norm(l.conv(x, last + ".0", channels_of(x) * 6, 1), last + ".1", epsilon), Act::hswish,
                 last + ".2");
  x = l.global_average(x, "avgpool");
  x = l.activate(l.linear(x, "classifier.0", make_divisible(static_cast<double>(hidden) * o.multiplier)), Act::hswish,
                 "classifier.1");
  return l.linear(x, "classifier.3", o.classes);
}

}  // namespace

const std::vector<NetworkInfo>& networks() {
  static const std::vector<NetworkInfo> list = {
      {"resnet8", "CIFAR ResNet, 8 layers", 10, 32, 32, 75290, 0.0124},
      {"resnet20", "CIFAR ResNet, 20 layers", 10, 32, 32, 269722, 0.0406},
      {"resnet32", "CIFAR ResNet, 32 layers", 10, 32, 32, 464154, 0.0689},
      {"resnet56", "CIFAR ResNet, 56 layers", 10, 32, 32, 853018, 0.1255},
      {"resnet18", "ImageNet ResNet, 18 layers", 1000, 224, 224, 11689512, 1.814},
      {"resnet34", "ImageNet ResNet, 34 layers", 1000, 224, 224, 21797672, 3.664},
      {"resnet50", "ImageNet ResNet, 50 layers", 1000, 224, 224, 25557032, 4.089},
      {"mobilenet_v2", "MobileNetV2", 1000, 224, 224, 3504872, 0.3008},
      {"mobilenet_v3_small", "MobileNetV3 small", 1000, 224, 224, 2542856, 0.0565},
      {"mobilenet_v3_large", "MobileNetV3 large", 1000, 224, 224, 5483032, 0.2166},
      {"samplenet", "SampLeNet for CIFAR-10", 10, 32, 32, 62006, 0.000652},
      {"mtcnn_pnet", "MTCNN face detector, proposals", 0, 0, 0, 6632, 0.0000448, false},
      {"mtcnn_rnet", "MTCNN face detector, refinement", 0, 24, 24, 100178, 0.00153, false},
      {"mtcnn_onet", "MTCNN face detector, output", 0, 48, 48, 389040, 0.01291, false},
      {"silero_vad", "Silero voice activity detector, 16 kHz", 0, 0, 0, 309633, 0.000548, false},
  };
  return list;
}

const NetworkInfo* find_network(std::string_view name) {
  for (const NetworkInfo& n : networks()) {
    if (n.name == name) return &n;
  }
  return nullptr;
}

Graph build_network(std::string_view name, const NetworkOptions& options) {
  const NetworkInfo* info = find_network(name);
  if (!info) {
    std::string names;
    for (const NetworkInfo& n : networks()) names += (names.empty() ? "" : ", ") + std::string(n.name);
    throw Error(ErrorCode::usage, "[zoo] no network '" + std::string(name) + "'", "", "choose one of " + names);
  }
  NetworkOptions o = options;
  if (o.classes <= 0) o.classes = info->classes;
  if (o.channels <= 0) o.channels = 3;
  if (o.height <= 0) o.height = info->height;
  if (o.width <= 0) o.width = info->width;
  Graph g;
  g.name = std::string(name);
  Layers l(g, o.seed, o.initialize);
  Builder& b = l.builder();
  if (name == "silero_vad") {
    zoo::silero_vad(l);
    return g;
  }
  const auto size = [](int64_t n, const char* symbol) { return n > 0 ? Dimension(n) : Dimension::symbolic(symbol); };
  const Value x =
      b.parameter(ElementType::f32,
                  PartialShape{Dimension::symbolic("N"), o.channels, size(o.height, "H"), size(o.width, "W")}, "input");
  if (name == "mtcnn_pnet" || name == "mtcnn_rnet" || name == "mtcnn_onet") {
    if (name == "mtcnn_pnet")
      zoo::mtcnn_pnet(l, x);
    else if (name == "mtcnn_rnet")
      zoo::mtcnn_rnet(l, x);
    else
      zoo::mtcnn_onet(l, x);
    return g;
  }
  Value y;
  if (name == "resnet8")
    y = cifar_resnet(l, x, 1, o);
  else if (name == "resnet20")
    y = cifar_resnet(l, x, 3, o);
  else if (name == "resnet32")
    y = cifar_resnet(l, x, 5, o);
  else if (name == "resnet56")
    y = cifar_resnet(l, x, 9, o);
  else if (name == "resnet18")
    y = imagenet_resnet(l, x, {2, 2, 2, 2}, false, o);
  else if (name == "resnet34")
    y = imagenet_resnet(l, x, {3, 4, 6, 3}, false, o);
  else if (name == "resnet50")
    y = imagenet_resnet(l, x, {3, 4, 6, 3}, true, o);
  else if (name == "samplenet")
    y = zoo::samplenet(l, x, o.classes);
  else if (name == "mobilenet_v2")
    y = mobilenet_v2(l, x, o);
  else if (name == "mobilenet_v3_small")
    y = mobilenet_v3(l, x, v3_small, 1024, o);
  else
    y = mobilenet_v3(l, x, v3_large, 1280, o);
  if (o.softmax) {
    b.set_name("softmax");
    y = b(Softmax{1}, y);
  }
  const char* output = o.softmax ? "probabilities" : "logits";
  g.set_names(y.id, {output});
  b.result(y, output);
  return g;
}

}  // namespace hone
