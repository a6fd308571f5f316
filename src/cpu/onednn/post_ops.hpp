// An epilogue as a chain of oneDNN's post-ops.
//
// oneDNN's steps read what the step before them gave, and operands as they are stored. Integers that stand for real
// numbers are met half-way: the chain carries the value times a factor, so that a residual of bytes can be added as it
// is, and the scale of the result costs nothing where all steps keep the factor (ReLU, limits, products).
#pragma once
#include <string>
#include <vector>

#include "cpu/onednn/library.hpp"
#include "device/kernel.hpp"

namespace hone::cpu::onednn {

struct PostOps {
  std::string refusal;  ///< why there is no such chain; empty: there is
  float factor = 1;     ///< that the first step wants the result to be multiplied with
  int bias = -1;        ///< operand that is a constant bias
  std::vector<PostStep> steps;
};

/// `integer`: the result is multiplied with scales anyhow, so that any factor will do.
PostOps post_ops_of(const KernelQuery& q, bool integer);

}  // namespace hone::cpu::onednn
