// Random numbers can be repeated and resumed, and have the distribution they claim.
#include "ops/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "graph/op_def.hpp"
#include "ops/evaluate.hpp"
#include "ops/samples.hpp"

namespace hone {
namespace {

template <class Op>
std::vector<Datum> run(const Op& op, std::vector<Datum> inputs, size_t outputs) {
  return evaluate_op(op_def<Op>(), &op, std::move(inputs), {}, outputs);
}
Tensor state(uint64_t key, uint64_t counter) {
  return Tensor::of<uint64_t>({2}, {key, counter});
}

TEST(Random, resumes_where_the_returned_state_says) {
  const RandomUniform op;
  const Tensor low = float_scalar(0), high = float_scalar(1);
  const auto whole = run(op, {int_tensor({16}), low, high, state(5, 3)}, 2);
  const auto first = run(op, {int_tensor({8}), low, high, state(5, 3)}, 2);
  const auto second = run(op, {int_tensor({8}), low, high, first[1]}, 2);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(first[0].tensor().data<float>()[i], whole[0].tensor().data<float>()[i]);
    EXPECT_EQ(second[0].tensor().data<float>()[i], whole[0].tensor().data<float>()[8 + i]);
  }
  EXPECT_TRUE(second[1].tensor().identical(whole[1].tensor()));
}

TEST(Random, differs_between_keys_and_counters) {
  const RandomUniform op;
  const auto draw = [&](uint64_t key, uint64_t counter) {
    return run(op, {int_tensor({4}), float_scalar(0), float_scalar(1), state(key, counter)}, 2)[0].tensor();
  };
  EXPECT_FALSE(draw(1, 0).identical(draw(2, 0)));
  EXPECT_FALSE(draw(1, 0).identical(draw(1, 1)));
  EXPECT_TRUE(draw(1, 0).identical(draw(1, 0)));
}

TEST(Random, normal_numbers_have_mean_and_deviation) {
  const int64_t n = 20000;
  const auto y = run(RandomNormal{}, {int_tensor({n}), float_scalar(3), float_scalar(2), state(11, 0)}, 2)[0]
                     .tensor()
                     .to_doubles();
  double sum = 0, squares = 0, beyond = 0;
  for (double v : y) {
    sum += v;
    squares += (v - 3) * (v - 3);
    beyond += std::fabs(v - 3) > 2 * 1.959964;
  }
  // Four standard errors: 2 / sqrt(n) of the mean, sqrt(2 / n) of the variance ratio, sqrt(0.05 * 0.95 / n) of the tail
  // share.
  EXPECT_NEAR(sum / n, 3, 4 * 2 / std::sqrt(n));
  EXPECT_NEAR(squares / n / 4, 1, 4 * std::sqrt(2.0 / n));
  EXPECT_NEAR(beyond / n, 0.05, 4 * std::sqrt(0.05 * 0.95 / n));
}

TEST(Random, integers_stay_in_their_range_and_reach_both_ends) {
  const auto y =
      run(RandomUniform{ElementType::i64}, {int_tensor({500}), int_scalar(-2), int_scalar(3), state(1, 0)}, 2)[0]
          .tensor()
          .to_ints();
  EXPECT_EQ(*std::min_element(y.begin(), y.end()), -2);
  EXPECT_EQ(*std::max_element(y.begin(), y.end()), 2);
}

TEST(Dropout, keeps_the_expected_share_and_scales_it) {
  const int64_t n = 10000;
  Tensor ones(ElementType::f32, {n});
  for (float& v : ones.span<float>()) v = 1;
  const auto out = run(Dropout{0.2}, {ones, state(1, 0)}, 3);
  double kept = 0;
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    const bool keep = get_integer(out[2].tensor(), i) != 0;
    kept += keep;
    EXPECT_EQ(out[0].tensor().data<float>()[i], keep ? 1.25f : 0.0f);
  }
  EXPECT_NEAR(kept / n, 0.8, 4 * std::sqrt(0.2 * 0.8 / n));
}

}  // namespace
}  // namespace hone
