// Values times a function of themselves, found among the steps of an epilogue.
#include "cpu/kernels/epilogue.hpp"

namespace hone::cpu {
namespace {

LevelsView levels_view(const SlotStep& s) {
  return {s.alpha, s.beta, s.gamma, s.delta};
}

}  // namespace

// bias?, then the value and its sigmoid or hard sigmoid (both rounded to levels or neither) multiplied, or the function
// that is this product; then a factor a channel?, levels?, a residual?
void EpiloguePlan::find_gated_form(const Epilogue& e) {
  const int first_value = 1 + int(e.operands.size());
  const size_t begin = bias_operand_ >= 0 ? 1 : 0;
  const int start = begin == 1 ? first_value : 0;
  int value = start, gate = -1, product = -1;
  GateView g{};
  bool value_levels = false, gate_levels = false;
  for (size_t i = begin; i < e.steps.size(); ++i) {
    const EpilogueStep& s = e.steps[i];
    const auto operand = [&](int of) -> int {  // the other factor, where it is an operand
      const int other = s.a == of ? s.b : s.b == of ? s.a : -1;
      return other >= 1 && other < first_value ? other - 1 : -1;
    };
    const int number = first_value + int(i);
    if (product < 0) {
      if ((s.op == EpilogueOp::sigmoid || s.op == EpilogueOp::hsigmoid) && s.a == start && gate < 0) {
        g.hard = s.op == EpilogueOp::hsigmoid;
        gate = number;
      } else if (rounds_to_levels(e.steps, i, first_value) && (s.a == gate || (s.a == start && value == start))) {
        const bool of_gate = s.a == gate;
        (of_gate ? g.gate : g.value) = levels_view(levels_of(e.steps, i));
        (of_gate ? gate_levels : value_levels) = true;
        (of_gate ? gate : value) = number + 3;
        i += 3;
      } else if ((s.op == EpilogueOp::hswish || (s.op == EpilogueOp::swish && s.alpha == 1)) && s.a == start &&
                 gate < 0 && value == start) {
        g.hard = s.op == EpilogueOp::hswish;
        product = number;
      } else if (s.op == EpilogueOp::multiply && gate >= 0 &&
                 ((s.a == gate && s.b == value) || (s.a == value && s.b == gate))) {
        product = number;
      } else {
        return;
      }
      continue;
    }
    if (rounds_to_levels(e.steps, i, first_value) && s.a == product && !g.rounds_result && !g.has_residual) {
      g.result = levels_view(levels_of(e.steps, i));
      g.rounds_result = true;
      i += 3;
    } else if (s.op == EpilogueOp::multiply && operand(product) >= 0 && gate_factor_ < 0 && !g.rounds_result &&
               !g.has_residual) {
      gate_factor_ = operand(product);
      const OperandView& o = operands_[size_t(gate_factor_)];
      if (e.operands[size_t(gate_factor_)].spread != Spread::per_channel || o.type != Num::f32) return;
    } else if (s.op == EpilogueOp::add && operand(product) >= 0 && !g.has_residual) {
      gate_residual_ = operand(product);
      if (e.operands[size_t(gate_residual_)].spread != Spread::full) return;
      g.has_residual = true;
    } else {
      return;
    }
    product = first_value + int(i);
  }
  if (product < 0 || value_levels != gate_levels) return;
  g.levels = value_levels;
  g.on = true;
  base_.gate = g;
}

}  // namespace hone::cpu
