// Search in sorted data.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// The bucket of each element among sorted boundaries [K]: the number of boundaries below it, or not above it without
/// `with_right_bound`. Inputs: data, boundaries.
struct Bucketize {
  ElementType output_type = ElementType::i64;
  bool with_right_bound = true;
  static void fields(auto& o, auto&& f) {
    f("output_type", o.output_type);
    f("with_right_bound", o.with_right_bound);
  }
  HONE_OP("Bucketize") HONE_NO_GRAD("index")
};
/// Where each value would be inserted into the sorted last axis: before equal elements, or behind them with
/// `right_mode`. Inputs: sorted [..., K] or [K], values [..., V].
struct SearchSorted {
  ElementType output_type = ElementType::i64;
  bool right_mode = false;
  static void fields(auto& o, auto&& f) {
    f("output_type", o.output_type);
    f("right_mode", o.right_mode);
  }
  HONE_OP("SearchSorted") HONE_NO_GRAD("index")
};
}  // namespace hone
