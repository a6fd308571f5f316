// Types and values passed through.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: data, a value whose element type the result takes.
struct ConvertLike {
  static constexpr bool raw_types = true;
  HONE_OP("ConvertLike") HONE_EXPAND
};
struct Identity {
  static constexpr bool raw_types = true;
  HONE_OP("Identity") HONE_GRAD
};

}  // namespace hone
