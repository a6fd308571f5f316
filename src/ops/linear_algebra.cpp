#include "ops/linear_algebra.hpp"

#include <cmath>

#include "ops/binary.hpp"
#include "ops/family.hpp"
#include "ops/inverse.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/strided_copy.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

void check_square(const InferCtx& ctx, size_t i) {
  const PartialShape& x = ctx.shape(i);
  ctx.check(is_float(ctx.element(i)) || ctx.element(i) == ElementType::dynamic,
            std::string("is not defined on ") + name_of(ctx.element(i)));
  ctx.check(!x.rank_known() || x.rank() >= 2, "data " + to_string(x) + " are no matrices");
  if (x.rank_known())
    ctx.check(x[x.rank() - 1].compatible(x[x.rank() - 2]), "matrices " + to_string(x) + " are not square");
}
size_t square_size(const EvalCtx& ctx, const Tensor& x) {
  if (x.rank() < 2 || x.shape()[x.rank() - 1] != x.shape()[x.rank() - 2])
    ctx.fail("matrices " + to_string(x.shape()) + " are not square");
  return static_cast<size_t>(x.shape().back());
}
PartialShape leading(const PartialShape& x) {
  return PartialShape(std::vector<Dimension>(x.begin(), x.end() - 2));
}

std::vector<double> matrix_at(const Tensor& x, size_t first, size_t size) {
  std::vector<double> a(size);
  for (size_t i = 0; i < size; ++i) a[i] = get_element(x, first + i);
  return a;
}

// Gauss' elimination with partial pivoting of a [n, n], which becomes the upper triangle, and of b [n, k] with it.
// Returns the determinant.
double eliminate(std::vector<double>& a, size_t n, std::vector<double>& b, size_t k) {
  double determinant = 1;
  for (size_t c = 0; c < n; ++c) {
    size_t pivot = c;
    for (size_t i = c + 1; i < n; ++i) {
      if (std::fabs(a[i * n + c]) > std::fabs(a[pivot * n + c])) pivot = i;
    }
    determinant *= a[pivot * n + c];
    if (a[pivot * n + c] == 0) return 0;
    if (pivot != c) {
      determinant = -determinant;
      for (size_t j = 0; j < n; ++j) std::swap(a[c * n + j], a[pivot * n + j]);
      for (size_t j = 0; j < k; ++j) std::swap(b[c * k + j], b[pivot * k + j]);
    }
    for (size_t i = c + 1; i < n; ++i) {
      const double f = a[i * n + c] / a[c * n + c];
      if (f == 0) continue;
      for (size_t j = c; j < n; ++j) a[i * n + j] -= f * a[c * n + j];
      for (size_t j = 0; j < k; ++j) b[i * k + j] -= f * b[c * k + j];
    }
  }
  return determinant;
}

// b becomes the solution of a x = b, a triangular.
void substitute(const std::vector<double>& a, size_t n, std::vector<double>& b, size_t k, bool lower) {
  for (size_t step = 0; step < n; ++step) {
    const size_t i = lower ? step : n - 1 - step;
    const size_t from = lower ? 0 : i + 1, to = lower ? i : n;
    for (size_t j = 0; j < k; ++j) {
      double sum = b[i * k + j];
      for (size_t c = from; c < to; ++c) sum -= a[i * n + c] * b[c * k + j];
      b[i * k + j] = sum / a[i * n + i];
    }
  }
}

void transpose(std::vector<double>& a, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) std::swap(a[i * n + j], a[j * n + i]);
  }
}

// Of the matrices that lie behind each other in `own` axes in front: which belongs to number `index` of `all`.
size_t matrix_number(const Shape& own, const Shape& all, size_t index) {
  size_t number = 0, stride = 1;
  for (size_t k = 0; k < all.size(); ++k) {
    const auto size = static_cast<size_t>(all[all.size() - 1 - k]);
    if (k < own.size()) {
      const auto mine = static_cast<size_t>(own[own.size() - 1 - k]);
      if (mine != 1) number += index % size * stride;
      stride *= mine;
    }
    index /= size;
  }
  return number;
}

}  // namespace

Types Determinant::infer(InferCtx& ctx) const {
  check_square(ctx, 0);
  const PartialShape& x = ctx.shape(0);
  return {Type(ctx.element(0), x.rank_known() ? leading(x) : PartialShape::dynamic())};
}
void Determinant::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const size_t n = square_size(ctx, x);
  Tensor y = ctx.output(0, x.element_type(), Shape(x.shape().begin(), x.shape().end() - 2));
  for (size_t i = 0; i < y.size(); ++i) {
    std::vector<double> a = matrix_at(x, i * n * n, n * n), none;
    set_element(y, i, eliminate(a, n, none, 0));
  }
}
// d det(A) = det(A) tr(A^-1 dA)
void Determinant::grad(GradCtx& ctx) const {
  const Value axes = ctx.b.ints({-2, -1});
  const Value scale = ctx.b(Unsqueeze{}, ctx.b(Multiply{}, ctx.dout(), ctx.output()), axes);
  ctx.set(0, ctx.b(Multiply{}, scale, ctx.b(Inverse{true}, ctx.input(0))));
}
Samples Determinant::samples() {
  return {sample(Determinant{}, {Tensor::of<float>({2, 2, 2}, {1, 2, 3, 4, 2, 0, 0, 3})},
                 {Tensor::of<float>({2}, {-2, 6})}),
          sample(Determinant{}, {Tensor::of<float>({3, 3}, {0, 2, 1, 1, 0, 3, 4, 1, 0})}, {float_scalar(25)}),
          sample(Determinant{}, {random_tensor({2, 4, 4}, 1, -1, 1, ElementType::f64)})};
}
HONE_DEFINE_OP(Determinant)

Types Cholesky::infer(InferCtx& ctx) const {
  check_square(ctx, 0);
  return {Type(ctx.element(0), ctx.shape(0))};
}
void Cholesky::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const size_t n = square_size(ctx, x);
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  for (size_t first = 0; first < x.size(); first += n * n) {
    std::vector<double> a = matrix_at(x, first, n * n);
    for (size_t j = 0; j < n; ++j) {
      for (size_t i = j; i < n; ++i) {
        double sum = a[i * n + j];
        for (size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
        if (i == j && !(sum > 0)) ctx.fail("a matrix that is not positive definite");
        a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
        set_element(y, first + (upper ? j * n + i : i * n + j), a[i * n + j]);
      }
    }
  }
}
Samples Cholesky::samples() {
  const Tensor a = Tensor::of<float>({2, 2, 2}, {4, 99, 2, 5, 9, 99, -3, 10});
  return {sample(Cholesky{}, {a}, {Tensor::of<float>({2, 2, 2}, {2, 0, 1, 2, 3, 0, -1, 3})}),
          sample(Cholesky{true}, {a}, {Tensor::of<float>({2, 2, 2}, {2, 1, 0, 2, 3, -1, 0, 3})}),
          sample(Cholesky{}, {Tensor::of<double>({3, 3}, {4, 0, 0, 12, 37, 0, -16, -43, 98})},
                 {Tensor::of<double>({3, 3}, {2, 0, 0, 6, 1, 0, -8, 5, 3})})};
}
HONE_DEFINE_OP(Cholesky)

Types LinearSolve::infer(InferCtx& ctx) const {
  check_square(ctx, 0);
  const PartialShape &a = ctx.shape(0), &b = ctx.shape(1);
  ctx.check(!b.rank_known() || b.rank() >= 2, "right sides " + to_string(b) + " are no matrices");
  if (!a.rank_known() || !b.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic())};
  const Dimension& rows = b[b.rank() - 2];
  ctx.check(rows.compatible(a[a.rank() - 1]), "right sides " + to_string(b) + " do not fit matrices " + to_string(a));
  std::vector<Dimension> dims = broadcast(leading(a), leading(b)).dims();
  dims.push_back(rows.is_static() ? rows : a[a.rank() - 1]);
  dims.push_back(b[b.rank() - 1]);
  return {Type(ctx.element(0), PartialShape(dims))};
}
void LinearSolve::eval(EvalCtx& ctx) const {
  const Tensor &a = ctx.input(0), &b = ctx.input(1);
  const size_t n = square_size(ctx, a);
  if (b.rank() < 2 || static_cast<size_t>(b.shape()[b.rank() - 2]) != n)
    ctx.fail("right sides " + to_string(b.shape()) + " do not fit matrices " + to_string(a.shape()));
  const auto k = static_cast<size_t>(b.shape().back());
  const Shape of_a(a.shape().begin(), a.shape().end() - 2), of_b(b.shape().begin(), b.shape().end() - 2);
  const Shape all = broadcast(of_a, of_b);
  Shape shape = all;
  shape.insert(shape.end(), {static_cast<int64_t>(n), static_cast<int64_t>(k)});
  Tensor y = ctx.output(0, a.element_type(), shape);
  for (size_t i = 0; n * k > 0 && i < y.size() / (n * k); ++i) {
    std::vector<double> m = matrix_at(a, matrix_number(of_a, all, i) * n * n, n * n),
                        x = matrix_at(b, matrix_number(of_b, all, i) * n * k, n * k);
    if (adjoint) transpose(m, n);
    if (part == MatrixPart::all && eliminate(m, n, x, k) == 0) ctx.fail("a matrix that has no inverse");
    substitute(m, n, x, k, part != MatrixPart::all && (part == MatrixPart::lower) != adjoint);
    for (size_t j = 0; j < n * k; ++j) set_element(y, i * n * k + j, x[j]);
  }
}
// X = A^-1 B: dB = A^-T dX, dA = -dB X^T; with the adjoint dA = -X dB^T. A triangle keeps its own part.
void LinearSolve::grad(GradCtx& ctx) const {
  LinearSolve back = *this;
  back.adjoint = !adjoint;
  const Value db = ctx.b(back, ctx.input(0), ctx.dout());
  if (ctx.needs(1)) ctx.set(1, ctx.unbroadcast(db, 1));
  if (!ctx.needs(0)) return;
  const Value product = adjoint ? ctx.b(MatMul{.transpose_b = true}, ctx.output(), db)
                                : ctx.b(MatMul{.transpose_b = true}, db, ctx.output());
  Value da = ctx.b(Negative{}, product);
  if (part != MatrixPart::all) {
    const PartialShape& s = ctx.input(0).shape();
    if (!s.rank_known() || s[s.rank() - 1].is_dynamic())
      throw Error(ErrorCode::unsupported, "[LinearSolve] the gradient of a triangle needs to know its size");
    const int64_t n = s[s.rank() - 1].get_length();
    Tensor mask(ctx.input(0).element_type(), {n, n});
    for (int64_t i = 0; i < n * n; ++i) {
      const bool own = part == MatrixPart::lower ? i % n <= i / n : i % n >= i / n;
      set_element(mask, static_cast<size_t>(i), own ? 1 : 0);
    }
    da = ctx.b(Multiply{}, da, ctx.b.constant(mask));
  }
  ctx.set(0, ctx.unbroadcast(da, 0));
}
Samples LinearSolve::samples() {
  const Tensor a = Tensor::of<float>({2, 2}, {0, 2, 4, 1}), b = Tensor::of<float>({2, 1}, {6, 7});
  const Tensor triangles = Tensor::of<float>({2, 2, 2}, {2, 0, 1, 4, 1, 0, 3, 2});
  const Tensor upper = Tensor::of<float>({3, 3}, {2, 1, -1, 0, 3, 1, 0, 0, 4});
  return {sample(LinearSolve{}, {a, b}, {Tensor::of<float>({2, 1}, {1, 3})}),
          sample(LinearSolve{MatrixPart::all, true}, {a, b}, {Tensor::of<float>({2, 1}, {2.75f, 1.5f})}),
          sample(LinearSolve{MatrixPart::lower}, {triangles, b}, {Tensor::of<float>({2, 2, 1}, {3, 1, 6, -5.5f})}),
          sample(LinearSolve{MatrixPart::lower, true}, {triangles, b},
                 {Tensor::of<float>({2, 2, 1}, {2.125f, 1.75f, -4.5f, 3.5f})}),
          sample(LinearSolve{MatrixPart::upper}, {upper, random_tensor({2, 3, 2}, 3)}),
          sample(LinearSolve{MatrixPart::upper, true}, {upper, random_tensor({3, 2}, 4)}),
          sample(LinearSolve{}, {Tensor::of<double>({3, 3}, {2, -1, 0, 1, 3, 1, 0.5, 0, 4}),
                                 random_tensor({2, 3, 2}, 5, -1, 1, ElementType::f64)})};
}
HONE_DEFINE_OP(LinearSolve)

}  // namespace hone
