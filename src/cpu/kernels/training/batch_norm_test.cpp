#include "cpu/kernels/training/row_test.hpp"
#include "ops/normalization.hpp"

namespace hone::cpu::test {
namespace {

struct Case {
  Shape shape;
  bool relu, residual;
};
const Case kCases[] = {
    {{4, 16, 28, 28}, true, false}, {{4, 16, 28, 28}, true, true}, {{3, 32, 14, 14}, false, true},
    {{2, 64, 7, 7}, true, true},    {{2, 7, 5, 3}, true, true},    {{3, 100, 4, 4}, false, false},
    {{2, 1, 9, 9}, true, false},    {{37, 20}, true, false},       {{1, 48, 1, 2}, true, true},
};

struct Problem {
  int64_t batch, channels, space;
  explicit Problem(const Shape& s) : batch(s[0]), channels(s[1]), space(1) {
    for (size_t a = 2; a < s.size(); ++a) space *= s[a];
  }
  size_t at(int64_t n, int64_t c, int64_t i) const { return static_cast<size_t>((n * channels + c) * space + i); }
  double count() const { return static_cast<double>(batch * space); }
};

class TrainingBatchNorm : public testing::TestWithParam<ElementType> {};

TEST_P(TrainingBatchNorm, matches_plain_loops) {
  const ElementType type = GetParam();
  // sums of hundreds of terms in f32; a bf16 result is rounded once
  const double exact = 2e-5, stored = type == ElementType::bf16 ? std::ldexp(1.0, -8) : 2e-5;
  std::mt19937 rng(11);
  for (const Case& c : kCases) {
    SCOPED_TRACE(hone::to_string(c.shape) + (c.relu ? " relu" : "") + (c.residual ? " residual" : ""));
    const Problem p(c.shape);
    const TensorDesc dx = desc(type, c.shape), per_channel = desc(ElementType::f32, {p.channels});
    // a mean of many deviations, which one-pass variances in f32 do not survive
    const Buffer x = random_buffer(dx, rng, 9, 11), residual = random_buffer(dx, rng, -1, 1),
                 gamma = random_buffer(per_channel, rng, 0.5, 2), beta = random_buffer(per_channel, rng),
                 mean = random_buffer(per_channel, rng), variance = random_buffer(per_channel, rng, 0, 3);
    const auto vx = logical(dx, x), vr = logical(dx, residual), vg = logical(per_channel, gamma),
               vb = logical(per_channel, beta), vm = logical(per_channel, mean), vv = logical(per_channel, variance);
    std::vector<double> y(vx.size()), new_mean, new_variance, batch_mean, inverse;
    for (int64_t ch = 0; ch < p.channels; ++ch) {
      double m = 0, q = 0;
      for (int64_t n = 0; n < p.batch; ++n)
        for (int64_t i = 0; i < p.space; ++i) m += vx[p.at(n, ch, i)] / p.count();
      for (int64_t n = 0; n < p.batch; ++n)
        for (int64_t i = 0; i < p.space; ++i) q += std::pow(vx[p.at(n, ch, i)] - m, 2);
      const auto k = static_cast<size_t>(ch);
      batch_mean.push_back(m);
      inverse.push_back(1 / std::sqrt(q / p.count() + 1e-5));
      new_mean.push_back(0.9 * vm[k] + 0.1 * m);
      new_variance.push_back(0.9 * vv[k] + 0.1 * q / std::max(1.0, p.count() - 1));
      for (int64_t n = 0; n < p.batch; ++n)
        for (int64_t i = 0; i < p.space; ++i) {
          const size_t at = p.at(n, ch, i);
          y[at] = vg[k] * (vx[at] - m) * inverse.back() + vb[k] + (c.residual ? vr[at] : 0);
          if (c.relu) y[at] = std::max(0.0, y[at]);
        }
    }
    BatchNormTraining op{1e-5, 0.1, c.relu ? NormActivation::relu : NormActivation::none};
    Asked asked(op, {dx, per_channel, per_channel, per_channel, per_channel, c.residual ? dx : absent()},
                {dx, per_channel, per_channel, per_channel, per_channel});
    const int ran = for_each_row(
        asked.q, {x.data, gamma.data, beta.data, mean.data, variance.data, c.residual ? residual.data : nullptr},
        [&](const Kernel& row, std::vector<Buffer>& out) {
          expect_all(logical(dx, out[0]), y, 1e-4, stored, row.name);
          expect_all(logical(per_channel, out[1]), new_mean, 0, exact, row.name);
          expect_all(logical(per_channel, out[2]), new_variance, 0, exact, row.name);
          expect_all(logical(per_channel, out[3]), batch_mean, 0, exact, row.name);
          expect_all(logical(per_channel, out[4]), inverse, 0, exact, row.name);
        });
    EXPECT_GT(ran, 0);
  }
}

TEST_P(TrainingBatchNorm, gradient_matches_plain_loops) {
  const ElementType type = GetParam();
  const double stored = type == ElementType::bf16 ? std::ldexp(1.0, -8) : 2e-5;
  std::mt19937 rng(12);
  for (const Case& c : kCases) {
    SCOPED_TRACE(hone::to_string(c.shape) + (c.relu ? " relu" : "") + (c.residual ? " residual" : ""));
    const Problem p(c.shape);
    const TensorDesc dx = desc(type, c.shape), per_channel = desc(ElementType::f32, {p.channels});
    const Buffer x = random_buffer(dx, rng, 1, 3), dy = random_buffer(dx, rng), y = random_buffer(dx, rng),
                 gamma = random_buffer(per_channel, rng, 0.5, 2), mean = random_buffer(per_channel, rng, 1.9, 2.1),
                 inverse = random_buffer(per_channel, rng, 1.5, 2);
    const auto vx = logical(dx, x), vd = logical(dx, dy), vy = logical(dx, y), vg = logical(per_channel, gamma),
               vm = logical(per_channel, mean), vi = logical(per_channel, inverse);
    std::vector<double> want(vx.size()), through(vx.size()), dgamma, dbeta;
    for (int64_t ch = 0; ch < p.channels; ++ch) {
      const auto k = static_cast<size_t>(ch);
      double s = 0, t = 0;
      for (int64_t n = 0; n < p.batch; ++n)
        for (int64_t i = 0; i < p.space; ++i) {
          const size_t at = p.at(n, ch, i);
          through[at] = !c.relu || vy[at] > 0 ? vd[at] : 0;
          s += through[at];
          t += through[at] * (vx[at] - vm[k]) * vi[k];
        }
      dgamma.push_back(t);
      dbeta.push_back(s);
      for (int64_t n = 0; n < p.batch; ++n)
        for (int64_t i = 0; i < p.space; ++i) {
          const size_t at = p.at(n, ch, i);
          want[at] = vg[k] * vi[k] * (through[at] - s / p.count() - (vx[at] - vm[k]) * vi[k] * t / p.count());
        }
    }
    BatchNormTrainingGrad op{c.relu ? NormActivation::relu : NormActivation::none};
    for (bool frozen : {false, true}) {
      Asked asked(op, {dx, dx, per_channel, per_channel, per_channel, c.relu ? dx : absent()},
                  {frozen ? absent() : dx, per_channel, per_channel, c.residual ? dx : absent()});
      const int ran =
          for_each_row(asked.q, {x.data, dy.data, gamma.data, mean.data, inverse.data, c.relu ? y.data : nullptr},
                       [&](const Kernel& row, std::vector<Buffer>& out) {
                         if (!frozen) expect_all(logical(dx, out[0]), want, 1e-4, stored, row.name);
                         expect_all(logical(per_channel, out[1]), dgamma, 1e-3, 2e-5, row.name);
                         expect_all(logical(per_channel, out[2]), dbeta, 1e-3, 2e-5, row.name);
                         if (c.residual) expect_all(logical(dx, out[3]), through, 0, 0, row.name);
                       });
      EXPECT_GT(ran, 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, TrainingBatchNorm, testing::Values(ElementType::f32, ElementType::bf16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace hone::cpu::test
