// What the rows of depthwise convolution have in common.
#pragma once
#include <optional>

#include "cpu/kernels/conv/geometry.hpp"

namespace hone::cpu {

/// The windows of a GroupConvolution with one channel in and out of each group; nothing for others.
std::optional<Window> depthwise_window(const KernelQuery& query);
/// What every depthwise row asks of types, layouts, scales and the epilogue.
Support supports_depthwise(const KernelQuery& query);

}  // namespace hone::cpu
