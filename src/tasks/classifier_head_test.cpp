#include "tasks/classifier_head.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/evaluate.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/reduce.hpp"
#include "ops/samples.hpp"

namespace hone {
namespace {

// A network of 4 features from 3-channel pictures, whose classifier a test adds.
struct Net {
  Graph g;
  Builder b{g};
  Value x = b.parameter(ElementType::f32, PartialShape{Dimension(), 3, 4, 4}, "x");
  Value conv(Value v, int64_t out, const std::string& name) {
    b.set_name(name + ".weight");
    const Value w = b.constant(random_tensor({out, v.shape()[1].min(), 1, 1}, 3));
    b.set_name(name);
    return b(Convolution{.strides = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}, .dilations = {1, 1}}, v, w);
  }
  Value features() { return b(ReduceMean{}, b(Relu{}, conv(x, 4, "body")), b.ints({2, 3})); }
  Value constant(const std::string& name, const Shape& shape) {
    b.set_name(name);
    const Value v = b.constant(random_tensor(shape, 5));
    g.set_names(v.id, {name});
    b.set_name("");
    return v;
  }
  void result(Value v) { b.result(v, "y"); }
};

Tensor run(const Graph& g, int64_t n = 2) {
  return evaluate(g, {random_tensor({n, 3, 4, 4}, 9)})[0].tensor();
}

std::string message_of(const Graph& g) {
  try {
    find_head(g);
  } catch (const Error& e) {
    return e.message() + " | " + e.hint();
  }
  return "";
}

}  // namespace

TEST(ClassifierHead, is_the_product_before_bias_and_softmax) {
  for (const bool transposed : {false, true}) {
    Net n;
    const Value w = n.constant("fc.weight", transposed ? Shape{7, 4} : Shape{4, 7}), f = n.features();
    n.b.set_name("fc");
    const Value product = n.b(MatMul{false, transposed}, f, w);
    const Value bias = n.constant("fc.bias", {7});
    n.result(n.b(Softmax{1}, n.b(Add{}, product, bias)));
    const ClassifierHead own = find_head(n.g);
    EXPECT_EQ(own.layer, product.node().id);
    EXPECT_EQ(own.name, "fc");
    EXPECT_EQ(own.features, 4);
    EXPECT_EQ(own.classes, 7);
    EXPECT_EQ(own.constants, (std::vector<NodeId>{w.node().id, bias.node().id}));

    Graph g = n.g;
    const ClassifierHead head = replace_head(g, 3, 1);
    EXPECT_EQ(head.classes, 3);
    EXPECT_EQ(g.outputs()[0].shape(), (PartialShape{Dimension(), 3}));
    ASSERT_EQ(head.constants.size(), 2u);
    const Value new_weight = g.handle(head.constants[0]).output(), new_bias = g.handle(head.constants[1]).output();
    EXPECT_EQ(new_weight.names(), std::vector<std::string>{"fc.weight"});
    EXPECT_EQ(new_bias.names(), std::vector<std::string>{"fc.bias"});
    EXPECT_EQ(new_weight.shape(), transposed ? (PartialShape{3, 4}) : (PartialShape{4, 3}));
    for (const float v : new_bias.constant().span<float>()) EXPECT_EQ(v, 0);
    for (const float v : new_weight.constant().span<float>()) EXPECT_NE(v, 0);
    // By the seed, and in front of it nothing changed.
    Graph same = n.g, other = n.g;
    replace_head(same, 3, 1);
    replace_head(other, 3, 2);
    EXPECT_EQ(to_text(g), to_text(same));
    EXPECT_NE(to_text(g), to_text(other));
    const Tensor y = run(g);
    EXPECT_EQ(y.shape(), (Shape{2, 3}));
    float sum = 0;
    for (const float v : y.span<float>()) sum += v;
    EXPECT_NEAR(sum, 2, 1e-5);  // probabilities of two pictures
  }
}

TEST(ClassifierHead, begins_with_the_deviation_that_is_written_down) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{1, 256}, "x");
  b.result(b(MatMul{}, x, b.constant(random_tensor({256, 10}, 1))), "y");
  const ClassifierHead head = replace_head(g, 40, 3);
  double sum = 0, squares = 0;
  const Tensor w = g.handle(head.constants[0]).output().constant();
  for (const float v : w.span<float>()) sum += v, squares += double(v) * double(v);
  const auto count = static_cast<double>(w.size());
  // 10240 numbers: the mean strays by 1 % of the deviation, the deviation by 0.7 % of itself.
  EXPECT_NEAR(sum / count, 0, 0.04 / std::sqrt(3 * 256.0));
  EXPECT_NEAR(std::sqrt(squares / count) * std::sqrt(3 * 256.0), 1, 0.03);
}

TEST(ClassifierHead, is_the_convolution_before_global_pooling) {
  Net n;  // as SqueezeNet and the MobileNets of TensorFlow have it
  const Value scores = n.b(Add{}, n.conv(n.conv(n.x, 4, "body"), 7, "classes"), n.constant("bias", {1, 7, 1, 1}));
  const Value pooled = n.b(ReduceMean{true}, n.b(Relu{}, scores), n.b.ints({2, 3}));
  n.result(n.b(Softmax{1}, n.b(Reshape{}, pooled, n.b.ints({-1, 7}))));
  const ClassifierHead head = replace_head(n.g, 5, 0);
  EXPECT_EQ(head.op, "Convolution");
  EXPECT_EQ(head.name, "classes");
  EXPECT_EQ(head.features, 4);
  EXPECT_EQ(run(n.g).shape(), (Shape{2, 5}));
}

TEST(ClassifierHead, gives_rows_of_scores_where_the_file_kept_places) {
  Net n;
  n.result(n.b(ReduceMean{true}, n.conv(n.x, 7, "classes"), n.b.ints({2, 3})));  // [N, 7, 1, 1]
  replace_head(n.g, 5, 0);
  EXPECT_EQ(n.g.outputs()[0].shape(), (PartialShape{Dimension(), 5}));
  EXPECT_EQ(run(n.g).shape(), (Shape{2, 5}));
}

TEST(ClassifierHead, follows_the_classes_through_transposes_and_shapes) {
  Net n;
  const Value t = n.b(Transpose{}, n.features(), n.b.ints({1, 0}));  // [4, N]
  const Value scores = n.b(MatMul{}, n.constant("w", {7, 4}), t);    // [7, N]
  const Value rows = n.b(Transpose{}, scores, n.b.ints({1, 0}));     // [N, 7]
  const Value places = n.b(Unsqueeze{}, rows, n.b.ints({2, 3}));     // [N, 7, 1, 1]
  n.result(n.b(Squeeze{}, n.b(Multiply{}, places, n.constant("s", {7, 1, 1})), n.b.ints({2, 3})));
  const ClassifierHead head = replace_head(n.g, 2, 0);
  ASSERT_EQ(head.constants.size(), 2u);
  EXPECT_EQ(n.g.handle(head.constants[0]).output().shape(), (PartialShape{2, 4}));
  EXPECT_EQ(n.g.handle(head.constants[1]).output().shape(), (PartialShape{2, 1, 1}));
  for (const float v : n.g.handle(head.constants[1]).output().constant().span<float>()) EXPECT_EQ(v, 1);
  EXPECT_EQ(run(n.g).shape(), (Shape{2, 2}));
}

TEST(ClassifierHead, one_probability_becomes_several) {
  Net n;  // a binary classifier as Keras writes it
  n.result(n.b(Sigmoid{}, n.b(Add{}, n.b(MatMul{}, n.features(), n.constant("w", {4, 1})), n.constant("bias", {1}))));
  const ClassifierHead head = replace_head(n.g, 2, 0);
  ASSERT_EQ(head.constants.size(), 2u);
  EXPECT_EQ(n.g.handle(head.constants[1]).output().shape(), PartialShape{2});
  EXPECT_TRUE(n.g.outputs()[0].node().is<Softmax>());
  EXPECT_EQ(run(n.g).shape(), (Shape{2, 2}));
}

TEST(ClassifierHead, weights_that_others_read_stay_for_them) {
  Net n;
  const Value w = n.constant("shared", {4, 7}), f = n.features();
  n.result(n.b(MatMul{}, f, w));
  n.b.result(n.b(MatMul{}, f, w), "second");
  const Tensor before = evaluate(n.g, {random_tensor({2, 3, 4, 4}, 9)})[1].tensor();
  replace_head(n.g, 3, 0);
  const auto after = evaluate(n.g, {random_tensor({2, 3, 4, 4}, 9)});
  EXPECT_EQ(after[0].tensor().shape(), (Shape{2, 3}));
  ASSERT_EQ(after[1].tensor().shape(), before.shape());
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(after[1].tensor().data<float>()[i], before.data<float>()[i]);
}

TEST(ClassifierHead, halves_stay_halves) {
  Net n;
  n.b.set_name("w");
  const Value w = n.b.constant(random_tensor({4, 7}, 5).converted(ElementType::f16));
  const Value f = n.b(Convert{ElementType::f16}, n.features());
  n.result(n.b(Convert{ElementType::f32}, n.b(MatMul{}, f, w)));
  const ClassifierHead head = replace_head(n.g, 3, 0);
  EXPECT_EQ(n.g.handle(head.constants[0]).output().element_type(), ElementType::f16);
}

TEST(ClassifierHead, says_what_stands_in_the_way) {
  {
    Net n;  // two branches
    const Value f = n.features(), one = n.b(MatMul{}, f, n.constant("a", {4, 7})),
                other = n.b(MatMul{}, f, n.constant("b", {4, 7}));
    n.b.set_name("join");
    n.result(n.b(Add{}, one, other));
    EXPECT_NE(message_of(n.g).find("Add 'join' joins two branches"), std::string::npos) << message_of(n.g);
    EXPECT_NE(message_of(n.g).find("--features"), std::string::npos);
    const std::string text = to_text(n.g);
    EXPECT_THROW(replace_head(n.g, 3, 0), Error);
    EXPECT_EQ(to_text(n.g), text);
  }
  {
    Net n;
    const Value s = n.b(MatMul{}, n.features(), n.constant("a", {4, 7}));
    const auto bound = [&](float v) { return n.b.scalar(v); };
    n.result(n.b(FakeQuantize{}, s, bound(-1), bound(1), bound(-1), bound(1)));
    EXPECT_NE(message_of(n.g).find("is quantized"), std::string::npos) << message_of(n.g);
  }
  {
    Net n;  // a map of features has no list of scores
    n.result(n.conv(n.x, 4, "body"));
    EXPECT_NE(message_of(n.g).find("no list of scores"), std::string::npos) << message_of(n.g);
  }
  {
    Net n;  // scores of no layer
    n.result(n.b(ReduceMean{}, n.x, n.b.ints({2, 3})));
    EXPECT_NE(message_of(n.g).find("Parameter 'x' stands between"), std::string::npos) << message_of(n.g);
  }
}

TEST(ClassifierHead, is_put_behind_features_by_name) {
  Net n;  // no classifier at all: what exports without a top give
  const Value body = n.b(Relu{}, n.conv(n.x, 6, "body"));
  n.g.set_names(body.id, {"map"});
  n.result(body);
  Graph g = n.g;
  const ClassifierHead head = add_head(g, "map", 3, 0);
  EXPECT_EQ(head.features, 6);
  EXPECT_EQ(run(g).shape(), (Shape{2, 3}));
  EXPECT_EQ(find_head(g).constants, head.constants);
  EXPECT_THROW(add_head(n.g, "nothing", 3, 0), Error);

  Net whole;  // before the end: the old classifier goes
  const Value f = whole.features();
  whole.g.set_names(f.id, {"features"});
  whole.result(whole.b(MatMul{}, f, whole.constant("old", {4, 7})));
  add_head(whole.g, "features", 3, 0);
  EXPECT_EQ(run(whole.g).shape(), (Shape{2, 3}));
  EXPECT_EQ(to_text(whole.g).find("old"), std::string::npos);
}

}  // namespace hone
