// The type of a value that comes from two places: branches of an If, rounds of a Loop, elements of a sequence.
#pragma once
#include "graph/type.hpp"

namespace hone {

/// The narrowest type that holds values of both: dimensions that differ become unknown. Throws `Error` where kinds or
/// element types differ.
Type common_type(const Type& a, const Type& b);

}  // namespace hone
