// Matrix products.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Batched product with NumPy rules for vectors and batch dimensions. May carry an epilogue region.
struct MatMul {
  bool transpose_a = false;
  bool transpose_b = false;
  static void fields(auto& o, auto&& f) {
    f("transpose_a", o.transpose_a);
    f("transpose_b", o.transpose_b);
  }
  HONE_OP("MatMul") HONE_GRAD
};

}  // namespace hone
