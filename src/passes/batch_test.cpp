#include "passes/batch.hpp"

#include <gtest/gtest.h>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/samples.hpp"

namespace hone {
namespace {

// A network whose file was written with this input and this target of its Reshape.
struct Written {
  Graph g;
  ValueId input;
};
Written written(const PartialShape& input, const std::vector<int64_t>& target, bool special_zero = false) {
  Written w;
  Builder b(w.g);
  const Value x = b.parameter(ElementType::f32, input, "x");
  b.result(b(Relu{}, b(Reshape{special_zero}, x, b.ints(target))), "y");
  w.input = x.id;
  return w;
}

PartialShape output(const Graph& g) {
  return g.outputs()[0].shape();
}

Tensor run(const Graph& g, const Tensor& x) {
  return evaluate(g, {x})[0].tensor();
}

}  // namespace

TEST(Batch, numbers_in_reshapes_follow_it) {
  struct Case {
    PartialShape input;
    std::vector<int64_t> target;
    PartialShape larger, output;
  };
  const Case cases[] = {
      {{1, 4, 2, 2}, {1, 16}, {5, 4, 2, 2}, {5, 16}},      // flattened
      {{1, 4, 2, 2}, {1, -1}, {5, 4, 2, 2}, {5, 16}},      // with a size that is inferred
      {{1, 16}, {1, 1, 16}, {5, 16}, {5, 1, 16}},          // of two ones the first is the batch
      {{1, 6, 8}, {1, 6, 2, 4}, {5, 6, 8}, {5, 6, 2, 4}},  // heads
      {{3, 6, 8}, {3, 48}, {7, 6, 8}, {7, 48}},            // a batch other than 1
      {{1, 16}, {-1, 16}, {5, 16}, {5, 16}},               // which follows by itself
  };
  for (const Case& c : cases) {
    Written w = written(c.input, c.target);
    const Graph before = w.g;
    reshape_with_batch(w.g, {{w.input, c.larger}});
    EXPECT_EQ(output(w.g), c.output) << to_string(c.input);
    // Each part of the batch comes out as it did alone.
    const Tensor x = random_tensor(c.larger.to_shape(), 1, -1, 1, ElementType::f32), y = run(w.g, x);
    const auto own = static_cast<size_t>(element_count(c.input.to_shape()));
    Tensor first(ElementType::f32, c.input.to_shape());
    std::copy_n(x.data<float>(), own, first.data<float>());
    const Tensor alone = run(before, first);
    for (size_t i = 0; i < own; ++i) EXPECT_EQ(y.data<float>()[i], alone.data<float>()[i]) << to_string(c.input);
  }
}

TEST(Batch, open_batches_stay_open_behind_reshapes) {
  Written w = written({1, 4, 2, 2}, {1, 16});
  EXPECT_EQ(reshape_with_batch(w.g, {{w.input, PartialShape{Dimension(), 4, 2, 2}}}), 1u);
  EXPECT_EQ(output(w.g).rank(), 2u);
  EXPECT_TRUE(output(w.g)[0].is_dynamic());
  EXPECT_EQ(output(w.g)[1], Dimension(16));
  // And back to numbers.
  EXPECT_EQ(reshape_with_batch(w.g, {{w.input, PartialShape{3, 4, 2, 2}}}), 0u);
  EXPECT_EQ(output(w.g), (PartialShape{3, 16}));
}

TEST(Batch, follows_through_an_axis_that_is_not_the_first) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{1, 5, 8}, "x");
  const Value turned = b(Transpose{}, x, b.ints({1, 0, 2}));
  b.result(b(Reshape{}, turned, b.ints({5, 1, 2, 4})), "y");
  EXPECT_EQ(reshape_with_batch(g, {{x.id, PartialShape{3, 5, 8}}}), 1u);
  EXPECT_EQ(output(g), (PartialShape{5, 3, 2, 4}));
}

TEST(Batch, a_reshape_that_mixes_samples_is_refused_and_nothing_changes) {
  // [1, 4, 6] -> [2, 12] cuts a sample in two.
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{1, 4, 6}, "x");
  b.result(b(Reshape{}, x, b.ints({2, 12})), "y");
  EXPECT_THROW(reshape_with_batch(g, {{x.id, PartialShape{3, 4, 6}}}), Error);
  EXPECT_EQ(g.inputs()[0].shape(), (PartialShape{1, 4, 6}));
  EXPECT_EQ(output(g), (PartialShape{2, 12}));
  // What fails behind a reshape that could follow takes that back too.
  Graph h;
  Builder c(h);
  const Value z = c.parameter(ElementType::f32, PartialShape{1, 4, 6}, "x");
  const Value flat = c(Reshape{}, z, c.ints({1, 24}));
  c.result(c(Reshape{}, flat, c.ints({2, 12})), "y");
  const size_t nodes = h.num_nodes();
  EXPECT_THROW(reshape_with_batch(h, {{z.id, PartialShape{3, 4, 6}}}), Error);
  EXPECT_EQ(h.num_nodes(), nodes);
  EXPECT_EQ(flat.node().input(1).constant().to_ints(), (std::vector<int64_t>{1, 24}));
}

TEST(Batch, sizes_that_are_no_batch_do_not_follow) {
  Written w = written({1, 1, 4}, {1, 4});
  EXPECT_THROW(reshape_with_batch(w.g, {{w.input, PartialShape{1, 2, 4}}}), Error);
}

}  // namespace hone
