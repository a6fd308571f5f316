// Inference with symbols and known numbers, as graphs of exporters need it.
#include <gtest/gtest.h>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/binary.hpp"
#include "ops/control.hpp"
#include "ops/convolution.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/pooling.hpp"
#include "ops/recurrent.hpp"
#include "ops/reduce.hpp"

namespace hone {
namespace {

const Dimension batch = Dimension::symbolic("N");

TEST(Inference, keeps_a_symbol_through_a_choice_between_size_and_default) {
  // PyTorch's expand: Where(shape == ones * -1, ones, shape).
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {batch, 1}), like = b.parameter(ElementType::f32, {batch, 5});
  const Value shape = b(ShapeOf{}, like), ones = b.ints({1, 1});
  const Value unknown = b(Equal{}, shape, b(Multiply{}, ones, b.scalar<int64_t>(-1)));
  const Value y = b(Broadcast{}, x, b(Select{}, unknown, ones, shape));
  EXPECT_EQ(y.shape(), (PartialShape{batch, 5}));
}

TEST(Inference, computes_sizes_from_shapes) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {2, 3, 4});
  const Value size = b(ReduceProd{true}, b(ShapeOf{}, x), b.ints({0}));
  const Value half = b(Divide{}, b(Subtract{}, size, b.ints({4})), b.ints({2}));
  EXPECT_EQ(b(Broadcast{}, b.parameter(ElementType::f32, {1}), half).shape(), PartialShape{10});
}

TEST(Inference, answers_comparisons_only_where_they_are_certain) {
  Graph g;
  Builder b(g);
  const Value shape = b(ShapeOf{}, b.parameter(ElementType::f32, {Dimension(2, 5)}));
  const auto chosen = [&](Value condition) {
    return b(Broadcast{}, b.parameter(ElementType::f32, {1}), b(Select{}, condition, b.ints({7}), b.ints({9}))).shape();
  };
  EXPECT_EQ(chosen(b(Less{}, shape, b.ints({6}))), PartialShape{7});
  EXPECT_EQ(chosen(b(GreaterEqual{}, shape, b.ints({6}))), PartialShape{9});
  EXPECT_EQ(chosen(b(Greater{}, shape, b.ints({-1}))), PartialShape{7});
  EXPECT_EQ(chosen(b(NotEqual{}, shape, b.ints({1}))), PartialShape{7});
  EXPECT_NE(chosen(b(Less{}, shape, b.ints({4}))), PartialShape{7});
  EXPECT_NE(chosen(b(Less{}, shape, b.ints({4}))), PartialShape{9});
}

TEST(Inference, carries_batch_symbols_through_layers) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {batch, 3, Dimension::symbolic("H"), 8});
  const Value conv = b(Convolution{{1, 1}, {1, 1}, {1, 1}}, x, b.parameter(ElementType::f32, {4, 3, 3, 3}));
  EXPECT_EQ(conv.shape(), (PartialShape{batch, 4, Dimension::symbolic("H"), 8}));
  MaxPool pool{{2, 2}, {}, {}, {}, {2, 2}};
  EXPECT_EQ(b(pool, b.parameter(ElementType::f32, {batch, 3, Dimension(4, 9), 8})).shape(),
            (PartialShape{batch, 3, Dimension(2, 4), 4}));
  const Value flat = b.parameter(ElementType::f32, {batch, 6});
  EXPECT_EQ(b(MatMul{false, true}, flat, b.parameter(ElementType::f32, {10, 6})).shape(), (PartialShape{batch, 10}));
}

TEST(Inference, knows_that_the_number_of_an_iteration_is_a_scalar) {
  // A loop over the rows of x: row i is gathered by the number of the iteration.
  auto body = std::make_shared<Graph>();
  {
    Builder b(*body);
    const Value step = b.parameter(ElementType::i64, PartialShape(Shape{}));
    b.parameter(ElementType::boolean, PartialShape(Shape{}));
    const Value rows = b.parameter(ElementType::f32, {6, 4});
    b.result(b.scalar<bool>(true));
    b.result(b(Gather{}, rows, step, b.scalar<int64_t>(0)));
  }
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {6, 4});
  Loop op;
  op.scan_outputs = {-1};
  const Node loop = b.add(op_def<Loop>(), std::make_shared<Loop>(op), {b.scalar<int64_t>(6), Value{}, x}, {body});
  EXPECT_EQ(loop.output(0).shape(), (PartialShape{6, 4}));
}

TEST(Inference, refuses_what_cannot_be_computed) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {1, 3, 2, 2});
  EXPECT_THROW(b(Convolution{}, x, b.parameter(ElementType::f32, {4, 3, 3, 3})),
               Error);  // the kernel is larger than the data
  EXPECT_THROW(b(Convolution{}, x, b.parameter(ElementType::f32, {4, 2, 1, 1})), Error);  // other channels
  EXPECT_THROW(b(Convolution{{0, 1}}, x, b.parameter(ElementType::f32, {4, 3, 1, 1})), Error);
  EXPECT_THROW(b(Add{}, x, b.parameter(ElementType::f32, {3})), Error);
  EXPECT_THROW(b(Add{}, x, b.parameter(ElementType::i32, {1})), Error);
  EXPECT_THROW(b(MatMul{}, x, b.parameter(ElementType::f32, {3, 2})), Error);
  EXPECT_THROW(b(ReduceSum{}, x, b.ints({4})), Error);
  EXPECT_THROW(b(Softmax{4}, x), Error);
  EXPECT_EQ(g.num_nodes(), 8u);  // only the parameters and the axes are left
  const Value scalar = b.parameter(ElementType::f32, PartialShape::dynamic(0)),
              index = b.parameter(ElementType::i64, PartialShape::dynamic(0));
  EXPECT_THROW(b(Gather{}, scalar, index, index), Error);
  const Value any = b.parameter(ElementType::f32, PartialShape::dynamic());
  GRUCell cell;
  cell.hidden_size = 2;
  EXPECT_THROW(b.all(cell, {any, scalar, any, any, any}), Error);  // a state without dimensions
  const int64_t large = int64_t{1} << 32;
  EXPECT_THROW(b(Reshape{}, b.parameter(ElementType::f32, {Dimension(), large, large}), b.ints({-1})), Error);
  cell.hidden_size = INT64_MAX / 2;
  EXPECT_THROW(b.all(cell, {any, any, any, any, any}), Error);
}

}  // namespace
}  // namespace hone
