#include "compress/quantize.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/ranges.hpp"
#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"
#include "ops/quantize.hpp"
#include "ops/samples.hpp"

namespace hone {
namespace {

// Two convolutions with bias and ReLU, average, linear.
Graph model() {
  return parse_graph(R"(graph g {
    %x = Parameter() {element_type=f32,shape=[1,3,8,8]} "x"
    %w1 = Constant() {value=f32[8,3,3,3]{random:1}} "conv1.weight"
    %b1 = Constant() {value=f32[1,8,1,1]{random:2}} "conv1.bias"
    %c1 = Convolution(%x, %w1) {strides=[1,1],pads_begin=[1,1],pads_end=[1,1],dilations=[1,1]} "conv1"
    %a1 = Add(%c1, %b1) "conv1/add"
    %r1 = Relu(%a1) "relu1"
    %w2 = Constant() {value=f32[8,8,3,3]{random:3}} "conv2.weight"
    %c2 = Convolution(%r1, %w2) {strides=[2,2],pads_begin=[1,1],pads_end=[1,1],dilations=[1,1]} "conv2"
    %r2 = Relu(%c2) "relu2"
    %axes = Constant() {value=i64[2]{2,3}}
    %m = ReduceMean(%r2, %axes) "mean"
    %w3 = Constant() {value=f32[5,8]{random:4}} "fc.weight"
    %y = MatMul(%m, %w3) {transpose_b=true} "fc"
    Result(%y) "y"
  })");
}

CalibrationData calibration(size_t n) {
  return [n](size_t i) -> std::optional<std::vector<Datum>> {
    if (i >= n) return std::nullopt;
    return std::vector<Datum>{random_tensor({1, 3, 8, 8}, 100 + i)};
  };
}

double relative_error(const Graph& a, const Graph& b) {
  double e = 0, n = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const Tensor x = random_tensor({1, 3, 8, 8}, seed);
    const auto p = evaluate(a, {x})[0].tensor().to_doubles(), q = evaluate(b, {x})[0].tensor().to_doubles();
    for (size_t i = 0; i < p.size(); ++i) {
      e += (p[i] - q[i]) * (p[i] - q[i]);
      n += p[i] * p[i];
    }
  }
  return std::sqrt(e / n);
}

}  // namespace

TEST(Ranges, follow_the_formulas) {
  // Symmetric weights: 1 % of the largest at least.
  const QuantizerRange w = symmetric_weights({1.0f, 0.001f});
  EXPECT_EQ(w.high, (std::vector<float>{1.0f, 0.01f}));
  EXPECT_EQ(w.levels, 255);
  // Unsigned where nothing is negative, else one more step below.
  EXPECT_EQ(symmetric_activations(0, 6).low[0], 0.0f);
  EXPECT_FLOAT_EQ(symmetric_activations(-1, 2).low[0], -2.0f * 128 / 127);
  // Asymmetric: zero is a level.
  const QuantizerRange a = asymmetric_activations(-0.37f, 5.1f);
  const float scale = (a.high[0] - a.low[0]) / 255;
  EXPECT_NEAR(std::nearbyint(a.low[0] / scale), a.low[0] / scale, 1e-3);
  EXPECT_LE(a.low[0], -0.36f);
  EXPECT_GE(a.high[0], 5.09f);
}

TEST(Quantize, stays_close_to_the_float_model_and_reports_what_it_did) {
  const Graph m = model();
  const Quantized q = quantize(m, calibration(20), {}, reference_runner());
  verify(q.graph);
  EXPECT_EQ(q.report.quantized_nodes, 3u);
  EXPECT_EQ(q.report.kept_nodes, 0u);
  EXPECT_DOUBLE_EQ(q.report.mac_share, 1);
  // Random weights and few samples: ranges clip some of what was not seen.
  EXPECT_LT(relative_error(m, q.graph), 0.2);
  EXPECT_GT(relative_error(m, q.graph), 0) << "nothing was quantized";
  size_t count = 0;
  for (NodeId id : q.graph.topological_order()) count += q.graph.handle(id).is<FakeQuantize>();
  EXPECT_EQ(count, 7u);  // three weights; the inputs of both convolutions, of the mean and of the product
}

TEST(Quantize, corrects_the_shift_of_the_means) {
  const Graph m = model();
  QuantizeOptions plain, corrected;
  plain.bias_correction_samples = 0;
  corrected.bias_correction_samples = 20;
  const auto mean_shift = [&](const Graph& g) {
    std::vector<double> shift(5, 0);
    for (size_t i = 0; i < 20; ++i) {
      const auto x = *calibration(20)(i);
      const auto p = evaluate(m, x)[0].tensor().to_doubles(), q = evaluate(g, x)[0].tensor().to_doubles();
      for (size_t k = 0; k < 5; ++k) shift[k] += (p[k] - q[k]) / 20;
    }
    double worst = 0;
    for (double s : shift) worst = std::max(worst, std::fabs(s));
    return worst;
  };
  EXPECT_LT(mean_shift(quantize(m, calibration(20), corrected, reference_runner()).graph),
            0.2 * mean_shift(quantize(m, calibration(20), plain, reference_runner()).graph) + 1e-6);
}

TEST(Quantize, returns_the_worst_layers_to_float_beyond_the_accepted_drop) {
  const Graph m = model();
  QuantizeOptions o;
  o.max_drop = 0.004;
  o.metric = [&](const Graph& g) { return -relative_error(m, g); };
  const Quantized q = quantize(m, calibration(20), o, reference_runner());
  EXPECT_LE(q.report.drop, 0.004);
  EXPECT_GT(q.report.kept_nodes, 0u);
  EXPECT_LT(q.report.mac_share, 1);
  EXPECT_EQ(q.report.kept.size(), q.report.kept_nodes);
}

TEST(Quantize, refuses_what_it_cannot_do) {
  EXPECT_THROW(quantize(model(), calibration(0), {}, reference_runner()), Error) << "no samples";
  const Quantized q = quantize(model(), calibration(2), {}, reference_runner());
  EXPECT_THROW(quantize(q.graph, calibration(2), {}, reference_runner()), Error) << "quantized already";
  EXPECT_THROW(
      quantize(parse_graph("graph g {\n%x = Parameter() {element_type=f32,shape=[1,4]}\n%y = Relu(%x)\nResult(%y)\n}"),
               calibration(2), {}, reference_runner()),
      Error);
}

}  // namespace hone
