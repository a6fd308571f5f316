#include "ops/pairwise.hpp"

#include <algorithm>
#include <cmath>

#include "ops/family.hpp"

namespace hone {

Types PairwiseCoupling::infer(InferCtx& ctx) const {
  ctx.check(classes >= 2 && classes <= 65535, std::to_string(classes) + " classes");
  ctx.check(is_float(ctx.element(0)) || ctx.element(0) == ElementType::dynamic,
            std::string("is not defined on ") + name_of(ctx.element(0)));
  const PartialShape& x = ctx.shape(0);
  if (!x.rank_known()) return {Type(ctx.element(0), PartialShape{Dimension(), Dimension(classes)})};
  ctx.check(x.rank() == 2 && x[1].compatible(Dimension(classes * (classes - 1) / 2)),
            "pairs " + to_string(x) + " do not fit " + std::to_string(classes) + " classes");
  return {Type(ctx.element(0), PartialShape{x[0], Dimension(classes)})};
}

// Minimizes p^T Q p over probabilities p, one class after the other; in f32, so that it stops where others do.
void PairwiseCoupling::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const auto k = static_cast<size_t>(classes);
  if (x.rank() != 2 || x.shape()[1] != classes * (classes - 1) / 2)
    ctx.fail("pairs " + to_string(x.shape()) + " do not fit " + std::to_string(classes) + " classes");
  Tensor y = ctx.output(0, x.element_type(), {x.shape()[0], classes});
  const float enough = 0.005f / static_cast<float>(k);
  std::vector<float> r(k * k), q(k * k), p(k), qp(k);
  for (size_t row = 0, at = 0; row < static_cast<size_t>(x.shape()[0]); ++row) {
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = i + 1; j < k; ++j) {
        const auto v = static_cast<float>(get_element(x, at++));
        r[i * k + j] = std::min(std::max(v, 1e-7f), 1 - 1e-7f);
        r[j * k + i] = 1 - r[i * k + j];
      }
    }
    std::fill(q.begin(), q.end(), 0.0f);
    std::fill(p.begin(), p.end(), 1.0f / static_cast<float>(k));
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = 0; j < k; ++j) {
        if (i == j) continue;
        q[i * k + i] += r[j * k + i] * r[j * k + i];
        q[i * k + j] = -r[j * k + i] * r[i * k + j];
      }
    }
    for (int round = 0; round < 100; ++round) {
      float pqp = 0;
      for (size_t i = 0; i < k; ++i) {
        qp[i] = 0;
        for (size_t j = 0; j < k; ++j) qp[i] += q[i * k + j] * p[j];
        pqp += p[i] * qp[i];
      }
      const bool done = std::all_of(qp.begin(), qp.end(), [&](float v) { return std::fabs(v - pqp) < enough; });
      if (done) break;
      for (size_t i = 0; i < k; ++i) {
        const float step = (pqp - qp[i]) / q[i * k + i];
        p[i] += step;
        pqp = (pqp + step * (step * q[i * k + i] + 2 * qp[i])) / (1 + step) / (1 + step);
        for (size_t j = 0; j < k; ++j) {
          qp[j] = (qp[j] + step * q[i * k + j]) / (1 + step);
          p[j] /= 1 + step;
        }
      }
    }
    for (size_t i = 0; i < k; ++i) set_element(y, row * k + i, static_cast<double>(p[i]));
  }
}
Samples PairwiseCoupling::samples() {
  return {sample(PairwiseCoupling{2}, {Tensor::of<float>({2, 1}, {0.75f, 0.5f})},
                 {Tensor::of<float>({2, 2}, {0.75f, 0.25f, 0.5f, 0.5f})}),
          sample(PairwiseCoupling{3}, {Tensor::of<float>({1, 3}, {0.5f, 0.5f, 0.5f})},
                 {Tensor::of<float>({1, 3}, {1 / 3.f, 1 / 3.f, 1 / 3.f})}),
          sample(PairwiseCoupling{4}, {random_tensor({3, 6}, 1, 0, 1)})};
}
HONE_DEFINE_OP(PairwiseCoupling)

}  // namespace hone
