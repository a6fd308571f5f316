#include "grad/clip_units.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/basic.hpp"
#include "ops/convolution.hpp"
#include "ops/evaluate.hpp"
#include "ops/matmul.hpp"
#include "ops/samples.hpp"

namespace hone {
namespace {

// The clipped gradient of a weight that a product reads.
Tensor clipped(const Tensor& weight, const Tensor& gradient, double ratio, bool transposed) {
  Graph g;
  Builder b(g);
  const Value w = b(Variable{weight, "w", true}), x = b.parameter(ElementType::f32, PartialShape{1, 2}, "x");
  b.result(b(MatMul{false, transposed}, x, w), "y");
  b.result(clip_units(b, w, b.constant(gradient), ratio), "clipped");
  return evaluate(g, {random_tensor({1, 2}, 1)})[1].tensor();
}

}  // namespace

TEST(ClipUnits, bounds_the_gradient_of_each_output_by_its_weights) {
  // Outputs are columns: weights of length 5 and 1, gradients of length 10 and 0.1.
  const Tensor w = Tensor::of<float>({2, 2}, {3, 1, 4, 0}), g = Tensor::of<float>({2, 2}, {6, 0.1f, 8, 0});
  const Tensor columns = clipped(w, g, 0.5, false);
  EXPECT_NEAR(columns.data<float>()[0], 1.5f, 1e-6);  // 10 -> 0.5 * 5
  EXPECT_NEAR(columns.data<float>()[2], 2.0f, 1e-6);
  EXPECT_NEAR(columns.data<float>()[1], 0.1f, 1e-6);  // short enough
  // Outputs are rows: weights of length sqrt(10) and 4, gradients of length 6.0008 and 8.
  const Tensor rows = clipped(w, g, 0.5, true);
  EXPECT_NEAR(std::hypot(rows.data<float>()[0], rows.data<float>()[1]), 0.5 * std::sqrt(10.0), 1e-5);
  EXPECT_NEAR(rows.data<float>()[2], 2.0f, 1e-6);
}

TEST(ClipUnits, lets_zeros_grow) {
  const Tensor y = clipped(Tensor(ElementType::f32, {2, 2}), Tensor::of<float>({2, 2}, {3, 0, 4, 0}), 0.5, false);
  EXPECT_NEAR(std::hypot(y.data<float>()[0], y.data<float>()[2]), 0.5e-3, 1e-8);
  EXPECT_EQ(y.data<float>()[1], 0);  // no gradient, no division by it
}

TEST(ClipUnits, knows_the_outputs_of_convolutions) {
  Graph g;
  Builder b(g);
  const Value w = b(Variable{Tensor::of<float>({2, 1, 1, 2}, {3, 4, 0, 1}), "w", true});
  const Value x = b.parameter(ElementType::f32, PartialShape{1, 1, 1, 4}, "x");
  b.result(b(Convolution{.strides = {1, 1}, .pads_begin = {0, 0}, .pads_end = {0, 0}, .dilations = {1, 1}}, x, w), "y");
  b.result(clip_units(b, w, b.constant(Tensor::of<float>({2, 1, 1, 2}, {30, 40, 0, 0.1f})), 1), "clipped");
  const Tensor y = evaluate(g, {random_tensor({1, 1, 1, 4}, 1)})[1].tensor();
  EXPECT_NEAR(y.data<float>()[0], 3, 1e-5);
  EXPECT_NEAR(y.data<float>()[1], 4, 1e-5);
  EXPECT_NEAR(y.data<float>()[3], 0.1f, 1e-6);
}

}  // namespace hone
