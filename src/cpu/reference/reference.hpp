// Every operator's reference evaluation as a kernel: plain layouts, static shapes, any element type. The kernel of last
// resort; it allocates while it runs. Linked by the toolkit, and by a package only where its model needs it.
#pragma once
#include "device/kernel.hpp"

namespace hone::cpu {

/// One row an operator, provider "reference".
KernelList reference_kernels();
/// Makes them known to the registry. Thread-safe, any number of times.
void add_reference_kernels();

/// Runs the steps of an epilogue on `result` (f32, plain) in place; `operands` are plain f32 tensors in the epilogue's
/// order. `channels_at_end`: the channels are the last axis, as for matrix products; else axis 1.
void run_epilogue(const Epilogue& epilogue, Tensor& result, const std::vector<Tensor>& operands, bool channels_at_end);
/// One step on numbers: the specification of EpilogueOp.
float apply(const EpilogueStep& step, float a, float b);

}  // namespace hone::cpu
