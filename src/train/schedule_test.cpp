#include "train/schedule.hpp"

#include <gtest/gtest.h>

namespace hone {

TEST(CosineSchedule, warms_up_to_the_peak_and_falls_to_the_end) {
  CosineSchedule s{.peak = 0.2, .warmup_steps = 10, .total_steps = 110, .start = 0.1, .end = 0.01};
  EXPECT_DOUBLE_EQ(s.at(0), 0.02);
  EXPECT_DOUBLE_EQ(s.at(5), 0.2 * 0.55);
  EXPECT_DOUBLE_EQ(s.at(10), 0.2);
  EXPECT_NEAR(s.at(60), 0.2 * 0.505, 1e-12);
  EXPECT_NEAR(s.at(110), 0.002, 1e-12);
  EXPECT_NEAR(s.at(500), 0.002, 1e-12);
}

}  // namespace hone
