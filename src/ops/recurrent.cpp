#include "ops/recurrent.hpp"

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/recurrent_cell.hpp"

namespace hone {
namespace {

using recurrent::Cell;
using recurrent::Step;

// Where the inputs of a cell or a sequence lie.
struct Places {
  size_t x, h, c, lengths, w, r, b, peepholes;
};
constexpr size_t none = 99;
constexpr Places places(Cell cell, bool sequence) {
  if (cell == Cell::lstm) return sequence ? Places{0, 1, 2, 3, 4, 5, 6, 7} : Places{0, 1, 2, none, 3, 4, 5, none};
  return sequence ? Places{0, 1, none, 2, 3, 4, 5, none} : Places{0, 1, none, none, 2, 3, 4, none};
}

template <class Op>
Step checked_step(const auto& ctx, const Op& op, Cell cell, size_t direction) {
  const int64_t hidden = op.hidden_size;  // a name of its own: "op.hidden_size <" would begin a template list
  if (hidden < 1 || hidden > INT32_MAX) ctx.fail("hidden_size is " + std::to_string(hidden));
  try {
    return recurrent::step_of(op, cell, direction);
  } catch (const Error& e) {
    ctx.fail(e.message());
  }
}

template <class Op>
bool four_biases(const Op& op) {
  if constexpr (requires { op.linear_before_reset; }) return op.linear_before_reset;
  return false;
}

void check_dims(InferCtx& ctx, size_t i, const std::vector<Dimension>& wanted, const char* what) {
  if (!ctx.has(i)) return;
  const PartialShape shape(wanted);
  ctx.check(ctx.shape(i).compatible(shape),
            std::string(what) + " " + to_string(ctx.shape(i)) + " is not " + to_string(shape));
}

// Checks the inputs against each other; the batch and the sequence length.
template <class Op>
std::pair<Dimension, Dimension> check_inputs(InferCtx& ctx, const Op& op, Cell cell, bool sequence, size_t directions) {
  const Places p = places(cell, sequence);
  checked_step(ctx, op, cell, directions - 1);
  const Dimension hidden(op.hidden_size), gates(static_cast<int64_t>(recurrent::gates_of(cell)) * op.hidden_size);
  const PartialShape &x = ctx.shape(p.x), &h = ctx.shape(p.h);
  ctx.check(!x.rank_known() || x.rank() == (sequence ? 3u : 2u), "X is " + to_string(x));
  const Dimension batch = x.rank_known()                   ? x[0]
                          : h.rank_known() && h.rank() > 0 ? h[0]
                                                           : Dimension(),
                  input = x.rank_known() ? x[x.rank() - 1] : Dimension();
  const auto with_direction = [&](std::vector<Dimension> d, size_t at) {
    if (sequence) d.insert(d.begin() + static_cast<std::ptrdiff_t>(at), Dimension(static_cast<int64_t>(directions)));
    return d;
  };
  check_dims(ctx, p.h, with_direction({batch, hidden}, 1), "the initial state");
  check_dims(ctx, p.c, with_direction({batch, hidden}, 1), "the initial cell state");
  check_dims(ctx, p.w, with_direction({gates, input}, 0), "W");
  check_dims(ctx, p.r, with_direction({gates, hidden}, 0), "R");
  check_dims(ctx, p.b, with_direction({four_biases(op) ? gates + hidden : gates}, 0), "B");
  check_dims(ctx, p.peepholes, with_direction({Dimension(3 * op.hidden_size)}, 0), "the peepholes");
  check_dims(ctx, p.lengths, {batch}, "the lengths");
  return {batch, sequence && x.rank_known() ? x[1] : Dimension()};
}

template <class Op>
Types infer_cell(InferCtx& ctx, const Op& op, Cell cell) {
  const auto [batch, unused] = check_inputs(ctx, op, cell, false, 1);
  const Type state(ctx.element(0), PartialShape{batch, Dimension(op.hidden_size)});
  if (cell == Cell::lstm) return {state, state};
  return {state};
}

template <class Op>
size_t directions_of(const Op& op) {
  return op.direction == RecurrentDirection::bidirectional ? 2 : 1;
}

template <class Op>
Types infer_sequence(InferCtx& ctx, const Op& op, Cell cell) {
  const size_t d = directions_of(op);
  const auto [batch, time] = check_inputs(ctx, op, cell, true, d);
  const Dimension directions(static_cast<int64_t>(d)), hidden(op.hidden_size);
  const Type y(ctx.element(0), PartialShape{batch, directions, time, hidden}),
      state(ctx.element(0), PartialShape{batch, directions, hidden});
  if (cell == Cell::lstm) return {y, state, state};
  return {y, state};
}

// All of a tensor as doubles; an empty list where the input is absent.
std::vector<double> numbers(const EvalCtx& ctx, size_t i) {
  return ctx.has(i) ? ctx.input(i).to_doubles() : std::vector<double>();
}
void check_size(const EvalCtx& ctx, const std::vector<double>& v, size_t n, const char* what) {
  if (!v.empty() && v.size() != n)
    ctx.fail(std::string(what) + " has " + std::to_string(v.size()) + " elements, not " + std::to_string(n));
}

// Runs cells (`sequence` false: one step, one direction) and sequences.
template <class Op>
void eval_recurrent(EvalCtx& ctx, const Op& op, Cell cell, bool sequence, RecurrentDirection direction) {
  const Places p = places(cell, sequence);
  const Tensor& x = ctx.input(p.x);
  if (x.rank() != (sequence ? 3u : 2u)) ctx.fail("X is " + to_string(x.shape()));
  const size_t directions = direction == RecurrentDirection::bidirectional ? 2 : 1;
  const auto batch = static_cast<size_t>(x.shape()[0]), time = static_cast<size_t>(sequence ? x.shape()[1] : 1),
             inputs = static_cast<size_t>(x.shape().back());
  const Step first = checked_step(ctx, op, cell, 0);
  const size_t n = first.hidden, rows = recurrent::gates_of(cell) * n, bias_size = four_biases(op) ? rows + n : rows;
  const auto xs = x.to_doubles(), w = numbers(ctx, p.w), r = numbers(ctx, p.r), bias = numbers(ctx, p.b),
             peepholes = numbers(ctx, p.peepholes);
  auto h = numbers(ctx, p.h), c = numbers(ctx, p.c);
  if (h.empty()) h.assign(batch * directions * n, 0);
  if (c.empty()) c.assign(batch * directions * n, 0);
  check_size(ctx, h, batch * directions * n, "the initial state");
  check_size(ctx, c, batch * directions * n, "the initial cell state");
  if (w.size() != directions * rows * inputs || r.size() != directions * rows * n)
    ctx.fail("W or R do not fit X and hidden_size");
  check_size(ctx, bias, directions * bias_size, "B");
  check_size(ctx, peepholes, directions * 3 * n, "the peepholes");
  std::vector<int64_t> lengths(batch, static_cast<int64_t>(time));
  if (ctx.has(p.lengths)) lengths = ctx.input(p.lengths).to_ints();
  if (lengths.size() != batch) ctx.fail("the lengths are not [N]");
  const ElementType type = x.element_type();
  const auto i64 = [](size_t v) { return static_cast<int64_t>(v); };
  Tensor y;
  if (sequence) y = ctx.output(0, type, {i64(batch), i64(directions), i64(time), i64(n)});
  std::vector<double> gates(rows), scratch;
  for (size_t d = 0; d < directions; ++d) {
    const Step step = checked_step(ctx, op, cell, d);
    const bool backward = direction == RecurrentDirection::reverse || d == 1;
    const double *wd = w.data() + d * rows * inputs, *bd = bias.empty() ? nullptr : bias.data() + d * bias_size;
    for (size_t s = 0; s < batch; ++s) {
      if (lengths[s] < 0 || lengths[s] > i64(time))
        ctx.fail("a length of " + std::to_string(lengths[s]) + " in a sequence of " + std::to_string(time));
      double *hs = h.data() + (s * directions + d) * n, *cs = c.data() + (s * directions + d) * n;
      for (int64_t k = 0; k < lengths[s]; ++k) {
        const auto t = static_cast<size_t>(backward ? lengths[s] - 1 - k : k);
        const double* xt = xs.data() + (s * time + t) * inputs;
        for (size_t i = 0; i < rows; ++i) {
          double sum = bd ? bd[i] : 0;
          for (size_t j = 0; j < inputs; ++j) sum += wd[i * inputs + j] * xt[j];
          gates[i] = sum;
        }
        step.run(gates, r.data() + d * rows * n, bd && four_biases(op) ? bd + rows : nullptr,
                 peepholes.empty() ? nullptr : peepholes.data() + d * 3 * n, hs, cs, scratch);
        if (!sequence) continue;
        for (size_t i = 0; i < n; ++i) set_element(y, ((s * directions + d) * time + t) * n + i, hs[i]);
      }
    }
  }
  const Shape shape = sequence ? Shape{i64(batch), i64(directions), i64(n)} : Shape{i64(batch), i64(n)};
  const size_t at = sequence ? 1 : 0;
  Tensor last = ctx.output(at, type, shape);
  for (size_t i = 0; i < h.size(); ++i) set_element(last, i, h[i]);
  if (cell != Cell::lstm) return;
  Tensor last_cell = ctx.output(at + 1, type, shape);
  for (size_t i = 0; i < c.size(); ++i) set_element(last_cell, i, c[i]);
}

Value input_of(const Values& in, size_t i) {
  return i < in.size() ? in[i] : Value{};
}

// X W^T + B, and the recurrent bias of h where the bias holds it too.
Value input_gates(Builder& b, const Step& s, Value x, Value w, Value bias, Value& recurrent_bias) {
  Value gates = b(MatMul{false, true}, x, w);
  if (!bias) return gates;
  const auto rows = static_cast<int64_t>(recurrent::gates_of(s.cell) * s.hidden), n = static_cast<int64_t>(s.hidden);
  if (s.linear_before_reset) {
    const Values parts = b.all(VariadicSplit{}, {bias, b.scalar<int64_t>(0), b.ints({rows, n})});
    bias = parts[0];
    recurrent_bias = parts[1];
  }
  return b(Add{}, gates, bias);
}

template <class Op>
Values expand_cell(Builder& b, const Op& op, const Values& in, Cell cell) {
  const Places p = places(cell, false);
  const Step s = recurrent::step_of(op, cell, 0);
  Value recurrent_bias, h = in[p.h], c = input_of(in, p.c);
  const Value gates = input_gates(b, s, in[p.x], in[p.w], input_of(in, p.b), recurrent_bias);
  s.build(b, gates, in[p.r], recurrent_bias, {}, h, c);
  if (cell == Cell::lstm) return {h, c};
  return {h};
}

// The sequence unrolled: one product for all inputs, then one step after the other.
template <class Op>
Values expand_sequence(Builder& b, const Op& op, const Values& in, Cell cell) {
  const Places p = places(cell, true);
  const Value x = in[p.x];
  if (!x.shape().rank_known() || x.shape()[1].is_dynamic()) {
    throw Error(ErrorCode::failed,
                "[" + std::string(Op::name) + "] is unrolled only where the length of the sequence is known");
  }
  const int64_t time = x.shape()[1].get_length();
  // Equal lengths need no selection between old and new states.
  Value lengths = input_of(in, p.lengths);
  if (lengths) {
    if (const Tensor t = lengths.constant()) {
      const auto all = t.to_ints();
      if (std::all_of(all.begin(), all.end(), [&](int64_t l) { return l == time; })) lengths = {};
    }
  }
  const auto pick = [&](Value v, size_t d, int64_t axis) {
    return v ? b(Gather{}, v, b.scalar<int64_t>(static_cast<int64_t>(d)), b.scalar<int64_t>(axis)) : Value{};
  };
  const auto lift = [&](Value v) { return b(Unsqueeze{}, v, b.ints({1})); };
  Values ys, hs, cs;
  for (size_t d = 0; d < directions_of(op); ++d) {
    const Step s = recurrent::step_of(op, cell, d);
    const bool backward = op.direction == RecurrentDirection::reverse || d == 1;
    Value recurrent_bias, h = pick(in[p.h], d, 1), c = pick(input_of(in, p.c), d, 1);
    const Value gates = input_gates(b, s, x, pick(in[p.w], d, 0), pick(input_of(in, p.b), d, 0), recurrent_bias);
    const Value r = pick(in[p.r], d, 0), peepholes = pick(input_of(in, p.peepholes), d, 0);
    Values steps(static_cast<size_t>(time));
    for (int64_t k = 0; k < time; ++k) {
      const int64_t t = backward ? time - 1 - k : k;
      const Value old_h = h, old_c = c;
      s.build(b, b(Gather{}, gates, b.scalar<int64_t>(t), b.scalar<int64_t>(1)), r, recurrent_bias, peepholes, h, c);
      Value y = h;
      if (lengths) {
        const Value live = lift(b(Greater{}, lengths, b.like(lengths, static_cast<double>(t))));
        y = b(Select{}, live, h, b.like(h, 0));
        h = b(Select{}, live, h, old_h);
        if (c) c = b(Select{}, live, c, old_c);
      }
      steps[static_cast<size_t>(t)] = lift(y);
    }
    if (time == 0) throw Error(ErrorCode::failed, "[" + std::string(Op::name) + "] an empty sequence is not unrolled");
    ys.push_back(lift(b(Concat{1}, steps)));
    hs.push_back(lift(h));
    if (c) cs.push_back(lift(c));
  }
  const auto join = [&](const Values& v) { return v.size() == 1 ? v[0] : b(Concat{1}, v); };
  if (cell == Cell::lstm) return {join(ys), join(hs), join(cs)};
  return {join(ys), join(hs)};
}

// Inputs of a sequence with three sequences of up to four steps, two features.
std::vector<Datum> sequence_inputs(Cell cell, int64_t directions, int64_t hidden, bool lengths, bool four = false) {
  const auto gates = static_cast<int64_t>(recurrent::gates_of(cell)) * hidden;
  std::vector<Datum> in{random_tensor({3, 4, 2}, 1), random_tensor({3, directions, hidden}, 2)};
  if (cell == Cell::lstm) in.push_back(random_tensor({3, directions, hidden}, 3));
  in.push_back(lengths ? int_tensor({4, 2, 3}) : int_tensor({4, 4, 4}));
  in.push_back(random_tensor({directions, gates, 2}, 4));
  in.push_back(random_tensor({directions, gates, hidden}, 5));
  in.push_back(random_tensor({directions, four ? gates + hidden : gates}, 6));
  return in;
}
std::vector<Datum> cell_inputs(Cell cell, int64_t hidden, bool four = false) {
  const auto gates = static_cast<int64_t>(recurrent::gates_of(cell)) * hidden;
  std::vector<Datum> in{random_tensor({3, 2}, 1), random_tensor({3, hidden}, 2)};
  if (cell == Cell::lstm) in.push_back(random_tensor({3, hidden}, 3));
  in.push_back(random_tensor({gates, 2}, 4));
  in.push_back(random_tensor({gates, hidden}, 5));
  in.push_back(random_tensor({four ? gates + hidden : gates}, 6));
  return in;
}
Tensor values(Shape shape, std::initializer_list<float> v) {
  return Tensor::of<float>(std::move(shape), v);
}

}  // namespace

Types LSTMCell::infer(InferCtx& ctx) const {
  return infer_cell(ctx, *this, Cell::lstm);
}
void LSTMCell::eval(EvalCtx& ctx) const {
  eval_recurrent(ctx, *this, Cell::lstm, false, RecurrentDirection::forward);
}
Values LSTMCell::expand(Builder& b, const Values& in) const {
  return expand_cell(b, *this, in, Cell::lstm);
}
Samples LSTMCell::samples() {
  return {sample(LSTMCell{3}, cell_inputs(Cell::lstm, 3)),
          sample(LSTMCell{2, {"hardsigmoid", "ELU", "Affine"}, {0.3, 0.5, 1.5}, {0.4, 0, 0.1}, 0.7},
                 cell_inputs(Cell::lstm, 2))};
}
HONE_DEFINE_OP(LSTMCell)

Types GRUCell::infer(InferCtx& ctx) const {
  return infer_cell(ctx, *this, Cell::gru);
}
void GRUCell::eval(EvalCtx& ctx) const {
  eval_recurrent(ctx, *this, Cell::gru, false, RecurrentDirection::forward);
}
Values GRUCell::expand(Builder& b, const Values& in) const {
  return expand_cell(b, *this, in, Cell::gru);
}
Samples GRUCell::samples() {
  GRUCell linear{3};
  linear.linear_before_reset = true;
  return {sample(GRUCell{3}, cell_inputs(Cell::gru, 3)), sample(linear, cell_inputs(Cell::gru, 3, true)),
          sample(GRUCell{2, {"softsign", "leakyrelu"}, {}, {}, 0.5}, cell_inputs(Cell::gru, 2))};
}
HONE_DEFINE_OP(GRUCell)

Types RNNCell::infer(InferCtx& ctx) const {
  return infer_cell(ctx, *this, Cell::rnn);
}
void RNNCell::eval(EvalCtx& ctx) const {
  eval_recurrent(ctx, *this, Cell::rnn, false, RecurrentDirection::forward);
}
Values RNNCell::expand(Builder& b, const Values& in) const {
  return expand_cell(b, *this, in, Cell::rnn);
}
Samples RNNCell::samples() {
  return {sample(RNNCell{3}, cell_inputs(Cell::rnn, 3)),
          sample(RNNCell{2, {"scaledtanh"}, {1.7}, {0.6}}, cell_inputs(Cell::rnn, 2)),
          sample(RNNCell{2, {"softplus"}}, cell_inputs(Cell::rnn, 2)),
          sample(RNNCell{2, {"thresholdedrelu"}, {0.1}}, cell_inputs(Cell::rnn, 2))};
}
HONE_DEFINE_OP(RNNCell)

Types LSTMSequence::infer(InferCtx& ctx) const {
  return infer_sequence(ctx, *this, Cell::lstm);
}
void LSTMSequence::eval(EvalCtx& ctx) const {
  eval_recurrent(ctx, *this, Cell::lstm, true, direction);
}
Values LSTMSequence::expand(Builder& b, const Values& in) const {
  return expand_sequence(b, *this, in, Cell::lstm);
}
// Expected values from OpenVINO 2026.4.
Samples LSTMSequence::samples() {
  auto peeping = sequence_inputs(Cell::lstm, 1, 2, true);
  peeping.push_back(random_tensor({1, 6}, 7));
  LSTMSequence coupled{2};
  coupled.input_forget = true;
  return {
      sample(LSTMSequence{2}, sequence_inputs(Cell::lstm, 1, 2, true),
             {values({3, 1, 4, 2}, {-0.20556527f, 0.1906002f,  -0.13128492f,  0.25245824f,  -0.0835362f,  0.15668406f,
                                    -0.07964735f, 0.25636825f, 0.12232198f,   -0.09284911f, 0.09706416f,  0.034461133f,
                                    0.0f,         0.0f,        0.0f,          0.0f,         -0.13790195f, 0.1345288f,
                                    -0.12314605f, 0.23479377f, 0.0018382932f, 0.014292306f, 0.0f,         0.0f}),
              values({3, 1, 2}, {-0.07964735f, 0.25636825f, 0.09706416f, 0.034461133f, 0.0018382932f, 0.014292306f}),
              values({3, 1, 2}, {-0.23025237f, 0.5581466f, 0.25546998f, 0.096025094f, 0.007393822f, 0.08552967f})}),
      sample(
          LSTMSequence{2, RecurrentDirection::bidirectional}, sequence_inputs(Cell::lstm, 2, 2, true),
          {values({3, 2, 4, 2}, {-0.20556527f,  0.1906002f,   -0.13128492f,  0.25245824f,  -0.0835362f,    0.15668406f,
                                 -0.07964735f,  0.25636825f,  -0.03040309f,  0.11750793f,  -0.06062879f,   0.23007777f,
                                 -0.027673662f, 0.030132823f, -0.024238197f, -0.08657013f, -0.08142915f,   0.060316037f,
                                 -0.0300705f,   0.08496461f,  0.0f,          0.0f,         0.0f,           0.0f,
                                 -0.040504556f, 0.09039939f,  -0.2169405f,   0.09306157f,  0.0f,           0.0f,
                                 0.0f,          0.0f,         0.0098477015f, 0.24213465f,  0.007169904f,   0.28981164f,
                                 0.045195952f,  0.014795013f, 0.0f,          0.0f,         -0.0056647854f, 0.12467614f,
                                 -0.018528217f, 0.10098831f,  -0.16583112f,  0.07643575f,  0.0f,           0.0f}),
           values({3, 2, 2}, {-0.07964735f, 0.25636825f, -0.03040309f, 0.11750793f, -0.0300705f, 0.08496461f,
                              -0.040504556f, 0.09039939f, 0.045195952f, 0.014795013f, -0.0056647854f, 0.12467614f}),
           values({3, 2, 2}, {-0.23025237f, 0.5581466f, -0.05865118f, 0.66110575f, -0.08629443f, 0.24891746f,
                              -0.070408136f, 0.7439978f, 0.17139153f, 0.07717906f, -0.01162018f, 0.6625486f})}),
      sample(LSTMSequence{3, RecurrentDirection::reverse}, sequence_inputs(Cell::lstm, 1, 3, false)),
      sample(LSTMSequence{2}, peeping),
      sample(coupled, sequence_inputs(Cell::lstm, 1, 2, false)),
      sample(LSTMSequence{2,
                          RecurrentDirection::bidirectional,
                          {"sigmoid", "tanh", "tanh", "hardsigmoid", "softsign", "elu"},
                          {},
                          {},
                          0.9},
             sequence_inputs(Cell::lstm, 2, 2, false))};
}
HONE_DEFINE_OP(LSTMSequence)

Types GRUSequence::infer(InferCtx& ctx) const {
  return infer_sequence(ctx, *this, Cell::gru);
}
void GRUSequence::eval(EvalCtx& ctx) const {
  eval_recurrent(ctx, *this, Cell::gru, true, direction);
}
Values GRUSequence::expand(Builder& b, const Values& in) const {
  return expand_sequence(b, *this, in, Cell::gru);
}
Samples GRUSequence::samples() {
  GRUSequence linear{2, RecurrentDirection::bidirectional};
  linear.linear_before_reset = true;
  return {
      sample(GRUSequence{2}, sequence_inputs(Cell::gru, 1, 2, true),
             {values({3, 1, 4, 2}, {0.1571909f,   0.59542185f, -0.05581975f, 0.65998757f,  0.011359148f, 0.60516024f,
                                    -0.09323934f, 0.6633097f,  0.24181946f,  0.49161956f,  0.2464912f,   0.46878606f,
                                    0.0f,         0.0f,        0.0f,         0.0f,         -0.27489606f, 0.10663715f,
                                    -0.22115314f, 0.42619765f, 0.12371064f,  -0.04715792f, 0.0f,         0.0f}),
              values({3, 1, 2}, {-0.09323934f, 0.6633097f, 0.2464912f, 0.46878606f, 0.12371064f, -0.04715792f})}),
      sample(linear, sequence_inputs(Cell::gru, 2, 2, true, true),
             {values({3, 2, 4, 2},
                     {0.1136332f,   0.50438195f,   -0.13849899f, 0.53245485f, -0.092080876f, 0.50725377f,  -0.21551324f,
                      0.55042726f,  -0.6908056f,   0.47398156f,  -0.5202796f, 0.5192199f,    -0.63277406f, 0.45697257f,
                      -0.35154358f, 0.52776664f,   -0.22348945f, 0.09959626f, -0.13630241f,  0.2850871f,   0.0f,
                      0.0f,         0.0f,          0.0f,         -0.5843702f, 0.34909832f,   -0.2116619f,  0.4437344f,
                      0.0f,         0.0f,          0.0f,         0.0f,        -0.43160576f,  0.5722754f,   -0.38892773f,
                      0.6467314f,   -0.052919805f, -0.06977521f, 0.0f,        0.0f,          -0.7068503f,  0.2888077f,
                      -0.40502763f, 0.3216619f,    0.2576864f,   0.36221528f, 0.0f,          0.0f}),
              values({3, 2, 2}, {-0.21551324f, 0.55042726f, -0.6908056f, 0.47398156f, -0.13630241f, 0.2850871f,
                                 -0.5843702f, 0.34909832f, -0.052919805f, -0.06977521f, -0.7068503f, 0.2888077f})}),
      sample(GRUSequence{3, RecurrentDirection::reverse}, sequence_inputs(Cell::gru, 1, 3, false))};
}
HONE_DEFINE_OP(GRUSequence)

Types RNNSequence::infer(InferCtx& ctx) const {
  return infer_sequence(ctx, *this, Cell::rnn);
}
void RNNSequence::eval(EvalCtx& ctx) const {
  eval_recurrent(ctx, *this, Cell::rnn, true, direction);
}
Values RNNSequence::expand(Builder& b, const Values& in) const {
  return expand_sequence(b, *this, in, Cell::rnn);
}
Samples RNNSequence::samples() {
  return {
      sample(RNNSequence{2}, sequence_inputs(Cell::rnn, 1, 2, true)),
      sample(RNNSequence{2, RecurrentDirection::reverse, {"relu"}}, sequence_inputs(Cell::rnn, 1, 2, true),
             {values({3, 1, 4, 2}, {0.90825176f, 0.0f, 0.08955763f, 0.16123837f, 0.76658165f, 0.0f, 0.6225271f, 0.0f,
                                    0.79701f,    0.0f, 0.89593804f, 0.0f,        0.0f,        0.0f, 0.0f,       0.0f,
                                    0.7719668f,  0.0f, 1.0330611f,  0.1409955f,  0.0f,        0.0f, 0.0f,       0.0f}),
              values({3, 1, 2}, {0.90825176f, 0, 0.79701f, 0, 0.7719668f, 0})}),
      sample(RNNSequence{3, RecurrentDirection::bidirectional}, sequence_inputs(Cell::rnn, 2, 3, false))};
}
HONE_DEFINE_OP(RNNSequence)

}  // namespace hone
