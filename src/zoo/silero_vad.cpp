// Silero VAD, version 5, 16 kHz: the probability of speech in 512 samples (32 ms) behind 64 samples of context.
//
// The signal's magnitude spectrum by a convolution with the windowed Fourier basis, four convolutions over time, an
// LSTM cell whose state the caller carries from block to block, and a last 1x1 convolution.
#include "ops/activation.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/movement.hpp"
#include "ops/recurrent.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"
#include "zoo/networks.hpp"

namespace hone::zoo {
namespace {

constexpr int64_t window = 256, hop = 128, bins = window / 2 + 1, context = 64, block = 512, hidden = 128;

class Vad {
 public:
  explicit Vad(Layers& l) : l_(l), b_(l.builder()) {}

  Value conv(Value x, const std::string& name, int64_t out, int64_t kernel, int64_t stride, int64_t pad, bool bias) {
    const int64_t in = x.shape()[1].get_length();
    const Value w = l_.weight(name + ".weight", {out, in, kernel}, 1.0 / static_cast<double>(in * kernel));
    b_.set_name(name);
    Value y = b_(Convolution{.strides = {stride}, .pads_begin = {pad}, .pads_end = {pad}, .dilations = {1}}, x, w);
    if (!bias) return y;
    const Value v = l_.filled(name + ".bias", out, 0);
    y = b_(Add{}, y, b_(Unsqueeze{}, v, b_.ints({1})));
    return y;
  }
  // Gates i, f, c, o of the file in the order f, i, c, o.
  Value gates(Value w) {
    const Values p = b_.all(Split{4}, {w, b_.scalar<int64_t>(0)});
    return b_(Concat{0}, Values{p[1], p[0], p[2], p[3]});
  }
  Value half(Value state, int64_t index) {
    return b_(Squeeze{}, b_(Slice{}, state, b_.ints({index}), b_.ints({index + 1}), b_.ints({1}), b_.ints({0})),
              b_.ints({0}));
  }

  void build(Value x, Value state) {
    b_.set_name("padding");
    x = b_(Pad{PadMode::reflect}, x, b_.ints({0, 0}), b_.ints({0, context}));
    x = conv(b_(Unsqueeze{}, x, b_.ints({1})), "stft_conv", 2 * bins, window, hop, 0, false);
    b_.set_name("magnitude");
    const Values parts = b_.all(Split{2}, {x, b_.scalar<int64_t>(1)});
    x = b_(Sqrt{}, b_(Add{}, b_(Multiply{}, parts[0], parts[0]), b_(Multiply{}, parts[1], parts[1])));
    x = l_.activate(conv(x, "conv1", 128, 3, 1, 1, true), Act::relu, "relu1");
    x = l_.activate(conv(x, "conv2", 64, 3, 2, 1, true), Act::relu, "relu2");
    x = l_.activate(conv(x, "conv3", 64, 3, 2, 1, true), Act::relu, "relu3");
    x = l_.activate(conv(x, "conv4", hidden, 3, 1, 1, true), Act::relu, "relu4");
    b_.set_name("lstm_cell");
    x = b_(Squeeze{}, x, b_.ints({2}));
    const Value w = l_.weight("lstm_cell.weight_ih", {4 * hidden, hidden}, 0.05),
                r = l_.weight("lstm_cell.weight_hh", {4 * hidden, hidden}, 0.05);
    const Value input_bias = l_.filled("lstm_cell.bias_ih", 4 * hidden, 0),
                recurrent_bias = l_.filled("lstm_cell.bias_hh", 4 * hidden, 0);
    b_.set_name("lstm_cell");
    LSTMCell cell;
    cell.hidden_size = hidden;
    const Values next = b_.all(
        cell, {x, half(state, 0), half(state, 1), gates(w), gates(r), gates(b_(Add{}, input_bias, recurrent_bias))});
    Value y = b_(Relu{}, b_(Unsqueeze{}, next[0], b_.ints({2})));
    y = conv(y, "final_conv", 1, 1, 1, 0, true);
    b_.set_name("probability");
    y = b_(ReduceMean{}, b_(Sigmoid{}, y), b_.ints({2}));
    result(y, "output");
    b_.set_name("state");
    const Value axis = b_.ints({0});
    result(b_(Concat{0}, Values{b_(Unsqueeze{}, next[0], axis), b_(Unsqueeze{}, next[1], axis)}), "stateN");
  }

 private:
  void result(Value v, const char* name) {
    b_.graph().set_names(v.id, {name});
    b_.set_name({});
    b_.result(v, name);
  }
  Layers& l_;
  Builder& b_;
};

}  // namespace

void silero_vad(Layers& l) {
  Builder& b = l.builder();
  const Dimension n = Dimension::symbolic("N");
  const Value x = b.parameter(ElementType::f32, PartialShape{n, context + block}, "input");
  const Value state = b.parameter(ElementType::f32, PartialShape{2, n, hidden}, "state");
  Vad(l).build(x, state);
}

}  // namespace hone::zoo
