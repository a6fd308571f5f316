// Normalization over the batch and its training form; the operators that normalize each sample are in layer_norm.cpp.
#include "ops/normalization.hpp"

#include <cmath>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

// [C] parameters at inputs [first, last) fit the channels of input 0.
void check_channels(InferCtx& ctx, size_t first, size_t last) {
  const PartialShape& x = ctx.shape(0);
  if (x.rank_known()) ctx.check(x.rank() >= 2, "data " + to_string(x) + " is not [N, C, ...]");
  for (size_t i = first; i < last; ++i) {
    const PartialShape& p = ctx.shape(i);
    if (!p.rank_known()) continue;
    ctx.check(p.rank() == 1, "input " + std::to_string(i) + " is " + to_string(p) + ", not [C]");
    ctx.check(!x.rank_known() || p[0].compatible(x[1]),
              "input " + std::to_string(i) + " " + to_string(p) + " does not fit the channels of " + to_string(x));
  }
}

// [C] as [1, C, 1...] beside data of the rank of x.
Value along_channels(Builder& b, Value v, Value x) {
  if (!x.shape().rank_known()) throw Error(ErrorCode::failed, "[normalization] needs data of known rank");
  std::vector<int64_t> shape(x.shape().rank() - 1, 1);
  shape[0] = -1;
  return x.shape().rank() == 2 ? v : b(Reshape{}, v, b.ints(shape));
}
// Sum over all axes but the channels: [C].
Value sum_to_channels(Builder& b, Value v) {
  std::vector<int64_t> axes{0};
  for (size_t k = 2; k < v.shape().rank(); ++k) axes.push_back(static_cast<int64_t>(k));
  return b(ReduceSum{false}, v, b.ints(axes));
}

struct Channels {
  size_t batch, channels, space;
  template <class F>
  void for_each(size_t c, F&& f) const {
    for (size_t n = 0; n < batch; ++n) {
      for (size_t i = 0; i < space; ++i) f((n * channels + c) * space + i);
    }
  }
};
Channels channels_of(const EvalCtx& ctx, const Tensor& x) {
  if (x.rank() < 2) ctx.fail("data " + to_string(x.shape()) + " is not [N, C, ...]");
  const auto n = static_cast<size_t>(x.shape()[0]), c = static_cast<size_t>(x.shape()[1]);
  return {n, c, n * c > 0 ? x.size() / (n * c) : 0};
}
void check_parameter(const EvalCtx& ctx, size_t i, const Channels& c) {
  if (ctx.input(i).size() != c.channels || ctx.input(i).rank() != 1)
    ctx.fail("input " + std::to_string(i) + " " + to_string(ctx.input(i).shape()) + " is not [C]");
}

}  // namespace

Types BatchNormInference::infer(InferCtx& ctx) const {
  check_channels(ctx, 1, 5);
  ctx.check(epsilon >= 0, "epsilon is negative");
  return {Type(ctx.element(0), ctx.shape(0))};
}
void BatchNormInference::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const Channels c = channels_of(ctx, x);
  for (size_t i = 1; i < 5; ++i) check_parameter(ctx, i, c);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for (size_t k = 0; k < c.channels; ++k) {
      const double scale = get_element(ctx.input(1), k) / std::sqrt(get_element(ctx.input(4), k) + epsilon);
      const double mean = get_element(ctx.input(3), k), beta = get_element(ctx.input(2), k);
      c.for_each(k, [&](size_t i) {
        y.data<T>()[i] = static_cast<T>((static_cast<double>(x.data<T>()[i]) - mean) * scale + beta);
      });
    }
  });
}
Values BatchNormInference::expand(Builder& b, const Values& in) const {
  const Value scale = b(Divide{}, in[1], b(Sqrt{}, b(Add{}, in[4], b.like(in[4], epsilon))));
  const Value shift = b(Subtract{}, in[2], b(Multiply{}, in[3], scale));
  return {b(Add{}, b(Multiply{}, in[0], along_channels(b, scale, in[0])), along_channels(b, shift, in[0]))};
}
void BatchNormInference::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value x = ctx.input(0), dy = ctx.dout();
  const Value inverse =
      b(Divide{}, b.like(ctx.input(4), 1), b(Sqrt{}, b(Add{}, ctx.input(4), b.like(ctx.input(4), epsilon))));
  const Value scale = b(Multiply{}, ctx.input(1), inverse);
  if (ctx.needs(0)) ctx.set(0, b(Multiply{}, dy, along_channels(b, scale, x)));
  if (!ctx.needs(1) && !ctx.needs(2) && !ctx.needs(3) && !ctx.needs(4)) return;
  const Value dbeta = sum_to_channels(b, dy);
  if (ctx.needs(2)) ctx.set(2, dbeta);
  if (ctx.needs(3)) ctx.set(3, b(Negative{}, b(Multiply{}, dbeta, scale)));
  if (!ctx.needs(1) && !ctx.needs(4)) return;
  const Value centered = b(Subtract{}, x, along_channels(b, ctx.input(3), x));
  const Value dgamma = b(Multiply{}, sum_to_channels(b, b(Multiply{}, dy, centered)), inverse);
  if (ctx.needs(1)) ctx.set(1, dgamma);
  // d/dvariance = -1/2 * gamma * inverse^2 * dgamma
  if (ctx.needs(4))
    ctx.set(4, b(Multiply{}, b(Multiply{}, dgamma, b(Multiply{}, scale, inverse)), b.like(scale, -0.5)));
}
Samples BatchNormInference::samples() {
  const auto v = [](float a, float b) { return Tensor::of<float>({2}, {a, b}); };
  return {
      sample(BatchNormInference{0.5}, {Tensor::of<float>({1, 2, 2}, {1, 2, 3, 4}), v(1, 2), v(0, 1), v(1, 3), v(1, 4)},
             {Tensor::of<float>({1, 2, 2}, {0, 0.81649655f, 1, 1.9428091f})}),
      sample(BatchNormInference{1e-3}, {random_tensor({2, 3, 2, 4}, 1), random_tensor({3}, 2), random_tensor({3}, 3),
                                        random_tensor({3}, 4), random_tensor({3}, 5, 0.5, 2)}),
      sample(BatchNormInference{}, {random_tensor({4, 3}, 1), random_tensor({3}, 2), random_tensor({3}, 3),
                                    random_tensor({3}, 4), random_tensor({3}, 5, 0.5, 2)})};
}
HONE_DEFINE_OP(BatchNormInference)

Types BatchNormTraining::infer(InferCtx& ctx) const {
  check_channels(ctx, 1, 5);
  ctx.check(epsilon >= 0, "epsilon is negative");
  const PartialShape& x = ctx.shape(0);
  if (ctx.has(5))
    ctx.check(ctx.shape(5).compatible(x), "the residual " + to_string(ctx.shape(5)) + " differs from " + to_string(x));
  const Type channel(ctx.element(1), PartialShape{x.rank_known()              ? x[1]
                                                  : ctx.shape(1).rank_known() ? ctx.shape(1)[0]
                                                                              : Dimension()});
  return {Type(ctx.element(0), x), channel, channel, channel, channel};
}
void BatchNormTraining::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const Channels c = channels_of(ctx, x);
  for (size_t i = 1; i < 5; ++i) check_parameter(ctx, i, c);
  const bool residual = ctx.has(5);
  if (residual && (ctx.input(5).shape() != x.shape() || ctx.input(5).element_type() != x.element_type()))
    ctx.fail("the residual differs from the data");
  const size_t count = c.batch * c.space;
  if (count == 0) ctx.fail("an empty batch has no statistics");
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  const ElementType type = ctx.input(1).element_type();
  Tensor outputs[4];
  for (size_t i = 0; i < 4; ++i) outputs[i] = ctx.output(i + 1, type, {static_cast<int64_t>(c.channels)});
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    const T *from = x.data<T>(), *more = residual ? ctx.input(5).data<T>() : nullptr;
    for (size_t k = 0; k < c.channels; ++k) {
      double mean = 0, variance = 0;
      c.for_each(k, [&](size_t i) { mean += static_cast<double>(from[i]); });
      mean /= static_cast<double>(count);
      c.for_each(k, [&](size_t i) {
        variance += (static_cast<double>(from[i]) - mean) * (static_cast<double>(from[i]) - mean);
      });
      variance /= static_cast<double>(count);
      const double inverse = 1 / std::sqrt(variance + epsilon);
      const double unbiased =
          count > 1 ? variance * static_cast<double>(count) / static_cast<double>(count - 1) : variance;
      const double gamma = get_element(ctx.input(1), k), beta = get_element(ctx.input(2), k);
      c.for_each(k, [&](size_t i) {
        double v =
            (static_cast<double>(from[i]) - mean) * inverse * gamma + beta + (more ? static_cast<double>(more[i]) : 0);
        if (activation == NormActivation::relu && v < 0) v = 0;
        y.data<T>()[i] = static_cast<T>(v);
      });
      set_element(outputs[0], k, (1 - momentum) * get_element(ctx.input(3), k) + momentum * mean);
      set_element(outputs[1], k, (1 - momentum) * get_element(ctx.input(4), k) + momentum * unbiased);
      set_element(outputs[2], k, mean);
      set_element(outputs[3], k, inverse);
    }
  });
}
void BatchNormTraining::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value x = ctx.input(0), gamma = ctx.input(1), mean = ctx.output(3), inverse = ctx.output(4);
  Value dx;
  if (ctx.dout()) {
    Values in{x, ctx.dout(), gamma, mean, inverse};
    if (activation != NormActivation::none) in.push_back(ctx.output());
    const Values g = b.all(BatchNormTrainingGrad{activation}, in);
    dx = g[0];
    if (ctx.needs(1)) ctx.set(1, g[1]);
    if (ctx.needs(2)) ctx.set(2, g[2]);
    if (ctx.needs(5)) ctx.set(5, g[3]);
  }
  // The statistics are outputs too; they are rarely differentiated, and then the sizes must be known.
  const auto plus = [&](Value u, Value v) { return !u ? v : !v ? u : b(Add{}, u, v); };
  const auto times = [&](Value u, double v) { return u ? b(Multiply{}, u, b.like(u, v)) : Value{}; };
  if (ctx.needs(3) && ctx.dout(1)) ctx.set(3, times(ctx.dout(1), 1 - momentum));
  if (ctx.needs(4) && ctx.dout(2)) ctx.set(4, times(ctx.dout(2), 1 - momentum));
  if (!ctx.needs(0)) return;
  if (ctx.dout(1) || ctx.dout(2) || ctx.dout(3) || ctx.dout(4)) {
    if (!x.shape().is_static())
      throw Error(ErrorCode::failed, "[BatchNormTraining] the gradient of the statistics needs data of known size");
    const double n =
        static_cast<double>(element_count(x.shape().to_shape())) / static_cast<double>(x.shape()[1].get_length());
    const Value dmean = plus(ctx.dout(3), times(ctx.dout(1), momentum));
    // The deviation is inverse = (variance + epsilon)^(-1/2).
    Value dvariance = times(ctx.dout(2), momentum * (n > 1 ? n / (n - 1) : 1));
    if (ctx.dout(4))
      dvariance = plus(
          dvariance, b(Multiply{}, times(ctx.dout(4), -0.5), b(Multiply{}, inverse, b(Multiply{}, inverse, inverse))));
    if (dmean) dx = plus(dx, b(Broadcast{}, along_channels(b, times(dmean, 1 / n), x), b(ShapeOf{}, x)));
    if (dvariance) {
      const Value centered = b(Subtract{}, x, along_channels(b, mean, x));
      dx = plus(dx, b(Multiply{}, centered, along_channels(b, times(dvariance, 2 / n), x)));
    }
  }
  ctx.set(0, dx);
}
Samples BatchNormTraining::samples() {
  const auto stats = [](int64_t c, std::vector<Datum> more = {}) {
    std::vector<Datum> v{random_tensor({c}, 2, 0.5, 2), random_tensor({c}, 3), random_tensor({c}, 4),
                         random_tensor({c}, 5, 0.5, 2)};
    for (Datum& d : more) v.push_back(std::move(d));
    return v;
  };
  const auto with = [](Tensor x, std::vector<Datum> v) {
    v.insert(v.begin(), std::move(x));
    return v;
  };
  const auto one = [](float v) { return Tensor::of<float>({1}, {v}); };
  return {
      sample(BatchNormTraining{0, 0.1}, {Tensor::of<float>({2, 1, 2}, {1, 3, 1, 3}), one(2), one(1), one(10), one(1)},
             {Tensor::of<float>({2, 1, 2}, {-1, 3, -1, 3}), one(9.2f), one(0.9f + 0.1f * 4 / 3), one(2), one(1)}),
      sample(BatchNormTraining{1e-3, 0.2}, with(random_tensor({2, 3, 2, 3}, 1), stats(3))),
      sample(BatchNormTraining{1e-3, 0.2, NormActivation::relu}, with(random_tensor({2, 3, 2, 3}, 11), stats(3))),
      sample(BatchNormTraining{1e-3, 0.2, NormActivation::relu},
             with(random_tensor({3, 2, 4}, 12), stats(2, {random_tensor({3, 2, 4}, 6)}))),
      sample(BatchNormTraining{1e-3, 0.2}, with(random_tensor({5, 2}, 13), stats(2, {random_tensor({5, 2}, 6)})))};
}
HONE_DEFINE_OP(BatchNormTraining)

Types BatchNormTrainingGrad::infer(InferCtx& ctx) const {
  check_channels(ctx, 2, 5);
  const PartialShape& x = ctx.shape(0);
  ctx.check(ctx.shape(1).compatible(x), "the gradient " + to_string(ctx.shape(1)) + " differs from " + to_string(x));
  ctx.check(activation == NormActivation::none || ctx.has(5), "with an activation the result is an input too");
  const Type channel(ctx.element(2), PartialShape{x.rank_known()              ? x[1]
                                                  : ctx.shape(2).rank_known() ? ctx.shape(2)[0]
                                                                              : Dimension()});
  return {Type(ctx.element(0), x), channel, channel, Type(ctx.element(1), ctx.shape(1))};
}
void BatchNormTrainingGrad::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &dy = ctx.input(1);
  const Channels c = channels_of(ctx, x);
  for (size_t i = 2; i < 5; ++i) check_parameter(ctx, i, c);
  const bool masked = activation != NormActivation::none;
  if (masked && !ctx.has(5)) ctx.fail("with an activation the result is an input too");
  for (size_t i = 1; i <= (masked ? 5u : 1u); i += 4) {
    if (ctx.input(i).shape() != x.shape() || ctx.input(i).element_type() != x.element_type())
      ctx.fail("input " + std::to_string(i) + " differs from the data");
  }
  const auto count = static_cast<double>(c.batch * c.space);
  Tensor dx = ctx.output(0, x.element_type(), x.shape());
  const Shape channel{static_cast<int64_t>(c.channels)};
  Tensor dgamma = ctx.output(1, ctx.input(2).element_type(), channel),
         dbeta = ctx.output(2, ctx.input(2).element_type(), channel);
  Tensor dresidual = ctx.output(3, x.element_type(), x.shape());
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    const T *px = x.data<T>(), *pg = dy.data<T>(), *py = masked ? ctx.input(5).data<T>() : nullptr;
    for (size_t k = 0; k < c.channels; ++k) {
      const double gamma = get_element(ctx.input(2), k), mean = get_element(ctx.input(3), k),
                   inverse = get_element(ctx.input(4), k);
      const auto gradient = [&](size_t i) { return py && !(py[i] > 0) ? 0.0 : static_cast<double>(pg[i]); };
      const auto normal = [&](size_t i) { return (static_cast<double>(px[i]) - mean) * inverse; };
      double sum = 0, weighted = 0;
      c.for_each(k, [&](size_t i) {
        sum += gradient(i);
        weighted += gradient(i) * normal(i);
      });
      c.for_each(k, [&](size_t i) {
        dresidual.data<T>()[i] = static_cast<T>(gradient(i));
        dx.data<T>()[i] = static_cast<T>(gamma * inverse * (gradient(i) - (sum + normal(i) * weighted) / count));
      });
      set_element(dgamma, k, weighted);
      set_element(dbeta, k, sum);
    }
  });
}
Samples BatchNormTrainingGrad::samples() {
  const auto one = [](float v) { return Tensor::of<float>({1}, {v}); };
  const Tensor x = Tensor::of<float>({2, 1, 2}, {1, 3, 1, 3}), dy = Tensor::of<float>({2, 1, 2}, {1, 0, 0, 1}),
               y = Tensor::of<float>({2, 1, 2}, {0, 1, 0, 1});
  return {
      sample(BatchNormTrainingGrad{}, {x, dy, one(2), one(2), one(1)},
             {Tensor::of<float>({2, 1, 2}, {1, -1, -1, 1}), one(0), one(2), dy}),
      sample(BatchNormTrainingGrad{NormActivation::relu}, {x, dy, one(2), one(2), one(1), y},
             {Tensor::of<float>({2, 1, 2}, {0, -1, 0, 1}), one(1), one(1), Tensor::of<float>({2, 1, 2}, {0, 0, 0, 1})}),
      sample(BatchNormTrainingGrad{NormActivation::relu},
             {random_tensor({2, 3, 4, 2}, 1), random_tensor({2, 3, 4, 2}, 2), random_tensor({3}, 3),
              random_tensor({3}, 4, -0.1, 0.1), random_tensor({3}, 5, 1, 2), random_tensor({2, 3, 4, 2}, 6)})};
}
HONE_DEFINE_OP(BatchNormTrainingGrad)

}  // namespace hone
