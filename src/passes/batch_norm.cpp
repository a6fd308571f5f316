#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/quantize.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"
#include "passes/canonicalize.hpp"
#include "passes/facts.hpp"
#include "passes/scale_channels.hpp"
#include "rewrite/traits.hpp"

namespace hone {
namespace {

// Does `v` scale or shift the channels at `axis` of `to`, as a weight?
bool is_channel_weight(Value v, const PartialShape& to, size_t axis) {
  return spreads_along(v, to, axis) && is_parameter_like(v);
}

bool is_quantized_weight(Value w) {
  const Node n = w.node();
  return n.is<FakeQuantize>() || n.is<Dequantize>() ||
         (n.is<Multiply>() && (n.input(0).node().is<Convert>() || n.input(1).node().is<Convert>()));
}

Rule expand_batch_norm() {
  const auto x = any(), gamma = any(), beta = any(), mean = any(), variance = any();
  const auto bn = op<BatchNormInference>(x, gamma, beta, mean, variance);
  return rule("batch_norm_to_multiply_add", bn, [=](const Match& m, Builder& b) -> Value {
    const PartialShape s = m[x].shape();
    if (!s.rank_known() || s.rank() < 2) return {};
    for (const auto& p : {gamma, beta, mean, variance}) {
      if (!m[p].shape().is_static()) return {};
    }
    const Value eps = b.like(m[variance], m.as<BatchNormInference>(bn).epsilon);
    const Value scale = b(Divide{}, m[gamma], b(Sqrt{}, b(Add{}, m[variance], eps)));
    const Value shift = b(Subtract{}, m[beta], b(Multiply{}, m[mean], scale));
    return b(Add{}, b(Multiply{}, m[x], on_axis(b, scale, 1, s.rank())), on_axis(b, shift, 1, s.rank()));
  });
}

// (linear(x) + shift) * scale = linear(x) * scale + shift * scale, so that the scale meets the weights.
Rule multiply_over_add() {
  const auto linear =
      op<Convolution, GroupConvolution, ConvolutionBackpropData, GroupConvolutionBackpropData, MatMul>();
  const auto shift = weights(), scale = weights();
  const auto root = op<Multiply>(op<Add>(linear, shift), scale);
  return rule("multiply_over_add", root, [=](const Match& m, Builder& b) -> Value {
    const auto t = channel_traits(m.node(linear));
    const PartialShape shape = m[linear].shape();
    if (!t || !spreads_along(m[shift], shape, t->output_axis) || !spreads_along(m[scale], shape, t->output_axis))
      return {};
    const size_t rank = shape.rank();
    const Value c = on_axis(b, m[scale], t->output_axis, rank);
    return b(Add{}, b(Multiply{}, m[linear], c), b(Multiply{}, on_axis(b, m[shift], t->output_axis, rank), c));
  });
}

Rule multiply_into_weights() {
  const auto linear =
      op<Convolution, GroupConvolution, ConvolutionBackpropData, GroupConvolutionBackpropData, MatMul>();
  const auto scale = weights();
  return rule("multiply_into_weights", op<Multiply>(linear, scale), [=](const Match& m, Builder& b) -> Value {
    const auto t = channel_traits(m.node(linear));
    if (!t || !spreads_along(m[scale], m[linear].shape(), t->output_axis)) return {};
    if (m[scale].element_type() != m.node(linear).input(t->weights_input).element_type()) return {};
    return scale_output_channels(b, m.node(linear), *t, m[scale]);
  });
}

// linear(x * scale): into the input channels of the weights. Zeros around the input stay zero, so padding does no harm.
Rule multiply_before() {
  const auto x = any(), scale = weights();
  const auto scaled = op<Multiply>(x, scale);
  const auto linear =
      op<Convolution, GroupConvolution, ConvolutionBackpropData, GroupConvolutionBackpropData, MatMul>();
  const auto root =
      op<Convolution, GroupConvolution, ConvolutionBackpropData, GroupConvolutionBackpropData, MatMul>(scaled, any())
          .more_inputs();
  return rule("multiply_before_into_weights", root, [=](const Match& m, Builder& b) -> Value {
    const Node n = m.root();
    const auto t = channel_traits(n);
    if (!t || is_quantized_weight(n.input(t->weights_input)) || !same_shape(m[x].shape(), m[scaled].shape())) return {};
    if (!is_channel_weight(m[scale], m[x].shape(), t->input_axis) || is_parameter_like(m[x])) return {};
    return scale_input_channels(b, n, *t, m[x], m[scale]);
  });
}

// conv(x + shift) = conv(x) + the sum of shift * weights, where no padding shows zeros in place of the shift.
Rule add_before() {
  const auto x = any(), shift = weights();
  const auto shifted = op<Add>(x, shift);
  const auto root = op<Convolution, MatMul>(shifted, any());
  return rule("add_before_into_bias", root, [=](const Match& m, Builder& b) -> Value {
    const Node n = m.root();
    const auto t = channel_traits(n);
    if (!t || t->pads_with_zero || is_quantized_weight(n.input(1)) || is_parameter_like(m[x])) return {};
    if (!is_parameter_like(n.input(1)) || !same_shape(m[x].shape(), m[shifted].shape())) return {};
    if (!is_channel_weight(m[shift], m[x].shape(), t->input_axis)) return {};
    const Shape w = n.input(1).shape().to_shape();
    if (n.is<MatMul>() && w.size() != 2) return {};
    const int64_t channels = element_count(t->input_scale_shape);
    Value s = m[shift];
    if (element_count(s.shape().to_shape()) == 1) s = b(Broadcast{}, b(Reshape{}, s, b.ints({1})), b.ints({channels}));
    const Value product = b(Multiply{}, n.input(1), b(Reshape{}, s, b.ints(t->input_scale_shape)));
    const auto* mm = n.as<MatMul>();
    const size_t output_axis = mm && !mm->transpose_b ? 1 : 0;
    std::vector<int64_t> axes;
    for (size_t i = 0; i < w.size(); ++i) {
      if (i != output_axis) axes.push_back(static_cast<int64_t>(i));
    }
    const Value bias = b(ReduceSum{}, product, b.ints(axes));
    const Value y = b.add(n.op(), b.graph().node(n.id).attributes, {m[x], n.input(1)}).output(0);
    return b(Add{}, y, on_axis(b, bias, t->output_axis, y.shape().rank()));
  });
}

// Two biases in a row are one: what add_before leaves behind is no constant yet.
Rule bias_twice() {
  const auto linear =
      op<Convolution, GroupConvolution, ConvolutionBackpropData, GroupConvolutionBackpropData, MatMul>();
  const auto first = weights(), second = weights();
  const auto inner = op<Add>(linear, first);
  return rule("bias_twice", op<Add>(inner, second), [=](const Match& m, Builder& b) -> Value {
    const auto t = channel_traits(m.node(linear));
    const PartialShape shape = m[linear].shape();
    if (!t || !same_shape(m[inner].shape(), shape) || !spreads_along(m[first], shape, t->output_axis) ||
        !spreads_along(m[second], shape, t->output_axis))
      return {};
    const size_t rank = shape.rank();
    return b(Add{}, m[linear],
             b(Add{}, on_axis(b, m[first], t->output_axis, rank), on_axis(b, m[second], t->output_axis, rank)));
  });
}

// Two scales (two shifts) in a row are one.
template <class Op>
Rule merge_constants(const char* name) {
  const auto x = any(), c1 = constant(), c2 = constant();
  const auto inner = op<Op>(x, c1);
  return rule(name, op<Op>(inner, c2), [=](const Match& m, Builder& b) -> Value {
    if (m[x].node().template is<Constant>() || !same_shape(m[inner].shape(), m[x].shape())) return {};
    if (!is_float(m[x].element_type())) return {};
    // The arithmetic of compressed weights stays as it is.
    const Node producer = m[x].node();
    if (producer.template is<Convert>() && is_integer(producer.input(0).element_type())) return {};
    return b(Op{}, m[x], b(Op{}, m[c1], m[c2]));
  });
}

}  // namespace

Pass fold_batch_norm_pass() {
  return rules_pass(
      "fold_batch_norm",
      {expand_batch_norm(), merge_constants<Multiply>("multiply_twice"), merge_constants<Add>("add_twice"),
       bias_twice(), multiply_over_add(), multiply_into_weights(), multiply_before(), add_before()},
      true);
}

}  // namespace hone
