#include "tasks/linear_probe.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/pooling.hpp"
#include "ops/random.hpp"
#include "ops/reduce.hpp"
#include "passes/batch.hpp"
#include "train/evaluate_classifier.hpp"

namespace hone {
namespace {

constexpr int64_t batch = 50;           // pictures that features are computed of at a time
constexpr double work_limit = 4e7;      // samples * features * classes, for seconds rather than minutes
constexpr size_t fewest_samples = 200;  // that are looked at whatever the work
constexpr size_t most_samples = 2000;   // or these many of each class: features of more cost as much as an epoch
constexpr size_t most_of_class = 20;

// Rows of features with mean 0 and mean variance 1, and what that took.
struct Scaled {
  std::vector<float> x, mean;
  double deviation = 1;
};

Scaled scaled(std::span<const float> features, size_t n, size_t width, bool center) {
  Scaled s;
  std::vector<double> mean(width, 0.0);
  for (size_t i = 0; i < n && center; ++i) {
    for (size_t f = 0; f < width; ++f) mean[f] += static_cast<double>(features[i * width + f]) / static_cast<double>(n);
  }
  double squares = 0;
  for (size_t i = 0; i < n * width; ++i) {
    const double d = static_cast<double>(features[i]) - mean[i % width];
    squares += d * d;
  }
  const double deviation = std::sqrt(squares / static_cast<double>(n * width));
  s.deviation = deviation > 0 && std::isfinite(deviation) ? deviation : 1;
  s.x.resize(n * width);
  for (size_t i = 0; i < n * width; ++i)
    s.x[i] = static_cast<float>((static_cast<double>(features[i]) - mean[i % width]) / s.deviation);
  s.mean.assign(mean.begin(), mean.end());
  return s;
}

// The largest eigenvalue of x' * x / n by powers, from a start of ones; a little more than it, since powers come from
// below.
double curvature(const std::vector<float>& x, size_t n, size_t width) {
  std::vector<double> v(width, 1.0), next(width);
  double largest = 0;
  for (int round = 0; round < 20; ++round) {
    double norm = 0;
    for (double a : v) norm += a * a;
    norm = std::sqrt(norm);
    if (!(norm > 0)) break;
    std::fill(next.begin(), next.end(), 0.0);
    for (size_t i = 0; i < n; ++i) {
      const float* row = x.data() + i * width;
      double dot = 0;
      for (size_t f = 0; f < width; ++f) dot += static_cast<double>(row[f]) * v[f] / norm;
      for (size_t f = 0; f < width; ++f) next[f] += dot / static_cast<double>(n) * static_cast<double>(row[f]);
    }
    largest = 0;
    for (double a : next) largest += a * a;
    largest = std::sqrt(largest);
    v = next;
  }
  return 1.2 * largest;
}

// Sums in eight lanes, so that the compiler needs no leave to change their order.
float dot(const float* a, const float* b, size_t n) {
  float lanes[8] = {};
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (size_t k = 0; k < 8; ++k) lanes[k] += a[i + k] * b[i + k];
  }
  for (; i < n; ++i) lanes[0] += a[i] * b[i];
  float sum = 0;
  for (float l : lanes) sum += l;
  return sum;
}

// What the layer reads: one row of features a picture, or a picture of features of which a window of 1 x 1 makes scores
// at each place, to be averaged: the average of the features gives the same. Null where it is neither.
Value features_of(const Graph& g, const ClassifierHead& head) {
  const Node n = g.handle(head.layer);
  const Value x = n.input(0);
  if (!x.shape().rank_known() || !x.type().is_tensor()) return {};
  if (const auto* m = n.as<MatMul>()) return x.shape().rank() == 2 && !m->transpose_a ? x : Value();
  const PartialShape& w = n.input(1).shape();
  if (n.is<Convolution>() && x.shape().rank() == 4 && w[2] == Dimension(1) && w[3] == Dimension(1)) return x;
  return {};
}

struct Linear {
  Node weights, bias;      // Constants; no bias: null
  bool rectified = false;  // scores below 0 are lost behind it
};

// The constants to write, where between the layer and the scores stand a bias and what changes no number or no order.
std::optional<Linear> linear_head(const Graph& g, const ClassifierHead& head) {
  const Node layer = g.handle(head.layer);
  const Value w = layer.input(1);
  if (!w || !w.node().is<Constant>() || w.node().id != head.constants[0]) return std::nullopt;
  Linear out{w.node(), Node()};
  Value v = layer.output();
  for (;;) {
    std::vector<Use> uses = v.uses();
    std::erase_if(uses, [&](const Use& u) { return g.handle(u.node).is<ShapeOf>(); });
    if (uses.size() != 1) return std::nullopt;
    const Use use = uses[0];
    const Node n = g.handle(use.node);
    if (n.is<Result>() || n.is<Softmax>() || n.is<LogSoftmax>()) return out;
    if (n.is<Add>() && !out.bias && n.input(1 - use.index).node().is<Constant>()) {
      out.bias = n.input(1 - use.index).node();
      if (head.constants.size() != 2 || out.bias.id != head.constants[1]) return std::nullopt;
    } else if (n.is<Relu>() && out.bias && n.input(0).shape().rank() == 4) {
      out.rectified = true;  // as SqueezeNet has it
    } else if (!(n.is<Reshape>() || n.is<Squeeze>() || n.is<Unsqueeze>() || n.is<Transpose>() || n.is<Convert>() ||
                 n.is<ReduceMean>() || n.is<AvgPool>() || n.is<AdaptiveAvgPool>() || n.is<Dropout>())) {
      return std::nullopt;
    }
    v = n.output();
  }
}

}  // namespace

LinearProbe fit_probe(std::span<const float> features, std::span<const int64_t> labels, size_t width, size_t classes,
                      const LinearProbeOptions& o) {
  const size_t n = labels.size();
  LinearProbe p{std::vector<float>(classes * width, 0.0f), std::vector<float>(classes, 0.0f)};
  if (n == 0 || width == 0) return p;
  const Scaled s = scaled(features, n, width, o.intercept);
  // Half the eigenvalue bounds the curvature of the softmax (Bohning 1992); the intercept is one more feature, of 1.
  const double step = 1 / (0.5 * (curvature(s.x, n, width) + (o.intercept ? 1 : 0)) + o.weight_decay);
  std::vector<float> w = p.weights, b = p.bias, last_w = w, last_b = b, gradient(w.size()), bias_gradient(classes),
                     scores(classes);
  const auto on = static_cast<float>(1 - o.label_smoothing),
             all = static_cast<float>(o.label_smoothing / double(classes));
  double momentum = 1;
  for (int round = 0; round < o.iterations; ++round) {
    std::fill(gradient.begin(), gradient.end(), 0.0f);
    std::fill(bias_gradient.begin(), bias_gradient.end(), 0.0f);
    for (size_t i = 0; i < n; ++i) {
      const float* x = s.x.data() + i * width;
      for (size_t c = 0; c < classes; ++c) scores[c] = b[c] + dot(x, w.data() + c * width, width);
      const float largest = *std::max_element(scores.begin(), scores.end());
      float sum = 0;
      for (float& v : scores) sum += v = std::exp(v - largest);
      for (size_t c = 0; c < classes; ++c) {
        const float target = all + (labels[i] == static_cast<int64_t>(c) ? on : 0.0f);
        const float d = (scores[c] / sum - target) / static_cast<float>(n);
        float* to = gradient.data() + c * width;
        for (size_t f = 0; f < width; ++f) to[f] += d * x[f];
        bias_gradient[c] += d;
      }
    }
    const double next = (1 + std::sqrt(1 + 4 * momentum * momentum)) / 2;
    const auto beta = static_cast<float>((momentum - 1) / next), rate = static_cast<float>(step),
               decay = static_cast<float>(o.weight_decay);
    momentum = next;
    for (size_t k = 0; k < w.size(); ++k) {
      const float now = w[k] - rate * (gradient[k] + decay * w[k]);
      w[k] = now + beta * (now - last_w[k]);
      last_w[k] = now;
    }
    for (size_t c = 0; c < classes && o.intercept; ++c) {
      const float now = b[c] - rate * bias_gradient[c];
      b[c] = now + beta * (now - last_b[c]);
      last_b[c] = now;
    }
  }
  for (size_t c = 0; c < classes; ++c) {
    double bias = static_cast<double>(last_b[c]);
    for (size_t f = 0; f < width; ++f) {
      const double v = static_cast<double>(last_w[c * width + f]) / s.deviation;
      p.weights[c * width + f] = static_cast<float>(v);
      bias -= v * static_cast<double>(s.mean[f]);
    }
    p.bias[c] = static_cast<float>(bias);
  }
  return p;
}

bool probe_head(Graph& model, const ClassifierHead& head, const data::Dataset& data,
                const std::vector<uint32_t>& samples, const data::Preprocessing& preprocessing,
                const CompileOptions& options, const LinearProbeOptions& probe,
                const std::function<bool(size_t, size_t)>& progress) {
  const auto linear = linear_head(model, head);
  const Value x = features_of(model, head);
  if (!linear || !x || samples.empty()) return false;
  const auto width = static_cast<size_t>(head.features), classes = static_cast<size_t>(head.classes);

  Graph g = model;
  {
    Builder b(g);
    Value row = b(Convert{ElementType::f32}, g.value_handle(x.id));
    if (x.shape().rank() == 4) row = b(ReduceMean{}, row, b.ints({2, 3}));
    g.set_input(g.results()[0], 0, row.id);
    for (size_t i = g.results().size(); i-- > 1;) g.remove(g.results()[i]);
    g.remove_dead();
  }
  try {
    Graph wide = g;
    reshape_with_batch(wide, {{wide.inputs()[0].id, PartialShape(preprocessing.batch_shape(batch))}});
    if (wide.outputs()[0].shape()[0] == Dimension(batch)) g = std::move(wide);
  } catch (const Error&) {
    // It takes its own batch only.
  }
  const auto affordable =
      std::max(fewest_samples, static_cast<size_t>(work_limit / static_cast<double>(width * classes)));
  const size_t count = std::min({samples.size(), affordable, std::max(most_samples, most_of_class * classes)});
  std::vector<uint32_t> chosen;
  for (size_t i = 0; i < count; ++i) chosen.push_back(samples[i * samples.size() / count]);
  std::vector<float> features;
  std::vector<int64_t> labels;
  score_samples(
      g, data, chosen, preprocessing, options, batch,
      [&](uint32_t, int64_t label, std::span<const float> row) {
        features.insert(features.end(), row.begin(), row.end());
        labels.push_back(label);
      },
      progress);
  LinearProbeOptions o = probe;
  o.intercept = bool(linear->bias);
  LinearProbe p = fit_probe(features, labels, width, classes, o);
  if (linear->rectified) {  // scores that all grow alike mean the same
    float least = 0;
    for (size_t i = 0; i < labels.size(); ++i) {
      for (size_t c = 0; c < classes; ++c)
        least = std::min(least, p.bias[c] + dot(features.data() + i * width, p.weights.data() + c * width, width));
    }
    for (float& v : p.bias) v -= least;
  }
  if (!std::all_of(p.weights.begin(), p.weights.end(), [](float v) { return std::isfinite(v); })) return false;

  const Tensor old = linear->weights.output().constant();
  const auto* product = model.handle(head.layer).as<MatMul>();
  const bool by_feature = product && !product->transpose_b;  // [features, classes]
  Tensor w(ElementType::f32, old.shape());
  for (size_t c = 0; c < classes; ++c) {
    for (size_t f = 0; f < width; ++f)
      w.data<float>()[by_feature ? f * classes + c : c * width + f] = p.weights[c * width + f];
  }
  model.set(linear->weights.id, Constant{w.converted(old.element_type())});
  if (linear->bias) {
    const Tensor old_bias = linear->bias.output().constant();
    Tensor bias(ElementType::f32, old_bias.shape());
    std::copy(p.bias.begin(), p.bias.end(), bias.data<float>());
    model.set(linear->bias.id, Constant{bias.converted(old_bias.element_type())});
  }
  return true;
}

}  // namespace hone
