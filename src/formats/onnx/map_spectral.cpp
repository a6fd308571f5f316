// Fourier transforms: complex numbers are a last axis of 2 in ONNX and in Hone.
#include <cmath>
#include <limits>

#include "formats/onnx/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/spectral.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

// [..., 1] real or [..., 2] complex data as complex ones.
Value complex(NodeContext& n, Value x) {
  const size_t r = n.rank(x);
  if (r < 2 || x.shape()[r - 1].is_dynamic()) n.refuse("needs to know whether its input is complex");
  if (x.shape()[r - 1].get_length() == 2) return x;
  return n.concat({x, n(Subtract{}, x, x)}, static_cast<int64_t>(r) - 1);
}

// Along one axis, which is counted from the front.
Value transform(NodeContext& n, Value x, int64_t axis, Value size) {
  const auto last = static_cast<int64_t>(n.rank(x)) - 1;
  const Value axes = n.ints_constant({axis});
  const bool inverse = n.i("inverse", 0) != 0, onesided = n.i("onesided", 0) != 0;
  auto apply = [&](auto op, Value data) { return size ? n(op, data, axes, size) : n(op, data, axes); };
  if (inverse && onesided) {
    const Value y = apply(IRDFT{}, x);
    return n.unsqueeze(y, {last});
  }
  if (inverse) return apply(IDFT{}, x);
  if (!onesided) return apply(DFT{}, x);
  return apply(RDFT{}, n.squeeze(n.slice(x, last, 0, 1), {last}));
}

Values dft(NodeContext& n) {
  const Value x = n.in(0);
  const auto last = static_cast<int64_t>(n.rank(x)) - 1;
  Value axis;
  if (n.version < 20)
    axis = n.int_constant(n.i("axis", 1));
  else
    axis = n.has(2) ? n.reshape(n.cast(n.in(2), ElementType::i64), {}) : n.int_constant(-2);
  const Value size = n.has(1) ? n.reshape(n.cast(n.in(1), ElementType::i64), {1}) : Value{};
  const Value data = n.i("inverse", 0) || !n.i("onesided", 0) ? complex(n, x) : x;
  if (const Tensor known = NodeContext::known(axis)) {
    const int64_t a = n.axis(get_integer(known, 0), x);  // ONNX counts the complex axis, Hone does not
    if (a >= last) n.fail("axis is out of range");
    return {transform(n, data, a, size)};
  }
  // An axis that is data moves before the complex one, and back.
  axis = n(FloorMod{}, axis, n.int_constant(last + 1));
  auto range = [&](Value from, Value to) { return n(Range{ElementType::i64}, from, to, n.int_constant(1)); };
  const Value one = n.int_constant(1), zero = n.int_constant(0), end = n.int_constant(last);
  const Value there = n.concat(
      {range(zero, axis), range(n(Add{}, axis, one), end), n.unsqueeze(axis, {0}), n.ints_constant({last})}, 0);
  const Value back = n.concat(
      {range(zero, axis), n.ints_constant({last - 1}), range(axis, n.int_constant(last - 1)), n.ints_constant({last})},
      0);
  return {n(Transpose{}, transform(n, n(Transpose{}, data, there), last - 1, size), back)};
}

Values stft(NodeContext& n) {
  Value signal = n.in(0);
  if (!n.i("onesided", 1)) n.refuse("with both sides is not offered");
  if (n.rank(signal) == 3) {
    if (!(signal.shape()[2] == Dimension(1))) n.refuse("of a complex signal is not offered");
    signal = n.squeeze(signal, {2});
  }
  const Value step = n.reshape(n.cast(n.in(1), ElementType::i64), {});
  Value size, window = n.opt(2);
  if (n.has(3))
    size = n.reshape(n.cast(n.in(3), ElementType::i64), {});
  else if (window)
    size = n.gather(n.shape_of(window), n.int_constant(0), 0);
  else
    n.fail("needs a window or a frame length");
  if (!window) window = n(Broadcast{}, n.like(signal, 1), n.unsqueeze(size, {0}));
  return {n(STFT{}, signal, window, size, step)};
}

// Triangles over the bins of a spectrum, each from the centre of its left neighbour to that of its right one. In f64,
// since the centres are rounded down to bins.
Values mel_weight_matrix(NodeContext& n) {
  const auto f64 = [&](Value v) { return n.cast(n.reshape(v, {}), ElementType::f64); };
  const auto number = [&](double v) { return n.b.scalar<double>(v); };
  const auto mel = [&](Value hertz) {
    return n(Multiply{}, number(2595 / std::log(10.0)), n(Log{}, n(Add{}, number(1), n(Divide{}, hertz, number(700)))));
  };
  const Value bands = n.cast(n.reshape(n.in(0), {}), ElementType::i64),
              length = n.cast(n.reshape(n.in(1), {}), ElementType::i64), rate = f64(n.in(2));
  const Value low = mel(f64(n.in(3))), high = mel(f64(n.in(4))), edges = n(Add{}, bands, n.int_constant(2));
  const Value step = n(Divide{}, n(Subtract{}, high, low), n.cast(edges, ElementType::f64));
  const auto count = [&](Value end) { return n(Range{ElementType::i64}, n.int_constant(0), end, n.int_constant(1)); };
  const Value centre = n(Add{}, n(Multiply{}, n.cast(count(edges), ElementType::f64), step), low);
  const Value hertz =
      n(Multiply{}, number(700), n(Subtract{}, n(Power{}, number(10), n(Divide{}, centre, number(2595))), number(1)));
  const Value bin = n(
      Floor{}, n(Divide{}, n(Multiply{}, n.cast(n(Add{}, length, n.int_constant(1)), ElementType::f64), hertz), rate));
  const auto part = [&](int64_t from) {
    return n.unsqueeze(n.gather(bin, n(Add{}, count(bands), n.int_constant(from)), 0), {0});
  };
  const Value left = part(0), middle = part(1), right = part(2);
  const Value bins = n(Add{}, n(Divide{}, length, n.int_constant(2)), n.int_constant(1));
  const Value j = n.cast(n.unsqueeze(count(bins), {1}), ElementType::f64);
  const auto both = [&](Value a, Value b) { return n(LogicalAnd{}, a, b); };
  const auto span = [&](Value a) {
    return n(Maximum{}, a, number(1));
  };  // bins are whole: what is not empty is at least one
  const Value rise = n(Subtract{}, middle, left), fall = n(Subtract{}, right, middle);
  Value y = n(Select{}, both(n(Equal{}, rise, number(0)), n(Equal{}, j, middle)), number(1), number(0));
  y = n(Select{}, both(both(n(GreaterEqual{}, j, left), n(LessEqual{}, j, middle)), n(Greater{}, rise, number(0))),
        n(Divide{}, n(Subtract{}, j, left), span(rise)), y);
  y = n(Select{}, both(both(n(GreaterEqual{}, j, middle), n(Less{}, j, right)), n(Greater{}, fall, number(0))),
        n(Divide{}, n(Subtract{}, right, j), span(fall)), y);
  const int64_t type = n.i("output_datatype", 1);
  return {n.cast(y, element_type_of_onnx(type))};
}

constexpr OperatorRow rows[] = {
    {"MelWeightMatrix", 17, mel_weight_matrix},
    {"DFT", 17, dft},
    {"STFT", 17, stft},
};

}  // namespace

std::span<const OperatorRow> spectral_rows() {
  return rows;
}

}  // namespace hone::onnx
