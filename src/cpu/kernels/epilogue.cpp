#include "cpu/kernels/epilogue.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "cpu/features.hpp"

namespace hone::cpu {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

bool has_two_operands(EpilogueOp op) {
  return op <= EpilogueOp::prelu;
}

// Slots needed at once, or an empty list where more than max_slots are. Value 0 starts in slot 0.
// Steps before `first` are done: the value of the last of them is in slot 0 as well.
std::vector<SlotStep> slots_for(const Epilogue& e, int* result_slot, size_t first = 0) {
  const int operands = int(e.operands.size());
  const int values = 1 + operands + int(e.steps.size());
  std::vector<int> last_use(values, -1), slot(values, -1);
  for (size_t i = 0; i < e.steps.size(); ++i) {
    last_use[e.steps[i].a] = int(i);
    if (has_two_operands(e.steps[i].op)) last_use[e.steps[i].b] = int(i);
  }
  bool taken[max_slots] = {true};
  slot[first == 0 ? 0 : operands + int(first)] = 0;
  auto allocate = [&]() {
    for (int s = 0; s < max_slots; ++s) {
      if (!taken[s]) {
        taken[s] = true;
        return s;
      }
    }
    return -1;
  };
  std::vector<SlotStep> out;
  auto source = [&](int v) {
    if (slot[v] < 0 && v >= 1 && v <= operands) {
      slot[v] = allocate();
      SlotStep load{};
      load.dst = int8_t(slot[v]);
      load.a = load.b = -1;
      load.operand = int8_t(v - 1);
      out.push_back(load);
    }
    return slot[v];
  };
  for (size_t i = first; i < e.steps.size(); ++i) {
    const EpilogueStep& s = e.steps[i];
    const bool levels = rounds_to_levels(e.steps, i, 1 + operands);
    SlotStep step{};
    if (levels) {
      step = levels_of(e.steps, i);
    } else {
      step.op = uint8_t(s.op);
      step.operand = -1;
      step.alpha = s.alpha;
      step.beta = s.beta;
    }
    step.a = int8_t(source(s.a));
    step.b = int8_t(has_two_operands(s.op) ? source(s.b) : -1);
    // A source that is not read again makes room for the result, which may lie in the same place: steps are
    // elementwise.
    if (last_use[s.a] == int(i)) taken[slot[s.a]] = false;
    if (has_two_operands(s.op) && last_use[s.b] == int(i)) taken[slot[s.b]] = false;
    if (levels) i += 3;
    const int v = 1 + operands + int(i);
    slot[v] = allocate();
    step.dst = int8_t(slot[v]);
    if (step.a < 0 || step.dst < 0 || (has_two_operands(s.op) && step.b < 0)) return {};
    out.push_back(step);
  }
  *result_slot = e.steps.empty() ? 0 : slot[values - 1];
  return out;
}

}  // namespace

std::optional<Num> num_of(ElementType t) {
  switch (t) {
    case ElementType::f32:
      return Num::f32;
    case ElementType::bf16:
      return Num::bf16;
    case ElementType::f16:
      return Num::f16;
    case ElementType::u8:
      return Num::u8;
    case ElementType::i8:
      return Num::s8;
    case ElementType::i32:
      return Num::i32;
    default:
      return std::nullopt;
  }
}

size_t num_bytes(Num n) {
  return n == Num::f32 || n == Num::i32 ? 4 : n == Num::bf16 || n == Num::f16 ? 2 : 1;
}

EpilogueFn with_bf16(EpilogueFn f) {
#if defined(__x86_64__)
  if (f == avx512::epilogue_tile && features().avx512_bf16) return avx512bf16::epilogue_tile;
#endif
  return f;
}

OperandView operand_of(const TensorDesc& d) {
  OperandView o{nullptr, num_of(d.type).value_or(Num::f32), uint8_t(Spread::full), 1.0f, 0.0f};
  if (d.quantization) {
    o.scale = d.quantization->scale(0);
    o.zero = float(d.quantization->zero_point(0));
  }
  return o;
}

Support supports_epilogue(const KernelQuery& q) {
  const TensorDesc& out = q.outputs[0];
  const auto type = num_of(out.type);
  if (!type || *type == Num::i32) return Support::no(std::string("writes no ") + name_of(out.type));
  if ((*type == Num::u8 || *type == Num::s8) && out.quantization && out.quantization->scales.size() != 1) {
    return Support::no("the output is quantized per channel");
  }
  if (q.epilogue.empty()) return Support::yes();
  if (q.epilogue.operands.size() > EpiloguePlan::max_operands)
    return Support::no("the epilogue has more than 8 operands");
  if (q.epilogue.steps.size() > 100) return Support::no("the epilogue has more than 100 steps");
  for (const EpilogueOperand& o : q.epilogue.operands) {
    const TensorDesc& d = q.inputs[o.input];
    const auto n = num_of(d.type);
    if (!n) return Support::no(std::string("an operand of the epilogue is ") + name_of(d.type));
    if (d.quantization && d.quantization->scales.size() != 1) return Support::no("an operand is quantized per channel");
    if (o.spread == Spread::full && d.layout != out.layout) return Support::no("an operand lies in another layout");
  }
  int result = 0;
  if (slots_for(q.epilogue, &result).empty()) return Support::no("the epilogue keeps more than 8 values at a time");
  return Support::yes();
}

Support supports_columns(const KernelQuery& q, int64_t columns, double largest, int64_t products) {
  const TensorDesc& out = q.outputs[0];
  const Quantization& z = *out.quantization;
  if (out.type != ElementType::u8 || int64_t(z.scales.size()) != columns || z.axis != int64_t(out.shape.size()) - 1 ||
      out.layout != Layout::plain)
    return Support::no("the output is not of unsigned bytes with a scale for each column");
  const auto& steps = q.epilogue.steps;
  const auto& operands = q.epilogue.operands;
  const bool bias = steps.size() == 1 && operands.size() == 1 && steps[0].op == EpilogueOp::add &&
                    operands[0].spread == Spread::per_channel && q.inputs[operands[0].input].type == ElementType::f32;
  if (!steps.empty() && !bias) return Support::no("columns with scales of their own take a bias and nothing else");
  for (float s : z.scales) {
    if (!(largest / double(s) * double(products) * 255 * 128 < 0x1p29))
      return Support::no("a column's scale is too fine");
  }
  return Support::yes();
}

EpiloguePlan::EpiloguePlan(const KernelQuery& q, int64_t columns, int64_t rows_per_image, bool integer) {
  const TensorDesc& out = q.outputs[0];
  base_.integer = integer;
  base_.out_type = *num_of(out.type);
  base_.ld_out = columns;
  base_.channels = columns;
  base_.rows_per_image = rows_per_image;
  const OperandView o = operand_of(out);
  base_.out_inv_scale = 1.0f / o.scale;
  if (integer && out.quantization && out.quantization->scales.size() > 1) columns_ = out.quantization;
  base_.out_zero = o.zero;
  base_.out_low = base_.out_type == Num::s8 ? -128.0f : 0.0f;
  base_.out_high = base_.out_type == Num::s8 ? 127.0f : 255.0f;
  for (const EpilogueOperand& e : q.epilogue.operands) {
    OperandView v = operand_of(q.inputs[e.input]);
    v.spread = uint8_t(e.spread);
    operands_.push_back(v);
    operand_inputs_.push_back(e.input);
  }
  find_fast_form(q.epilogue);
  if (!fast_) {
    find_general_form(q.epilogue);
    find_gated_form(q.epilogue);
  }
  if (base_.out_type == Num::u8 || base_.out_type == Num::s8) find_bytes_form(q.epilogue);
  if (base_.out_type == Num::u8 || base_.out_type == Num::s8) find_curve_form(q.epilogue);
  base_.fast = fast_;
  base_.num_steps = int(steps_.size());
}

// bias?, then residual?, then at most one activation, then residual? where there was none; each step must continue the
// chain.
void EpiloguePlan::find_fast_form(const Epilogue& e) {
  base_.clamp_low = -infinity;
  base_.clamp_high = infinity;
  const int operands = int(e.operands.size());
  int current = 0, stage = 0;
  for (size_t i = 0; i < e.steps.size(); ++i) {
    const EpilogueStep& s = e.steps[i];
    if (s.op == EpilogueOp::add) {
      const int other = s.a == current ? s.b : s.b == current ? s.a : -1;
      if (other < 1 || other > operands) return;
      const EpilogueOperand& o = e.operands[other - 1];
      if (o.spread == Spread::per_channel && operands_[other - 1].type == Num::f32 && stage == 0) {
        bias_operand_ = other - 1;
        stage = 1;
      } else if (o.spread == Spread::full && !base_.has_residual) {
        residual_operand_ = other - 1;
        base_.has_residual = true;
        base_.residual_last = stage == 3;
        stage = base_.residual_last ? 4 : 2;
      } else {
        return;
      }
    } else if (!has_two_operands(s.op) && s.a == current && stage <= 2) {
      stage = 3;
      if (s.op == EpilogueOp::relu) {
        base_.clamp_low = 0;
      } else if (s.op == EpilogueOp::clamp) {
        base_.clamp_low = s.alpha;
        base_.clamp_high = s.beta;
      } else {
        base_.activation = uint8_t(1 + int(s.op));
        base_.alpha = s.alpha;
        base_.beta = s.beta;
      }
    } else {
      return;
    }
    current = 1 + operands + int(i);
  }
  fast_ = true;
}

// A bias is added on the way into the slots.
void EpiloguePlan::find_general_form(const Epilogue& e) {
  bias_operand_ = residual_operand_ = -1;
  base_.has_residual = base_.residual_last = false;
  base_.activation = 0;
  size_t first = 0;
  const EpilogueStep& s = e.steps.front();
  const int other = s.a == 0 ? s.b : s.b == 0 ? s.a : -1;
  if (s.op == EpilogueOp::add && other >= 1 && other <= int(e.operands.size()) && e.steps.size() > 1) {
    const bool alone = std::none_of(e.steps.begin() + 1, e.steps.end(), [](const EpilogueStep& k) {
      return k.a == 0 || (has_two_operands(k.op) && k.b == 0);
    });
    if (alone && e.operands[other - 1].spread == Spread::per_channel && operands_[other - 1].type == Num::f32) {
      bias_operand_ = other - 1;
      first = 1;
    }
  }
  steps_ = slots_for(e, &base_.result_slot, first);
}

// bias?, levels?, a residual of bytes?, clamp?: what tiles of integers become bytes by without a detour.
void EpiloguePlan::find_bytes_form(const Epilogue& e) {
  BytesForm f;
  f.clamp_low = -infinity;
  f.clamp_high = infinity;
  const int operands = int(e.operands.size());
  int current = 0;
  enum { start, biased, rounded, added, clamped } stage = start;
  for (size_t i = 0; i < e.steps.size(); ++i) {
    const EpilogueStep& s = e.steps[i];
    if (s.a != current && (!has_two_operands(s.op) || s.b != current)) return;
    if (s.op == EpilogueOp::add) {
      const int other = s.a == current ? s.b : s.a;
      if (other < 1 || other > operands) return;
      const EpilogueOperand& o = e.operands[other - 1];
      const Num type = operands_[other - 1].type;
      if (o.spread == Spread::per_channel && type == Num::f32 && stage == start) {
        f.bias = other - 1;
        stage = biased;
      } else if (o.spread == Spread::full && (type == Num::u8 || type == Num::s8) && stage < added) {
        f.residual = other - 1;
        stage = added;
      } else {
        return;
      }
    } else if (stage <= biased && rounds_to_levels(e.steps, i, 1 + operands)) {
      f.rounding = levels_of(e.steps, i);
      f.levels = true;
      stage = rounded;
      i += 3;
    } else if ((s.op == EpilogueOp::relu || s.op == EpilogueOp::clamp) && stage != rounded && stage != clamped) {
      f.clamp_low = s.op == EpilogueOp::relu ? 0 : s.alpha;
      if (s.op == EpilogueOp::clamp) f.clamp_high = s.beta;
      stage = clamped;
    } else {
      return;
    }
    current = 1 + operands + int(i);
  }
  f.fits = stage != rounded;
  bytes_ = f;
}

void EpiloguePlan::set_dequant(std::vector<float> dequant, int64_t products) {
  dequant.resize((dequant.size() + 15) / 16 * 16);
  dequant_ = std::move(dequant);
  requantizes_ = bytes_.fits;
  // A sum times its factor has to stay in range of the conversion to integers.
  const float most = float(std::min<double>(double(products) * 255 * 128, 0x1p31));
  const float unit = bytes_.levels ? bytes_.rounding.alpha : base_.out_inv_scale;
  // (Columns with scales of their own were asked about before.)
  for (float d : dequant_) requantizes_ = requantizes_ && (columns_ || d * unit * most < 0x1p30f);
}

void EpiloguePlan::requantize(EpilogueView& v, float* scale, float* offset, int64_t columns) const {
  const float* bias = bytes_.bias >= 0 ? static_cast<const float*>(v.operands[bytes_.bias].data) : nullptr;
  const float unit = bytes_.levels ? bytes_.rounding.alpha : v.out_inv_scale;
  for (int64_t c = 0; c < columns; ++c) {
    const float inverse = columns_ ? 1.0f / columns_->scale(size_t(c)) : unit;
    scale[c] = v.dequant[c] * inverse;
    offset[c] = bias ? bias[c] * inverse : 0.0f;
    if (columns_) offset[c] += float(columns_->zero_point(size_t(c)));
  }
  if (v.integer) {
    for (int64_t c = 0; c < columns; ++c) offset[c] -= float(v.comp[c]) * scale[c];
  }
  RequantView& q = v.requant;
  q.scale = scale;
  q.offset = offset;
  const bool is_signed = v.out_type == Num::s8;
  const int shift = is_signed ? 128 : 0;
  q.zero = int32_t(v.out_zero) + shift;
  q.flip = is_signed ? 0x80 : 0;
  // Rounding is monotonic: clamping its result equals rounding the clamped value.
  const auto level = [&](float x) {
    const float n = std::nearbyint(x * v.out_inv_scale) + v.out_zero;
    return int32_t(std::min(std::max(n, v.out_low), v.out_high)) + shift;
  };
  q.low = level(bytes_.clamp_low);
  q.high = level(bytes_.clamp_high);
  if (columns_) q.zero = q.low = 0, q.high = 255;
  if (bytes_.residual < 0) return;
  const OperandView& r = v.operands[bytes_.residual];
  q.residual = static_cast<const uint8_t*>(r.data);
  q.residual_signed = r.type == Num::s8;
  q.residual_scale = r.scale * v.out_inv_scale;
  q.residual_offset = -(r.zero + (q.residual_signed ? 128.0f : 0.0f)) * q.residual_scale;
  q.levels = bytes_.levels;
  q.level_scale = 1;
  if (!q.levels) return;
  q.level_low = bytes_.rounding.beta;
  q.level_high = bytes_.rounding.gamma;
  q.level_scale = bytes_.rounding.delta * v.out_inv_scale;
}

EpilogueView EpiloguePlan::bind(const KernelArgs& args, OperandView* operands, const int32_t* comp) const {
  EpilogueView v = base_;
  for (size_t i = 0; i < operands_.size(); ++i) {
    operands[i] = operands_[i];
    operands[i].data = args.inputs[operand_inputs_[i]];
  }
  v.operands = operands;
  v.steps = steps_.data();
  v.comp = comp;
  v.dequant = dequant_.data();
  if (bias_operand_ >= 0) v.bias = static_cast<const float*>(operands[bias_operand_].data);
  if (residual_operand_ >= 0) v.residual = operands[residual_operand_];
  if (v.gate.on && gate_factor_ >= 0) v.gate.factor = static_cast<const float*>(operands[gate_factor_].data);
  v.curve.coefficients = coefficients_.data();
  if (v.gate.on && gate_residual_ >= 0) v.gate.residual = operands[gate_residual_];
  v.out = args.outputs[0];
  return v;
}

}  // namespace hone::cpu
