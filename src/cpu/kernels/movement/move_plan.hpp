// Operators that move elements without computing, as copies of boxes between tensors.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "cpu/kernels/movement/strided_copy.hpp"
#include "device/kernel.hpp"

namespace hone::cpu {

struct Move {
  size_t input, output;
  StridedCopy copy;
};
struct MovePlan {
  std::vector<Move> moves;
  std::optional<double> fill;  ///< Pad: what the output is filled with first
};

/// 0: not a whole number.
int64_t element_bytes(ElementType t);
bool known(const TensorDesc& d);

/// The names of operators that `plan_move` takes.
std::vector<const char*> moved_operators();
/// Fills `p`, or says why it cannot.
const char* plan_move(const KernelQuery& q, MovePlan& p);

}  // namespace hone::cpu
