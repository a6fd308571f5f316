// Elementwise programs: an operator of one or two inputs with its epilogue, as steps on slots; and how tensors are
// walked together.
#pragma once
#include <optional>
#include <vector>

#include "cpu/kernels/elementwise/elementwise_view.hpp"
#include "cpu/kernels/epilogue.hpp"
#include "device/kernel.hpp"

namespace hone::cpu {

/// A step on values: operands are 0..n-1, then one value for each step.
struct ValueStep {
  uint8_t op;  ///< EpilogueOp or ExtraOp
  int a = 0, b = -1;
  float alpha = 0, beta = 0;
};

struct ElementProgram {
  struct Operand {
    uint32_t input;
    Num type;
    bool quantized = false;
    float scale = 1, zero = 0;
    std::vector<int64_t> strides;  ///< in elements, for each dimension of the result in memory order
  };
  std::vector<Operand> operands;
  std::vector<ValueStep> steps;
  Num out_type = Num::f32;
  float out_scale = 1, out_zero = 0, out_low = 0, out_high = 255;
  std::vector<int64_t> dims;  ///< of the result in memory order

  int add_operand(Operand o) {
    operands.push_back(std::move(o));
    return int(operands.size()) - 1;
  }
};

/// The node as a program, or why it cannot be one.
struct ElementProgramOrWhy {
  std::optional<ElementProgram> program;
  const char* why = nullptr;
};
ElementProgramOrWhy element_program(const KernelQuery& q);

/// Steps on slots, and the slot of the result; nothing where more than max_slots values live at a time.
struct SlotProgram {
  std::vector<SlotStep> steps;
  int result_slot = 0;
};
std::optional<SlotProgram> assign_slots(size_t num_operands, const std::vector<ValueStep>& steps);

/// Merges dimensions that all tensors walk together. False where an operand is neither contiguous nor constant along
/// the last one.
bool collapse(ElementProgram& p);

/// Strides of a tensor seen as `out_shape`, in the memory order of `out_layout`; 0 along broadcast dimensions.
std::vector<int64_t> walking_strides(const Shape& shape, Layout layout, const Shape& out_shape, Layout out_layout);
/// Dimensions of a shape in memory order.
std::vector<int64_t> memory_dims(const Shape& shape, Layout layout);

}  // namespace hone::cpu
