// A matrix product with weights that stay as small integers.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// x [..., K] times the weights W [N, K] transposed, where W = (integer - zero point) * scale. Inputs: x; the integers
/// [N, K] of 8 or 4 bits; scales [N, groups], floats; zero points [N, groups], whole numbers as floats (optional: all
/// are `zero_point`). A group is `group` neighbours along K, the last one may be shorter. With `transposed_weights`
/// false the three lie the other way round: [K, N] and [groups, N]. May carry an epilogue region.
struct CompressedMatMul {
  int64_t group = 0;
  int64_t zero_point = 0;
  bool transposed_weights = true;
  static void fields(auto& o, auto&& f) {
    f("group", o.group);
    f("zero_point", o.zero_point);
    f("transposed_weights", o.transposed_weights);
  }
  static constexpr bool raw_types = true;
  HONE_OP("CompressedMatMul")
  HONE_NO_GRAD("the weights are integers")
};

}  // namespace hone
