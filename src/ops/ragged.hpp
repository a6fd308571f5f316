// Rows of several lengths, laid one behind the other.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: values [K, ...]; splits [N + 1] that say where each row begins and ends; what fills rows up, of the shape of
/// one value or one that broadcasts to it; the wanted shape, a list of [rows, columns, ...] (below 0: as it comes).
/// Output: [rows, columns, ...]. Longer rows, and rows beyond the wanted number, are cut off.
struct RaggedToDense {
  static void fields(auto&, auto&&) {}
  static constexpr bool raw_types = true;
  HONE_OP("RaggedToDense") HONE_NO_GRAD("rows of unknown lengths")
};

}  // namespace hone
