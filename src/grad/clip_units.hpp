// Adaptive gradient clipping (Brock et al. 2021, "High-performance large-scale image recognition without
// normalization", section 4.1).
#pragma once
#include "graph/builder.hpp"

namespace hone {

/// The gradient of a weight with each unit of it at most `ratio` times as long as the unit's weights, which count as at
/// least 1e-3 so that zeros can grow: g * min(1, ratio * max(|w|, 1e-3) / |g|). A unit is what makes one output of a
/// convolution or a product; other weights are one unit.
Value clip_units(Builder& b, Value weight, Value gradient, double ratio);

}  // namespace hone
