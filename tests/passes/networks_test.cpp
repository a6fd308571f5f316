// Pass pipelines on whole networks: what is left of the graph, and that the numbers stay.
#include <gtest/gtest.h>

#include <cmath>

#include "compress/quantize.hpp"
#include "grad/train_step.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"
#include "ops/samples.hpp"
#include "passes/fuse_epilogue.hpp"
#include "passes/layout.hpp"
#include "passes/pipeline.hpp"
#include "passes/precision.hpp"
#include "rewrite/fold.hpp"
#include "zoo/zoo.hpp"

namespace hone {
namespace {

using Counts = std::map<std::string, size_t>;

Counts counts(const Graph& g) {
  Counts c;
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (g.alive(id)) ++c[std::string(g.node(id).op->name)];
  }
  return c;
}

Graph network(const char* name, int64_t size, double multiplier = 1) {
  NetworkOptions options;
  options.classes = 5;
  options.height = options.width = size;
  options.multiplier = multiplier;
  options.seed = 3;
  return build_network(name, options);
}

std::vector<Datum> inputs_of(const Graph& g, uint64_t seed) {
  std::vector<Datum> in;
  for (const Value& v : g.inputs()) {
    Shape shape;
    for (const Dimension& d : v.shape().dims()) shape.push_back(d.is_static() ? d.min() : 2);
    in.push_back(random_tensor(shape, ++seed, 0, 1, v.element_type()));
  }
  return in;
}

double relative_error(const Tensor& got, const Tensor& want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += std::pow(get_element(got, i) - get_element(want, i), 2);
    norm += std::pow(get_element(want, i), 2);
  }
  return std::sqrt(error / std::max(norm, 1e-30));
}

std::vector<Pass> pipeline() {
  auto passes = canonicalize_passes();
  passes.push_back(fuse_epilogues_pass());
  passes.push_back(layout_pass());
  return passes;
}

Graph with_batch(Graph g, int64_t n) {
  std::map<ValueId, PartialShape> shapes;
  for (const Value& v : g.inputs()) {
    PartialShape s = v.shape();
    s[0] = Dimension(n);
    shapes[v.id] = s;
  }
  g.reshape(shapes);
  return g;
}

TEST(Networks, resnet_is_convolutions_with_epilogues_and_one_reorder) {
  const Graph before = with_batch(network("resnet20", 12), 2);
  Graph g = before;
  const PassReport report = run_passes(g, pipeline());
  verify(g);
  Counts want = counts(before), c = counts(g);
  EXPECT_EQ(c["Convolution"], want["Convolution"]);
  for (const char* gone : {"BatchNormInference", "Add", "Relu", "Multiply"}) EXPECT_EQ(c[gone], 0u) << gone;
  EXPECT_EQ(c["Reorder"], 1u);  // of the picture
  EXPECT_GT(report.fused, 40u);
  const auto in = inputs_of(before, 5);
  EXPECT_LT(relative_error(evaluate(g, in)[0].tensor(), evaluate(before, in)[0].tensor()), 1e-5);
}

TEST(Networks, mobilenet_v3_keeps_its_squeeze_and_excite_in_the_layout) {
  const Graph before = with_batch(network("mobilenet_v3_small", 32), 1);
  Graph g = before;
  run_passes(g, pipeline());
  verify(g);
  Counts c = counts(g);
  for (const char* gone : {"BatchNormInference", "HSwish", "HSigmoid", "Relu", "Add"}) EXPECT_EQ(c[gone], 0u) << gone;
  // Only values of one pixel change the tag, and these move nothing.
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id) || !g.handle(id).is<Reorder>()) continue;
    const Node p = g.handle(id).input(0).node();
    EXPECT_TRUE(p.is<Parameter>() || same_order_in_memory(p.output().shape())) << to_string(p.output().type());
  }
  const auto in = inputs_of(before, 5);
  EXPECT_LT(relative_error(evaluate(g, in)[0].tensor(), evaluate(before, in)[0].tensor()), 1e-4);
}

TEST(Networks, quantized_resnet_computes_on_integers_throughout) {
  Graph model = with_batch(network("resnet20", 8), 1);
  run_passes(model, canonicalize_passes());
  QuantizeOptions options;
  options.samples = 2;
  options.bias_correction_samples = 0;
  const auto data = [&](size_t i) -> std::optional<std::vector<Datum>> {
    return i < 2 ? std::optional(inputs_of(model, 11 * i)) : std::nullopt;
  };
  const Graph fake = quantize(model, data, options, reference_runner()).graph;
  Graph g = fake;
  auto passes = std::vector<Pass>{int8_pass(), fuse_epilogues_pass(), layout_pass()};
  FoldOptions fold;
  fold.keep_quantization = false;
  passes.push_back(fold_pass(fold));
  run_passes(g, passes);
  verify(g);
  Counts c = counts(g);
  EXPECT_EQ(c["FakeQuantize"], 0u);
  EXPECT_EQ(c["Dequantize"], 0u);
  EXPECT_EQ(c["Quantize"], 1u);  // of the picture
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id) || g.node(id).op->name != "Convolution") continue;
    EXPECT_EQ(g.handle(id).input(0).element_type(), ElementType::u8) << g.node(id).name;
    EXPECT_EQ(g.handle(id).input(1).element_type(), ElementType::i8) << g.node(id).name;
    EXPECT_TRUE(g.handle(id).output().type().quantization) << g.node(id).name;
  }
  const auto in = inputs_of(fake, 11);
  // Ties of the rounding may go the other way and travel through twenty layers.
  EXPECT_LT(relative_error(evaluate(g, in)[0].tensor(), evaluate(fake, in)[0].tensor()), 2e-2);
}

TEST(Networks, training_step_has_no_reorder_between_convolutions) {
  const Graph model = with_batch(network("resnet20", 8), 2);
  TrainStepOptions options;
  const Graph before = train_step(model, options).graph;
  Graph g = before;
  run_passes(g, {fold_pass(), find_pass("common_subexpressions"), fuse_epilogues_pass(), layout_pass(),
                 find_pass("dead_code")});
  verify(g);
  size_t moving = 0;
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (!g.alive(id) || !g.handle(id).is<Reorder>()) continue;
    moving += !same_order_in_memory(g.handle(id).output().shape());
  }
  EXPECT_EQ(moving, 1u);  // the pictures
  std::vector<Datum> in;
  for (const Value& v : before.inputs()) {
    const Shape s = v.shape().to_shape();
    in.push_back(is_float(v.element_type()) ? random_tensor(s, 7, 0, 0.1)
                                            : random_tensor(s, 7, 0, 4.9, v.element_type()));
  }
  VariableStore a, b;
  EvaluateOptions ea, eb;
  ea.variables = &a;
  eb.variables = &b;
  const auto want = evaluate(before, in, ea), got = evaluate(g, in, eb);
  EXPECT_LT(relative_error(got[0].tensor(), want[0].tensor()), 1e-5);
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, value] : a) EXPECT_LT(relative_error(b.at(name).tensor(), value.tensor()), 1e-4) << name;
}

}  // namespace
}  // namespace hone
