#include "cpu/kernels/training/row_test.hpp"
#include "ops/loss.hpp"
#include "ops/optimizer.hpp"
#include "ops/pooling.hpp"

namespace hone::cpu::test {
namespace {

TEST(TrainingLoss, softmax_cross_entropy_and_its_gradient_match_plain_loops) {
  std::mt19937 rng(3);
  const int64_t samples = 37, classes = 11;
  const TensorDesc logits = desc(ElementType::f32, {samples, classes}), labels = desc(ElementType::i64, {samples}),
                   scalar = desc(ElementType::f32, {});
  const Buffer x = random_buffer(logits, rng, -8, 8);
  std::vector<int64_t> label;
  for (int64_t i = 0; i < samples; ++i) label.push_back(i % 5 == 3 ? -100 : i % classes);
  for (Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none}) {
    for (double smooth : {0.0, 0.1}) {
      const TensorDesc loss = reduction == Reduction::none ? desc(ElementType::f32, {samples}) : scalar;
      std::vector<double> losses, logs, gradient;
      double counted = 0, total = 0;
      for (int64_t i = 0; i < samples; ++i) counted += label[size_t(i)] >= 0;
      const double upstream = 0.75, factor = upstream / (reduction == Reduction::mean ? counted : 1);
      for (int64_t i = 0; i < samples; ++i) {
        double sum = 0, l = 0;
        for (int64_t c = 0; c < classes; ++c) sum += std::exp(read(logits, x.data, size_t(i * classes + c)));
        for (int64_t c = 0; c < classes; ++c) {
          const double lp = read(logits, x.data, size_t(i * classes + c)) - std::log(sum);
          const double target = (c == label[size_t(i)] ? 1 - smooth : 0) + smooth / classes;
          logs.push_back(lp);
          if (label[size_t(i)] >= 0) l -= target * lp;
          gradient.push_back(label[size_t(i)] >= 0 ? factor * (std::exp(lp) - target) : 0);
        }
        losses.push_back(l);
        total += l;
      }
      if (reduction != Reduction::none) losses = {reduction == Reduction::mean ? total / counted : total};
      Asked forward(SoftmaxCrossEntropy{smooth, reduction, -100}, {logits, labels}, {loss, logits});
      Buffer saved;
      int ran = for_each_row(forward.q, {x.data, label.data()}, [&](const Kernel& row, std::vector<Buffer>& out) {
        expect_all(logical(loss, out[0]), losses, 1e-6, 1e-6, row.name);
        expect_all(logical(logits, out[1]), logs, 1e-6, 1e-6, row.name);
        saved = std::move(out[1]);
      });
      EXPECT_GT(ran, 0);
      const std::vector<float> dloss(samples, float(upstream));
      Asked backward(SoftmaxCrossEntropyGrad{smooth, reduction, -100}, {logits, labels, loss}, {logits});
      ran = for_each_row(backward.q, {saved.data, label.data(), dloss.data()},
                         [&](const Kernel& row, std::vector<Buffer>& out) {
                           expect_all(logical(logits, out[0]), gradient, 1e-6, 1e-5, row.name);
                         });
      EXPECT_GT(ran, 0);
    }
  }
}

TEST(TrainingLoss, takes_probabilities_as_targets) {
  const TensorDesc logits = desc(ElementType::f32, {1, 2}), scalar = desc(ElementType::f32, {});
  const float x[16] = {0, 0}, p[16] = {0.25, 0.75};
  Asked asked(SoftmaxCrossEntropy{}, {logits, logits}, {scalar, logits});
  EXPECT_GT(for_each_row(asked.q, {x, p},
                         [&](const Kernel& row, std::vector<Buffer>& out) {
                           EXPECT_NEAR(read(scalar, out[0].data, 0), std::log(2.0), 1e-6) << row.name;
                         }),
            0);
}

struct PoolCase {
  int64_t batch, channels, height, width, kernel, stride, pad, dilation;
};

TEST(TrainingPooling, gradients_match_plain_loops) {
  std::mt19937 rng(5);
  const PoolCase cases[] = {{2, 16, 9, 7, 3, 2, 1, 1},
                            {1, 5, 8, 8, 2, 2, 0, 1},
                            {3, 64, 7, 7, 7, 1, 0, 1},
                            {2, 33, 6, 11, 3, 1, 1, 1},
                            {1, 8, 12, 12, 3, 2, 2, 2}};
  for (ElementType type : {ElementType::f32, ElementType::bf16}) {
    const double stored = type == ElementType::bf16 ? std::ldexp(1.0, -8) : 1e-6;
    for (const PoolCase& c : cases) {
      for (bool average : {false, true}) {
        for (bool exclude : {true, false}) {
          if (!average && !exclude) continue;
          auto size = [&](int64_t n) { return (n + 2 * c.pad - (c.kernel - 1) * c.dilation - 1) / c.stride + 1; };
          const int64_t oh = size(c.height), ow = size(c.width);
          const TensorDesc dx = desc(type, {c.batch, c.channels, c.height, c.width}),
                           dy = desc(type, {c.batch, c.channels, oh, ow});
          Buffer x = random_buffer(dx, rng);
          const Buffer g = random_buffer(dy, rng);
          // equal values, so that ties are met
          if (type == ElementType::f32)
            for (size_t i = 0; i < dx.size(); ++i) {
              auto& v = reinterpret_cast<float*>(x.data)[i];
              v = std::round(v * 3);
            }
          const auto vx = logical(dx, x), vg = logical(dy, g);
          std::vector<double> want(vx.size());
          for (int64_t p = 0; p < c.batch * c.channels; ++p)
            for (int64_t oy = 0; oy < oh; ++oy)
              for (int64_t ox = 0; ox < ow; ++ox) {
                std::vector<size_t> taps;
                for (int64_t ky = 0; ky < c.kernel; ++ky)
                  for (int64_t kx = 0; kx < c.kernel; ++kx) {
                    const int64_t y = oy * c.stride - c.pad + ky * c.dilation,
                                  xx = ox * c.stride - c.pad + kx * c.dilation;
                    if (y >= 0 && xx >= 0 && y < c.height && xx < c.width)
                      taps.push_back(size_t((p * c.height + y) * c.width + xx));
                  }
                const double d = vg[size_t((p * oh + oy) * ow + ox)];
                if (average) {
                  const double count = exclude ? double(taps.size()) : double(c.kernel * c.kernel);
                  for (size_t t : taps) want[t] += d / count;
                } else {
                  size_t best = taps[0];
                  for (size_t t : taps)
                    if (vx[t] > vx[best]) best = t;
                  want[best] += d;
                }
              }
          const std::vector<int64_t> k = {c.kernel, c.kernel}, s = {c.stride, c.stride}, pad = {c.pad, c.pad},
                                     dil = {c.dilation, c.dilation};
          int ran = 0;
          auto check = [&](const Kernel& row, std::vector<Buffer>& out) {
            expect_all(logical(dx, out[0]), want, 1e-5, stored, row.name);
          };
          if (average) {
            const int64_t shape[4] = {c.batch, c.channels, c.height, c.width};
            Asked asked(AvgPoolGrad{s, pad, pad, k, exclude, RoundingType::floor, AutoPad::explicit_, dil},
                        {dy, desc(ElementType::i64, {4})}, {dx});
            ran = for_each_row(asked.q, {g.data, shape}, check);
          } else {
            Asked asked(MaxPoolGrad{s, dil, pad, pad, k}, {dx, dy}, {dx});
            ran = for_each_row(asked.q, {x.data, g.data}, check);
          }
          EXPECT_GT(ran, 0);
        }
      }
    }
  }
}

/// A set of tensors of uneven sizes, `groups` for each of `count` parameters.
struct Tensors {
  std::vector<TensorDesc> descs;
  std::vector<Buffer> buffers;
  std::vector<std::vector<double>> values;
};
Tensors tensors(int groups, const std::vector<Shape>& shapes, std::mt19937& rng) {
  Tensors t;
  for (int g = 0; g < groups; ++g)
    for (const Shape& s : shapes) {
      t.descs.push_back(desc(ElementType::f32, s, false));
      t.buffers.push_back(random_buffer(t.descs.back(), rng, 0.1, 1));
      t.values.push_back(logical(t.descs.back(), t.buffers.back()));
    }
  return t;
}
const std::vector<Shape> kShapes = {{3, 5, 7}, {1}, {16}, {9000}, {4, 33}};

TEST(TrainingOptimizer, sgd_updates_with_and_without_decay_out_of_place_and_in_place) {
  std::mt19937 rng(6);
  const size_t count = kShapes.size();
  Tensors t = tensors(3, kShapes, rng);
  const TensorDesc scalar = desc(ElementType::f32, {});
  for (bool nesterov : {false, true}) {
    for (float scale : {0.5f, 0.0f}) {
      SgdStep op{static_cast<int64_t>(count), 0.9, nesterov, 0.01, {1, 0, 1, 1, 0}};
      std::vector<TensorDesc> in = {scalar, scalar};
      in.insert(in.end(), t.descs.begin(), t.descs.end());
      Asked asked(op, in, std::vector<TensorDesc>(t.descs.begin(), t.descs.begin() + long(2 * count)));
      for (size_t k = 0; k < count; ++k) {
        asked.q.outputs[k] = t.descs[k];
        asked.q.outputs[count + k] = t.descs[k];
      }
      const float lr = 0.1f;
      std::vector<const void*> inputs = {&lr, &scale};
      for (const Buffer& b : t.buffers) inputs.push_back(b.data);
      std::vector<std::vector<double>> want(2 * count);
      for (size_t k = 0; k < count; ++k)
        for (size_t i = 0; i < t.values[k].size(); ++i) {
          const double p = t.values[k][i], m = t.values[2 * count + k][i];
          const double g = scale * t.values[count + k][i] + (op.decay_mask[k] ? 0.01 * p : 0);
          const double v = scale == 0 ? m : 0.9 * m + g;
          want[k].push_back(scale == 0 ? p : p - 0.1 * (nesterov ? g + 0.9 * v : v));
          want[count + k].push_back(v);
        }
      const int ran = for_each_row(asked.q, inputs, [&](const Kernel& row, std::vector<Buffer>& out) {
        for (size_t k = 0; k < 2 * count; ++k)
          expect_all(logical(asked.q.outputs[k], out[k]), want[k], 1e-6, 1e-6, row.name);
        // in place
        Tensors copy;
        for (const Buffer& b : t.buffers) {
          copy.buffers.emplace_back(b.size);
          std::memcpy(copy.buffers.back().data, b.data, b.size);
        }
        std::vector<const void*> from = {&lr, &scale};
        std::vector<void*> to;
        for (Buffer& b : copy.buffers) from.push_back(b.data);
        for (size_t k = 0; k < count; ++k) to.push_back(copy.buffers[k].data);
        for (size_t k = 0; k < count; ++k) to.push_back(copy.buffers[2 * count + k].data);
        const KernelPlan plan = row.plan(asked.q);
        ASSERT_EQ(plan.in_place.size(), 2 * count);
        for (auto [o, i] : plan.in_place) EXPECT_EQ(to[o], from[i]);
        ThreadPool pool(2);
        KernelArgs args{from, to, nullptr, pool};
        row.prepare(asked.q)->run(args);
        for (size_t k = 0; k < 2 * count; ++k) EXPECT_EQ(0, std::memcmp(to[k], out[k].data, out[k].size)) << row.name;
      });
      EXPECT_GT(ran, 0);
    }
  }
}

TEST(TrainingOptimizer, adamw_decays_apart_from_the_gradient) {
  std::mt19937 rng(8);
  const size_t count = kShapes.size();
  Tensors t = tensors(4, kShapes, rng);
  const TensorDesc scalar = desc(ElementType::f32, {});
  AdamWStep op{static_cast<int64_t>(count), 0.9, 0.99, 1e-8, 0.05, {1, 0, 1, 1, 0}};
  std::vector<TensorDesc> in = {scalar, scalar, scalar}, out;
  in.insert(in.end(), t.descs.begin(), t.descs.end());
  for (int g = 0; g < 3; ++g) out.insert(out.end(), t.descs.begin(), t.descs.begin() + long(count));
  Asked asked(op, in, out);
  const float lr = 0.01f, scale = 2.0f, step = 3.0f;
  std::vector<const void*> inputs = {&lr, &scale, &step};
  for (const Buffer& b : t.buffers) inputs.push_back(b.data);
  std::vector<std::vector<double>> want(3 * count);
  for (size_t k = 0; k < count; ++k)
    for (size_t i = 0; i < t.values[k].size(); ++i) {
      const double g = 2 * t.values[count + k][i];
      const double m = 0.9 * t.values[2 * count + k][i] + 0.1 * g, v = 0.99 * t.values[3 * count + k][i] + 0.01 * g * g;
      const double p = t.values[k][i] * (1 - (op.decay_mask[k] ? 0.01 * 0.05 : 0));
      want[k].push_back(p - 0.01 * (m / (1 - std::pow(0.9, 3))) / (std::sqrt(v / (1 - std::pow(0.99, 3))) + 1e-8));
      want[count + k].push_back(m);
      want[2 * count + k].push_back(v);
    }
  const int ran = for_each_row(asked.q, inputs, [&](const Kernel& row, std::vector<Buffer>& got) {
    for (size_t k = 0; k < 3 * count; ++k)
      expect_all(logical(asked.q.outputs[k], got[k]), want[k], 1e-6, 3e-6, row.name);
  });
  EXPECT_GT(ran, 0);
}

TEST(TrainingOptimizer, averages_and_gradient_scale) {
  std::mt19937 rng(9);
  const size_t count = kShapes.size();
  Tensors t = tensors(2, kShapes, rng);
  const TensorDesc scalar = desc(ElementType::f32, {});
  std::vector<TensorDesc> in = {scalar}, half(t.descs.begin(), t.descs.begin() + long(count));
  in.insert(in.end(), t.descs.begin(), t.descs.end());
  Asked ema(EmaStep{static_cast<int64_t>(count)}, in, half);
  const float decay = 0.75f;
  std::vector<const void*> inputs = {&decay}, gradients;
  for (const Buffer& b : t.buffers) inputs.push_back(b.data), gradients.push_back(b.data);
  int ran = for_each_row(ema.q, inputs, [&](const Kernel& row, std::vector<Buffer>& out) {
    for (size_t k = 0; k < count; ++k) {
      std::vector<double> want;
      for (size_t i = 0; i < t.values[k].size(); ++i)
        want.push_back(0.75 * t.values[k][i] + 0.25 * t.values[count + k][i]);
      expect_all(logical(half[k], out[k]), want, 1e-7, 1e-6, row.name);
    }
  });
  EXPECT_GT(ran, 0);

  double norm = 0;
  for (const auto& v : t.values)
    for (double x : v) norm += x * x;
  norm = std::sqrt(norm);
  for (double most : {0.0, 1.0, 1e6}) {
    Asked asked(GradientScale{most}, t.descs, {scalar, scalar});
    ran = for_each_row(asked.q, gradients, [&](const Kernel& row, std::vector<Buffer>& out) {
      EXPECT_NEAR(read(scalar, out[0].data, 0), most == 1.0 ? 1 / norm : 1.0, 1e-6) << row.name;
      EXPECT_NEAR(read(scalar, out[1].data, 0), norm, 1e-6 * norm) << row.name;
    });
    EXPECT_GT(ran, 0);
  }
  reinterpret_cast<float*>(t.buffers[3].data)[77] = std::numeric_limits<float>::infinity();
  Asked asked(GradientScale{1.0}, t.descs, {scalar, scalar});
  ran = for_each_row(asked.q, gradients, [&](const Kernel& row, std::vector<Buffer>& out) {
    EXPECT_EQ(read(scalar, out[0].data, 0), 0) << row.name;
  });
  EXPECT_GT(ran, 0);
}

}  // namespace
}  // namespace hone::cpu::test
