// The passes between a graph as it was read and a graph that kernels are chosen for.
#pragma once
#include "compile/compile.hpp"
#include "compile/select.hpp"

namespace hone {

/// Runs the passes for the wanted precision on this CPU; answers what kernel selection must know.
SelectOptions prepare(Graph& g, const CompileOptions& options, CompileReport& report);

}  // namespace hone
