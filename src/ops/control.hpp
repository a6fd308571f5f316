// Control flow.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

// Bodies are regions: their Parameters are the region's inputs, in order, and everything they use comes through them.
/// Inputs: condition, then the inputs of both regions. Regions: then, else (the same inputs). Outputs: those of the
/// region taken.
struct If {
  static constexpr bool raw_types = true;
  HONE_OP("If") HONE_NO_GRAD("control flow")
};
/// Runs its region while the iteration is below the trip count and the condition holds (absent: no limit, true).
/// Inputs: trip count (optional), condition (optional), `num_carried` carried values, then invariants. Region inputs:
/// iteration (i64 scalar), condition, carried values, invariants; its outputs: condition, carried values, scanned
/// values. Outputs: final carried values, then the scanned values, concatenated along axis `scan_outputs[i]` (stacked
/// on a new axis 0 where it is -1).
struct Loop {
  std::vector<int64_t> scan_outputs{};
  int64_t num_carried = 0;
  static void fields(auto& o, auto&& f) {
    f("scan_outputs", o.scan_outputs);
    f("num_carried", o.num_carried);
  }
  static constexpr bool raw_types = true;
  HONE_OP("Loop") HONE_NO_GRAD("control flow")
};
/// A composite: its one region applied to its inputs. Gradients and decompositions come from inlining the region.
struct Composite {
  std::string label;  ///< what it stands for, for people
  static void fields(auto& o, auto&& f) { f("label", o.label); }
  static constexpr bool raw_types = true;
  HONE_OP("Composite") HONE_NO_GRAD("inline its region first")
};

}  // namespace hone
