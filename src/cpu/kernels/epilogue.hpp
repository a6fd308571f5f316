// Epilogues at plan time: what can be run, and in which form.
#pragma once
#include <optional>
#include <vector>

#include "cpu/kernels/epilogue_view.hpp"
#include "device/kernel.hpp"

namespace hone::cpu {

/// The type as kernels know it; nothing for types they do not touch.
std::optional<Num> num_of(ElementType t);
size_t num_bytes(Num n);
/// Zero point and scale of a tensor with per-tensor quantization; (1, 0) without.
OperandView operand_of(const TensorDesc& d);

/// Can the epilogue of the query and the type of its output be done on f32 tiles?
Support supports_epilogue(const KernelQuery& query);
/// The same for bytes with a scale and zero point for each column of an integer product: a linear function of the
/// accumulators is all there may be. `largest`: scale of the accumulators of the column with the largest one;
/// `products`: in a sum.
Support supports_columns(const KernelQuery& query, int64_t columns, double largest, int64_t products);

/// The same epilogue with the CPU's instruction for rounding to bf16, where it has one.
EpilogueFn with_bf16(EpilogueFn f);

/// Do steps [i, i + 4) round to levels: scale, round, clamp, scale, with values that nothing else reads? The value of
/// step k is number `base + k`.
template <class Step>
bool rounds_to_levels(const std::vector<Step>& steps, size_t i, int base) {
  constexpr EpilogueOp chain[] = {EpilogueOp::scale_shift, EpilogueOp::round, EpilogueOp::clamp,
                                  EpilogueOp::scale_shift};
  if (i + 4 > steps.size()) return false;
  for (size_t k = 0; k < 4; ++k) {
    const Step& s = steps[i + k];
    if (EpilogueOp(s.op) != chain[k] || (k > 0 && s.a != base + int(i + k) - 1)) return false;
    if (chain[k] == EpilogueOp::scale_shift && s.beta != 0) return false;
  }
  const int first = base + int(i), end = first + 3;
  for (size_t k = i + 4; k < steps.size(); ++k) {
    if ((steps[k].a >= first && steps[k].a < end) || (steps[k].b >= first && steps[k].b < end)) return false;
  }
  return true;
}
/// Steps [i, i + 4) in one, without its places.
template <class Step>
SlotStep levels_of(const std::vector<Step>& steps, size_t i) {
  SlotStep s{};
  s.op = levels_step;
  s.operand = -1;
  s.b = -1;
  s.alpha = steps[i].alpha;
  s.beta = steps[i + 2].alpha;
  s.gamma = steps[i + 2].beta;
  s.delta = steps[i + 3].alpha;
  return s;
}

/// The epilogue of one node, ready to be bound to the pointers of a run.
class EpiloguePlan {
 public:
  EpiloguePlan() = default;
  /// `columns`: length of the result's last axis in memory (channels); `rows_per_image`: rows of one n. `integer`: i32
  /// accumulators.
  EpiloguePlan(const KernelQuery& query, int64_t columns, int64_t rows_per_image, bool integer);
  /// Scales of integer accumulators, one per column; `comp` may be set later through `bind`.
  /// An accumulator is a sum of at most `products` products of bytes.
  void set_dequant(std::vector<float> dequant, int64_t products);
  /// Chains to bytes that are a smooth function of the biased result become curves, where the CPU and what runs the
  /// epilogue allow for it and nothing is lost.
  void make_curve(EpilogueFn run);
  /// A view for one run. `comp` holds the zero-point corrections of integer accumulators (readable to a multiple of
  /// 16).
  EpilogueView bind(const KernelArgs& args, OperandView* operands, const int32_t* comp = nullptr) const;
  /// Are 8-bit results a linear function of the accumulators, perhaps with rounding to levels and a residual of
  /// bytes, clamped? Then `requantize` fills scale and offset for each column.
  bool requantizes() const { return requantizes_; }
  void requantize(EpilogueView& view, float* scale, float* offset, int64_t columns) const;
  static constexpr size_t max_operands = 8;

 private:
  void find_fast_form(const Epilogue& e);
  void find_general_form(const Epilogue& e);
  void find_bytes_form(const Epilogue& e);
  void find_gated_form(const Epilogue& e);
  void find_curve_form(const Epilogue& e);
  void make_gate_curve();
  void make_result_curve(EpilogueFn run);

  EpilogueView base_{};
  bool fast_ = false, requantizes_ = false;
  int bias_operand_ = -1, residual_operand_ = -1, gate_factor_ = -1, gate_residual_ = -1;
  std::vector<OperandView> operands_;
  std::vector<uint32_t> operand_inputs_;
  std::vector<SlotStep> steps_;
  std::vector<float> dequant_;
  enum class Curve { none, gate, result } curve_ = Curve::none;
  std::vector<float> coefficients_;
  QuantizationPtr columns_;  ///< of bytes with a scale for each column
  struct BytesForm {
    bool fits = false, levels = false;
    int bias = -1, residual = -1;
    float clamp_low, clamp_high;
    SlotStep rounding;  ///< levels_step
  } bytes_;
};

}  // namespace hone::cpu
