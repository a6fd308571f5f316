// The precision `auto`: the fastest program whose outputs stay close to the exact ones.
#pragma once
#include "compile/compile.hpp"

namespace hone {

/// Compiles the graph in each precision that suits it and this CPU, runs all on the same random inputs and keeps the
/// fastest one whose outputs stay within `options.tolerance` (relative RMS) of f32, or of the file's own quantized
/// arithmetic. Without time to measure: int8 for a quantized graph, else bf16 where the CPU has it, else f32.
Program compile_fastest(Graph graph, const CompileOptions& options, CompileReport& report);

}  // namespace hone
