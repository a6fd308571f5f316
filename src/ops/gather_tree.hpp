// The last step of beam search.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: ids of each step [T, N, beams], the beam of the step before that each came from, lengths [N], the end token
/// (scalar). Output [T, N, beams]: for each beam at the end its ids from the first step on; behind its end, and behind
/// an end token, the end token.
struct GatherTree {
  static void fields(auto&, auto&&) {}
  HONE_OP("GatherTree") HONE_NO_GRAD("index")
};

}  // namespace hone
