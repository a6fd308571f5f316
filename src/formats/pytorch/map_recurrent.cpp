// LSTM, GRU, RNN: layers of sequences, with the gates of PyTorch in Hone's order.
#include "formats/pytorch/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
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
  if (layers < 1 || layers > 4096 || weights.size() != static_cast<size_t>(layers * directions) * each)
    n.refuse("with a projection is not offered");
  Value x = n.in("input");
  if (!batch_first) x = n.transpose(x, {1, 0, 2});
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
