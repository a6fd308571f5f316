// Learning-rate schedules.
#pragma once
#include <cstdint>

namespace hone {

/// Linear warm-up from `peak * start`, then a half cosine down to `peak * end` (Loshchilov & Hutter 2017, without
/// restarts).
struct CosineSchedule {
  double peak = 0.1;
  int64_t warmup_steps = 0, total_steps = 1;
  double start = 0.04, end = 0.0;

  /// Learning rate of step 0, 1...
  double at(int64_t step) const;
};

}  // namespace hone
