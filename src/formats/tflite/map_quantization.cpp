// Quantize, dequantize, casts.
#include "formats/tflite/mapping.hpp"
#include "ops/arrays.hpp"
#include "ops/basic.hpp"
#include "ops/quantize.hpp"

namespace hone::tflite {
namespace {

// The reader rounds to the scale of the output; half floats become floats.
Values passed_on(NodeContext& n) {
  const Value x = n.in(0);
  return {n.cast(x, ElementType::f32)};
}

// Integers are cast as they are, whatever they stand for.
Values cast(NodeContext& n) {
  if (is_complex(n.info(0).type) != is_complex(n.info_out(0).type)) n.refuse("between real and complex numbers");
  const ElementType to = element_type_of(n.info_out(0).type);
  if (to == ElementType::dynamic || to == ElementType::string) n.refuse(std::string("to ") + name_of(n.info_out(0).type));
  n.give_stored(0, n.cast(n.stored(0), to));
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
  const double zero = exact < first ? first : exact > last ? last : static_cast<double>(static_cast<int64_t>(exact + 0.5));
  const Value l = n.like(x, (first - zero) * scale), h = n.like(x, (last - zero) * scale);
  return {n(FakeQuantize{static_cast<int64_t>(last - first) + 1}, x, l, h, l, h)};
}

Values densify(NodeContext& n) { return {n.in(0)}; }

constexpr OperatorRow rows[] = {
    {6, "DEQUANTIZE", passed_on}, {53, "CAST", cast},       {80, "FAKE_QUANT", fake_quant},
    {114, "QUANTIZE", passed_on}, {124, "DENSIFY", densify, Numbers::moved}, {159, "BITCAST", bit_cast},
};

}  // namespace

std::span<const OperatorRow> quantization_rows() { return rows; }

}  // namespace hone::tflite
