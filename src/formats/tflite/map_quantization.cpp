// Quantize, dequantize, casts.
#include <cmath>

#include "formats/tflite/mapping.hpp"
#include "ops/arrays.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/unary.hpp"

namespace hone::tflite {
namespace {

// The reader rounds to the scale of the output; half floats become floats.
Values passed_on(NodeContext& n) {
  const Value x = n.in(0);
  return {n.cast(x, ElementType::f32)};
}

// 32-bit results have more digits than f32.
Values quantize(NodeContext& n) {
  if (n.info_out(0).type != TensorType::i32 || !n.scales(0) || !n.scales_out(0)) return passed_on(n);
  const Scales &from = n.scales(0), &to = n.scales_out(0);
  if (from.scale.size() != 1 || to.scale.size() != 1 || to.scale[0] == 0)
    n.refuse("32-bit integers with more than one scale");
  const auto constant = [&](double v) { return n.b.scalar<double>(v); };
  const Value steps = n(Subtract{}, n.cast(n.stored(0), ElementType::f64), constant(static_cast<double>(from.zero[0])));
  // The factor has 31 bits, as that of the format's kernels.
  int exponent = 0;
  const double fraction = std::frexp(static_cast<double>(from.scale[0]) / static_cast<double>(to.scale[0]), &exponent);
  const Value scaled = n(Multiply{}, steps, constant(std::ldexp(std::round(std::ldexp(fraction, 31)), exponent - 31)));
  const Value whole =
      n(Add{}, n(Round{RoundMode::half_away_from_zero}, scaled), constant(static_cast<double>(to.zero[0])));
  n.give_stored(0, n.cast(whole, ElementType::i32));
  return {};
}

// Integers are cast as they are, whatever they stand for.
Values cast(NodeContext& n) {
  const ElementType to = element_type_of(n.info_out(0).type);
  if (to == ElementType::dynamic || to == ElementType::string)
    n.refuse(std::string("to ") + name_of(n.info_out(0).type));
  Value x = n.stored(0);
  const bool from_pairs = n.has_pairs(), to_pairs = is_complex(n.info_out(0).type);
  if (from_pairs && !to_pairs) x = n.gather(x, n.int_constant(0), n.file_rank(x));  // the real part stays
  x = n.cast(x, to);
  if (to_pairs && !from_pairs) {
    const auto pair = static_cast<int64_t>(n.rank(x));
    x = n.unsqueeze(x, {pair});
    x = n.concat({x, n(Broadcast{}, n.like(x, 0), n.shape_of(x))}, pair);
  }
  n.give_stored(0, x);
  return {};
}

Values bit_cast(NodeContext& n) {
  const ElementType to = element_type_of(n.info_out(0).type);
  if (bit_width(to) != bit_width(n.stored(0).element_type())) n.refuse("between types of different width");
  n.give_stored(0, n(BitCast{to}, n.stored(0)));
  return {};
}

// The range is nudged so that zero is one of its steps.
Values fake_quant(NodeContext& n) {
  const Value x = n.in(0);
  const double low = n.f(0), high = n.f(1);
  const int32_t bits = n.i(2);
  if (bits < 2 || bits > 16 || !(low < high)) n.fail("the range or the number of bits is not possible");
  const double first = n.flag(3) ? 1 : 0, last = static_cast<double>((1 << bits) - 1);
  const double scale = (high - low) / (last - first), exact = first - low / scale;
  const double zero = exact < first  ? first
                      : exact > last ? last
                                     : static_cast<double>(static_cast<int64_t>(exact + 0.5));
  const Value l = n.like(x, (first - zero) * scale), h = n.like(x, (last - zero) * scale);
  return {n(FakeQuantize{static_cast<int64_t>(last - first) + 1}, x, l, h, l, h)};
}

Values densify(NodeContext& n) {
  return {n.in(0)};
}

constexpr OperatorRow rows[] = {
    {6, "DEQUANTIZE", passed_on},
    {53, "CAST", cast},
    {80, "FAKE_QUANT", fake_quant},
    {114, "QUANTIZE", quantize},
    {124, "DENSIFY", densify, Numbers::moved},
    {159, "BITCAST", bit_cast},
};

}  // namespace

std::span<const OperatorRow> quantization_rows() {
  return rows;
}

}  // namespace hone::tflite
