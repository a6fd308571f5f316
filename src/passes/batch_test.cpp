#include "passes/batch.hpp"

#include <gtest/gtest.h>

#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/evaluate.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
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

TEST(Batch, sizes_that_are_no_batch_do_not_follow) {
  Written w = written({1, 1, 4}, {1, 4});
  EXPECT_THROW(reshape_with_batch(w.g, {{w.input, PartialShape{1, 2, 4}}}), Error);
}

// Each sample of a batch comes out as it does alone.
void expect_samples_apart(const Graph& one, const Graph& many, int64_t n, const Shape& sample) {
  Shape all = sample;
  all[0] = n * sample[0];
  const Tensor x = random_tensor(all, 3, -1, 1, ElementType::f32), y = run(many, x);
  const auto in = static_cast<size_t>(element_count(sample));
  for (int64_t k = 0; k < n; ++k) {
    Tensor part(ElementType::f32, sample);
    std::copy_n(x.data<float>() + static_cast<size_t>(k) * in, in, part.data<float>());
    const Tensor alone = run(one, part);
    ASSERT_EQ(y.size(), alone.size() * static_cast<size_t>(n));
    for (size_t i = 0; i < alone.size(); ++i)
      ASSERT_NEAR(y.data<float>()[static_cast<size_t>(k) * alone.size() + i], alone.data<float>()[i], 1e-5) << k;
  }
}

TEST(Batch, rows_of_parts_of_samples_follow_while_nothing_mixes_them) {
  // [1, 4, 6] -> [2, 12] cuts a sample in two rows: the batch comes out as such rows, sample by sample.
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{1, 4, 6}, "x");
  b.result(b(Relu{}, b(Reshape{}, x, b.ints({2, 12}))), "y");
  const Graph before = g;
  reshape_with_batch(g, {{x.id, PartialShape{3, 4, 6}}});
  EXPECT_EQ(output(g), (PartialShape{6, 12}));
  expect_samples_apart(before, g, 3, {1, 4, 6});
  // What fails behind a reshape that could follow takes that back too.
  Graph h;
  Builder c(h);
  const Value z = c.parameter(ElementType::f32, PartialShape{1, 4, 6}, "x");
  const Value flat = c(Reshape{}, z, c.ints({1, 24}));
  c.result(c(ReduceSum{}, c(Reshape{}, flat, c.ints({2, 12})), c.ints({0})), "y");
  const size_t nodes = h.num_nodes();
  EXPECT_THROW(reshape_with_batch(h, {{z.id, PartialShape{3, 4, 6}}}), Error);
  EXPECT_EQ(h.num_nodes(), nodes);
  EXPECT_EQ(flat.node().input(1).constant().to_ints(), (std::vector<int64_t>{1, 24}));
}

// What exporters make of a vision transformer for a batch of `n`: a class token expanded to the batch, heads put into
// one dimension with it.
struct Transformer {
  Graph g;
  ValueId input;
  explicit Transformer(int64_t n) {
    Builder b(g);
    const Value x = b.parameter(ElementType::f32, PartialShape{n, 4, 8}, "x");
    Tensor tokens(ElementType::f32, {n, 1, 8});
    for (size_t i = 0; i < tokens.size(); ++i) tokens.data<float>()[i] = 0.1f * static_cast<float>(i % 8);
    const Value joined = b(Concat{1}, b.constant(tokens), x);  // [n, 5, 8]
    const Value turned = b(Transpose{}, joined, b.ints({1, 0, 2}));
    const Value heads = b(Transpose{}, b(Reshape{}, turned, b.ints({5, n * 2, 4})), b.ints({1, 0, 2}));  // [2n, 5, 4]
    const Value scores = b(Softmax{2}, b(MatMul{false, true}, heads, heads));
    const Value mixed = b(MatMul{}, scores, heads);
    const Value back = b(Reshape{}, b(Transpose{}, mixed, b.ints({1, 0, 2})), b.ints({5 * n, 8}));
    const Value tokens_out = b(Transpose{}, b(Reshape{}, back, b.ints({5, n, 8})), b.ints({1, 0, 2}));
    b.result(tokens_out, "y");
    input = x.id;
  }
};

TEST(Batch, class_tokens_and_heads_follow_it) {
  for (const int64_t own : {1, 2}) {
    Transformer t(own);
    const Graph before = t.g;
    EXPECT_GE(reshape_with_batch(t.g, {{t.input, PartialShape{6, 4, 8}}}), 3u);
    EXPECT_EQ(output(t.g), (PartialShape{6, 5, 8}));
    expect_samples_apart(before, t.g, 6 / own, {own, 4, 8});
  }
}

TEST(Batch, open_batches_take_class_tokens_along) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{1, 4, 8}, "x");
  b.result(b(Concat{1}, b.constant(random_tensor({1, 1, 8}, 1)), x), "y");
  const Graph before = g;
  EXPECT_EQ(reshape_with_batch(g, {{x.id, PartialShape{Dimension(), 4, 8}}}), 1u);
  EXPECT_TRUE(output(g)[0].is_dynamic());
  expect_samples_apart(before, g, 3, {1, 4, 8});
}

TEST(Batch, windows_of_a_picture_follow_it) {
  // [1, 4, 4, 3] as four windows of 2 x 2, each by itself, and back.
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{1, 4, 4, 3}, "x");
  const Value cut = b(Transpose{}, b(Reshape{}, x, b.ints({1, 2, 2, 2, 2, 3})), b.ints({0, 1, 3, 2, 4, 5}));
  const Value windows = b(Reshape{}, cut, b.ints({4, 4, 3}));
  const Value y = b(MatMul{}, b(Softmax{2}, b(MatMul{false, true}, windows, windows)), windows);
  const Value whole = b(Transpose{}, b(Reshape{}, y, b.ints({1, 2, 2, 2, 2, 3})), b.ints({0, 1, 3, 2, 4, 5}));
  b.result(b(Reshape{}, whole, b.ints({1, 4, 4, 3})), "y");
  const Graph before = g;
  EXPECT_EQ(reshape_with_batch(g, {{x.id, PartialShape{3, 4, 4, 3}}}), 4u);
  expect_samples_apart(before, g, 3, {1, 4, 4, 3});
}

TEST(Batch, what_mixes_rows_of_samples_is_refused) {
  // The same windows, but softmax goes over them: of a batch it would go over other pictures too.
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{1, 4, 6}, "x");
  const Value rows = b(Reshape{}, x, b.ints({2, 12}));
  b.result(b(Reshape{}, b(Softmax{0}, rows), b.ints({1, 4, 6})), "y");
  const std::string text = to_text(g);
  EXPECT_THROW(reshape_with_batch(g, {{x.id, PartialShape{3, 4, 6}}}), Error);
  EXPECT_EQ(to_text(g), text);
}

TEST(Batch, shapes_computed_from_constants_follow_it) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{1, 4, 8}, "x");
  // [1, 2, 16] put together from parts, as scripts do.
  const Value two = b(Divide{}, b.ints({4}), b.ints({2}));
  const Value target = b(Concat{0}, b.ints({1}), two, b(Multiply{}, two, b.ints({8})));
  b.result(b(Reshape{}, x, target), "y");
  const Graph before = g;
  EXPECT_EQ(reshape_with_batch(g, {{x.id, PartialShape{3, 4, 8}}}), 1u);
  EXPECT_EQ(output(g), (PartialShape{3, 2, 16}));
  expect_samples_apart(before, g, 3, {1, 4, 8});
}

TEST(Batch, shapes_computed_from_the_picture_follow_it) {
  // [1, rows, 8] with the rows of the picture asked for, and the batch spelled.
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{1, 4, 2, 4}, "x");
  const Value rows = b(Slice{}, b(ShapeOf{}, x), b.ints({1}), b.ints({2}), b.ints({1}), b.ints({0}));
  b.result(b(Reshape{}, x, b(Concat{0}, b.ints({1}), rows, b.ints({8}))), "y");
  const Graph before = g;
  EXPECT_EQ(reshape_with_batch(g, {{x.id, PartialShape{3, 4, 2, 4}}}), 1u);
  EXPECT_EQ(output(g), (PartialShape{3, 4, 8}));
  expect_samples_apart(before, g, 3, {1, 4, 2, 4});
  // Asked for as well, the batch follows by itself.
  Graph h;
  Builder c(h);
  const Value z = c.parameter(ElementType::f32, PartialShape{1, 4, 2, 4}, "x");
  const Value first = c(Slice{}, c(ShapeOf{}, z), c.ints({0}), c.ints({2}), c.ints({1}), c.ints({0}));
  c.result(c(Reshape{}, z, c(Concat{0}, first, c.ints({8}))), "y");
  EXPECT_EQ(reshape_with_batch(h, {{z.id, PartialShape{3, 4, 2, 4}}}), 0u);
  EXPECT_EQ(output(h), (PartialShape{3, 4, 8}));
}

TEST(SettleShapes, makes_numbers_of_what_is_known) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{2, 6, 4}, "x");
  const Value half =
      b(Divide{}, b(Slice{}, b(ShapeOf{}, x), b.ints({1}), b.ints({2}), b.ints({1}), b.ints({0})), b.ints({2}));
  const Value y = b(Slice{}, x, b.ints({0}), half, b.ints({1}), b.ints({1}));
  b.result(y, "y");
  const Graph before = g;
  settle_shapes(g);
  ASSERT_TRUE(y.node().input(2).node().is<Constant>());
  EXPECT_EQ(y.node().input(2).constant().to_ints(), std::vector<int64_t>{3});
  const Tensor in = random_tensor({2, 6, 4}, 1);
  EXPECT_EQ(run(g, in).shape(), (Shape{2, 3, 4}));
  const Tensor now = run(g, in), then = run(before, in);
  for (size_t i = 0; i < now.size(); ++i) EXPECT_EQ(now.data<float>()[i], then.data<float>()[i]);
}

TEST(Batch, targets_of_broadcasts_follow_it) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{2, 1, 3}, "x");
  b.result(b(Broadcast{}, x, b.ints({5, 2, 4, 3})), "y");
  EXPECT_EQ(reshape_with_batch(g, {{x.id, PartialShape{7, 1, 3}}}), 1u);
  EXPECT_EQ(output(g), (PartialShape{5, 7, 4, 3}));
}

TEST(Batch, constants_that_differ_by_sample_do_not_follow) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, PartialShape{2, 4, 8}, "x");
  b.result(b(Concat{1}, b.constant(random_tensor({2, 1, 8}, 1)), x), "y");
  EXPECT_THROW(reshape_with_batch(g, {{x.id, PartialShape{6, 4, 8}}}), Error);
}

}  // namespace hone
