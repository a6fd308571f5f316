#include "ops/patches.hpp"

#include <algorithm>

#include "ops/family.hpp"
#include "ops/strided_copy.hpp"
#include "ops/window.hpp"

namespace hone {
namespace {
std::vector<WindowAxis> patch_axes(const auto& ctx, const ExtractImagePatches& op, const Shape& space) {
  if (op.sizes.size() != 2) ctx.fail("sizes needs two entries");
  for (int64_t s : op.sizes) {
    if (s < 1) ctx.fail("sizes holds " + std::to_string(s));
  }
  WindowAttributes w;
  try {
    w.strides = window::filled(op.strides, 2, 1, 1, "strides");
    w.dilations = window::filled(op.rates, 2, 1, 1, "rates");
    w.pads_begin = w.pads_end = {0, 0};
    w.auto_pad = op.auto_pad == AutoPad::explicit_ ? AutoPad::valid : op.auto_pad;
    return window::resolve(w, space, op.sizes);
  } catch (const Error& e) {
    ctx.fail(e.message());
  }
}
}  // namespace

Types ExtractImagePatches::infer(InferCtx& ctx) const {
  const PartialShape& x = ctx.shape(0);
  ctx.check(!x.rank_known() || x.rank() == 4, "data " + to_string(x) + " is not [N, C, H, W]");
  patch_axes(ctx, *this, {1, 1});
  if (!x.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic(4))};
  std::vector<Dimension> out{x[0], x[1] * Dimension(sizes[0] * sizes[1]), Dimension(), Dimension()};
  if (x[2].is_static() && x[3].is_static()) {
    const auto axes = patch_axes(ctx, *this, {x[2].get_length(), x[3].get_length()});
    for (size_t k = 0; k < 2; ++k) out[k + 2] = Dimension(axes[k].out);
  }
  return {Type(ctx.element(0), PartialShape(std::move(out)))};
}
void ExtractImagePatches::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if (x.rank() != 4) ctx.fail("data " + to_string(x.shape()) + " is not [N, C, H, W]");
  const Shape& s = x.shape();
  const auto axes = patch_axes(ctx, *this, {s[2], s[3]});
  const WindowAxis &v = axes[0], &h = axes[1];
  Tensor y = ctx.output(0, x.element_type(), {s[0], sizes[0] * sizes[1] * s[1], v.out, h.out});
  int64_t to = 0;
  for (int64_t n = 0; n < s[0]; ++n) {
    for (int64_t k = 0; k < sizes[0] * sizes[1]; ++k) {
      for (int64_t c = 0; c < s[1]; ++c) {
        for (int64_t oy = 0; oy < v.out; ++oy) {
          for (int64_t ox = 0; ox < h.out; ++ox, ++to) {
            const int64_t iy = oy * v.stride - v.pad_begin + k / sizes[1] * v.dilation,
                          ix = ox * h.stride - h.pad_begin + k % sizes[1] * h.dilation;
            if (iy >= 0 && iy < s[2] && ix >= 0 && ix < s[3])
              copy_elements(x, ((n * s[1] + c) * s[2] + iy) * s[3] + ix, y, to, 1);
          }
        }
      }
    }
  }
}
Samples ExtractImagePatches::samples() {
  Tensor x(ElementType::f32, {1, 1, 4, 4});
  for (int i = 0; i < 16; ++i) x.data<float>()[i] = static_cast<float>(i);
  // Expected values from OpenVINO 2026.4.
  return {sample(ExtractImagePatches{{2, 2}, {2, 2}, {1, 1}, AutoPad::valid}, {x},
                 {Tensor::of<float>({1, 4, 2, 2}, {0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15})}),
          sample(ExtractImagePatches{{3, 2}, {2, 3}, {2, 1}, AutoPad::same_upper}, {random_tensor({2, 3, 5, 6}, 1)})};
}
HONE_DEFINE_OP(ExtractImagePatches)

Types ReorgYolo::infer(InferCtx& ctx) const {
  const PartialShape& x = ctx.shape(0);
  ctx.check(!stride.empty() && stride[0] >= 1 && stride[0] <= window::limit, "the stride is not positive");
  if (!x.rank_known()) return {Type(ctx.element(0), PartialShape::dynamic(4))};
  ctx.check(x.rank() == 4, "data " + to_string(x) + " is not [N, C, H, W]");
  for (size_t k = 2; k < 4; ++k)
    ctx.check(x[k].is_dynamic() || x[k].get_length() % stride[0] == 0, to_string(x) + " does not divide by the stride");
  ctx.check(x[1].max() >= stride[0] * stride[0], "data " + to_string(x) + " has too few channels");
  return {Type(ctx.element(0),
               PartialShape{x[0], x[1] * Dimension(stride[0] * stride[0]), x[2] / stride[0], x[3] / stride[0]})};
}
void ReorgYolo::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const Shape& s = x.shape();
  const int64_t r = stride.empty() ? 0 : stride[0];
  if (r < 1 || s.size() != 4 || s[2] % r || s[3] % r || s[1] < r * r)
    ctx.fail("data " + to_string(s) + " do not fit the stride");
  Tensor y = ctx.output(0, x.element_type(), {s[0], s[1] * r * r, s[2] / r, s[3] / r});
  // Darknet walks its input as if it were the output of the inverse: [C / r^2, H * r, W * r].
  const int64_t channels = s[1] / (r * r), image = s[1] * s[2] * s[3];
  for (int64_t n = 0; n < s[0]; ++n) {
    for (int64_t c = 0; c < channels * r * r; ++c) {
      const int64_t number = c / channels;
      for (int64_t h = 0; h < s[2]; ++h) {
        for (int64_t w = 0; w < s[3]; ++w) {
          const int64_t from = (c % channels * s[2] * r + h * r + number / r) * s[3] * r + w * r + number % r;
          copy_elements(x, n * image + from, y, n * image + (c * s[2] + h) * s[3] + w, 1);
        }
      }
    }
  }
}
Samples ReorgYolo::samples() {
  Tensor x(ElementType::f32, {1, 4, 2, 2});
  for (int i = 0; i < 16; ++i) x.data<float>()[i] = static_cast<float>(i);
  // Expected values from OpenVINO 2026.4.
  return {sample(ReorgYolo{{2}}, {x},
                 {Tensor::of<float>({1, 16, 1, 1}, {0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15})}),
          sample(ReorgYolo{{2}}, {random_tensor({2, 8, 4, 6}, 1)})};
}
HONE_DEFINE_OP(ReorgYolo)

}  // namespace hone
