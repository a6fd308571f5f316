// Inverses of matrices.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Input: [..., N, N]. Output: the inverse of each matrix, or with `adjoint` of its transpose. Of a singular matrix the
/// elements are infinite or not numbers.
struct Inverse {
  bool adjoint = false;
  static void fields(auto& o, auto&& f) { f("adjoint", o.adjoint); }
  HONE_OP("Inverse") HONE_GRAD
};

}  // namespace hone
