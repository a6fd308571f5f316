// The passes between a graph as it was read and a graph that kernels are chosen for.
#pragma once
#include "compile/compile.hpp"
#include "compile/select.hpp"

namespace hone {

/// Runs the passes for the wanted precision on this CPU; answers what kernel selection must know.
/// Throws `Error` (usage) where int8 is asked of a graph without quantizers.
SelectOptions prepare(Graph& g, const CompileOptions& options, CompileReport& report);

/// Does the graph hold FakeQuantize, Quantize or Dequantize?
bool has_quantizers(const Graph& g);
/// Does this CPU multiply bf16?
bool cpu_has_bf16();

}  // namespace hone
