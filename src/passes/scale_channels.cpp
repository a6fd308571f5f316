#include "passes/scale_channels.hpp"

#include <algorithm>

#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "passes/facts.hpp"
#include "rewrite/traits.hpp"

namespace hone {
namespace {

template <class Op>
bool has_padding(const Op& op) {
  const auto zero = [](const std::vector<int64_t>& v) {
    return std::all_of(v.begin(), v.end(), [](int64_t p) { return p == 0; });
  };
  if (op.auto_pad == AutoPad::valid) return false;
  return op.auto_pad != AutoPad::explicit_ || !zero(op.pads_begin) || !zero(op.pads_end);
}

// Copies of the node's inputs with some replaced; the node's own attributes.
Value with_inputs(Builder& b, Node n, size_t index, Value v, Value x = {}) {
  Values in = n.inputs();
  in[index] = v;
  if (x) in[0] = x;
  return b.add(n.op(), b.graph().node(n.id).attributes, in).output(0);
}

// `scale` in a shape that broadcasts over weights: the elements in order over the axes of `axis_shape` that are not 1.
Value shaped(Builder& b, Value scale, const Shape& axis_shape) {
  const Shape have = scale.shape().to_shape();
  const int64_t n = element_count(have);
  const Shape want = n == 1 ? Shape(axis_shape.size(), 1) : axis_shape;
  return have == want ? scale : b(Reshape{}, scale, b.ints(want));
}

}  // namespace

std::optional<ChannelTraits> channel_traits(Node n) {
  ChannelTraits t;
  if (n.graph->node(n.id).epilogue || n.num_inputs() < 2 || !n.input(1)) return std::nullopt;
  const PartialShape ws = n.input(1).shape();
  if (!ws.is_static() || !n.output(0).shape().rank_known() || !n.input(0).shape().rank_known()) return std::nullopt;
  const Shape w = ws.to_shape();
  t.output_scale_shape = t.input_scale_shape = Shape(w.size(), 1);
  if (const auto* c = n.as<Convolution>()) {  // [O, I, k]
    t.output_scale_shape[0] = w[0];
    t.input_scale_shape[1] = w[1];
    t.pads_with_zero = has_padding(*c);
  } else if (const auto* g = n.as<GroupConvolution>()) {  // [G, O/G, I/G, k]
    t.output_scale_shape[0] = w[0], t.output_scale_shape[1] = w[1];
    t.input_scale_shape[0] = w[0], t.input_scale_shape[2] = w[2];
    t.pads_with_zero = has_padding(*g);
  } else if (n.is<ConvolutionBackpropData>()) {  // [I, O, k]
    t.output_scale_shape[1] = w[1];
    t.input_scale_shape[0] = w[0];
    t.pads_with_zero = true;
  } else if (n.is<GroupConvolutionBackpropData>()) {  // [G, I/G, O/G, k]
    t.output_scale_shape[0] = w[0], t.output_scale_shape[2] = w[2];
    t.input_scale_shape[0] = w[0], t.input_scale_shape[1] = w[1];
    t.pads_with_zero = true;
  } else if (const auto* mm = n.as<MatMul>()) {  // [..., K, N]
    if (w.size() < 2 || n.input(0).shape().rank() < 2) return std::nullopt;
    if (!is_parameter_like(n.input(1))) return std::nullopt;
    const size_t k = w.size() - (mm->transpose_b ? 1 : 2), columns = w.size() - (mm->transpose_b ? 2 : 1);
    t.output_scale_shape[columns] = w[columns];
    t.input_scale_shape[k] = w[k];
    t.output_axis = n.output(0).shape().rank() - 1;
    t.input_axis = n.input(0).shape().rank() - (mm->transpose_a ? 2 : 1);
  } else {
    return std::nullopt;
  }
  return t;
}

Value scaled_weights(Builder& b, Value w, Value scale, const Shape& axis_shape) {
  const Node n = w.node();
  const Value s = shaped(b, scale, axis_shape);
  if (const auto* fq = n.as<FakeQuantize>()) {
    // Only the range of the result grows; which integer each weight becomes stays as it was.
    return b(FakeQuantize(*fq), n.input(0), n.input(1), n.input(2), b(Multiply{}, n.input(3), s),
             b(Multiply{}, n.input(4), s));
  }
  if (n.is<Multiply>()) {
    for (size_t i = 0; i < 2; ++i) {
      const Value factor = n.input(i), other = n.input(1 - i);
      // The scale of compressed weights: integers, converted, times a small constant.
      if (!other.node().is<Convert>() && !other.node().is<Subtract>()) continue;
      if (!is_parameter_like(factor) || !factor.shape().is_static() ||
          element_count(factor.shape().to_shape()) > element_count(w.shape().to_shape()) / 2) {
        continue;
      }
      return b(Multiply{}, other, b(Multiply{}, factor, s));
    }
  }
  if (const auto* dq = n.as<Dequantize>()) {
    const Value q_scale = n.input(1);
    const auto axis = static_cast<size_t>(std::max<int64_t>(dq->axis, 0));
    const bool one = element_count(s.shape().to_shape()) == 1;
    const bool per_axis = axis < axis_shape.size() && axis_shape[axis] == element_count(axis_shape);
    if (q_scale.shape().is_static() && (one || (per_axis && dq->axis >= 0))) {
      const Value flat = b(Reshape{}, s, one ? b.ints({}) : b.ints({axis_shape[axis]}));
      return b(Dequantize(*dq), Values{n.input(0), b(Multiply{}, q_scale, flat), n.input(2)});
    }
  }
  return b(Multiply{}, w, s);
}

Value scale_output_channels(Builder& b, Node n, const ChannelTraits& t, Value scale) {
  return with_inputs(b, n, t.weights_input, scaled_weights(b, n.input(t.weights_input), scale, t.output_scale_shape));
}

Value scale_input_channels(Builder& b, Node n, const ChannelTraits& t, Value x, Value scale) {
  // Input channels do not move through FakeQuantize of weights that are quantized by output channel.
  const Value w = n.input(t.weights_input);
  return with_inputs(b, n, t.weights_input, b(Multiply{}, w, shaped(b, scale, t.input_scale_shape)), x);
}

}  // namespace hone
