// Recurrent networks: cells run in a Loop over time, with the state that the file keeps from run to run.
#include <cmath>
#include <functional>

#include "formats/tflite/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/control.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/recurrent.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::tflite {
namespace {

Value activated(Builder& b, Value v, int8_t code, NodeContext& n) {
  switch (code) {
    case 0:
      return v;
    case 1:
      return b(Relu{}, v);
    case 2:
      return b(Clamp{-1, 1}, v);
    case 3:
      return b(Clamp{0, 6}, v);
    case 4:
      return b(Tanh{}, v);
    default:
      n.refuse("fused activation " + std::to_string(code));
  }
}

Value product(Builder& b, Value x, Value w) {
  return b(MatMul{false, true}, x, w);
}

// Runs `step` for each entry of x [T, N, I]. States are given back after the last; what each step gives is stacked to
// [T, ...].
struct Scan {
  using Step = std::function<Value(Builder& b, Value x, Values& states, const Values& shared)>;
  Values states;
  Value outputs;
};
Scan scan(NodeContext& n, Value x, const Values& states, const Values& shared, const Scan::Step& step) {
  auto graph = std::make_shared<Graph>();
  Builder b(*graph);
  const Value turn = b.parameter(Type(ElementType::i64, PartialShape(Shape{})));
  const Value go = b.parameter(Type(ElementType::boolean, PartialShape(Shape{})));
  Values carried, mine;
  for (const Value& s : states) carried.push_back(b.parameter(s.type()));
  const Value data = b.parameter(x.type());
  Values given{data};
  Values in{n.reshape(n.dims(x, 0, 1), {}), Value{}};
  in.insert(in.end(), states.begin(), states.end());
  in.push_back(x);
  for (const Value& s : shared) {
    if (!s) {
      mine.push_back({});
    } else if (const Tensor t = s.constant()) {
      mine.push_back(b.constant(t));
    } else {
      mine.push_back(b.parameter(s.type()));
      in.push_back(s);
    }
  }
  const Value y = step(b, b(Gather{}, data, turn, b.scalar<int64_t>(0)), carried, mine);
  b.result(go);
  for (const Value& c : carried) b.result(c);
  b.result(y);
  Loop op;
  op.num_carried = static_cast<int64_t>(states.size());
  op.scan_outputs = {-1};
  Values out = n.all(op, in, {graph});
  Scan s;
  s.outputs = out.back();
  out.pop_back();
  s.states = out;
  return s;
}

// Where the inputs of one direction of an LSTM stand.
struct LstmInputs {
  size_t data = 0, weights = 1, recurrent = 5, peephole = 9, bias = 12, projection = 16, state = 18, cell = 19,
         norm = 20;
  size_t intermediates = 0;
};

// Real numbers rounded to int16 steps of the scale, or passed on where the network is not quantized.
Value rounded(Builder& b, bool on, Value v, double scale) {
  if (!on) return v;
  const auto low = b.scalar<float>(static_cast<float>(-32768 * scale)),
             high = b.scalar<float>(static_cast<float>(32767 * scale));
  return b(FakeQuantize{65536}, v, low, high, low, high);
}
Value rounded_to(Builder& b, Value v, const TensorInfo& as) {
  if (!as.scales || as.scales.scale.size() != 1) return v;
  const double scale = as.scales.scale[0], zero = static_cast<double>(as.scales.zero[0]);
  const int bits = bit_width(element_type_of(as.type));
  const double least = is_signed(element_type_of(as.type)) ? -std::ldexp(1.0, bits - 1) : 0,
               most = least + std::ldexp(1.0, bits) - 1;
  const auto low = b.scalar<float>(static_cast<float>((least - zero) * scale)),
             high = b.scalar<float>(static_cast<float>((most - zero) * scale));
  return b(FakeQuantize{int64_t{1} << bits}, v, low, high, low, high);
}

struct LstmResult {
  Value outputs;  ///< [T, N, H]
  Value state, cell;
};

class Lstm {
 public:
  Lstm(NodeContext& n, const LstmInputs& at, int8_t activation, float cell_clip, float projection_clip)
      : n_(n), at_(at), activation_(activation), cell_clip_(cell_clip), projection_clip_(projection_clip) {
    quantized_ = n.scales(at.data) && n.info(at.cell).type == TensorType::i16 && n.scales(at.cell);
    coupled_ = !n.has(at.weights);
    for (size_t g = 0; g < 4; ++g) normed_ |= n.has(at.norm + g);
  }

  // x [T, N, I], states as real numbers.
  LstmResult run(Value x, Value h, Value c) {
    const bool plain = !quantized_ && !normed_ && !n_.has(at_.projection) && !(cell_clip_ > 0) &&
                       (activation_ == 4 || activation_ == 1) && !coupled_;
    if (plain && n_.has(at_.bias + 1) && n_.in(at_.weights + 1).shape().is_static()) return whole(x, h, c);
    Values shared;
    for (size_t g = 0; g < 4; ++g) {
      for (size_t k : {at_.weights + g, at_.recurrent + g, at_.bias + g, at_.norm + g}) {
        shared.push_back(!n_.has(k) ? Value{} : k == at_.bias + g ? gate_bias(g) : n_.in(k));
      }
      // Peepholes exist for input, forget and output.
      const size_t p = g == 2 ? n_.num_inputs() : at_.peephole + (g == 3 ? 2 : g);
      shared.push_back(n_.opt(p));
    }
    shared.push_back(n_.opt(at_.projection));
    shared.push_back(n_.has(at_.projection) ? n_.opt(at_.projection + 1) : Value{});
    const Scan s = scan(n_, x, {h, c}, shared,
                        [&](Builder& b, Value v, Values& states, const Values& w) { return step(b, v, states, w); });
    return {s.outputs, s.states[0], s.states[1]};
  }

 private:
  enum Gate { input, forget, update, output };

  // Biases count in steps of (scale of the data) * (scale of the weight); with layer normalization they have a scale of
  // their own.
  Value gate_bias(size_t g) {
    const size_t k = at_.bias + g;
    return normed_ ? n_.in(k) : n_.bias(k, at_.data, n_.has(at_.weights + g) ? at_.weights + g : at_.weights + 1);
  }

  LstmResult whole(Value x, Value h, Value c) {
    const Gate order[] = {forget, input, update, output};
    Values w, r, bias;
    for (Gate g : order) {
      w.push_back(n_.in(at_.weights + g));
      r.push_back(n_.in(at_.recurrent + g));
      bias.push_back(n_.in(at_.bias + g));
    }
    const auto stacked = [&](const Values& v) { return n_.unsqueeze(n_.concat(v, 0), {0}); };
    for (size_t k = 0; k < 4; ++k) {
      if (n_.rank(w[k]) != 2 || n_.rank(r[k]) != 2 || n_.rank(bias[k]) != 1)
        n_.fail("wants matrices of weights and vectors of biases");
    }
    LSTMSequence op;
    op.hidden_size = w[0].shape()[0].get_length();
    const std::string name = activation_ == 1 ? "relu" : "tanh";
    op.activations = {"sigmoid", name, name};
    const Value first = n_.transpose(x, {1, 0, 2});
    const Value lengths = n_(Broadcast{BroadcastMode::numpy}, n_.dims(first, 1, 2), n_.dims(first, 0, 1));
    Values in{first, n_.unsqueeze(h, {1}), n_.unsqueeze(c, {1}), lengths, stacked(w), stacked(r), stacked(bias)};
    if (n_.has(at_.peephole + 1))
      in.push_back(stacked({n_.in(at_.peephole), n_.in(at_.peephole + 2), n_.in(at_.peephole + 1)}));
    const Values out = n_.all(op, in);
    return {n_.transpose(n_.squeeze(out[0], {1}), {1, 0, 2}), n_.squeeze(out[1], {1}), n_.squeeze(out[2], {1})};
  }

  // The scale of the sums of a gate: that of its intermediate tensor with layer normalization, else 2^-12.
  double gate_scale(size_t g) const {
    if (normed_ && n_.has_intermediate(at_.intermediates + g) && n_.intermediate(at_.intermediates + g).scales) {
      return n_.intermediate(at_.intermediates + g).scales.scale[0];
    }
    return 0x1p-12;
  }

  Value gate(Builder& b, Gate g, Value x, Value h, Value cell, const Values& w) {
    const Value weights = w[5 * g], recurrent = w[5 * g + 1], bias = w[5 * g + 2], norm = w[5 * g + 3],
                peephole = w[5 * g + 4];
    if (!weights || !recurrent) n_.fail("weights of a gate are missing");
    const double scale = gate_scale(g);
    Value y = product(b, x, weights);
    if (bias && !norm) y = b(Add{}, y, bias);
    y = rounded(b, quantized_, y, scale);
    y = rounded(b, quantized_, b(Add{}, y, rounded(b, quantized_, product(b, h, recurrent), scale)), scale);
    if (peephole && cell) y = rounded(b, quantized_, b(Add{}, y, b(Multiply{}, cell, peephole)), scale);
    if (norm) {
      const Value axis = b.ints({-1});
      const Value centred = b(Subtract{}, y, b(ReduceMean{true}, y, axis));
      const Value variance = b(ReduceMean{true}, b(Multiply{}, centred, centred), axis);
      y = b(Divide{}, centred, b(Sqrt{}, b(Add{}, variance, b.scalar<float>(1e-8f))));
      y = b(Multiply{}, y, norm);
      if (bias) y = b(Add{}, y, bias);
      y = rounded(b, quantized_, y, 0x1p-12);
    }
    y = g == update ? activated(b, y, activation_, n_) : b(Sigmoid{}, y);
    return rounded(b, quantized_, y, 0x1p-15);
  }

  Value step(Builder& b, Value x, Values& states, const Values& w) {
    Value& h = states[0];
    Value& c = states[1];
    const Value f = gate(b, forget, x, h, c, w), g = gate(b, update, x, h, {}, w);
    const Value i = coupled_ ? b(Subtract{}, b.scalar<float>(1), f) : gate(b, input, x, h, c, w);
    const double cell_scale = quantized_ ? static_cast<double>(n_.scales(at_.cell).scale.at(0)) : 1;
    c = rounded(b, quantized_,
                b(Add{}, rounded(b, quantized_, b(Multiply{}, f, c), cell_scale),
                  rounded(b, quantized_, b(Multiply{}, i, g), cell_scale)),
                cell_scale);
    if (cell_clip_ > 0) c = b(Clamp{-static_cast<double>(cell_clip_), cell_clip_}, c);
    const Value o = gate(b, output, x, h, c, w);
    Value y = b(Multiply{}, o, rounded(b, quantized_, activated(b, c, activation_, n_), 0x1p-15));
    const Value projection = w[20], projection_bias = w[21];
    if (projection) {
      if (quantized_ && n_.has_intermediate(at_.intermediates + 4))
        y = rounded_to(b, y, n_.intermediate(at_.intermediates + 4));
      y = product(b, y, projection);
      if (projection_bias) y = b(Add{}, y, projection_bias);
      if (projection_clip_ > 0) y = b(Clamp{-static_cast<double>(projection_clip_), projection_clip_}, y);
    }
    h = quantized_ ? rounded_to(b, y, n_.info(at_.state)) : y;
    return h;
  }

  NodeContext& n_;
  LstmInputs at_;
  int8_t activation_;
  float cell_clip_, projection_clip_;
  bool quantized_ = false, coupled_ = false, normed_ = false;
};

void keep(NodeContext& n, size_t i, Value real) {
  n.keep(i, n.rounded(real, n.info(i)));
}

Values unidirectional_lstm(NodeContext& n) {
  if (n.flag(5)) n.refuse("diagonal recurrent weights");
  const bool time_major = n.flag(3);
  const LstmInputs at;
  const Value x = n.in(0);
  const LstmResult r = Lstm(n, at, n.code(0), n.f(1), n.f(2))
                           .run(time_major ? x : n.transpose(x, {1, 0, 2}), n.in(at.state), n.in(at.cell));
  keep(n, at.state, r.state);
  keep(n, at.cell, r.cell);
  return {time_major ? r.outputs : n.transpose(r.outputs, {1, 0, 2})};
}

Values bidirectional_lstm(NodeContext& n) {
  for (size_t i = 39; i < n.num_inputs(); ++i) {
    if (n.has(i)) n.refuse("auxiliary inputs");
  }
  const bool time_major = n.flag(4, true), merge = n.flag(3);
  const Value x = time_major ? n.in(0) : n.transpose(n.in(0), {1, 0, 2});
  const auto back = [&](Value v) { return time_major ? v : n.transpose(v, {1, 0, 2}); };
  const size_t none = n.num_inputs();
  const LstmInputs ways[] = {{0, 1, 5, 9, 12, 16, 35, 36, none, 0}, {0, 18, 22, 26, 29, 33, 37, 38, none, 0}};
  Values out;
  for (size_t way = 0; way < 2; ++way) {
    const Value seen = way ? n(Reverse{{0}}, x) : x;
    const LstmResult r =
        Lstm(n, ways[way], n.code(0), n.f(1), n.f(2)).run(seen, n.in(ways[way].state), n.in(ways[way].cell));
    keep(n, ways[way].state, r.state);
    keep(n, ways[way].cell, r.cell);
    out.push_back(back(way ? n(Reverse{{0}}, r.outputs) : r.outputs));
  }
  if (merge) return {n.concat(out, 2)};
  return out;
}

// One step. The basic kernel keeps no state itself: activations and cell come in and go out.
Values lstm(NodeContext& n) {
  const Value x = n.in(0);
  if (n.code(3) == 1) {
    const Value h = n.in(1), joined = n.concat({x, h}, 1);
    Value sums = n(MatMul{false, true}, joined, n.in(2));
    sums = n(Add{}, sums, n.bias(3, 0, 2));
    const Values g = n.all(Split{4}, {sums, n.int_constant(1)});  // input, update, forget, output
    const Value c =
        n(Add{}, n(Multiply{}, n(Sigmoid{}, g[2]), n.in(4)), n(Multiply{}, n(Sigmoid{}, g[0]), n(Tanh{}, g[1])));
    return {n(Multiply{}, n(Sigmoid{}, g[3]), n(Tanh{}, c)), c, joined, sums};
  }
  const LstmInputs at;
  const LstmResult r = Lstm(n, at, n.code(0), n.f(1), n.f(2)).run(n.unsqueeze(x, {0}), n.in(at.state), n.in(at.cell));
  keep(n, at.state, r.state);
  keep(n, at.cell, r.cell);
  return {r.state};
}

// h = activation(x W + h R + b).
Value rnn_step(NodeContext& n, Builder& b, Value x, Value h, const Values& w, int8_t activation) {
  Value y = b(Add{}, product(b, x, w[0]), product(b, h, w[1]));
  if (w[2]) y = b(Add{}, y, w[2]);
  return activated(b, y, activation, n);
}
Value rnn_sequence(NodeContext& n, Value x, size_t weights, size_t state, int8_t activation) {
  const Scan s = scan(n, x, {n.in(state)}, {n.in(weights), n.in(weights + 1), n.opt(weights + 2)},
                      [&](Builder& b, Value v, Values& states, const Values& w) {
                        return states[0] = rnn_step(n, b, v, states[0], w, activation);
                      });
  keep(n, state, s.states[0]);
  return s.outputs;
}

Values rnn(NodeContext& n) {
  const Value h = rnn_step(n, n.b, n.in(0), n.in(4), {n.in(1), n.in(2), n.opt(3)}, n.code(0));
  keep(n, 4, h);
  return {h};
}
Values unidirectional_rnn(NodeContext& n) {
  const bool time_major = n.flag(0);
  const Value x = time_major ? n.in(0) : n.transpose(n.in(0), {1, 0, 2});
  const Value y = rnn_sequence(n, x, 1, 4, n.code(1));
  return {time_major ? y : n.transpose(y, {1, 0, 2})};
}
Values bidirectional_rnn(NodeContext& n) {
  for (size_t i = 9; i < n.num_inputs(); ++i) {
    if (n.has(i)) n.refuse("auxiliary inputs");
  }
  const bool time_major = n.flag(0), merge = n.flag(2);
  const Value x = time_major ? n.in(0) : n.transpose(n.in(0), {1, 0, 2});
  const auto back = [&](Value v) { return time_major ? v : n.transpose(v, {1, 0, 2}); };
  const Value forward = back(rnn_sequence(n, x, 1, 4, n.code(1)));
  const Value backward = back(n(Reverse{{0}}, rnn_sequence(n, n(Reverse{{0}}, x), 5, 8, n.code(1))));
  if (merge) return {n.concat({forward, backward}, 2)};
  return {forward, backward};
}

// Each filter has a feature vector and a memory of its last outputs; a unit sums `rank` filters over time.
Values svdf(NodeContext& n) {
  const Value x = n.in(0), feature = n.in(1), time = n.in(2);
  if (!time.shape().is_static() || n.rank(time) != 2 || n.i(0) < 1) n.refuse("needs weights of a known shape");
  const int64_t filters = time.shape()[0].get_length(), memory = time.shape()[1].get_length();
  const int64_t rank = n.i(0);
  if (filters % rank != 0 || memory < 1) n.fail("the rank does not divide the filters");
  const Value old = n.reshape(n.in(4), {-1, filters, memory});
  const Value now = n.unsqueeze(n(MatMul{false, true}, x, feature), {2});
  const Value state = n.concat({n.slice(old, 2, 1, memory), now}, 2);
  keep(n, 4, n.reshape(state, {-1, filters * memory}));
  const Value weighted = n(ReduceSum{false}, n(Multiply{}, state, time), n.ints_constant({2}));
  Value y = n(ReduceSum{false}, n.reshape(weighted, {-1, filters / rank, rank}), n.ints_constant({2}));
  if (n.has(3)) {
    // Integers count in steps of (scale of the state) * (scale of the time weights).
    y = n(Add{}, y, is_integer(n.any(3).element_type()) ? n.bias(3, 4, 2) : n.in(3));
  }
  return {n.activated(y, n.code(1))};
}

constexpr OperatorRow rows[] = {
    {16, "LSTM", lstm},
    {24, "RNN", rnn},
    {27, "SVDF", svdf},
    {35, "UNIDIRECTIONAL_SEQUENCE_RNN", unidirectional_rnn},
    {44, "UNIDIRECTIONAL_SEQUENCE_LSTM", unidirectional_lstm},
    {46, "BIDIRECTIONAL_SEQUENCE_RNN", bidirectional_rnn},
    {52, "BIDIRECTIONAL_SEQUENCE_LSTM", bidirectional_lstm},
};

}  // namespace

std::span<const OperatorRow> recurrent_rows() {
  return rows;
}

}  // namespace hone::tflite
