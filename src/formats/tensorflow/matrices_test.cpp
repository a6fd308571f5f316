// Linear algebra, morphology and paths of classes in graphs of TensorFlow.
#include <gtest/gtest.h>

#include "formats/tensorflow/graph_maker_test.hpp"
#include "formats/tensorflow/reader.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"

namespace hone::tensorflow {
namespace {

std::vector<Datum> run(const GraphMaker& m, const std::vector<Datum>& in) {
  return evaluate(m.read(), in);
}
std::vector<double> numbers(const Datum& d) {
  return d.tensor().to_doubles();
}

TEST(TensorFlowMatrices, factors_solve_systems) {
  GraphMaker m;
  m.input("a", {2, 2}).input("b", {2, 1});
  m.node("l", "Cholesky", {"a"});
  m.node("forward", "MatrixTriangularSolve", {"l", "b"}, {flag_attribute("lower", true)});
  m.node("x", "MatrixTriangularSolve", {"l", "forward"},
         {flag_attribute("lower", true), flag_attribute("adjoint", true)});
  m.node("direct", "MatrixSolve", {"a", "b"}).node("size", "MatrixDeterminant", {"a"});
  const auto y = run(m, {Tensor::of<float>({2, 2}, {4, 2, 2, 5}), Tensor::of<float>({2, 1}, {8, 12})});
  EXPECT_EQ(numbers(y[0]), (std::vector<double>{1, 2}));
  EXPECT_EQ(numbers(y[1]), (std::vector<double>{1, 2}));
  EXPECT_EQ(numbers(y[2]), (std::vector<double>{16}));
  EXPECT_THROW(run(m, {Tensor::of<float>({2, 2}, {1, 2, 2, 4}), Tensor::of<float>({2, 1}, {8, 12})}), Error);
}

TEST(TensorFlowMatrices, the_upper_triangle_of_a_transposed_matrix) {
  GraphMaker m;
  m.input("a", {2, 2}).input("b", {2, 1});
  m.node("x", "MatrixTriangularSolve", {"a", "b"}, {flag_attribute("lower", false), flag_attribute("adjoint", true)});
  const auto y = run(m, {Tensor::of<float>({2, 2}, {2, 4, 99, 1}), Tensor::of<float>({2, 1}, {6, 7})});
  EXPECT_EQ(numbers(y[0]), (std::vector<double>{3, -5}));
}

TEST(TensorFlowMorphology, windows_leave_out_what_is_outside) {
  GraphMaker m;
  m.input("x", {1, 3, 3, 1}).constant("k", {2, 2, 1}, {0, 10, 20, 30});
  m.node("y", "Dilation2D", {"x", "k"},
         {ints_attribute("strides", {1, 2, 1, 1}), ints_attribute("rates", {1, 1, 1, 1}),
          text_attribute("padding", "SAME")});
  const auto y = run(m, {Tensor::of<float>({1, 3, 3, 1}, {1, 2, 3, 4, 5, 6, -7, -8, -9})});
  EXPECT_EQ(y[0].tensor().shape(), (Shape{1, 2, 3, 1}));
  EXPECT_EQ(numbers(y[0]), (std::vector<double>{35, 36, 26, 2, 1, -9}));
}

TEST(TensorFlowSequences, best_classes_become_sparse) {
  GraphMaker m;
  m.input("x", {4, 2, 3}).ints("length", {2}, {4, 2});
  m.node("y", "CTCGreedyDecoder", {"x", "length"}, {flag_attribute("merge_repeated", true)});
  // Sequence 0: class 1 twice, blank, 0; sequence 1: 0, 1, and steps behind its end.
  const auto y =
      run(m, {Tensor::of<float>({4, 2, 3}, {0, 5, 1, 3, 0, 0, 0, 4, 1, 0, 2, 0, 1, 0, 6, 9, 0, 0, 2, 1, 0, 0, 0, 9})});
  ASSERT_EQ(y.size(), 4u);
  EXPECT_EQ(numbers(y[0]), (std::vector<double>{0, 0, 0, 1, 1, 0, 1, 1}));
  EXPECT_EQ(numbers(y[1]), (std::vector<double>{1, 0, 0, 1}));
  EXPECT_EQ(numbers(y[2]), (std::vector<double>{2, 2}));
  EXPECT_EQ(numbers(y[3]), (std::vector<double>{-17, -5}));
}

}  // namespace
}  // namespace hone::tensorflow
