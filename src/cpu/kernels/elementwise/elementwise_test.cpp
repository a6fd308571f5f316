// Elementwise rows against plain loops over logical indices.
#include "cpu/kernels/kernel_test.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/quantize.hpp"
#include "ops/unary.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

// Value of input `i` under NumPy broadcasting at logical index `index` of the output.
double broadcast_value(const Node& node, size_t i, size_t index) {
  const TensorDesc& d = node.q.inputs[i];
  const Shape& out = node.q.outputs[0].shape;
  size_t at_memory = 0;
  // Strides of the input's own layout.
  std::vector<size_t> strides(d.shape.size(), 1);
  size_t total = 1;
  auto stride = [&](size_t k) {
    strides[k] = total;
    total *= size_t(d.shape[k]);
  };
  const bool last = d.layout == Layout::channels_last && d.shape.size() > 2;
  if (last) stride(1);
  for (size_t k = d.shape.size(); k-- > 0;) {
    if (!last || k != 1) stride(k);
  }
  for (size_t k = out.size(); k-- > 0;) {
    const size_t at = index % size_t(out[k]);
    index /= size_t(out[k]);
    const size_t lead = out.size() - d.shape.size();
    if (k < lead) continue;
    const int64_t n = d.shape[k - lead];
    at_memory += (n == 1 ? 0 : at) * strides[k - lead];
  }
  return node.value(i, at_memory);
}

template <class F>
void expect_elementwise(Node& node, F f, double tolerance = 3e-7) {
  const TensorDesc& y = node.q.outputs[0];
  const auto order = logical_order(y.shape, y.layout);
  std::vector<double> want(order.size());
  for (size_t i = 0; i < want.size(); ++i) want[i] = f(order[i]);
  EXPECT_GT(node.expect(want, tolerance), 0) << node.op;
}

TEST(Elementwise, binary_operators_broadcast_like_numpy_in_all_types_and_layouts) {
  struct Shapes {
    Shape a, b, y;
    Layout la = Layout::plain, lb = Layout::plain, ly = Layout::plain;
  };
  const Layout last = Layout::channels_last;
  const std::vector<Shapes> cases = {
      {{5, 7}, {5, 7}, {5, 7}},
      {{3, 1, 19}, {4, 1}, {3, 4, 19}},
      {{2, 33, 3, 5}, {1, 33, 1, 1}, {2, 33, 3, 5}, last, Layout::plain, last},
      {{2, 33, 3, 5}, {2, 33, 1, 1}, {2, 33, 3, 5}, last, last, last},
      {{2, 17, 4, 5}, {2, 17, 4, 5}, {2, 17, 4, 5}, last, last, last},
      {{2, 6, 4, 5}, {6, 1, 1}, {2, 6, 4, 5}},
      {{1}, {2, 3, 4}, {2, 3, 4}},
      {{}, {}, {}},
      {{40, 1000}, {1000}, {40, 1000}},
  };
  for (const Shapes& s : cases) {
    for (const auto& types : {std::tuple{f32, f32, f32},
                              {bf16, f32, bf16},
                              {bf16, bf16, bf16},
                              {f32, bf16, f32},
                              {bf16, bf16, f32},
                              {f32, f32, bf16},
                              {u8, i8, u8},
                              {u8, f32, f32},
                              {f16, f16, f16}}) {
      const ElementType ta = std::get<0>(types), tb = std::get<1>(types), ty = std::get<2>(types);
      auto run = [&](auto op, auto f) {
        Node node(op);
        node.input(Node::desc(ta, s.a, s.la));
        node.input(Node::desc(tb, s.b, s.lb), 0.5, 3);
        node.q.outputs = {Node::desc(ty, s.y, s.ly)};
        expect_elementwise(node, [&](size_t i) { return f(broadcast_value(node, 0, i), broadcast_value(node, 1, i)); });
      };
      run(Add{}, [](double a, double b) { return a + b; });
      run(Subtract{}, [](double a, double b) { return a - b; });
      run(Multiply{}, [](double a, double b) { return a * b; });
      run(Maximum{}, [](double a, double b) { return std::max(a, b); });
      run(Minimum{}, [](double a, double b) { return std::min(a, b); });
      run(SquaredDifference{}, [](double a, double b) { return (a - b) * (a - b); });
      if (tb == f32) run(Divide{}, [](double a, double b) { return a / b; });
    }
  }
}

TEST(Elementwise, activations_are_accurate_over_their_range) {
  auto run = [&](auto op, auto f, double low, double high, double tolerance) {
    Node node(op);
    node.input(Node::desc(f32, {3, 1001}), low, high);
    node.q.outputs = {Node::desc(f32, {3, 1001})};
    // tolerance relative to the result: magnitude 0
    std::vector<double> want(3003);
    for (size_t i = 0; i < want.size(); ++i) want[i] = f(node.value(0, i));
    EXPECT_GT(node.expect(want, tolerance, 1e-30), 0) << node.op;
  };
  const double ulp = std::ldexp(1.0, -23);
  auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  for (double range : {1e-3, 1.0, 10.0, 80.0}) {
    run(
        Exp{}, [](double v) { return std::exp(v); }, -range, range, 2 * ulp);
    run(Sigmoid{}, sigmoid, -range, range, 2 * ulp);
    run(
        Tanh{}, [](double v) { return std::tanh(v); }, -range, range, 3 * ulp);
    run(
        Erf{}, [](double v) { return std::erf(v); }, -range, range, 4 * ulp);
    run(
        SoftPlus{}, [](double v) { return std::max(v, 0.0) + std::log1p(std::exp(-std::fabs(v))); }, -range, range,
        3 * ulp);
    run(
        Swish{}, [&](double v) { return v * sigmoid(v); }, -range, range, 3 * ulp);
    run(
        Elu{.alpha = 1.5}, [](double v) { return v > 0 ? v : 1.5 * std::expm1(v); }, -range, range, 3 * ulp);
    run(
        Mish{}, [](double v) { return v * std::tanh(std::log1p(std::exp(v))); }, -range, range, 4 * ulp);
  }
  run(
      Log{}, [](double v) { return std::log(v); }, 1.5, 1e6, 2 * ulp);
  run(
      Log{}, [](double v) { return std::log(v); }, 1e-30, 0.5, 2 * ulp);
  run(
      Sqrt{}, [](double v) { return std::sqrt(v); }, 0, 1e6, ulp);
}

TEST(Elementwise, cancelling_activations_are_accurate_relative_to_their_input) {
  auto run = [&](auto op, auto f) {
    Node node(op);
    node.input(Node::desc(f32, {2, 515}), -6, 6);
    node.q.outputs = {Node::desc(f32, {2, 515})};
    expect_elementwise(
        node, [&](size_t i) { return f(node.value(0, i)); }, 1e-6);
  };
  run(Gelu{}, [](double a) { return 0.5 * a * (1 + std::erf(a / std::sqrt(2.0))); });
  run(Gelu{.approximation_mode = GeluMode::tanh},
      [](double a) { return 0.5 * a * (1 + std::tanh(std::sqrt(2 / M_PI) * (a + 0.044715 * a * a * a))); });
  run(HSwish{}, [](double a) { return a * std::min(std::max(a + 3, 0.0), 6.0) / 6; });
  run(HSigmoid{}, [](double a) { return std::min(std::max(a + 3, 0.0), 6.0) / 6; });
  run(Relu{}, [](double a) { return std::max(a, 0.0); });
  run(Clamp{.min = -1, .max = 2.5}, [](double a) { return std::min(std::max(a, -1.0), 2.5); });
  run(Abs{}, [](double a) { return std::fabs(a); });
  run(Negative{}, [](double a) { return -a; });
  run(Floor{}, [](double a) { return std::floor(a); });
  run(Ceiling{}, [](double a) { return std::ceil(a); });
  run(Round{}, [](double a) { return std::nearbyint(a); });
}

TEST(Elementwise, special_values) {
  const float inf = INFINITY, nan = NAN;
  auto run = [&](auto op, std::vector<float> in, std::vector<float> want) {
    Node node(op);
    node.constant(Tensor::of<float>({int64_t(in.size())}, std::span<const float>(in)));
    node.q.inputs[0].constant = false;
    node.q.outputs = {Node::desc(f32, {int64_t(in.size())})};
    node.each_row([&](const Buffer& out, const std::string& where) {
      const float* y = reinterpret_cast<const float*>(out.data);
      for (size_t i = 0; i < want.size(); ++i) {
        if (std::isnan(want[i])) {
          EXPECT_TRUE(std::isnan(y[i])) << where << " of " << in[i];
        } else {
          EXPECT_EQ(y[i], want[i]) << where << " of " << in[i];
        }
      }
    });
  };
  run(Exp{}, {0, inf, -inf, 100, -200, nan}, {1, inf, 0, inf, 0, nan});
  run(Log{}, {1, 0, -1, inf, nan}, {0, -inf, nan, inf, nan});
  run(Tanh{}, {0, inf, -inf, 50, -50, nan}, {0, 1, -1, 1, -1, nan});
  run(Sigmoid{}, {0, inf, -inf, nan}, {0.5f, 1, 0, nan});
  run(Relu{}, {-1, inf, -inf, nan}, {0, inf, 0, nan});
}

TEST(Elementwise, conversion_and_quantization) {
  for (Shape shape : {Shape{7}, Shape{3, 5, 2, 2}, Shape{2, 40, 3, 3}}) {
    for (auto [from, to] :
         {std::pair{f32, bf16}, {bf16, f32}, {u8, f32}, {f32, u8}, {bf16, i8}, {i8, u8}, {f16, f32}, {f32, f16}}) {
      Node node(Convert{.destination_type = to});
      node.input(Node::desc(from, shape));
      node.q.outputs = {Node::desc(to, shape)};
      expect_elementwise(node, [&](size_t i) { return node.value(0, i); });
    }
  }
  for (bool per_channel : {false, true}) {
    const int64_t c = 21;
    std::vector<float> scales(size_t(per_channel ? c : 1));
    for (size_t i = 0; i < scales.size(); ++i) scales[i] = 0.01f + 0.003f * float(i);
    const Shape along = per_channel ? Shape{c} : Shape{};
    for (Layout layout : {Layout::plain, Layout::channels_last}) {
      Node node(Quantize{.output_type = i8, .axis = 1});
      node.input(Node::desc(f32, {2, c, 3, 4}, layout), -1, 1);
      node.constant(Tensor::of<float>(along, std::span<const float>(scales)));
      node.constant(Tensor::scalar<int8_t>(5));
      TensorDesc y = Node::desc(i8, {2, c, 3, 4}, layout);
      y.quantization = nullptr;
      node.q.outputs = {y};
      const auto order = logical_order(y.shape, layout);
      std::vector<double> want(order.size());
      for (size_t i = 0; i < want.size(); ++i) {
        const float s = scales[per_channel ? order[i] / 12 % size_t(c) : 0];
        want[i] = std::min(std::max(double(std::nearbyint(float(node.value(0, i)) / s)) + 5, -128.0), 127.0);
      }
      EXPECT_GT(node.each_row([&](const Buffer& out, const std::string& where) {
        for (size_t i = 0; i < want.size(); ++i)
          ASSERT_EQ(reinterpret_cast<const int8_t*>(out.data)[i], want[i]) << where << " at " << i;
      }),
                0);

      Node back(Dequantize{.axis = 1});
      TensorDesc x = Node::desc(u8, {2, c, 3, 4}, layout);
      x.quantization = nullptr;
      back.input(x);
      back.constant(Tensor::of<float>(along, std::span<const float>(scales)));
      back.constant(Tensor::scalar<uint8_t>(77));
      back.q.outputs = {Node::desc(f32, {2, c, 3, 4}, layout)};
      for (size_t i = 0; i < want.size(); ++i) {
        want[i] = (back.value(0, i) - 77) * double(scales[per_channel ? order[i] / 12 % size_t(c) : 0]);
      }
      EXPECT_GT(back.expect(want, 2e-7), 0);
    }
  }
}

TEST(Elementwise, quantizes_three_planes_into_pixels) {
  for (ElementType type : {u8, i8}) {
    for (Shape shape : {Shape{1, 3, 5, 7}, Shape{2, 3, 19, 33}, Shape{1, 3, 4, 4}}) {
      Node node(Quantize{.output_type = type, .axis = 1});
      node.input(Node::desc(f32, shape), -1, 1);
      node.constant(Tensor::scalar<float>(0.013f));
      node.constant(type == u8 ? Tensor::scalar<uint8_t>(101) : Tensor::scalar<int8_t>(-7));
      TensorDesc y = Node::desc(type, shape, Layout::channels_last);
      y.quantization = nullptr;
      node.q.outputs = {y};
      const double zero = type == u8 ? 101 : -7, low = type == u8 ? 0 : -128, high = type == u8 ? 255 : 127;
      const int64_t plane = shape[2] * shape[3];
      EXPECT_GT(node.each_row([&](const Buffer& out, const std::string& where) {
        for (int64_t i = 0; i < element_count(shape); ++i) {
          const int64_t image = i / (3 * plane), pixel = i / 3 % plane, channel = i % 3;
          const float x = float(node.value(0, size_t((image * 3 + channel) * plane + pixel)));
          const double want = std::min(std::max(double(std::nearbyint(x / 0.013f)) + zero, low), high);
          const double got = type == u8 ? double(static_cast<const uint8_t*>(out.data)[i])
                                        : double(reinterpret_cast<const int8_t*>(out.data)[i]);
          ASSERT_EQ(got, want) << where << " at " << i;
        }
      }),
                0);
    }
  }
}

TEST(Elementwise, fake_quantize_rounds_to_its_levels) {
  Node node(FakeQuantize{.levels = 256});
  node.input(Node::desc(f32, {2, 9, 4, 5}, Layout::channels_last), -4, 4);
  std::vector<float> low(9), high(9);
  for (size_t i = 0; i < 9; ++i) {
    low[i] = -1 - 0.25f * float(i);
    high[i] = 1.5f + 0.125f * float(i);
  }
  const Shape along = {1, 9, 1, 1};
  for (int i = 0; i < 2; ++i) {
    node.constant(Tensor::of<float>(along, std::span<const float>(low)));
    node.constant(Tensor::of<float>(along, std::span<const float>(high)));
  }
  node.q.outputs = {Node::desc(f32, {2, 9, 4, 5}, Layout::channels_last)};
  EXPECT_GT(node.each_row([&](const Buffer& out, const std::string& where) {
    for (size_t i = 0; i < 360; ++i) {
      const size_t c = i % 9;
      const double il = low[c], ih = high[c], x = node.value(0, i);
      const double want = x <= il  ? il
                          : x > ih ? ih
                                   : std::nearbyint((x - il) / (ih - il) * 255) / 255 * (ih - il) + il;
      // A value half-way between two levels may go either way in f32.
      const double got = reinterpret_cast<const float*>(out.data)[i], step = (ih - il) / 255;
      const double at = (std::min(std::max(x, il), ih) - il) / step;
      const bool tie = std::fabs(at - std::floor(at) - 0.5) < 1e-3;
      ASSERT_NEAR(got, want, tie ? step * 1.001 : 2e-6) << where << " at " << i;
    }
  }),
            0);
}

TEST(Elementwise, fake_quantize_of_a_range_without_width_is_a_threshold) {
  Node node(FakeQuantize{.levels = 2});
  node.input(Node::desc(f32, {3, 50}), -2, 2);
  const_cast<float*>(static_cast<const float*>(node.inputs[0]))[7] = 0.5f;
  for (float v : {0.5f, 0.5f, -1.0f, 3.0f}) node.constant(Tensor::of<float>({1, 1}, std::vector<float>{v}));
  node.q.outputs = {Node::desc(f32, {3, 50})};
  std::vector<double> want;
  for (size_t i = 0; i < 150; ++i) want.push_back(node.value(0, i) > 0.5 ? 3 : -1);
  EXPECT_GT(node.expect(want, 1e-6), 0);
}

TEST(Elementwise, chains_run_as_epilogue_of_the_first) {
  Node node(Add{});
  const Shape shape = {2, 19, 5, 3};
  const Layout last = Layout::channels_last;
  node.input(Node::desc(bf16, shape, last));
  node.input(Node::desc(f32, shape, last));
  node.input(Node::desc(f32, {19}));
  node.input(Node::desc(f32, {2, 19}));
  node.input(Node::desc(u8, shape, last));
  node.q.num_op_inputs = 2;
  node.q.epilogue.operands = {{2, Spread::per_channel}, {3, Spread::per_row}, {4, Spread::full}};
  node.q.epilogue.steps = {{EpilogueOp::multiply, 0, 1},
                           {EpilogueOp::swish, 4, -1, 1.0f},
                           {EpilogueOp::add, 5, 2},
                           {EpilogueOp::maximum, 6, 3},
                           {EpilogueOp::subtract, 7, 5}};
  node.q.outputs = {Node::desc(f32, shape, last)};
  std::vector<double> want(size_t(element_count(shape)));
  for (size_t i = 0; i < want.size(); ++i) {
    const size_t c = i % 19, n = i / (19 * 15);
    want[i] = apply_epilogue(node.q.epilogue, node.value(0, i) + node.value(1, i), [&](size_t o) {
      return o == 0 ? node.value(2, c) : o == 1 ? node.value(3, n * 19 + c) : node.value(4, i);
    });
  }
  EXPECT_GT(node.expect(want, 2e-6, 10), 0);
}

TEST(Elementwise, scale_shift_and_clamp_run_in_one_pass) {
  const Layout last = Layout::channels_last;
  for (auto [tx, ta, ty] : {std::tuple{bf16, f32, bf16}, {bf16, bf16, f32}, {f32, f32, f32}, {f32, bf16, bf16}}) {
    for (bool clamped : {false, true}) {
      Node node(Multiply{});
      const Shape shape = {2, 37, 5, 3};
      node.input(Node::desc(tx, shape, last));
      node.input(Node::desc(ta, {1, 37, 1, 1}));
      node.input(Node::desc(f32, {37}));
      node.q.num_op_inputs = 2;
      node.q.epilogue.operands = {{2, Spread::per_channel}};
      node.q.epilogue.steps = {{EpilogueOp::add, 1, 0}};
      if (clamped) node.q.epilogue.steps.push_back({EpilogueOp::clamp, 2, -1, -0.25f, 0.75f});
      node.q.outputs = {Node::desc(ty, shape, last)};
      std::vector<double> want(size_t(element_count(shape)));
      for (size_t i = 0; i < want.size(); ++i) {
        want[i] = node.value(0, i) * node.value(1, i % 37) + node.value(2, i % 37);
        if (clamped) want[i] = std::min(std::max(want[i], -0.25), 0.75);
      }
      EXPECT_GT(node.expect(want, 2e-6, 10), 0);
    }
  }
}

TEST(Elementwise, bytes_times_a_factor_for_each_channel_run_in_one_pass) {
  const Layout last = Layout::channels_last;
  for (auto [tx, ta, ty] : {std::tuple{u8, u8, u8}, {u8, f32, i8}, {u8, bf16, u8}, {u8, u8, f32}}) {
    for (int64_t channels : {7, 37, 128, 1100}) {
      for (bool factor_first : {false, true}) {
        Node node(Multiply{});
        const Shape shape = {2, channels, 5, 3};
        const size_t x = factor_first ? 1 : 0;
        if (factor_first) node.input(Node::desc(ta, {2, channels, 1, 1}, last));
        node.input(Node::desc(tx, shape, last));
        if (!factor_first) node.input(Node::desc(ta, {2, channels, 1, 1}, last));
        node.q.outputs = {Node::desc(ty, shape, last)};
        std::vector<double> want(size_t(element_count(shape)));
        for (size_t i = 0; i < want.size(); ++i) {
          const size_t c = i % size_t(channels), image = i / (want.size() / 2);
          want[i] = node.value(x, i) * node.value(1 - x, image * size_t(channels) + c);
        }
        EXPECT_GT(node.expect(want, 2e-6, 10), 0);
      }
    }
  }
}

TEST(Elementwise, slopes_of_prelu_go_with_the_channels) {
  for (Layout layout : {Layout::plain, Layout::channels_last}) {
    Node node(PRelu{});
    node.input(Node::desc(f32, {2, 6, 3, 6}, layout));
    node.input(Node::desc(f32, {6}));
    node.q.outputs = {Node::desc(f32, {2, 6, 3, 6}, layout)};
    const auto order = logical_order(node.q.outputs[0].shape, layout);
    std::vector<double> want(order.size());
    for (size_t i = 0; i < want.size(); ++i) {
      const double x = node.value(0, i), s = node.value(1, order[i] / 18 % 6);
      want[i] = x >= 0 ? x : x * s;
    }
    EXPECT_GT(node.expect(want, 2e-7), 0);
  }
}

TEST(Elementwise, refuses_mixed_layouts_and_bare_integers) {
  Node node(Add{});
  node.input(Node::desc(f32, {2, 6, 3, 6}, Layout::plain));
  node.input(Node::desc(f32, {2, 6, 3, 6}, Layout::channels_last));
  node.q.outputs = {Node::desc(f32, {2, 6, 3, 6}, Layout::channels_last)};
  Node bare(Add{});
  TensorDesc d = Node::desc(u8, {8});
  d.quantization = nullptr;
  bare.input(d);
  bare.input(d);
  bare.q.outputs = {d};
  for (const Kernel* row : kernels_for("Add")) {
    if (std::string(row->provider) != "hone") continue;
    EXPECT_FALSE(row->supports(node.q));
    EXPECT_FALSE(row->supports(bare.q));
  }
}

}  // namespace
}  // namespace hone::cpu::test
