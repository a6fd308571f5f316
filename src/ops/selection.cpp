// Order and choice: TopK, OneHot, NonZero, ReverseSequence.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/axes.hpp"
#include "ops/family.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/strided_copy.hpp"

namespace hone {

Types TopK::infer(InferCtx& ctx) const {
  PartialShape out = ctx.shape(0);
  ctx.check(is_integer(index_element_type), std::string("indices of type ") + name_of(index_element_type));
  if (out.rank_known()) {
    Dimension& d = out[axis_of(ctx, axis, out.rank())];
    const auto k = known_elements(ctx, 1);
    if (k && !k->empty()) {
      ctx.check((*k)[0].min() <= d.max(), "k of " + std::to_string((*k)[0].min()) + " for an axis of " + to_string(d));
      d = (*k)[0];
    } else {
      d = Dimension(0, d.max());
    }
  }
  return {Type(ctx.element(0), out), Type(index_element_type, out)};
}
void TopK::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const size_t a = axis_of(ctx, axis, x.rank());
  const int64_t n = x.shape()[a], k = get_integer(ctx.input(1), 0);
  if (k < 0 || k > n) ctx.fail("k of " + std::to_string(k) + " for an axis of " + std::to_string(n));
  Shape shape = x.shape();
  shape[a] = k;
  Tensor values = ctx.output(0, x.element_type(), shape), indices = ctx.output(1, index_element_type, shape);
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < a; ++i) outer *= shape[i];
  for (size_t i = a + 1; i < shape.size(); ++i) inner *= shape[i];
  const bool integer = is_integer(x.element_type()), highest = mode == TopKMode::max;
  std::vector<int64_t> order(static_cast<size_t>(n));
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      const auto at = [&](int64_t e) { return static_cast<size_t>((o * n + e) * inner + i); };
      std::iota(order.begin(), order.end(), 0);
      // Among equals the lower index comes first; NaN counts as the largest.
      const auto before = [&](int64_t p, int64_t q) {
        if (integer) {
          const int64_t u = get_integer(x, at(p)), v = get_integer(x, at(q));
          const bool less =
              x.element_type() == ElementType::u64 ? static_cast<uint64_t>(u) < static_cast<uint64_t>(v) : u < v;
          return u == v ? p < q : highest ? !less : less;
        }
        const double u = get_element(x, at(p)), v = get_element(x, at(q));
        if (std::isnan(u) != std::isnan(v)) return std::isnan(u) == highest;
        return u == v || std::isnan(u) ? p < q : highest ? u > v : u < v;
      };
      std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
      if (sort == TopKSort::index) std::sort(order.begin(), order.begin() + k);
      for (int64_t e = 0; e < k; ++e) {
        const auto to = (o * k + e) * inner + i;
        copy_elements(x, static_cast<int64_t>(at(order[static_cast<size_t>(e)])), values, to, 1);
        set_integer(indices, static_cast<size_t>(to), order[static_cast<size_t>(e)]);
      }
    }
  }
}
void TopK::grad(GradCtx& ctx) const {
  if (!ctx.needs(0) || !ctx.dout(0)) return;
  Builder& b = ctx.b;
  const Value x = ctx.input(0), zeros = b(Broadcast{}, b.like(x, 0), shape_value(b, x));
  ctx.set(0, b(ScatterElementsUpdate{}, zeros, ctx.output(1), ctx.dout(0), b.scalar<int64_t>(axis)));
}
Samples TopK::samples() {
  const Tensor x = Tensor::of<float>({2, 4}, {3, 1, 4, 1, 5, 9, 2, 6});
  Sample lowest =
      sample(TopK{.axis = 1, .mode = TopKMode::min, .index_element_type = ElementType::i64}, {x, int_scalar(3)},
             {Tensor::of<float>({2, 3}, {1, 1, 3, 2, 5, 6}), Tensor::of<int64_t>({2, 3}, {1, 3, 0, 2, 0, 3})});
  Sample by_index =
      sample(TopK{.sort = TopKSort::index}, {x, int_scalar(3)},
             {Tensor::of<float>({2, 3}, {3, 1, 4, 5, 9, 6}), Tensor::of<int32_t>({2, 3}, {0, 1, 2, 0, 1, 3})});
  lowest.check_gradient = by_index.check_gradient = false;  // there are ties
  return {sample(TopK{}, {x, int_scalar(2)},
                 {Tensor::of<float>({2, 2}, {4, 3, 9, 6}), Tensor::of<int32_t>({2, 2}, {2, 0, 1, 3})}),
          lowest,
          by_index,
          sample(TopK{.axis = 0, .stable = true}, {random_tensor({3, 2, 2}, 1), int_scalar(2)}),
          sample(TopK{}, {x, int_scalar(0)}, {Tensor(ElementType::f32, {2, 0}), Tensor(ElementType::i32, {2, 0})}),
          sample(TopK{}, {Tensor::of<int64_t>({3}, {5, 7, 7}), int_scalar(1)},
                 {int_tensor({7}), Tensor::of<int32_t>({1}, {1})})};
}
HONE_DEFINE_OP(TopK)

Types OneHot::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  const ElementType e = ctx.element(2);
  if (!in.rank_known()) return {Type(e, PartialShape::dynamic())};
  std::vector<Dimension> out = in.dims();
  const auto depth = known_elements(ctx, 1);
  out.insert(out.begin() + static_cast<std::ptrdiff_t>(axis_of(ctx, axis, in.rank() + 1)),
             depth && !depth->empty() ? (*depth)[0] : Dimension());
  return {Type(e, PartialShape(out))};
}
void OneHot::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &on = ctx.input(2), &off = ctx.input(3);
  const int64_t depth = get_integer(ctx.input(1), 0);
  if (depth < 0) ctx.fail("a depth of " + std::to_string(depth));
  const size_t a = axis_of(ctx, axis, x.rank() + 1);
  Shape shape = x.shape();
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(a), depth);
  Tensor y = ctx.output(0, on.element_type(), shape);
  fill(y, off);
  int64_t inner = 1;
  for (size_t k = a + 1; k < shape.size(); ++k) inner *= shape[k];
  for (size_t i = 0; i < x.size(); ++i) {
    int64_t c = get_integer(x, i);
    if (c < 0 && negative_indices_mode == NegativeIndices::normalize) c += depth;
    if (c < 0 || c >= depth) continue;
    const auto at = static_cast<int64_t>(i);
    copy_elements(on, 0, y, (at / inner * depth + c) * inner + at % inner, 1);
  }
}
Samples OneHot::samples() {
  const Tensor i = int_tensor({2, 0, -1, 3}), depth = int_scalar(3);
  return {
      sample(OneHot{}, {i, depth, float_scalar(1), float_scalar(0)},
             {Tensor::of<float>({4, 3}, {0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0})}),
      sample(OneHot{0, NegativeIndices::normalize}, {i, depth, int_scalar(5), int_scalar(-1)},
             {Tensor::of<int64_t>({3, 4}, {-1, 5, -1, -1, -1, -1, -1, -1, 5, -1, 5, -1})}),
      sample(
          OneHot{1},
          {Tensor::of<int32_t>({1, 2}, {1, 0}), int_scalar(2), Tensor::scalar<bool>(true), Tensor::scalar<bool>(false)},
          {Tensor::of<bool>({1, 2, 2}, {false, true, true, false})}),
      sample(OneHot{}, {int_scalar(1), depth, float_scalar(2), float_scalar(1)}, {Tensor::of<float>({3}, {1, 2, 1})})};
}
HONE_DEFINE_OP(OneHot)

Types NonZero::infer(InferCtx& ctx) const {
  const PartialShape& in = ctx.shape(0);
  if (!in.rank_known()) return {Type(output_type, PartialShape::dynamic(2))};
  Dimension count(1);
  for (const Dimension& d : in) count = count * d;
  return {Type(output_type, PartialShape{static_cast<int64_t>(in.rank()), Dimension(0, count.max())})};
}
void NonZero::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  std::vector<size_t> found;
  // Counted first, then written without a branch: what is chosen follows no rule that a CPU could guess.
  const auto scan = [&](auto&& set) {
    size_t n = 0;
    for (size_t i = 0; i < x.size(); ++i) n += set(i);
    found.resize(n);
    for (size_t i = 0, at = 0; at < n; ++i) {
      found[at] = i;
      at += set(i);
    }
  };
  const ElementType e = x.element_type();
  if (e == ElementType::f32) {
    scan([v = x.data<float>()](size_t i) { return v[i] != 0; });
  } else if (e == ElementType::i64) {
    scan([v = x.data<int64_t>()](size_t i) { return v[i] != 0; });
  } else if (bit_width(e) == 8 && (is_integer(e) || e == ElementType::boolean)) {
    scan([v = static_cast<const uint8_t*>(x.raw())](size_t i) { return v[i] != 0; });
  } else {
    scan([&](size_t i) { return is_integer(e) ? get_integer(x, i) != 0 : get_element(x, i) != 0; });
  }
  const size_t n = found.size();
  Tensor y = ctx.output(0, output_type, {static_cast<int64_t>(x.rank()), static_cast<int64_t>(n)});
  // From the last axis to the first: what is left of a place after one axis is the place among the axes before it.
  for (size_t k = x.rank(); k-- > 0;) {
    const auto d = static_cast<size_t>(x.shape()[k]);
    int64_t* wide = output_type == ElementType::i64 ? y.data<int64_t>() + k * n : nullptr;
    size_t* places = found.data();
    const bool narrow = x.size() <= UINT32_MAX;
    for (size_t f = 0; f < n; ++f) {
      size_t at = 0;
      if (d != 1) {
        const size_t p = places[f];
        const size_t rest = k == 0 ? 0 : narrow ? static_cast<uint32_t>(p) / static_cast<uint32_t>(d) : p / d;
        at = p - rest * d;
        places[f] = rest;
      }
      if (wide)
        wide[f] = static_cast<int64_t>(at);
      else
        set_integer(y, k * n + f, static_cast<int64_t>(at));
    }
  }
}
Samples NonZero::samples() {
  return {sample(NonZero{}, {Tensor::of<float>({2, 3}, {0, 1, 0, -2, 0, 3})},
                 {Tensor::of<int64_t>({2, 3}, {0, 1, 1, 1, 0, 2})}),
          sample(NonZero{ElementType::i32}, {Tensor::of<bool>({3}, {true, false, true})},
                 {Tensor::of<int32_t>({1, 2}, {0, 2})}),
          sample(NonZero{}, {int_tensor({0, 0})}, {Tensor(ElementType::i64, {1, 0})})};
}
HONE_DEFINE_OP(NonZero)

Types ReverseSequence::infer(InferCtx& ctx) const {
  const PartialShape &in = ctx.shape(0), &lengths = ctx.shape(1);
  if (in.rank_known()) {
    const size_t b = axis_of(ctx, batch_axis, in.rank());
    axis_of(ctx, seq_axis, in.rank());
    ctx.check(!lengths.rank_known() || (lengths.rank() == 1 && lengths[0].compatible(in[b])),
              "lengths " + to_string(lengths) + " for data " + to_string(in));
  }
  return {Type(ctx.element(0), in)};
}
void ReverseSequence::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const auto lengths = ctx.input(1).to_ints();
  const size_t batch = axis_of(ctx, batch_axis, x.rank()), seq = axis_of(ctx, seq_axis, x.rank());
  if (batch == seq || static_cast<int64_t>(lengths.size()) != x.shape()[batch])
    ctx.fail("lengths of " + std::to_string(lengths.size()) + " rows for data " + to_string(x.shape()));
  Tensor y = x.clone();
  const auto strides = strides_of(x.shape());
  for (size_t r = 0; r < lengths.size(); ++r) {
    if (lengths[r] < 0 || lengths[r] > x.shape()[seq])
      ctx.fail("a length of " + std::to_string(lengths[r]) + " for an axis of " + std::to_string(x.shape()[seq]));
    if (lengths[r] < 2) continue;
    Shape extent = x.shape();
    extent[batch] = 1;
    extent[seq] = lengths[r];
    const int64_t start = static_cast<int64_t>(r) * strides[batch];
    Walk from{start + (lengths[r] - 1) * strides[seq], strides};
    from.strides[seq] = -strides[seq];
    copy_strided(x, from, y, {start, strides}, extent);
  }
  ctx.set_output(0, y);
}
void ReverseSequence::grad(GradCtx& ctx) const {
  if (ctx.needs(0)) ctx.set(0, ctx.b(ReverseSequence{batch_axis, seq_axis}, ctx.dout(), ctx.input(1)));
}
Samples ReverseSequence::samples() {
  const Tensor x = Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  return {sample(ReverseSequence{}, {x, int_tensor({2, 3})}, {Tensor::of<float>({2, 3}, {2, 1, 3, 6, 5, 4})}),
          sample(ReverseSequence{-1, 0}, {x, int_tensor({1, 2, 0})}, {Tensor::of<float>({2, 3}, {1, 5, 3, 4, 2, 6})}),
          sample(ReverseSequence{1, 2}, {random_tensor({2, 3, 4, 2}, 1), int_tensor({4, 1, 3})})};
}
HONE_DEFINE_OP(ReverseSequence)

}  // namespace hone
