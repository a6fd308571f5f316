#include "ops/matmul.hpp"

#include "ops/basic.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/movement.hpp"
#include "ops/product.hpp"

namespace hone {
namespace {

template <class S>
S matrix_part(const S& dims, bool first) {
  // A vector is a row on the left and a column on the right, whatever the transpose flags say.
  if (dims.size() == 1) return first ? S{1, dims[0]} : S{dims[0], 1};
  return S(dims.end() - 2, dims.end());
}
template <class S>
S batch_part(const S& dims) {
  return dims.size() <= 2 ? S{} : S(dims.begin(), dims.end() - 2);
}

// Rows and columns of the product with vectors taken out again.
template <class S>
S join(S batch, const auto& rows, const auto& columns, bool a_vector, bool b_vector) {
  if (!a_vector) batch.push_back(rows);
  if (!b_vector) batch.push_back(columns);
  return batch;
}

}  // namespace

Types MatMul::infer(InferCtx& ctx) const {
  const ElementType ea = ctx.element(0), eb = ctx.element(1);
  ctx.check(ea == eb || ea == ElementType::dynamic || eb == ElementType::dynamic,
            std::string("element types ") + name_of(ea) + " and " + name_of(eb) + " differ");
  const ElementType element = ea == ElementType::dynamic ? eb : ea;
  const PartialShape &a = ctx.shape(0), &b = ctx.shape(1);
  if (!a.rank_known() || !b.rank_known()) return {Type(element, PartialShape::dynamic())};
  ctx.check(a.rank() > 0 && b.rank() > 0, "scalars have no matrix product");
  auto ma = matrix_part(a.dims(), true), mb = matrix_part(b.dims(), false);
  if (transpose_a && a.rank() > 1) std::swap(ma[0], ma[1]);
  if (transpose_b && b.rank() > 1) std::swap(mb[0], mb[1]);
  ctx.check(ma[1].compatible(mb[0]), "inner dimensions of " + to_string(a) + " and " + to_string(b) + " differ");
  PartialShape batch;
  try {
    batch = broadcast(PartialShape(batch_part(a.dims())), PartialShape(batch_part(b.dims())));
  } catch (const Error&) {
    ctx.fail("batch dimensions of " + to_string(a) + " and " + to_string(b) + " cannot be broadcast");
  }
  return {Type(element, PartialShape(join(batch.dims(), ma[0], mb[1], a.rank() == 1, b.rank() == 1)))};
}

void MatMul::eval(EvalCtx& ctx) const {
  const Tensor &a = ctx.input(0), &b = ctx.input(1);
  if (a.element_type() != b.element_type())
    ctx.fail(std::string("element types ") + name_of(a.element_type()) + " and " + name_of(b.element_type()) +
             " differ");
  if (a.rank() == 0 || b.rank() == 0) ctx.fail("scalars have no matrix product");
  const Shape ma = matrix_part(a.shape(), true), mb = matrix_part(b.shape(), false);
  const bool ta = transpose_a && a.rank() > 1, tb = transpose_b && b.rank() > 1;
  const auto rows = static_cast<size_t>(ma[ta]), depth = static_cast<size_t>(ma[!ta]),
             columns = static_cast<size_t>(mb[!tb]);
  if (static_cast<size_t>(mb[tb]) != depth)
    ctx.fail("inner dimensions of " + to_string(a.shape()) + " and " + to_string(b.shape()) + " differ");
  const Shape batch_a = batch_part(a.shape()), batch_b = batch_part(b.shape()), batch = broadcast(batch_a, batch_b);
  Tensor y = ctx.output(0, a.element_type(), join(batch, ma[ta], mb[!tb], a.rank() == 1, b.rank() == 1));
  if (y.size() == 0) return;
  Shape rows_of_batches = batch;
  rows_of_batches.push_back(1);
  const std::vector<int64_t> strides[2] = {broadcast_strides(batch_a, batch), broadcast_strides(batch_b, batch)};
  std::vector<int64_t> padded[2] = {strides[0], strides[1]};
  for (auto& s : padded) s.push_back(0);
  with_numeric_type(ctx, a.element_type(), [&](auto zero) {
    using T = decltype(zero);
    using Acc = Accumulator<T>;
    // Strides of A along rows and depth, of B along depth and columns.
    const size_t a_row = ta ? 1 : depth, a_depth = ta ? rows : 1, b_depth = tb ? 1 : columns, b_column = tb ? depth : 1;
    for_each_row(rows_of_batches, padded, [&](size_t r, const int64_t* offset) {
      const T* pa = a.data<T>() + static_cast<size_t>(offset[0]) * rows * depth;
      const T* pb = b.data<T>() + static_cast<size_t>(offset[1]) * columns * depth;
      T* py = y.data<T>() + r * rows * columns;
      product<Acc>(
          rows, columns, depth,
          [&](size_t m, size_t n, Acc* to) {
            for (size_t k = 0; k < depth; ++k) {
              for (size_t i = 0; i < n; ++i) to[k * 4 + i] = static_cast<Acc>(pa[(m + i) * a_row + k * a_depth]);
            }
          },
          [&](size_t c, size_t n, Acc* to) {
            for (size_t k = 0; k < depth; ++k) {
              for (size_t j = 0; j < n; ++j) to[k * 4 + j] = static_cast<Acc>(pb[k * b_depth + (c + j) * b_column]);
            }
          },
          [&](size_t m, size_t n, Acc sum) { py[m * columns + n] = static_cast<T>(sum); });
    });
  });
}

void MatMul::grad(GradCtx& ctx) const {
  Builder& b = ctx.b;
  Value a = ctx.input(0), w = ctx.input(1), dy = ctx.dout();
  const PartialShape &sa = a.shape(), &sb = w.shape();
  if (!sa.rank_known() || !sb.rank_known())
    throw Error(ErrorCode::failed, "[MatMul] the gradient needs inputs of known rank");
  // Vectors become matrices for the while of the gradient.
  const bool va = sa.rank() == 1, vb = sb.rank() == 1;
  if (va) a = b(Unsqueeze{}, a, b.ints({0}));
  if (vb) w = b(Unsqueeze{}, w, b.ints({1}));
  if (vb) dy = b(Unsqueeze{}, dy, b.ints({-1}));
  if (va) dy = b(Unsqueeze{}, dy, b.ints({-2}));
  const bool ta = transpose_a && !va, tb = transpose_b && !vb;
  const auto finish = [&](Value g, size_t i, bool vector, int64_t axis) {
    if (!vector) return ctx.set(i, ctx.unbroadcast(g, i));
    // Sum over the batch first, then drop the axis that was added.
    const Value like = i == 0 ? a : w;
    if (g.shape() != like.shape() || !g.shape().is_static()) g = b(SumToShape{}, g, b(ShapeOf{}, like));
    ctx.set(i, b(Squeeze{}, g, b.ints({axis})));
  };
  if (ctx.needs(0)) {
    const Value g = ta ? b(MatMul{tb, true}, w, dy) : b(MatMul{false, !tb}, dy, w);
    finish(g, 0, va, 0);
  }
  if (ctx.needs(1)) {
    // One matrix for a whole batch: a single product with the batch folded into its depth, instead of a sum of
    // products.
    const PartialShape &full_a = a.shape(), &full_dy = dy.shape();
    if (!vb && sb.rank() == 2 && full_a.rank() > 2 && !ta && full_a[full_a.rank() - 1].is_static() && sb.is_static()) {
      const int64_t depth = full_a[full_a.rank() - 1].get_length(), columns = full_dy[full_dy.rank() - 1].get_length();
      a = b(Reshape{}, a, b.ints({-1, depth}));
      dy = b(Reshape{}, dy, b.ints({-1, columns}));
    }
    const Value g = tb ? b(MatMul{true, ta}, dy, a) : b(MatMul{!ta, false}, a, dy);
    finish(g, 1, vb, 1);
  }
}

Samples MatMul::samples() {
  Samples s = {
      sample(MatMul{}, {Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6}), Tensor::of<float>({3, 2}, {1, -1, 2, 0, 3, 1})},
             {Tensor::of<float>({2, 2}, {14, 2, 32, 2})}),
      sample(MatMul{}, {random_tensor({5, 7}, 1), random_tensor({7, 6}, 2)}),
      sample(MatMul{true, false}, {random_tensor({7, 5}, 1), random_tensor({7, 6}, 2)}),
      sample(MatMul{false, true}, {random_tensor({5, 7}, 1), random_tensor({6, 7}, 2)}),
      sample(MatMul{true, true}, {random_tensor({7, 5}, 1), random_tensor({6, 7}, 2)}),
      sample(MatMul{true, true}, {random_tensor({2, 1, 4, 3}, 1), random_tensor({3, 2, 4}, 2)}),
      sample(MatMul{false, true}, {random_tensor({2, 3, 4}, 1), random_tensor({5, 4}, 2)}),
      sample(MatMul{}, {random_tensor({3, 4}, 1), random_tensor({2, 4, 5}, 2)}),
      sample(MatMul{}, {random_tensor({4}, 1), random_tensor({4}, 2)}),
      sample(MatMul{}, {random_tensor({4}, 1), random_tensor({4, 3}, 2)}),
      sample(MatMul{}, {random_tensor({4}, 1), random_tensor({2, 4, 3}, 2)}),
      sample(MatMul{true, true}, {random_tensor({2, 4, 3}, 1), random_tensor({4}, 2)}),
      sample(MatMul{}, {Tensor::of<int32_t>({2, 2}, {1, 2, 3, 4}), Tensor::of<int32_t>({2, 1}, {5, -6})},
             {Tensor::of<int32_t>({2, 1}, {-7, -9})}),
      sample(MatMul{}, {random_tensor({3, 0}, 1), random_tensor({0, 2}, 2)}, {Tensor(ElementType::f32, {3, 2})}),
      sample(MatMul{},
             {random_tensor({3, 4}, 1, -1, 1, ElementType::f64), random_tensor({4, 2}, 2, -1, 1, ElementType::f64)}),
  };
  return s;
}
HONE_DEFINE_OP(MatMul)

}  // namespace hone
