// Compares what a model gave with what a reference run recorded.
#pragma once
#include <string>
#include <string_view>

#include "hone/tensor.hpp"

namespace hone {

/// How much an output may differ. Integers, booleans and strings must be equal but for `steps`.
struct Tolerance {
  double rtol = 1e-3;
  double atol = 1e-7;
  int64_t steps = 0;  ///< of integers below 32 bits
  double spread_largest =
      0;                   ///< > 0: instead, the largest difference as a share of the spread of the expected values...
  double spread_mean = 0;  ///< ...and the mean difference
  bool top5 = false;       ///< instead: the five largest are the same
  /// Reads sentences such as `rtol 1e-3, atol 1e-4` and `largest difference <= 0.05, mean <= 0.01 of the spread`.
  static Tolerance parse(std::string_view text);
};

struct Comparison {
  bool equal = true;
  double max_abs = 0;
  double max_rel = 0;
  std::string reason;  ///< of the first difference
};

Comparison compare(const Datum& actual, const Datum& expected, const Tolerance& tolerance, const std::string& name);

}  // namespace hone
