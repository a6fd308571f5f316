// Strings as bytes with the places where each begins and ends.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: begins and ends (i32 or i64, one shape), bytes [K] (u8). Output: strings of that shape.
struct StringTensorPack {
  static void fields(auto&, auto&&) {}
  HONE_OP("StringTensorPack") HONE_NO_GRAD("strings")
};

/// Input: strings. Outputs: begins and ends (i32) of the same shape, all bytes one behind the other [K] (u8).
struct StringTensorUnpack {
  static void fields(auto&, auto&&) {}
  HONE_OP("StringTensorUnpack") HONE_NO_GRAD("strings")
};

}  // namespace hone
