// Probabilities of classes from those of pairs of classes.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Input: [N, classes * (classes - 1) / 2], for each pair i < j the probability of i where it is one of both. Output:
/// [N, classes], the probabilities that fit all pairs best (Wu, Lin and Weng, 2004, algorithm 2, as LIBSVM runs it: at
/// most 100 rounds, until no class is off by 0.005 / classes). Pairs are kept within [1e-7, 1 - 1e-7].
struct PairwiseCoupling {
  int64_t classes = 2;
  static void fields(auto& o, auto&& f) { f("classes", o.classes); }
  HONE_OP("PairwiseCoupling") HONE_NO_GRAD("not offered yet")
};

}  // namespace hone
