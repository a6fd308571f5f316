#include "tasks/linear_probe.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "data/random.hpp"
#include "graph/builder.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/samples.hpp"
#include "train/evaluate_classifier.hpp"

namespace hone {
namespace {

// Three classes around points, far from zero and of any scale.
struct Points {
  std::vector<float> x;
  std::vector<int64_t> y;
};
Points points(size_t n, float scale) {
  constexpr float centers[3][2] = {{0, 3}, {3, 0}, {-2, -2}};
  Points p;
  data::Random random{5};
  for (size_t i = 0; i < n; ++i) {
    const size_t c = i % 3;
    for (size_t k = 0; k < 2; ++k)
      p.x.push_back(scale * (centers[c][k] + 10 + 0.5f * static_cast<float>(random.normal())));
    p.y.push_back(static_cast<int64_t>(c));
  }
  return p;
}

size_t right(const LinearProbe& probe, const Points& p) {
  size_t n = 0;
  for (size_t i = 0; i < p.y.size(); ++i) {
    std::vector<float> s(3);
    for (size_t c = 0; c < 3; ++c)
      s[c] = probe.bias[c] + probe.weights[c * 2] * p.x[i * 2] + probe.weights[c * 2 + 1] * p.x[i * 2 + 1];
    n += best_class(s) == p.y[i];
  }
  return n;
}

// Grey 4 x 4 pictures: bright above or bright below.
std::unique_ptr<data::Dataset> halves(size_t n) {
  auto pixels = std::make_shared<std::vector<uint8_t>>(n * 16);
  data::PixelBlock block;
  block.name = "halves";
  block.width = block.height = 4;
  data::Random random{7};
  for (size_t i = 0; i < n; ++i) {
    block.labels.push_back(static_cast<uint8_t>(i % 2));
    for (size_t k = 0; k < 16; ++k)
      (*pixels)[i * 16 + k] = static_cast<uint8_t>(((k < 8) == (i % 2 == 0) ? 150 : 50) + random.below(100));
  }
  block.pixels = pixels->data();
  block.owner = pixels;
  return data::make_memory_dataset("halves", {"above", "below"}, {block});
}

data::Preprocessing grey4() {
  data::Preprocessing p;
  p.resize = data::ResizeRule::exact;
  p.width = p.height = 4;
  p.color = data::ColorOrder::grey;
  return p;
}

std::vector<uint32_t> first(uint32_t n) {
  std::vector<uint32_t> v;
  for (uint32_t i = 0; i < n; ++i) v.push_back(i);
  return v;
}

}  // namespace

TEST(LinearProbe, separates_features_of_any_scale) {
  for (const float scale : {1e-3f, 1.0f, 1e4f}) {
    const Points p = points(90, scale);
    const LinearProbe probe = fit_probe(p.x, p.y, 2, 3);
    EXPECT_EQ(right(probe, p), 90u) << scale;
    // Scores follow the labels' smoothing, not the scale of the features.
    float largest = 0;
    for (size_t c = 0; c < 3; ++c)
      largest = std::max(largest,
                         std::abs(probe.bias[c] + probe.weights[c * 2] * p.x[0] + probe.weights[c * 2 + 1] * p.x[1]));
    EXPECT_LT(largest, 10) << scale;
  }
}

TEST(LinearProbe, learns_nothing_from_features_that_say_nothing) {
  const std::vector<float> x(40, 3.0f);
  const std::vector<int64_t> y{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
  const LinearProbe probe = fit_probe(x, y, 2, 2);
  for (const float w : probe.weights) EXPECT_NEAR(w, 0, 1e-6);
  EXPECT_NEAR(probe.bias[0], probe.bias[1], 1e-6);
}

TEST(LinearProbe, fits_a_new_head_in_its_own_form) {
  const auto data = halves(40);
  for (const bool transposed : {false, true}) {
    for (const bool biased : {false, true}) {
      Graph g;
      Builder b(g);
      const Value x = b.parameter(ElementType::f32, PartialShape{1, 1, 4, 4}, "x");
      const Value f = b(Relu{}, b(MatMul{}, b(Reshape{}, x, b.ints({1, 16})), b.constant(random_tensor({16, 12}, 1))));
      Value y = b(MatMul{false, transposed}, f, b.constant(random_tensor(transposed ? Shape{5, 12} : Shape{12, 5}, 2)));
      if (biased) y = b(Add{}, y, b.constant(random_tensor({5}, 3)));
      b.result(b(Softmax{1}, y), "y");
      const ClassifierHead head = replace_head(g, 2, 0);
      CompileOptions c;
      c.threads = 1;
      ASSERT_TRUE(probe_head(g, head, *data, first(40), grey4(), c));
      size_t correct = 0;
      score_samples(g, *data, first(40), grey4(), c, 8,
                    [&](uint32_t, int64_t label, std::span<const float> s) { correct += best_class(s) == label; });
      EXPECT_EQ(correct, 40u) << transposed << biased;
    }
  }
}

TEST(LinearProbe, fits_a_convolution_before_pooling) {
  const auto data = halves(40);
  for (const bool relu : {false, true}) {
    Graph g;
    Builder b(g);
    const Convolution window{.strides = {2, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}, .dilations = {1, 1}};
    const Convolution one{.strides = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}, .dilations = {1, 1}};
    const Value x = b.parameter(ElementType::f32, PartialShape{1, 1, 4, 4}, "x");
    // The upper and the lower half are told apart by the place alone, so weights see the whole height.
    const Value f = b(window, x, b.constant(random_tensor({8, 1, 4, 2}, 1)));
    Value y =
        b(Add{}, b(one, f, b.constant(random_tensor({5, 8, 1, 1}, 2))), b.constant(random_tensor({1, 5, 1, 1}, 3)));
    if (relu) y = b(Relu{}, y);
    b.result(b(Softmax{1}, b(Reshape{}, b(ReduceMean{true}, y, b.ints({2, 3})), b.ints({1, 5}))), "y");
    const ClassifierHead head = replace_head(g, 2, 0);
    CompileOptions c;
    c.threads = 1;
    ASSERT_TRUE(probe_head(g, head, *data, first(40), grey4(), c));
    size_t correct = 0;
    score_samples(g, *data, first(40), grey4(), c, 8,
                  [&](uint32_t, int64_t label, std::span<const float> s) { correct += best_class(s) == label; });
    EXPECT_EQ(correct, 40u) << relu;
  }
}

TEST(LinearProbe, leaves_heads_alone_that_are_not_linear) {
  const auto data = halves(8);
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{1, 1, 4, 4}, "x");
  const Value f = b(Reshape{}, x, b.ints({1, 16}));
  b.result(b(Relu{}, b(MatMul{}, f, b.constant(random_tensor({16, 5}, 2)))), "y");
  const ClassifierHead head = replace_head(g, 2, 0);
  CompileOptions c;
  c.threads = 1;
  EXPECT_FALSE(probe_head(g, head, *data, first(8), grey4(), c));
}

}  // namespace hone
