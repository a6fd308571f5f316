// Epilogues: the elementwise operators that run on a result while it is still in registers or L1.
#pragma once
#include <cstdint>
#include <vector>

#include "device/epilogue_op.hpp"

namespace hone {

/// Values are numbered: 0 is the kernel's result, 1..n the operands, then one for each step. The last value is stored.
struct EpilogueStep {
  EpilogueOp op;
  int16_t a = 0, b = -1;
  float alpha = 0, beta = 0;
};

struct EpilogueOperand {
  uint32_t input = 0;  ///< index into KernelQuery::inputs; its element type may differ from the result's
  Spread spread = Spread::scalar;
};

struct Epilogue {
  std::vector<EpilogueOperand> operands;
  std::vector<EpilogueStep> steps;
  bool empty() const { return steps.empty(); }
};

}  // namespace hone
