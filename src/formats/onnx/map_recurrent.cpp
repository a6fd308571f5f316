// LSTM, GRU, RNN: the gates of ONNX in Hone's order, its axes in Hone's order.
#include "formats/onnx/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/recurrent.hpp"

namespace hone::onnx {
namespace {

struct Recurrent {
  Value x, lengths, h;
  bool batch_first;
  int64_t directions;
};

template <class Op>
Recurrent common(NodeContext& n, Op& op, Value x, Value recurrence, size_t initial) {
  Recurrent r;
  r.batch_first = n.i("layout", 0) != 0;
  const std::string direction = n.s("direction", "forward");
  op.direction = direction == "reverse"         ? RecurrentDirection::reverse
                 : direction == "bidirectional" ? RecurrentDirection::bidirectional
                                                : RecurrentDirection::forward;
  if (direction != "forward" && op.direction == RecurrentDirection::forward)
    n.fail("unknown direction '" + direction + "'");
  r.directions = op.direction == RecurrentDirection::bidirectional ? 2 : 1;
  op.hidden_size = n.i("hidden_size", 0);
  if (op.hidden_size == 0) {
    const PartialShape& s = recurrence.shape();
    if (!s.rank_known() || s.rank() != 3 || s[2].is_dynamic()) n.refuse("needs to know hidden_size");
    op.hidden_size = s[2].get_length();
  }
  op.clip = n.f("clip", 0);
  if (n.has_attribute("activations")) op.activations = n.strings("activations");
  for (float v : n.floats("activation_alpha")) op.activations_alpha.push_back(v);
  for (float v : n.floats("activation_beta")) op.activations_beta.push_back(v);
  r.x = r.batch_first ? x : n.transpose(x, {1, 0, 2});
  r.lengths = n.opt(4);
  const Value zeros_shape = n.concat({n.dims(r.x, 0, 1), n.ints_constant({r.directions, op.hidden_size})}, 0);
  auto state = [&](size_t i) {
    if (n.has(i)) return r.batch_first ? n.in(i) : n.transpose(n.in(i), {1, 0, 2});
    return n(Broadcast{}, n.like(r.x, 0), zeros_shape);
  };
  r.h = state(initial);
  return r;
}

// Blocks of `size` rows along axis 1 in another order.
Value reordered(NodeContext& n, Value w, int64_t blocks, const std::vector<size_t>& order) {
  const Values parts = n.all(Split{blocks}, {w, n.int_constant(1)});
  Values out;
  for (size_t k : order) out.push_back(parts[k]);
  return n.concat(out, 1);
}

Value sequence_output(NodeContext& n, const Recurrent& r, Value y) {
  return r.batch_first ? n.transpose(y, {0, 2, 1, 3}) : n.transpose(y, {2, 1, 0, 3});
}
Value state_output(NodeContext& n, const Recurrent& r, Value h) {
  return r.batch_first ? h : n.transpose(h, {1, 0, 2});
}

// The biases of input and recurrence come one after the other; they are added.
Value summed_bias(NodeContext& n) {
  if (!n.has(3)) return {};
  const Values halves = n.all(Split{2}, {n.in(3), n.int_constant(1)});
  return n(Add{}, halves[0], halves[1]);
}

// `x`, `w` and `recurrence`: as the inputs of ONNX's LSTM.
Values lstm_of(NodeContext& n, Value x, Value w, Value recurrence) {
  LSTMSequence op;
  const Recurrent r = common(n, op, x, recurrence, 5);
  op.input_forget = n.i("input_forget", 0) != 0;
  Value c;
  if (n.has(6))
    c = r.batch_first ? n.in(6) : n.transpose(n.in(6), {1, 0, 2});
  else
    c = n(Broadcast{}, n.like(r.x, 0),
          n.concat({n.dims(r.x, 0, 1), n.ints_constant({r.directions, op.hidden_size})}, 0));
  const std::vector<size_t> order{2, 0, 3, 1};  // i, o, f, c -> f, i, c, o
  Value bias = summed_bias(n);
  if (bias) bias = reordered(n, bias, 4, order);
  const Values out = n.all(
      op, {r.x, r.h, c, r.lengths, reordered(n, w, 4, order), reordered(n, recurrence, 4, order), bias, n.opt(7)});
  return {sequence_output(n, r, out[0]), state_output(n, r, out[1]), state_output(n, r, out[2])};
}
Values lstm(NodeContext& n) {
  return lstm_of(n, n.in(0), n.in(1), n.in(2));
}

// Weights [directions, inputs, 4 * hidden] in integers, scales and zero points of one number a direction or one a gate
// and unit. ONNX Runtime rounds the data to u8 by their own range, and the hidden state at each step; here the data are
// rounded as there and the state stays in floats.
Values dynamic_quantize_lstm(NodeContext& n) {
  const auto weights = [&](size_t values, size_t scale, size_t zero) {
    const auto spread = [&](Value v) { return n.rank(v) == 1 ? n.unsqueeze(v, {1, 2}) : n.unsqueeze(v, {1}); };
    Value w = n.cast(n.in(values), ElementType::f32);
    if (n.has(zero)) w = n(Subtract{}, w, n.cast(spread(n.in(zero)), ElementType::f32));
    return n.transpose(n(Multiply{}, w, spread(n.in(scale))), {0, 2, 1});
  };
  const Values q = find_row("", "DynamicQuantizeLinear")->build(n);
  const auto real = [&](Value v) { return n.cast(v, ElementType::f32); };
  const Value x = n(Multiply{}, n(Subtract{}, real(q[0]), real(q[2])), q[1]);
  return lstm_of(n, x, weights(1, 8, 9), weights(2, 10, 11));
}

Values gru(NodeContext& n) {
  GRUSequence op;
  const Recurrent r = common(n, op, n.in(0), n.in(2), 5);
  op.linear_before_reset = n.i("linear_before_reset", 0) != 0;
  Value bias;
  if (n.has(3)) {
    const Values b = n.all(Split{6}, {n.in(3), n.int_constant(1)});
    const Value z = n(Add{}, b[0], b[3]), reset = n(Add{}, b[1], b[4]);
    bias = op.linear_before_reset ? n.concat({z, reset, b[2], b[5]}, 1) : n.concat({z, reset, n(Add{}, b[2], b[5])}, 1);
  }
  const Values out = n.all(op, {r.x, r.h, r.lengths, n.in(1), n.in(2), bias});
  return {sequence_output(n, r, out[0]), state_output(n, r, out[1])};
}

Values rnn(NodeContext& n) {
  RNNSequence op;
  const Recurrent r = common(n, op, n.in(0), n.in(2), 5);
  const Values out = n.all(op, {r.x, r.h, r.lengths, n.in(1), n.in(2), summed_bias(n)});
  return {sequence_output(n, r, out[0]), state_output(n, r, out[1])};
}

constexpr OperatorRow rows[] = {
    {"GRU", 1, gru},
    {"LSTM", 1, lstm},
    {"RNN", 1, rnn},
};
constexpr OperatorRow microsoft[] = {
    {"DynamicQuantizeLSTM", 1, dynamic_quantize_lstm},
};

}  // namespace

std::span<const OperatorRow> recurrent_rows() {
  return rows;
}
std::span<const OperatorRow> microsoft_recurrent_rows() {
  return microsoft;
}

}  // namespace hone::onnx
