#include "ops/evaluate.hpp"

#include <gtest/gtest.h>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone {

TEST(Evaluate, carries_variables_from_run_to_run) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {1}, "x");
  const Value state = b(Variable{Tensor::of<float>({1}, {5}), "s", false});
  b(Assign{"s"}, x);
  b.result(state);
  VariableStore store;
  EvaluateOptions options;
  options.variables = &store;
  EXPECT_EQ(evaluate(g, {Tensor::of<float>({1}, {7})}, options)[0].tensor().data<float>()[0], 5);
  EXPECT_EQ(evaluate(g, {Tensor::of<float>({1}, {8})}, options)[0].tensor().data<float>()[0], 7);
  EXPECT_EQ(store.at("s").tensor().data<float>()[0], 8);
}

TEST(Evaluate, quantizes_and_dequantizes_per_axis) {
  const Quantization q{{0.5f, 2.0f}, {1, 0}, 0};
  const Tensor real = Tensor::of<float>({2, 2}, {1.0f, -100.0f, 3.0f, 5.0f});
  const Tensor t = quantize(real, q, ElementType::i8);
  EXPECT_EQ(t.to_ints(), (std::vector<int64_t>{3, -128, 2, 2}));  // 1.5 and 2.5 round to even
  EXPECT_EQ(dequantize(t, q).to_doubles(), (std::vector<double>{1.0, -64.5, 4.0, 4.0}));
}

TEST(Evaluate, names_the_number_of_inputs) {
  Graph g;
  Builder(g).parameter(ElementType::f32, {1});
  EXPECT_THROW(evaluate(g, {}), Error);
}

}  // namespace hone
