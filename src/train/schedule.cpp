#include "train/schedule.hpp"

#include <algorithm>
#include <cmath>

namespace hone {

double CosineSchedule::at(int64_t step) const {
  if (step < warmup_steps)
    return peak * (start + (1 - start) * static_cast<double>(step) / static_cast<double>(warmup_steps));
  const double length = static_cast<double>(std::max<int64_t>(1, total_steps - warmup_steps));
  const double t = std::min(1.0, static_cast<double>(step - warmup_steps) / length);
  return peak * (end + (1 - end) * 0.5 * (1 + std::cos(3.141592653589793 * t)));
}

}  // namespace hone
