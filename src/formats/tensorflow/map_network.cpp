// Convolution, pooling, normalization, matrix products.
#include <algorithm>

#include "formats/tensorflow/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/einsum.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/pooling.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"
#include "ops/window.hpp"

namespace hone::tensorflow {
namespace {

// Where the channels of a data_format stand, and how its tensors become [N, C, spatial...] and back.
struct Format {
  bool last = true;
  size_t spatial = 2;

  Value first(NodeContext& n, Value v) const {
    if (!last) return v;
    std::vector<int64_t> order{0, static_cast<int64_t>(spatial) + 1};
    for (size_t k = 0; k < spatial; ++k) order.push_back(static_cast<int64_t>(k) + 1);
    return n.transpose(v, order);
  }
  Value back(NodeContext& n, Value v) const {
    if (!last) return v;
    std::vector<int64_t> order{0};
    for (size_t k = 0; k < spatial; ++k) order.push_back(static_cast<int64_t>(k) + 2);
    order.push_back(1);
    return n.transpose(v, order);
  }
  // The spatial numbers of an attribute that has one for each axis.
  std::vector<int64_t> numbers(NodeContext& n, const char* name) const {
    const auto all = n.ints(name, std::vector<int64_t>(spatial + 2, 1));
    if (all.size() == spatial) return all;
    if (all.size() != spatial + 2) n.fail(std::string(name) + " must have one number for each axis");
    const auto from = all.begin() + (last ? 1 : 2);
    return {from, from + static_cast<std::ptrdiff_t>(spatial)};
  }
};

Format format_of(NodeContext& n, size_t spatial) {
  const std::string s = n.s("data_format", spatial == 2 ? "NHWC" : "NDHWC");
  if (s != "NHWC" && s != "NCHW" && s != "NDHWC" && s != "NCDHW") n.refuse("of data_format " + s + " is not offered");
  return {s == "NHWC" || s == "NDHWC", spatial};
}

// Strides and padding of a windowed operator.
template <class Op>
Op windowed(NodeContext& n, const Format& f) {
  Op op;
  op.strides = f.numbers(n, "strides");
  const std::string padding = n.s("padding", "VALID");
  op.pads_begin.assign(f.spatial, 0);
  op.pads_end.assign(f.spatial, 0);
  if (padding == "SAME") {
    op.auto_pad = AutoPad::same_upper;
  } else if (padding == "VALID") {
    op.auto_pad = AutoPad::valid;
  } else if (padding == "EXPLICIT") {
    const auto pads = n.ints("explicit_paddings");
    if (pads.size() != 2 * (f.spatial + 2)) n.fail("explicit_paddings must have two numbers for each axis");
    const size_t at = f.last ? 1 : 2;
    for (size_t k = 0; k < f.spatial; ++k) {
      op.pads_begin[k] = pads[2 * (at + k)];
      op.pads_end[k] = pads[2 * (at + k) + 1];
    }
  } else {
    n.fail("unknown padding '" + padding + "'");
  }
  return op;
}

// Kernels [k..., I, O] as [O, I, k...].
Value kernel_first(NodeContext& n, Value w, size_t spatial) {
  const auto s = static_cast<int64_t>(spatial);
  std::vector<int64_t> order{s + 1, s};
  for (int64_t k = 0; k < s; ++k) order.push_back(k);
  return n.transpose(w, order);
}

Value convolved(NodeContext& n, size_t spatial, Value input, Value kernel) {
  const Format f = format_of(n, spatial);
  const Value x = f.first(n, input), w = kernel_first(n, kernel, spatial);
  if (n.rank(x) != spatial + 2 || n.rank(w) != spatial + 2)
    n.fail("wants data and a kernel of rank " + std::to_string(spatial + 2));
  const auto dilations = f.numbers(n, "dilations");
  // The number of groups is not said: it follows from the channels.
  const Dimension channels = x.shape()[1], per_group = w.shape()[1];
  if (channels.is_static() && per_group.is_static() && channels.get_length() != per_group.get_length()) {
    const int64_t own = per_group.get_length();
    if (own == 0 || channels.get_length() == 0 || channels.get_length() % own != 0)
      n.fail("the channels of the data do not fit the kernel");
    auto op = windowed<GroupConvolution>(n, f);
    op.dilations = dilations;
    const int64_t groups = channels.get_length() / own;
    if (!w.shape().is_static()) n.refuse("of groups needs a kernel of known size");
    Shape s = w.shape().to_shape();
    if (s[0] % groups != 0) n.fail("the groups do not divide the channels of the kernel");
    s[0] /= groups;
    s.insert(s.begin(), groups);
    return f.back(n, n(op, x, n.reshape(w, s)));
  }
  auto op = windowed<Convolution>(n, f);
  op.dilations = dilations;
  return f.back(n, n(op, x, w));
}
Items conv2d(NodeContext& n) {
  return {convolved(n, 2, n.in(0), n.in(1))};
}
Items conv3d(NodeContext& n) {
  return {convolved(n, 3, n.in(0), n.in(1))};
}

// Kernel [h, w, C, M]: channel c gives outputs c * M to c * M + M.
Items depthwise(NodeContext& n) {
  const Format f = format_of(n, 2);
  const Value x = f.first(n, n.in(0)), kernel = n.in(1);
  auto op = windowed<GroupConvolution>(n, f);
  op.dilations = f.numbers(n, "dilations");
  const Value w = n.unsqueeze(n.transpose(kernel, {2, 3, 0, 1}), {2});
  return {f.back(n, n(op, x, w))};
}

// The gradient of a convolution to its data: a transposed convolution.
Items conv_backprop(NodeContext& n, size_t spatial) {
  const Format f = format_of(n, spatial);
  const Value dy = f.first(n, n.in(2)), kernel = n.in(1);
  // [k..., O, I] of the forward convolution; here O are the channels of the result.
  const Value w = kernel_first(n, kernel, spatial);
  auto op = windowed<ConvolutionBackpropData>(n, f);
  op.dilations = window::filled(f.numbers(n, "dilations"), spatial, 1, 1, "dilations");
  window::filled(op.strides, spatial, 1, 1, "strides");
  const Value sizes = n.vector(n.in(0));
  const int64_t at = f.last ? 1 : 2, s = static_cast<int64_t>(spatial);
  Value space;
  if (const Tensor t = NodeContext::folded(sizes); t && t.size() >= spatial) {
    const auto all = t.to_ints();
    const auto from = all.size() == spatial ? all.begin() : all.begin() + at;
    if (all.end() - from < s) n.fail("the size of the result has too few numbers");
    space = n.ints_constant({from, from + s});
  } else {
    space = n.slice(sizes, 0, at, at + s);
  }
  const std::string padding = n.s("padding", "VALID");
  Value y;
  if (const Tensor wanted = space.constant(); wanted && dy.shape().is_static() && w.shape().is_static()) {
    // The padding of the forward convolution; what its windows did not reach is filled by output padding.
    op.auto_pad = AutoPad::explicit_;
    op.output_padding.assign(spatial, 0);
    for (size_t k = 0; k < spatial; ++k) {
      const int64_t in = dy.shape()[k + 2].get_length(), wide = w.shape()[k + 2].get_length();
      const int64_t size = get_integer(wanted, k);
      if (in > window::limit || wide > window::limit || size < 0 || size > window::limit)
        n.fail("has sizes that are out of range");
      const int64_t reach = op.strides[k] * (in - 1) + (wide - 1) * op.dilations[k] + 1;
      if (padding == "SAME") {
        const int64_t total = std::max<int64_t>(reach - size, 0);
        op.pads_begin[k] = total / 2;
        op.pads_end[k] = total - total / 2;
      }
      op.output_padding[k] = size - (reach - op.pads_begin[k] - op.pads_end[k]);
      if (op.output_padding[k] < 0) n.fail("the size of the result is smaller than the windows reach");
    }
    y = n(op, dy, w);
  } else {
    // Transposed convolutions split their padding the other way round: SAME_LOWER puts the smaller half first.
    if (op.auto_pad == AutoPad::same_upper) op.auto_pad = AutoPad::same_lower;
    if (op.auto_pad == AutoPad::valid) op.auto_pad = AutoPad::explicit_;
    y = n(op, dy, w, space);
  }
  return {f.back(n, y)};
}
Items conv2d_backprop(NodeContext& n) {
  return conv_backprop(n, 2);
}
Items conv3d_backprop(NodeContext& n) {
  return conv_backprop(n, 3);
}

template <class Op>
Items pool(NodeContext& n, size_t spatial) {
  const Format f = format_of(n, spatial);
  auto op = windowed<Op>(n, f);
  op.kernel = f.numbers(n, "ksize");
  const auto ksize = n.ints("ksize");
  if (ksize.size() == spatial + 2 && (ksize[0] != 1 || ksize[f.last ? spatial + 1 : 1] != 1))
    n.refuse("over batch or channels is not offered");
  return {f.back(n, n.all(op, {f.first(n, n.in(0))})[0])};
}
Items max_pool(NodeContext& n) {
  return pool<MaxPool>(n, 2);
}
Items max_pool3d(NodeContext& n) {
  return pool<MaxPool>(n, 3);
}
Items avg_pool(NodeContext& n) {
  return pool<AvgPool>(n, 2);
}
Items avg_pool3d(NodeContext& n) {
  return pool<AvgPool>(n, 3);
}
// Kernel and strides are inputs.
Items max_pool_v2(NodeContext& n) {
  const Format f = format_of(n, 2);
  const auto kernel = n.constant_ints(1, "the size of the window"), strides = n.constant_ints(2, "the strides");
  if (kernel.size() != 4 || strides.size() != 4) n.fail("wants four numbers");
  auto op = windowed<MaxPool>(n, f);
  const size_t at = f.last ? 1 : 2;
  op.kernel = {kernel[at], kernel[at + 1]};
  op.strides = {strides[at], strides[at + 1]};
  return {f.back(n, n.all(op, {f.first(n, n.in(0))})[0])};
}
// Positions count (y * width + x) * channels + c, and the batch before them where that is asked for.
Items max_pool_argmax(NodeContext& n) {
  const Format f = format_of(n, 2);
  if (!f.last) n.refuse("of data_format NCHW is not offered");
  auto op = windowed<MaxPool>(n, f);
  op.kernel = f.numbers(n, "ksize");
  op.axis = 2;
  const Value x = f.first(n, n.in(0));
  const Values y = n.all(op, {x});
  const Value channels = n.dim(x, 1), plane = n(Multiply{}, n.dim(x, 2), n.dim(x, 3));
  Value at = n(Multiply{}, y[1], channels);
  at = n(Add{}, at, n.unsqueeze(n.range(channels), {1, 2}));
  if (n.flag("include_batch_in_index", false))
    at = n(Add{}, at, n.unsqueeze(n(Multiply{}, n.range(n.dim(x, 0)), n(Multiply{}, plane, channels)), {1, 2, 3}));
  return {f.back(n, y[0]), n.cast(f.back(n, at), n.type("Targmax", ElementType::i64))};
}

Value per_channel(NodeContext& n, Value v, const Format& f) {
  if (f.last) return v;
  std::vector<int64_t> axes;
  for (size_t k = 0; k < f.spatial; ++k) axes.push_back(static_cast<int64_t>(k) + 1);
  return n.unsqueeze(v, axes);
}

size_t spatial_axes(NodeContext& n, Value x) {
  if (n.rank(x) < 3) n.fail("wants spatial axes");
  return n.rank(x) - 2;
}

// y, mean, variance and reserves, which inference does not read.
Items batch_norm(NodeContext& n) {
  const Value x = n.in(0), gamma = n.in(1), beta = n.in(2);
  const std::string layout = n.s("data_format", "NHWC");
  const Format f{layout == "NHWC" || layout == "NDHWC", spatial_axes(n, x)};
  const double epsilon = n.f("epsilon", 1e-4f);
  Value mean = n.in(3), variance = n.in(4);
  Value data = f.first(n, n.cast(x, gamma.element_type()));
  if (n.flag("is_training", true)) {
    std::vector<int64_t> axes{0};
    for (size_t k = 0; k < f.spatial; ++k) axes.push_back(static_cast<int64_t>(k) + 2);
    mean = n(ReduceMean{false}, data, n.ints_constant(axes));
    const Value centred = n(Subtract{}, data, n(ReduceMean{true}, data, n.ints_constant(axes)));
    variance = n(ReduceMean{false}, n(Multiply{}, centred, centred), n.ints_constant(axes));
  }
  Value y = n.cast(n(BatchNormInference{epsilon}, data, gamma, beta, mean, variance), x.element_type());
  if (n.op() == "_FusedBatchNormEx" && n.s("activation_mode") == "Relu") {
    if (n.i("num_side_inputs", 0) > 0) y = n(Add{}, y, f.first(n, n.in(5)));
    y = n(Relu{}, y);
  }
  return {f.back(n, y), mean, variance, mean, variance, mean};
}
Items batch_norm_global(NodeContext& n) {
  const Format f{true, spatial_axes(n, n.in(0))};
  Value gamma = n.in(4);
  if (!n.flag("scale_after_normalization", true)) gamma = n(Broadcast{}, n.like(gamma, 1), n.shape_of(gamma));
  return {f.back(
      n, n(BatchNormInference{n.f("variance_epsilon", 1e-3f)}, f.first(n, n.in(0)), gamma, n.in(3), n.in(1), n.in(2)))};
}

// x / (bias + alpha * sum of squares over neighbouring channels)^beta.
Items lrn(NodeContext& n) {
  const Format f{true, 2};
  const int64_t size = 2 * n.i("depth_radius", 5) + 1;
  LRN op;
  op.size = size;
  op.alpha = n.f("alpha", 1) * static_cast<double>(size);  // of the mean instead of the sum
  op.beta = n.f("beta", 0.5);
  op.bias = n.f("bias", 1);
  return {f.back(n, n(op, f.first(n, n.in(0)), n.ints_constant({1})))};
}

Items matmul(NodeContext& n) {
  return {n(MatMul{n.flag("transpose_a", false), n.flag("transpose_b", false)}, n.in(0), n.in(1))};
}
Items batch_matmul(NodeContext& n) {
  const ElementType out = n.type("Tout", n.in(0).element_type());
  return {n(MatMul{n.flag("adj_x", false), n.flag("adj_y", false)}, n.cast(n.in(0), out), n.cast(n.in(1), out))};
}
Items einsum(NodeContext& n) {
  std::string equation = n.s("equation");
  std::erase(equation, ' ');
  return items(n.all(Einsum{equation}, n.ins(0, n.num_inputs())));
}

// What graph optimizers fuse: a convolution or product with bias, BatchNorm and activation.
Items fused(NodeContext& n) {
  Value y;
  const bool product = n.op() == "_FusedMatMul";
  const Format f = product ? Format{true, 0} : format_of(n, 2);
  if (product)
    y = matmul(n)[0].value;
  else if (n.op() == "_FusedDepthwiseConv2dNative")
    y = depthwise(n)[0].value;
  else
    y = convolved(n, 2, n.in(0), n.in(1));
  size_t next = 2;
  for (const std::string& op : n.strings("fused_ops")) {
    if (op == "BiasAdd") {
      y = n(Add{}, y, per_channel(n, n.in(next++), f));
    } else if (op == "FusedBatchNorm") {
      y = f.back(n, n(BatchNormInference{n.f("epsilon", 1e-4f)}, f.first(n, y), n.in(next), n.in(next + 1),
                      n.in(next + 2), n.in(next + 3)));
      next += 4;
    } else if (op == "Add") {
      y = n(Add{}, y, n.in(next++));
    } else if (op == "Relu") {
      y = n(Relu{}, y);
    } else if (op == "Relu6") {
      y = n(Clamp{0, 6}, y);
    } else if (op == "Elu") {
      y = n(Elu{1}, y);
    } else if (op == "LeakyRelu") {
      y = n(PRelu{}, y, n.like(y, n.f("leakyrelu_alpha", 0.2f)));
    } else if (op == "Sigmoid") {
      y = n(Sigmoid{}, y);
    } else if (op == "Tanh") {
      y = n(Tanh{}, y);
    } else if (op == "GeluApproximate") {
      y = n(Gelu{GeluMode::tanh}, y);
    } else if (op == "GeluExact") {
      y = n(Gelu{}, y);
    } else if (op == "_FusedSwish" || op == "_MklSwish") {
      y = n(Swish{}, y);
    } else {
      n.refuse("with fused " + op + " is not offered; write the graph without layout and remapper optimizers");
    }
  }
  return {y};
}

constexpr OperatorRow rows[] = {
    {"AvgPool", avg_pool},
    {"AvgPool3D", avg_pool3d},
    {"BatchMatMul", batch_matmul},
    {"BatchMatMulV2", batch_matmul},
    {"BatchMatMulV3", batch_matmul},
    {"BatchNormWithGlobalNormalization", batch_norm_global},
    {"Conv2D", conv2d},
    {"Conv2DBackpropInput", conv2d_backprop},
    {"Conv3D", conv3d},
    {"Conv3DBackpropInputV2", conv3d_backprop},
    {"DepthwiseConv2dNative", depthwise},
    {"Einsum", einsum},
    {"FusedBatchNorm", batch_norm, "y,batch_mean,batch_variance,reserve_space_1,reserve_space_2"},
    {"FusedBatchNormV2", batch_norm, "y,batch_mean,batch_variance,reserve_space_1,reserve_space_2"},
    {"FusedBatchNormV3", batch_norm, "y,batch_mean,batch_variance,reserve_space_1,reserve_space_2,reserve_space_3"},
    {"LRN", lrn},
    {"MatMul", matmul},
    {"MaxPool", max_pool},
    {"MaxPool3D", max_pool3d},
    {"MaxPoolV2", max_pool_v2},
    {"MaxPoolWithArgmax", max_pool_argmax, "output,argmax"},
    {"_FusedBatchNormEx", batch_norm, "y,batch_mean,batch_variance,reserve_space_1,reserve_space_2,reserve_space_3"},
    {"_FusedConv2D", fused},
    {"_FusedDepthwiseConv2dNative", fused},
    {"_FusedMatMul", fused},
};

}  // namespace

std::span<const OperatorRow> network_rows() {
  return rows;
}

}  // namespace hone::tensorflow
