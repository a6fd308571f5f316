#include "ops/recurrent_cell.hpp"

#include <cctype>
#include <utility>

#include "ops/activation.hpp"
#include "ops/binary.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/unary.hpp"

namespace hone::recurrent {
namespace {

using Kind = Activation::Kind;
struct Named {
  const char* name;
  Kind kind;
  double alpha, beta;  // defaults of ONNX
};
constexpr Named known[] = {
    {"sigmoid", Kind::sigmoid, 0, 0},
    {"tanh", Kind::tanh, 0, 0},
    {"relu", Kind::relu, 0, 0},
    {"affine", Kind::affine, 1, 0},
    {"leakyrelu", Kind::leaky_relu, 0.01, 0},
    {"thresholdedrelu", Kind::thresholded_relu, 1, 0},
    {"scaledtanh", Kind::scaled_tanh, 1, 1},
    {"hardsigmoid", Kind::hard_sigmoid, 0.2, 0.5},
    {"elu", Kind::elu, 1, 0},
    {"softsign", Kind::soft_sign, 0, 0},
    {"softplus", Kind::soft_plus, 0, 0},
};

// Rows [begin, begin + n) along `axis`.
Value part(Builder& b, Value v, int64_t axis, size_t begin, size_t n) {
  const auto from = static_cast<int64_t>(begin), to = static_cast<int64_t>(begin + n);
  return b(Slice{}, v, b.ints({from}), b.ints({to}), b.ints({1}), b.ints({axis}));
}

}  // namespace

std::vector<Activation> parse_activations(const std::vector<std::string>& names, const std::vector<double>& alpha,
                                          const std::vector<double>& beta, size_t first, size_t n) {
  if (names.size() < first + n) {
    throw Error(ErrorCode::failed,
                std::to_string(names.size()) + " activations given, " + std::to_string(n) + " needed");
  }
  std::vector<Activation> out;
  for (size_t i = first; i < first + n; ++i) {
    std::string lower = names[i];
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto it = std::find_if(std::begin(known), std::end(known), [&](const Named& k) { return lower == k.name; });
    if (it == std::end(known)) throw Error(ErrorCode::unsupported, "the activation '" + names[i] + "' is not known");
    out.push_back({it->kind, i < alpha.size() ? alpha[i] : it->alpha, i < beta.size() ? beta[i] : it->beta});
  }
  return out;
}

double Activation::operator()(double x) const {
  switch (kind) {
    case Kind::sigmoid:
      return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
    case Kind::tanh:
      return std::tanh(x);
    case Kind::relu:
      return x > 0 ? x : 0;
    case Kind::affine:
      return alpha * x + beta;
    case Kind::leaky_relu:
      return x < 0 ? alpha * x : x;
    case Kind::thresholded_relu:
      return x > alpha ? x : 0;
    case Kind::scaled_tanh:
      return alpha * std::tanh(beta * x);
    case Kind::hard_sigmoid:
      return std::clamp(alpha * x + beta, 0.0, 1.0);
    case Kind::elu:
      return x < 0 ? alpha * std::expm1(x) : x;
    case Kind::soft_sign:
      return x / (1 + std::fabs(x));
    case Kind::soft_plus:
      return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
  }
  return x;
}

Value Activation::operator()(Builder& b, Value x) const {
  const auto times = [&](Value v, double s) { return b(Multiply{}, v, b.like(x, s)); };
  switch (kind) {
    case Kind::sigmoid:
      return b(Sigmoid{}, x);
    case Kind::tanh:
      return b(Tanh{}, x);
    case Kind::relu:
      return b(Relu{}, x);
    case Kind::affine:
      return b(Add{}, times(x, alpha), b.like(x, beta));
    case Kind::leaky_relu:
      return b(Select{}, b(Less{}, x, b.like(x, 0)), times(x, alpha), x);
    case Kind::thresholded_relu:
      return b(Select{}, b(Greater{}, x, b.like(x, alpha)), x, b.like(x, 0));
    case Kind::scaled_tanh:
      return times(b(Tanh{}, times(x, beta)), alpha);
    case Kind::hard_sigmoid:
      return b(HardSigmoid{}, x, b.like(x, alpha), b.like(x, beta));
    case Kind::elu:
      return b(Elu{alpha}, x);
    case Kind::soft_sign:
      return b(SoftSign{}, x);
    case Kind::soft_plus:
      return b(SoftPlus{}, x);
  }
  return x;
}

Value Step::bounded(Builder& b, Value x) const {
  return clip > 0 ? b(Clamp{-clip, clip}, x) : x;
}

void Step::run(std::vector<double>& gates, const double* r, const double* recurrent_bias, const double* peepholes,
               double* h, double* c, std::vector<double>& scratch) const {
  const size_t n = hidden;
  const auto row = [&](size_t i, const double* v) {
    double sum = 0;
    for (size_t k = 0; k < n; ++k) sum += r[i * n + k] * v[k];
    return sum;
  };
  if (cell == Cell::rnn) {
    for (size_t i = 0; i < n; ++i) gates[i] = activations[0](bounded(gates[i] + row(i, h)));
    std::copy(gates.begin(), gates.begin() + static_cast<std::ptrdiff_t>(n), h);
    return;
  }
  if (cell == Cell::gru) {
    for (size_t i = 0; i < 2 * n; ++i) gates[i] = activations[0](bounded(gates[i] + row(i, h)));
    const double *z = gates.data(), *reset = z + n;
    scratch.assign(n, 0);
    if (!linear_before_reset) {
      for (size_t i = 0; i < n; ++i) scratch[i] = reset[i] * h[i];
    }
    for (size_t i = 0; i < n; ++i) {
      double recurrent = row(2 * n + i, linear_before_reset ? h : scratch.data());
      if (linear_before_reset) recurrent = reset[i] * (recurrent + (recurrent_bias ? recurrent_bias[i] : 0));
      gates[2 * n + i] = activations[1](bounded(gates[2 * n + i] + recurrent));
    }
    for (size_t i = 0; i < n; ++i) h[i] = (1 - z[i]) * gates[2 * n + i] + z[i] * h[i];
    return;
  }
  for (size_t i = 0; i < 4 * n; ++i) gates[i] += row(i, h);
  const double *f = gates.data(), *in = f + n, *cell_gate = in + n, *out = cell_gate + n;
  for (size_t i = 0; i < n; ++i) {
    const double pi = peepholes ? peepholes[i] * c[i] : 0, pf = peepholes ? peepholes[2 * n + i] * c[i] : 0;
    const double input = activations[0](bounded(in[i] + pi));
    const double forget = input_forget ? 1 - input : activations[0](bounded(f[i] + pf));
    c[i] = forget * c[i] + input * activations[1](bounded(cell_gate[i]));
    const double po = peepholes ? peepholes[n + i] * c[i] : 0;
    h[i] = activations[0](bounded(out[i] + po)) * activations[2](c[i]);
  }
}

void Step::build(Builder& b, Value gates, Value r, Value recurrent_bias, Value peepholes, Value& h, Value& c) const {
  const auto add = [&](Value u, Value v) { return b(Add{}, u, v); };
  const auto times = [&](Value u, Value v) { return b(Multiply{}, u, v); };
  const auto recur = [&](Value v, Value weights) { return b(MatMul{false, true}, v, weights); };
  const auto from_one = [&](Value v) { return b(Subtract{}, b.like(v, 1), v); };
  if (cell == Cell::rnn) {
    h = activations[0](b, bounded(b, add(gates, recur(h, r))));
    return;
  }
  if (cell == Cell::gru) {
    const Value two = add(part(b, gates, 1, 0, 2 * hidden), recur(h, part(b, r, 0, 0, 2 * hidden)));
    const Values zr = b.all(Split{2}, {activations[0](b, bounded(b, two)), b.scalar<int64_t>(1)});
    const Value rh = part(b, r, 0, 2 * hidden, hidden);
    Value recurrent;
    if (linear_before_reset) {
      recurrent = recur(h, rh);
      if (recurrent_bias) recurrent = add(recurrent, recurrent_bias);
      recurrent = times(zr[1], recurrent);
    } else {
      recurrent = recur(times(zr[1], h), rh);
    }
    const Value candidate = activations[1](b, bounded(b, add(part(b, gates, 1, 2 * hidden, hidden), recurrent)));
    h = add(times(from_one(zr[0]), candidate), times(zr[0], h));
    return;
  }
  const Values g = b.all(Split{4}, {add(gates, recur(h, r)), b.scalar<int64_t>(1)});
  const auto peep = [&](Value gate, Value state, size_t k) {
    return peepholes ? add(gate, times(state, part(b, peepholes, 0, k * hidden, hidden))) : gate;
  };
  const Value input = activations[0](b, bounded(b, peep(g[1], c, 0)));
  const Value forget = input_forget ? from_one(input) : activations[0](b, bounded(b, peep(g[0], c, 2)));
  c = add(times(forget, c), times(input, activations[1](b, bounded(b, g[2]))));
  h = times(activations[0](b, bounded(b, peep(g[3], c, 1))), activations[2](b, c));
}

}  // namespace hone::recurrent
