// Sums of products by index notation.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// `equation` like "bij,bjk->bik": a letter per axis, "..." for leading axes that broadcast, a letter twice in one
/// operand for its diagonal. Without "->" the output has the letters that occur once, in alphabetical order.
struct Einsum {
  std::string equation;
  static void fields(auto& o, auto&& f) { f("equation", o.equation); }
  HONE_OP("Einsum") HONE_EXPAND
};

}  // namespace hone
