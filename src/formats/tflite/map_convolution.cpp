// Convolutions and products. Images are NHWC in the file: they are transposed on the way in and out.
#include <algorithm>
#include <cmath>

#include "formats/tflite/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/window.hpp"

namespace hone::tflite {
namespace {

// The option as Convolution says it. Some runtimes refuse to pad dilated kernels by themselves: where sizes are known,
// pads are numbers.
template <class Op>
Op padded(NodeContext& n, Op op, Value image, Value w, int8_t code) {
  if (code != 0 && code != 1) n.fail("padding " + std::to_string(code) + " does not exist");
  op.auto_pad = code == 0 ? AutoPad::same_upper : AutoPad::valid;
  bool dilated = false, known = w.shape().is_static() && w.shape().rank() >= op.strides.size() &&
                                image.shape().rank_known() && image.shape().rank() == op.strides.size() + 2;
  for (int64_t d : op.dilations) dilated |= d != 1;
  for (size_t k = 0; known && k < op.strides.size(); ++k) known = image.shape()[k + 1].is_static();
  if (code != 0 || !dilated || !known) return op;
  op.auto_pad = AutoPad::explicit_;
  const Shape kernel = w.shape().to_shape();
  window::filled(op.strides, op.strides.size(), 1, 1, "strides");
  window::filled(op.dilations, op.strides.size(), 1, 1, "dilations");
  for (size_t k = 0; k < op.strides.size(); ++k) {
    const int64_t size = image.shape()[k + 1].get_length(), out = (size + op.strides[k] - 1) / op.strides[k];
    const int64_t wide = kernel[kernel.size() - op.strides.size() + k];
    if (wide > window::limit) n.fail("has sizes that are out of range");
    const int64_t reach = (wide - 1) * op.dilations[k] + 1;
    const int64_t total = std::max<int64_t>(0, (out - 1) * op.strides[k] + reach - size);
    op.pads_begin.push_back(total / 2);
    op.pads_end.push_back(total - total / 2);
  }
  return op;
}

AutoPad padding(NodeContext& n, int8_t code) {
  if (code != 0 && code != 1) n.fail("padding " + std::to_string(code) + " does not exist");
  return code == 0 ? AutoPad::same_upper : AutoPad::valid;
}

std::vector<int64_t> positive(NodeContext& n, std::vector<int64_t> v, const char* what) {
  for (int64_t& d : v) {
    if (d < 1) n.fail(std::string(what) + " must be positive");
  }
  return v;
}

// Sums of products of quantized tensors, as the format's kernels count them.
//
// Symmetric weights are computed on real numbers: passes turn that into integer kernels. Asymmetric u8 weights (and
// networks that were trained with them) have none, and rounding errors of sums of real numbers would flip steps: there
// the integers themselves are multiplied, which f32 does exactly, and the sum is brought to the scale of the output by
// one factor.
class Products {
 public:
  Products(NodeContext& n, size_t data, size_t weight, size_t bias) : n_(n), data_(data), weight_(weight), bias_(bias) {
    const Scales &x = n.scales(data), &w = n.scales(weight), &y = n.scales_out(0);
    const bool quantized = x && w && y && x.scale.size() == 1 && y.scale.size() == 1;
    if (!quantized) return;
    exact_ = n.importer().counts_steps() && n.info(weight).type == TensorType::u8 &&
             n.info(data).type == TensorType::u8 && n.info_out(0).type == TensorType::u8;
    wide_ = n.info(data).type == TensorType::i16 && n.info_out(0).type == TensorType::i16 &&
            (!n.has(bias) || n.info(bias).type == TensorType::i64);
  }
  Value data() { return exact_ ? n_.steps(data_) : n_.in(data_); }
  Value weights(const std::vector<int64_t>& order, int64_t usual_axis) {
    return n_.weights(weight_, order, usual_axis, exact_);
  }
  /// Bias, activation and scale of sums whose channels lie along `axis`; the axes are put in the order of the file.
  Values finished(Value y, size_t axis, int8_t activation, bool image) {
    const auto spread = [&](Value v) {
      if (n_.rank(v) == 0 || axis + 1 == n_.rank(y)) return v;
      std::vector<int64_t> shape(n_.rank(y), 1);
      shape[axis] = -1;
      return n_.reshape(v, shape);
    };
    if (n_.has(bias_))
      y = n_(Add{}, y, spread(exact_ ? n_.cast(n_.stored(bias_), ElementType::f32) : n_.bias(bias_, data_, weight_)));
    // Beyond 2^24 f32 does not count every integer; and behind a bound no pass takes the factor for one of the weights,
    // which must stay integers.
    if (exact_) y = n_(Clamp{activation == 0 || activation == 2 ? -0x1p24 : 0, 0x1p24}, y);
    if (exact_ || wide_) y = n_(Multiply{}, y, spread(exact_ ? factor() : correction()));
    y = exact_ ? clamped(y, activation) : n_.activated(y, activation);
    if (image) y = n_.channels_last(y);
    if (!exact_) return {y};
    n_.give(0, n_.whole_steps(y, n_.info_out(0)));
    return {};
  }

 private:
  // scale of the data * scale of the weight / scale of the output.
  Value factor() const {
    std::vector<float> f;
    for (float w : n_.scales(weight_).scale) f.push_back(n_.scales(data_).scale[0] * w / n_.scales_out(0).scale[0]);
    return constant(f);
  }
  // Kernels with 64-bit sums multiply by 15 bits of that factor: what their rounding changes.
  Value correction() const {
    std::vector<float> f;
    for (float w : n_.scales(weight_).scale) {
      const double exact = static_cast<double>(n_.scales(data_).scale[0]) * static_cast<double>(w) /
                           static_cast<double>(n_.scales_out(0).scale[0]);
      int exponent = 0;
      const double fraction = std::frexp(exact, &exponent);
      const double reduced = std::min(std::floor((std::round(std::ldexp(fraction, 31)) + 0x1p15) / 0x1p16), 32767.0);
      f.push_back(exact > 0 ? static_cast<float>(std::ldexp(reduced, exponent - 15) / exact) : 1.0f);
    }
    return constant(f);
  }
  Value constant(const std::vector<float>& f) const {
    return n_.b.constant(Tensor::of<float>(f.size() == 1 ? Shape{} : Shape{static_cast<int64_t>(f.size())}, f));
  }
  // The upper bounds of activations in units of the output's scale.
  Value clamped(Value y, int8_t activation) {
    const double s = n_.scales_out(0).scale[0];
    switch (activation) {
      case 0:
      case 1:
        return y;
      case 2:
        return n_(Clamp{std::round(-1 / s), std::round(1 / s)}, y);
      case 3:
        return n_(Clamp{0, std::round(6 / s)}, y);
      default:
        n_.refuse("fused activation " + std::to_string(activation) + " of integers");
    }
  }

  NodeContext& n_;
  size_t data_, weight_, bias_;
  bool exact_ = false, wide_ = false;
};

// Channels of input `i`; where shapes hang on data, those that the file states.
int64_t channels(NodeContext& n, size_t i) {
  const Value image = n.in(i);
  if (n.rank(image) < 3) n.fail("wants images, has data of rank " + std::to_string(n.rank(image)));
  const Dimension& d = image.shape()[n.rank(image) - 1];
  if (d.is_static()) return d.get_length();
  const auto& stated = n.info(i).shape;
  if (stated.empty() || stated.back() < 1) n.refuse("needs to know the number of channels of its input");
  return stated.back();
}

// Weights [O, H, W, I]; fewer input channels than the data have mean groups.
Values conv_2d(NodeContext& n) {
  Products p(n, 0, 1, 2);
  const Value x = p.data();
  Value w = p.weights({0, 3, 1, 2}, 0);
  if (!w.shape().is_static()) n.refuse("needs weights of a known shape");
  const Shape s = w.shape().to_shape();
  const auto strides = positive(n, {n.i(2, 1), n.i(1, 1)}, "strides"),
             dilations = positive(n, {n.i(5, 1), n.i(4, 1)}, "dilations");
  if (n.rank(x) != 4) n.fail("wants images, has data of rank " + std::to_string(n.rank(x)));
  const Dimension& c = x.shape()[3];
  const int64_t in = c.is_static() ? c.get_length() : s[1];
  Value y;
  if (in == s[1]) {
    y = n(padded(n, Convolution{strides, {}, {}, dilations}, x, w, n.code(0)), n.channels_first(x), w);
  } else {
    const int64_t groups = s[1] > 0 ? in / s[1] : 0;
    if (groups < 1 || in % s[1] != 0 || s[0] % groups != 0)
      n.fail(std::to_string(in) + " channels do not fit weights " + to_string(s));
    w = n.reshape(w, {groups, s[0] / groups, s[1], s[2], s[3]});
    y = n(padded(n, GroupConvolution{strides, {}, {}, dilations}, x, w, n.code(0)), n.channels_first(x), w);
  }
  return p.finished(y, 1, n.code(3), true);
}

// Weights [1, H, W, C * M]: output c * M + m reads channel c.
Values depthwise_conv_2d(NodeContext& n) {
  Products p(n, 0, 1, 2);
  const Value x = p.data();
  const int64_t c = channels(n, 0);
  Value w = p.weights({3, 0, 1, 2}, 3);
  if (!w.shape().is_static()) n.refuse("needs weights of a known shape");
  const Shape s = w.shape().to_shape();
  if (c < 1 || s[0] % c != 0 || s[1] != 1) n.fail(std::to_string(c) + " channels do not fit weights " + to_string(s));
  w = n.reshape(w, {c, s[0] / c, 1, s[2], s[3]});
  const GroupConvolution op{
      positive(n, {n.i(2, 1), n.i(1, 1)}, "strides"), {}, {}, positive(n, {n.i(6, 1), n.i(5, 1)}, "dilations")};
  const Value y = n(padded(n, op, x, w, n.code(0)), n.channels_first(x), w);
  return p.finished(y, 1, n.code(4), true);
}

// Weights [D, H, W, I, O].
Values conv_3d(NodeContext& n) {
  Products p(n, 0, 1, 2);
  const Value x = p.data(), w = p.weights({4, 3, 0, 1, 2}, 4);
  const Convolution op{positive(n, {n.i(1, 1), n.i(3, 1), n.i(2, 1)}, "strides"),
                       {},
                       {},
                       positive(n, {n.i(5, 1), n.i(7, 1), n.i(6, 1)}, "dilations")};
  return p.finished(n(padded(n, op, x, w, n.code(0)), n.channels_first(x), w), 1, n.code(4), true);
}

// An odd row of padding stands at the end, where OpenVINO's transposed convolution has it under the other name.
Value transposed(NodeContext& n, Value x, Value w, Value spatial, std::vector<int64_t> strides,
                 std::vector<int64_t> dilations, AutoPad pad) {
  if (pad == AutoPad::same_upper) pad = AutoPad::same_lower;
  const ConvolutionBackpropData op{std::move(strides), {}, {}, std::move(dilations), pad, {}};
  return spatial ? n(op, n.channels_first(x), w, spatial) : n(op, n.channels_first(x), w);
}

// Inputs: shape of the result, weights [O, H, W, I], data, bias.
Values transpose_conv(NodeContext& n) {
  Products p(n, 2, 1, 3);
  const Value x = p.data(), w = p.weights({3, 0, 1, 2}, 0);
  const Value spatial = n.slice(n.index_vector(0), 0, 1, 3);
  const Value y =
      transposed(n, x, w, spatial, positive(n, {n.i(2, 1), n.i(1, 1)}, "strides"), {1, 1}, padding(n, n.code(0)));
  return p.finished(y, 1, n.code(3), true);
}

// Inputs: shape of the result, weights [D, H, W, O, I], data, bias.
Values conv_3d_transpose(NodeContext& n) {
  Products p(n, 2, 1, 3);
  const Value x = p.data(), w = p.weights({4, 3, 0, 1, 2}, 3);
  const Value spatial = n.slice(n.index_vector(0), 0, 1, 4);
  const Value y = transposed(n, x, w, spatial, positive(n, {n.i(1, 1), n.i(3, 1), n.i(2, 1)}, "strides"),
                             positive(n, {n.i(5, 1), n.i(7, 1), n.i(6, 1)}, "dilations"), padding(n, n.code(0)));
  return p.finished(y, 1, n.code(4), true);
}

// MediaPipe: data, weights [O, H, W, I], bias; the options are C integers: padding (1 same, 2 valid), stride across,
// stride down.
Values transpose_conv_bias(NodeContext& n) {
  const Bytes raw = n.op().custom_options;
  if (raw.size() < 12) n.fail("the options are too short");
  int32_t o[3];
  std::memcpy(o, raw.data(), sizeof o);
  if (o[0] != 1 && o[0] != 2) n.fail("padding " + std::to_string(o[0]) + " does not exist");
  const auto strides = positive(n, {o[2], o[1]}, "strides");
  Products p(n, 0, 1, 2);
  const Value x = p.data(), w = p.weights({3, 0, 1, 2}, 0);
  // Same: every size is multiplied by its stride.
  Value spatial;
  if (o[0] == 1) {
    spatial = n(Multiply{}, n.dims(x, 1, 3), n.ints_constant(strides));
  }
  const Value y = transposed(n, x, w, spatial, strides, {1, 1}, o[0] == 1 ? AutoPad::same_upper : AutoPad::valid);
  return p.finished(y, 1, 0, true);
}

// x [..., K] and weights [N, K]; all axes but the last are one unless they are kept.
Values fully_connected(NodeContext& n) {
  if (n.code(1) != 0) n.refuse("shuffled weights are not supported; convert the model again");
  Products p(n, 0, 1, 2);
  Value x = p.data();
  const Value w = p.weights({0, 1}, 0);
  if (!n.flag(2) && (!x.shape().rank_known() || n.rank(x) != 2)) {
    const Dimension& k = w.shape()[1];
    if (k.is_dynamic()) n.refuse("needs weights of a known shape");
    x = n.reshape(x, {-1, k.get_length()});
  }
  const Value y = n(MatMul{false, true}, x, w);
  return p.finished(y, n.rank(y) - 1, n.code(0), false);
}

Values batch_matmul(NodeContext& n) {
  return {n(MatMul{n.flag(0), n.flag(1)}, n.in(0), n.in(1))};
}

constexpr OperatorRow rows[] = {
    {3, "CONV_2D", conv_2d},
    {4, "DEPTHWISE_CONV_2D", depthwise_conv_2d},
    {9, "FULLY_CONNECTED", fully_connected},
    {67, "TRANSPOSE_CONV", transpose_conv},
    {126, "BATCH_MATMUL", batch_matmul},
    {132, "CONV_3D", conv_3d},
    {141, "CONV_3D_TRANSPOSE", conv_3d_transpose},
};

constexpr CustomRow customs[] = {
    {"Convolution2DTransposeBias", transpose_conv_bias},
};

}  // namespace

std::span<const OperatorRow> convolution_rows() {
  return rows;
}
std::span<const CustomRow> convolution_customs() {
  return customs;
}

}  // namespace hone::tflite
