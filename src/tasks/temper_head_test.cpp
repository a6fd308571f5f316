#include "tasks/temper_head.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/samples.hpp"
#include "train/evaluate_classifier.hpp"

namespace hone {
namespace {

std::unique_ptr<data::Dataset> noise(size_t n) {
  const Tensor random = random_tensor({static_cast<int64_t>(n), 16}, 3, 0, 255);
  auto pixels = std::make_shared<std::vector<uint8_t>>();
  data::PixelBlock block;
  block.name = "noise";
  block.width = block.height = 4;
  for (size_t i = 0; i < n; ++i) block.labels.push_back(static_cast<uint8_t>(i % 5));
  for (const float v : random.span<float>()) pixels->push_back(static_cast<uint8_t>(v));
  block.pixels = pixels->data();
  block.owner = pixels;
  return data::make_memory_dataset("noise", {"a", "b", "c", "d", "e"}, {block});
}

// Raw pixels times weights of one, which an exporter keeps in another shape.
Graph raw(bool relu) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{1, 1, 4, 4}, "x");
  const Value w = b(Reshape{}, b.constant(random_tensor({4, 4, 5}, 1)), b.ints({16, 5}));
  Value y = b(Add{}, b(MatMul{}, b(Reshape{}, x, b.ints({1, 16})), w), b.constant(random_tensor({5}, 2)));
  if (relu) y = b(Relu{}, y);
  b.result(b(Softmax{1}, y), "y");
  return g;
}

std::vector<int64_t> answers(const Graph& g, const data::Dataset& data, const data::Preprocessing& p) {
  std::vector<int64_t> best;
  CompileOptions c;
  c.threads = 1;
  Graph logits = g;
  logits.set_input(logits.results()[0], 0, logits.outputs()[0].node().input(0).id);
  score_samples(logits, data, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, p, c, 5,
                [&](uint32_t, int64_t, std::span<const float> s) { best.push_back(best_class(s)); });
  return best;
}

}  // namespace

TEST(TemperHead, brings_scores_of_raw_pixels_into_reach_and_changes_no_answer) {
  const auto data = noise(10);
  data::Preprocessing p;
  p.resize = data::ResizeRule::exact;
  p.width = p.height = 4;
  p.color = data::ColorOrder::grey;
  CompileOptions c;
  c.threads = 1;
  std::vector<uint32_t> all{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  Graph g = raw(false);
  const auto before = answers(g, *data, p);
  const double t = temper_head(g, find_head(g), *data, all, p, c);
  EXPECT_GT(t, 10);
  EXPECT_EQ(answers(g, *data, p), before);
  EXPECT_EQ(temper_head(g, find_head(g), *data, all, p, c), 1) << "once is enough";
  // Pixels in [0, 1] give scores in reach.
  Graph fits = raw(false);
  const std::string text = to_text(fits);
  data::Preprocessing small = p;
  small.scale = {255};
  EXPECT_EQ(temper_head(fits, find_head(fits), *data, all, small, c), 1);
  EXPECT_EQ(to_text(fits), text);
  Graph bent = raw(true);
  EXPECT_EQ(temper_head(bent, find_head(bent), *data, all, p, c), 1) << "not linear";
}

}  // namespace hone
