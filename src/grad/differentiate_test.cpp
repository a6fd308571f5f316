#include "grad/differentiate.hpp"

#include <gtest/gtest.h>

#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/evaluate.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/reduce.hpp"
#include "ops/samples.hpp"

namespace hone {

// loss = sum((x * x + x) * w): d/dx = (2x + 1) * w, d/dw = x * x + x.
TEST(Differentiate, accumulates_gradients_of_a_value_used_twice) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {3}, "x"), w = b.parameter(ElementType::f32, {3}, "w");
  const Value y = b(Multiply{}, b(Add{}, b(Multiply{}, x, x), x), w);
  const Value loss = b(ReduceSum{}, y, b.ints({0}));
  const Values d = differentiate(loss, {x, w});
  b.result(d[0]);
  b.result(d[1]);
  verify(g);
  const auto out = evaluate(g, {Tensor::of<float>({3}, {1, 2, -3}), Tensor::of<float>({3}, {1, 10, 100})});
  EXPECT_EQ(out[0].tensor().to_doubles(), (std::vector<double>{3, 50, -500}));
  EXPECT_EQ(out[1].tensor().to_doubles(), (std::vector<double>{2, 6, 6}));
}

TEST(Differentiate, gives_null_where_the_loss_does_not_depend) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {2}), z = b.parameter(ElementType::f32, {2});
  const Values d = differentiate(b(ReduceSum{}, x, b.ints({0})), {x, z});
  EXPECT_TRUE(d[0]);
  EXPECT_FALSE(d[1]);
}

TEST(Differentiate, names_blocking_nodes_and_leaves_the_graph_as_it_was) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {4}, "x");
  b.set_name("select");
  const Value index = b(Convert{ElementType::f32}, b(NonZero{}, x));
  (void)index;
  b.set_name("step");
  const Value y = b(Multiply{}, x, b(Convert{ElementType::f32}, b(Greater{}, x, b.like(x, 0))));
  b.set_name("flat");
  const Value loss = b(ReduceSum{}, y, b.ints({0}));
  EXPECT_TRUE(blocking_nodes(loss, {x}).empty()) << "comparisons are off the gradient path";
  const std::string before = to_text(g);
  EXPECT_THROW(differentiate(y, {x}), Error) << "not a scalar";
  EXPECT_EQ(to_text(g), before);
}

TEST(Differentiate, differentiates_through_expansions) {
  // KLDivergence has an expansion and no gradient of its own; a teacher gets none.
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {2, 3}, "x"), w = b.parameter(ElementType::f32, {3, 3}, "w");
  const Value h = b(Softmax{1}, b(MatMul{}, x, w));
  const Value loss = b(ReduceSum{}, b(Multiply{}, h, h), b.ints({0, 1}));
  const Values d = differentiate(loss, {w});
  b.result(loss);
  b.result(d[0]);
  const Tensor xv = random_tensor({2, 3}, 1), wv = random_tensor({3, 3}, 2);
  const Tensor analytic = evaluate(g, {xv, wv})[1].tensor();
  for (size_t i = 0; i < wv.size(); ++i) {
    const auto at = [&](float by) {
      Tensor t = wv.clone();
      t.data<float>()[i] += by;
      return double(evaluate(g, {xv, t})[0].tensor().data<float>()[0]);
    };
    EXPECT_NEAR(analytic.data<float>()[i], (at(1e-2f) - at(-1e-2f)) / 2e-2, 1e-3);
  }
}

}  // namespace hone
