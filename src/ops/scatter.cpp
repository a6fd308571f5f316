// Writes by index: ScatterElementsUpdate, ScatterNDUpdate, ScatterUpdate.
#include <algorithm>

#include "ops/axes.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/strided_copy.hpp"

namespace hone {
namespace {

int64_t checked_index(const EvalCtx& ctx, int64_t i, int64_t n) {
  if (i < -n || i >= n) ctx.fail("index " + std::to_string(i) + " is outside of a dimension of " + std::to_string(n));
  return i < 0 ? i + n : i;
}

template <class T>
T combine(ScatterReduction r, T a, T b) {
  switch (r) {
    case ScatterReduction::sum:
    case ScatterReduction::mean:
      return static_cast<T>(Wrapping<T>(a) + Wrapping<T>(b));
    case ScatterReduction::prod:
      return static_cast<T>(Wrapping<T>(a) * Wrapping<T>(b));
    case ScatterReduction::min:
      return std::min(a, b);
    case ScatterReduction::max:
      return std::max(a, b);
    default:
      return b;
  }
}

// y[at] = reduction(y[at], updates[from])
void update(Tensor& y, int64_t at, const Tensor& updates, int64_t from, ScatterReduction r) {
  const auto to = static_cast<size_t>(at), u = static_cast<size_t>(from);
  if (r == ScatterReduction::none) return copy_elements(updates, from, y, at, 1);
  if (y.element_type() == ElementType::f32) {
    float& v = y.data<float>()[to];
    v = combine(r, v, updates.data<float>()[u]);
  } else if (y.element_type() == ElementType::boolean) {
    const bool a = get_integer(y, to) != 0, b = get_integer(updates, u) != 0;
    const bool both = r == ScatterReduction::prod || r == ScatterReduction::min;
    set_integer(y, to, both ? a && b : a || b);
  } else if (is_integer(y.element_type())) {
    set_integer(y, to, combine(r, get_integer(y, to), get_integer(updates, u)));
  } else {
    set_element(y, to, combine(r, get_element(y, to), get_element(updates, u)));
  }
}

Value zeros_like(Builder& b, Value v) {
  return b(Broadcast{}, b.like(v, 0), shape_value(b, v));
}

// What the axis input says, where it is constant.
int64_t constant_axis(const GradCtx& ctx, size_t i) {
  const Tensor t = ctx.input(i).constant();
  if (!t)
    throw Error(ErrorCode::unsupported,
                "[" + std::string(ctx.node().op().name) + "] the gradient wants a constant axis");
  return get_integer(t, 0);
}

Type data_type(const InferCtx& ctx) {
  return Type(ctx.element(0), ctx.shape(0));
}

}  // namespace

Types ScatterElementsUpdate::infer(InferCtx& ctx) const {
  const PartialShape &data = ctx.shape(0), &indices = ctx.shape(1), &updates = ctx.shape(2);
  ctx.check(indices.compatible(updates),
            "indices " + to_string(indices) + " and updates " + to_string(updates) + " differ in shape");
  if (data.rank_known() && indices.rank_known())
    ctx.check(data.rank() == indices.rank(),
              "data " + to_string(data) + " and indices " + to_string(indices) + " differ in rank");
  if (const Tensor axis = ctx.constant(3); axis && data.rank_known()) axis_of(ctx, get_integer(axis, 0), data.rank());
  return {data_type(ctx)};
}
void ScatterElementsUpdate::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &indices = ctx.input(1), &updates = ctx.input(2);
  const size_t a = axis_of(ctx, get_integer(ctx.input(3), 0), x.rank());
  if (indices.shape() != updates.shape() || indices.rank() != x.rank())
    ctx.fail("indices " + to_string(indices.shape()) + " and updates " + to_string(updates.shape()) + " for data " +
             to_string(x.shape()));
  for (size_t k = 0; k < x.rank(); ++k) {
    if (k != a && indices.shape()[k] > x.shape()[k])
      ctx.fail("indices " + to_string(indices.shape()) + " reach outside of " + to_string(x.shape()));
  }
  Tensor y = x.clone();
  const auto strides = strides_of(x.shape());
  std::vector<int64_t> target(indices.size());
  for (size_t i = 0; i < target.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    for (size_t k = x.rank(); k-- > 0;) {
      const int64_t at = rest % indices.shape()[k];
      rest /= indices.shape()[k];
      target[i] += (k == a ? checked_index(ctx, get_integer(indices, i), x.shape()[k]) : at) * strides[k];
    }
  }
  std::vector<int64_t> count(reduction == ScatterReduction::none ? 0 : x.size(), use_init_val ? 1 : 0);
  for (size_t i = 0; i < target.size(); ++i) {
    const int64_t at = target[i];
    // Without the initial value, the first update of an element takes its place.
    const bool first = reduction != ScatterReduction::none && count[static_cast<size_t>(at)]++ == 0;
    update(y, at, updates, static_cast<int64_t>(i), first ? ScatterReduction::none : reduction);
  }
  if (reduction == ScatterReduction::mean) {
    for (size_t i = 0; i < count.size(); ++i) {
      if (count[i] < 2) continue;
      if (is_integer(y.element_type())) {
        // Rounded down, also below zero.
        const int64_t v = get_integer(y, i), q = v / count[i];
        set_integer(y, i, v % count[i] < 0 ? q - 1 : q);
      } else {
        set_element(y, i, get_element(y, i) / static_cast<double>(count[i]));
      }
    }
  }
  ctx.set_output(0, y);
}
void ScatterElementsUpdate::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  const Value indices = ctx.input(1), d = ctx.dout();
  if (reduction == ScatterReduction::sum && use_init_val) {
    if (ctx.needs(0)) ctx.set(0, d);
    if (ctx.needs(2)) ctx.set(2, b(GatherElements{constant_axis(ctx, 3)}, d, indices));
  } else if (reduction == ScatterReduction::none) {
    if (ctx.needs(0)) ctx.set(0, b(ScatterElementsUpdate{}, d, indices, zeros_like(b, ctx.input(2)), ctx.input(3)));
    if (ctx.needs(2)) ctx.set(2, b(GatherElements{constant_axis(ctx, 3)}, d, indices));
  } else {
    throw Error(
        ErrorCode::unsupported,
        "[ScatterElementsUpdate] the gradient is offered for reduction none, and for sum with the initial value");
  }
}
Samples ScatterElementsUpdate::samples() {
  const Tensor x = Tensor::of<float>({3}, {1, 2, 3}), at = int_tensor({1, 1, -1}),
               u = Tensor::of<float>({3}, {10, 20, 30}), axis = int_scalar(0);
  const auto with = [&](ScatterReduction r, bool init, std::initializer_list<float> want) {
    Sample s = sample(ScatterElementsUpdate{r, init}, {x, at, u, axis}, {Tensor::of<float>({3}, want)});
    s.check_gradient = r == ScatterReduction::sum && init;
    return s;
  };
  return {with(ScatterReduction::sum, true, {1, 32, 33}),
          with(ScatterReduction::sum, false, {1, 30, 30}),
          with(ScatterReduction::prod, true, {1, 400, 90}),
          with(ScatterReduction::min, true, {1, 2, 3}),
          with(ScatterReduction::max, true, {1, 20, 30}),
          with(ScatterReduction::mean, true, {1, 32.f / 3, 16.5f}),
          with(ScatterReduction::mean, false, {1, 15, 30}),
          with(ScatterReduction::none, true, {1, 20, 30}),
          sample(ScatterElementsUpdate{}, {random_tensor({2, 3}, 1), Tensor::of<int64_t>({1, 2}, {0, 2}),
                                           random_tensor({1, 2}, 2), int_scalar(-1)}),
          sample(ScatterElementsUpdate{ScatterReduction::mean},
                 {Tensor::of<int32_t>({2}, {-5, 7}), int_tensor({0, 1}), Tensor::of<int32_t>({2}, {-2, 2}), axis},
                 {Tensor::of<int32_t>({2}, {-4, 4})}),
          sample(ScatterElementsUpdate{},
                 {Tensor::strings({2}, {"a", "b"}), int_tensor({1}), Tensor::strings({1}, {"c"}), axis},
                 {Tensor::strings({2}, {"a", "c"})})};
}
HONE_DEFINE_OP(ScatterElementsUpdate)

Types ScatterNDUpdate::infer(InferCtx& ctx) const {
  const PartialShape &data = ctx.shape(0), &indices = ctx.shape(1);
  ctx.check(reduction != ScatterReduction::mean, "has no mean");
  if (data.rank_known() && indices.rank_known()) {
    ctx.check(indices.rank() >= 1, "indices are a scalar");
    const Dimension& depth = indices[indices.rank() - 1];
    ctx.check(depth.min() <= static_cast<int64_t>(data.rank()),
              "indices of " + to_string(depth) + " numbers for data " + to_string(data));
  }
  return {data_type(ctx)};
}
void ScatterNDUpdate::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &indices = ctx.input(1), &updates = ctx.input(2);
  if (indices.rank() == 0 || indices.shape().back() > static_cast<int64_t>(x.rank()))
    ctx.fail("indices " + to_string(indices.shape()) + " for data " + to_string(x.shape()));
  const auto used = static_cast<size_t>(indices.shape().back());
  Shape want(indices.shape().begin(), indices.shape().end() - 1);
  const int64_t rows = element_count(want);
  int64_t block = 1;
  for (size_t k = used; k < x.rank(); ++k) {
    want.push_back(x.shape()[k]);
    block *= x.shape()[k];
  }
  if (updates.shape() != want) ctx.fail("updates " + to_string(updates.shape()) + ", wanted are " + to_string(want));
  const auto strides = strides_of(x.shape());
  Tensor y = x.clone();
  for (int64_t r = 0; r < rows; ++r) {
    int64_t at = 0;
    for (size_t k = 0; k < used; ++k)
      at += checked_index(ctx, get_integer(indices, static_cast<size_t>(r) * used + k), x.shape()[k]) * strides[k];
    if (reduction == ScatterReduction::none) {
      copy_elements(updates, r * block, y, at, block);
    } else {
      for (int64_t i = 0; i < block; ++i) update(y, at + i, updates, r * block + i, reduction);
    }
  }
  ctx.set_output(0, y);
}
void ScatterNDUpdate::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  if (reduction != ScatterReduction::none && reduction != ScatterReduction::sum) {
    throw Error(ErrorCode::unsupported, "[ScatterNDUpdate] the gradient is offered for reduction none and sum");
  }
  if (ctx.needs(0))
    ctx.set(0, reduction == ScatterReduction::sum
                   ? ctx.dout()
                   : b(ScatterNDUpdate{}, ctx.dout(), ctx.input(1), zeros_like(b, ctx.input(2))));
  if (ctx.needs(2)) ctx.set(2, b(GatherND{}, ctx.dout(), ctx.input(1)));
}
Samples ScatterNDUpdate::samples() {
  const Tensor x = Tensor::of<float>({4}, {1, 2, 3, 4}), at = Tensor::of<int64_t>({3, 1}, {1, 3, 1}),
               u = Tensor::of<float>({3}, {10, 20, 30});
  const auto with = [&](ScatterReduction r, std::initializer_list<float> want) {
    Sample s = sample(ScatterNDUpdate{r}, {x, at, u}, {Tensor::of<float>({4}, want)});
    s.check_gradient = r == ScatterReduction::sum;
    return s;
  };
  return {with(ScatterReduction::none, {1, 30, 3, 20}),
          with(ScatterReduction::sum, {1, 42, 3, 24}),
          with(ScatterReduction::prod, {1, 600, 3, 80}),
          with(ScatterReduction::min, {1, 2, 3, 4}),
          with(ScatterReduction::max, {1, 30, 3, 20}),
          sample(ScatterNDUpdate{},
                 {random_tensor({2, 3, 2}, 1), Tensor::of<int64_t>({2, 2}, {0, 2, 1, -3}), random_tensor({2, 2}, 2)}),
          sample(ScatterNDUpdate{},
                 {random_tensor({3, 2}, 1), Tensor(ElementType::i64, {0, 1}), Tensor(ElementType::f32, {0, 2})})};
}
HONE_DEFINE_OP(ScatterNDUpdate)

Types ScatterUpdate::infer(InferCtx& ctx) const {
  if (const Tensor axis = ctx.constant(3); axis && ctx.shape(0).rank_known())
    axis_of(ctx, get_integer(axis, 0), ctx.shape(0).rank());
  return {data_type(ctx)};
}
void ScatterUpdate::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &indices = ctx.input(1), &updates = ctx.input(2);
  const size_t a = axis_of(ctx, get_integer(ctx.input(3), 0), x.rank());
  int64_t outer = 1, inner = 1;
  for (size_t k = 0; k < a; ++k) outer *= x.shape()[k];
  for (size_t k = a + 1; k < x.rank(); ++k) inner *= x.shape()[k];
  const auto count = static_cast<int64_t>(indices.size());
  if (static_cast<int64_t>(updates.size()) != outer * count * inner)
    ctx.fail("updates " + to_string(updates.shape()) + " for data " + to_string(x.shape()) + " and indices " +
             to_string(indices.shape()));
  Tensor y = x.clone();
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = checked_index(ctx, get_integer(indices, static_cast<size_t>(i)), x.shape()[a]);
      copy_elements(updates, (o * count + i) * inner, y, (o * x.shape()[a] + at) * inner, inner);
    }
  }
  ctx.set_output(0, y);
}
void ScatterUpdate::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  if (ctx.needs(0)) ctx.set(0, b(ScatterUpdate{}, ctx.dout(), ctx.input(1), zeros_like(b, ctx.input(2)), ctx.input(3)));
  if (ctx.needs(2)) ctx.set(2, b(Gather{}, ctx.dout(), ctx.input(1), ctx.input(3)));
}
Samples ScatterUpdate::samples() {
  const Tensor x = Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  return {sample(ScatterUpdate{}, {x, int_tensor({2, 0}), Tensor::of<float>({2, 2}, {10, 20, 30, 40}), int_scalar(1)},
                 {Tensor::of<float>({2, 3}, {20, 2, 10, 40, 5, 30})}),
          sample(ScatterUpdate{}, {x, int_tensor({-1}), Tensor::of<float>({1, 3}, {7, 8, 9}), int_scalar(0)},
                 {Tensor::of<float>({2, 3}, {1, 2, 3, 7, 8, 9})}),
          sample(ScatterUpdate{}, {random_tensor({4, 2}, 1), Tensor::of<int64_t>({2, 1}, {3, 1}),
                                   random_tensor({2, 1, 2}, 2), int_scalar(0)})};
}
HONE_DEFINE_OP(ScatterUpdate)

}  // namespace hone
