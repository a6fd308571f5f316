// Rows of the recurrent cells and sequences.
#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "cpu/kernels/gemm/dense_rows.hpp"
#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/recurrent/recurrent.hpp"
#include "ops/recurrent.hpp"

namespace hone::cpu {
namespace {

struct Named {
  const char* name;
  GateKind kind;
  float alpha, beta;  // defaults of ONNX
};
constexpr Named known[] = {
    {"sigmoid", GateKind::sigmoid, 0, 0},
    {"tanh", GateKind::tanh, 0, 0},
    {"relu", GateKind::relu, 0, 0},
    {"affine", GateKind::affine, 1, 0},
    {"leakyrelu", GateKind::leaky_relu, 0.01f, 0},
    {"thresholdedrelu", GateKind::thresholded_relu, 1, 0},
    {"scaledtanh", GateKind::scaled_tanh, 1, 1},
    {"hardsigmoid", GateKind::hard_sigmoid, 0.2f, 0.5f},
    {"elu", GateKind::elu, 1, 0},
    {"softsign", GateKind::soft_sign, 0, 0},
    {"softplus", GateKind::soft_plus, 0, 0},
};

template <class Op>
bool read_rules(const Op& op, RecurrentSpec& s, const char** why) {
  const size_t n = s.cell == RecurrentCell::lstm ? 3 : s.cell == RecurrentCell::gru ? 2 : 1;
  for (int64_t d = 0; d < s.directions; ++d) {
    GateRule rule{};
    rule.form = s.cell == RecurrentCell::lstm  ? GateForm::lstm
                : s.cell == RecurrentCell::rnn ? GateForm::rnn
                : s.linear_before_reset        ? GateForm::gru_linear
                                               : GateForm::gru_reset;
    rule.clip = op.clip > 0 ? float(op.clip) : std::numeric_limits<float>::infinity();
    if constexpr (requires { op.input_forget; }) rule.input_forget = op.input_forget;
    const size_t first = op.activations.size() >= 2 * n ? size_t(d) * n : 0;
    if (op.activations.size() < first + n) return *why = "activations are missing", false;
    for (size_t i = 0; i < n; ++i) {
      std::string lower = op.activations[first + i];
      for (char& c : lower) c = char(std::tolower(static_cast<unsigned char>(c)));
      const Named* found = nullptr;
      for (const Named& k : known) {
        if (lower == k.name) found = &k;
      }
      if (!found) return *why = "an activation is not known", false;
      const auto& a = op.activations_alpha;
      const auto& b = op.activations_beta;
      rule.functions[i] = {found->kind, first + i < a.size() ? float(a[first + i]) : found->alpha,
                           first + i < b.size() ? float(b[first + i]) : found->beta};
    }
    s.rules.push_back(rule);
  }
  return true;
}

// Fills what the attributes say; the shapes are those of X and the weights.
template <class Op>
bool read(const KernelQuery& q, RecurrentCell cell, RecurrentSpec& s, const char** why) {
  const Op op = q.attrs<Op>();
  s.cell = cell;
  s.hidden = op.hidden_size;
  s.backward = {false};
  if constexpr (requires { op.direction; }) {
    s.sequence = true;
    s.backward[0] = op.direction == RecurrentDirection::reverse;
    if (op.direction == RecurrentDirection::bidirectional) s.backward.push_back(true);
  }
  s.directions = int64_t(s.backward.size());
  if constexpr (requires { op.linear_before_reset; }) s.linear_before_reset = op.linear_before_reset;
  const bool lstm = cell == RecurrentCell::lstm;
  int next = 2;
  if (lstm) s.c = next++;
  if (s.sequence) s.lengths = next++;
  s.w = next++;
  s.r = next++;
  s.bias = next++;
  if (lstm && s.sequence) s.peepholes = next;
  const auto absent = [&](int i) { return i < 0 || size_t(i) >= q.inputs.size() || !q.inputs[size_t(i)].present; };
  for (int* i : {&s.h, &s.c, &s.lengths, &s.bias, &s.peepholes}) {
    if (absent(*i)) *i = -1;
  }
  if (absent(s.w) || absent(s.r)) return *why = "weights are missing", false;
  const Shape& x = q.inputs[0].shape;
  if (x.size() != (s.sequence ? 3u : 2u)) return *why = "X has another rank", false;
  s.batch = x[0];
  s.time = s.sequence ? x[1] : 1;
  s.inputs = x.back();
  return read_rules(op, s, why);
}

std::optional<RecurrentSpec> spec_of(const KernelQuery& q, DenseKind kind, const char** why) {
  RecurrentSpec s;
  s.kind = kind;
  const std::string_view op = q.op;
  const bool good = op == "LSTMSequence"  ? read<LSTMSequence>(q, RecurrentCell::lstm, s, why)
                    : op == "LSTMCell"    ? read<LSTMCell>(q, RecurrentCell::lstm, s, why)
                    : op == "GRUSequence" ? read<GRUSequence>(q, RecurrentCell::gru, s, why)
                    : op == "GRUCell"     ? read<GRUCell>(q, RecurrentCell::gru, s, why)
                    : op == "RNNSequence" ? read<RNNSequence>(q, RecurrentCell::rnn, s, why)
                                          : read<RNNCell>(q, RecurrentCell::rnn, s, why);
  if (!good) return std::nullopt;
  s.lengths_are_i32 = s.lengths >= 0 && q.inputs[size_t(s.lengths)].type == ElementType::i32;
  return s;
}

Support supports_row(const KernelQuery& q, const DenseRow& r) {
  if (!(features().*r.has)) return Support::no(std::string("the CPU has no ") + r.needs);
  if (!q.epilogue.empty()) return Support::no("takes no epilogue");
  const char* why = "";
  const auto s = spec_of(q, r.kind, &why);
  if (!s) return Support::no(why);
  if (r.kind == DenseKind::bf16 && !q.bf16_compute) return Support::no("f32 factors are not to be rounded to bf16");
  if (s->batch < 1 || s->time < 1 || s->inputs < 1 || s->hidden < 1) return Support::no("a dimension is empty");
  if (s->batch > (1 << 20)) return Support::no("more than a million sequences");
  for (size_t i = 0; i < q.inputs.size(); ++i) {
    const TensorDesc& d = q.inputs[i];
    if (!d.present) continue;
    if (d.layout != Layout::plain) return Support::no("takes the plain layout only");
    if (int(i) == s->lengths) {
      if (d.type != ElementType::i32 && d.type != ElementType::i64)
        return Support::no("the lengths are not i32 or i64");
      if (int64_t(d.size()) != s->batch) return Support::no("the lengths are not one for each sequence");
    } else if (int(i) == s->w || int(i) == s->r) {
      if (!d.constant || !is_float(d.type)) return Support::no("the weights are not constant floats");
    } else if (d.type != ElementType::f32) {
      return Support::no(std::string("an input is ") + name_of(d.type) + ", not f32");
    }
  }
  for (const TensorDesc& d : q.outputs) {
    if (d.present && (d.type != ElementType::f32 || d.layout != Layout::plain))
      return Support::no("an output is not f32 in the plain layout");
  }
  const auto size = [&](int i) { return i < 0 ? 0 : int64_t(q.inputs[size_t(i)].size()); };
  const int64_t all = s->directions * s->hidden;
  const int64_t biases = s->cell == RecurrentCell::gru && s->linear_before_reset ? 4 : s->gates();
  if (size(s->w) != all * s->gates() * s->inputs || size(s->r) != all * s->gates() * s->hidden ||
      (s->bias >= 0 && size(s->bias) != all * biases) || (s->peepholes >= 0 && size(s->peepholes) != 3 * all) ||
      (s->h >= 0 && size(s->h) != all * s->batch) || (s->c >= 0 && size(s->c) != all * s->batch)) {
    return Support::no("the shapes do not fit each other");
  }
  return Support::yes();
}

// The gates of the tiles' instruction set, or what every CPU with them has.
RecurrentKernel::GatesFn gates_of([[maybe_unused]] const DenseRow& r) {
#if defined(__x86_64__)
  const bool avx2_only = r.has == &Features::avx2 || !features().avx512;
  return avx2_only ? avx2::recurrent_gates : avx512::recurrent_gates;
#else
  return neon::recurrent_gates;
#endif
}

// One or two rows fill too little of a tile: a dot product of each lane reads as much of the weights at a time.
const DenseIsa& step_isa_of(const DenseRow& r, [[maybe_unused]] int64_t batch) {
#if defined(__x86_64__)
  if (r.isa->row_block > 1 && r.kind == DenseKind::bf16 && batch <= 2 && features().avx512_bf16)
    return avx512bf16::dense_bf16;
#endif
  return *r.isa;
}

RecurrentSpec spec_for(const KernelQuery& q, const DenseRow& r) {
  const char* why = "";
  RecurrentSpec s = *spec_of(q, r.kind, &why);
  s.deep = r.isa->deep;
  return s;
}

KernelPlan plan_row(const KernelQuery& q, const DenseRow& r) {
  const RecurrentSpec s = spec_for(q, r);
  KernelPlan plan;
  const std::string form = "gates" + std::to_string(s.gates()) + "_" + packed_form(r.kind, r.isa->deep);
  plan.packs = {{size_t(s.w), form}, {size_t(s.r), form}};
  const DenseIsa& step_isa = step_isa_of(r, s.batch);
  double step_rate = r.rate(s.batch, s.hidden);
  for (const DenseRow& other : dense_rows) {
    if (other.isa == &step_isa) step_rate = other.rate(s.batch, s.hidden);
  }
  plan.cost = 1 + 2e-3 * double(s.directions * s.batch * s.time * s.gates() * s.hidden) *
                      (double(s.inputs) / r.rate(s.batch * s.time, s.inputs) + double(s.hidden) / step_rate);
  return plan;
}

// src = direction-gate-unit-k  dst = direction-panel-k-16, panels by unit / 16, then gate
Tensor pack_weights(const KernelQuery& q, const PackedInput& p, const DenseRow& r) {
  const RecurrentSpec s = spec_for(q, r);
  const int64_t k = p.input == size_t(s.w) ? s.inputs : s.hidden, gates = s.gates();
  const PackedB shape = s.packed(k);
  const Tensor value = q.inputs[p.input].value.converted(ElementType::f32);
  Tensor ordered(ElementType::f32, {s.directions, shape.columns, k});
  std::memset(ordered.raw(), 0, ordered.size() * 4);
  for (int64_t d = 0; d < s.directions; ++d) {
    for (int64_t g = 0; g < gates; ++g) {
      for (int64_t u = 0; u < s.hidden; ++u) {
        const int64_t to = d * shape.columns + (u / 16 * gates + g) * 16 + u % 16;
        std::memcpy(ordered.data<float>() + to * k, value.data<float>() + ((d * gates + g) * s.hidden + u) * k,
                    size_t(k) * 4);
      }
    }
  }
  const int64_t zero = 0;
  const SourceB from{ordered.raw(), Num::f32, shape.columns * k, k, &zero, k, 1, 0};
  Tensor out(ElementType::u8, {int64_t(shape.bytes())});
  pack_b(shape, from, out.data<uint8_t>(), nullptr);
  return out;
}
template <size_t I>
struct Row {
  static constexpr const DenseRow& r = dense_rows[I];
  static Support supports(const KernelQuery& q) { return supports_row(q, r); }
  static KernelPlan plan(const KernelQuery& q) { return plan_row(q, r); }
  static Tensor pack(const KernelQuery& q, const PackedInput& p) { return pack_weights(q, p, r); }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    RecurrentSpec s = spec_for(q, r);
    const DenseIsa& step_isa = step_isa_of(r, s.batch);
    return std::make_unique<RecurrentKernel>(std::move(s), *r.isa, step_isa, gates_of(r), q.threads);
  }
};

template <size_t I>
void add_rows(RowList& rows) {
  if constexpr (dense_rows[I].kind != DenseKind::int8) {
    static constexpr std::pair<const char*, const char*> ops[] = {
        {"LSTMSequence", "lstm_sequence_"}, {"GRUSequence", "gru_sequence_"}, {"RNNSequence", "rnn_sequence_"},
        {"LSTMCell", "lstm_cell_"},         {"GRUCell", "gru_cell_"},         {"RNNCell", "rnn_cell_"}};
    for (const auto& [op, name] : ops) {
      rows.add<Row<I>>(name, dense_rows[I].suffix, op, Row<I>::pack);
    }
  }
}
template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  (add_rows<I>(rows), ...);
  return rows;
}

}  // namespace

KernelList recurrent_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_dense_rows>());
  return rows.list();
}

}  // namespace hone::cpu
