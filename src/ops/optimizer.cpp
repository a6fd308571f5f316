#include "ops/optimizer.hpp"

#include <cmath>

#include "ops/family.hpp"

namespace hone {
namespace {

// The scalar inputs come first, then `groups` groups of `count` tensors.
void check_groups(const InferCtx& ctx, int64_t count, size_t scalars, size_t groups) {
  ctx.check(count >= 1, "count is " + std::to_string(count));
  const auto k = static_cast<size_t>(count);
  ctx.check(ctx.num_inputs() == scalars + groups * k,
            std::to_string(ctx.num_inputs()) + " inputs for " + std::to_string(count) + " parameters");
  for (size_t g = 1; g < groups; ++g) {
    for (size_t i = 0; i < k; ++i) {
      const PartialShape &first = ctx.shape(scalars + i), &other = ctx.shape(scalars + g * k + i);
      ctx.check(first.compatible(other),
                "parameter " + std::to_string(i) + " of " + to_string(first) + " meets " + to_string(other));
    }
  }
}

Types types_of_group(const InferCtx& ctx, size_t first, size_t count) {
  Types t;
  for (size_t i = 0; i < count; ++i) t.emplace_back(ctx.element(first + i), ctx.shape(first + i));
  return t;
}

float scalar_input(const EvalCtx& ctx, size_t i) {
  return static_cast<float>(get_element(ctx.input(i), 0));
}

double decay_of(const std::vector<int64_t>& mask, size_t k, double decay) {
  return k < mask.size() && mask[k] == 0 ? 0.0 : decay;
}

// Inputs of a group as f32, whatever they are stored in.
Tensor f32_input(const EvalCtx& ctx, size_t i) {
  return ctx.input(i).converted(ElementType::f32);
}

}  // namespace

Types SgdStep::infer(InferCtx& ctx) const {
  check_groups(ctx, count, 2, 3);
  const auto k = static_cast<size_t>(count);
  Types out = types_of_group(ctx, 2, k);
  for (Type& t : types_of_group(ctx, 2 + 2 * k, k)) out.push_back(std::move(t));
  return out;
}
void SgdStep::eval(EvalCtx& ctx) const {
  const auto k = static_cast<size_t>(count);
  const float lr = scalar_input(ctx, 0), scale = scalar_input(ctx, 1), mu = static_cast<float>(momentum);
  for (size_t p = 0; p < k; ++p) {
    const Tensor w = f32_input(ctx, 2 + p), g = f32_input(ctx, 2 + k + p), m = f32_input(ctx, 2 + 2 * k + p);
    Tensor new_w = ctx.output(p, ElementType::f32, w.shape()), new_m = ctx.output(k + p, ElementType::f32, w.shape());
    if (g.shape() != w.shape() || m.shape() != w.shape())
      ctx.fail("parameter " + std::to_string(p) + " differs in shape from its gradient or momentum");
    const float *wp = w.data<float>(), *gp = g.data<float>(), *mp = m.data<float>();
    float *nw = new_w.data<float>(), *nm = new_m.data<float>();
    const auto decay = static_cast<float>(decay_of(decay_mask, p, weight_decay));
    for (size_t i = 0; i < w.size(); ++i) {
      const float grad = scale * gp[i] + decay * wp[i];
      const float buffer = mu * mp[i] + grad;
      nm[i] = scale == 0 ? mp[i] : buffer;
      nw[i] = scale == 0 ? wp[i] : wp[i] - lr * (nesterov ? grad + mu * buffer : buffer);
    }
  }
}
Samples SgdStep::samples() {
  SgdStep plain{.count = 1, .momentum = 0.9};
  SgdStep many{.count = 2, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1, .decay_mask = {1, 0}};
  const auto group = [](uint64_t s) { return std::vector<Datum>{random_tensor({3, 2}, s), random_tensor({5}, s + 1)}; };
  std::vector<Datum> in{float_scalar(0.1f), float_scalar(0.5f)};
  for (uint64_t s : {1, 3, 5}) {
    for (Datum& d : group(s)) in.push_back(d);
  }
  // torch.optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True), one step from a momentum of 0.5.
  SgdStep torch_like{.count = 1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1};
  const auto one = [](float v) { return Tensor::of<float>({1}, {v}); };
  const float inf = std::numeric_limits<float>::infinity();
  return {
      sample(plain, {float_scalar(0.1f), float_scalar(1), one(1), one(2), one(0)}, {one(0.8f), one(2)}),
      sample(many, in),
      sample(torch_like, {float_scalar(0.1f), float_scalar(1), one(1), one(2), one(0.5f)}, {one(0.5605f), one(2.55f)}),
      sample(torch_like, {float_scalar(0.1f), float_scalar(0), one(1), one(inf), one(0.5f)}, {one(1), one(0.5f)})};
}
HONE_DEFINE_OP(SgdStep)

Types AdamWStep::infer(InferCtx& ctx) const {
  check_groups(ctx, count, 3, 4);
  const auto k = static_cast<size_t>(count);
  Types out = types_of_group(ctx, 3, k);
  for (Type& t : types_of_group(ctx, 3 + 2 * k, 2 * k)) out.push_back(std::move(t));
  return out;
}
void AdamWStep::eval(EvalCtx& ctx) const {
  const auto k = static_cast<size_t>(count);
  const float lr = scalar_input(ctx, 0), scale = scalar_input(ctx, 1), step = scalar_input(ctx, 2);
  const auto b1 = static_cast<float>(beta1), b2 = static_cast<float>(beta2), eps = static_cast<float>(epsilon);
  const auto c1 = static_cast<float>(1 - std::pow(beta1, static_cast<double>(step))),
             c2 = static_cast<float>(1 - std::pow(beta2, static_cast<double>(step)));
  for (size_t p = 0; p < k; ++p) {
    const Tensor w = f32_input(ctx, 3 + p), g = f32_input(ctx, 3 + k + p), m = f32_input(ctx, 3 + 2 * k + p),
                 v = f32_input(ctx, 3 + 3 * k + p);
    if (g.shape() != w.shape() || m.shape() != w.shape() || v.shape() != w.shape())
      ctx.fail("parameter " + std::to_string(p) + " differs in shape from its gradient or moments");
    Tensor new_w = ctx.output(p, ElementType::f32, w.shape()), new_m = ctx.output(k + p, ElementType::f32, w.shape()),
           new_v = ctx.output(2 * k + p, ElementType::f32, w.shape());
    const auto decay = static_cast<float>(decay_of(decay_mask, p, weight_decay));
    for (size_t i = 0; i < w.size(); ++i) {
      const float w0 = w.data<float>()[i], m0 = m.data<float>()[i], v0 = v.data<float>()[i];
      if (scale == 0) {
        new_w.data<float>()[i] = w0, new_m.data<float>()[i] = m0, new_v.data<float>()[i] = v0;
        continue;
      }
      const float grad = scale * g.data<float>()[i];
      const float m1 = b1 * m0 + (1 - b1) * grad, v1 = b2 * v0 + (1 - b2) * grad * grad;
      new_m.data<float>()[i] = m1;
      new_v.data<float>()[i] = v1;
      new_w.data<float>()[i] = w0 - lr * decay * w0 - lr * (m1 / c1) / (std::sqrt(v1 / c2) + eps);
    }
  }
}
Samples AdamWStep::samples() {
  AdamWStep one{.count = 1, .weight_decay = 0.01},
      many{.count = 2, .beta1 = 0.8, .beta2 = 0.95, .weight_decay = 0.1, .decay_mask = {0, 1}};
  std::vector<Datum> in{float_scalar(0.01f), float_scalar(0.5f), float_scalar(3)};
  for (uint64_t s : {1, 3, 5}) in.insert(in.end(), {Datum(random_tensor({3, 2}, s)), Datum(random_tensor({5}, s + 1))});
  in.insert(in.end(), {Datum(random_tensor({3, 2}, 7, 0.1, 1)), Datum(random_tensor({5}, 8, 0.1, 1))});
  const auto f = [](float v) { return Tensor::of<float>({1}, {v}); };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  // torch.optim.AdamW(lr=0.1, weight_decay=0.01): the first step moves by lr against the sign of the gradient.
  return {sample(one, {float_scalar(0.1f), float_scalar(1), float_scalar(1), f(1), f(2), f(0), f(0)},
                 {f(0.899f), f(0.2f), f(0.004f)}),
          sample(many, in),
          sample(one, {float_scalar(0.1f), float_scalar(0), float_scalar(1), f(1), f(nan), f(0.5f), f(0.25f)},
                 {f(1), f(0.5f), f(0.25f)})};
}
HONE_DEFINE_OP(AdamWStep)

Types GradientScale::infer(InferCtx& ctx) const {
  ctx.check(ctx.num_inputs() > 0, "needs a gradient");
  return {Type(ElementType::f32, PartialShape(Shape{})), Type(ElementType::f32, PartialShape(Shape{}))};
}
void GradientScale::eval(EvalCtx& ctx) const {
  double sum = 0;
  for (size_t g = 0; g < ctx.num_inputs(); ++g) {
    const Tensor t = f32_input(ctx, g);
    for (float v : t.span<float>()) sum += static_cast<double>(v) * static_cast<double>(v);
  }
  const auto norm = static_cast<float>(std::sqrt(sum));
  float scale = 1;
  if (!std::isfinite(norm))
    scale = 0;
  else if (max_norm > 0 && norm > max_norm)
    scale = static_cast<float>(max_norm) / norm;
  ctx.set_output(0, Tensor::scalar<float>(scale));
  ctx.set_output(1, Tensor::scalar<float>(norm));
}
Samples GradientScale::samples() {
  const Tensor a = Tensor::of<float>({2}, {3, 0}), b = Tensor::of<float>({1, 1}, {4});
  const float inf = std::numeric_limits<float>::infinity();
  return {sample(GradientScale{1.0}, {a, b}, {float_scalar(0.2f), float_scalar(5)}),
          sample(GradientScale{0.0}, {a, b}, {float_scalar(1), float_scalar(5)}),
          sample(GradientScale{10.0}, {a, b}, {float_scalar(1), float_scalar(5)}),
          sample(GradientScale{1.0}, {Tensor::of<float>({1}, {inf})}, {float_scalar(0), float_scalar(inf)})};
}
HONE_DEFINE_OP(GradientScale)

Types EmaStep::infer(InferCtx& ctx) const {
  check_groups(ctx, count, 1, 2);
  return types_of_group(ctx, 1, static_cast<size_t>(count));
}
void EmaStep::eval(EvalCtx& ctx) const {
  const float decay = scalar_input(ctx, 0);
  const auto k = static_cast<size_t>(count);
  for (size_t p = 0; p < k; ++p) {
    const Tensor average = f32_input(ctx, 1 + p), w = f32_input(ctx, 1 + k + p);
    if (average.shape() != w.shape()) ctx.fail("average " + std::to_string(p) + " differs in shape from its parameter");
    Tensor y = ctx.output(p, ElementType::f32, w.shape());
    for (size_t i = 0; i < w.size(); ++i)
      y.data<float>()[i] = decay * average.data<float>()[i] + (1 - decay) * w.data<float>()[i];
  }
}
Samples EmaStep::samples() {
  return {sample(EmaStep{1}, {float_scalar(0.75f), Tensor::of<float>({2}, {4, 0}), Tensor::of<float>({2}, {8, 1})},
                 {Tensor::of<float>({2}, {5, 0.25f})}),
          sample(EmaStep{2}, {float_scalar(0.9f), random_tensor({3}, 1), random_tensor({2, 2}, 2),
                              random_tensor({3}, 3), random_tensor({2, 2}, 4)})};
}
HONE_DEFINE_OP(EmaStep)

}  // namespace hone
