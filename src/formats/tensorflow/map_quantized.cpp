// Integers with a range: the operators `Quantized...` of graphs that were quantized after training. A tensor of T
// stands for real numbers between two scalars, min and max; see tensorflow/core/kernels/quantization_utils.h.
#include <cmath>

#include "formats/tensorflow/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::tensorflow {
namespace {

struct Limits {
  double lowest, highest, steps;
};
Limits limits_of(NodeContext& n, ElementType t) {
  switch (t) {
    case ElementType::u8:
      return {0, 255, 256};
    case ElementType::i8:
      return {-128, 127, 256};
    case ElementType::u16:
      return {0, 65535, 65536};
    case ElementType::i16:
      return {-32768, 32767, 65536};
    case ElementType::i32:
      return {-2147483648.0, 2147483647.0, 4294967296.0};
    default:
      n.refuse(std::string("of ") + name_of(t) + " is not offered");
  }
}

// The range of a quantized tensor, as scalars.
struct Range {
  Value min, max;
};
Range range_at(NodeContext& n, size_t i) {
  return {n.reshape(n.in(i), {}), n.reshape(n.in(i + 1), {})};
}
Value f64(NodeContext& n, Value v) {
  return n.cast(v, ElementType::f64);
}
Value number(NodeContext& n, double v) {
  return n.b.scalar<double>(v);
}
Value rounded(NodeContext& n, Value v) {
  return n(Round{RoundMode::half_away_from_zero}, v);
}

// Levels for each unit of the real numbers, f64. An empty range has none.
Value levels(NodeContext& n, const Range& r, const Limits& l) {
  const Value width = n(Subtract{}, f64(n, r.max), f64(n, r.min));
  const Value none = n(Equal{}, width, number(n, 0));
  return n(Select{}, none, number(n, 0), n(Divide{}, number(n, l.steps - 1), n(Select{}, none, number(n, 1), width)));
}
// The level of zero, f64; it may lie outside of the type.
Value zero_level(NodeContext& n, const Range& r, const Limits& l) {
  const Value first = rounded(n, n(Multiply{}, f64(n, r.min), levels(n, r, l)));
  return n(Subtract{}, number(n, l.lowest), first);
}
Value clamped(NodeContext& n, Value v, const Limits& l) {
  return n(Clamp{l.lowest, l.highest}, v);
}

// Real numbers, f32, of levels: zero is exactly a level.
Value real(NodeContext& n, Value x, const Range& r) {
  const Limits l = limits_of(n, x.element_type());
  const Value step = n(Divide{}, n(Subtract{}, f64(n, r.max), f64(n, r.min)), number(n, l.steps - 1));
  const Value coarse = f64(n, n.cast(step, ElementType::f32));
  const Value safe = n(Select{}, n(Equal{}, coarse, number(n, 0)), number(n, 1), coarse);
  const Value first = n(Multiply{}, rounded(n, n(Divide{}, f64(n, r.min), safe)), coarse);
  const Value y = n(Add{}, first, n(Multiply{}, n(Subtract{}, f64(n, x), number(n, l.lowest)), step));
  return n.cast(y, ElementType::f32);
}
// Levels of real numbers.
Value quantized(NodeContext& n, Value x, const Range& r, ElementType t) {
  const Limits l = limits_of(n, t);
  const Value y = n(Add{}, rounded(n, n(Multiply{}, f64(n, x), levels(n, r, l))), zero_level(n, r, l));
  return n.cast(clamped(n, y, l), t);
}

Items with_range(Value y, const Range& r) {
  return {y, r.min, r.max};
}

// The row of another operator, on other inputs.
Value standard(NodeContext& n, const char* op, const Values& in) {
  Items inputs(in.begin(), in.end());
  const NodeMessage node{n.name(), op, {}, n.raw_attributes()};
  NodeContext inner(n.importer, n.b, node, std::move(inputs), nullptr);
  return find_row(op)->build(inner)[0].value;
}

void need_one_range(NodeContext& n) {
  if (n.i("axis", -1) != -1) n.refuse("with a range for each channel is not offered");
}

Items quantize(NodeContext& n) {
  need_one_range(n);
  const ElementType t = n.type("T", ElementType::u8);
  const Limits l = limits_of(n, t);
  const std::string mode = n.s("mode", "MIN_COMBINED");
  const double least = n.f("ensure_minimum_range", 0.01);
  Range r = range_at(n, 1);
  const auto f32 = [&](double v) { return n.b.scalar<float>(static_cast<float>(v)); };
  const Value size = n(Maximum{}, f32(1), n(Maximum{}, n(Abs{}, r.min), n(Abs{}, r.max)));
  r.min = n(Minimum{}, f32(0), r.min);
  r.max = n(Maximum{}, f32(0), n(Maximum{}, r.max, n(Add{}, r.min, n(Multiply{}, size, f32(least)))));
  const Value x = n.in(0);
  if (mode == "MIN_FIRST") return with_range(quantized(n, x, r, t), r);
  const auto limited = [&] { return n(Minimum{}, n(Maximum{}, x, r.min), r.max); };
  if (mode == "MIN_COMBINED") {
    const Value scale = n.cast(
        n(Divide{}, number(n, l.highest - l.lowest), n(Subtract{}, f64(n, r.max), f64(n, r.min))), ElementType::f32);
    Value y = n(Multiply{}, n(Subtract{}, limited(), r.min), scale);
    y = l.lowest < 0 ? rounded(n, n(Subtract{}, y, f32(l.steps / 2))) : n(Floor{}, n(Add{}, y, f32(0.5)));
    return with_range(n.cast(clamped(n, y, l), t), r);
  }
  if (mode != "SCALED") n.refuse("of mode " + mode + " is not offered");
  // One scale for both sides, so that zero is level zero.
  const double first = l.lowest + (n.flag("narrow_range", false) ? 1 : 0);
  const auto side = [&](Value end, double level) {
    const Value usable = n(Greater{}, n(Multiply{}, end, f32(level)), f32(0));
    return n(Select{}, usable, n(Divide{}, f32(level), n(Select{}, usable, end, f32(1))), f32(3.4028234663852886e38));
  };
  const Value scale = n(Minimum{}, side(r.min, first), side(r.max, l.highest));
  r = {n(Divide{}, f32(first), scale), n(Divide{}, f32(l.highest), scale)};
  const bool even = n.s("round_mode", "HALF_AWAY_FROM_ZERO") == "HALF_TO_EVEN";
  const Value y =
      n(Round{even ? RoundMode::half_to_even : RoundMode::half_away_from_zero}, n(Multiply{}, limited(), scale));
  return with_range(n.cast(clamped(n, y, l), t), r);
}

Items dequantize(NodeContext& n) {
  need_one_range(n);
  const Value x = n.in(0);
  const Limits l = limits_of(n, x.element_type());
  const std::string mode = n.s("mode", "MIN_COMBINED");
  const ElementType to = n.type("dtype", ElementType::f32);
  const Range r = range_at(n, 1);
  if (mode == "MIN_FIRST") return {n.cast(real(n, x, r), to)};
  const auto f32 = [&](double v) { return n.b.scalar<float>(static_cast<float>(v)); };
  const Value levels_of_x = n.cast(x, ElementType::f32);
  if (mode == "MIN_COMBINED") {
    const Value scale = n(Divide{}, n(Subtract{}, r.max, r.min), f32(l.highest - l.lowest));
    const Value up = l.lowest < 0 ? n(Add{}, levels_of_x, f32(l.steps / 2)) : levels_of_x;
    return {n.cast(n(Add{}, n(Multiply{}, up, scale), r.min), to)};
  }
  if (mode != "SCALED") n.refuse("of mode " + mode + " is not offered");
  const double first = l.lowest + (n.flag("narrow_range", false) ? 1 : 0);
  const Value upper = n(Divide{}, r.max, f32(l.highest));
  const Value scale = l.lowest == 0 ? upper : n(Maximum{}, n(Divide{}, r.min, f32(first)), upper);
  return {n.cast(n(Multiply{}, levels_of_x, scale), to)};
}

// Integers around the level of zero, f32: products of 8 bits are exact, their sums up to 2^24.
Value centred(NodeContext& n, Value x, const Range& r) {
  const Value zero = n.cast(zero_level(n, r, limits_of(n, x.element_type())), ElementType::f32);
  return n(Subtract{}, n.cast(x, ElementType::f32), zero);
}
// The range of products of two tensors in 32 bits: one level is one level of both.
Range of_products(NodeContext& n, ElementType a, const Range& ra, ElementType b, const Range& rb) {
  const auto level = [&](ElementType t, const Range& r) {
    const Limits l = limits_of(n, t);
    return n(Divide{}, n(Subtract{}, r.max, r.min), n.like(r.max, l.highest - l.lowest));
  };
  const Value one = n(Multiply{}, level(a, ra), level(b, rb));
  return {n(Multiply{}, one, n.like(one, -2147483648.0)), n(Multiply{}, one, n.like(one, 2147483648.0))};
}
Items product(NodeContext& n, const char* op, size_t range) {
  const Value a = n.in(0), b = n.in(1);
  const Range ra = range_at(n, range), rb = range_at(n, range + 2);
  const Value y = standard(n, op, {centred(n, a, ra), centred(n, b, rb)});
  return with_range(n.cast(n(Round{}, y), ElementType::i32),
                    of_products(n, a.element_type(), ra, b.element_type(), rb));
}
void need_products_of_32_bits(NodeContext& n, const char* attribute) {
  if (n.type(attribute, ElementType::i32) != ElementType::i32)
    n.refuse("with a result of other than 32 bits is not offered");
}
Items conv2d(NodeContext& n) {
  need_products_of_32_bits(n, "out_type");
  return product(n, "Conv2D", 2);
}
Items depthwise(NodeContext& n) {
  need_products_of_32_bits(n, "out_type");
  return product(n, "DepthwiseConv2dNative", 2);
}
Items matmul(NodeContext& n) {
  need_products_of_32_bits(n, "Toutput");
  return product(n, "MatMul", 2);
}
Items multiplied(NodeContext& n) {
  need_products_of_32_bits(n, "Toutput");
  return product(n, "Mul", 2);
}

// A sum in 32 bits, with a range wide enough for `more` of them.
Range of_sums(NodeContext& n, const Range& ra, const Range& rb, double more) {
  const auto reach = [&](const Range& r) { return n(Maximum{}, r.max, n(Negative{}, r.min)); };
  const Value most = n(Maximum{}, reach(ra), reach(rb)), end = n(Multiply{}, most, n.like(most, more));
  return {n(Negative{}, end), end};
}
Items bias_added(NodeContext& n) {
  const Range ra = range_at(n, 2), rb = range_at(n, 4), r = of_sums(n, ra, rb, 131072);
  const auto part = [&](size_t i, const Range& own) {
    return quantized(n, real(n, n.in(i), own), r, ElementType::i32);
  };
  return with_range(n(Add{}, part(0, ra), part(1, rb)), r);
}
// Level by level: each step of an input is a whole number of steps of the sum.
Items added(NodeContext& n) {
  need_products_of_32_bits(n, "Toutput");
  const Range ra = range_at(n, 2), rb = range_at(n, 4), r = of_sums(n, ra, rb, 16384);
  const auto part = [&](size_t i, const Range& own) {
    const Value x = n.in(i);
    const auto level = [&](int v) {
      return quantized(n, real(n, n.cast(n.b.scalar<int32_t>(v), x.element_type()), own), r, ElementType::i32);
    };
    const Value first = level(0), step = n(Subtract{}, level(1), first);
    return n(Add{}, first, n(Multiply{}, n.cast(x, ElementType::i32), step));
  };
  return with_range(n(Add{}, part(0, ra), part(1, rb)), r);
}

Items relu(NodeContext& n) {
  const Range r = range_at(n, 1);
  const Value x = n.in(0);
  const Limits l = limits_of(n, x.element_type());
  const auto level = [&](double v) {
    const Value at = n(Add{}, rounded(n, n(Multiply{}, number(n, v), levels(n, r, l))), zero_level(n, r, l));
    return n.cast(clamped(n, at, l), x.element_type());
  };
  Value y = n(Maximum{}, x, level(0));
  if (n.op() == "QuantizedRelu6") y = n(Minimum{}, y, level(6));
  return with_range(y, r);
}

// The range that the levels of a tensor really have, with zero in it.
Range used_range(NodeContext& n, Value x, const Range& r) {
  std::vector<int64_t> axes(n.rank(x));
  for (size_t k = 0; k < axes.size(); ++k) axes[k] = static_cast<int64_t>(k);
  const Value all = n.ints_constant(axes);
  const Value low = real(n, n(ReduceMin{false}, x, all), r), high = real(n, n(ReduceMax{false}, x, all), r);
  return {n(Minimum{}, low, n.like(low, 0)), high};
}
Items requantization_range(NodeContext& n) {
  const Range r = used_range(n, n.in(0), range_at(n, 1));
  return {r.min, r.max};
}

// 32 bits in another range with 8: in fixed point of 16 bits, to the last level.
Value in_new_range(NodeContext& n, Value x, const Range& from, const Range& to, ElementType t) {
  const Limits l = limits_of(n, t);
  if (x.element_type() != ElementType::i32 || l.steps != 256) return quantized(n, real(n, x, from), to, t);
  const auto whole = [&](Value v) { return n.cast(v, ElementType::i64); };
  const auto ints = [&](int64_t v) { return n.b.scalar<int64_t>(v); };
  const Value wide = f64(n, n(Subtract{}, from.max, from.min)), width = f64(n, n(Subtract{}, to.max, to.min));
  const Value none = n(Equal{}, width, number(n, 0)), safe = n(Select{}, none, number(n, 1), width);
  const auto unless_none = [&](Value v) { return n(Select{}, none, number(n, 0), v); };
  const double unit = 255.0 * 65536.0;
  const Value scale = whole(unless_none(n(Divide{}, n(Multiply{}, number(n, unit), wide), safe)));
  const Value middle = n(Multiply{}, f64(n, n(Add{}, from.min, from.max)), number(n, 0.5));
  const Value shift = whole(unless_none(n(Divide{}, n(Multiply{}, middle, number(n, unit)), safe)));
  const Value first = whole(unless_none(rounded(n, n(Divide{}, n(Multiply{}, f64(n, to.min), number(n, unit)), safe))));
  const auto shifted = [&](Value v, int64_t bits) { return n(BitwiseRightShift{}, v, ints(bits)); };
  Value y = n(Add{}, shifted(n(Multiply{}, whole(x), scale), 32), shift);
  y = shifted(n(Add{}, n(Subtract{}, y, first), ints(32768)), 16);
  y = n(Add{}, y, ints(static_cast<int64_t>(l.lowest)));
  y = n(Minimum{}, n(Maximum{}, y, ints(static_cast<int64_t>(l.lowest))), ints(static_cast<int64_t>(l.highest)));
  return n.cast(y, t);
}
Items requantize(NodeContext& n) {
  const Range to = range_at(n, 3);
  return with_range(in_new_range(n, n.in(0), range_at(n, 1), to, n.type("out_type", ElementType::u8)), to);
}
Items down_and_shrink(NodeContext& n) {
  const Range from = range_at(n, 1), to = used_range(n, n.in(0), from);
  return with_range(in_new_range(n, n.in(0), from, to, n.type("out_type", ElementType::u8)), to);
}

Items max_pool(NodeContext& n) {
  const Value x = n.in(0), y = standard(n, "MaxPool", {n.cast(x, ElementType::f32)});
  return with_range(n.cast(y, x.element_type()), range_at(n, 1));
}
// The mean of integers without what is behind its point. Half of the least fraction keeps rounding from crossing it.
Items avg_pool(NodeContext& n) {
  const Value x = n.in(0), mean = standard(n, "AvgPool", {n.cast(x, ElementType::f32)});
  double size = 2;
  for (int64_t k : n.ints("ksize")) size *= static_cast<double>(k);
  const Value nudge = n.like(mean, 1 / size);
  const Value up = n(Floor{}, n(Add{}, mean, nudge)), down = n(Ceiling{}, n(Subtract{}, mean, nudge));
  const Value y =
      limits_of(n, x.element_type()).lowest == 0 ? up : n(Select{}, n(Less{}, mean, n.like(mean, 0)), down, up);
  return with_range(n.cast(y, x.element_type()), range_at(n, 1));
}

Items reshaped(NodeContext& n) {
  const Value shape = n.in(1);
  return with_range(standard(n, "Reshape", {n.in(0), shape}), range_at(n, 2));
}

// Parts of other ranges than that of all change theirs.
Items concatenated(NodeContext& n) {
  const size_t count = (n.num_inputs() - 1) / 3;
  if (count == 0 || n.num_inputs() != 3 * count + 1) n.fail("wants a range for each part");
  const int64_t axis = n.constant_ints(0, "the axis").at(0);
  const auto range = [&](size_t i) {
    return Range{n.reshape(n.in(1 + count + i), {}), n.reshape(n.in(1 + 2 * count + i), {})};
  };
  Range r = range(0);
  for (size_t i = 1; i < count; ++i) r = {n(Minimum{}, r.min, range(i).min), n(Maximum{}, r.max, range(i).max)};
  r.min = n(Minimum{}, r.min, n.like(r.min, 0));
  Values parts;
  for (size_t i = 0; i < count; ++i) {
    const Value x = n.in(1 + i);
    const Range own = range(i);
    const Value same = n(LogicalAnd{}, n(Equal{}, own.min, r.min), n(Equal{}, own.max, r.max));
    parts.push_back(n(Select{}, same, x, quantized(n, real(n, x, own), r, x.element_type())));
  }
  return with_range(n.concat(parts, n.axis(axis, parts[0])), r);
}

constexpr OperatorRow rows[] = {
    {"Dequantize", dequantize},
    {"QuantizeDownAndShrinkRange", down_and_shrink, "output,output_min,output_max"},
    {"QuantizeV2", quantize, "output,output_min,output_max"},
    {"QuantizedAdd", added, "z,min_z,max_z"},
    {"QuantizedAvgPool", avg_pool, "output,min_output,max_output"},
    {"QuantizedBiasAdd", bias_added, "output,min_out,max_out"},
    {"QuantizedConcat", concatenated, "output,output_min,output_max"},
    {"QuantizedConv2D", conv2d, "output,min_output,max_output"},
    {"QuantizedDepthwiseConv2D", depthwise, "output,min_output,max_output"},
    {"QuantizedMatMul", matmul, "out,min_out,max_out"},
    {"QuantizedMaxPool", max_pool, "output,min_output,max_output"},
    {"QuantizedMul", multiplied, "z,min_z,max_z"},
    {"QuantizedRelu", relu, "activations,min_activations,max_activations"},
    {"QuantizedRelu6", relu, "activations,min_activations,max_activations"},
    {"QuantizedReshape", reshaped, "output,output_min,output_max"},
    {"Requantize", requantize, "output,output_min,output_max"},
    {"RequantizationRange", requantization_range, "output_min,output_max"},
};

}  // namespace

std::span<const OperatorRow> quantized_rows() {
  return rows;
}

}  // namespace hone::tensorflow
