// Epilogues step by step, for ISA files only: each operator runs over the whole tile, which stays in L1.
#pragma once
#include "cpu/kernels/epilogue_view.hpp"
#include "cpu/kernels/math.hpp"
#include "cpu/kernels/real_isa.hpp"
#include "device/epilogue_op.hpp"

namespace hone::cpu::HONE_NS {

HONE_INLINE vf one_operand(EpilogueOp op, vf a, float alpha, float beta) {
  switch (op) {
    case EpilogueOp::relu:
      return maximum(vf{}, a);
    case EpilogueOp::clamp:
      return clamp_to(a, set1(alpha), set1(beta));
    case EpilogueOp::sigmoid:
      return logistic(a);
    case EpilogueOp::tanh:
      return hyperbolic_tangent(a);
    case EpilogueOp::swish:
      return a * logistic(alpha * a);
    case EpilogueOp::hswish:
      return hard_swish(a);
    case EpilogueOp::hsigmoid:
      return hard_sigmoid_6(a);
    case EpilogueOp::hard_sigmoid:
      return clamp_to(alpha * a + beta, vf{}, set1(1.0f));
    case EpilogueOp::gelu_erf:
      return gelu_by_erf(a);
    case EpilogueOp::gelu_tanh:
      return gelu_by_tanh(a);
    case EpilogueOp::elu:
      return select(a > 0.0f, a, alpha * exp_minus_one(minimum(vf{}, a)));
    case EpilogueOp::leaky_relu:
      return select(a >= 0.0f, a, alpha * a);
    case EpilogueOp::softplus:
      return soft_plus(a);
    case EpilogueOp::mish:
      return mish_of(a);
    case EpilogueOp::exp:
      return exponential(a);
    case EpilogueOp::abs:
      return absolute(a);
    case EpilogueOp::negative:
      return -a;
    case EpilogueOp::sqrt:
      return square_root(a);
    case EpilogueOp::scale_shift:
      return alpha * a + beta;
    case EpilogueOp::round:
      return nearest(a);
    default:
      return a;
  }
}
HONE_INLINE vf two_operands(EpilogueOp op, vf a, vf b) {
  switch (op) {
    case EpilogueOp::add:
      return a + b;
    case EpilogueOp::subtract:
      return a - b;
    case EpilogueOp::multiply:
      return a * b;
    case EpilogueOp::divide:
      return a / b;
    case EpilogueOp::maximum:
      return select(a != a, a, maximum(a, b));  // what is not a number stays
    case EpilogueOp::minimum:
      return select(a != a, a, minimum(a, b));
    case EpilogueOp::prelu:
      return select(a >= 0.0f, a, a * b);
    default:
      return a;
  }
}

// The operand spread over the tile.
static void load_slot(const EpilogueView& e, const OperandView& o, const TileView& t, int64_t ld, float* slot) {
  for (int r = 0; r < t.rows; ++r) {
    float* row = slot + r * ld;
    int64_t at = 0;
    switch (Spread(o.spread)) {
      case Spread::scalar: {
        float x = load_one(o.type, o.data, 0);
        if (!is_real(o.type)) x = (x - o.zero) * o.scale;
        for (int j = 0; j < t.cols; j += lanes) store(row + j, set1(x));
        continue;
      }
      case Spread::per_channel:
        at = t.col0;
        break;
      case Spread::full:
        at = (t.row0 + r) * e.ld_out + t.col0;
        break;
      case Spread::per_row:
        at = (t.row0 + r) / e.rows_per_image * e.channels + t.col0;
        break;
    }
    for (int j = 0; j < t.cols; j += lanes) store(row + j, load_operand(o, at + j));
  }
}

// One loop for each operator keeps the switch out of it.
static void run_step(const SlotStep& s, float* dst, const float* a, const float* b, int64_t n) {
  if (s.op == levels_step) {
    const vf scale = set1(s.alpha), low = set1(s.beta), high = set1(s.gamma), width = set1(s.delta);
    for (int64_t i = 0; i < n; i += lanes) store(dst + i, clamp_to(nearest(load(a + i) * scale), low, high) * width);
    return;
  }
  const auto op = EpilogueOp(s.op);
  switch (op) {
#define HONE_TWO(OP)                                                                                               \
  case EpilogueOp::OP:                                                                                             \
    for (int64_t i = 0; i < n; i += lanes) store(dst + i, two_operands(EpilogueOp::OP, load(a + i), load(b + i))); \
    break;
    HONE_TWO(add)
    HONE_TWO(subtract)
    HONE_TWO(multiply)
    HONE_TWO(divide)
    HONE_TWO(maximum)
    HONE_TWO(minimum)
    HONE_TWO(prelu)
#undef HONE_TWO
#define HONE_ONE(OP)                                                                                                  \
  case EpilogueOp::OP:                                                                                                \
    for (int64_t i = 0; i < n; i += lanes) store(dst + i, one_operand(EpilogueOp::OP, load(a + i), s.alpha, s.beta)); \
    break;
    // clang-format off
    HONE_ONE(relu) HONE_ONE(clamp) HONE_ONE(sigmoid) HONE_ONE(tanh) HONE_ONE(swish) HONE_ONE(hswish)
    HONE_ONE(hsigmoid) HONE_ONE(hard_sigmoid) HONE_ONE(gelu_erf) HONE_ONE(gelu_tanh) HONE_ONE(elu)
    HONE_ONE(leaky_relu) HONE_ONE(softplus) HONE_ONE(mish) HONE_ONE(exp) HONE_ONE(abs) HONE_ONE(negative)
    HONE_ONE(sqrt) HONE_ONE(scale_shift) HONE_ONE(round)
    // clang-format on
#undef HONE_ONE
  }
}

static void general_form(const EpilogueView& e, const TileView& t) {
  alignas(64) float buffer[max_slots * tile_capacity];
  // Rows and slots follow each other without gaps: each step is one loop, and all of it stays in L1.
  const int64_t ld = (t.cols + lanes - 1) / lanes * lanes, size = t.rows * ld;
  for (int j = 0; j < t.cols; j += lanes) {
    const vf bias = e.bias ? load(e.bias + t.col0 + j) : vf{};
    vi comp = {};
    vf dequant = {};
    if (e.integer) {
      comp = load_i32(e.comp + t.col0 + j);
      dequant = load(e.dequant + t.col0 + j);
    }
    for (int r = 0; r < t.rows; ++r) {
      const int64_t at = r * t.ld + j;
      vf v;
      if (e.integer) {
        v = to_float(load_i32(static_cast<const int32_t*>(t.acc) + at) - comp) * dequant;
      } else {
        v = load(static_cast<const float*>(t.acc) + at);
      }
      store(buffer + r * ld + j, v + bias);
    }
  }
  for (int i = 0; i < e.num_steps; ++i) {
    const SlotStep& s = e.steps[i];
    if (s.operand >= 0) {
      load_slot(e, e.operands[s.operand], t, ld, buffer + s.dst * size);
    } else {
      run_step(s, buffer + s.dst * size, buffer + s.a * size, s.b >= 0 ? buffer + s.b * size : nullptr, size);
    }
  }
  for (int r = 0; r < t.rows; ++r) {
    const int64_t at = (t.row0 + r) * e.ld_out + t.col0;
    const float* row = buffer + e.result_slot * size + r * ld;
    for (int j = 0; j < t.cols; j += lanes)
      store_any(e, at + j, load(row + j), t.cols - j < lanes ? t.cols - j : lanes);
  }
}

}  // namespace hone::cpu::HONE_NS
