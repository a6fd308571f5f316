// Convolutions and products. Images are NHWC in the file: they are transposed on the way in and out.
#include "formats/tflite/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"

namespace hone::tflite {
namespace {

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

// A bias [C] joins y [N, C, spatial...].
Value with_bias(NodeContext& n, Value y, size_t i, size_t data, size_t weight) {
  if (!n.has(i)) return y;
  std::vector<int64_t> shape(n.rank(y), 1);
  shape[1] = -1;
  return n(Add{}, y, n.reshape(n.bias(i, data, weight), shape));
}

int64_t channels(NodeContext& n, Value image) {
  const Dimension& d = image.shape()[n.rank(image) - 1];
  if (d.is_dynamic()) n.refuse("needs to know the number of channels of its input");
  return d.get_length();
}

// Weights [O, H, W, I]; fewer input channels than the data have mean groups.
Values conv_2d(NodeContext& n) {
  const Value x = n.in(0);
  Value w = n.weights(1, {0, 3, 1, 2}, 0);
  if (!w.shape().is_static()) n.refuse("needs weights of a known shape");
  const Shape s = w.shape().to_shape();
  const auto strides = positive(n, {n.i(2, 1), n.i(1, 1)}, "strides"), dilations = positive(n, {n.i(5, 1), n.i(4, 1)}, "dilations");
  const Dimension& c = x.shape()[n.rank(x) - 1];
  const int64_t in = c.is_static() ? c.get_length() : s[1];
  const AutoPad pad = padding(n, n.code(0));
  Value y;
  if (in == s[1]) {
    y = n(Convolution{strides, {}, {}, dilations, pad}, n.channels_first(x), w);
  } else {
    const int64_t groups = s[1] > 0 ? in / s[1] : 0;
    if (groups < 1 || in % s[1] != 0 || s[0] % groups != 0) n.fail(std::to_string(in) + " channels do not fit weights " + to_string(s));
    w = n.reshape(w, {groups, s[0] / groups, s[1], s[2], s[3]});
    y = n(GroupConvolution{strides, {}, {}, dilations, pad}, n.channels_first(x), w);
  }
  return {n.channels_last(n.activated(with_bias(n, y, 2, 0, 1), n.code(3)))};
}

// Weights [1, H, W, C * M]: output c * M + m reads channel c.
Values depthwise_conv_2d(NodeContext& n) {
  const Value x = n.in(0);
  const int64_t c = channels(n, x);
  Value w = n.weights(1, {3, 0, 1, 2}, 3);
  if (!w.shape().is_static()) n.refuse("needs weights of a known shape");
  const Shape s = w.shape().to_shape();
  if (c < 1 || s[0] % c != 0 || s[1] != 1) n.fail(std::to_string(c) + " channels do not fit weights " + to_string(s));
  w = n.reshape(w, {c, s[0] / c, 1, s[2], s[3]});
  const GroupConvolution op{positive(n, {n.i(2, 1), n.i(1, 1)}, "strides"), {}, {}, positive(n, {n.i(6, 1), n.i(5, 1)}, "dilations"), padding(n, n.code(0))};
  const Value y = n(op, n.channels_first(x), w);
  return {n.channels_last(n.activated(with_bias(n, y, 2, 0, 1), n.code(4)))};
}

// Weights [D, H, W, I, O].
Values conv_3d(NodeContext& n) {
  const Value x = n.in(0), w = n.weights(1, {4, 3, 0, 1, 2}, 4);
  const Convolution op{positive(n, {n.i(1, 1), n.i(3, 1), n.i(2, 1)}, "strides"), {}, {}, positive(n, {n.i(5, 1), n.i(7, 1), n.i(6, 1)}, "dilations"),
                       padding(n, n.code(0))};
  const Value y = n(op, n.channels_first(x), w);
  return {n.channels_last(n.activated(with_bias(n, y, 2, 0, 1), n.code(4)))};
}

Value transposed(NodeContext& n, Value x, Value w, Value spatial, std::vector<int64_t> strides, std::vector<int64_t> dilations, AutoPad pad) {
  const ConvolutionBackpropData op{std::move(strides), {}, {}, std::move(dilations), pad, {}};
  return spatial ? n(op, n.channels_first(x), w, spatial) : n(op, n.channels_first(x), w);
}

// Inputs: shape of the result, weights [O, H, W, I], data, bias.
Values transpose_conv(NodeContext& n) {
  const Value x = n.in(2), w = n.weights(1, {3, 0, 1, 2}, 0);
  const Value spatial = n.slice(n.index_vector(0), 0, 1, 3);
  const Value y = transposed(n, x, w, spatial, positive(n, {n.i(2, 1), n.i(1, 1)}, "strides"), {1, 1}, padding(n, n.code(0)));
  return {n.channels_last(n.activated(with_bias(n, y, 3, 2, 1), n.code(3)))};
}

// Inputs: shape of the result, weights [D, H, W, O, I], data, bias.
Values conv_3d_transpose(NodeContext& n) {
  const Value x = n.in(2), w = n.weights(1, {4, 3, 0, 1, 2}, 3);
  const Value spatial = n.slice(n.index_vector(0), 0, 1, 4);
  const Value y = transposed(n, x, w, spatial, positive(n, {n.i(1, 1), n.i(3, 1), n.i(2, 1)}, "strides"),
                             positive(n, {n.i(5, 1), n.i(7, 1), n.i(6, 1)}, "dilations"), padding(n, n.code(0)));
  return {n.channels_last(n.activated(with_bias(n, y, 3, 2, 1), n.code(4)))};
}

// MediaPipe: data, weights [O, H, W, I], bias; the options are C integers: padding (1 same, 2 valid), stride across, stride down.
Values transpose_conv_bias(NodeContext& n) {
  const Bytes raw = n.op().custom_options;
  if (raw.size() < 12) n.fail("the options are too short");
  int32_t o[3];
  std::memcpy(o, raw.data(), sizeof o);
  if (o[0] != 1 && o[0] != 2) n.fail("padding " + std::to_string(o[0]) + " does not exist");
  const auto strides = positive(n, {o[2], o[1]}, "strides");
  const Value x = n.in(0), w = n.weights(1, {3, 0, 1, 2}, 0);
  // Same: every size is multiplied by its stride.
  Value spatial;
  if (o[0] == 1) {
    spatial = n(Multiply{}, n.dims(x, 1, 3), n.ints_constant(strides));
  }
  const Value y = transposed(n, x, w, spatial, strides, {1, 1}, o[0] == 1 ? AutoPad::same_upper : AutoPad::valid);
  return {n.channels_last(with_bias(n, y, 2, 0, 1))};
}

// x [..., K] and weights [N, K]; all axes but the last are one unless they are kept.
Values fully_connected(NodeContext& n) {
  if (n.code(1) != 0) n.refuse("shuffled weights are not supported; convert the model again");
  Value x = n.in(0);
  const Value w = n.weights(1, {0, 1}, 0);
  if (!n.flag(2) && (!x.shape().rank_known() || n.rank(x) != 2)) {
    const Dimension& k = w.shape()[1];
    if (k.is_dynamic()) n.refuse("needs weights of a known shape");
    x = n.reshape(x, {-1, k.get_length()});
  }
  Value y = n(MatMul{false, true}, x, w);
  if (n.has(2)) y = n(Add{}, y, n.bias(2, 0, 1));
  return {n.activated(y, n.code(0))};
}

Values batch_matmul(NodeContext& n) { return {n(MatMul{n.flag(0), n.flag(1)}, n.in(0), n.in(1))}; }

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

std::span<const OperatorRow> convolution_rows() { return rows; }
std::span<const CustomRow> convolution_customs() { return customs; }

}  // namespace hone::tflite
