#include <cmath>

#include "ops/convolution.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/product.hpp"
#include "ops/window.hpp"

namespace hone {
namespace {

WindowAttributes window_attributes(const auto& ctx, const DeformableConvolution& op) {
  if (op.group < 1 || op.deformable_group < 1) ctx.fail("a number of groups is not positive");
  try {
    return window::attributes_of(op, 2);
  } catch (const Error& e) {
    ctx.fail(e.message());
  }
}

// The four neighbours of a position with their weights; index -1 counts as zero.
struct Neighbours {
  int64_t index[4] = {-1, -1, -1, -1};
  double weight[4] = {};
};
Neighbours neighbours(double y, double x, int64_t height, int64_t width, bool pad) {
  Neighbours n;
  const auto h = static_cast<double>(height), w = static_cast<double>(width), edge = pad ? -1.0 : 0.0;
  const bool inside = pad ? y > edge && x > edge : y >= edge && x >= edge;
  if (!inside || !(y < h) || !(x < w)) return n;
  const auto y0 = static_cast<int64_t>(std::floor(y)), x0 = static_cast<int64_t>(std::floor(x));
  const double dy = y - static_cast<double>(y0), dx = x - static_cast<double>(x0);
  for (int k = 0; k < 4; ++k) {
    int64_t py = y0 + k / 2, px = x0 + k % 2;
    if (!pad) py = std::min(py, height - 1), px = std::min(px, width - 1);
    n.weight[k] = (k / 2 ? dy : 1 - dy) * (k % 2 ? dx : 1 - dx);
    if (py >= 0 && py < height && px >= 0 && px < width) n.index[k] = py * width + px;
  }
  return n;
}

}  // namespace

Types DeformableConvolution::infer(InferCtx& ctx) const {
  const WindowAttributes attributes = window_attributes(ctx, *this);
  const PartialShape &x = ctx.shape(0), &offsets = ctx.shape(1), &w = ctx.shape(2);
  for (const PartialShape* s : {&x, &offsets, &w})
    ctx.check(!s->rank_known() || s->rank() == 4, to_string(*s) + " is not of rank 4");
  std::vector<Dimension> out(4);
  if (x.rank_known()) out[0] = x[0];
  if (w.rank_known()) out[1] = w[0];
  if (x.rank_known() && w.rank_known()) {
    ctx.check(x[1].compatible(w[1] * Dimension(group)),
              "data " + to_string(x) + " has other channels than weights " + to_string(w));
    for (size_t k = 2; k < 4; ++k) {
      try {
        out[k] = window::count(attributes, k - 2, x[k], w[k]);
      } catch (const Error& e) {
        ctx.fail(e.message());
      }
    }
    const Dimension channels = w[2] * w[3] * Dimension(2 * deformable_group);
    ctx.check(offsets.compatible(PartialShape{x[0], channels, out[2], out[3]}),
              "offsets " + to_string(offsets) + " do not fit the output");
  }
  return {Type(ctx.element(0), PartialShape(std::move(out)))};
}

void DeformableConvolution::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &offsets = ctx.input(1), &w = ctx.input(2);
  const WindowAttributes attributes = window_attributes(ctx, *this);
  if (x.rank() != 4 || w.rank() != 4 || w.element_type() != x.element_type())
    ctx.fail("data " + to_string(x.shape()) + " and weights " + to_string(w.shape()) + " do not fit");
  const Shape &xs = x.shape(), &ws = w.shape();
  if (xs[1] != ws[1] * group || ws[0] % group || xs[1] % deformable_group)
    ctx.fail("the channels of data " + to_string(xs) + " and weights " + to_string(ws) + " do not fit the groups");
  const auto axes = window::resolve(attributes, {xs[2], xs[3]}, {ws[2], ws[3]});
  const int64_t taps = ws[2] * ws[3], space = axes[0].out * axes[1].out;
  if (offsets.shape() != Shape{xs[0], 2 * taps * deformable_group, axes[0].out, axes[1].out})
    ctx.fail("offsets " + to_string(offsets.shape()) + " do not fit the output");
  if (ctx.has(3) && ctx.input(3).shape() != Shape{xs[0], taps * deformable_group, axes[0].out, axes[1].out})
    ctx.fail("mask " + to_string(ctx.input(3).shape()) + " does not fit the output");
  Tensor y = ctx.output(0, x.element_type(), {xs[0], ws[0], axes[0].out, axes[1].out});
  if (y.size() == 0) return;
  const int64_t rows = ws[0] / group, depth = ws[1] * taps, per_deformable = xs[1] / deformable_group;
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<Neighbours> near(static_cast<size_t>(taps * deformable_group));
    std::vector<double> factor(near.size(), 1);
    for (int64_t g = 0; g < group; ++g) {
      const T* wg = w.data<T>() + g * rows * depth;
      product<double>(
          static_cast<size_t>(rows), static_cast<size_t>(xs[0] * space), static_cast<size_t>(depth),
          [&](size_t m, size_t n, double* to) {
            for (size_t i = 0; i < n; ++i) {
              for (int64_t k = 0; k < depth; ++k)
                to[k * 4 + static_cast<int64_t>(i)] = static_cast<double>(wg[static_cast<int64_t>(m + i) * depth + k]);
            }
          },
          [&](size_t column, size_t n, double* to) {
            for (size_t j = 0; j < n; ++j) {
              const int64_t image = static_cast<int64_t>(column + j) / space,
                            at = static_cast<int64_t>(column + j) % space;
              const int64_t oy = at / axes[1].out, ox = at % axes[1].out;
              for (int64_t q = 0; q < taps * deformable_group; ++q) {
                const int64_t tap = q % taps, base = (image * 2 * taps * deformable_group + 2 * q) * space + at;
                const double py =
                    static_cast<double>(oy * axes[0].stride - axes[0].pad_begin + tap / ws[3] * axes[0].dilation) +
                    get_element(offsets, static_cast<size_t>(base));
                const double px =
                    static_cast<double>(ox * axes[1].stride - axes[1].pad_begin + tap % ws[3] * axes[1].dilation) +
                    get_element(offsets, static_cast<size_t>(base + space));
                near[static_cast<size_t>(q)] = neighbours(py, px, xs[2], xs[3], bilinear_interpolation_pad);
                if (ctx.has(3))
                  factor[static_cast<size_t>(q)] = get_element(
                      ctx.input(3), static_cast<size_t>((image * taps * deformable_group + q) * space + at));
              }
              for (int64_t c = 0; c < ws[1]; ++c) {
                const int64_t channel = g * ws[1] + c;
                const T* plane = x.data<T>() + (image * xs[1] + channel) * xs[2] * xs[3];
                for (int64_t t = 0; t < taps; ++t) {
                  const auto q = static_cast<size_t>(channel / per_deformable * taps + t);
                  double v = 0;
                  for (int k = 0; k < 4; ++k) {
                    if (near[q].index[k] >= 0) v += near[q].weight[k] * static_cast<double>(plane[near[q].index[k]]);
                  }
                  to[(c * taps + t) * 4 + static_cast<int64_t>(j)] = v * factor[q];
                }
              }
            }
          },
          [&](size_t m, size_t column, double sum) {
            const int64_t image = static_cast<int64_t>(column) / space, at = static_cast<int64_t>(column) % space;
            y.data<T>()[((image * ws[0]) + g * rows + static_cast<int64_t>(m)) * space + at] = static_cast<T>(sum);
          });
    }
  });
}
Samples DeformableConvolution::samples() {
  const auto values = [](Shape s, std::initializer_list<float> v) { return Tensor::of<float>(std::move(s), v); };
  const Tensor x = random_tensor({1, 2, 4, 5}, 1), offsets = random_tensor({1, 8, 3, 4}, 2, -1.5, 1.5),
               w = random_tensor({2, 2, 2, 2}, 3), mask = random_tensor({1, 4, 3, 4}, 4, 0, 1);
  // Expected values from OpenVINO 2026.4 and, with the padded interpolation, torchvision 0.30.
  return {
      sample(DeformableConvolution{}, {x, offsets, w},
             {values({1, 2, 3, 4},
                     {0.074438982f, 0.10689373f, 0.57386333f,   -0.37208247f,  -0.038531784f,  -0.16318664f,
                      -0.16176605f, 0.1771508f,  0.0097738076f, -0.4271608f,   0.046920996f,   0.075026475f,
                      0.40804023f,  0.74168265f, -0.058463048f, -0.021528583f, -0.0019297058f, 0.57259816f,
                      0.12312378f,  0.23431212f, -0.18589981f,  0.42094517f,   0.61484402f,    -0.20215492f})}),
      sample(DeformableConvolution{{}, {}, {}, {}, AutoPad::explicit_, 1, 1, true}, {x, offsets, w, mask},
             {values({1, 2, 3, 4},
                     {-0.050227076f, 0.07442145f,  0.43555787f,   -0.21360737f,  0.087835655f, -0.21109416f,
                      -0.067753926f, 0.044295486f, -0.011240033f, -0.22983548f,  -0.19039598f, 0.11041704f,
                      0.21649158f,   0.5361473f,   -0.027391329f, -0.021263942f, 0.23558103f,  0.013672322f,
                      0.11393265f,   0.014964494f, -0.059904672f, 0.13439953f,   0.25234625f,  -0.12258673f})}),
      sample(DeformableConvolution{{2, 1}, {1, 1}, {1, 0}, {1, 2}, AutoPad::explicit_, 2, 2, true},
             {random_tensor({2, 4, 5, 6}, 1), random_tensor({2, 24, 3, 5}, 2, -1, 1), random_tensor({4, 2, 3, 2}, 3)},
             {values(
                 {2, 4, 3, 5},
                 {0.16429044f,   0.30572838f,   0.031033382f,  0.2701138f,    0.18412042f,  0.79810619f,  0.2638984f,
                  0.34333917f,   0.13720536f,   -0.34573126f,  -0.21991441f,  -0.57968885f, -0.20481057f, -1.1779451f,
                  0.95855397f,   -0.10116067f,  0.021816537f,  -0.17519528f,  0.35735422f,  -0.20262957f, 0.45646125f,
                  0.7379415f,    -0.84248513f,  0.49888074f,   -1.3403723f,   0.18419206f,  0.22066174f,  -0.13343233f,
                  0.012305155f,  1.1289685f,    -1.6649832f,   -0.74137187f,  0.7028541f,   0.02439383f,  -0.16698956f,
                  -0.14244661f,  -1.6487945f,   -0.49122211f,  -0.021622792f, -0.45322448f, -0.1971612f,  0.05745076f,
                  -0.19353765f,  0.32972613f,   0.47812074f,   -0.055575252f, 0.50393635f,  0.35543141f,  -0.34607354f,
                  0.59224629f,   -0.37049299f,  -1.0646584f,   0.021890409f,  0.67325252f,  0.23012456f,  0.23747876f,
                  0.021113068f,  0.0076424219f, -0.48776773f,  0.43085504f,   -0.58969665f, 0.87557065f,  1.1104521f,
                  -0.035820495f, -0.52628028f,  -0.031052392f, 0.023876101f,  0.46775454f,  -0.27347857f, -0.047038175f,
                  -1.2786287f,   -0.64110273f,  -0.34297565f,  0.1159505f,    1.3004365f,   0.49737811f,  1.2125533f,
                  0.22454436f,   0.027505577f,  -0.38870293f,  0.23515162f,   -0.35319731f, -0.22731453f, -0.33726776f,
                  -0.091521911f, -0.14362356f,  -0.44811574f,  -0.88217986f,  0.29000878f,  0.66692364f,  -0.052988529f,
                  0.48700151f,   -0.1105054f,   0.021909297f,  0.24740537f,   0.87670773f,  -0.8798191f,  -1.4164033f,
                  1.3615211f,    0.17552204f,   0.25259358f,   -0.75863469f,  -0.589665f,   -1.0169129f,  -0.12445586f,
                  -0.48191875f,  -1.3109041f,   0.47128874f,   0.22065648f,   0.57602882f,  0.34077772f,  0.31812105f,
                  -0.14864063f,  0.78126329f,   -0.18435976f,  -0.018770196f, -0.43584025f, -0.53642106f, -0.45368195f,
                  -0.032635868f})})};
}
HONE_DEFINE_OP(DeformableConvolution)

}  // namespace hone
