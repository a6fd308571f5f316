#include "ops/inverse.hpp"

#include <cmath>

#include "ops/family.hpp"
#include "ops/matmul.hpp"
#include "ops/unary.hpp"

namespace hone {

Types Inverse::infer(InferCtx& ctx) const {
  const PartialShape& x = ctx.shape(0);
  ctx.check(is_float(ctx.element(0)) || ctx.element(0) == ElementType::dynamic,
            std::string("is not defined on ") + name_of(ctx.element(0)));
  ctx.check(!x.rank_known() || x.rank() >= 2, "data " + to_string(x) + " are no matrices");
  if (x.rank_known())
    ctx.check(x[x.rank() - 1].compatible(x[x.rank() - 2]), "matrices " + to_string(x) + " are not square");
  return {Type(ctx.element(0), x)};
}
// Gauss and Jordan with partial pivoting, in f64.
void Inverse::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if (x.rank() < 2 || x.shape()[x.rank() - 1] != x.shape()[x.rank() - 2])
    ctx.fail("matrices " + to_string(x.shape()) + " are not square");
  const auto n = static_cast<size_t>(x.shape().back());
  Tensor y = ctx.output(0, x.element_type(), x.shape());
  for (size_t first = 0; first < x.size(); first += n * n) {
    std::vector<double> a(n * n), inverse(n * n, 0.0);
    for (size_t i = 0; i < n * n; ++i) a[i] = get_element(x, first + i);
    for (size_t i = 0; i < n; ++i) inverse[i * n + i] = 1;
    for (size_t k = 0; k < n; ++k) {
      size_t pivot = k;
      for (size_t i = k + 1; i < n; ++i) {
        if (std::fabs(a[i * n + k]) > std::fabs(a[pivot * n + k])) pivot = i;
      }
      if (pivot != k) {
        for (size_t j = 0; j < n; ++j) {
          std::swap(a[k * n + j], a[pivot * n + j]);
          std::swap(inverse[k * n + j], inverse[pivot * n + j]);
        }
      }
      const double p = a[k * n + k];
      for (size_t j = 0; j < n; ++j) {
        a[k * n + j] /= p;
        inverse[k * n + j] /= p;
      }
      for (size_t i = 0; i < n; ++i) {
        const double f = a[i * n + k];
        if (i == k || f == 0) continue;
        for (size_t j = 0; j < n; ++j) {
          a[i * n + j] -= f * a[k * n + j];
          inverse[i * n + j] -= f * inverse[k * n + j];
        }
      }
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j)
        set_element(y, first + i * n + j, adjoint ? inverse[j * n + i] : inverse[i * n + j]);
    }
  }
}
// d(X^-1) = -X^-1 dX X^-1
void Inverse::grad(GradCtx& ctx) const {
  const Value y = ctx.output(), dy = ctx.dout();
  const Value product = adjoint ? ctx.b(MatMul{}, ctx.b(MatMul{.transpose_b = true}, y, dy), y)
                                : ctx.b(MatMul{.transpose_b = true}, ctx.b(MatMul{.transpose_a = true}, y, dy), y);
  ctx.set(0, ctx.b(Negative{}, product));
}
Samples Inverse::samples() {
  const Tensor m = Tensor::of<float>({1, 2, 2}, {0, 2, 4, 1});
  return {sample(Inverse{}, {m}, {Tensor::of<float>({1, 2, 2}, {-0.125f, 0.25f, 0.5f, 0})}),
          sample(Inverse{true}, {m}, {Tensor::of<float>({1, 2, 2}, {-0.125f, 0.5f, 0.25f, 0})}),
          sample(Inverse{}, {Tensor::of<float>({3, 3}, {2, -1, 0, 1, 3, 1, 0.5f, 0, 4})})};
}
HONE_DEFINE_OP(Inverse)

}  // namespace hone
