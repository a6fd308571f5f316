// Sparse matrices as lists of places and values.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: values [K], dense shape [2], places [K, 2] (row, column), default value (scalar). Outputs: places [D, 2] and
/// values [D], by row and column, with the default at column 0 of each empty row, and which rows were empty [rows].
struct SparseFillEmptyRows {
  static constexpr bool raw_types = true;
  static void fields(auto&, auto&&) {}
  HONE_OP("SparseFillEmptyRows") HONE_NO_GRAD("index")
};

}  // namespace hone
