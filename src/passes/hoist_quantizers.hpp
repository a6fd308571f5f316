// Quantizers before the operators that only move elements.
#pragma once
#include "rewrite/pass.hpp"

namespace hone {

/// A FakeQuantize of a whole tensor (or several equal ones) behind reshapes, transpositions, slices and concatenations
/// goes in front of them: what makes the values rounds them itself, and bytes are moved instead of floats. A slice lets
/// it pass only where all readers of the sliced value want the same. Returns the number of operators passed.
size_t hoist_quantizers(Graph& g);
Pass hoist_quantizers_pass();

}  // namespace hone
