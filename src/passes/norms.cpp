#include <algorithm>
#include <limits>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"
#include "passes/canonicalize.hpp"
#include "passes/facts.hpp"

namespace hone {
namespace {

// The first of the axes, where they are all axes from it to the last one.
std::optional<int64_t> trailing_axes(Value axes, const PartialShape& shape) {
  const auto known = known_ints(axes);
  if (!known || known->empty()) return std::nullopt;
  auto a = positive_axes(*known, shape);
  if (!a) return std::nullopt;
  std::sort(a->begin(), a->end());
  for (size_t i = 0; i < a->size(); ++i) {
    if ((*a)[i] != static_cast<int64_t>(shape.rank() - a->size() + i)) return std::nullopt;
  }
  return (*a)[0];
}

bool keeps_dims(Value v) {
  return v.node().as<ReduceMean>()->keep_dims;
}

// `v` with the shape of the normalized part of `shape`, from `axis` on; null where it does not fit.
Value normalized_weight(Builder& b, Value v, const PartialShape& shape, int64_t axis) {
  const PartialShape part(std::vector<Dimension>(shape.begin() + axis, shape.end()));
  if (!part.is_static() || !v.shape().is_static()) return {};
  const Shape want = part.to_shape();
  Shape have = v.shape().to_shape();
  if (element_count(have) != element_count(want) || have.size() > shape.rank()) return {};
  Shape padded = want;
  padded.insert(padded.begin(), have.size() > want.size() ? have.size() - want.size() : 0, 1);
  if (have == want) return v;
  return have == padded ? b(Reshape{}, v, b.ints(want)) : Value{};
}

// The parts that LayerNorm and RMSNorm share: reciprocal root of (mean square + epsilon), times the value.
struct Normalized {
  Pattern value;  ///< what is divided
  Pattern square_mean, eps;
  Pattern root;  ///< value / sqrt(square_mean + eps)
};

Normalized normalized(const Pattern& value, const Pattern& square_mean) {
  const auto eps = constant();
  const auto deviation = op<Sqrt>(op<Add>(square_mean, eps));
  const auto root = any_of({op<Divide>(value, deviation), op<Multiply>(value, op<Divide>(constant(1), deviation)),
                            op<Multiply>(value, op<Power>(op<Add>(square_mean, eps), constant(-0.5)))});
  return {value, square_mean, eps, root};
}

Pattern square_of(const Pattern& v) {
  return any_of({op<Multiply>(v, v), op<Power>(v, constant(2))});
}

Value layer_norm(Builder& b, Value x, Value axes, Value axes2, double eps, Value gamma, Value beta) {
  const PartialShape s = x.shape();
  const auto axis = trailing_axes(axes, s), second = trailing_axes(axes2, s);
  if (!axis || axis != second || !is_float(x.element_type())) return {};
  const Value g = normalized_weight(b, gamma, s, *axis);
  const Value bias = beta ? normalized_weight(b, beta, s, *axis) : Value{};
  if (!g || (beta && !bias)) return {};
  return b(LayerNorm{eps, *axis - static_cast<int64_t>(s.rank())}, Values{x, g, bias});
}

void layer_norms(std::vector<Rule>& r) {
  for (const bool with_beta : {true, false}) {
    const auto x = any(), axes = constant(), axes2 = constant(), gamma = any(), beta = any();
    const auto mean = op<ReduceMean>(x, axes).where(keeps_dims);
    const auto centred = op<Subtract>(x, mean);
    const auto variance = any_of({op<ReduceMean>(square_of(centred), axes2).where(keeps_dims),
                                  op<ReduceMean>(op<SquaredDifference>(x, mean), axes2).where(keeps_dims)});
    const auto n = normalized(centred, variance);
    const auto scaled = op<Multiply>(n.root, gamma);
    const auto root = with_beta ? op<Add>(scaled, beta) : scaled;
    r.push_back(
        rule(with_beta ? "layer_norm" : "layer_norm_without_bias", root, [=](const Match& m, Builder& b) -> Value {
          const auto eps = splat_value(m[n.eps]);
          if (!eps) return {};
          return layer_norm(b, m[x], m[axes], m[axes2], *eps, m[gamma], with_beta ? m[beta] : Value{});
        }));
  }
  {
    // TensorFlow's batchnorm: x * scale + (beta - mean * scale) with scale = gamma / sqrt(variance + epsilon).
    const auto x = any(), axes = constant(), axes2 = constant(), gamma = any(), beta = any(), eps = constant();
    const auto mean = op<ReduceMean>(x, axes).where(keeps_dims);
    const auto variance = any_of({op<ReduceMean>(square_of(op<Subtract>(x, mean)), axes2).where(keeps_dims),
                                  op<ReduceMean>(op<SquaredDifference>(x, mean), axes2).where(keeps_dims)});
    const auto sum = op<Add>(variance, eps);
    const auto scale =
        op<Multiply>(any_of({op<Divide>(constant(1), op<Sqrt>(sum)), op<Power>(sum, constant(-0.5))}), gamma);
    const auto root = op<Add>(op<Multiply>(x, scale), op<Subtract>(beta, op<Multiply>(mean, scale)));
    r.push_back(rule("layer_norm_from_moments", root, [=](const Match& m, Builder& b) -> Value {
      const auto e = splat_value(m[eps]);
      return e ? layer_norm(b, m[x], m[axes], m[axes2], *e, m[gamma], m[beta]) : Value{};
    }));
  }
  {
    const auto x = any(), axes = constant(), gamma = any(), beta = any();
    const auto mvn = op<MVN>(x, axes);
    r.push_back(
        rule("layer_norm_from_mvn", op<Add>(op<Multiply>(mvn, gamma), beta), [=](const Match& m, Builder& b) -> Value {
          const auto& a = m.as<MVN>(mvn);
          if (!a.normalize_variance || a.eps_mode != EpsMode::inside_sqrt) return {};
          return layer_norm(b, m[x], m[axes], m[axes], a.eps, m[gamma], m[beta]);
        }));
  }
  // A bias that found its norm only now.
  {
    const auto x = any(), gamma = any(), beta = any();
    const auto norm = op<LayerNorm>(x, gamma);
    r.push_back(rule("bias_into_layer_norm", op<Add>(norm, beta), [=](const Match& m, Builder& b) -> Value {
      const auto& a = m.as<LayerNorm>(norm);
      const PartialShape s = m[x].shape();
      if (!s.rank_known() || !m[beta].shape().is_static()) return {};
      const auto axis = positive_axes({a.axis}, s);
      const Value bias = axis ? normalized_weight(b, m[beta], s, (*axis)[0]) : Value{};
      return bias ? b(LayerNorm(a), m[x], m[gamma], bias) : Value{};
    }));
  }
}

void rms_norms(std::vector<Rule>& r) {
  const auto x = any(), axes = constant(), gamma = any();
  const auto n = normalized(x, op<ReduceMean>(square_of(x), axes).where(keeps_dims));
  r.push_back(rule("rms_norm", op<Multiply>(n.root, gamma), [=](const Match& m, Builder& b) -> Value {
    const PartialShape s = m[x].shape();
    const auto axis = trailing_axes(m[axes], s);
    const auto eps = splat_value(m[n.eps]);
    if (!axis || !eps || !is_float(m[x].element_type())) return {};
    const Value g = normalized_weight(b, m[gamma], s, *axis);
    return g ? b(RMSNorm{*eps, *axis - static_cast<int64_t>(s.rank())}, m[x], g) : Value{};
  }));
}

// x / max(||x||, epsilon), the divisor perhaps spread over the shape of x.
void l2_norms(std::vector<Rule>& r) {
  const auto x = any(), axes = constant(), least = constant();
  const auto norm =
      op<Sqrt>(op<ReduceSum>(square_of(x), axes).where([](Value v) { return v.node().as<ReduceSum>()->keep_dims; }));
  const auto clamped = op<Clamp>(norm);
  const auto divisor = any_of({op<Maximum>(norm, least), clamped});
  const auto root = op<Divide>(x, any_of({divisor, op<Broadcast>(divisor, any()).more_inputs()}));
  r.push_back(rule("l2_norm", root, [=](const Match& m, Builder& b) -> Value {
    std::optional<double> eps;
    if (!m.has(clamped)) {
      eps = splat_value(m[least]);
    } else if (m.as<Clamp>(clamped).max >= std::numeric_limits<float>::max()) {
      eps = m.as<Clamp>(clamped).min;
    }
    // The square of a smaller one is no f32.
    if (!eps || *eps < 1e-18 || m[x].element_type() != ElementType::f32 || m[x].type().quantization) return {};
    return b(NormalizeL2{*eps * *eps, "max"}, m[x], m[axes]);
  }));
}

std::vector<int64_t> all_but_batch(const PartialShape& s) {
  std::vector<int64_t> axes;
  for (size_t i = 1; i < s.rank(); ++i) axes.push_back(static_cast<int64_t>(i));
  return axes;
}

// Images as rows and back around a norm of each whole: it needs no rows, and then no order of memory either.
void norms_of_images(std::vector<Rule>& r) {
  const auto x = any(), axes = constant();
  const auto rows = op<Reshape>(x, any());
  const auto norm = op<MVN>(rows, axes);
  r.push_back(rule("norm_of_images", op<Reshape>(norm, any()), [=](const Match& m, Builder& b) -> Value {
    const PartialShape &from = m[x].shape(), &flat = m[rows].shape();
    if (!from.is_static() || !flat.is_static() || from.rank() < 3 || !same_shape(from, m.root().output().shape()))
      return {};
    const auto axis = trailing_axes(m[axes], flat);
    if (!axis) return {};
    const Shape shape = from.to_shape(), lines = flat.to_shape();
    const Shape image(shape.begin() + 1, shape.end()), line(lines.begin() + *axis, lines.end());
    if (element_count(image) != element_count(line) || element_count(image) == 0) return {};
    return b(MVN(m.as<MVN>(norm)), m[x], b.ints(all_but_batch(from)));
  }));
}

void softmaxes(std::vector<Rule>& r) {
  const auto x = any(), max_axes = constant(), sum_axes = constant();
  const auto max = op<ReduceMax>(x, max_axes), shifted = op<Subtract>(x, max);
  const auto e = op<Exp>(any_of({shifted, x}));
  const auto sum = op<ReduceSum>(e, sum_axes);
  r.push_back(rule("softmax", op<Divide>(e, sum), [=](const Match& m, Builder& b) -> Value {
    const auto axes = known_ints(m[sum_axes]);
    const auto one = axes && axes->size() == 1 ? positive_axes(*axes, m[x].shape()) : std::nullopt;
    if (!one || !m.as<ReduceSum>(sum).keep_dims || !is_float(m[x].element_type())) return {};
    if (m.has(max)) {  // any maximum that is constant along the axis cancels
      const auto other = known_ints(m[max_axes]);
      if (!other || positive_axes(*other, m[x].shape()) != one || !m.as<ReduceMax>(max).keep_dims) return {};
    }
    return b(Softmax{(*one)[0]}, m[x]);
  }));
  const auto y = any();
  const auto soft = op<Softmax>(y);
  r.push_back(rule("log_softmax", op<Log>(soft),
                   [=](const Match& m, Builder& b) { return b(LogSoftmax{m.as<Softmax>(soft).axis}, m[y]); }));
}

}  // namespace

Pass recognize_norms_pass() {
  std::vector<Rule> r;
  layer_norms(r);
  rms_norms(r);
  l2_norms(r);
  norms_of_images(r);
  softmaxes(r);
  return rules_pass("recognize_norms", std::move(r), true);
}

Pass group_norms_to_rows_pass() {
  return rules_pass("group_norms_to_rows",
                    {rule("group_norm_of_rows", op<GroupNormalization>(), [](const Match& m, Builder& b) -> Value {
                      const Node n = m.root();
                      const auto& op = *n.as<GroupNormalization>();
                      const Value x = n.input(0);
                      if (!x.shape().rank_known()) return {};
                      const size_t rank = x.shape().rank();
                      const Value rows = b(Reshape{true}, x, b.ints({0, op.num_groups, -1}));
                      const Value normal = b(MVN{op.epsilon, true, EpsMode::inside_sqrt}, rows, b.ints({2}));
                      // Back to the shape of x, which at most one unknown dimension leaves in numbers.
                      std::vector<int64_t> shape;
                      for (const Dimension& d : x.shape()) shape.push_back(d.is_static() ? d.get_length() : -1);
                      const bool known = std::count(shape.begin(), shape.end(), -1) <= 1;
                      const Value plain = b(Reshape{}, normal, known ? b.ints(shape) : b(ShapeOf{}, x));
                      std::vector<int64_t> along(rank - 1, 1);
                      along[0] = -1;
                      const auto spread = [&](Value v) { return b(Reshape{}, v, b.ints(along)); };
                      return b(Add{}, b(Multiply{}, plain, spread(n.input(1))), spread(n.input(2)));
                    })});
}

}  // namespace hone
