#include "ops/roi_bins.hpp"

#include <algorithm>
#include <cmath>

#include "ops/family.hpp"

namespace hone {
namespace {

template <class Op>
Types infer_bins(const InferCtx& ctx, const Op& op, int64_t channels_per_output) {
  const PartialShape &x = ctx.shape(0), &boxes = ctx.shape(1);
  ctx.check(op.output_dim > 0 && op.group_size > 0 && op.spatial_bins_x > 0 && op.spatial_bins_y > 0,
            "a size is not positive");
  ctx.check(!x.rank_known() || x.rank() == 4, "data " + to_string(x) + " are not [N, C, H, W]");
  ctx.check(boxes.compatible(PartialShape{Dimension(), Dimension(5)}), "boxes " + to_string(boxes) + " are not [R, 5]");
  ctx.check(
      !x.rank_known() || x[1].compatible(Dimension(op.output_dim * channels_per_output)),
      "data " + to_string(x) + " do not have " + std::to_string(op.output_dim * channels_per_output) + " channels");
  return {Type(ctx.element(0),
               PartialShape{boxes.rank_known() ? boxes[0] : Dimension(), op.output_dim, op.group_size, op.group_size})};
}

// The parts of both operators that are the same: the map, the boxes, the image of each box.
struct Regions {
  Regions(EvalCtx& ctx, int64_t channels_wanted)
      : x(ctx.input(0).converted(ElementType::f32)), boxes(ctx.input(1).converted(ElementType::f32)) {
    if (x.rank() != 4 || boxes.rank() != 2 || boxes.shape()[1] != 5 || x.shape()[1] != channels_wanted)
      ctx.fail("data " + to_string(x.shape()) + " and boxes " + to_string(boxes.shape()) + " do not fit");
    channels = x.shape()[1];
    height = x.shape()[2];
    width = x.shape()[3];
    for (int64_t r = 0; r < count(); ++r) {
      if (!(box(r)[0] >= 0) || box(r)[0] >= static_cast<float>(x.shape()[0]))
        ctx.fail("a box lies in image " + std::to_string(box(r)[0]) + " of " + std::to_string(x.shape()[0]));
    }
  }
  int64_t count() const { return boxes.shape()[0]; }
  const float* box(int64_t r) const { return boxes.data<float>() + r * 5; }
  const float* plane(int64_t r, int64_t channel) const {
    return x.data<float>() + (static_cast<int64_t>(box(r)[0]) * channels + channel) * height * width;
  }
  /// Between the four neighbours of a place inside of the map.
  float sample(const float* p, float at_y, float at_x) const {
    const auto top = static_cast<int64_t>(at_y), left = static_cast<int64_t>(at_x);
    const int64_t bottom = std::min(top + 1, height - 1), right = std::min(left + 1, width - 1);
    const float dy = at_y - static_cast<float>(top), dx = at_x - static_cast<float>(left);
    const float upper = p[top * width + left] * (1 - dx) + p[top * width + right] * dx;
    const float lower = p[bottom * width + left] * (1 - dx) + p[bottom * width + right] * dx;
    return upper * (1 - dy) + lower * dy;
  }
  Tensor x, boxes;
  int64_t channels = 0, height = 0, width = 0;
};

}  // namespace

Types PSROIPooling::infer(InferCtx& ctx) const {
  return infer_bins(ctx, *this, mode == PsRoiMode::average ? group_size * group_size : spatial_bins_x * spatial_bins_y);
}
void PSROIPooling::eval(EvalCtx& ctx) const {
  const bool average = mode == PsRoiMode::average;
  const Regions in(ctx, output_dim * (average ? group_size * group_size : spatial_bins_x * spatial_bins_y));
  Tensor y = ctx.output(0, ElementType::f32, {in.count(), output_dim, group_size, group_size});
  const auto scale = static_cast<float>(spatial_scale), groups = static_cast<float>(group_size);
  float* to = y.data<float>();
  for (int64_t r = 0; r < in.count(); ++r) {
    const float* b = in.box(r);
    for (int64_t c = 0; c < output_dim; ++c) {
      for (int64_t h = 0; h < group_size; ++h) {
        for (int64_t w = 0; w < group_size; ++w, ++to) {
          if (average) {
            const float x1 = std::round(b[1]) * scale, y1 = std::round(b[2]) * scale,
                        x2 = (std::round(b[3]) + 1) * scale, y2 = (std::round(b[4]) + 1) * scale;
            const float step_w = std::max(x2 - x1, 0.1f) / groups, step_h = std::max(y2 - y1, 0.1f) / groups;
            const auto edge = [](float v, int64_t size) {
              return std::isnan(v) ? int64_t{0} : static_cast<int64_t>(std::clamp(v, 0.0f, static_cast<float>(size)));
            };
            const int64_t top = edge(std::floor(static_cast<float>(h) * step_h + y1), in.height),
                          bottom = edge(std::ceil(static_cast<float>(h + 1) * step_h + y1), in.height);
            const int64_t left = edge(std::floor(static_cast<float>(w) * step_w + x1), in.width),
                          right = edge(std::ceil(static_cast<float>(w + 1) * step_w + x1), in.width);
            const float* p = in.plane(r, (c * group_size + h) * group_size + w);
            float sum = 0;
            for (int64_t i = top; i < bottom; ++i) {
              for (int64_t j = left; j < right; ++j) sum += p[i * in.width + j];
            }
            const int64_t n = std::max<int64_t>(bottom - top, 0) * std::max<int64_t>(right - left, 0);
            *to = n > 0 ? sum / static_cast<float>(n) : 0;
          } else {
            const float x1 = b[1] * scale, y1 = b[2] * scale,
                        part_w = (b[3] * scale - x1) / static_cast<float>(spatial_bins_x),
                        part_h = (b[4] * scale - y1) / static_cast<float>(spatial_bins_y);
            const auto place = [&](int64_t i, float low, float length, int64_t size) {
              const auto last = static_cast<float>(size - 1);
              if (group_size == 1) return (low + low + length) * 0.5f * last;
              return static_cast<float>(i) * (length * last / static_cast<float>(group_size - 1)) + low * last;
            };
            float sum = 0;
            for (int64_t i = 0; i < spatial_bins_y; ++i) {
              for (int64_t j = 0; j < spatial_bins_x; ++j) {
                const float at_y = place(h, y1 + static_cast<float>(i) * part_h, part_h, in.height),
                            at_x = place(w, x1 + static_cast<float>(j) * part_w, part_w, in.width);
                if (!(at_y >= 0 && at_x >= 0) || at_y > static_cast<float>(in.height - 1) ||
                    at_x > static_cast<float>(in.width - 1))
                  continue;
                sum += in.sample(in.plane(r, (i * spatial_bins_x + j) * output_dim + c), at_y, at_x);
              }
            }
            *to = sum / static_cast<float>(spatial_bins_x * spatial_bins_y);
          }
        }
      }
    }
  }
}
Samples PSROIPooling::samples() {
  const Tensor x = random_tensor({2, 8, 6, 7}, 1),
               boxes = Tensor::of<float>({3, 5}, {0, 0.3f, 0.4f, 4.2f, 5.1f, 1, 1, 1, 3, 2, 1, -1, -2, 8, 9}),
               normal = Tensor::of<float>({2, 5}, {0, 0.1f, 0.2f, 0.8f, 0.9f, 1, 0, 0, 1, 1});
  return {sample(PSROIPooling{2, 2, 0.8}, {x, boxes}),
          sample(PSROIPooling{2, 3, 1, PsRoiMode::bilinear, 2, 2}, {x, normal}),
          sample(PSROIPooling{8, 1, 1, PsRoiMode::bilinear}, {x, normal})};
}
HONE_DEFINE_OP(PSROIPooling)

Types DeformablePSROIPooling::infer(InferCtx& ctx) const {
  ctx.check(mode == "bilinear_deformable", "mode '" + mode + "' is not offered");
  ctx.check(part_size > 0, "part_size is not positive");
  if (ctx.has(2)) {
    ctx.check(
        ctx.shape(2).compatible(PartialShape{Dimension(), Dimension(), Dimension(part_size), Dimension(part_size)}),
        "offsets " + to_string(ctx.shape(2)) + " are not [R, 2 x classes, " + std::to_string(part_size) + ", " +
            std::to_string(part_size) + "]");
  }
  return infer_bins(ctx, *this, group_size * group_size);
}
void DeformablePSROIPooling::eval(EvalCtx& ctx) const {
  const Regions in(ctx, output_dim * group_size * group_size);
  Tensor offsets;
  int64_t classes = 1;
  if (ctx.has(2)) {
    offsets = ctx.input(2).converted(ElementType::f32);
    const Shape& s = offsets.shape();
    if (s.size() != 4 || s[0] != in.count() || s[1] < 2 || s[1] % 2 || s[2] != part_size || s[3] != part_size ||
        output_dim % (s[1] / 2))
      ctx.fail("offsets " + to_string(s) + " do not fit boxes " + to_string(in.boxes.shape()));
    classes = s[1] / 2;
  }
  Tensor y = ctx.output(0, ElementType::f32, {in.count(), output_dim, group_size, group_size});
  float* to = y.data<float>();
  const auto scale = static_cast<float>(spatial_scale), groups = static_cast<float>(group_size),
             reach = static_cast<float>(trans_std);
  for (int64_t r = 0; r < in.count(); ++r) {
    const float* b = in.box(r);
    const float x1 = std::round(b[1]) * scale - 0.5f, y1 = std::round(b[2]) * scale - 0.5f;
    const float w_box = std::max((std::round(b[3]) + 1) * scale - 0.5f - x1, 0.1f),
                h_box = std::max((std::round(b[4]) + 1) * scale - 0.5f - y1, 0.1f);
    const float bin_w = w_box / groups, bin_h = h_box / groups, step_w = bin_w / static_cast<float>(spatial_bins_x),
                step_h = bin_h / static_cast<float>(spatial_bins_y);
    for (int64_t c = 0; c < output_dim; ++c) {
      for (int64_t h = 0; h < group_size; ++h) {
        for (int64_t w = 0; w < group_size; ++w, ++to) {
          float move_x = 0, move_y = 0;
          if (offsets) {
            const int64_t label = c / (output_dim / classes), ph = h * part_size / group_size,
                          pw = w * part_size / group_size;
            const float* o = offsets.data<float>() + ((r * classes + label) * 2 * part_size + ph) * part_size + pw;
            move_x = o[0] * reach * w_box;
            move_y = o[part_size * part_size] * reach * h_box;
          }
          const float left = static_cast<float>(w) * bin_w + x1 + move_x,
                      top = static_cast<float>(h) * bin_h + y1 + move_y;
          const float* p = in.plane(r, (c * group_size + h) * group_size + w);
          float sum = 0;
          int64_t n = 0;
          for (int64_t i = 0; i < spatial_bins_y; ++i) {
            for (int64_t j = 0; j < spatial_bins_x; ++j) {
              const float at_y = top + static_cast<float>(i) * step_h, at_x = left + static_cast<float>(j) * step_w;
              const auto last_y = static_cast<float>(in.height - 1), last_x = static_cast<float>(in.width - 1);
              if (!(at_y >= -0.5f && at_x >= -0.5f) || at_y > last_y + 0.5f || at_x > last_x + 0.5f) continue;
              sum += in.sample(p, std::clamp(at_y, 0.0f, last_y), std::clamp(at_x, 0.0f, last_x));
              ++n;
            }
          }
          *to = n > 0 ? sum / static_cast<float>(n) : 0;
        }
      }
    }
  }
}
Samples DeformablePSROIPooling::samples() {
  DeformablePSROIPooling op;
  op.output_dim = 2;
  op.group_size = 2;
  op.spatial_scale = 0.8;
  op.spatial_bins_x = 2;
  op.spatial_bins_y = 3;
  DeformablePSROIPooling moved = op;
  moved.trans_std = 0.3;
  moved.part_size = 2;
  const Tensor x = random_tensor({2, 8, 6, 7}, 1),
               boxes = Tensor::of<float>({3, 5}, {0, 0.3f, 0.4f, 4.2f, 5.1f, 1, 1, 1, 3, 2, 1, -1, -2, 8, 9});
  return {sample(op, {x, boxes}), sample(moved, {x, boxes, random_tensor({3, 4, 2, 2}, 2)})};
}
HONE_DEFINE_OP(DeformablePSROIPooling)

}  // namespace hone
