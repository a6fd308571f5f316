#include "grad/train_step.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/normalization.hpp"
#include "ops/reduce.hpp"
#include "ops/samples.hpp"

namespace hone {
namespace {

Value named(Builder& b, const char* name, Tensor t) {
  b.set_name(name);
  return b.constant(std::move(t));
}

// conv - batch norm - relu - global average - linear, with a residual around a second convolution.
Graph small_model() {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{4, 1, 6, 6}, "input");
  const Convolution same{.strides = {1, 1}, .pads_begin = {1, 1}, .pads_end = {1, 1}, .dilations = {1, 1}};
  const auto norm = [&](Value v, const std::string& n) {
    const Value gamma = named(b, (n + ".gamma").c_str(), random_tensor({3}, 5, 0.5, 1.5)),
                beta = named(b, (n + ".beta").c_str(), random_tensor({3}, 6));
    const Value mean = named(b, (n + ".mean").c_str(), Tensor(ElementType::f32, {3})),
                variance = named(b, (n + ".variance").c_str(), random_tensor({3}, 8, 1, 1.0001));
    b.set_name(n);
    return b(BatchNormInference{1e-5}, v, gamma, beta, mean, variance);
  };
  const Value w1 = named(b, "conv1.weight", random_tensor({3, 1, 3, 3}, 1));
  Value h = b(Relu{}, norm(b(same, x, w1), "bn1"));
  const Value w2 = named(b, "conv2.weight", random_tensor({3, 3, 3, 3}, 2, -0.3, 0.3));
  h = b(Relu{}, b(Add{}, norm(b(same, h, w2), "bn2"), h));
  h = b(ReduceMean{}, h, b.ints({2, 3}));
  const Value w3 = named(b, "fc.weight", random_tensor({2, 3}, 3));
  h = b(MatMul{false, true}, h, w3);
  h = b(Add{}, h, named(b, "fc.bias", Tensor(ElementType::f32, {2})));
  g.set_names(h.id, {"logits"});
  b.result(h, "logits");
  return g;
}

Datum input_of(const Graph& g, size_t i, double rate, size_t step) {
  const std::string& name = g.inputs()[i].node().name();
  if (name == "input") {
    Tensor x = random_tensor({4, 1, 6, 6}, 9);
    for (size_t k = 0; k < 72; ++k) x.data<float>()[k] += 1;  // the first two pictures are brighter
    return x;
  }
  if (name == "labels") return Tensor::of<int64_t>({4}, {0, 0, 1, 1});
  if (name == "learning_rate") return float_scalar(static_cast<float>(rate));
  if (name == "ema_decay") return float_scalar(0.5f);
  return float_scalar(static_cast<float>(step));
}

std::vector<double> losses(const TrainStep& s, size_t steps, double rate, VariableStore& store) {
  EvaluateOptions options;
  options.variables = &store;
  std::vector<double> out;
  for (size_t step = 1; step <= steps; ++step) {
    std::vector<Datum> in;
    for (size_t i = 0; i < s.graph.inputs().size(); ++i) in.push_back(input_of(s.graph, i, rate, step));
    out.push_back(evaluate(s.graph, in, options)[0].tensor().data<float>()[0]);
  }
  return out;
}

}  // namespace

TEST(TrainStep, lowers_the_loss_with_either_optimizer) {
  for (OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::adamw}) {
    TrainStepOptions o;
    o.optimizer = kind;
    o.ema_decay = 0.5;
    o.clip_norm = 5;
    const TrainStep s = train_step(small_model(), o);
    VariableStore store;
    const auto l = losses(s, 12, kind == OptimizerKind::sgd ? 0.05 : 0.02, store);
    EXPECT_LT(l.back(), 0.6 * l.front()) << "optimizer " << int(kind);
    EXPECT_TRUE(store.contains("ema/conv1.weight"));
    EXPECT_TRUE(store.contains("bn1.mean"));
    EXPECT_NE(store.at("bn1.mean").tensor().data<float>()[0], 0);
  }
}

TEST(TrainStep, takes_relu_and_residual_into_the_training_batch_norm) {
  const TrainStep s = train_step(small_model(), {});
  size_t relus = 0, norms = 0;
  for (NodeId id : s.graph.topological_order()) {
    relus += s.graph.handle(id).is<Relu>();
    if (const auto* n = s.graph.handle(id).as<BatchNormTraining>()) {
      ++norms;
      EXPECT_EQ(n->activation, NormActivation::relu);
    }
  }
  EXPECT_EQ(relus, 0u);
  EXPECT_EQ(norms, 2u);
}

TEST(TrainStep, leaves_norms_and_biases_out_of_weight_decay) {
  const TrainStep s = train_step(small_model(), {});
  for (const TrainableWeight& w : s.weights) {
    EXPECT_EQ(w.decays, w.variable_id.ends_with(".weight")) << w.variable_id;
    EXPECT_EQ(w.trainable, !w.variable_id.ends_with("mean") && !w.variable_id.ends_with("variance")) << w.variable_id;
  }
  EXPECT_EQ(s.weights.size(), 12u);
}

TEST(TrainStep, writes_weights_back_so_that_no_step_is_the_identity) {
  const Graph before = small_model();
  Graph after = before;
  const TrainStep s = train_step(before, {});
  VariableStore store;
  for (NodeId id : s.graph.topological_order()) {
    if (const auto* v = s.graph.handle(id).as<Variable>()) store[v->variable_id] = v->value;
  }
  write_back(after, s.weights, store);
  EXPECT_EQ(to_text(after, SIZE_MAX), to_text(before, SIZE_MAX));
  losses(s, 1, 0.05, store);
  write_back(after, s.weights, store);
  EXPECT_NE(to_text(after, SIZE_MAX), to_text(before, SIZE_MAX));
}

TEST(TrainStep, freezes_what_it_is_told_to) {
  TrainingFormOptions form;
  form.frozen = [](const std::string& name) { return name.starts_with("conv1") || name.starts_with("bn1"); };
  const TrainStep s = train_step(small_model(), {}, form);
  for (const TrainableWeight& w : s.weights) EXPECT_FALSE(form.frozen(w.variable_id));
  size_t weight_gradients = 0;
  for (NodeId id : s.graph.topological_order()) weight_gradients += s.graph.handle(id).is<ConvolutionBackpropWeights>();
  EXPECT_EQ(weight_gradients, 1u) << "frozen layers cost no gradient";
}

TEST(TrainStep, norms_that_share_statistics_part) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{4, 2}, "input");
  const Value ones = b.constant(random_tensor({2}, 1, 1, 1.0001)), zeros = b.constant(Tensor(ElementType::f32, {2}));
  Value y = b(BatchNormInference{1e-5}, x, ones, zeros, zeros, ones);
  y = b(BatchNormInference{1e-5}, b(MatMul{}, y, b.constant(random_tensor({2, 2}, 2))), ones, zeros, zeros, ones);
  b.result(y, "logits");
  const Tensor in = random_tensor({4, 2}, 3);
  const Tensor before = evaluate(g, {in})[0].tensor();
  separate_norms(g);
  const Tensor after = evaluate(g, {in})[0].tensor();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(after.data<float>()[i], before.data<float>()[i]);
  const TrainStep step = train_step(g, {});
  EXPECT_EQ(step.weights.size(), 9u);  // four of each norm, and the product
}

TEST(TrainStep, refuses_a_model_that_is_no_classifier) {
  Graph g;
  Builder b(g);
  b.result(b(Relu{}, b.parameter(ElementType::f32, PartialShape{1, 2, 3, 3})));
  EXPECT_THROW(train_step(g, {}), Error);
}

}  // namespace hone
