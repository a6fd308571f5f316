// The gates of recurrent cells, for ISA files only.
#pragma once
#include "cpu/kernels/math.hpp"
#include "cpu/kernels/recurrent/recurrent_view.hpp"

namespace hone::cpu::HONE_NS {

static vf gate_function(const GateFunction& f, vf x) {
  switch (f.kind) {
    case GateKind::sigmoid:
      return logistic(x);
    case GateKind::tanh:
      return hyperbolic_tangent(x);
    case GateKind::relu:
      return maximum(vf{}, x);
    case GateKind::affine:
      return f.alpha * x + f.beta;
    case GateKind::leaky_relu:
      return select(x < 0.0f, f.alpha * x, x);
    case GateKind::thresholded_relu:
      return select(x > set1(f.alpha), x, vf{});
    case GateKind::scaled_tanh:
      return f.alpha * hyperbolic_tangent(f.beta * x);
    case GateKind::hard_sigmoid:
      return clamp_to(f.alpha * x + f.beta, vf{}, set1(1.0f));
    case GateKind::elu:
      return select(x < 0.0f, f.alpha * exp_minus_one(x), x);
    case GateKind::soft_sign:
      return x / (1.0f + absolute(x));
    case GateKind::soft_plus:
      return soft_plus(x);
  }
  return x;
}

HONE_INLINE vf gate_input(const GateBlock& b, int gate, int64_t sequence, int u) {
  return load(b.input[gate] + sequence * b.input_ld[gate] + u) + load(b.bias + 16 * gate + u);
}
HONE_INLINE vf gate_product(const GateBlock& b, int gate, int row, int u) {
  return load(b.product[gate] + row * b.product_ld[gate] + u);
}
HONE_INLINE vf gate_sum(const GateBlock& b, int gate, int row, int64_t sequence, int u) {
  return gate_input(b, gate, sequence, u) + gate_product(b, gate, row, u);
}
HONE_INLINE vf apply_gate(const GateRule& rule, int function, vf x) {
  return gate_function(rule.functions[function], clamp_to(x, set1(-rule.clip), set1(rule.clip)));
}

// Units beyond the hidden size are never written: what the products read there stays zero.
HONE_INLINE void keep_state(const GateBlock& b, int row, int64_t sequence, int u, int n, vf h) {
  store_n(b.next + sequence * b.ld + u, h, n);
  if (b.bf16) store_words(b.bf16 + sequence * b.bf16_ld + u, to_bf16(h), n);
  if (b.y && b.y[row]) store_n(b.y[row] + b.unit + u, h, n);
}

HONE_INLINE void lstm_unit(const GateRule& rule, const GateBlock& b, int row, int64_t s, int u, int n) {
  float* cell = b.c + s * b.ld + u;
  const vf c = load(cell);
  vf forget = gate_sum(b, 0, row, s, u), input = gate_sum(b, 1, row, s, u), out = gate_sum(b, 3, row, s, u);
  if (b.peepholes) input = input + load(b.peepholes + u) * c;
  if (b.peepholes) forget = forget + load(b.peepholes + 32 + u) * c;
  input = apply_gate(rule, 0, input);
  forget = rule.input_forget ? 1.0f - input : apply_gate(rule, 0, forget);
  const vf next = forget * c + input * apply_gate(rule, 1, gate_sum(b, 2, row, s, u));
  store_n(cell, next, n);
  if (b.peepholes) out = out + load(b.peepholes + 16 + u) * next;
  keep_state(b, row, s, u, n, apply_gate(rule, 0, out) * gate_function(rule.functions[2], next));
}

// The same with the functions that nearly every network has. They stand in line, so that the CPU works on all gates at
// once: each is a long chain of dependent steps.
HONE_INLINE bool usual_lstm(const GateRule& r, const GateBlock& b) {
  return r.form == GateForm::lstm && r.functions[0].kind == GateKind::sigmoid &&
         r.functions[1].kind == GateKind::tanh && r.functions[2].kind == GateKind::tanh && !r.input_forget &&
         !b.peepholes && r.clip > 3e38f;
}
HONE_INLINE void usual_lstm_unit(const GateBlock& b, int row, int64_t s, int u, int n) {
  float* cell = b.c + s * b.ld + u;
  const vf forget = logistic(gate_sum(b, 0, row, s, u)), input = logistic(gate_sum(b, 1, row, s, u));
  const vf candidate = hyperbolic_tangent(gate_sum(b, 2, row, s, u)), out = logistic(gate_sum(b, 3, row, s, u));
  const vf next = forget * load(cell) + input * candidate;
  store_n(cell, next, n);
  keep_state(b, row, s, u, n, out * hyperbolic_tangent(next));
}

HONE_INLINE bool usual_gru(const GateRule& r) {
  return r.form == GateForm::gru_linear && r.functions[0].kind == GateKind::sigmoid &&
         r.functions[1].kind == GateKind::tanh && r.clip > 3e38f;
}
HONE_INLINE void usual_gru_unit(const GateBlock& b, int row, int64_t s, int u, int n) {
  const vf h = load(b.h + s * b.ld + u);
  const vf z = logistic(gate_sum(b, 0, row, s, u)), r = logistic(gate_sum(b, 1, row, s, u));
  const vf candidate = gate_input(b, 2, s, u) + r * (gate_product(b, 2, row, u) + load(b.bias + 48 + u));
  keep_state(b, row, s, u, n, (1.0f - z) * hyperbolic_tangent(candidate) + z * h);
}

HONE_INLINE void gru_unit(const GateRule& rule, const GateBlock& b, int row, int64_t s, int u, int n) {
  const vf h = load(b.h + s * b.ld + u);
  vf z, candidate;
  if (rule.form == GateForm::gru_candidate) {
    z = load(b.c + s * b.ld + u);
    candidate = gate_sum(b, 2, row, s, u);
  } else {
    z = apply_gate(rule, 0, gate_sum(b, 0, row, s, u));
    const vf r = apply_gate(rule, 0, gate_sum(b, 1, row, s, u));
    if (rule.form == GateForm::gru_reset) {
      store_n(b.c + s * b.ld + u, z, n);
      store_n(b.reset + s * b.ld + u, r * h, n);
      if (b.bf16) store_words(b.bf16 + s * b.bf16_ld + u, to_bf16(r * h), n);
      return;
    }
    candidate = gate_input(b, 2, s, u) + r * (gate_product(b, 2, row, u) + load(b.bias + 48 + u));
  }
  keep_state(b, row, s, u, n, (1.0f - z) * apply_gate(rule, 1, candidate) + z * h);
}

void recurrent_gates(const GateRule& rule, const GateBlock& b) {
  const bool lstm = usual_lstm(rule, b), gru = usual_gru(rule);
  for (int row = 0; row < b.rows; ++row) {
    const int64_t s = b.sequence[row];
    for (int u = 0; u < b.units; u += lanes) {
      const int n = b.units - u < lanes ? b.units - u : lanes;
      if (lstm) {
        usual_lstm_unit(b, row, s, u, n);
      } else if (gru) {
        usual_gru_unit(b, row, s, u, n);
      } else if (rule.form == GateForm::lstm) {
        lstm_unit(rule, b, row, s, u, n);
      } else if (rule.form == GateForm::rnn) {
        keep_state(b, row, s, u, n, apply_gate(rule, 0, gate_sum(b, 0, row, s, u)));
      } else {
        gru_unit(rule, b, row, s, u, n);
      }
    }
  }
}

}  // namespace hone::cpu::HONE_NS
