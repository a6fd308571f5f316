// Quantization: QDQ nodes, and the QOperator forms written as Dequantize, the real operator, Quantize.
#include <algorithm>

#include "formats/onnx/integer_products.hpp"
#include "formats/onnx/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"
#include "ops/window.hpp"

namespace hone::onnx {
namespace {

// [..., n / block, ...] scales repeated to the shape of the data along `axis`.
Value blocks(NodeContext& n, Value v, Value data, int64_t axis, int64_t block) {
  if (!v) return v;
  const Value wide = n.unsqueeze(v, {axis + 1});
  std::vector<int64_t> repeats(n.rank(v) + 1, 1);
  repeats[static_cast<size_t>(axis) + 1] = block;
  const Value tiled = n(Tile{}, wide, n.ints_constant(repeats));
  const Value s = n.shape_of(v);
  const auto r = static_cast<int64_t>(n.rank(v));
  Values target;
  if (axis > 0) target.push_back(n.slice(s, 0, 0, axis));
  target.push_back(n.ints_constant({-1}));
  if (axis + 1 < r) target.push_back(n.slice(s, 0, axis + 1, r));
  const Value flat = n(Reshape{}, tiled, n.concat(target, 0));
  // The last block may be short.
  return n(Slice{}, flat, n.ints_constant({0}), n.dims(data, axis, axis + 1), n.ints_constant({1}),
           n.ints_constant({axis}));
}

// A scale or zero point of one element as a scalar: [1] and [] mean the same in ONNX.
Value plain(NodeContext& n, Value v) {
  if (!v || !v.shape().is_static() || v.shape().rank() == 0 || element_count(v.shape().to_shape()) != 1) return v;
  if (const Tensor t = v.constant()) return n.b.constant(t.reshaped({}));
  return n.reshape(v, {});
}

bool is_blocked(NodeContext& n, Value scale) {
  return n.version >= 21 && n.i("block_size", 0) > 0 && n.rank(scale) > 1;
}

Values quantize_linear(NodeContext& n) {
  const Value x = n.in(0), scale = plain(n, n.in(1)), zero = plain(n, n.opt(2));
  Quantize q;
  q.output_type = zero                     ? zero.element_type()
                  : n.i("output_dtype", 0) ? element_type_of_onnx(n.i("output_dtype"))
                                           : ElementType::u8;
  if (is_blocked(n, scale)) {
    const int64_t axis = n.axis(n.i("axis", 1), x), block = n.i("block_size");
    const Value s = blocks(n, scale, x, axis, block), z = blocks(n, zero, x, axis, block);
    const Value scaled = n(Divide{}, n.cast(x, ElementType::f32), n.cast(s, ElementType::f32));
    // Element by element there is no axis: the arithmetic is written out, the range is Quantize's.
    const Value one = n.b.scalar<float>(1);
    if (!is_integer(q.output_type)) return {n(q, scaled, one)};
    const Value shifted = z ? n(Add{}, n(Round{}, scaled), n.cast(z, ElementType::f32)) : scaled;
    q.axis = 0;
    return {n(q, shifted, one)};
  }
  const bool vector = scale.shape().rank_known() && scale.shape().rank() == 1 && !(scale.shape()[0] == Dimension(1));
  q.axis = vector ? n.axis(n.i("axis", 1), x) : 0;
  return {zero ? n(q, x, scale, zero) : n(q, x, scale)};
}

Values dequantize_linear(NodeContext& n) {
  const Value x = n.in(0), scale = plain(n, n.in(1)), zero = plain(n, n.opt(2));
  const ElementType out = n.i("output_dtype", 0) ? element_type_of_onnx(n.i("output_dtype")) : scale.element_type();
  if (is_blocked(n, scale)) {
    const int64_t axis = n.axis(n.i("axis", 1), x), block = n.i("block_size");
    const Value s = n.cast(blocks(n, scale, x, axis, block), ElementType::f32);
    Value v = n.cast(x, ElementType::f32);
    if (zero) v = n(Subtract{}, v, n.cast(blocks(n, zero, x, axis, block), ElementType::f32));
    return {n.cast(n(Multiply{}, v, s), out)};
  }
  const bool vector = scale.shape().rank_known() && scale.shape().rank() == 1 && !(scale.shape()[0] == Dimension(1));
  const Dequantize d{vector ? n.axis(n.i("axis", 1), x) : 0, out};
  return {zero ? n(d, x, scale, zero) : n(d, x, scale)};
}

// scale = (max(x, 0) - min(x, 0)) / 255 (1 where all are 0, as ONNX Runtime has it), zero point = clamp(round(-min /
// scale)).
Values dynamic_quantize_linear(NodeContext& n) {
  const Value x = n.in(0);
  std::vector<int64_t> all;
  for (size_t k = 0; k < n.rank(x); ++k) all.push_back(static_cast<int64_t>(k));
  const Value axes = n.ints_constant(all), zero = n.b.scalar<float>(0);
  const Value low = n(Minimum{}, n(ReduceMin{false}, x, axes), zero),
              high = n(Maximum{}, n(ReduceMax{false}, x, axes), zero);
  const Value range = n(Subtract{}, high, low);
  const Value scale =
      n(Select{}, n(Equal{}, range, zero), n.b.scalar<float>(1), n(Divide{}, range, n.b.scalar<float>(255)));
  const Value exact = n(Minimum{}, n(Maximum{}, n(Negative{}, n(Divide{}, low, scale)), zero), n.b.scalar<float>(255));
  const Value point = n.cast(n(Round{}, exact), ElementType::u8);
  Quantize q;
  q.output_type = ElementType::u8;
  q.axis = 0;
  return {n(q, x, scale, point), scale, point};
}

int64_t last_axis(NodeContext& n, Value scale, Value data, int64_t axis) {
  const bool vector = scale.shape().rank_known() && scale.shape().rank() == 1 && !(scale.shape()[0] == Dimension(1));
  return vector ? n.axis(axis, data) : 0;
}

Value dequantized(NodeContext& n, size_t i, int64_t axis) {
  const Value x = n.in(i), scale = plain(n, n.in(i + 1)), zero = plain(n, n.opt(i + 2));
  const Dequantize d{last_axis(n, scale, x, axis), ElementType::f32};
  const Value s = n.cast(scale, ElementType::f32);
  return zero ? n(d, x, s, zero) : n(d, x, s);
}
Value quantized(NodeContext& n, Value y, size_t scale_index, int64_t axis) {
  const Value scale = plain(n, n.in(scale_index)), zero = plain(n, n.opt(scale_index + 1));
  Quantize q;
  q.output_type = zero ? zero.element_type() : ElementType::u8;
  q.axis = last_axis(n, scale, y, axis);
  const Value s = n.cast(scale, ElementType::f32);
  return zero ? n(q, y, s, zero) : n(q, y, s);
}

template <class Op>
Op conv_attributes(NodeContext& n, size_t spatial) {
  Op op;
  op.strides = window::filled(n.ints("strides"), spatial, 1, 1, "strides");
  op.dilations = window::filled(n.ints("dilations"), spatial, 1, 1, "dilations");
  const auto pads = n.ints("pads", std::vector<int64_t>(2 * spatial, 0));
  if (pads.size() != 2 * spatial) n.fail("pads must have two numbers for each spatial axis");
  op.pads_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(spatial));
  op.pads_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(spatial), pads.end());
  const std::string s = n.s("auto_pad", "NOTSET");
  op.auto_pad = s == "SAME_UPPER"   ? AutoPad::same_upper
                : s == "SAME_LOWER" ? AutoPad::same_lower
                : s == "VALID"      ? AutoPad::valid
                                    : AutoPad::explicit_;
  return op;
}

Value convolve(NodeContext& n, Value x, Value w) {
  const size_t rank = n.rank(w);
  if (rank < 3) n.fail("wants weights with spatial axes");
  const int64_t groups = n.i("group", 1);
  if (groups == 1) return n(conv_attributes<Convolution>(n, rank - 2), x, w);
  if (!w.shape().is_static()) n.refuse("grouped convolution needs static weights");
  Shape s = w.shape().to_shape();
  if (groups < 1 || s[0] % groups != 0) n.fail("group does not divide the channels of the weights");
  s[0] /= groups;
  s.insert(s.begin(), groups);
  return n(conv_attributes<GroupConvolution>(n, rank - 2), x, n.reshape(w, s));
}

// The bias is i32 with scale x_scale * w_scale: it joins the sum before the result is quantized.
Values qlinear_conv(NodeContext& n) {
  const Value x = dequantized(n, 0, 1), w = dequantized(n, 3, 0);
  Value y = convolve(n, x, w);
  if (n.has(8)) {
    const Value scale =
        n(Multiply{}, n.cast(plain(n, n.in(1)), ElementType::f32), n.cast(plain(n, n.in(4)), ElementType::f32));
    Value bias = n(Dequantize{last_axis(n, n.in(4), n.in(8), 0), ElementType::f32}, n.in(8), scale);
    std::vector<int64_t> axes;
    for (size_t k = 2; k < n.rank(n.in(3)); ++k) axes.push_back(static_cast<int64_t>(k) - 1);
    y = n(Add{}, y, axes.empty() ? bias : n.unsqueeze(bias, axes));
  }
  return {quantized(n, y, 6, 1)};
}

Values qlinear_matmul(NodeContext& n) {
  const Value y = n(MatMul{}, dequantized(n, 0, -2), dequantized(n, 3, -1));
  return {quantized(n, y, 6, -2)};
}

// Integer arithmetic without scales, given back as i32: exact in f64 for every size that fits memory.
Value centred(NodeContext& n, Value x, Value zero, int64_t axis) {
  Value v = n.cast(x, ElementType::i32);
  if (!zero) return v;
  Value z = n.cast(zero, ElementType::i32);
  if (z.shape().rank_known() && z.shape().rank() == 1) {
    if (z.shape()[0] == Dimension(1)) {
      z = n.reshape(z, {});
    } else if (axis >= 0) {
      std::vector<int64_t> axes;
      for (auto k = axis + 1; k < static_cast<int64_t>(n.rank(x)); ++k) axes.push_back(k - axis);
      if (!axes.empty()) z = n.unsqueeze(z, axes);
    }
  }
  return n(Subtract{}, v, z);
}

// The type in which sums of products with these weights less their zero points are exact: f32 where they are known to
// stay below 2^24, else f64. `outputs`: axis of the weights along which results lie.
ElementType exact_type(Value weights, Value zero, size_t outputs) {
  const Tensor w = Emitter::known(weights), z = zero ? Emitter::known(zero) : Tensor();
  if (!w || w.rank() <= outputs ||
      (zero && (!z || (z.size() != 1 && z.size() != static_cast<size_t>(w.shape()[outputs])))))
    return ElementType::f64;
  std::vector<int64_t> shift = z ? z.to_ints() : std::vector<int64_t>{0};
  shift.resize(static_cast<size_t>(w.shape()[outputs]), shift[0]);
  size_t inside = 1;
  for (size_t k = outputs + 1; k < w.rank(); ++k) inside *= static_cast<size_t>(w.shape()[k]);
  // A byte less its zero point z lies in [-z, 255 - z]: no part of a sum is larger than 255 times the weights of one
  // sign.
  std::vector<int64_t> sums[2];
  for (auto& s : sums) s.resize(static_cast<size_t>(w.shape()[outputs]), 0);
  int64_t largest = 0;
  const auto add = [&](const auto* x) {
    for (size_t i = 0; i < w.size(); ++i) {
      const size_t o = i / inside % shift.size();
      const int64_t v = static_cast<int64_t>(x[i]) - shift[o];
      int64_t& sum = sums[v < 0][o];
      sum += v < 0 ? -v : v;
      largest = std::max(largest, sum);
    }
  };
  if (w.element_type() == ElementType::u8)
    add(w.data<uint8_t>());
  else if (w.element_type() == ElementType::i8)
    add(w.data<int8_t>());
  else
    return ElementType::f64;
  return largest * 255 <= int64_t{1} << 24 ? ElementType::f32 : ElementType::f64;
}

Values matmul_integer(NodeContext& n) {
  return {integer_matmul(n, n.in(0), n.opt(2), n.in(1), n.opt(3))};
}

Values conv_integer(NodeContext& n) {
  const Value x = centred(n, n.in(0), n.opt(2), -1), w = centred(n, n.in(1), n.opt(3), 0);
  const ElementType type = exact_type(n.in(1), n.opt(3), 0);
  return {n.cast(convolve(n, n.cast(x, type), n.cast(w, type)), ElementType::i32)};
}

constexpr OperatorRow rows[] = {
    {"ConvInteger", 10, conv_integer},
    {"DequantizeLinear", 10, dequantize_linear},
    {"DynamicQuantizeLinear", 11, dynamic_quantize_linear},
    {"MatMulInteger", 10, matmul_integer},
    {"QLinearConv", 10, qlinear_conv},
    {"QLinearMatMul", 10, qlinear_matmul},
    {"QuantizeLinear", 10, quantize_linear},
};

}  // namespace

std::span<const OperatorRow> quantization_rows() {
  return rows;
}

Value integer_matmul(NodeContext& n, Value a, Value a_zero, Value b, Value b_zero) {
  const Value left = centred(n, a, a_zero, static_cast<int64_t>(n.rank(a)) - 2),
              right = centred(n, b, b_zero, static_cast<int64_t>(n.rank(b)) - 1);
  const ElementType type = exact_type(b, b_zero, n.rank(b) - 1);
  return n.cast(n(MatMul{}, n.cast(left, type), n.cast(right, type)), ElementType::i32);
}

}  // namespace hone::onnx
