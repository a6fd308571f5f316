// Normalization and losses.
#include "formats/onnx/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

// [C] -> [C, 1...] for data of rank `rank`.
Value per_channel(NodeContext& n, Value v, size_t rank) {
  std::vector<int64_t> axes;
  for (size_t k = 2; k < rank; ++k) axes.push_back(static_cast<int64_t>(k) - 1);
  return axes.empty() ? v : n.unsqueeze(v, axes);
}

Values batch_norm(NodeContext& n) {
  const Value x = n.in(0);
  const double epsilon = n.f("epsilon", 1e-5);
  const bool training =
      n.version >= 14 ? n.i("training_mode", 0) != 0 : n.version < 7 && n.i("is_test", 0) == 0 && n.wants(1);
  if (!training) return {n.all(BatchNormInference{epsilon}, {x, n.in(1), n.in(2), n.in(3), n.in(4)})[0]};
  // Statistics of the batch over all axes but the channels; the running ones move by `momentum`. ONNX keeps the biased
  // variance.
  const size_t rank = n.rank(x);
  std::vector<int64_t> over{0};
  for (size_t k = 2; k < rank; ++k) over.push_back(static_cast<int64_t>(k));
  const Value axes = n.ints_constant(over);
  const Value mean = n(ReduceMean{false}, x, axes);
  const Value centred = n(Subtract{}, x, per_channel(n, mean, rank));
  const Value variance = n(ReduceMean{false}, n(Multiply{}, centred, centred), axes);
  const Value inverse = n(Divide{}, n.like(variance, 1), n(Sqrt{}, n(Add{}, variance, n.like(variance, epsilon))));
  const Value y =
      n(Add{}, n(Multiply{}, n(Multiply{}, centred, per_channel(n, inverse, rank)), per_channel(n, n.in(1), rank)),
        per_channel(n, n.in(2), rank));
  const double momentum = n.f("momentum", 0.9);
  auto running = [&](Value old, Value now) {
    return n(Add{}, n(Multiply{}, old, n.like(old, momentum)),
             n(Multiply{}, n.cast(now, old.element_type()), n.like(old, 1 - momentum)));
  };
  return {y, running(n.in(3), mean), running(n.in(4), variance)};
}

Values instance_norm(NodeContext& n) {
  const Value x = n.in(0);
  const size_t rank = n.rank(x);
  std::vector<int64_t> over;
  for (size_t k = 2; k < rank; ++k) over.push_back(static_cast<int64_t>(k));
  const Value y = n(MVN{n.f("epsilon", 1e-5), true, EpsMode::inside_sqrt}, x, n.ints_constant(over));
  return {n(Add{}, n(Multiply{}, y, per_channel(n, n.in(1), rank)), per_channel(n, n.in(2), rank))};
}

Values layer_norm(NodeContext& n) {
  const Value x = n.in(0);
  const int64_t axis = n.axis(n.i("axis", -1), x);
  const double epsilon = n.f("epsilon", 1e-5);
  Values out{n.has(2) ? n(LayerNorm{epsilon, axis}, x, n.in(1), n.in(2)) : n(LayerNorm{epsilon, axis}, x, n.in(1))};
  if (n.wants(1) || n.wants(2)) {
    std::vector<int64_t> over;
    for (auto k = axis; k < static_cast<int64_t>(n.rank(x)); ++k) over.push_back(k);
    const ElementType stash = element_type_of_onnx(n.i("stash_type", 1));
    const Value wide = n.cast(x, stash), axes = n.ints_constant(over);
    const Value mean = n(ReduceMean{true}, wide, axes), centred = n(Subtract{}, wide, mean);
    const Value variance = n(ReduceMean{true}, n(Multiply{}, centred, centred), axes);
    out.push_back(mean);
    out.push_back(n(Divide{}, n.like(variance, 1), n(Sqrt{}, n(Add{}, variance, n.like(variance, epsilon)))));
  }
  return out;
}

Values rms_norm(NodeContext& n) {
  const Value x = n.in(0);
  return {n(RMSNorm{n.f("epsilon", 1e-5), n.axis(n.i("axis", -1), x)}, x, n.in(1))};
}

// Scale and bias are per channel from operator set 21 on, per group before.
Values group_norm(NodeContext& n) {
  const Value x = n.in(0);
  const int64_t groups = n.i("num_groups");
  Value scale = n.in(1), bias = n.in(2);
  if (n.version < 21) {
    if (n.rank(x) < 2 || x.shape()[1].is_dynamic()) n.refuse("needs to know the number of channels");
    const int64_t channels = x.shape()[1].get_length();
    if (groups < 1 || channels % groups != 0) n.fail("num_groups does not divide the channels");
    auto spread = [&](Value v) {
      return n.reshape(
          n(Broadcast{BroadcastMode::bidirectional}, n.unsqueeze(v, {1}), n.ints_constant({groups, channels / groups})),
          {channels});
    };
    scale = spread(scale);
    bias = spread(bias);
  }
  return {n(GroupNormalization{groups, n.f("epsilon", 1e-5)}, x, scale, bias)};
}

Values lrn(NodeContext& n) {
  return {n(LRN{n.f("alpha", 1e-4), n.f("beta", 0.75), n.f("bias", 1.0), n.i("size")}, n.in(0), n.ints_constant({1}))};
}

// x / ||x||; where the norm is zero the result is zero.
Values lp_normalization(NodeContext& n) {
  const Value x = n.in(0), axis = n.ints_constant({n.i("axis", -1)});
  const int64_t p = n.i("p", 2);
  if (p != 1 && p != 2) n.fail("p must be 1 or 2");
  const Value norm = p == 1 ? n(ReduceL1{true}, x, axis) : n(ReduceL2{true}, x, axis);
  const Value zero = n(Equal{}, norm, n.like(norm, 0));
  return {n(Divide{}, x, n(Select{}, zero, n.like(norm, 1), norm))};
}

Values mean_variance(NodeContext& n) {
  const Value x = n.in(0);
  std::vector<int64_t> over = n.ints("axes", {0, 2, 3});
  if (n.version < 9) {  // experimental then, with attributes of its own
    over.clear();
    for (auto k = n.i("across_channels", 0) ? 1 : 2; k < static_cast<int64_t>(n.rank(x)); ++k) over.push_back(k);
  }
  const Value axes = n.ints_constant(over);
  if (n.version < 9 && n.i("normalize_variance", 1) == 0) return {n(Subtract{}, x, n(ReduceMean{true}, x, axes))};
  // As the operator's function body says: (x - E[x]) / (sqrt(E[x^2] - E[x]^2) + 1e-9).
  const Value mean = n(ReduceMean{true}, x, axes), square = n(ReduceMean{true}, n(Multiply{}, x, x), axes);
  const Value deviation = n(Sqrt{}, n(Subtract{}, square, n(Multiply{}, mean, mean)));
  return {n(Divide{}, n(Subtract{}, x, mean), n(Add{}, deviation, n.like(x, 1e-9)))};
}

// -w[target] * x[n, target, ...], its mean weighted; `x` holds log-probabilities with classes on axis 1.
Value nll(NodeContext& n, Value x, Value target, Value weights) {
  const Value labels = n.cast(target, ElementType::i64);
  const bool ignores = n.has_attribute("ignore_index");
  Value kept, safe = labels;
  if (ignores) {
    kept = n(NotEqual{}, labels, n.int_constant(n.i("ignore_index")));
    safe = n(Select{}, kept, labels, n.int_constant(0));
  }
  Value picked = n(Negative{}, n.squeeze(n(GatherElements{1}, x, n.unsqueeze(safe, {1})), {1}));
  Value w;
  if (weights) w = n.gather(weights, safe, 0);
  if (ignores) {
    const Value mask = n.cast(kept, x.element_type());
    w = w ? n(Multiply{}, w, mask) : mask;
  }
  if (w) picked = n(Multiply{}, picked, w);
  const std::string reduction = n.s("reduction", "mean");
  if (reduction == "none") return picked;
  std::vector<int64_t> all;
  for (size_t k = 0; k < n.rank(picked); ++k) all.push_back(static_cast<int64_t>(k));
  const Value axes = n.ints_constant(all);
  if (reduction == "sum") return n(ReduceSum{}, picked, axes);
  if (reduction != "mean") n.fail("unknown reduction '" + reduction + "'");
  if (!w) return n(ReduceMean{}, picked, axes);
  return n(Divide{}, n(ReduceSum{}, picked, axes), n(ReduceSum{}, w, axes));
}

Values negative_log_likelihood(NodeContext& n) {
  return {nll(n, n.in(0), n.in(1), n.opt(2))};
}
Values softmax_cross_entropy(NodeContext& n) {
  const Value log_probabilities = n(LogSoftmax{1}, n.in(0));
  return {nll(n, log_probabilities, n.in(1), n.opt(2)), log_probabilities};
}

constexpr OperatorRow rows[] = {
    {"BatchNormalization", 1, batch_norm},
    {"GroupNormalization", 18, group_norm},
    {"InstanceNormalization", 1, instance_norm},
    {"LRN", 1, lrn},
    {"LayerNormalization", 17, layer_norm},
    {"LpNormalization", 1, lp_normalization},
    {"MeanVarianceNormalization", 1, mean_variance},
    {"NegativeLogLikelihoodLoss", 12, negative_log_likelihood},
    {"RMSNormalization", 23, rms_norm},
    {"SimplifiedLayerNormalization", 1, rms_norm},  // ONNX Runtime's own; its optimizer writes it without a domain
    {"SoftmaxCrossEntropyLoss", 12, softmax_cross_entropy},
};

}  // namespace

std::span<const OperatorRow> normalization_rows() {
  return rows;
}

}  // namespace hone::onnx
