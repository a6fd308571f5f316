// Reads by index: Gather, GatherElements, GatherND.
#include <algorithm>

#include "ops/axes.hpp"
#include "ops/family.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/strided_copy.hpp"

namespace hone {
namespace {

// An index in [0, n), where negative ones count from the end.
int64_t checked_index(const EvalCtx& ctx, int64_t i, int64_t n) {
  if (i < -n || i >= n) ctx.fail("index " + std::to_string(i) + " is outside of a dimension of " + std::to_string(n));
  return i < 0 ? i + n : i;
}

int64_t product(const Shape& s, size_t from, size_t to) {
  int64_t n = 1;
  for (size_t k = from; k < to; ++k) n *= s[k];
  return n;
}

Value zeros_like(Builder& b, Value v) {
  return b(Broadcast{}, b.like(v, 0), shape_value(b, v));
}

}  // namespace

Types Gather::infer(InferCtx& ctx) const {
  const PartialShape &data = ctx.shape(0), &indices = ctx.shape(1);
  const Tensor axis = ctx.constant(2);
  ctx.check(is_integer(ctx.element(1)) || ctx.element(1) == ElementType::dynamic,
            std::string("indices are ") + name_of(ctx.element(1)));
  ctx.check(!data.rank_known() || data.rank() > 0, "gathers from a scalar");
  if (!data.rank_known() || !indices.rank_known() || !axis) {
    if (data.rank_known() && indices.rank_known() && batch_dims == 0)
      return {Type(ctx.element(0), PartialShape::dynamic(data.rank() - 1 + indices.rank()))};
    return {Type(ctx.element(0), PartialShape::dynamic())};
  }
  const size_t a = axis_of(ctx, get_integer(axis, 0), data.rank());
  const auto batch =
      static_cast<size_t>(batch_dims < 0 ? batch_dims + static_cast<int64_t>(indices.rank()) : batch_dims);
  ctx.check(batch <= a && batch <= indices.rank(), "batch_dims " + std::to_string(batch_dims) + " for axis " +
                                                       std::to_string(a) + " and indices " + to_string(indices));
  std::vector<Dimension> out;
  for (size_t k = 0; k < a; ++k) {
    if (k < batch)
      ctx.check(data[k].compatible(indices[k]),
                "batches of " + to_string(data) + " and " + to_string(indices) + " differ");
    out.push_back(data[k]);
  }
  out.insert(out.end(), indices.begin() + static_cast<std::ptrdiff_t>(batch), indices.end());
  out.insert(out.end(), data.begin() + static_cast<std::ptrdiff_t>(a) + 1, data.end());
  const Tensor numbers = ctx.constant(1);
  if (const auto content = known_elements(ctx, 0); content && data.rank() == 1 && numbers && numbers.size() <= 1024) {
    std::vector<Dimension> picked;
    const auto n = static_cast<int64_t>(content->size());
    for (int64_t i : numbers.to_ints()) {
      ctx.check(i >= -n && i < n, "index " + std::to_string(i) + " is outside of a dimension of " + std::to_string(n));
      picked.push_back((*content)[static_cast<size_t>(i < 0 ? i + n : i)]);
    }
    ctx.set_content(0, std::move(picked));
  }
  return {Type(ctx.element(0), PartialShape(out))};
}
void Gather::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &indices = ctx.input(1);
  const size_t a = axis_of(ctx, get_integer(ctx.input(2), 0), x.rank());
  const auto batch =
      static_cast<size_t>(batch_dims < 0 ? batch_dims + static_cast<int64_t>(indices.rank()) : batch_dims);
  if (batch > a || batch > indices.rank())
    ctx.fail("batch_dims " + std::to_string(batch_dims) + " for axis " + std::to_string(a));
  for (size_t k = 0; k < batch; ++k) {
    if (x.shape()[k] != indices.shape()[k])
      ctx.fail("batches of " + to_string(x.shape()) + " and " + to_string(indices.shape()) + " differ");
  }
  Shape out(x.shape().begin(), x.shape().begin() + static_cast<std::ptrdiff_t>(a));
  out.insert(out.end(), indices.shape().begin() + static_cast<std::ptrdiff_t>(batch), indices.shape().end());
  out.insert(out.end(), x.shape().begin() + static_cast<std::ptrdiff_t>(a) + 1, x.shape().end());
  Tensor y = ctx.output(0, x.element_type(), out);
  const int64_t n = x.shape()[a], batches = product(x.shape(), 0, batch), outer = product(x.shape(), batch, a),
                block = product(x.shape(), a + 1, x.rank());
  const int64_t count = product(indices.shape(), batch, indices.rank());
  if (y.size() == 0) return;
  int64_t to = 0;
  for (int64_t p = 0; p < batches; ++p) {
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t i = 0; i < count; ++i, to += block) {
        const int64_t at = checked_index(ctx, get_integer(indices, static_cast<size_t>(p * count + i)), n);
        copy_elements(x, ((p * outer + o) * n + at) * block, y, to, block);
      }
    }
  }
}
void Gather::grad(GradCtx& ctx) const {
  if (!ctx.needs(0)) return;
  Builder& b = ctx.b;
  const Value data = ctx.input(0), indices = ctx.input(1);
  const Tensor axis = ctx.input(2).constant();
  if (!axis || !data.shape().rank_known() || !indices.shape().rank_known())
    throw Error(ErrorCode::unsupported, "[Gather] the gradient wants a constant axis and known ranks");
  const EvalCtx place({}, 0);
  const size_t a = axis_of(place, get_integer(axis, 0), data.shape().rank());
  const auto batch =
      static_cast<size_t>(batch_dims < 0 ? batch_dims + static_cast<int64_t>(indices.shape().rank()) : batch_dims);
  if (a == 0) {
    // An embedding: rows are added where the indices say, in one pass.
    const Value rows = b(Unsqueeze{}, indices, b.ints({-1}));
    return ctx.set(0, b(ScatterNDUpdate{ScatterReduction::sum}, zeros_like(b, data), rows, ctx.dout()));
  }
  // Everything seen as [batches..., outer..., indices, inner...], each element added at its own index.
  Values flat, wide;
  for (size_t k = 0; k < a; ++k) {
    flat.push_back(dimension_value(b, data, k));
    wide.push_back(k < batch ? flat.back() : b.ints({1}));
  }
  Value count = b.ints({1});
  PartialShape rest(
      std::vector<Dimension>(indices.shape().begin() + static_cast<std::ptrdiff_t>(batch), indices.shape().end()));
  if (rest.is_static())
    count = b.ints({element_count(rest.to_shape())});
  else if (rest.rank() == 1)
    count = dimension_value(b, indices, batch);
  else
    throw Error(ErrorCode::unsupported, "[Gather] the gradient wants indices of known shape");
  flat.push_back(count);
  wide.push_back(count);
  for (size_t k = a + 1; k < data.shape().rank(); ++k) {
    flat.push_back(dimension_value(b, data, k));
    wide.push_back(b.ints({1}));
  }
  const Value shape = join(b, flat);
  const Value at = b(Broadcast{}, b(Reshape{}, indices, join(b, wide)), shape);
  ctx.set(0, b(ScatterElementsUpdate{ScatterReduction::sum}, zeros_like(b, data), at, b(Reshape{}, ctx.dout(), shape),
               b.scalar<int64_t>(static_cast<int64_t>(a))));
}
Samples Gather::samples() {
  const Tensor x = Tensor::of<float>({3, 2}, {0, 1, 2, 3, 4, 5});
  return {sample(Gather{}, {x, int_tensor({2, -3}), int_scalar(0)}, {Tensor::of<float>({2, 2}, {4, 5, 0, 1})}),
          sample(Gather{}, {x, int_scalar(1), int_scalar(-1)}, {Tensor::of<float>({3}, {1, 3, 5})}),
          sample(Gather{}, {random_tensor({5, 3}, 1), Tensor::of<int64_t>({2, 2}, {0, 4, 4, 1}), int_scalar(0)}),
          sample(Gather{}, {random_tensor({2, 4, 3}, 1), int_tensor({3, 3, 0}), int_scalar(1)}),
          sample(Gather{1}, {random_tensor({2, 3, 2}, 2), Tensor::of<int64_t>({2, 2}, {0, 0, -1, 1}), int_scalar(1)}),
          sample(Gather{-1}, {random_tensor({2, 2, 3}, 3), Tensor::of<int64_t>({2, 2}, {0, 2, 1, 1}), int_scalar(2)}),
          sample(Gather{}, {int_tensor({7, 8, 9}), int_scalar(2), int_scalar(0)}, {int_scalar(9)}),
          sample(Gather{}, {x, int_tensor({}), int_scalar(0)}, {Tensor(ElementType::f32, {0, 2})}),
          sample(Gather{}, {Tensor::strings({2}, {"a", "b"}), int_tensor({1, 1}), int_scalar(0)},
                 {Tensor::strings({2}, {"b", "b"})})};
}
HONE_DEFINE_OP(Gather)

Types GatherElements::infer(InferCtx& ctx) const {
  const PartialShape &data = ctx.shape(0), &indices = ctx.shape(1);
  if (!data.rank_known() || !indices.rank_known())
    return {Type(ctx.element(0), indices.rank_known() ? indices
                                 : data.rank_known()  ? PartialShape::dynamic(data.rank())
                                                      : PartialShape::dynamic())};
  const size_t a = axis_of(ctx, axis, data.rank());
  ctx.check(data.rank() == indices.rank(),
            "data " + to_string(data) + " and indices " + to_string(indices) + " differ in rank");
  for (size_t k = 0; k < data.rank(); ++k) {
    ctx.check(k == a || indices[k].min() <= data[k].max(),
              "indices " + to_string(indices) + " reach outside of " + to_string(data));
  }
  return {Type(ctx.element(0), indices)};
}
void GatherElements::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &indices = ctx.input(1);
  const size_t a = axis_of(ctx, axis, x.rank());
  const auto strides = strides_of(x.shape());
  if (indices.rank() != x.rank()) ctx.fail("data and indices differ in rank");
  for (size_t k = 0; k < x.rank(); ++k) {
    if (k != a && indices.shape()[k] > x.shape()[k])
      ctx.fail("indices " + to_string(indices.shape()) + " reach outside of " + to_string(x.shape()));
  }
  Tensor y = ctx.output(0, x.element_type(), indices.shape());
  for (size_t i = 0; i < y.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    int64_t from = 0;
    for (size_t k = x.rank(); k-- > 0;) {
      const int64_t at = rest % indices.shape()[k];
      rest /= indices.shape()[k];
      from += (k == a ? checked_index(ctx, get_integer(indices, i), x.shape()[k]) : at) * strides[k];
    }
    copy_elements(x, from, y, static_cast<int64_t>(i), 1);
  }
}
void GatherElements::grad(GradCtx& ctx) const {
  if (ctx.needs(0))
    ctx.set(0, ctx.b(ScatterElementsUpdate{ScatterReduction::sum}, zeros_like(ctx.b, ctx.input(0)), ctx.input(1),
                     ctx.dout(), ctx.b.scalar<int64_t>(axis)));
}
Samples GatherElements::samples() {
  const Tensor x = Tensor::of<float>({2, 2}, {1, 2, 3, 4});
  return {sample(GatherElements{1}, {x, Tensor::of<int64_t>({2, 2}, {0, 0, 1, 0})},
                 {Tensor::of<float>({2, 2}, {1, 1, 4, 3})}),
          sample(GatherElements{-2}, {x, Tensor::of<int32_t>({1, 2}, {-1, 0})}, {Tensor::of<float>({1, 2}, {3, 2})}),
          sample(GatherElements{1},
                 {random_tensor({2, 3, 2}, 1), Tensor::of<int64_t>({2, 4, 1}, {0, 2, 2, 1, 1, 1, 0, 2})}),
          sample(GatherElements{0}, {x, Tensor(ElementType::i64, {0, 2})}, {Tensor(ElementType::f32, {0, 2})})};
}
HONE_DEFINE_OP(GatherElements)

Types GatherND::infer(InferCtx& ctx) const {
  const PartialShape &data = ctx.shape(0), &indices = ctx.shape(1);
  if (!data.rank_known() || !indices.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic())};
  ctx.check(indices.rank() >= 1, "indices are a scalar");
  const auto batch = static_cast<size_t>(batch_dims);
  ctx.check(batch < indices.rank() && batch <= data.rank(), "batch_dims " + std::to_string(batch_dims) + " for data " +
                                                                to_string(data) + " and indices " + to_string(indices));
  const Dimension& depth = indices[indices.rank() - 1];
  if (!depth.is_static()) return {Type(ctx.element(0), PartialShape::dynamic())};
  const auto used = static_cast<size_t>(depth.get_length());
  ctx.check(batch + used <= data.rank(), "indices of " + std::to_string(used) + " numbers for data " + to_string(data));
  std::vector<Dimension> out;
  for (size_t k = 0; k + 1 < indices.rank(); ++k)
    out.push_back(k < batch && indices[k].is_dynamic() ? data[k] : indices[k]);
  out.insert(out.end(), data.begin() + static_cast<std::ptrdiff_t>(batch + used), data.end());
  return {Type(ctx.element(0), PartialShape(out))};
}
void GatherND::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &indices = ctx.input(1);
  if (indices.rank() == 0 || batch_dims < 0 || batch_dims >= static_cast<int64_t>(indices.rank()))
    ctx.fail("batch_dims " + std::to_string(batch_dims) + " for indices " + to_string(indices.shape()));
  const auto batch = static_cast<size_t>(batch_dims);
  const int64_t used = indices.shape().back();
  if (batch + static_cast<size_t>(used) > x.rank())
    ctx.fail("indices of " + std::to_string(used) + " numbers for data " + to_string(x.shape()));
  for (size_t k = 0; k < batch; ++k) {
    if (x.shape()[k] != indices.shape()[k])
      ctx.fail("batches of " + to_string(x.shape()) + " and " + to_string(indices.shape()) + " differ");
  }
  Shape out(indices.shape().begin(), indices.shape().end() - 1);
  const size_t first = batch + static_cast<size_t>(used);
  out.insert(out.end(), x.shape().begin() + static_cast<std::ptrdiff_t>(first), x.shape().end());
  Tensor y = ctx.output(0, x.element_type(), out);
  if (y.size() == 0) return;
  const auto strides = strides_of(x.shape());
  const int64_t block = product(x.shape(), first, x.rank()), batches = product(x.shape(), 0, batch),
                per_batch = product(indices.shape(), batch, indices.rank() - 1);
  const int64_t batch_size = product(x.shape(), batch, x.rank());
  for (int64_t i = 0; i < batches * per_batch; ++i) {
    int64_t from = i / per_batch * batch_size;
    for (int64_t k = 0; k < used; ++k) {
      const size_t axis = batch + static_cast<size_t>(k);
      from +=
          checked_index(ctx, get_integer(indices, static_cast<size_t>(i * used + k)), x.shape()[axis]) * strides[axis];
    }
    copy_elements(x, from, y, i * block, block);
  }
}
void GatherND::grad(GradCtx& ctx) const {
  if (!ctx.needs(0)) return;
  if (batch_dims != 0) throw Error(ErrorCode::unsupported, "[GatherND] the gradient is offered for batch_dims 0");
  ctx.set(0, ctx.b(ScatterNDUpdate{ScatterReduction::sum}, zeros_like(ctx.b, ctx.input(0)), ctx.input(1), ctx.dout()));
}
Samples GatherND::samples() {
  const Tensor x = Tensor::of<float>({2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
  Sample batched =
      sample(GatherND{1}, {x, Tensor::of<int64_t>({2, 1}, {1, 0})}, {Tensor::of<float>({2, 2}, {2, 3, 4, 5})});
  batched.check_gradient = false;
  return {sample(GatherND{}, {x, Tensor::of<int64_t>({2, 2}, {0, 1, 1, 0})}, {Tensor::of<float>({2, 2}, {2, 3, 4, 5})}),
          sample(GatherND{}, {x, Tensor::of<int64_t>({3, 3}, {0, 0, 1, -1, -1, -1, 0, 0, 1})},
                 {Tensor::of<float>({3}, {1, 7, 1})}),
          batched, sample(GatherND{}, {random_tensor({3, 4}, 1), Tensor::of<int64_t>({1, 2, 1}, {2, 2})})};
}
HONE_DEFINE_OP(GatherND)

}  // namespace hone
