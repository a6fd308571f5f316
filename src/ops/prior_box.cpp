#include "ops/prior_box.hpp"

#include <algorithm>
#include <cmath>

#include "ops/axes.hpp"
#include "ops/family.hpp"

namespace hone {
namespace {

// Writes corners from centres and half sizes, in pixels, as fractions of the image.
class BoxWriter {
 public:
  BoxWriter(Tensor& out, float image_height, float image_width)
      : to_(out.data<float>()), end_(to_ + out.size() / 2), height_(image_height), width_(image_width) {}
  void operator()(float x, float y, float half_width, float half_height, bool clip) {
    if (to_ + 4 > end_) return;
    const float box[4] = {(x - half_width) / width_, (y - half_height) / height_, (x + half_width) / width_,
                          (y + half_height) / height_};
    for (float v : box) *to_++ = clip ? std::clamp(v, 0.0f, 1.0f) : v;
  }

 private:
  float *to_, *end_;
  float height_, width_;
};

// Ratios without repetition, 1 first, each followed by its inverse where they are flipped.
std::vector<float> ratios(const PriorBox& op) {
  std::vector<float> out{1};
  for (double r : op.aspect_ratio) {
    const auto ratio = static_cast<float>(r);
    if (std::any_of(out.begin(), out.end(), [&](float o) { return std::fabs(o - ratio) < 1e-6f; })) continue;
    out.push_back(ratio);
    if (op.flip) out.push_back(1 / ratio);
  }
  return out;
}

int64_t number_of_priors(const PriorBox& op) {
  const auto n = [](const auto& v) { return static_cast<int64_t>(v.size()); };
  const int64_t shapes = n(ratios(op));
  int64_t priors = op.scale_all_sizes ? shapes * n(op.min_size) + n(op.max_size) : shapes + n(op.min_size) - 1;
  if (!op.fixed_size.empty()) priors = shapes * n(op.fixed_size);
  for (double d : op.density) {
    const auto more = static_cast<int64_t>(d) * static_cast<int64_t>(d) - 1;
    priors += (op.fixed_ratio.empty() ? shapes : n(op.fixed_ratio)) * more;
  }
  return priors;
}

void write_variances(Tensor& out, const std::vector<double>& variance) {
  const size_t half = out.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    const double v = variance.empty() ? 0.1 : variance.size() == 1 ? variance[0] : variance[i % 4];
    out.data<float>()[half + i] = static_cast<float>(v);
  }
}

Types box_types(const InferCtx& ctx, int64_t priors, const std::vector<double>& variance) {
  ctx.check(priors > 0 && priors < 1 << 20, std::to_string(priors) + " boxes a position");
  ctx.check(variance.size() <= 1 || variance.size() == 4, std::to_string(variance.size()) + " variances");
  const auto size = known_elements(ctx, 0);
  const Dimension boxes = size && size->size() == 2 ? (*size)[0] * (*size)[1] * Dimension(4 * priors) : Dimension();
  return {Type(ElementType::f32, PartialShape{2, boxes})};
}

struct Sizes {
  int64_t height, width;
  float image_height, image_width;
};
Sizes sizes_of(const EvalCtx& ctx) {
  if (ctx.input(0).size() != 2 || ctx.input(1).size() != 2) ctx.fail("wants two sizes of two numbers");
  const Sizes s{get_integer(ctx.input(0), 0), get_integer(ctx.input(0), 1),
                static_cast<float>(get_integer(ctx.input(1), 0)), static_cast<float>(get_integer(ctx.input(1), 1))};
  if (s.height < 1 || s.width < 1 || s.image_height < 1 || s.image_width < 1) ctx.fail("sizes begin at 1");
  return s;
}

}  // namespace

Types PriorBox::infer(InferCtx& ctx) const {
  return box_types(ctx, number_of_priors(*this), variance);
}
void PriorBox::eval(EvalCtx& ctx) const {
  const Sizes s = sizes_of(ctx);
  Tensor y = ctx.output(0, ElementType::f32, {2, 4 * s.height * s.width * number_of_priors(*this)});
  BoxWriter box(y, s.image_height, s.image_width);
  const auto shapes = ratios(*this);
  auto stride = static_cast<float>(step);
  std::vector<float> smallest(min_size.begin(), min_size.end());
  if (!scale_all_sizes) {  // sizes are fractions of the image
    stride = step == -1 ? s.image_height / static_cast<float>(s.height) : stride * s.image_height;
    for (float& m : smallest) m *= s.image_height;
  }
  const float shift = stride == 0 ? 0.5f : static_cast<float>(offset);
  const float stride_x = stride == 0 ? s.image_width / static_cast<float>(s.width) : stride,
              stride_y = stride == 0 ? s.image_height / static_cast<float>(s.height) : stride;
  for (int64_t h = 0; h < s.height; ++h) {
    for (int64_t w = 0; w < s.width; ++w) {
      const float x = (static_cast<float>(w) + shift) * stride_x, y0 = (static_cast<float>(h) + shift) * stride_y;
      for (size_t f = 0; f < fixed_size.size(); ++f) {
        const auto size = static_cast<float>(fixed_size[f]);
        const int64_t count = f < density.size() ? static_cast<int64_t>(density[f]) : 1;
        const auto apart = static_cast<float>(static_cast<int64_t>(size / static_cast<float>(count)));
        // A lattice of boxes around the centre.
        const auto lattice = [&](float ratio) {
          const float half = size * 0.5f, root = std::sqrt(ratio);
          for (int64_t r = 0; r < count; ++r) {
            for (int64_t c = 0; c < count; ++c) {
              box(x - half + apart / 2 + static_cast<float>(c) * apart,
                  y0 - half + apart / 2 + static_cast<float>(r) * apart, half * root, half / root, true);
            }
          }
        };
        if (!fixed_ratio.empty()) {
          for (double r : fixed_ratio) lattice(static_cast<float>(r));
        } else {
          for (float r : shapes) lattice(r);
        }
      }
      for (size_t m = 0; m < smallest.size(); ++m) {
        box(x, y0, smallest[m] * 0.5f, smallest[m] * 0.5f, false);
        const auto largest = [&] {
          if (m >= max_size.size()) return;
          const float half = std::sqrt(smallest[m] * static_cast<float>(max_size[m])) * 0.5f;
          box(x, y0, half, half, false);
        };
        const auto others = [&] {
          if (!scale_all_sizes && m + 1 != smallest.size()) return;
          const float half = smallest[scale_all_sizes ? m : 0] * 0.5f;
          for (size_t r = 1; r < shapes.size(); ++r)
            box(x, y0, half * std::sqrt(shapes[r]), half / std::sqrt(shapes[r]), false);
        };
        if (min_max_aspect_ratios_order) {
          largest();
          others();
        } else {
          others();
          largest();
        }
      }
    }
  }
  if (clip) {
    for (size_t i = 0; i < y.size() / 2; ++i) y.data<float>()[i] = std::clamp(y.data<float>()[i], 0.0f, 1.0f);
  }
  write_variances(y, variance);
}
Samples PriorBox::samples() {
  // OpenVINO gives the same.
  return {
      sample(
          PriorBox{.min_size = {6},
                   .max_size = {10},
                   .aspect_ratio = {2, 3},
                   .variance = {0.10000000000000001, 0.10000000000000001, 0.20000000000000001, 0.20000000000000001},
                   .flip = true,
                   .step = 0,
                   .offset = 0.5},
          {int_tensor({1, 2}), int_tensor({20, 30})},
          {Tensor::of<float>(
              {2, 48}, {0.15f,       0.35f,      0.35f,      0.65f,      0.1209006f, 0.3063508f, 0.3790995f, 0.6936492f,
                        0.1085787f,  0.393934f,  0.3914214f, 0.606066f,  0.1792893f, 0.287868f,  0.3207107f, 0.7121321f,
                        0.07679493f, 0.4133975f, 0.4232051f, 0.5866026f, 0.192265f,  0.2401924f, 0.3077351f, 0.7598076f,
                        0.65f,       0.35f,      0.85f,      0.65f,      0.6209006f, 0.3063508f, 0.8790995f, 0.6936492f,
                        0.6085786f,  0.393934f,  0.8914214f, 0.606066f,  0.6792893f, 0.287868f,  0.8207107f, 0.7121321f,
                        0.576795f,   0.4133975f, 0.9232051f, 0.5866026f, 0.692265f,  0.2401924f, 0.807735f,  0.7598076f,
                        0.1f,        0.1f,       0.2f,       0.2f,       0.1f,       0.1f,       0.2f,       0.2f,
                        0.1f,        0.1f,       0.2f,       0.2f,       0.1f,       0.1f,       0.2f,       0.2f,
                        0.1f,        0.1f,       0.2f,       0.2f,       0.1f,       0.1f,       0.2f,       0.2f,
                        0.1f,        0.1f,       0.2f,       0.2f,       0.1f,       0.1f,       0.2f,       0.2f,
                        0.1f,        0.1f,       0.2f,       0.2f,       0.1f,       0.1f,       0.2f,       0.2f,
                        0.1f,        0.1f,       0.2f,       0.2f,       0.1f,       0.1f,       0.2f,       0.2f})}),
      // clang-format off
          sample(PriorBox{.min_size = {4, 8}, .max_size = {6, 9}, .aspect_ratio = {2}, .clip = true, .min_max_aspect_ratios_order = false, .step = 8, .offset = 0.25}, {int_tensor({2, 1}), int_tensor({16, 16})}, {Tensor::of<float>({2, 48}, {0, 0, 0.25f, 0.25f, 0, 0.03661165f, 0.3017767f, 0.2133884f, 0, 0, 0.2780931f, 0.2780931f, 0, 0, 0.375f, 0.375f, 0, 0, 0.4785534f, 0.3017767f, 0, 0, 0.390165f, 0.390165f, 0, 0.5f, 0.25f, 0.75f, 0, 0.5366117f, 0.3017767f, 0.7133883f, 0, 0.4719069f, 0.2780931f, 0.7780931f, 0, 0.375f, 0.375f, 0.875f, 0, 0.4482233f, 0.4785534f, 0.8017767f, 0, 0.359835f, 0.390165f, 0.890165f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f})}),
          sample(PriorBox{.min_size = {0.25, 0.5}, .aspect_ratio = {2}, .scale_all_sizes = false, .step = -1, .offset = 0.5}, {int_tensor({1, 1}), int_tensor({32, 32})}, {Tensor::of<float>({2, 12}, {0.375f, 0.375f, 0.625f, 0.625f, 0.25f, 0.25f, 0.75f, 0.75f, 0.3232233f, 0.4116116f, 0.6767767f, 0.5883883f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f})}),
          sample(PriorBox{.density = {2}, .fixed_ratio = {1, 2}, .fixed_size = {8}, .step = 16, .offset = 0.5}, {int_tensor({1, 1}), int_tensor({32, 32})}, {Tensor::of<float>({2, 28}, {0.0625f, 0.0625f, 0.3125f, 0.3125f, 0.1875f, 0.0625f, 0.4375f, 0.3125f, 0.0625f, 0.1875f, 0.3125f, 0.4375f, 0.1875f, 0.1875f, 0.4375f, 0.4375f, 0.01072331f, 0.09911165f, 0.3642767f, 0.2758884f, 0.1357233f, 0.09911165f, 0.4892767f, 0.2758884f, 0.01072331f, 0.2241116f, 0.3642767f, 0.4008884f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f})}),
          sample(PriorBox{.aspect_ratio = {2}, .density = {1, 2}, .fixed_size = {8, 16}, .step = 16, .offset = 0.5}, {int_tensor({1, 1}), int_tensor({32, 32})}, {Tensor::of<float>({2, 40}, {0.125f, 0.125f, 0.375f, 0.375f, 0.07322331f, 0.1616116f, 0.4267767f, 0.3383884f, 0, 0, 0.375f, 0.375f, 0.125f, 0, 0.625f, 0.375f, 0, 0.125f, 0.375f, 0.625f, 0.125f, 0.125f, 0.625f, 0.625f, 0, 0, 0.4785534f, 0.3017767f, 0.02144662f, 0, 0.7285534f, 0.3017767f, 0, 0.1982233f, 0.4785534f, 0.5517767f, 0.02144662f, 0.1982233f, 0.7285534f, 0.5517767f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f})})};
  // clang-format on
}
HONE_DEFINE_OP(PriorBox)

Types PriorBoxClustered::infer(InferCtx& ctx) const {
  ctx.check(width.size() == height.size(),
            std::to_string(width.size()) + " widths and " + std::to_string(height.size()) + " heights");
  return box_types(ctx, static_cast<int64_t>(width.size()), variance);
}
void PriorBoxClustered::eval(EvalCtx& ctx) const {
  const Sizes s = sizes_of(ctx);
  Tensor y = ctx.output(0, ElementType::f32, {2, 4 * s.height * s.width * static_cast<int64_t>(width.size())});
  BoxWriter box(y, s.image_height, s.image_width);
  const auto stride = [&](double own, float image, int64_t map) {
    return static_cast<float>(own != 0    ? own
                              : step != 0 ? step
                                          : static_cast<double>(image) / static_cast<double>(map));
  };
  const float stride_x = stride(step_w, s.image_width, s.width), stride_y = stride(step_h, s.image_height, s.height);
  for (int64_t h = 0; h < s.height; ++h) {
    for (int64_t w = 0; w < s.width; ++w) {
      const float x = (static_cast<float>(w) + static_cast<float>(offset)) * stride_x,
                  y0 = (static_cast<float>(h) + static_cast<float>(offset)) * stride_y;
      for (size_t p = 0; p < width.size(); ++p)
        box(x, y0, static_cast<float>(width[p]) / 2, static_cast<float>(height[p]) / 2, clip);
    }
  }
  write_variances(y, variance);
}
Samples PriorBoxClustered::samples() {
  return {
      sample(
          PriorBoxClustered{
              .width = {4, 8},
              .height = {6, 3},
              .variance = {0.10000000000000001, 0.20000000000000001, 0.29999999999999999, 0.40000000000000002},
              .clip = false,
              .step = 0,
              .offset = 0.5},
          {int_tensor({1, 2}), int_tensor({20, 30})},
          {Tensor::of<float>({2, 16}, {0.1833333f, 0.35f, 0.3166667f, 0.65f, 0.1166667f, 0.425f, 0.3833333f, 0.575f,
                                       0.6833333f, 0.35f, 0.8166667f, 0.65f, 0.6166667f, 0.425f, 0.8833333f, 0.575f,
                                       0.1f,       0.2f,  0.3f,       0.4f,  0.1f,       0.2f,   0.3f,       0.4f,
                                       0.1f,       0.2f,  0.3f,       0.4f,  0.1f,       0.2f,   0.3f,       0.4f})}),
      sample(PriorBoxClustered{.width = {20},
                               .height = {4},
                               .variance = {0.10000000000000001},
                               .clip = true,
                               .step_w = 8,
                               .step_h = 4,
                               .offset = 0.5},
             {int_tensor({2, 1}), int_tensor({16, 16})},
             {Tensor::of<float>({2, 8}, {0, 0, 0.875f, 0.25f, 0, 0.25f, 0.875f, 0.5f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f,
                                         0.1f, 0.1f, 0.1f})})};
}
HONE_DEFINE_OP(PriorBoxClustered)

}  // namespace hone
