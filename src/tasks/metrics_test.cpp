#include "tasks/metrics.hpp"

#include <gtest/gtest.h>

#include <array>
#include <tuple>

namespace hone {

TEST(ClassificationMetrics, counts_by_class) {
  ClassificationMetrics m(3);
  m.add(0, 0, std::array{5.f, 1.f, 0.f});
  m.add(1, 0, std::array{1.f, 5.f, 0.f});
  m.add(2, 1, std::array{0.f, 2.f, 1.f});
  m.add(3, 2, std::array{0.f, 0.f, 3.f});
  EXPECT_DOUBLE_EQ(m.accuracy(), 0.75);
  EXPECT_DOUBLE_EQ(m.top5(), 1);
  EXPECT_EQ(m.confusion()[0], (std::vector<int64_t>{1, 1, 0}));
  EXPECT_EQ(m.precision(), (std::vector<double>{1, 0.5, 1}));
  EXPECT_EQ(m.recall(), (std::vector<double>{0.5, 1, 1}));
  EXPECT_EQ(m.worst(1)[0].index, 1u);
  EXPECT_NEAR(m.worst(1)[0].probability, 0.0178, 1e-4);  // exp(-4) / (1 + exp(-4) + exp(-5))
}

TEST(ClassificationMetrics, wilson_interval_of_known_cases) {
  // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611.
  auto [low, high] = wilson_interval(81.0 / 263, 263);
  EXPECT_NEAR(low, 0.2553, 1e-4);
  EXPECT_NEAR(high, 0.3662, 1e-4);
  std::tie(low, high) = wilson_interval(0, 20);
  EXPECT_NEAR(low, 0, 1e-9);
  EXPECT_NEAR(high, 0.1611, 1e-4);
}

}  // namespace hone
