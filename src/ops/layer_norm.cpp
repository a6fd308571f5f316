// Operators that normalize each sample by itself.
#include <algorithm>
#include <cmath>

#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/pooling.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

std::vector<bool> chosen_axes(const auto& ctx, const std::vector<int64_t>& axes, size_t rank) {
  std::vector<bool> chosen(rank, false);
  const auto n = static_cast<int64_t>(rank);
  for (int64_t a : axes) {
    if (a < -n || a >= n) ctx.fail("axis " + std::to_string(a) + " is outside of rank " + std::to_string(rank));
    chosen[static_cast<size_t>(a < 0 ? a + n : a)] = true;
  }
  return chosen;
}

Types infer_same(InferCtx& ctx) {
  const ElementType e = ctx.element(0);
  ctx.check(is_float(e) || e == ElementType::dynamic, std::string("is not defined on ") + name_of(e));
  return {Type(e, ctx.shape(0))};
}
Types infer_with_axes(InferCtx& ctx) {
  const Tensor axes = ctx.constant(1);
  if (axes && ctx.shape(0).rank_known()) chosen_axes(ctx, axes.to_ints(), ctx.shape(0).rank());
  return infer_same(ctx);
}

// Calls `f(offsets)` for every set of elements that is normalized together.
template <class F>
void for_each_set(const Shape& shape, const std::vector<bool>& reduced, F&& f) {
  if (element_count(shape) == 0) return;
  std::vector<int64_t> stride(shape.size());
  int64_t step = 1;
  for (size_t k = shape.size(); k-- > 0;) {
    stride[k] = step;
    step *= shape[k];
  }
  // Offsets of one kind of axes, in order.
  const auto offsets_of = [&](bool which) {
    std::vector<int64_t> out{0};
    for (size_t k = 0; k < shape.size(); ++k) {
      if (reduced[k] != which) continue;
      std::vector<int64_t> next;
      next.reserve(out.size() * static_cast<size_t>(shape[k]));
      for (int64_t o : out) {
        for (int64_t i = 0; i < shape[k]; ++i) next.push_back(o + i * stride[k]);
      }
      out = std::move(next);
    }
    return out;
  };
  const auto inner = offsets_of(true);
  for (int64_t base : offsets_of(false)) f(base, inner);
}

std::vector<bool> trailing_axes(const auto& ctx, int64_t axis, size_t rank) {
  const auto n = static_cast<int64_t>(rank);
  if (axis < -n || axis >= n) ctx.fail("axis " + std::to_string(axis) + " is outside of rank " + std::to_string(rank));
  std::vector<bool> reduced(rank, false);
  std::fill(reduced.begin() + (axis < 0 ? axis + n : axis), reduced.end(), true);
  return reduced;
}
Value trailing_axes(Builder& b, int64_t axis, Value x, const char* op) {
  if (!x.shape().rank_known()) throw Error(ErrorCode::failed, "[" + std::string(op) + "] needs data of known rank");
  const auto rank = static_cast<int64_t>(x.shape().rank());
  std::vector<int64_t> axes;
  for (int64_t k = axis < 0 ? axis + rank : axis; k < rank; ++k) axes.push_back(k);
  return b.ints(axes);
}
// gamma and beta have the normalized shape, or broadcast to it.
void check_affine(InferCtx& ctx, size_t i, int64_t axis) {
  const PartialShape &x = ctx.shape(0), &p = ctx.shape(i);
  if (!x.rank_known()) return;
  const auto reduced = trailing_axes(ctx, axis, x.rank());
  if (!p.rank_known()) return;
  try {
    const PartialShape all = broadcast(x, p);
    if (all.rank_known() && all.rank() == x.rank() && x.compatible(all)) return;
  } catch (const Error&) {
  }
  ctx.fail("input " + std::to_string(i) + " " + to_string(p) + " does not fit data " + to_string(x));
}

// y = normalized * gamma + beta with both broadcast to x; `normalize(base, inner, write)` hands out the normalized
// elements.
struct Affine {
  const Tensor* gamma = nullptr;
  const Tensor* beta = nullptr;
  std::vector<int64_t> gamma_strides, beta_strides;
  Shape shape;
  Affine(const EvalCtx& ctx, const Shape& x, size_t gamma_input, size_t beta_input) : shape(x) {
    const auto take = [&](size_t i, const Tensor*& t, std::vector<int64_t>& strides) {
      if (!ctx.has(i)) return;
      t = &ctx.input(i);
      if (broadcast(x, t->shape()) != x)
        ctx.fail("input " + std::to_string(i) + " " + to_string(t->shape()) + " does not fit data " + to_string(x));
      strides = broadcast_strides(t->shape(), x);
    };
    take(gamma_input, gamma, gamma_strides);
    take(beta_input, beta, beta_strides);
  }
  double operator()(double v, int64_t offset) const {
    int64_t g = 0, b = 0;
    for (size_t k = shape.size(); k-- > 0;) {
      const int64_t at = offset % shape[k];
      offset /= shape[k];
      if (gamma) g += at * gamma_strides[k];
      if (beta) b += at * beta_strides[k];
    }
    return v * (gamma ? get_element(*gamma, static_cast<size_t>(g)) : 1) +
           (beta ? get_element(*beta, static_cast<size_t>(b)) : 0);
  }
};

struct Moments {
  double mean = 0, variance = 0;
};
template <class T>
Moments moments(const T* x, int64_t base, const std::vector<int64_t>& inner) {
  Moments m;
  for (int64_t i : inner) m.mean += static_cast<double>(x[base + i]);
  m.mean /= static_cast<double>(inner.size());
  for (int64_t i : inner)
    m.variance += (static_cast<double>(x[base + i]) - m.mean) * (static_cast<double>(x[base + i]) - m.mean);
  m.variance /= static_cast<double>(inner.size());
  return m;
}

// (x - mean) / sqrt(variance + eps) with builders, and the pieces.
struct Normalized {
  Value centered, inverse, value;
};
Normalized normalized(Builder& b, Value x, Value axes, double epsilon) {
  Normalized n;
  n.centered = b(Subtract{}, x, b(ReduceMean{true}, x, axes));
  const Value variance = b(ReduceMean{true}, b(Multiply{}, n.centered, n.centered), axes);
  n.inverse = b(Divide{}, b.like(x, 1), b(Sqrt{}, b(Add{}, variance, b.like(x, epsilon))));
  n.value = b(Multiply{}, n.centered, n.inverse);
  return n;
}

}  // namespace

Types MVN::infer(InferCtx& ctx) const {
  return infer_with_axes(ctx);
}
void MVN::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  const auto reduced = chosen_axes(ctx, ctx.input(1).to_ints(), x.rank());
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for_each_set(x.shape(), reduced, [&](int64_t base, const std::vector<int64_t>& inner) {
      const Moments m = moments(x.data<T>(), base, inner);
      double divisor = 1;
      if (normalize_variance)
        divisor = eps_mode == EpsMode::inside_sqrt ? std::sqrt(m.variance + eps) : std::sqrt(m.variance) + eps;
      for (int64_t i : inner)
        y.data<T>()[base + i] = static_cast<T>((static_cast<double>(x.data<T>()[base + i]) - m.mean) / divisor);
    });
  });
}
Values MVN::expand(Builder& b, const Values& in) const {
  const Value centered = b(Subtract{}, in[0], b(ReduceMean{true}, in[0], in[1]));
  if (!normalize_variance) return {centered};
  const Value variance = b(ReduceMean{true}, b(Multiply{}, centered, centered), in[1]), e = b.like(in[0], eps);
  const Value divisor =
      eps_mode == EpsMode::inside_sqrt ? b(Sqrt{}, b(Add{}, variance, e)) : b(Add{}, b(Sqrt{}, variance), e);
  return {b(Divide{}, centered, divisor)};
}
Samples MVN::samples() {
  const Tensor x = Tensor::of<float>({1, 2, 3}, {-2, -1, 0, 1, 2, 3});
  // Expected values from OpenVINO 2026.4.
  return {sample(MVN{0.1}, {x, int_tensor({2})},
                 {Tensor::of<float>({1, 2, 3}, {-1.1420804f, 0, 1.1420804f, -1.1420804f, 0, 1.1420804f})}),
          sample(MVN{0.1, true, EpsMode::outside_sqrt}, {x, int_tensor({-1})},
                 {Tensor::of<float>({1, 2, 3}, {-1.0911114f, 0, 1.0911114f, -1.0911114f, 0, 1.0911114f})}),
          sample(MVN{1e-6, false}, {random_tensor({2, 3, 2, 2}, 1), int_tensor({1, 2, 3})}),
          sample(MVN{1e-6, true}, {random_tensor({2, 3, 2, 2}, 1), int_tensor({0, 2, -1})})};
}
HONE_DEFINE_OP(MVN)

Types LayerNorm::infer(InferCtx& ctx) const {
  check_affine(ctx, 1, axis);
  if (ctx.has(2)) check_affine(ctx, 2, axis);
  return infer_same(ctx);
}
void LayerNorm::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  const Affine affine(ctx, x.shape(), 1, 2);
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for_each_set(x.shape(), trailing_axes(ctx, axis, x.rank()), [&](int64_t base, const std::vector<int64_t>& inner) {
      const Moments m = moments(x.data<T>(), base, inner);
      const double inverse = 1 / std::sqrt(m.variance + epsilon);
      for (int64_t i : inner)
        y.data<T>()[base + i] =
            static_cast<T>(affine((static_cast<double>(x.data<T>()[base + i]) - m.mean) * inverse, base + i));
    });
  });
}
Values LayerNorm::expand(Builder& b, const Values& in) const {
  Value y = b(Multiply{}, normalized(b, in[0], trailing_axes(b, axis, in[0], name), epsilon).value, in[1]);
  if (in.size() > 2 && in[2]) y = b(Add{}, y, in[2]);
  return {y};
}
void LayerNorm::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value x = ctx.input(0), dy = ctx.dout(), axes = trailing_axes(b, axis, x, name);
  if (ctx.needs(2)) ctx.set(2, ctx.unbroadcast(dy, 2));
  if (!ctx.needs(0) && !ctx.needs(1)) return;
  const Normalized n = normalized(b, x, axes, epsilon);
  if (ctx.needs(1)) ctx.set(1, ctx.unbroadcast(b(Multiply{}, dy, n.value), 1));
  if (!ctx.needs(0)) return;
  // dx = inverse * (g - mean(g) - normalized * mean(g * normalized)) with g = dy * gamma
  const Value g = b(Multiply{}, dy, ctx.input(1));
  const Value inner = b(Subtract{}, g, b(ReduceMean{true}, g, axes));
  const Value slant = b(Multiply{}, n.value, b(ReduceMean{true}, b(Multiply{}, g, n.value), axes));
  ctx.set(0, b(Multiply{}, n.inverse, b(Subtract{}, inner, slant)));
}
Samples LayerNorm::samples() {
  // PyTorch: layer_norm([[1, 2, 4]], weight [1, 2, 3], bias [0, 1, 0], eps 0.5)
  return {sample(LayerNorm{0.5},
                 {Tensor::of<float>({1, 3}, {1, 2, 4}), Tensor::of<float>({3}, {1, 2, 3}),
                  Tensor::of<float>({3}, {0, 1, 0})},
                 {Tensor::of<float>({1, 3}, {-0.9299811f, 0.5350094f, 3.4874291f})}),
          sample(LayerNorm{1e-5, 1}, {random_tensor({2, 3, 4}, 1), random_tensor({3, 4}, 2), random_tensor({3, 4}, 3)}),
          sample(LayerNorm{1e-5, -1}, {random_tensor({2, 3, 5}, 1), random_tensor({5}, 2)})};
}
HONE_DEFINE_OP(LayerNorm)

Types RMSNorm::infer(InferCtx& ctx) const {
  if (ctx.has(1)) check_affine(ctx, 1, axis);
  return infer_same(ctx);
}
void RMSNorm::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  const Affine affine(ctx, x.shape(), 1, 2);
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for_each_set(x.shape(), trailing_axes(ctx, axis, x.rank()), [&](int64_t base, const std::vector<int64_t>& inner) {
      double squares = 0;
      for (int64_t i : inner)
        squares += static_cast<double>(x.data<T>()[base + i]) * static_cast<double>(x.data<T>()[base + i]);
      const double inverse = 1 / std::sqrt(squares / static_cast<double>(inner.size()) + epsilon);
      for (int64_t i : inner)
        y.data<T>()[base + i] = static_cast<T>(affine(static_cast<double>(x.data<T>()[base + i]) * inverse, base + i));
    });
  });
}
Values RMSNorm::expand(Builder& b, const Values& in) const {
  const Value squares = b(ReduceMean{true}, b(Multiply{}, in[0], in[0]), trailing_axes(b, axis, in[0], name));
  const Value y = b(Divide{}, in[0], b(Sqrt{}, b(Add{}, squares, b.like(in[0], epsilon))));
  return {in.size() > 1 && in[1] ? b(Multiply{}, y, in[1]) : y};
}
Samples RMSNorm::samples() {
  return {sample(RMSNorm{2}, {Tensor::of<float>({1, 2}, {3, 3.3166248f}), Tensor::of<float>({2}, {1, 2})},
                 {Tensor::of<float>({1, 2}, {0.8660254f, 1.9148542f})}),
          sample(RMSNorm{1e-5, 1}, {random_tensor({2, 3, 4}, 1), random_tensor({3, 4}, 2)}),
          sample(RMSNorm{}, {random_tensor({2, 3, 4}, 1), random_tensor({4}, 2)})};
}
HONE_DEFINE_OP(RMSNorm)

Types GroupNormalization::infer(InferCtx& ctx) const {
  const PartialShape& x = ctx.shape(0);
  ctx.check(num_groups >= 1, "num_groups is " + std::to_string(num_groups));
  if (x.rank_known()) {
    ctx.check(x.rank() >= 2, "data " + to_string(x) + " is not [N, C, ...]");
    ctx.check(x[1].is_dynamic() || x[1].get_length() % num_groups == 0,
              "the channels of " + to_string(x) + " do not divide into " + std::to_string(num_groups) + " groups");
    for (size_t i = 1; i < 3; ++i)
      ctx.check(ctx.shape(i).compatible(PartialShape{x[1]}),
                "input " + std::to_string(i) + " " + to_string(ctx.shape(i)) + " is not [C]");
  }
  return infer_same(ctx);
}
void GroupNormalization::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if (x.rank() < 2 || num_groups < 1 || x.shape()[1] % num_groups)
    ctx.fail("the channels of " + to_string(x.shape()) + " do not divide into " + std::to_string(num_groups) +
             " groups");
  const int64_t channels = x.shape()[1];
  for (size_t i = 1; i < 3; ++i) {
    if (ctx.input(i).shape() != Shape{channels})
      ctx.fail("input " + std::to_string(i) + " " + to_string(ctx.input(i).shape()) + " is not [C]");
  }
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  if (x.size() == 0) return;
  const int64_t sets = x.shape()[0] * num_groups, size = static_cast<int64_t>(x.size()) / sets,
                space = static_cast<int64_t>(x.size()) / (x.shape()[0] * channels);
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for_each_set({sets, size}, {false, true}, [&](int64_t base, const std::vector<int64_t>& inner) {
      const Moments m = moments(x.data<T>(), base, inner);
      const double inverse = 1 / std::sqrt(m.variance + epsilon);
      for (int64_t i : inner) {
        const auto c = static_cast<size_t>((base + i) / space % channels);
        y.data<T>()[base + i] = static_cast<T>((static_cast<double>(x.data<T>()[base + i]) - m.mean) * inverse *
                                                   get_element(ctx.input(1), c) +
                                               get_element(ctx.input(2), c));
      }
    });
  });
}
Values GroupNormalization::expand(Builder& b, const Values& in) const {
  const Value x = in[0];
  if (!x.shape().rank_known()) throw Error(ErrorCode::failed, "[GroupNormalization] needs data of known rank");
  const Value grouped = b(Reshape{true}, x, b.ints({0, num_groups, -1}));
  const Value plain = b(Reshape{}, normalized(b, grouped, b.ints({2}), epsilon).value, b(ShapeOf{}, x));
  std::vector<int64_t> along(x.shape().rank() - 1, 1);
  along[0] = -1;
  const auto spread = [&](Value v) { return b(Reshape{}, v, b.ints(along)); };
  return {b(Add{}, b(Multiply{}, plain, spread(in[1])), spread(in[2]))};
}
Samples GroupNormalization::samples() {
  // Expected values from OpenVINO 2026.4.
  return {
      sample(GroupNormalization{2, 0.1},
             {Tensor::of<float>({1, 4, 2}, {0, 1, 4, 9, 16, 25, 36, 49}), Tensor::of<float>({4}, {1, 2, 3, 4}),
              Tensor::of<float>({4}, {0, 1, 0, 1})},
             {Tensor::of<float>({1, 4, 2}, {-0.9959432f, -0.7113880f, 1.2845552f, 4.1301069f, -3.7673130f, -1.5798409f,
                                            2.4583149f, 6.6712241f})}),
      sample(GroupNormalization{3, 1e-5},
             {random_tensor({2, 6, 2, 3}, 1), random_tensor({6}, 2), random_tensor({6}, 3)}),
      sample(GroupNormalization{1, 1e-5}, {random_tensor({2, 4, 3}, 1), random_tensor({4}, 2), random_tensor({4}, 3)})};
}
HONE_DEFINE_OP(GroupNormalization)

Types NormalizeL2::infer(InferCtx& ctx) const {
  ctx.check(eps_mode == "add" || eps_mode == "max", "eps_mode is '" + eps_mode + "', neither add nor max");
  return infer_with_axes(ctx);
}
void NormalizeL2::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  const auto axes = ctx.input(1).to_ints();
  const auto reduced = chosen_axes(ctx, axes, x.rank());
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for_each_set(x.shape(), reduced, [&](int64_t base, const std::vector<int64_t>& inner) {
      double squares = 0;
      for (int64_t i : inner)
        squares += static_cast<double>(x.data<T>()[base + i]) * static_cast<double>(x.data<T>()[base + i]);
      const double divisor = std::sqrt(eps_mode == "add" ? squares + eps : std::max(squares, eps));
      for (int64_t i : inner)
        y.data<T>()[base + i] = static_cast<T>(static_cast<double>(x.data<T>()[base + i]) / divisor);
    });
  });
}
Values NormalizeL2::expand(Builder& b, const Values& in) const {
  const Value squares = b(ReduceSum{true}, b(Multiply{}, in[0], in[0]), in[1]), e = b.like(in[0], eps);
  return {b(Divide{}, in[0], b(Sqrt{}, eps_mode == "add" ? b(Add{}, squares, e) : b(Maximum{}, squares, e)))};
}
Samples NormalizeL2::samples() {
  const Tensor x = Tensor::of<float>({1, 2, 3}, {-2, -1, 0, 1, 2, 3});
  return {sample(NormalizeL2{0.5, "add"}, {x, int_tensor({1})},
                 {Tensor::of<float>({1, 2, 3}, {-0.8528029f, -0.4264014f, 0, 0.4264014f, 0.8528029f, 0.9733285f})}),
          sample(NormalizeL2{100, "max"}, {x, int_tensor({1, 2})},
                 {Tensor::of<float>({1, 2, 3}, {-0.2f, -0.1f, 0, 0.1f, 0.2f, 0.3f})}),
          sample(NormalizeL2{1e-6, "add"}, {random_tensor({2, 3, 2, 2}, 1), int_tensor({-1, 1})})};
}
HONE_DEFINE_OP(NormalizeL2)

Types LRN::infer(InferCtx& ctx) const {
  ctx.check(size >= 1, "size is " + std::to_string(size));
  return infer_with_axes(ctx);
}
void LRN::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if (size < 1) ctx.fail("size is " + std::to_string(size));
  const auto chosen = chosen_axes(ctx, ctx.input(1).to_ints(), x.rank());
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  if (x.size() == 0) return;
  const int64_t reach = (size - 1) / 2;
  double area = 1;
  // Sums of squares over the window, one axis after the other.
  std::vector<double> squares(x.size());
  for (size_t i = 0; i < x.size(); ++i) squares[i] = get_element(x, i) * get_element(x, i);
  for (size_t k = 0; k < x.rank(); ++k) {
    if (!chosen[k]) continue;
    area *= static_cast<double>(size);
    const int64_t n = x.shape()[k];
    int64_t stride = 1;
    for (size_t j = k + 1; j < x.rank(); ++j) stride *= x.shape()[j];
    std::vector<double> sums(x.size());
    for (int64_t i = 0; i < static_cast<int64_t>(x.size()); ++i) {
      const int64_t at = i / stride % n;
      for (int64_t j = std::max<int64_t>(0, at - reach); j <= std::min(n - 1, at + reach); ++j)
        sums[static_cast<size_t>(i)] += squares[static_cast<size_t>(i + (j - at) * stride)];
    }
    squares = std::move(sums);
  }
  for (size_t i = 0; i < x.size(); ++i)
    set_element(y, i, get_element(x, i) / std::pow(bias + alpha / area * squares[i], beta));
}
Samples LRN::samples() {
  Tensor x(ElementType::f32, {1, 2, 2, 2});
  for (int i = 0; i < 8; ++i) x.data<float>()[i] = static_cast<float>(i + 1);
  // Expected values from OpenVINO 2026.4.
  return {sample(LRN{1, 0.75, 1, 3}, {x, int_tensor({2, 3})},
                 {Tensor::of<float>({1, 2, 2, 2}, {0.3329534f, 0.6659068f, 0.9988602f, 1.3318136f, 0.5221720f,
                                                   0.6266064f, 0.7310408f, 0.8354752f})}),
          sample(LRN{1, 0.75, 1, 3}, {x, int_tensor({1})},
                 {Tensor::of<float>({1, 2, 2, 2}, {0.1824074f, 0.2714998f, 0.3133032f, 0.3315831f, 0.9120370f,
                                                   0.8144995f, 0.7310408f, 0.6631662f})}),
          sample(LRN{1e-2, 0.5, 2, 5}, {random_tensor({2, 7, 2}, 1), int_tensor({1})})};
}
HONE_DEFINE_OP(LRN)

}  // namespace hone
