// A small network through the rows that cost least at each instruction set: what one row writes the next one reads, in
// f32, bf16 and bytes.
#include "cpu/kernels/kernel_test.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

struct Layer {
  int64_t in, out, kernel, stride, size;  ///< channels; edge of the input
  bool depthwise = false, relu = false;
  int residual = -1;  ///< the layer whose results are added
};
const std::vector<Layer> layers = {
    {3, 24, 3, 2, 19, false, true},
    {24, 24, 3, 1, 10, true, true},
    {24, 40, 1, 1, 10},
    {40, 40, 3, 1, 10, false, true, 2},
    {40, 17, 1, 1, 10},
};
constexpr int64_t classes = 11, flat = 10 * 10 * 17;

int64_t out_size(const Layer& l) {
  return (l.size - 1) / l.stride + 1;  // padded by half a window
}
// The grid of the bytes of a layer's results.
double step_of(size_t layer) {
  return layer == 0 || layer == 1 ? 0.01 : 0.02;
}
int zero_of(size_t layer) {
  return layers[layer].relu ? 0 : 128;
}

struct Network {
  std::vector<std::vector<double>> weights, biases;  // [out][in of a group][tap]
  std::vector<double> last;                          // [flat][classes]
  std::vector<double> input;                         // channels last
};

double rounded(double v, ElementType type) {
  return type == bf16 ? double(float(bfloat16(float(v)))) : double(float(v));
}

// Weights are multiples of 1/256 below 1/2: the same numbers in bytes, bf16 and f32.
Network network() {
  Network n;
  std::mt19937 rng(11);
  std::uniform_int_distribution<int> weight(-127, 127);
  std::uniform_real_distribution<double> real(-0.5, 0.5);
  for (const Layer& l : layers) {
    const int64_t count = l.out * (l.depthwise ? 1 : l.in) * l.kernel * l.kernel;
    auto& w = n.weights.emplace_back();
    // What keeps the results within +-2 or so.
    const double scale = std::exp2(-std::round(std::log2(std::sqrt(double(count / l.out)))));
    for (int64_t i = 0; i < count; ++i) w.push_back(weight(rng) / 128.0 * scale);
    auto& b = n.biases.emplace_back();
    for (int64_t i = 0; i < l.out; ++i) b.push_back(float(real(rng)));
  }
  for (int64_t i = 0; i < flat * classes; ++i) n.last.push_back(weight(rng) / 4096.0);
  for (int64_t i = 0; i < 19 * 19 * 3; ++i) n.input.push_back(weight(rng) / 128.0);
  return n;
}

// Results of a layer in doubles, each rounded as the type of the results wants it.
std::vector<double> plain_layer(const Network& n, size_t index, const std::vector<double>& x,
                                const std::vector<double>* residual, ElementType type) {
  const Layer& l = layers[index];
  const int64_t side = out_size(l), pad = l.kernel / 2, ins = l.depthwise ? 1 : l.in;
  std::vector<double> out;
  for (int64_t p = 0; p < side * side; ++p) {
    for (int64_t o = 0; o < l.out; ++o) {
      double sum = n.biases[index][size_t(o)];
      for (int64_t t = 0; t < l.kernel * l.kernel; ++t) {
        const int64_t y = p / side * l.stride + t / l.kernel - pad, x0 = p % side * l.stride + t % l.kernel - pad;
        if (y < 0 || x0 < 0 || y >= l.size || x0 >= l.size) continue;
        for (int64_t c = 0; c < ins; ++c) {
          sum += x[size_t((y * l.size + x0) * l.in + (l.depthwise ? o : c))] *
                 n.weights[index][size_t((o * ins + c) * l.kernel * l.kernel + t)];
        }
      }
      if (residual) sum += (*residual)[out.size()];
      if (l.relu) sum = std::max(sum, 0.0);
      if (type == u8) {
        const double zero = zero_of(index);
        sum = (std::clamp(std::nearbyint(sum / step_of(index)) + zero, 0.0, 255.0) - zero) * step_of(index);
      }
      out.push_back(type == u8 ? sum : rounded(sum, type));
    }
  }
  return out;
}

// The row that takes the node for the least.
const Kernel* cheapest(const KernelQuery& q) {
  const Kernel* best = nullptr;
  double cost = 0;
  for (const Kernel* row : kernels_for(q.op)) {
    if (std::string(row->provider) != "hone" || !row->supports(q)) continue;
    const double c = row->plan(q).cost;
    if (!best || c < cost) best = row, cost = c;
  }
  return best;
}

// Weights as the network of this type has them: their values are exact in each.
Tensor constant_of(const std::vector<double>& values, Shape shape, ElementType type, double scale) {
  Tensor t(type, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i)
    set_element(t, i, type == i8 ? std::nearbyint(values[i] / scale) : values[i]);
  return t;
}
double scale_of(const std::vector<double>& values) {
  double largest = 0;
  for (double v : values) largest = std::max(largest, std::fabs(v));
  return std::exp2(std::ceil(std::log2(largest / 127)));
}

TensorDesc activations(ElementType type, Shape shape, double step, int zero, Layout layout) {
  TensorDesc d;
  d.type = type;
  d.shape = std::move(shape);
  d.layout = layout;
  if (type == u8) d.quantization = per_tensor(float(step), zero);
  return d;
}

struct Outcome {
  std::vector<std::string> rows;
  std::vector<double> result;
};

Outcome outcome_of(const Network& n, ElementType type, int threads) {
  Outcome r;
  const ElementType weight_type = type == u8 ? i8 : f32;
  std::vector<Buffer> values;
  std::vector<TensorDesc> descs = {activations(type, {1, 3, 19, 19}, 1.0 / 128, 128, Layout::channels_last)};
  values.emplace_back(descs[0].bytes());
  {
    Tensor t(type, {int64_t(n.input.size())}, values[0].data);
    for (size_t i = 0; i < n.input.size(); ++i) set_element(t, i, type == u8 ? n.input[i] * 128 + 128 : n.input[i]);
  }
  const auto add = [&](KernelQuery q, const Tensor& weights, double scale, const TensorDesc& y,
                       std::vector<const void*> inputs) {
    q.inputs[1].type = weight_type;
    q.inputs[1].constant = true;
    q.inputs[1].value = weights;
    q.inputs[1].shape = weights.shape();
    if (type == u8) q.inputs[1].quantization = per_tensor(float(scale), 0);
    q.outputs = {y};
    q.bf16_compute = type == bf16;
    const Kernel* row = cheapest(q);
    r.rows.push_back(row ? row->name : "none");
    if (!row) {
      for (const Kernel* k : kernels_for(q.op))
        r.rows.back() += std::string("\n    ") + k->name + ": " + k->supports(q).why();
      return false;
    }
    descs.push_back(y);
    values.push_back(run_row(*row, q, std::move(inputs), threads));
    return true;
  };
  std::vector<Tensor> constants;
  for (size_t i = 0; i < layers.size(); ++i) {
    const Layer& l = layers[i];
    const auto attributes_for = [&](auto op) {
      op.strides = {l.stride, l.stride};
      op.dilations = {1, 1};
      op.pads_begin = op.pads_end = {l.kernel / 2, l.kernel / 2};
      return attributes_of(op);
    };
    const auto attributes = l.depthwise ? attributes_for(GroupConvolution{}) : attributes_for(Convolution{});
    KernelQuery q;
    q.op = l.depthwise ? "GroupConvolution" : "Convolution";
    q.attributes = attributes;
    const double scale = scale_of(n.weights[i]);
    const Shape shape = l.depthwise ? Shape{l.out, 1, 1, l.kernel, l.kernel} : Shape{l.out, l.in, l.kernel, l.kernel};
    const Tensor weights = constant_of(n.weights[i], shape, weight_type, scale);
    constants.push_back(constant_of(n.biases[i], {l.out}, f32, 1));
    TensorDesc bias;
    bias.type = f32;
    bias.shape = {l.out};
    bias.constant = true;
    bias.value = constants.back();
    q.inputs = {descs[i], {}, bias};
    q.num_op_inputs = 2;
    q.epilogue.operands = {{2, Spread::per_channel}};
    q.epilogue.steps = {{EpilogueOp::add, 0, 1}};
    std::vector<const void*> inputs = {values[i].data, weights.raw(), constants.back().raw()};
    int last = 2;
    if (l.residual >= 0) {
      q.inputs.push_back(descs[size_t(l.residual) + 1]);
      inputs.push_back(values[size_t(l.residual) + 1].data);
      q.epilogue.operands.push_back({3, Spread::full});
      q.epilogue.steps = {{EpilogueOp::add, 0, 1}, {EpilogueOp::add, 3, 2}};
      last = 4;
    }
    if (l.relu) q.epilogue.steps.push_back({EpilogueOp::relu, int16_t(last)});
    const TensorDesc y =
        activations(type, {1, l.out, out_size(l), out_size(l)}, step_of(i), zero_of(i), Layout::channels_last);
    if (!add(std::move(q), weights, scale, y, inputs)) return r;
  }
  const auto attributes = attributes_of(MatMul{});
  KernelQuery q;
  q.op = "MatMul";
  q.attributes = attributes;
  TensorDesc x = descs.back();
  x.shape = {1, flat};
  x.layout = Layout::plain;
  q.inputs = {x, {}};
  q.num_op_inputs = 2;
  const double scale = scale_of(n.last);
  const Tensor weights = constant_of(n.last, {flat, classes}, weight_type, scale);
  TensorDesc y;
  y.type = f32;
  y.shape = {1, classes};
  if (!add(std::move(q), weights, scale, y, {values.back().data, weights.raw()})) return r;
  for (int64_t c = 0; c < classes; ++c) r.result.push_back(read(y, values.back().data, size_t(c)));
  return r;
}

TEST(Network, the_cheapest_rows_of_each_level_give_the_classes_of_the_plain_loops) {
  const Network n = network();
  for (const ElementType type : {f32, bf16, u8}) {
    std::vector<std::vector<double>> values = {n.input};
    for (size_t i = 0; i < layers.size(); ++i) {
      const int residual = layers[i].residual;
      values.push_back(plain_layer(n, i, values.back(), residual < 0 ? nullptr : &values[size_t(residual) + 1], type));
    }
    std::vector<double> want(size_t{classes});
    double magnitude = 0;
    for (int64_t c = 0; c < classes; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < flat; ++i) {
        const double product = values.back()[size_t(i)] * n.last[size_t(i * classes + c)];
        want[size_t(c)] += product;
        sum += std::fabs(product);
      }
      magnitude = std::max(magnitude, sum);
    }
    // A result of a layer that lies half-way between two steps may go either way: of bf16 a step is 2^-8 of the value,
    // of bytes 1/100 of the largest; few results do, and their errors cancel over the sums behind.
    const double tolerance = type == f32 ? 1e-5 : type == bf16 ? 2e-3 : 1e-3;
    for (const std::string& level : levels()) {
      ScopedFeatures cap(features_of(level));
      const Outcome one = outcome_of(n, type, 1), three = outcome_of(n, type, 3);
      std::string rows = level + ", " + name_of(type);
      for (const std::string& row : one.rows) rows += "\n  " + row;
      ASSERT_EQ(one.result.size(), size_t{classes}) << rows;
      EXPECT_EQ(one.result, three.result) << rows;
      for (size_t c = 0; c < size_t{classes}; ++c)
        ASSERT_NEAR(one.result[c], want[c], tolerance * magnitude) << rows << "\nclass " << c;
    }
  }
}

}  // namespace
}  // namespace hone::cpu::test
