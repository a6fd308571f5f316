// Quantization: QDQ nodes, and the QOperator forms written as Dequantize, the real operator, Quantize.
#include "formats/onnx/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

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
  return n(Slice{}, flat, n.ints_constant({0}), n.dims(data, axis, axis + 1), n.ints_constant({1}), n.ints_constant({axis}));
}

// A scale or zero point of one element as a scalar: [1] and [] mean the same in ONNX.
Value plain(NodeContext& n, Value v) {
  if (!v || !v.shape().is_static() || v.shape().rank() == 0 || element_count(v.shape().to_shape()) != 1) return v;
  if (const Tensor t = v.constant()) return n.b.constant(t.reshaped({}));
  return n.reshape(v, {});
}

bool is_blocked(NodeContext& n, Value scale) { return n.version >= 21 && n.i("block_size", 0) > 0 && n.rank(scale) > 1; }

Values quantize_linear(NodeContext& n) {
  const Value x = n.in(0), scale = plain(n, n.in(1)), zero = plain(n, n.opt(2));
  Quantize q;
  q.output_type = zero ? zero.element_type() : n.i("output_dtype", 0) ? element_type_of_onnx(n.i("output_dtype")) : ElementType::u8;
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

// scale = (max(x, 0) - min(x, 0)) / 255, zero point = clamp(round(-min / scale)).
Values dynamic_quantize_linear(NodeContext& n) {
  const Value x = n.in(0);
  std::vector<int64_t> all;
  for (size_t k = 0; k < n.rank(x); ++k) all.push_back(static_cast<int64_t>(k));
  const Value axes = n.ints_constant(all), zero = n.b.scalar<float>(0);
  const Value low = n(Minimum{}, n(ReduceMin{false}, x, axes), zero), high = n(Maximum{}, n(ReduceMax{false}, x, axes), zero);
  const Value scale = n(Divide{}, n(Subtract{}, high, low), n.b.scalar<float>(255));
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
  op.strides = n.ints("strides", std::vector<int64_t>(spatial, 1));
  op.dilations = n.ints("dilations", std::vector<int64_t>(spatial, 1));
  const auto pads = n.ints("pads", std::vector<int64_t>(2 * spatial, 0));
  if (pads.size() != 2 * spatial) n.fail("pads must have two numbers for each spatial axis");
  op.pads_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(spatial));
  op.pads_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(spatial), pads.end());
  const std::string s = n.s("auto_pad", "NOTSET");
  op.auto_pad = s == "SAME_UPPER" ? AutoPad::same_upper : s == "SAME_LOWER" ? AutoPad::same_lower : s == "VALID" ? AutoPad::valid : AutoPad::explicit_;
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
    const Value scale = n(Multiply{}, n.cast(plain(n, n.in(1)), ElementType::f32), n.cast(plain(n, n.in(4)), ElementType::f32));
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

// Integer arithmetic without scales: exact in f64 for every size that fits memory, given back as i32.
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

Values matmul_integer(NodeContext& n) {
  const Value a = n.in(0), b = n.in(1);
  const Value left = centred(n, a, n.opt(2), static_cast<int64_t>(n.rank(a)) - 2), right = centred(n, b, n.opt(3), static_cast<int64_t>(n.rank(b)) - 1);
  return {n.cast(n(MatMul{}, n.cast(left, ElementType::f64), n.cast(right, ElementType::f64)), ElementType::i32)};
}

Values conv_integer(NodeContext& n) {
  const Value x = centred(n, n.in(0), n.opt(2), -1), w = centred(n, n.in(1), n.opt(3), 0);
  return {n.cast(convolve(n, n.cast(x, ElementType::f64), n.cast(w, ElementType::f64)), ElementType::i32)};
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

std::span<const OperatorRow> quantization_rows() { return rows; }

}  // namespace hone::onnx
