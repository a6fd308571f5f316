// LSTM, GRU, RNN: layers of sequences, with the gates of PyTorch in Hone's order.
#include "formats/pytorch/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/control.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/recurrent.hpp"

namespace hone::pytorch {
namespace {

// Blocks of rows in another order. LSTM: i, f, c, o -> f, i, c, o. GRU: r, z, h -> z, r, h.
Value reordered(NodeContext& n, Value w, int64_t blocks) {
  if (blocks == 1) return w;
  Values parts = n.all(Split{blocks}, {w, n.int_constant(0)});
  std::swap(parts[0], parts[1]);
  return n.concat(parts, 0);
}

// The two biases are added, but GRU keeps the parts of its last gate apart.
Value joined_bias(NodeContext& n, Value input, Value recurrent, int64_t blocks) {
  if (blocks != 3) return reordered(n, n(Add{}, input, recurrent), blocks);
  const Values a = n.all(Split{3}, {input, n.int_constant(0)}), b = n.all(Split{3}, {recurrent, n.int_constant(0)});
  return n.concat({n(Add{}, a[1], b[1]), n(Add{}, a[0], b[0]), a[2], b[2]}, 0);
}

template <class Op>
constexpr int64_t blocks_of = 1;
template <>
constexpr int64_t blocks_of<LSTMSequence> = 4;
template <>
constexpr int64_t blocks_of<GRUSequence> = 3;

// An LSTM whose output is a projection of its state: c [N, H], h = W_hr (o tanh(c)) [N, P]. x is [N, T, I]; h and c as
// they were before the first step. Outputs: [N, T, P], last h, last c.
Values projected_lstm(NodeContext& n, Value x, Value h, Value c, const Values& w, bool biased, bool backward) {
  const Value recurrent = w[1], projection = w.back();
  Value gates = n(MatMul{false, true}, n.transpose(x, {1, 0, 2}), w[0]);  // [T, N, 4 H] of the inputs alone
  if (biased) gates = n(Add{}, gates, n(Add{}, w[2], w[3]));
  if (backward) gates = n(Reverse{{0}}, gates);
  auto region = std::make_shared<Graph>();
  Builder b(*region);
  const Value step = b.parameter(Type(ElementType::i64, PartialShape(Shape{})));
  b.parameter(Type(ElementType::boolean, PartialShape(Shape{})));
  const Value h0 = b.parameter(h.type()), c0 = b.parameter(c.type()), all = b.parameter(gates.type()),
              r = b.parameter(recurrent.type()), p = b.parameter(projection.type());
  Emitter e(b);
  const Value sum = e(Add{}, e.gather(all, step, 0), e(MatMul{false, true}, h0, r));
  const Values part = e.all(Split{4}, {sum, e.int_constant(1)});  // i, f, g, o
  const Value c1 =
      e(Add{}, e(Multiply{}, e(Sigmoid{}, part[1]), c0), e(Multiply{}, e(Sigmoid{}, part[0]), e(Tanh{}, part[2])));
  const Value h1 = e(MatMul{false, true}, e(Multiply{}, e(Sigmoid{}, part[3]), e(Tanh{}, c1)), p);
  for (const Value& v : {b.scalar<bool>(true), h1, c1, h1}) b.result(v);
  Loop op;
  op.num_carried = 2;
  op.scan_outputs = {-1};
  const Values out = n.all(op, {n.dim(gates, 0), n.b.scalar<bool>(true), h, c, gates, recurrent, projection}, {region});
  const Value y = backward ? n(Reverse{{0}}, out[2]) : out[2];
  return {n.transpose(y, {1, 0, 2}), out[0], out[1]};
}
Values projected_sequence(NodeContext& n, Value x, bool batch_first) {
  const Values weights = n.tensors("params"), initial = n.tensors("hx");
  const bool biased = n.flag("has_biases", true);
  const int64_t layers = n.i("num_layers", 1), directions = n.flag("bidirectional", false) ? 2 : 1;
  const size_t each = biased ? 5 : 3;
  if (initial.size() != 2) n.fail("has a wrong number of states");
  Values last_h, last_c;
  for (int64_t layer = 0; layer < layers; ++layer) {
    Values y;
    for (int64_t d = 0; d < directions; ++d) {
      const int64_t k = layer * directions + d;
      const auto first = weights.begin() + k * static_cast<int64_t>(each);
      const auto state = [&](Value all) { return n.squeeze(n.slice(all, 0, k, k + 1), {0}); };
      const Values out = projected_lstm(n, x, state(initial[0]), state(initial[1]),
                                        Values(first, first + static_cast<int64_t>(each)), biased, d == 1);
      y.push_back(out[0]);
      last_h.push_back(n.unsqueeze(out[1], {0}));
      last_c.push_back(n.unsqueeze(out[2], {0}));
    }
    x = y.size() == 1 ? y[0] : n.concat(y, 2);
  }
  const auto stacked = [&](const Values& v) { return v.size() == 1 ? v[0] : n.concat(v, 0); };
  return {batch_first ? x : n.transpose(x, {1, 0, 2}), stacked(last_h), stacked(last_c)};
}

template <class Op>
Values sequence(NodeContext& n, Op op) {
  constexpr int64_t blocks = blocks_of<Op>;
  constexpr bool cell = blocks == 4;
  if (n.has("batch_sizes")) n.refuse("of packed sequences is not offered; pad them");
  if (n.flag("train", false) && n.f("dropout", 0) > 0)
    n.refuse("was exported in training mode; call model.eval() first");
  const Values weights = n.tensors("params");
  const bool biased = n.flag("has_biases", true), batch_first = n.flag("batch_first", false);
  const int64_t layers = n.i("num_layers", 1), directions = n.flag("bidirectional", false) ? 2 : 1;
  const size_t each = biased ? 4 : 2;
  if (layers < 1 || layers > 4096) n.fail("has a wrong number of layers");
  Value x = n.in("input");
  if (!batch_first) x = n.transpose(x, {1, 0, 2});
  if (cell && weights.size() == static_cast<size_t>(layers * directions) * (each + 1))
    return projected_sequence(n, x, batch_first);
  if (weights.size() != static_cast<size_t>(layers * directions) * each) n.fail("has a wrong number of weights");
  Values initial;  // states [layers * directions, N, H]
  if (cell)
    initial = n.tensors("hx");
  else
    initial = {n.in("hx")};
  if (initial.size() != (cell ? 2u : 1u)) n.fail("has a wrong number of states");
  op.direction = directions == 2 ? RecurrentDirection::bidirectional : RecurrentDirection::forward;
  Values last_h, last_c;
  for (int64_t layer = 0; layer < layers; ++layer) {
    Values w, r, bias;
    for (int64_t d = 0; d < directions; ++d) {
      const size_t at = static_cast<size_t>(layer * directions + d) * each;
      w.push_back(n.unsqueeze(reordered(n, weights[at], blocks), {0}));
      r.push_back(n.unsqueeze(reordered(n, weights[at + 1], blocks), {0}));
      if (biased) bias.push_back(n.unsqueeze(joined_bias(n, weights[at + 2], weights[at + 3], blocks), {0}));
    }
    const PartialShape& hidden = weights[static_cast<size_t>(layer * directions) * each + 1].shape();
    if (!hidden.rank_known() || hidden.rank() != 2 || hidden[1].is_dynamic()) n.refuse("needs to know its hidden size");
    op.hidden_size = hidden[1].get_length();
    const auto joined = [&](const Values& v) { return v.empty() ? Value{} : v.size() == 1 ? v[0] : n.concat(v, 0); };
    const auto state = [&](Value all) {
      return n.transpose(n.slice(all, 0, layer * directions, (layer + 1) * directions), {1, 0, 2});
    };
    Values in{x, state(initial[0])};
    if (cell) in.push_back(state(initial[1]));
    in.insert(in.end(), {Value{}, joined(w), joined(r)});
    if (biased) in.push_back(joined(bias));
    const Values out = n.all(op, in);
    // [N, directions, T, H] -> [N, T, directions * H]
    x = directions == 1 ? n.squeeze(out[0], {1}) : n.transpose(out[0], {0, 2, 1, 3});
    if (directions == 2)
      x = n.reshape_to(x, n.concat({n.dims(x, 0, 2), n.ints_constant({directions * op.hidden_size})}, 0));
    last_h.push_back(n.transpose(out[1], {1, 0, 2}));
    if (cell) last_c.push_back(n.transpose(out[2], {1, 0, 2}));
  }
  const auto stacked = [&](const Values& v) { return v.size() == 1 ? v[0] : n.concat(v, 0); };
  Values out{batch_first ? x : n.transpose(x, {1, 0, 2}), stacked(last_h)};
  if (cell) out.push_back(stacked(last_c));
  return out;
}

Values lstm(NodeContext& n) {
  return sequence(n, LSTMSequence{});
}
Values gru(NodeContext& n) {
  GRUSequence op;
  op.linear_before_reset = true;
  return sequence(n, op);
}
Values rnn_tanh(NodeContext& n) {
  return sequence(n, RNNSequence{});
}
Values rnn_relu(NodeContext& n) {
  RNNSequence op;
  op.activations = {"relu"};
  return sequence(n, op);
}

template <class Op>
Values cell(NodeContext& n, Op op, int64_t blocks) {
  const Value r = n.in("w_hh");
  if (!r.shape().rank_known() || r.shape().rank() != 2 || r.shape()[1].is_dynamic())
    n.refuse("needs to know its hidden size");
  op.hidden_size = r.shape()[1].get_length();
  Values in{n.in("input")};
  if (blocks == 4) {
    for (const Value& v : n.tensors("hx")) in.push_back(v);
  } else {
    in.push_back(n.in("hx"));
  }
  in.push_back(reordered(n, n.in("w_ih"), blocks));
  in.push_back(reordered(n, r, blocks));
  if (n.has("b_ih")) in.push_back(joined_bias(n, n.in("b_ih"), n.in("b_hh"), blocks));
  return n.all(op, in);
}
Values lstm_cell(NodeContext& n) {
  return cell(n, LSTMCell{}, 4);
}
Values gru_cell(NodeContext& n) {
  GRUCell op;
  op.linear_before_reset = true;
  return cell(n, op, 3);
}
Values rnn_tanh_cell(NodeContext& n) {
  return cell(n, RNNCell{}, 1);
}
Values rnn_relu_cell(NodeContext& n) {
  RNNCell op;
  op.activations = {"relu"};
  return cell(n, op, 1);
}

constexpr OperatorRow rows[] = {
    {"gru", gru},           {"gru_cell", gru_cell},           {"lstm", lstm},         {"lstm_cell", lstm_cell},
    {"rnn_relu", rnn_relu}, {"rnn_relu_cell", rnn_relu_cell}, {"rnn_tanh", rnn_tanh}, {"rnn_tanh_cell", rnn_tanh_cell},
};

}  // namespace

std::span<const OperatorRow> recurrent_rows() {
  return rows;
}

}  // namespace hone::pytorch
