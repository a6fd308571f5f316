#include "passes/quantizers.hpp"

#include <algorithm>
#include <cmath>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/evaluate.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "passes/facts.hpp"
#include "passes/scale_channels.hpp"

namespace hone {
namespace {

bool close(double a, double b, double scale) {
  return std::fabs(a - b) <= 1e-4 * scale;
}

// Index of the output channel that element `i` of the weights belongs to.
class Channels {
 public:
  Channels(const Shape& weights, const Shape& scale_shape) : weights_(weights), scale_shape_(scale_shape) {}
  int64_t count() const { return element_count(scale_shape_); }
  size_t operator()(size_t i) const {
    size_t channel = 0, stride = 1, rest = i;
    for (size_t k = weights_.size(); k-- > 0;) {
      const size_t at = rest % static_cast<size_t>(weights_[k]);
      rest /= static_cast<size_t>(weights_[k]);
      if (scale_shape_[k] == 1) continue;
      channel += at * stride;
      stride *= static_cast<size_t>(scale_shape_[k]);
    }
    return channel;
  }

 private:
  Shape weights_, scale_shape_;
};

// `t` as one number per output channel; nullopt where it varies along other axes.
std::optional<std::vector<double>> per_channel(const Tensor& t, const Shape& weights, const Shape& scale_shape) {
  const Channels channels(weights, scale_shape);
  const auto n = static_cast<size_t>(channels.count());
  if (t.size() == 1) return std::vector<double>(n, get_element(t, 0));
  Shape shape = t.shape();
  if (shape.size() > weights.size()) return std::nullopt;
  shape.insert(shape.begin(), weights.size() - shape.size(), 1);
  for (size_t k = 0; k < shape.size(); ++k) {
    if (shape[k] != 1 && (scale_shape[k] == 1 || shape[k] != weights[k])) return std::nullopt;
  }
  std::vector<double> out(n);
  // Walks the channels: the axes of the scale shape in order.
  for (size_t c = 0; c < n; ++c) {
    size_t rest = c, at = 0, stride = 1;
    for (size_t k = shape.size(); k-- > 0;) {
      const size_t i = rest % static_cast<size_t>(scale_shape[k]);
      rest /= static_cast<size_t>(scale_shape[k]);
      if (shape[k] != 1) at += i * stride;
      stride *= static_cast<size_t>(shape[k]);
    }
    out[c] = get_element(t, at);
  }
  return out;
}

int64_t channel_axis(const Shape& scale_shape) {
  for (size_t k = 0; k < scale_shape.size(); ++k) {
    if (scale_shape[k] != 1) return static_cast<int64_t>(k);
  }
  return 0;
}

Tensor constant_of(Value v) {
  return v ? v.constant() : Tensor();
}

std::optional<IntegerWeights> from_fake_quantize(Node fq, const Shape& scale_shape, Evaluator& evaluator) {
  const auto levels = fq.as<FakeQuantize>()->levels;
  const Tensor w = constant_of(fq.input(0));
  if (!w || levels < 2 || levels > 256) return std::nullopt;
  std::vector<double> ends[2];
  for (size_t i = 0; i < 2; ++i) {
    const Tensor t = constant_of(fq.input(3 + i));
    const auto values = t ? per_channel(t, w.shape(), scale_shape) : std::nullopt;
    if (!values) return std::nullopt;
    ends[i] = *values;
  }
  auto q = std::make_shared<Quantization>();
  for (size_t c = 0; c < ends[0].size(); ++c) {
    const double step = (ends[1][c] - ends[0][c]) / static_cast<double>(levels - 1);
    if (step == 0 || !std::isfinite(step)) return std::nullopt;
    const double lowest = ends[0][c] / step;
    if (!close(lowest, std::nearbyint(lowest), std::max(1.0, std::fabs(lowest)))) return std::nullopt;
    if (lowest < -128.5 || lowest + static_cast<double>(levels - 1) > 127.5) return std::nullopt;
    q->scales.push_back(static_cast<float>(step));
  }
  q->axis = q->scales.size() == 1 ? -1 : channel_axis(scale_shape);
  const auto real = evaluator.run(
      *fq.graph, fq.id,
      {w, constant_of(fq.input(1)), constant_of(fq.input(2)), constant_of(fq.input(3)), constant_of(fq.input(4))});
  return IntegerWeights{quantize(real[0].tensor().converted(ElementType::f32), *q, ElementType::i8), q};
}

// Stored integers, one zero point for all, and scales that broadcast against them, as weights.
std::optional<IntegerWeights> from_integers(Tensor integers, const Tensor& spread, const Tensor& zero,
                                            const Shape& scale_shape) {
  // Unsigned weights around 128 are signed ones around 0.
  const bool shifted = integers.element_type() == ElementType::u8;
  if (!shifted && integers.element_type() != ElementType::i8) return std::nullopt;
  if (shifted && !zero) return std::nullopt;
  for (size_t i = 0; zero && i < zero.size(); ++i) {
    if (get_element(zero, i) != (shifted ? 128 : 0)) return std::nullopt;
  }
  if (shifted) {
    Tensor i8(ElementType::i8, integers.shape());
    for (size_t i = 0; i < i8.size(); ++i) set_integer(i8, i, get_integer(integers, i) - 128);
    integers = i8;
  }
  const auto values = per_channel(spread, integers.shape(), scale_shape);
  if (!values) return std::nullopt;
  auto quantization = std::make_shared<Quantization>();
  for (double v : *values) quantization->scales.push_back(static_cast<float>(v));
  quantization->axis = quantization->scales.size() == 1 ? -1 : channel_axis(scale_shape);
  return IntegerWeights{integers, quantization};
}

std::optional<IntegerWeights> from_dequantize(Node dq, const Shape& scale_shape, Evaluator& evaluator) {
  Tensor integers = constant_of(dq.input(0));
  const Node q = dq.input(0).node();
  if (!integers && q.is<Quantize>() && constant_of(q.input(0))) {
    std::vector<Datum> in;
    for (const Value& v : q.inputs()) in.push_back(v ? Datum(constant_of(v)) : Datum());
    integers = evaluator.run(*q.graph, q.id, std::move(in))[0].tensor();
  }
  const Tensor scale = constant_of(dq.input(1));
  if (!integers || !scale) return std::nullopt;
  // A vector of scales counts along the operator's axis.
  Tensor spread = scale;
  const auto rank = static_cast<int64_t>(integers.rank());
  if (scale.rank() == 1 && scale.size() > 1) {
    Shape shape(integers.rank(), 1);
    const int64_t axis = dq.as<Dequantize>()->axis;
    shape[static_cast<size_t>(axis < 0 ? axis + rank : axis)] = static_cast<int64_t>(scale.size());
    spread = scale.reshaped(shape);
  }
  return from_integers(integers, spread, constant_of(dq.input(2)), scale_shape);
}

// The spelling of OpenVINO's files: Convert(integers) [- zero point] * scale, perhaps with a Convert from half floats
// behind it.
std::optional<IntegerWeights> from_decompression(Node last, const Shape& scale_shape) {
  if (last.is<Convert>()) last = last.input(0).node();
  if (!last.is<Multiply>()) return std::nullopt;
  const size_t at = constant_of(last.input(1)) ? 0 : 1;
  Node x = last.input(at).node();
  const Tensor scale = constant_of(last.input(1 - at));
  Tensor zero;
  if (x.is<Subtract>()) {
    const Value z = x.input(1);
    zero = z.node().is<Convert>() ? constant_of(z.node().input(0)) : constant_of(z);
    if (!zero) return std::nullopt;
    x = x.input(0).node();
  }
  if (!scale || !x.is<Convert>()) return std::nullopt;
  const Tensor integers = constant_of(x.input(0));
  return integers ? from_integers(integers, scale, zero, scale_shape) : std::nullopt;
}

// Weights as the quantizer in front of them has them.
std::optional<IntegerWeights> quantized_weights(Node last, const Shape& scale_shape, Evaluator& evaluator) {
  if (last.is<FakeQuantize>()) return from_fake_quantize(last, scale_shape, evaluator);
  if (last.is<Dequantize>()) return from_dequantize(last, scale_shape, evaluator);
  return last.is<Multiply>() || last.is<Convert>() ? from_decompression(last, scale_shape) : std::nullopt;
}

// The shape in which the scales of a quantizer broadcast against its weights.
std::optional<Shape> own_scale_shape(Node last) {
  if (!last.output().shape().is_static()) return std::nullopt;
  const size_t rank = last.output().shape().rank();
  Value scale;
  if (last.is<FakeQuantize>()) {
    scale = last.input(4);
  } else if (last.is<Dequantize>()) {
    scale = last.input(1);
  } else {
    if (last.is<Convert>()) last = last.input(0).node();
    if (last.is<Multiply>()) scale = last.input(constant_of(last.input(1)) ? 1 : 0);
  }
  const Tensor t = constant_of(scale);
  if (!t || t.rank() > rank) return std::nullopt;
  Shape shape = t.shape();
  if (last.is<Dequantize>() && shape.size() == 1 && shape[0] > 1) {
    const int64_t axis = last.as<Dequantize>()->axis;
    Shape along(rank, 1);
    along[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis)] = shape[0];
    return along;
  }
  shape.insert(shape.begin(), rank - shape.size(), 1);
  return shape;
}

// Weights that are moved behind their quantizer, as taps of a volume become channels and those of a transposed
// convolution blocks. The scales move along; those of one output channel must still be equal. Padding has none.
std::optional<IntegerWeights> moved_weights(Node last, const Shape& scale_shape, Evaluator& evaluator) {
  std::vector<Node> moves;
  for (; last.is<Reshape>() || last.is<Transpose>() || last.is<Slice>() || last.is<Pad>();
       last = last.input(0).node()) {
    if (last.is<Pad>() && last.input(3) && splat_value(last.input(3)) != 0.0) return std::nullopt;
    moves.push_back(last);
  }
  const auto own = own_scale_shape(last);
  const auto weights = own ? quantized_weights(last, *own, evaluator) : std::nullopt;
  if (!weights) return std::nullopt;
  Tensor integers = weights->value.converted(ElementType::f32), scales(ElementType::f32, integers.shape());
  const Channels before(integers.shape(), *own);
  for (size_t i = 0; i < scales.size(); ++i) scales.data<float>()[i] = weights->quantization->scales[before(i)];
  for (auto it = moves.rbegin(); it != moves.rend(); ++it) {
    for (Tensor* t : {&integers, &scales}) {
      std::vector<Datum> in{*t};
      for (size_t i = 1; i < it->num_inputs(); ++i) {
        const Value v = it->input(i);
        if (v && !constant_of(v)) return std::nullopt;
        in.push_back(v ? Datum(constant_of(v)) : Datum());
      }
      *t = evaluator.run(*it->graph, it->id, std::move(in))[0].tensor();
    }
  }
  const Channels channels(integers.shape(), scale_shape);
  auto q = std::make_shared<Quantization>();
  q->scales.assign(static_cast<size_t>(channels.count()), 0);
  for (size_t i = 0; i < scales.size(); ++i) {
    float& scale = q->scales[channels(i)];
    const float here = scales.data<float>()[i];
    if (here != 0 && scale != 0 && scale != here) return std::nullopt;
    if (here != 0) scale = here;
  }
  for (float& scale : q->scales) scale = scale == 0 ? 1 : scale;  // nothing but padding
  q->axis = q->scales.size() == 1 ? -1 : channel_axis(scale_shape);
  return IntegerWeights{integers.converted(ElementType::i8), q};
}

}  // namespace

std::optional<IntegerForm> activation_form(Node fq) {
  const auto* a = fq.as<FakeQuantize>();
  if (!a || (a->levels != 256 && a->levels != 255)) return std::nullopt;
  double ends[4];
  for (size_t i = 0; i < 4; ++i) {
    const auto v = splat_value(fq.input(i + 1));
    if (!v) return std::nullopt;
    ends[i] = *v;
  }
  const double range = ends[1] - ends[0];
  if (!(range > 0) || !close(ends[0], ends[2], range) || !close(ends[1], ends[3], range)) return std::nullopt;
  const double step = range / static_cast<double>(a->levels - 1), zero = -ends[0] / step, whole = std::nearbyint(zero);
  // A zero point between two integers would shift every number.
  if (std::fabs(zero - whole) > 1e-2 || whole < 0 || whole > 255) return std::nullopt;
  auto q = std::make_shared<Quantization>();
  q->scales = {static_cast<float>(step)};
  if (whole != 0) q->zero_points = {static_cast<int32_t>(whole)};
  return IntegerForm{ElementType::u8, q, 0, a->levels - 1};
}

std::optional<IntegerWeights> integer_weights(Node dense, Evaluator& evaluator) {
  const Node w = dense.input(1) ? dense.input(1).node() : Node{};
  const bool moved = w && (w.is<Reshape>() || w.is<Transpose>());
  if (!w || (!moved && !w.is<FakeQuantize>() && !w.is<Dequantize>() && !w.is<Multiply>() && !w.is<Convert>()))
    return std::nullopt;
  const auto traits = channel_traits(dense);
  if (!traits) return std::nullopt;
  return moved ? moved_weights(w, traits->output_scale_shape, evaluator)
               : quantized_weights(w, traits->output_scale_shape, evaluator);
}

size_t join_quantize_dequantize(Graph& g, const std::function<bool(ValueId)>& wanted) {
  size_t joined = 0;
  for (NodeId id : g.topological_order()) {
    const Node dq = g.handle(id);
    if (!dq.is<Dequantize>()) continue;
    const Node q = dq.input(0).node();
    if (!q.is<Quantize>() || dq.input(0).type().quantization || !is_float(q.input(0).element_type())) continue;
    const auto same = [&](size_t i) {
      const auto a = splat_value(dq.input(i)), b = splat_value(q.input(i));
      return a ? a == b : !dq.input(i) && !q.input(i);
    };
    const auto scale = splat_value(q.input(1));
    const auto& a = *q.as<Quantize>();
    if (!scale || !same(1) || !same(2) || (a.output_type != ElementType::u8 && a.output_type != ElementType::i8))
      continue;
    const double zero = splat_value(q.input(2)).value_or(0);
    if (!wanted(dq.output().id)) continue;
    const bool whole = a.low >= a.high;
    const double low = whole ? (a.output_type == ElementType::u8 ? 0 : -128) : static_cast<double>(a.low);
    const double high = whole ? (a.output_type == ElementType::u8 ? 255 : 127) : static_cast<double>(a.high);
    Builder b(g);
    const Value x = q.input(0);
    Value range[2];
    for (size_t i = 0; i < 2; ++i)
      range[i] = b.constant(Tensor::scalar<float>(static_cast<float>(((i ? high : low) - zero) * *scale)));
    Value y = x.element_type() == ElementType::f32 ? x : b(Convert{ElementType::f32}, x);
    y = b(FakeQuantize{static_cast<int64_t>(high - low) + 1}, y, range[0], range[1], range[0], range[1]);
    g.set_name(y.node().id, dq.name());
    if (dq.output().element_type() != ElementType::f32) y = b(Convert{dq.output().element_type()}, y);
    g.replace_uses(dq.output().id, y.id);
    ++joined;
  }
  return joined;
}

namespace {

// Weights that are reshaped behind Dequantize, as readers do for groups, are reshaped as integers.
size_t reshape_before_dequantize(Graph& g) {
  size_t moved = 0;
  for (NodeId id : g.topological_order()) {
    const Node r = g.handle(id);
    if (!r.is<Reshape>()) continue;
    const Node dq = r.input(0).node();
    if (!dq.is<Dequantize>() || !dq.input(0).node().is<Constant>() || !r.output().shape().is_static()) continue;
    const Shape before = dq.input(0).shape().to_shape(), after = r.output().shape().to_shape();
    const bool first = dq.as<Dequantize>()->axis == 0 && !before.empty() && !after.empty() && before[0] == after[0];
    if (!first && !splat_value(dq.input(1))) continue;
    if (!first && dq.input(2) && !splat_value(dq.input(2))) continue;
    Builder b(g);
    b.set_provenance(g.node(id).provenance);
    const Value integers = b(Reshape(*r.as<Reshape>()), dq.input(0), r.input(1));
    const Value y = b(Dequantize(*dq.as<Dequantize>()), Values{integers, dq.input(1), dq.input(2)});
    g.set_name(y.node().id, dq.name());
    g.replace_uses(r.output().id, y.id);
    ++moved;
  }
  return moved;
}

}  // namespace

Pass join_quantizers_pass() {
  Pass pass;
  pass.name = "join_quantizers";
  pass.run = [](Graph& g, PassContext&) {
    const size_t joined = join_quantize_dequantize(g, [](ValueId) { return true; }) + reshape_before_dequantize(g);
    g.remove_dead();  // else their operands would have two readers
    return joined;
  };
  return pass;
}

}  // namespace hone
