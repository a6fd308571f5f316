#include "cpu/kernels/elementwise/program.hpp"

#include <algorithm>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/quantize.hpp"
#include "ops/unary.hpp"

namespace hone::cpu {
namespace {

// Is a known lower end above its upper end?
bool upside_down(const TensorDesc& low, const TensorDesc& high) {
  if (!low.value || !high.value) return false;
  const size_t a = low.value.size(), b = high.value.size();
  for (size_t i = 0; i < std::max(a, b); ++i) {
    if (get_element(low.value, i % a) > get_element(high.value, i % b)) return true;
  }
  return false;
}

constexpr uint8_t code(EpilogueOp op) {
  return uint8_t(op);
}
constexpr uint8_t code(ExtraOp op) {
  return uint8_t(op);
}

struct Named {
  std::string_view name;
  uint8_t op;
};
constexpr Named two_inputs[] = {
    {"Add", code(EpilogueOp::add)},           {"Subtract", code(EpilogueOp::subtract)},
    {"Multiply", code(EpilogueOp::multiply)}, {"Divide", code(EpilogueOp::divide)},
    {"Maximum", code(EpilogueOp::maximum)},   {"Minimum", code(EpilogueOp::minimum)},
    {"PRelu", code(EpilogueOp::prelu)},       {"SquaredDifference", code(ExtraOp::squared_difference)},
};
constexpr Named one_input[] = {
    {"Relu", code(EpilogueOp::relu)},
    {"HSwish", code(EpilogueOp::hswish)},
    {"HSigmoid", code(EpilogueOp::hsigmoid)},
    {"Sigmoid", code(EpilogueOp::sigmoid)},
    {"Tanh", code(EpilogueOp::tanh)},
    {"SoftPlus", code(EpilogueOp::softplus)},
    {"Mish", code(EpilogueOp::mish)},
    {"Abs", code(EpilogueOp::abs)},
    {"Negative", code(EpilogueOp::negative)},
    {"Exp", code(EpilogueOp::exp)},
    {"Sqrt", code(EpilogueOp::sqrt)},
    {"Log", code(ExtraOp::log)},
    {"Erf", code(ExtraOp::erf)},
    {"Floor", code(ExtraOp::floor)},
    {"Ceiling", code(ExtraOp::ceiling)},
};

bool is_plain_integer(const TensorDesc& d) {
  return is_integer(d.type) && !d.quantization;
}

std::optional<float> constant_scalar(const TensorDesc& d) {
  if (!d.constant || !d.value || d.value.size() != 1) return std::nullopt;
  return float(get_element(d.value, 0));
}

// An input as an operand; raw integers where `raw`.
std::optional<ElementProgram::Operand> operand(const KernelQuery& q, uint32_t i, bool raw) {
  const TensorDesc& d = q.inputs[i];
  const auto type = num_of(d.type);
  if (!type) return std::nullopt;
  ElementProgram::Operand o;
  o.input = i;
  o.type = *type;
  if (!raw && d.quantization && is_integer(d.type)) {
    if (d.quantization->scales.size() != 1) return std::nullopt;
    o.quantized = true;
    o.scale = d.quantization->scale(0);
    o.zero = float(d.quantization->zero_point(0));
  }
  const TensorDesc& out = q.outputs[0];
  if (d.shape.size() > out.shape.size()) return std::nullopt;
  o.strides = walking_strides(d.shape, d.layout, out.shape, out.layout);
  return o;
}

// [C] along `axis` of the result, or one element.
std::vector<int64_t> axis_strides(const TensorDesc& d, const TensorDesc& out, int64_t axis) {
  if (d.size() == 1) return std::vector<int64_t>(out.shape.size(), 0);
  Shape along(out.shape.size(), 1);
  along[size_t(axis)] = int64_t(d.size());
  return walking_strides(along, Layout::plain, out.shape, out.layout);
}

int add_input(ElementProgram& p, const KernelQuery& q, uint32_t i, bool raw) {
  auto o = operand(q, i, raw);
  return o ? p.add_operand(std::move(*o)) : -1;
}

// The operator itself. Returns null, or why it is not offered.
const char* add_operator(const KernelQuery& q, ElementProgram& p) {
  const TensorDesc& x = q.inputs[0];
  const TensorDesc& out = q.outputs[0];
  for (const Named& n : two_inputs) {
    if (q.op != n.name) continue;
    if (is_plain_integer(x) || is_plain_integer(q.inputs[1]))
      return "integers without a scale are left to the reference";
    int a = add_input(p, q, 0, false), b;
    if (q.op == "PRelu" && q.inputs[1].shape.size() == 1 && out.shape.size() > 1) {
      // A vector of slopes goes with the channels, not with the last axis.
      if (q.inputs[1].shape[0] != 1 && q.inputs[1].shape[0] != out.shape[1])
        return "slopes match neither one value nor the channels";
      auto o = operand(q, 1, false);
      if (!o) return "reads f32, bf16 and quantized 8-bit tensors only";
      o->strides = axis_strides(q.inputs[1], out, 1);
      b = p.add_operand(std::move(*o));
    } else {
      b = add_input(p, q, 1, false);
    }
    if (a < 0 || b < 0) return "reads f32, bf16 and 8-bit tensors quantized as a whole";
    p.steps.push_back({n.op, a, b});
    return nullptr;
  }
  if (q.op == "Quantize" || q.op == "Dequantize") {
    const bool to = q.op == "Quantize";
    if (to ? is_integer(x.type) : !is_integer(x.type)) return "quantizes real numbers and dequantizes integers";
    const int a = add_input(p, q, 0, true);
    const int64_t rank = int64_t(out.shape.size());
    int64_t axis = to ? q.attrs<Quantize>().axis : q.attrs<Dequantize>().axis;
    if (axis < 0) axis += rank;
    if (a < 0 || axis < 0 || (axis >= rank && q.inputs[1].size() != 1)) return "reads f32, bf16, u8, i8 and i32 only";
    auto scale = operand(q, 1, true);
    if (!scale || (q.inputs[1].size() != 1 && int64_t(q.inputs[1].size()) != out.shape[size_t(axis)]))
      return "scales go with no axis";
    scale->strides = axis_strides(q.inputs[1], out, axis);
    const bool has_zero = q.num_op_inputs > 2 && q.inputs[2].present;
    if (to) {
      p.steps.push_back({code(EpilogueOp::divide), a, p.add_operand(std::move(*scale))});
      const auto attrs = q.attrs<Quantize>();
      p.out_scale = 1;
      p.out_zero = 0;
      if (has_zero) {
        const TensorDesc& z = q.inputs[2];
        if (!z.constant || !z.value) return "the zero point is not constant";
        p.out_zero = float(get_element(z.value, 0));
        for (size_t i = 1; i < z.value.size(); ++i) {
          if (float(get_element(z.value, i)) != p.out_zero) return "zero points differ from channel to channel";
        }
      }
      if (attrs.low < attrs.high) {
        p.out_low = float(attrs.low);
        p.out_high = float(attrs.high);
      }
      return nullptr;
    }
    int v = a;
    if (has_zero) {
      auto zero = operand(q, 2, true);
      if (!zero) return "the zero point is of a type that kernels do not read";
      zero->strides = axis_strides(q.inputs[2], out, axis);
      const int z = p.add_operand(std::move(*zero));
      const int s = p.add_operand(std::move(*scale));
      p.steps.push_back({code(EpilogueOp::subtract), v, z});
      p.steps.push_back({code(EpilogueOp::multiply), int(p.operands.size()), s});
    } else {
      p.steps.push_back({code(EpilogueOp::multiply), v, p.add_operand(std::move(*scale))});
    }
    return nullptr;
  }
  if (q.op == "Convert") {
    if (is_plain_integer(out)) return "conversion to integers truncates: left to the reference";
    if (add_input(p, q, 0, false) < 0) return "reads f32, bf16, u8, i8 and i32 only";
    return nullptr;
  }
  if (q.op == "FakeQuantize") {
    // clamp, round on the grid of the input range, spread over the output range
    if (is_integer(x.type)) return "reads real numbers only";
    if (upside_down(q.inputs[1], q.inputs[2])) return "a range from high to low is left to the reference";
    int v[5];
    for (uint32_t i = 0; i < 5; ++i) v[i] = add_input(p, q, i, false);
    for (int i : v) {
      if (i < 0) return "reads f32 and bf16 only";
    }
    const float levels = float(q.attrs<FakeQuantize>().levels - 1);
    int next = 5;
    auto step = [&](uint8_t op, int a, int b, float alpha = 0, float beta = 0) {
      p.steps.push_back({op, a, b, alpha, beta});
      return next++;
    };
    // A range of no width is a threshold, as binary networks have it: one below, another above.
    const int range = step(code(EpilogueOp::subtract), v[2], v[1]);
    const int width = step(code(EpilogueOp::clamp), range, -1, 1e-30f, 1e38f);
    const int shifted = step(code(EpilogueOp::subtract), v[0], v[1]);
    const int unit = step(code(EpilogueOp::divide), shifted, width);
    const int clamped = step(code(EpilogueOp::clamp), unit, -1, 0, 1);
    const int scaled = step(code(EpilogueOp::scale_shift), clamped, -1, levels);
    const int level = step(code(EpilogueOp::round), scaled, -1);
    const int part = step(code(EpilogueOp::scale_shift), level, -1, 1.0f / levels);
    const int out_width = step(code(EpilogueOp::subtract), v[4], v[3]);
    const int spread = step(code(EpilogueOp::multiply), part, out_width);
    step(code(EpilogueOp::add), spread, v[3]);
    return nullptr;
  }
  if (is_plain_integer(x)) return "integers without a scale are left to the reference";
  ValueStep s{};
  bool known = false;
  for (const Named& n : one_input) {
    if (q.op == n.name) {
      s.op = n.op;
      known = true;
    }
  }
  if (q.op == "Clamp") {
    const auto c = q.attrs<Clamp>();
    s = {code(EpilogueOp::clamp), 0, -1, float(c.min), float(c.max)};
  } else if (q.op == "Elu") {
    s = {code(EpilogueOp::elu), 0, -1, float(q.attrs<Elu>().alpha), 0};
  } else if (q.op == "Gelu") {
    s.op = code(q.attrs<Gelu>().approximation_mode == GeluMode::erf ? EpilogueOp::gelu_erf : EpilogueOp::gelu_tanh);
  } else if (q.op == "Swish") {
    s = {code(EpilogueOp::swish), 0, -1, 1.0f, 0};
    if (q.num_op_inputs > 1 && q.inputs[1].present) {
      const auto beta = constant_scalar(q.inputs[1]);
      if (!beta) return "beta is not a constant scalar";
      s.alpha = *beta;
    }
  } else if (q.op == "HardSigmoid") {
    const auto alpha = constant_scalar(q.inputs[1]), beta = constant_scalar(q.inputs[2]);
    if (!alpha || !beta) return "alpha and beta are not constant scalars";
    s = {code(EpilogueOp::hard_sigmoid), 0, -1, *alpha, *beta};
  } else if (q.op == "Round") {
    if (q.attrs<Round>().mode != RoundMode::half_to_even) return "rounds half to even only";
    s.op = code(EpilogueOp::round);
  } else if (!known) {
    return "is not an elementwise operator of this family";
  }
  s.a = add_input(p, q, 0, false);
  if (s.a < 0) return "reads f32, bf16 and 8-bit tensors quantized as a whole";
  p.steps.push_back(s);
  return nullptr;
}

}  // namespace

std::vector<int64_t> memory_dims(const Shape& shape, Layout layout) {
  std::vector<int64_t> d(shape.begin(), shape.end());
  if (layout == Layout::channels_last && d.size() > 2) std::rotate(d.begin() + 1, d.begin() + 2, d.end());
  return d;
}

std::vector<int64_t> walking_strides(const Shape& shape, Layout layout, const Shape& out_shape, Layout out_layout) {
  const size_t rank = out_shape.size(), lead = rank - shape.size();
  // Strides of the logical dimensions in the tensor's own layout.
  std::vector<size_t> order;
  for (size_t i = 0; i < shape.size(); ++i) order.push_back(i);
  if (layout == Layout::channels_last && shape.size() > 2)
    std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  std::vector<int64_t> logical(rank, 0);
  int64_t stride = 1;
  for (size_t k = order.size(); k-- > 0;) {
    const size_t i = order[k];
    logical[lead + i] = shape[i] == 1 ? 0 : stride;
    stride *= shape[i];
  }
  if (out_layout == Layout::channels_last && rank > 2)
    std::rotate(logical.begin() + 1, logical.begin() + 2, logical.end());
  return logical;
}

ElementProgramOrWhy element_program(const KernelQuery& q) {
  ElementProgram p;
  const TensorDesc& out = q.outputs[0];
  const auto out_type = num_of(out.type);
  if (!out_type || *out_type == Num::i32) return {std::nullopt, "writes f32, bf16 and 8-bit integers only"};
  p.out_type = *out_type;
  p.dims = memory_dims(out.shape, out.layout);
  p.out_low = p.out_type == Num::s8 ? -128.0f : 0.0f;
  p.out_high = p.out_type == Num::s8 ? 127.0f : 255.0f;
  if (is_integer(out.type) && out.quantization) {
    if (out.quantization->scales.size() != 1) return {std::nullopt, "the output is quantized per channel"};
    p.out_scale = out.quantization->scale(0);
    p.out_zero = float(out.quantization->zero_point(0));
  } else if (is_integer(out.type) && q.op != "Quantize") {
    return {std::nullopt, "integer results without a scale are left to the reference"};
  }
  if (const char* why = add_operator(q, p)) return {std::nullopt, why};
  if (q.epilogue.empty()) return {std::move(p), nullptr};
  if (q.op == "Quantize") return {std::nullopt, "takes no epilogue"};
  // The epilogue's values follow: its value 0 is the operator's result. Operands come first in the numbering, so
  // renumber.
  const size_t first = p.operands.size();
  for (const EpilogueOperand& o : q.epilogue.operands) {
    const TensorDesc& d = q.inputs[o.input];
    if (is_plain_integer(d)) return {std::nullopt, "an operand of the epilogue is an integer without a scale"};
    auto e = operand(q, o.input, false);
    if (!e) {
      e.emplace();
      e->input = o.input;
      const auto t = num_of(d.type);
      if (!t) return {std::nullopt, "an operand of the epilogue is of a type that kernels do not read"};
      e->type = *t;
    }
    switch (o.spread) {
      case Spread::scalar:
        e->strides.assign(out.shape.size(), 0);
        break;
      case Spread::per_channel:
        e->strides = axis_strides(d, out, out.shape.size() > 1 ? 1 : 0);
        break;
      case Spread::per_row: {
        if (out.shape.size() < 2) return {std::nullopt, "a result without channels has no operand per row"};
        Shape s(out.shape.size(), 1);
        s[0] = out.shape[0];
        s[1] = out.shape[1];
        e->strides = walking_strides(s, Layout::plain, out.shape, out.layout);
        break;
      }
      case Spread::full:
        if (d.layout != out.layout && out.shape.size() > 2)
          return {std::nullopt, "an operand of the epilogue lies in another layout"};
        e->strides = walking_strides(out.shape, out.layout, out.shape, out.layout);
        break;
    }
    p.operands.push_back(std::move(*e));
  }
  const int added = int(q.epilogue.operands.size());
  const int op_steps = int(p.steps.size());
  for (ValueStep& s : p.steps) {
    if (s.a >= int(first)) s.a += added;
    if (s.b >= int(first)) s.b += added;
  }
  const int operands = int(p.operands.size());
  const int result = op_steps == 0 ? 0 : operands + op_steps - 1;
  auto value = [&](int v) {
    if (v == 0) return result;
    if (v <= added) return int(first) + v - 1;
    return operands + op_steps + (v - added - 1);
  };
  for (const EpilogueStep& s : q.epilogue.steps) {
    p.steps.push_back({code(s.op), value(s.a), s.b >= 0 ? value(s.b) : -1, s.alpha, s.beta});
  }
  return {std::move(p), nullptr};
}

std::optional<SlotProgram> assign_slots(size_t num_operands, const std::vector<ValueStep>& steps) {
  const int operands = int(num_operands), values = operands + int(steps.size());
  std::vector<int> last_use(size_t(values), -1), slot(size_t(values), -1);
  for (size_t i = 0; i < steps.size(); ++i) {
    last_use[size_t(steps[i].a)] = int(i);
    if (steps[i].b >= 0) last_use[size_t(steps[i].b)] = int(i);
  }
  bool taken[max_slots] = {};
  SlotProgram out;
  bool short_of_slots = false;
  auto allocate = [&]() -> int {
    for (int s = 0; s < max_slots; ++s) {
      if (!taken[s]) {
        taken[s] = true;
        return s;
      }
    }
    short_of_slots = true;
    return 0;
  };
  auto source = [&](int v) {
    if (slot[size_t(v)] < 0) {
      slot[size_t(v)] = allocate();
      SlotStep load{};
      load.dst = int8_t(slot[size_t(v)]);
      load.a = load.b = -1;
      load.operand = int8_t(v);
      out.steps.push_back(load);
    }
    return int8_t(slot[size_t(v)]);
  };
  if (steps.empty()) source(0);
  for (size_t i = 0; i < steps.size(); ++i) {
    const ValueStep& s = steps[i];
    const bool levels = rounds_to_levels(steps, i, operands);
    SlotStep step{};
    if (levels) {
      step = levels_of(steps, i);
    } else {
      step.op = s.op;
      step.operand = -1;
      step.alpha = s.alpha;
      step.beta = s.beta;
    }
    step.a = source(s.a);
    step.b = s.b >= 0 ? source(s.b) : int8_t(-1);
    if (last_use[size_t(s.a)] == int(i)) taken[slot[size_t(s.a)]] = false;
    if (s.b >= 0 && last_use[size_t(s.b)] == int(i)) taken[slot[size_t(s.b)]] = false;
    if (levels) i += 3;
    const size_t v = num_operands + i;
    slot[v] = allocate();
    step.dst = int8_t(slot[v]);
    out.steps.push_back(step);
  }
  if (short_of_slots) return std::nullopt;
  out.result_slot = slot[size_t(steps.empty() ? 0 : values - 1)];
  return out;
}

bool collapse(ElementProgram& p) {
  // From the inside out: dimension i joins i + 1 where every tensor steps over both as over one.
  std::vector<int64_t> out_strides(p.dims.size(), 1);
  for (size_t i = p.dims.size(); i-- > 1;) out_strides[i - 1] = out_strides[i] * p.dims[i];
  auto erase = [&](size_t i) {
    p.dims.erase(p.dims.begin() + int64_t(i));
    for (auto& o : p.operands) o.strides.erase(o.strides.begin() + int64_t(i));
  };
  for (size_t i = p.dims.size(); i-- > 0;) {
    if (p.dims[i] == 1 && p.dims.size() > 1) erase(i);
  }
  for (size_t i = p.dims.size(); i-- > 1;) {
    bool together = true;
    for (const auto& o : p.operands) together = together && o.strides[i - 1] == o.strides[i] * p.dims[i];
    if (!together) continue;
    p.dims[i] *= p.dims[i - 1];
    erase(i - 1);
  }
  if (p.dims.empty()) {
    p.dims = {1};
    for (auto& o : p.operands) o.strides = {0};
  }
  for (const auto& o : p.operands) {
    if (o.strides.back() != 0 && o.strides.back() != 1) return p.dims.back() == 1;
  }
  return true;
}

}  // namespace hone::cpu
