#include "ops/loss.hpp"

#include <cmath>

#include "ops/activation.hpp"
#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

bool holds_classes(const Tensor& labels) {
  return !is_float(labels.element_type());
}

void check_labels(const InferCtx& ctx, size_t scores, size_t labels) {
  const PartialShape &s = ctx.shape(scores), &l = ctx.shape(labels);
  ctx.check(!s.rank_known() || s.rank() == 2, "wants scores [N, C], got " + to_string(s));
  const ElementType e = ctx.element(labels);
  if (!l.rank_known() || !s.rank_known() || e == ElementType::dynamic) return;
  if (is_float(e)) {
    ctx.check(l.compatible(s), "probabilities " + to_string(l) + " for scores " + to_string(s));
  } else {
    ctx.check(l.rank() == 1 && l[0].compatible(s[0]), "class numbers " + to_string(l) + " for scores " + to_string(s));
  }
}

// The target distribution of each row, smoothed; rows that are ignored have weight 0.
struct Targets {
  size_t rows, classes;
  std::vector<float> values;   // [rows, classes]
  std::vector<float> weights;  // [rows]
  float total = 0;             // sum of the weights
};
Targets targets_of(const EvalCtx& ctx, const Tensor& scores, const Tensor& labels, double smoothing,
                   int64_t ignore_index) {
  if (scores.rank() != 2) ctx.fail("wants scores [N, C], got " + to_string(scores.shape()));
  Targets t{static_cast<size_t>(scores.shape()[0]), static_cast<size_t>(scores.shape()[1]), {}, {}};
  t.values.assign(t.rows * t.classes, 0);
  t.weights.assign(t.rows, 1);
  const auto keep = static_cast<float>(1 - smoothing),
             spread = static_cast<float>(smoothing / static_cast<double>(t.classes));
  const bool classes = holds_classes(labels);
  if (labels.size() != (classes ? t.rows : t.values.size()))
    ctx.fail("labels " + to_string(labels.shape()) + " for scores " + to_string(scores.shape()));
  for (size_t r = 0; r < t.rows; ++r) {
    float* row = t.values.data() + r * t.classes;
    if (classes) {
      const int64_t label = get_integer(labels, r);
      if (label == ignore_index) {
        t.weights[r] = 0;
        continue;
      }
      if (label < 0 || label >= static_cast<int64_t>(t.classes))
        ctx.fail("label " + std::to_string(label) + " of row " + std::to_string(r) + " is not below " +
                 std::to_string(t.classes));
      for (size_t c = 0; c < t.classes; ++c) row[c] = spread;
      row[label] += keep;
    } else {
      for (size_t c = 0; c < t.classes; ++c)
        row[c] = keep * static_cast<float>(get_element(labels, r * t.classes + c)) + spread;
    }
    t.total += 1;
  }
  return t;
}

Tensor f32(const Tensor& t) {
  return t.converted(ElementType::f32);
}

// Applies a reduction over everything.
Value reduced(Builder& b, Value loss, Reduction reduction) {
  if (reduction == Reduction::none) return loss;
  Value axes;
  if (loss.shape().rank_known()) {
    std::vector<int64_t> all(loss.shape().rank());
    for (size_t k = 0; k < all.size(); ++k) all[k] = static_cast<int64_t>(k);
    axes = b.ints(all);
  } else {
    loss = b(Reshape{}, loss, b.ints({-1}));
    axes = b.ints({0});
  }
  return reduction == Reduction::mean ? b(ReduceMean{}, loss, axes) : b(ReduceSum{}, loss, axes);
}

Type reduced_type(const InferCtx& ctx, const PartialShape& shape, Reduction reduction) {
  return {ctx.element(0), reduction == Reduction::none ? shape : PartialShape(Shape{})};
}

double reduced(const std::vector<double>& values, Reduction reduction) {
  double sum = 0;
  for (double v : values) sum += v;
  return reduction == Reduction::mean ? sum / static_cast<double>(values.size()) : sum;
}

}  // namespace

Types SoftmaxCrossEntropy::infer(InferCtx& ctx) const {
  check_labels(ctx, 0, 1);
  const PartialShape& s = ctx.shape(0);
  PartialShape loss;
  if (reduction != Reduction::none)
    loss = PartialShape(Shape{});
  else
    loss = PartialShape{s.rank_known() ? s[0] : Dimension()};
  return {Type(ctx.element(0), loss), Type(ctx.element(0), s)};
}
void SoftmaxCrossEntropy::eval(EvalCtx& ctx) const {
  const Tensor x = f32(ctx.input(0));
  const Targets t = targets_of(ctx, x, ctx.input(1), label_smoothing, ignore_index);
  Tensor log_p = ctx.output(1, ElementType::f32, x.shape());
  std::vector<double> losses(t.rows, 0);
  for (size_t r = 0; r < t.rows; ++r) {
    const float* row = x.data<float>() + r * t.classes;
    float* out = log_p.data<float>() + r * t.classes;
    float high = -std::numeric_limits<float>::infinity();
    for (size_t c = 0; c < t.classes; ++c) high = std::max(high, row[c]);
    double sum = 0;
    for (size_t c = 0; c < t.classes; ++c) sum += std::exp(static_cast<double>(row[c]) - high);
    const double log_sum = std::log(sum) + high;
    for (size_t c = 0; c < t.classes; ++c) {
      out[c] = static_cast<float>(row[c] - log_sum);
      // A probability of zero takes no share, also of a log-probability of minus infinity.
      if (const float p = t.values[r * t.classes + c]; p != 0) losses[r] -= static_cast<double>(p) * (row[c] - log_sum);
    }
    losses[r] *= t.weights[r];
  }
  Tensor loss = ctx.output(0, ElementType::f32, reduction == Reduction::none ? Shape{x.shape()[0]} : Shape{});
  if (reduction == Reduction::none) {
    for (size_t r = 0; r < t.rows; ++r) loss.data<float>()[r] = static_cast<float>(losses[r]);
  } else {
    const double sum = reduced(losses, Reduction::sum);
    loss.data<float>()[0] = static_cast<float>(reduction == Reduction::sum ? sum : sum / t.total);
  }
}
void SoftmaxCrossEntropy::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value log_p = ctx.output(1), labels = ctx.input(1);
  if (ctx.needs(0)) {
    Value d;
    if (ctx.dout(0))
      d = b(SoftmaxCrossEntropyGrad{label_smoothing, reduction, ignore_index}, log_p, labels, ctx.dout(0));
    if (ctx.dout(1)) {
      // log-softmax: d - softmax * sum(d)
      const Value sum = b(ReduceSum{.keep_dims = true}, ctx.dout(1), b.ints({1}));
      const Value through = b(Subtract{}, ctx.dout(1), b(Multiply{}, b(Exp{}, log_p), sum));
      d = d ? b(Add{}, d, through) : through;
    }
    ctx.set(0, d);
  }
  if (ctx.needs(1) && ctx.dout(0) && is_float(labels.element_type())) {
    // loss = -sum(((1 - s) * label + s / C) * log_p)
    Value scale = b(Multiply{}, ctx.dout(0), b.like(ctx.dout(0), label_smoothing - 1));
    if (reduction == Reduction::none) scale = b(Unsqueeze{}, scale, b.ints({1}));
    if (reduction == Reduction::mean) {
      const Value rows = b(Reshape{}, dimension_value(b, log_p, 0), b.ints({}));
      scale = b(Divide{}, scale, b(Convert{log_p.element_type()}, rows));
    }
    ctx.set(1, b(Multiply{}, log_p, scale));
  }
}
Samples SoftmaxCrossEntropy::samples() {
  // torch.nn.functional.cross_entropy on the same numbers.
  const Tensor x = Tensor::of<float>({3, 4}, {1, 2, 3, 4, 0, 0, 1, -1, 2, -2, 0.5f, 0});
  const Tensor classes = Tensor::of<int64_t>({3}, {3, 0, 1}), some = Tensor::of<int64_t>({3}, {3, -100, 1});
  const Tensor soft = Tensor::of<float>({3, 4}, {0.1f, 0.2f, 0.3f, 0.4f, 1, 0, 0, 0, 0.25f, 0.25f, 0.25f, 0.25f});
  return {sample(SoftmaxCrossEntropy{}, {x, classes}, {float_scalar(2.1288207f)}),
          sample(SoftmaxCrossEntropy{.label_smoothing = 0.1}, {x, classes}, {float_scalar(2.1079872f)}),
          sample(SoftmaxCrossEntropy{.label_smoothing = 0.1}, {x, some}, {float_scalar(2.3487189f)}),
          sample(SoftmaxCrossEntropy{.reduction = Reduction::sum}, {x, some}, {float_scalar(4.7599382f)}),
          sample(SoftmaxCrossEntropy{.reduction = Reduction::none}, {x, classes},
                 {Tensor::of<float>({3}, {0.44018969f, 1.6265235f, 4.3197484f})}),
          sample(SoftmaxCrossEntropy{.label_smoothing = 0.2}, {x, soft}, {float_scalar(1.7871538f)}),
          sample(SoftmaxCrossEntropy{.reduction = Reduction::none},
                 {random_tensor({2, 3}, 1), random_tensor({2, 3}, 2, 0, 1)})};
}
HONE_DEFINE_OP(SoftmaxCrossEntropy)

Types SoftmaxCrossEntropyGrad::infer(InferCtx& ctx) const {
  check_labels(ctx, 0, 1);
  ctx.shape(2);
  return {Type(ctx.element(0), ctx.shape(0))};
}
void SoftmaxCrossEntropyGrad::eval(EvalCtx& ctx) const {
  const Tensor log_p = f32(ctx.input(0)), dloss = f32(ctx.input(2));
  const Targets t = targets_of(ctx, log_p, ctx.input(1), label_smoothing, ignore_index);
  if (dloss.size() != (reduction == Reduction::none ? t.rows : 1))
    ctx.fail("a gradient of " + to_string(dloss.shape()) + " for the loss");
  Tensor dx = ctx.output(0, ElementType::f32, log_p.shape());
  for (size_t r = 0; r < t.rows; ++r) {
    float scale = t.weights[r] * dloss.data<float>()[reduction == Reduction::none ? r : 0];
    if (reduction == Reduction::mean) scale /= t.total;
    const float *lp = log_p.data<float>() + r * t.classes, *target = t.values.data() + r * t.classes;
    float mass = 0;  // 1, unless the probabilities given do not add up
    for (size_t c = 0; c < t.classes; ++c) mass += target[c];
    for (size_t c = 0; c < t.classes; ++c)
      dx.data<float>()[r * t.classes + c] = t.weights[r] == 0 ? 0 : scale * (std::exp(lp[c]) * mass - target[c]);
  }
}
Samples SoftmaxCrossEntropyGrad::samples() {
  const Tensor log_p = Tensor::of<float>({2, 2}, {std::log(0.25f), std::log(0.75f), std::log(0.5f), std::log(0.5f)});
  const Tensor classes = Tensor::of<int64_t>({2}, {1, 0}), some = Tensor::of<int64_t>({2}, {-1, 0}),
               soft = Tensor::of<float>({2, 2}, {0.5f, 0.5f, 0, 1});
  return {
      sample(SoftmaxCrossEntropyGrad{}, {log_p, classes, float_scalar(1)},
             {Tensor::of<float>({2, 2}, {0.125f, -0.125f, -0.25f, 0.25f})}),
      sample(SoftmaxCrossEntropyGrad{.ignore_index = -1}, {log_p, some, float_scalar(2)},
             {Tensor::of<float>({2, 2}, {0, 0, -1, 1})}),
      sample(SoftmaxCrossEntropyGrad{.label_smoothing = 0.5, .reduction = Reduction::sum},
             {log_p, soft, float_scalar(1)}, {Tensor::of<float>({2, 2}, {-0.25f, 0.25f, 0.25f, -0.25f})}),
      sample(SoftmaxCrossEntropyGrad{.reduction = Reduction::none}, {log_p, classes, Tensor::of<float>({2}, {1, 2})},
             {Tensor::of<float>({2, 2}, {0.25f, -0.25f, -1, 1})})};
}
HONE_DEFINE_OP(SoftmaxCrossEntropyGrad)

Types MeanSquaredError::infer(InferCtx& ctx) const {
  return {reduced_type(ctx, broadcast(ctx.shape(0), ctx.shape(1)), reduction)};
}
void MeanSquaredError::eval(EvalCtx& ctx) const {
  const Tensor x = f32(ctx.input(0)), y = f32(ctx.input(1));
  if (x.shape() != y.shape())
    ctx.fail("prediction " + to_string(x.shape()) + " and target " + to_string(y.shape()) + " differ in shape");
  std::vector<double> squares(x.size());
  for (size_t i = 0; i < squares.size(); ++i) {
    const double d = static_cast<double>(x.data<float>()[i]) - y.data<float>()[i];
    squares[i] = d * d;
  }
  Tensor loss = ctx.output(0, ElementType::f32, reduction == Reduction::none ? x.shape() : Shape{});
  if (reduction != Reduction::none) squares = {reduced(squares, reduction)};
  for (size_t i = 0; i < squares.size(); ++i) loss.data<float>()[i] = static_cast<float>(squares[i]);
}
Values MeanSquaredError::expand(Builder& b, const Values& in) const {
  const Value d = b(Subtract{}, in[0], in[1]);
  return {reduced(b, b(Multiply{}, d, d), reduction)};
}
Samples MeanSquaredError::samples() {
  const Tensor x = Tensor::of<float>({2, 2}, {1, 2, 3, 4}), y = Tensor::of<float>({2, 2}, {1, 1, 1, 1});
  return {sample(MeanSquaredError{}, {x, y}, {float_scalar(3.5f)}),
          sample(MeanSquaredError{Reduction::sum}, {x, y}, {float_scalar(14)}),
          sample(MeanSquaredError{Reduction::none}, {x, y}),
          sample(MeanSquaredError{}, {random_tensor({2, 3, 4}, 1), random_tensor({2, 3, 4}, 2)})};
}
HONE_DEFINE_OP(MeanSquaredError)

Types BinaryCrossEntropyWithLogits::infer(InferCtx& ctx) const {
  PartialShape shape = ctx.shape(0);
  ctx.check(shape.compatible(ctx.shape(1)),
            "logits " + to_string(shape) + " and target " + to_string(ctx.shape(1)) + " differ in shape");
  return {reduced_type(ctx, shape, reduction)};
}
void BinaryCrossEntropyWithLogits::eval(EvalCtx& ctx) const {
  const Tensor x = f32(ctx.input(0)), y = f32(ctx.input(1));
  const Tensor w = ctx.has(2) ? f32(ctx.input(2)) : Tensor();
  if (x.shape() != y.shape())
    ctx.fail("logits " + to_string(x.shape()) + " and target " + to_string(y.shape()) + " differ in shape");
  if (w && broadcast(x.shape(), w.shape()) != x.shape())
    ctx.fail("weight " + to_string(w.shape()) + " for logits " + to_string(x.shape()));
  std::vector<double> losses(x.size());
  for (size_t i = 0; i < losses.size(); ++i) {
    const double v = x.data<float>()[i], t = y.data<float>()[i];
    losses[i] = std::max(v, 0.0) - v * t + std::log1p(std::exp(-std::fabs(v)));
    if (w) {
      size_t rest = i, at = 0, stride = 1;
      for (size_t k = 0; k < w.rank(); ++k) {
        const size_t axis = w.rank() - 1 - k;
        const auto n = static_cast<size_t>(x.shape()[x.rank() - 1 - k]), m = static_cast<size_t>(w.shape()[axis]);
        if (m != 1) at += rest % n * stride;
        stride *= m;
        rest /= n;
      }
      losses[i] *= static_cast<double>(w.data<float>()[at]);
    }
  }
  Tensor loss = ctx.output(0, ElementType::f32, reduction == Reduction::none ? x.shape() : Shape{});
  if (reduction != Reduction::none) losses = {reduced(losses, reduction)};
  for (size_t i = 0; i < losses.size(); ++i) loss.data<float>()[i] = static_cast<float>(losses[i]);
}
Values BinaryCrossEntropyWithLogits::expand(Builder& b, const Values& in) const {
  // softplus(x) - x * t is the stable form of -t log(s) - (1 - t) log(1 - s).
  Value loss = b(Subtract{}, b(SoftPlus{}, in[0]), b(Multiply{}, in[0], in[1]));
  if (in.size() > 2 && in[2]) loss = b(Multiply{}, loss, in[2]);
  return {reduced(b, loss, reduction)};
}
Samples BinaryCrossEntropyWithLogits::samples() {
  const Tensor x = Tensor::of<float>({2, 2}, {0, 2, -3, 1}), y = Tensor::of<float>({2, 2}, {1, 0, 0.5f, 1});
  return {sample(BinaryCrossEntropyWithLogits{}, {x, y}, {float_scalar(1.1704811f)}),
          sample(BinaryCrossEntropyWithLogits{Reduction::sum}, {x, y, Tensor::of<float>({2}, {1, 2})},
                 {float_scalar(7.1221142f)}),
          sample(BinaryCrossEntropyWithLogits{Reduction::none},
                 {random_tensor({3, 2}, 1, -4, 4), random_tensor({3, 2}, 2, 0, 1)})};
}
HONE_DEFINE_OP(BinaryCrossEntropyWithLogits)

Types KLDivergence::infer(InferCtx& ctx) const {
  const PartialShape &s = ctx.shape(0), &t = ctx.shape(1);
  ctx.check(temperature > 0, "the temperature is not positive");
  ctx.check(!s.rank_known() || s.rank() == 2, "wants logits [N, C], got " + to_string(s));
  ctx.check(s.compatible(t), "student " + to_string(s) + " and teacher " + to_string(t) + " differ in shape");
  return {Type(ctx.element(0), PartialShape(Shape{}))};
}
void KLDivergence::eval(EvalCtx& ctx) const {
  const Tensor s = f32(ctx.input(0)), t = f32(ctx.input(1));
  if (s.rank() != 2 || s.shape() != t.shape())
    ctx.fail("student " + to_string(s.shape()) + " and teacher " + to_string(t.shape()));
  const auto rows = static_cast<size_t>(s.shape()[0]), classes = static_cast<size_t>(s.shape()[1]);
  const auto log_softmax = [&](const float* row) {
    std::vector<double> v(row, row + classes);
    double high = -std::numeric_limits<double>::infinity(), sum = 0;
    for (double& e : v) high = std::max(high, e /= temperature);
    for (double e : v) sum += std::exp(e - high);
    for (double& e : v) e -= high + std::log(sum);
    return v;
  };
  double sum = 0;
  for (size_t r = 0; r < rows; ++r) {
    const auto ls = log_softmax(s.data<float>() + r * classes), lt = log_softmax(t.data<float>() + r * classes);
    for (size_t c = 0; c < classes; ++c) sum += std::exp(lt[c]) * (lt[c] - ls[c]);
  }
  Tensor loss = ctx.output(0, ElementType::f32, {});
  loss.data<float>()[0] = static_cast<float>(temperature * temperature * sum / static_cast<double>(rows));
}
Values KLDivergence::expand(Builder& b, const Values& in) const {
  const auto log_softmax = [&](Value v) { return b(LogSoftmax{1}, b(Multiply{}, v, b.like(v, 1 / temperature))); };
  const Value ls = log_softmax(in[0]), lt = log_softmax(in[1]);
  const Value rows = b(ReduceSum{}, b(Multiply{}, b(Exp{}, lt), b(Subtract{}, lt, ls)), b.ints({1}));
  const Value mean = b(ReduceMean{}, rows, b.ints({0}));
  return {b(Multiply{}, mean, b.like(mean, temperature * temperature))};
}
Samples KLDivergence::samples() {
  const Tensor s = Tensor::of<float>({2, 3}, {1, 2, 3, 0, 0, 1}), t = Tensor::of<float>({2, 3}, {3, 2, 1, 1, 0, 0});
  return {sample(KLDivergence{}, {s, t}, {float_scalar(0.75729805f)}),
          sample(KLDivergence{4.0}, {s, t}, {float_scalar(0.83278871f)}),
          sample(KLDivergence{2.0}, {random_tensor({3, 5}, 1, -3, 3), random_tensor({3, 5}, 2, -3, 3)})};
}
HONE_DEFINE_OP(KLDivergence)

}  // namespace hone
