// What the layers of a program do and how long they take.
#pragma once
#include <vector>

#include "compile/compile.hpp"
#include "hone/tasks.hpp"

namespace hone {

/// One row a step, in the order of execution: time, work, arithmetic, kernel and why that one. `explanation` as
/// compiling gave it. `program` null: times and kernels alone.
std::vector<LayerTime> layer_times(const Program* program, const std::vector<StepProfile>& profile,
                                   const std::string& explanation);

}  // namespace hone
