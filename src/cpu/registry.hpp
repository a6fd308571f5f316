// All kernel rows of this process, found by operator name.
#pragma once
#include <string_view>
#include <vector>

#include "device/kernel.hpp"

namespace hone::cpu {

/// The rows for one operator: those of `kernels.inc` in its order, then what `add_kernels` added. Rows for CPUs other
/// than this one are listed too; their `supports` says no. Thread-safe; the pointers stay valid for the life of the
/// process.
std::vector<const Kernel*> kernels_for(std::string_view op);
/// Every row, for listings and tests.
std::vector<const Kernel*> all_kernels();
/// Adds the rows of another provider (the reference evaluation, an optional library). `rows` must outlive the process'
/// use of kernels; adding the same list twice has no effect. Thread-safe.
void add_kernels(KernelList rows);

}  // namespace hone::cpu
