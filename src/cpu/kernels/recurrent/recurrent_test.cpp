// Recurrent cells and sequences against the formulas in plain double loops.
#include "ops/recurrent.hpp"

#include <algorithm>

#include "cpu/kernels/kernel_test.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

double activation(const std::string& name, double x) {
  if (name == "sigmoid") return 1 / (1 + std::exp(-x));
  if (name == "tanh") return std::tanh(x);
  if (name == "relu") return std::max(x, 0.0);
  if (name == "affine") return 0.5 * x + 0.25;
  if (name == "leakyrelu") return x < 0 ? 0.5 * x : x;
  if (name == "thresholdedrelu") return x > 0.5 ? x : 0;
  if (name == "scaledtanh") return 0.5 * std::tanh(0.25 * x);
  if (name == "hardsigmoid") return std::clamp(0.5 * x + 0.25, 0.0, 1.0);
  if (name == "elu") return x < 0 ? 0.5 * std::expm1(x) : x;
  if (name == "softsign") return x / (1 + std::fabs(x));
  return std::log1p(std::exp(x));
}

struct Case {
  int64_t batch, time, inputs, hidden;
  RecurrentDirection direction = RecurrentDirection::forward;
  bool sequence = true, bias = true, states = true, peepholes = false, flag = false;  // flag: of the operator
  std::vector<int64_t> lengths{};
  std::vector<std::string> activations{};
  double clip = 0;
};

std::vector<Case> cases() {
  using enum RecurrentDirection;
  std::vector<Case> all{
      {.batch = 1, .time = 5, .inputs = 7, .hidden = 16},
      {.batch = 2, .time = 4, .inputs = 33, .hidden = 37, .direction = bidirectional},
      {.batch = 3, .time = 6, .inputs = 8, .hidden = 5, .direction = bidirectional, .lengths = {6, 0, 2}},
      {.batch = 20, .time = 11, .inputs = 3, .hidden = 65, .direction = reverse, .flag = true},
      {.batch = 1, .time = 130, .inputs = 4, .hidden = 20, .bias = false, .states = false},
      {.batch = 2, .time = 3, .inputs = 5, .hidden = 19, .flag = true, .clip = 0.3},
      {.batch = 1, .time = 2, .inputs = 20, .hidden = 300, .flag = true},
      {.batch = 3, .time = 1, .inputs = 9, .hidden = 33, .sequence = false},
      {.batch = 2, .time = 1, .inputs = 9, .hidden = 18, .sequence = false, .bias = false, .flag = true},
      {.batch = 2, .time = 4, .inputs = 6, .hidden = 17, .direction = bidirectional, .peepholes = true}};
  for (const char* f :
       {"relu", "affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu", "softsign", "softplus"}) {
    all.push_back({.batch = 2, .time = 3, .inputs = 4, .hidden = 18, .activations = {f, "tanh", f}});
  }
  return all;
}

struct Want {
  std::vector<double> y, h, c;
};

enum class Cell { lstm, gru, rnn };

// x, h0, c0 and the rest as numbers, in the order of the operator's inputs.
Want expected(Cell cell, const Case& k, const std::vector<std::string>& f, const std::vector<std::vector<double>>& in,
              const std::vector<double>& bias, const std::vector<double>& peepholes) {
  const bool lstm = cell == Cell::lstm;
  const auto n = size_t(k.hidden),
             gates = size_t(lstm                ? 4
                            : cell == Cell::gru ? 3
                                                : 1),
             t = size_t(k.time), width = size_t(k.inputs);
  const size_t all = k.direction == RecurrentDirection::bidirectional ? 2 : 1;
  const bool linear = cell == Cell::gru && k.flag;
  Want w;
  w.y.assign(size_t(k.batch) * all * t * n, 0);
  w.h = in[1];
  w.c = in[2];
  const auto bounded = [&](double v) { return k.clip > 0 ? std::clamp(v, -k.clip, k.clip) : v; };
  for (size_t s = 0; s < size_t(k.batch); ++s) {
    for (size_t d = 0; d < all; ++d) {
      const bool backward = d == 1 || k.direction == RecurrentDirection::reverse;
      const size_t length = k.lengths.empty() ? t : size_t(k.lengths[s]);
      double* h = w.h.data() + (s * all + d) * n;
      double* c = w.c.empty() ? nullptr : w.c.data() + (s * all + d) * n;
      for (size_t step = 0; step < length; ++step) {
        const size_t at = backward ? length - 1 - step : step;
        const auto b = [&](size_t g, size_t i) {
          return bias.empty() ? 0 : bias[(d * (linear ? 4 : gates) + g) * n + i];
        };
        const auto from_x = [&](size_t g, size_t i) {
          double sum = b(g, i);
          for (size_t j = 0; j < width; ++j)
            sum += in[0][(s * t + at) * width + j] * in[3][((d * gates + g) * n + i) * width + j];
          return sum;
        };
        const auto from_h = [&](size_t g, size_t i, const std::vector<double>& state) {
          double sum = 0;
          for (size_t j = 0; j < n; ++j) sum += state[j] * in[4][((d * gates + g) * n + i) * n + j];
          return sum;
        };
        const std::vector<double> old(h, h + n);
        const auto peep = [&](size_t g, size_t i, double state) {
          return peepholes.empty() ? 0 : peepholes[(d * 3 + g) * n + i] * state;
        };
        std::vector<double> reset(n);
        for (size_t i = 0; i < n && cell == Cell::gru; ++i)
          reset[i] = old[i] * activation(f[0], bounded(from_x(1, i) + from_h(1, i, old)));
        for (size_t i = 0; i < n; ++i) {
          const auto gate = [&](size_t g) { return from_x(g, i) + from_h(g, i, old); };
          if (cell == Cell::rnn) {
            h[i] = activation(f[0], bounded(gate(0)));
          } else if (cell == Cell::gru) {
            const double z = activation(f[0], bounded(gate(0))), r = activation(f[0], bounded(gate(1)));
            const double recurrent = linear ? r * (from_h(2, i, old) + b(3, i)) : from_h(2, i, reset);
            h[i] = (1 - z) * activation(f[1], bounded(from_x(2, i) + recurrent)) + z * old[i];
          } else {
            const double input = activation(f[0], bounded(gate(1) + peep(0, i, c[i])));
            const double forget =
                k.flag && k.sequence ? 1 - input : activation(f[0], bounded(gate(0) + peep(2, i, c[i])));
            c[i] = forget * c[i] + input * activation(f[1], bounded(gate(2)));
            h[i] = activation(f[0], bounded(gate(3) + peep(1, i, c[i]))) * activation(f[2], c[i]);
          }
          w.y[((s * all + d) * t + at) * n + i] = h[i];
        }
      }
    }
  }
  return w;
}

template <class Op>
Op configured(const Case& k, const std::vector<std::string>& f) {
  Op op;
  op.hidden_size = k.hidden;
  op.activations = f;
  op.activations_alpha.assign(f.size(), 0.5);
  op.activations_beta.assign(f.size(), 0.25);
  op.clip = k.clip;
  if constexpr (requires { op.direction; }) op.direction = k.direction;
  if constexpr (requires { op.linear_before_reset; }) op.linear_before_reset = k.flag;
  if constexpr (requires { op.input_forget; }) op.input_forget = k.flag;
  return op;
}

void check(Cell cell, const Case& k, bool bf16) {
  const bool lstm = cell == Cell::lstm;
  const int64_t gates = lstm ? 4 : cell == Cell::gru ? 3 : 1;
  const int64_t all = k.direction == RecurrentDirection::bidirectional ? 2 : 1;
  std::vector<std::string> f = k.activations;
  if (f.empty())
    f = lstm ? std::vector<std::string>{"sigmoid", "tanh", "tanh"} : std::vector<std::string>{"sigmoid", "tanh"};
  f.resize(lstm ? 3 : cell == Cell::gru ? 2 : 1);
  if (cell == Cell::rnn && k.activations.empty()) f = {"tanh"};
  Node node = k.sequence          ? lstm                ? Node(configured<LSTMSequence>(k, f))
                                    : cell == Cell::gru ? Node(configured<GRUSequence>(k, f))
                                                        : Node(configured<RNNSequence>(k, f))
                       : lstm ? Node(configured<LSTMCell>(k, f))
              : cell == Cell::gru ? Node(configured<GRUCell>(k, f))
                                  : Node(configured<RNNCell>(k, f));
  node.q.bf16_compute = bf16;
  const auto dims = [&](Shape cell_shape, Shape sequence_shape) { return k.sequence ? sequence_shape : cell_shape; };
  const auto weight = [&](Shape s, double range) {
    Tensor t(f32, s);
    std::uniform_real_distribution<double> real(-range, range);
    for (size_t i = 0; i < t.size(); ++i) set_element(t, i, real(node.rng));
    node.constant(t);
  };
  const auto absent = [&] {
    TensorDesc d;
    d.present = false;
    node.inputs.push_back(nullptr);
    node.q.inputs.push_back(d);
  };
  node.input(Node::desc(f32, dims({k.batch, k.inputs}, {k.batch, k.time, k.inputs})), -1, 1);
  const Shape state = dims({k.batch, k.hidden}, {k.batch, all, k.hidden});
  const double range = k.states ? 1 : 0;
  node.input(Node::desc(f32, state), -range, range);
  if (lstm) node.input(Node::desc(f32, state), -range, range);
  if (k.sequence) {
    if (k.lengths.empty()) {
      absent();
    } else if (lstm) {
      node.constant(Tensor::of<int64_t>({k.batch}, std::span<const int64_t>(k.lengths)));
    } else {
      std::vector<int32_t> lengths(k.lengths.begin(), k.lengths.end());
      node.constant(Tensor::of<int32_t>({k.batch}, std::span<const int32_t>(lengths)));
    }
  }
  const size_t w = node.q.inputs.size();
  weight(dims({gates * k.hidden, k.inputs}, {all, gates * k.hidden, k.inputs}), 1 / std::sqrt(double(k.inputs)));
  weight(dims({gates * k.hidden, k.hidden}, {all, gates * k.hidden, k.hidden}), 1 / std::sqrt(double(k.hidden)));
  const int64_t biases = cell == Cell::gru && k.flag ? 4 : gates;
  if (k.bias) {
    node.input(Node::desc(f32, dims({biases * k.hidden}, {all, biases * k.hidden})), -1, 1);
  } else {
    absent();
  }
  const bool peepholes = k.peepholes && lstm;
  if (peepholes) node.input(Node::desc(f32, {all, 3 * k.hidden}), -1, 1);
  node.q.num_op_inputs = node.q.inputs.size();
  if (k.sequence) node.q.outputs.push_back(Node::desc(f32, {k.batch, all, k.time, k.hidden}));
  node.q.outputs.push_back(Node::desc(f32, state));
  if (lstm) node.q.outputs.push_back(Node::desc(f32, state));

  const auto numbers = [&](size_t i) {
    std::vector<double> v(node.q.inputs[i].size());
    for (size_t e = 0; e < v.size(); ++e) v[e] = node.value(i, e);
    return v;
  };
  const std::vector<double> none;
  const Want want = expected(cell, k, f, {numbers(0), numbers(1), lstm ? numbers(2) : none, numbers(w), numbers(w + 1)},
                             k.bias ? numbers(w + 2) : none, peepholes ? numbers(w + 3) : none);
  std::vector<const std::vector<double>*> outputs;
  if (k.sequence) outputs.push_back(&want.y);
  outputs.push_back(&want.h);
  if (lstm) outputs.push_back(&want.c);
  // f32: sums of a few hundred products, through a few steps. bf16: the factors carry 8 bits, the states stay f32.
  const double tolerance = bf16 ? 4e-2 : 2e-5;
  int count = 0;
  std::set<const Kernel*> seen;
  for (const std::string& level : levels()) {
    ScopedFeatures cap(features_of(level));
    for (const Kernel* row : kernels_for(node.op)) {
      if (std::string(row->provider) != "hone" || seen.count(row) || !row->supports(node.q)) continue;
      seen.insert(row);
      ++count;
      const auto first = run_row_outputs(*row, node.q, node.inputs, 1);
      const std::string where = std::string(row->name) + " (" + level + ") batch " + std::to_string(k.batch) +
                                " hidden " + std::to_string(k.hidden) + " " + f[0];
      for (size_t o = 0; o < outputs.size(); ++o) {
        for (size_t i = 0; i < outputs[o]->size(); ++i) {
          const double exact = (*outputs[o])[i];
          ASSERT_NEAR(read(node.q.outputs[o], first[o].data, i), exact, tolerance * (1 + std::fabs(exact)))
              << where << " output " << o << " at " << i;
        }
      }
      for (int threads : {2, 5}) {
        const auto other = run_row_outputs(*row, node.q, node.inputs, threads);
        for (size_t o = 0; o < outputs.size(); ++o)
          EXPECT_EQ(std::memcmp(first[o].data, other[o].data, first[o].size), 0) << where << " with " << threads;
      }
    }
  }
  EXPECT_GT(count, 0);
}

TEST(Recurrent, cells_and_sequences_match_the_formulas) {
  for (const Case& k : cases()) {
    for (Cell cell : {Cell::lstm, Cell::gru, Cell::rnn}) {
      if (skip_case()) continue;
      for (bool bf16 : {false, true}) check(cell, k, bf16);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Recurrent, refuses_lengths_outside_of_the_sequence) {
  for (int64_t length : {int64_t(-1), int64_t(4)}) {
    Node node(configured<RNNSequence>({.batch = 1, .time = 3, .inputs = 2, .hidden = 2}, {"tanh"}));
    node.input(Node::desc(f32, {1, 3, 2}));
    node.input(Node::desc(f32, {1, 1, 2}));
    node.constant(Tensor::of<int64_t>({1}, {length}));
    node.constant(Tensor(f32, {1, 2, 2}));
    node.constant(Tensor(f32, {1, 2, 2}));
    node.q.outputs = {Node::desc(f32, {1, 1, 3, 2}), Node::desc(f32, {1, 1, 2})};
    int count = 0;
    for (const Kernel* row : kernels_for("RNNSequence")) {
      if (std::string(row->provider) != "hone" || !row->supports(node.q)) continue;
      ++count;
      const KernelPlan plan = row->plan(node.q);
      std::vector<Tensor> packs;
      auto inputs = node.inputs;
      for (const PackedInput& p : plan.packs) {
        packs.push_back(row->pack(node.q, p));
        inputs[p.input] = packs.back().raw();
      }
      auto kernel = row->prepare(node.q);
      Buffer scratch(kernel->scratch_bytes()), y(24), h(8);
      std::vector<void*> out{y.data, h.data};
      ThreadPool pool(1);
      RunError error;
      kernel->run({inputs, out, scratch.data, pool, &error});
      EXPECT_TRUE(error.failed) << row->name << " took a length of " << length;
    }
    EXPECT_GT(count, 0);
  }
}

}  // namespace
}  // namespace hone::cpu::test
