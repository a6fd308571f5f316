#include "ops/kept_boxes.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "graph/builder.hpp"
#include "ops/evaluate.hpp"
#include "ops/indexing.hpp"
#include "ops/samples.hpp"

namespace hone {
namespace {

// What a run of greedy suppression keeps, with each box compared with each.
std::vector<size_t> compared_with_all(const std::vector<UprightBox>& boxes, float threshold) {
  std::vector<size_t> kept;
  for (size_t i = 0; i < boxes.size(); ++i) {
    bool suppressed = false;
    for (size_t k : kept) suppressed |= overlap(boxes[i], boxes[k]) > threshold;
    if (!suppressed) kept.push_back(i);
  }
  return kept;
}

std::vector<size_t> found_by_place(const std::vector<UprightBox>& boxes, float threshold) {
  std::vector<size_t> kept;
  KeptBoxes k(threshold, boxes.size());
  for (size_t i = 0; i < boxes.size(); ++i) {
    if (k.suppress(boxes[i])) continue;
    k.add(boxes[i]);
    kept.push_back(i);
  }
  return kept;
}

std::vector<UprightBox> scattered(uint32_t seed, size_t n, float extent, float smallest, float largest) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> place(-extent, extent), size(std::log(smallest), std::log(largest));
  std::vector<UprightBox> boxes;
  for (size_t i = 0; i < n; ++i) {
    const float y = place(random), x = place(random), h = std::exp(size(random)), w = std::exp(size(random));
    boxes.emplace_back(y, x, y + h, x + w);
  }
  return boxes;
}

TEST(KeptBoxes, keep_what_comparing_with_all_keeps) {
  for (const auto& [extent, smallest, largest] :
       {std::tuple{1.0f, 0.01f, 0.5f}, {300.0f, 1.0f, 600.0f}, {20000.0f, 10.0f, 300.0f}, {5.0f, 1e-5f, 1e5f}}) {
    for (float threshold : {0.0f, 0.1f, 0.45f, 0.7f, 1.0f}) {
      const auto boxes = scattered(7, 1500, extent, smallest, largest);
      EXPECT_EQ(found_by_place(boxes, threshold), compared_with_all(boxes, threshold)) << extent << " " << threshold;
    }
  }
}

TEST(KeptBoxes, near_copies_of_a_few_boxes) {
  std::vector<UprightBox> boxes;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    for (UprightBox b : scattered(1, 20, 50, 4, 64)) {
      const float shift = static_cast<float>(seed) * 0.37f;
      boxes.emplace_back(b.y1 + shift, b.x1 - shift, b.y2 + shift, b.x2 + shift);
    }
  }
  for (float threshold : {0.3f, 0.5f, 0.9f})
    EXPECT_EQ(found_by_place(boxes, threshold), compared_with_all(boxes, threshold)) << threshold;
}

TEST(KeptBoxes, boxes_without_end_area_or_number) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  auto boxes = scattered(3, 200, 10, 1, 20);
  for (const UprightBox& b : scattered(4, 60, 10, 1, 20)) {
    boxes.emplace_back(b.y1, -inf, b.y2, b.x2);
    boxes.emplace_back(b.y1, nan, b.y2, b.x2);
    boxes.emplace_back(nan, b.x1, b.y2, b.x2);
    boxes.emplace_back(b.y1, b.x1, b.y2, b.x1);
    boxes.emplace_back(b.y1, b.x2, b.y2, b.x1);
    boxes.emplace_back(b.y1, b.x1, b.y2, 1e20f);
    boxes.emplace_back(b.y1, b.x1 + 1e13f, b.y2, b.x1 + 1.1e13f);
    boxes.emplace_back(b.y1, b.x1, b.y2, b.x2);
  }
  for (float threshold : {0.0f, 0.5f})
    EXPECT_EQ(found_by_place(boxes, threshold), compared_with_all(boxes, threshold)) << threshold;
}

TEST(NonMaxSuppression, many_boxes_of_several_classes) {
  const size_t n = 400;
  const auto boxes = scattered(9, n, 40, 5, 40);
  Tensor corners(ElementType::f32, {1, int64_t{n}, 4});
  for (size_t i = 0; i < n; ++i) {
    const float row[4] = {boxes[i].y1, boxes[i].x1, boxes[i].y2, boxes[i].x2};
    std::copy_n(row, 4, corners.data<float>() + i * 4);
  }
  const Tensor scores = random_tensor({1, 3, int64_t{n}}, 5, 0, 1);
  Graph g;
  Builder b(g);
  NonMaxSuppression op;
  op.sort_result_descending = false;
  const auto scalar = [&](float v) { return b.constant(Tensor::scalar<float>(v)); };
  const Values out = b.all(op, {b.parameter(ElementType::f32, PartialShape(corners.shape())),
                                b.parameter(ElementType::f32, PartialShape(scores.shape())),
                                b.constant(Tensor::scalar<int64_t>(1000)), scalar(0.3f), scalar(0.1f)});
  b.result(out[0]);
  const Tensor got = evaluate(g, {corners, scores})[0].tensor();
  std::vector<int64_t> wanted;
  for (size_t c = 0; c < 3; ++c) {
    std::vector<size_t> order;
    const float* s = scores.data<float>() + c * n;
    for (size_t i = 0; i < n; ++i) {
      if (s[i] > 0.1f) order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(), [&](size_t p, size_t q) { return s[p] > s[q]; });
    std::vector<UprightBox> sorted;
    for (size_t i : order) sorted.push_back(boxes[i]);
    for (size_t k : compared_with_all(sorted, 0.3f)) {
      for (int64_t v : {int64_t{0}, static_cast<int64_t>(c), static_cast<int64_t>(order[k])}) wanted.push_back(v);
    }
  }
  EXPECT_EQ(got.to_ints(), wanted);
}

}  // namespace
}  // namespace hone
