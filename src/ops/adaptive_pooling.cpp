// AdaptiveAvgPool and AdaptiveMaxPool: windows that share out the data.
#include "ops/basic.hpp"
#include "ops/elementwise.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/pooling.hpp"
#include "ops/pooling_family.hpp"

namespace hone {

using namespace pooling;

namespace {

// The elements of output `at`: from floor(o * in / out) to ceil((o + 1) * in / out).
Box adaptive_box(const Shape& in, const Shape& out, size_t at) {
  Box box;
  for (size_t k = in.size(); k-- > 0;) {
    const auto o = static_cast<int64_t>(at % static_cast<size_t>(out[k]));
    at /= static_cast<size_t>(out[k]);
    box.begin[k] = o * in[k] / out[k];
    box.end[k] = ((o + 1) * in[k] + out[k] - 1) / out[k];
    box.step[k] = 1;
  }
  return box;
}

PartialShape infer_adaptive(InferCtx& ctx) {
  const PartialShape& x = ctx.shape(0);
  const auto wanted = ctx.content(1);
  if (!x.rank_known() && !wanted) return PartialShape::dynamic();
  const size_t rank = x.rank_known() ? x.rank() : wanted->size() + 2;
  check_rank(ctx, rank, to_string(x));
  ctx.check(
      !wanted || wanted->size() == rank - 2,
      "the output shape has " + std::to_string(wanted ? wanted->size() : 0) + " entries for data " + to_string(x));
  std::vector<Dimension> out{x.rank_known() ? x[0] : Dimension(), x.rank_known() ? x[1] : Dimension()};
  for (size_t i = 0; i + 2 < rank; ++i) out.push_back(wanted ? (*wanted)[i] : Dimension());
  return PartialShape(std::move(out));
}
Shape adaptive_shape(EvalCtx& ctx) {
  const Shape& x = ctx.input(0).shape();
  check_rank(ctx, x.size(), to_string(x));
  Shape out{x[0], x[1]};
  const auto wanted = ctx.input(1).to_ints();
  if (wanted.size() + 2 != x.size())
    ctx.fail("the output shape has " + std::to_string(wanted.size()) + " entries for data " + to_string(x));
  out.insert(out.end(), wanted.begin(), wanted.end());
  if (element_count(space(out)) > 0 && element_count(space(x)) == 0)
    ctx.fail("data " + to_string(x) + " has no elements to pool");
  return out;
}

// Averages of one axis as a matrix [out, in].
Tensor adaptive_matrix(int64_t in, int64_t out, ElementType type) {
  Tensor m(type, {out, in});
  for (int64_t o = 0; o < out; ++o) {
    const Box box = adaptive_box({in}, {out}, static_cast<size_t>(o));
    for (int64_t i = box.begin[0]; i < box.end[0]; ++i)
      set_element(m, static_cast<size_t>(o * in + i), 1.0 / static_cast<double>(box.end[0] - box.begin[0]));
  }
  return m;
}

void need_static(const Value& v, const char* op) {
  if (!v.shape().is_static())
    throw Error(ErrorCode::failed, "[" + std::string(op) + "] the gradient needs data of known size");
}

}  // namespace

Types AdaptiveAvgPool::infer(InferCtx& ctx) const {
  return {Type(ctx.element(0), infer_adaptive(ctx))};
}
void AdaptiveAvgPool::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const Shape shape = adaptive_shape(ctx), in = space(x.shape()), out = space(shape);
  Tensor y = ctx.output(0, x.element_type(), shape);
  const auto in_size = static_cast<size_t>(element_count(in)), out_size = static_cast<size_t>(element_count(out));
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for (size_t i = 0; i < y.size(); ++i) {
      const T* plane = x.data<T>() + i / out_size * in_size;
      double sum = 0;
      int64_t n = 0;
      for_each_element(adaptive_box(in, out, i % out_size), in.data(), in.size(),
                       [&](int64_t at) { sum += static_cast<double>(plane[at]), ++n; });
      y.data<T>()[i] = average<T>(sum, n);
    }
  });
}
void AdaptiveAvgPool::grad(GradCtx& ctx) const {
  // The operator is linear and separable: each axis is a product with a constant matrix, its gradient one with the
  // transposed matrix.
  Builder& b = ctx.b;
  const Value x = ctx.input(0);
  need_static(x, name);
  need_static(ctx.dout(), name);
  const Shape in = x.shape().to_shape();
  Shape at = ctx.dout().shape().to_shape();
  Value g = ctx.dout();
  for (size_t k = 2; k < in.size(); ++k) {
    const Value m = b.constant(adaptive_matrix(in[k], at[k], g.element_type()));
    int64_t lead = 1, rest = 1;
    for (size_t i = 0; i < k; ++i) lead *= at[i];
    for (size_t i = k + 1; i < at.size(); ++i) rest *= at[i];
    g = b(MatMul{true, false}, m, b(Reshape{}, g, b.ints({lead, at[k], rest})));
    at[k] = in[k];
  }
  ctx.set(0, b(Reshape{}, g, b.ints(in)));
}
Samples AdaptiveAvgPool::samples() {
  Tensor row(ElementType::f32, {1, 1, 7});
  for (int i = 0; i < 7; ++i) row.data<float>()[i] = static_cast<float>(i);
  return {sample(AdaptiveAvgPool{}, {row, int_tensor({3})}, {Tensor::of<float>({1, 1, 3}, {1, 3, 5})}),
          sample(AdaptiveAvgPool{}, {random_tensor({2, 3, 5, 4}, 1), int_tensor({2, 4})}),
          sample(AdaptiveAvgPool{}, {random_tensor({2, 3, 3, 3}, 1), int_tensor({1, 1})}),
          sample(AdaptiveAvgPool{}, {random_tensor({1, 2, 3, 4, 2}, 1), int_tensor({2, 5, 1})})};
}
HONE_DEFINE_OP(AdaptiveAvgPool)

Types AdaptiveMaxPool::infer(InferCtx& ctx) const {
  const PartialShape y = infer_adaptive(ctx);
  return {Type(ctx.element(0), y), Type(index_element_type, y)};
}
void AdaptiveMaxPool::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const Shape shape = adaptive_shape(ctx), in = space(x.shape()), out = space(shape);
  Tensor y = ctx.output(0, x.element_type(), shape), indices;
  if (ctx.num_outputs() > 1) indices = ctx.output(1, index_element_type, shape);
  const auto in_size = static_cast<size_t>(element_count(in)), out_size = static_cast<size_t>(element_count(out));
  with_numeric_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for (size_t i = 0; i < y.size(); ++i) {
      const T* plane = x.data<T>() + i / out_size * in_size;
      Best<T> best;
      for_each_element(adaptive_box(in, out, i % out_size), in.data(), in.size(),
                       [&](int64_t at) { best.offer(plane[at], at); });
      y.data<T>()[i] = best.value;
      if (indices) set_integer(indices, i, best.offset);
    }
  });
}
void AdaptiveMaxPool::grad(GradCtx& ctx) const {
  if (!ctx.dout()) return;
  Builder& b = ctx.b;
  const Value x = ctx.input(0);
  need_static(x, name);
  const Shape in = x.shape().to_shape();
  const int64_t planes = in[0] * in[1];
  const Value zeros = b.constant(Tensor(x.element_type(), {planes, element_count(space(in))}));
  const Value rows = b.ints({planes, -1});
  const Value g = b(ScatterElementsUpdate{ScatterReduction::sum, true}, zeros, b(Reshape{}, ctx.output(1), rows),
                    b(Reshape{}, ctx.dout(), rows), b.scalar<int64_t>(1));
  ctx.set(0, b(Reshape{}, g, b.ints(in)));
}
Samples AdaptiveMaxPool::samples() {
  Tensor row(ElementType::f32, {1, 1, 7});
  for (int i = 0; i < 7; ++i) row.data<float>()[i] = static_cast<float>(i);
  return {sample(AdaptiveMaxPool{}, {row, int_tensor({3})},
                 {Tensor::of<float>({1, 1, 3}, {2, 4, 6}), Tensor::of<int64_t>({1, 1, 3}, {2, 4, 6})}),
          sample(AdaptiveMaxPool{ElementType::i32}, {random_tensor({2, 3, 5, 4}, 1), int_tensor({2, 4})}),
          sample(AdaptiveMaxPool{}, {random_tensor({1, 2, 3, 4, 2}, 1), int_tensor({2, 5, 1})})};
}
HONE_DEFINE_OP(AdaptiveMaxPool)

}  // namespace hone
