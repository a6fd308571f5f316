#include "ops/rotated_boxes.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "ops/family.hpp"
#include "ops/selected_boxes.hpp"

namespace hone {
namespace {

struct Point {
  double x, y;
};
using Polygon = std::vector<Point>;

struct RotatedBox {
  double x, y, w, h, angle;
  Polygon corners() const {
    const double c = std::cos(angle), s = std::sin(angle);
    Polygon out;
    for (const auto& [i, j] :
         std::array<std::pair<double, double>, 4>{{{-0.5, -0.5}, {0.5, -0.5}, {0.5, 0.5}, {-0.5, 0.5}}})
      out.push_back({x + i * w * c - j * h * s, y + i * w * s + j * h * c});
    return out;
  }
};

// What of `p` lies on the inner side of the line from a to b (Sutherland and Hodgman); corners turn from x to y.
Polygon cut(const Polygon& p, const Point& a, const Point& b) {
  const auto side = [&](const Point& q) { return (b.x - a.x) * (q.y - a.y) - (b.y - a.y) * (q.x - a.x); };
  Polygon out;
  for (size_t i = 0; i < p.size(); ++i) {
    const Point &from = p[i], &to = p[(i + 1) % p.size()];
    const double s = side(from), t = side(to);
    if (s >= 0) out.push_back(from);
    if ((s >= 0) != (t >= 0))
      out.push_back({from.x + (to.x - from.x) * s / (s - t), from.y + (to.y - from.y) * s / (s - t)});
  }
  return out;
}

double overlap(const RotatedBox& a, const RotatedBox& b) {
  const double area_a = a.w * a.h, area_b = b.w * b.h;
  if (!(area_a > 0) || !(area_b > 0)) return 0;
  Polygon p = a.corners();
  const Polygon q = b.corners();
  for (size_t i = 0; i < 4 && !p.empty(); ++i) p = cut(p, q[i], q[(i + 1) % 4]);
  double twice = 0;
  for (size_t i = 0; i < p.size(); ++i) twice += p[i].x * p[(i + 1) % p.size()].y - p[(i + 1) % p.size()].x * p[i].y;
  const double both = std::fabs(twice) / 2;
  return both / (area_a + area_b - both);
}

}  // namespace

Types NMSRotated::infer(InferCtx& ctx) const {
  const PartialShape &boxes = ctx.shape(0), &scores = ctx.shape(1);
  ctx.check(boxes.compatible(PartialShape{Dimension(), Dimension(), Dimension(5)}),
            "boxes " + to_string(boxes) + " are not [N, M, 5]");
  ctx.check(!scores.rank_known() || scores.rank() == 3, "scores " + to_string(scores) + " are not [N, C, M]");
  ctx.check(output_type == ElementType::i64 || output_type == ElementType::i32,
            std::string("indices of type ") + name_of(output_type));
  Dimension count;
  if (boxes.rank_known() && scores.rank_known()) {
    ctx.check(boxes[0].compatible(scores[0]) && boxes[1].compatible(scores[2]),
              "boxes " + to_string(boxes) + " and scores " + to_string(scores) + " do not fit");
    const Tensor limit = ctx.constant(2);
    const int64_t each =
        limit && limit.size() == 1 ? std::clamp<int64_t>(get_integer(limit, 0), 0, boxes[1].max()) : boxes[1].max();
    count = Dimension(0, (scores[0] * scores[1] * Dimension(each)).max());
  }
  return {Type(output_type, PartialShape{count, 3}), Type(ElementType::f32, PartialShape{count, 3}),
          Type(output_type, PartialShape{1})};
}
void NMSRotated::eval(EvalCtx& ctx) const {
  const Tensor &boxes = ctx.input(0), &scores = ctx.input(1);
  const Shape &b = boxes.shape(), &s = scores.shape();
  if (b.size() != 3 || s.size() != 3 || b[2] != 5 || b[0] != s[0] || b[1] != s[2])
    ctx.fail("boxes " + to_string(b) + " and scores " + to_string(s) + " do not fit");
  for (size_t i = 2; i < 5; ++i) {
    if (ctx.input(i).size() != 1) ctx.fail("input " + std::to_string(i) + " is not one number");
  }
  const int64_t limit = get_integer(ctx.input(2), 0);
  const double iou_threshold = get_element(ctx.input(3), 0);
  const auto score_threshold = static_cast<float>(get_element(ctx.input(4), 0));
  std::vector<SelectedBox> all;
  for (int64_t n = 0; n < s[0]; ++n) {
    std::vector<RotatedBox> box;
    for (int64_t m = 0; m < s[2]; ++m) {
      const auto at = static_cast<size_t>((n * s[2] + m) * 5);
      const double angle = get_element(boxes, at + 4);
      box.push_back({get_element(boxes, at), get_element(boxes, at + 1), get_element(boxes, at + 2),
                     get_element(boxes, at + 3), clockwise ? angle : -angle});
    }
    for (int64_t c = 0; c < s[1]; ++c) {
      std::vector<SelectedBox> queue, kept;
      for (int64_t m = 0; m < s[2]; ++m) {
        const auto score = static_cast<float>(get_element(scores, static_cast<size_t>((n * s[1] + c) * s[2] + m)));
        if (score > score_threshold) queue.push_back({n, c, m, score});
      }
      std::stable_sort(queue.begin(), queue.end(),
                       [](const SelectedBox& p, const SelectedBox& q) { return p.score > q.score; });
      for (const SelectedBox& q : queue) {
        if (static_cast<int64_t>(kept.size()) >= limit) break;
        const bool hidden = std::any_of(kept.begin(), kept.end(), [&](const SelectedBox& k) {
          return overlap(box[static_cast<size_t>(q.box)], box[static_cast<size_t>(k.box)]) > iou_threshold;
        });
        if (!hidden) kept.push_back(q);
      }
      all.insert(all.end(), kept.begin(), kept.end());
    }
  }
  write_selected(ctx, std::move(all), sort_result_descending, output_type);
}
Samples NMSRotated::samples() {
  // The second box is the first one turned by 90 degrees (overlap 1/3), the third by 180 (overlap 1).
  const Tensor boxes =
      Tensor::of<float>({1, 4, 5}, {5, 5, 4, 2, 0, 5, 5, 4, 2, 1.5707963f, 5, 5, 4, 2, 3.1415927f, 20, 20, 4, 2, 0.5f});
  const Tensor scores = Tensor::of<float>({1, 1, 4}, {0.9f, 0.8f, 0.7f, 0.6f});
  const Datum many = int_scalar(10), none = float_scalar(0);
  return {sample(NMSRotated{}, {boxes, scores, many, float_scalar(0.5f), none},
                 {Tensor::of<int64_t>({3, 3}, {0, 0, 0, 0, 0, 1, 0, 0, 3}),
                  Tensor::of<float>({3, 3}, {0, 0, 0.9f, 0, 0, 0.8f, 0, 0, 0.6f}), int_tensor({3})}),
          sample(NMSRotated{true, ElementType::i32, false}, {boxes, scores, many, float_scalar(0.3f), none},
                 {Tensor::of<int32_t>({2, 3}, {0, 0, 0, 0, 0, 3})}),
          sample(NMSRotated{false}, {random_tensor({2, 5, 5}, 1, 1, 4), random_tensor({2, 3, 5}, 2, 0, 1),
                                     int_scalar(2), float_scalar(0.2f), float_scalar(0.3f)})};
}
HONE_DEFINE_OP(NMSRotated)

Types ROIAlignRotated::infer(InferCtx& ctx) const {
  const PartialShape &x = ctx.shape(0), &boxes = ctx.shape(1), &images = ctx.shape(2);
  ctx.check(pooled_h > 0 && pooled_w > 0 && sampling_ratio >= 0,
            "the pooled size or the sampling ratio is out of range");
  ctx.check(!x.rank_known() || x.rank() == 4, "data " + to_string(x) + " are not [N, C, H, W]");
  ctx.check(boxes.compatible(PartialShape{Dimension(), Dimension(5)}), "boxes " + to_string(boxes) + " are not [R, 5]");
  ctx.check(images.compatible(PartialShape{Dimension()}), "batch numbers " + to_string(images) + " are not [R]");
  const Dimension rois = boxes.rank_known() ? boxes[0] : images.rank_known() ? images[0] : Dimension();
  return {Type(ctx.element(0),
               PartialShape{rois, x.rank_known() ? x[1] : Dimension(), Dimension(pooled_h), Dimension(pooled_w)})};
}
void ROIAlignRotated::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &boxes = ctx.input(1);
  const auto images = ctx.input(2).to_ints();
  if (x.rank() != 4 || boxes.rank() != 2 || boxes.shape()[1] != 5 ||
      boxes.shape()[0] != static_cast<int64_t>(images.size()))
    ctx.fail("data " + to_string(x.shape()) + ", boxes " + to_string(boxes.shape()) + " and batch numbers do not fit");
  const int64_t channels = x.shape()[1], height = x.shape()[2], width = x.shape()[3];
  Tensor y = ctx.output(0, x.element_type(), {boxes.shape()[0], channels, pooled_h, pooled_w});
  // Two neighbours of a position along one axis; a position outside of the map has none.
  struct Line {
    int64_t at[2];
    double weight[2];
  };
  const auto line = [](double v, int64_t size) {
    v = std::max(v, 0.0);
    const auto low = std::min(static_cast<int64_t>(v), size - 1), high = std::min(low + 1, size - 1);
    const double d = low == high ? 0 : v - static_cast<double>(low);
    return Line{{low, high}, {1 - d, d}};
  };
  for (int64_t r = 0; r < boxes.shape()[0]; ++r) {
    const int64_t image = images[static_cast<size_t>(r)];
    if (image < 0 || image >= x.shape()[0])
      ctx.fail("a box lies in image " + std::to_string(image) + " of " + std::to_string(x.shape()[0]));
    const auto number = [&](size_t k) { return get_element(boxes, static_cast<size_t>(r) * 5 + k); };
    const double cx = number(0) * spatial_scale - 0.5, cy = number(1) * spatial_scale - 0.5,
                 w = number(2) * spatial_scale, h = number(3) * spatial_scale;
    const double angle = clockwise_mode ? -number(4) : number(4), cosine = std::cos(angle), sine = std::sin(angle);
    const double bin_w = w / static_cast<double>(pooled_w), bin_h = h / static_cast<double>(pooled_h);
    const auto samples_of = [&](double bin) {
      if (sampling_ratio > 0) return sampling_ratio;
      return std::isfinite(bin) ? static_cast<int64_t>(std::clamp(std::ceil(bin), 0.0, 65536.0)) : int64_t{0};
    };
    const int64_t nx = samples_of(bin_w), ny = samples_of(bin_h);
    for (int64_t ph = 0; ph < pooled_h; ++ph) {
      for (int64_t pw = 0; pw < pooled_w; ++pw) {
        for (int64_t c = 0; c < channels; ++c) {
          const int64_t plane = (image * channels + c) * height * width;
          double sum = 0;
          for (int64_t iy = 0; iy < ny; ++iy) {
            const double v =
                (static_cast<double>(ph) + (static_cast<double>(iy) + 0.5) / static_cast<double>(ny)) * bin_h - h / 2;
            for (int64_t ix = 0; ix < nx; ++ix) {
              const double u =
                  (static_cast<double>(pw) + (static_cast<double>(ix) + 0.5) / static_cast<double>(nx)) * bin_w - w / 2;
              const double at_y = cosine * v - sine * u + cy, at_x = sine * v + cosine * u + cx;
              if (!(at_y >= -1 && at_x >= -1) || at_y > static_cast<double>(height) ||
                  at_x > static_cast<double>(width))
                continue;
              const Line ly = line(at_y, height), lx = line(at_x, width);
              for (int k = 0; k < 4; ++k)
                sum += ly.weight[k / 2] * lx.weight[k % 2] *
                       get_element(x, static_cast<size_t>(plane + ly.at[k / 2] * width + lx.at[k % 2]));
            }
          }
          const auto n = static_cast<double>(nx * ny);
          set_element(y, static_cast<size_t>(((r * channels + c) * pooled_h + ph) * pooled_w + pw),
                      n > 0 ? sum / n : 0);
        }
      }
    }
  }
}
Samples ROIAlignRotated::samples() {
  const std::vector<Datum> in{random_tensor({2, 2, 6, 7}, 1, 0, 1),
                              Tensor::of<float>({3, 5}, {2, 3, 3, 2, 0.4f, 1, 1, 4, 4, -1, 3, 3, 6, 1, 3}),
                              Tensor::of<int32_t>({3}, {0, 1, 1})};
  return {sample(ROIAlignRotated{2, 3, 2, 0.8}, in), sample(ROIAlignRotated{2, 2, 0, 1, true}, in)};
}
HONE_DEFINE_OP(ROIAlignRotated)

}  // namespace hone
