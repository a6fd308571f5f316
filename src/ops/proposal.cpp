#include "ops/proposal.hpp"

#include <algorithm>
#include <cmath>

#include "ops/family.hpp"

namespace hone {
namespace {

struct Box {
  float x1, y1, x2, y2, score;
};

// The best `n` by falling score.
std::vector<Box> best(std::vector<Box> boxes, int64_t n) {
  std::stable_sort(boxes.begin(), boxes.end(), [](const Box& a, const Box& b) { return a.score > b.score; });
  if (static_cast<int64_t>(boxes.size()) > n) boxes.resize(static_cast<size_t>(std::max<int64_t>(n, 0)));
  return boxes;
}

// Keeps the first of boxes that overlap by more than `threshold`; `last` is what a box is wider than the distance of
// its ends.
std::vector<Box> suppressed(const std::vector<Box>& boxes, int64_t after, float threshold, float last) {
  const auto area = [&](const Box& b) { return (b.x2 - b.x1 + last) * (b.y2 - b.y1 + last); };
  std::vector<Box> kept;
  for (const Box& b : boxes) {
    if (static_cast<int64_t>(kept.size()) >= after) break;
    const bool hidden = std::any_of(kept.begin(), kept.end(), [&](const Box& k) {
      if (b.x1 > k.x2 || b.x2 < k.x1 || b.y1 > k.y2 || b.y2 < k.y1) return false;
      const float w = std::max(0.0f, std::min(b.x2, k.x2) - std::max(b.x1, k.x1) + last);
      const float h = std::max(0.0f, std::min(b.y2, k.y2) - std::max(b.y1, k.y1) + last);
      return w * h / (area(b) + area(k) - w * h) > threshold;
    });
    if (!hidden) kept.push_back(b);
  }
  return kept;
}

void clip(Box& b, float width, float height, float last) {
  b.x1 = std::max(0.0f, std::min(b.x1, width - last));
  b.y1 = std::max(0.0f, std::min(b.y1, height - last));
  b.x2 = std::max(0.0f, std::min(b.x2, width - last));
  b.y2 = std::max(0.0f, std::min(b.y2, height - last));
}

// The anchors at place (0, 0), as Faster R-CNN makes them: ratio by ratio, scale by scale.
std::vector<Box> base_anchors(const Proposal& op) {
  const bool tensorflow = op.framework == "tensorflow";
  const auto base = static_cast<float>(op.base_size), last = tensorflow ? 0.0f : 1.0f;
  const float center = 0.5f * (base - last), shift = tensorflow ? 0.5f * base : 0.0f;
  std::vector<Box> out;
  for (double r : op.ratio) {
    const auto ratio = static_cast<float>(r);
    float w = std::sqrt(base * base / ratio), h;
    if (!tensorflow) w = std::round(w);
    h = w * ratio;
    if (!tensorflow) h = std::round(h);
    for (double s : op.scale) {
      const auto scale = static_cast<float>(s);
      const float half_w = 0.5f * (w * scale - last), half_h = 0.5f * (h * scale - last);
      out.push_back(
          {center - half_w - shift, center - half_h - shift, center + half_w - shift, center + half_h - shift, 0});
    }
  }
  return out;
}

// Faster R-CNN's parametrization: centres move by a multiple of the size, sizes grow by an exponential.
Box moved(const Box& anchor, float dx, float dy, float dw, float dh, float last, float last_of_result) {
  const float w = anchor.x2 - anchor.x1 + last, h = anchor.y2 - anchor.y1 + last;
  const float x = anchor.x1 + 0.5f * w + dx * w, y = anchor.y1 + 0.5f * h + dy * h;
  const float half_w = 0.5f * std::exp(dw) * w, half_h = 0.5f * std::exp(dh) * h;
  return {x - half_w, y - half_h, x + half_w - last_of_result, y + half_h - last_of_result, 0};
}

}  // namespace

Types Proposal::infer(InferCtx& ctx) const {
  const PartialShape &scores = ctx.shape(0), &offsets = ctx.shape(1);
  ctx.check(base_size > 0 && feat_stride > 0 && pre_nms_topn > 0 && post_nms_topn > 0,
            "a size or a count is not positive");
  ctx.check(!ratio.empty() && !scale.empty(), "there are no ratios or no scales");
  ctx.check(framework.empty() || framework == "tensorflow" || framework == "caffe",
            "framework '" + framework + "' is not offered");
  ctx.check(!scores.rank_known() || scores.rank() == 4,
            "probabilities " + to_string(scores) + " are not [N, 2 x anchors, H, W]");
  ctx.check(!offsets.rank_known() || offsets.rank() == 4,
            "offsets " + to_string(offsets) + " are not [N, 4 x anchors, H, W]");
  const auto anchors = static_cast<int64_t>(ratio.size() * scale.size());
  ctx.check(!scores.rank_known() || scores[1].compatible(Dimension(2 * anchors)),
            "probabilities " + to_string(scores) + " for " + std::to_string(anchors) + " anchors");
  const Dimension rows = scores.rank_known() ? scores[0] * Dimension(post_nms_topn) : Dimension();
  return {Type(ctx.element(0), PartialShape{rows, 5}), Type(ctx.element(0), PartialShape{rows})};
}
void Proposal::eval(EvalCtx& ctx) const {
  const Tensor scores = ctx.input(0).converted(ElementType::f32), offsets = ctx.input(1).converted(ElementType::f32),
               size = ctx.input(2).converted(ElementType::f32);
  const std::vector<Box> anchors = base_anchors(*this);
  const auto count = static_cast<int64_t>(anchors.size());
  if (scores.rank() != 4 || offsets.rank() != 4 || scores.shape()[1] != 2 * count || offsets.shape()[1] != 4 * count ||
      scores.shape()[0] != offsets.shape()[0] || scores.shape()[2] != offsets.shape()[2] ||
      scores.shape()[3] != offsets.shape()[3] || size.size() < 3) {
    ctx.fail("probabilities " + to_string(scores.shape()) + ", offsets " + to_string(offsets.shape()) + " and " +
             std::to_string(count) + " anchors do not fit");
  }
  const int64_t images = scores.shape()[0], height = scores.shape()[2], width = scores.shape()[3],
                plane = height * width;
  const bool tensorflow = framework == "tensorflow";
  // TensorFlow's x runs along rows.
  const float last = tensorflow ? 0.0f : 1.0f, image_h = size.data<float>()[tensorflow ? 1 : 0],
              image_w = size.data<float>()[tensorflow ? 0 : 1];
  const float least_h = static_cast<float>(min_size) * size.data<float>()[2];
  const float least_w = static_cast<float>(min_size) * size.data<float>()[size.size() >= 4 ? 3 : 2];
  Tensor rows = ctx.output(0, ElementType::f32, {images * post_nms_topn, 5}),
         kept_scores = ctx.output(1, ElementType::f32, {images * post_nms_topn});
  for (int64_t image = 0; image < images; ++image) {
    const float* probability = scores.data<float>() + (image * 2 + 1) * count * plane;
    const float* offset = offsets.data<float>() + image * 4 * count * plane;
    std::vector<Box> boxes;
    boxes.reserve(static_cast<size_t>(plane * count));
    for (int64_t h = 0; h < height; ++h) {
      for (int64_t w = 0; w < width; ++w) {
        const auto dx = static_cast<float>((tensorflow ? h : w) * feat_stride),
                   dy = static_cast<float>((tensorflow ? w : h) * feat_stride);
        for (int64_t a = 0; a < count; ++a) {
          const auto of = [&](int64_t k) { return offset[(a * 4 + k) * plane + h * width + w]; };
          Box anchor = anchors[static_cast<size_t>(a)];
          anchor = {anchor.x1 + dx, anchor.y1 + dy, anchor.x2 + dx, anchor.y2 + dy, 0};
          if (tensorflow) clip(anchor, image_w, image_h, 0);
          const auto cs = static_cast<float>(box_coordinate_scale), ss = static_cast<float>(box_size_scale);
          Box b = moved(anchor, of(0) / cs, of(1) / cs, of(2) / ss, of(3) / ss, last, 0);
          if (clip_before_nms) clip(b, image_w, image_h, last);
          const bool wide = b.x2 - b.x1 + last >= least_w && b.y2 - b.y1 + last >= least_h;
          b.score = wide ? probability[a * plane + h * width + w] : 0;
          boxes.push_back(b);
        }
      }
    }
    auto kept = suppressed(best(std::move(boxes), pre_nms_topn), post_nms_topn, static_cast<float>(nms_thresh), last);
    for (size_t i = 0; i < static_cast<size_t>(post_nms_topn); ++i) {
      float* row = rows.data<float>() + (static_cast<size_t>(image * post_nms_topn) + i) * 5;
      if (i >= kept.size()) {
        row[0] = i == kept.size() ? -1.0f : 0.0f;
        continue;
      }
      Box& b = kept[i];
      if (clip_after_nms) clip(b, image_w, image_h, 0);
      const float sx = normalize ? image_w : 1.0f, sy = normalize ? image_h : 1.0f;
      const float values[5] = {static_cast<float>(image), b.x1 / sx, b.y1 / sy, b.x2 / sx, b.y2 / sy};
      std::copy_n(values, 5, row);
      kept_scores.data<float>()[static_cast<size_t>(image * post_nms_topn) + i] = b.score;
    }
  }
}
Samples Proposal::samples() {
  Proposal op;
  op.base_size = 8;
  op.pre_nms_topn = 12;
  op.post_nms_topn = 6;
  op.nms_thresh = 0.6;
  op.feat_stride = 8;
  op.min_size = 2;
  op.ratio = {0.5, 1};
  op.scale = {1, 2};
  Proposal tensorflow = op;
  tensorflow.framework = "tensorflow";
  tensorflow.clip_after_nms = true;
  tensorflow.normalize = true;
  tensorflow.box_size_scale = 5;
  tensorflow.box_coordinate_scale = 10;
  const std::vector<Datum> in{random_tensor({2, 8, 3, 4}, 1, 0, 1), random_tensor({2, 16, 3, 4}, 2),
                              Tensor::of<float>({3}, {24, 32, 1})};
  return {sample(op, in), sample(tensorflow, in)};
}
HONE_DEFINE_OP(Proposal)

namespace {

// exp() of a size stays below 1000 / 16, as Detectron has it.
const float most_growth = std::log(1000.0f / 16.0f);

struct Anchored {
  int64_t anchors, height, width;
};
// The best `n` boxes of an image before suppression. Boxes that are too small go after the best were taken.
std::vector<Box> refined(const float* anchors, const float* offsets, const float* scores, const Anchored& a,
                         float image_h, float image_w, float least_h, float least_w, float last, int64_t n) {
  std::vector<Box> boxes;
  const int64_t plane = a.height * a.width;
  for (int64_t at = 0; at < plane; ++at) {
    for (int64_t k = 0; k < a.anchors; ++k) {
      const float* p = anchors + (at * a.anchors + k) * 4;
      const auto of = [&](int64_t c) { return offsets[(k * 4 + c) * plane + at]; };
      Box b = moved({p[0], p[1], p[2], p[3], 0}, of(0), of(1), std::min(of(2), most_growth),
                    std::min(of(3), most_growth), last, last);
      clip(b, image_w, image_h, last);
      b.score = scores[k * plane + at];
      boxes.push_back(b);
    }
  }
  boxes = best(std::move(boxes), n);
  std::erase_if(boxes, [&](const Box& b) { return b.x2 - b.x1 + last < least_w || b.y2 - b.y1 + last < least_h; });
  return boxes;
}

}  // namespace

Types GenerateProposals::infer(InferCtx& ctx) const {
  const PartialShape &size = ctx.shape(0), &anchors = ctx.shape(1), &offsets = ctx.shape(2), &scores = ctx.shape(3);
  ctx.check(roi_num_type == ElementType::i64 || roi_num_type == ElementType::i32,
            std::string("numbers of type ") + name_of(roi_num_type));
  ctx.check(nms_eta == 1, "nms_eta other than 1 is not offered");
  ctx.check(pre_nms_count > 0 && post_nms_count > 0, "a count is not positive");
  ctx.check(!size.rank_known() || size.rank() == 2, "image sizes " + to_string(size) + " are not [N, 3 or 4]");
  ctx.check(!anchors.rank_known() || (anchors.rank() == 4 && anchors[3].compatible(Dimension(4))),
            "anchors " + to_string(anchors) + " are not [H, W, A, 4]");
  ctx.check(!offsets.rank_known() || offsets.rank() == 4,
            "offsets " + to_string(offsets) + " are not [N, 4 x A, H, W]");
  ctx.check(!scores.rank_known() || scores.rank() == 4, "scores " + to_string(scores) + " are not [N, A, H, W]");
  Dimension images;
  if (scores.rank_known())
    images = scores[0];
  else if (size.rank_known())
    images = size[0];
  const Dimension rows(0, (images * Dimension(post_nms_count)).max());
  return {Type(ctx.element(3), PartialShape{rows, 4}), Type(ctx.element(3), PartialShape{rows}),
          Type(roi_num_type, PartialShape{images})};
}
void GenerateProposals::eval(EvalCtx& ctx) const {
  const Tensor size = ctx.input(0).converted(ElementType::f32), anchors = ctx.input(1).converted(ElementType::f32),
               offsets = ctx.input(2).converted(ElementType::f32), scores = ctx.input(3).converted(ElementType::f32);
  const Shape &a = anchors.shape(), &s = scores.shape(), &o = offsets.shape();
  const bool fits = size.rank() == 2 && a.size() == 4 && s.size() == 4 && o.size() == 4 && size.shape()[0] == s[0] &&
                    size.shape()[1] >= 3 && a == Shape{s[2], s[3], s[1], 4} && o == Shape{s[0], 4 * s[1], s[2], s[3]};
  if (!fits)
    ctx.fail("anchors " + to_string(a) + ", offsets " + to_string(o) + " and scores " + to_string(s) + " do not fit");
  const float last = normalized ? 0.0f : 1.0f;
  std::vector<Box> all;
  Tensor numbers = ctx.output(2, roi_num_type, {s[0]});
  const int64_t per_image = s[1] * s[2] * s[3];
  for (int64_t n = 0; n < s[0]; ++n) {
    const float* z = size.data<float>() + n * size.shape()[1];
    const float scale_h = z[2], scale_w = size.shape()[1] >= 4 ? z[3] : z[2];
    const auto least = static_cast<float>(min_size);
    auto kept = suppressed(
        refined(anchors.data<float>(), offsets.data<float>() + n * 4 * per_image, scores.data<float>() + n * per_image,
                {s[1], s[2], s[3]}, z[0], z[1], least * scale_h, least * scale_w, last, pre_nms_count),
        post_nms_count, static_cast<float>(nms_threshold), last);
    set_integer(numbers, static_cast<size_t>(n), static_cast<int64_t>(kept.size()));
    all.insert(all.end(), kept.begin(), kept.end());
  }
  const auto rows = static_cast<int64_t>(all.size());
  Tensor boxes = ctx.output(0, ElementType::f32, {rows, 4}), kept_scores = ctx.output(1, ElementType::f32, {rows});
  for (size_t i = 0; i < all.size(); ++i) {
    std::copy_n(&all[i].x1, 4, boxes.data<float>() + i * 4);
    kept_scores.data<float>()[i] = all[i].score;
  }
}
Samples GenerateProposals::samples() {
  GenerateProposals op;
  op.min_size = 1;
  op.nms_threshold = 0.7;
  op.pre_nms_count = 14;
  op.post_nms_count = 5;
  GenerateProposals pixels = op;
  pixels.normalized = false;
  pixels.roi_num_type = ElementType::i32;
  const std::vector<Datum> in{Tensor::of<float>({2, 3}, {24, 32, 1, 20, 28, 2}), random_tensor({2, 3, 4, 4}, 1, 0, 24),
                              random_tensor({2, 16, 2, 3}, 2, -0.5, 0.5), random_tensor({2, 4, 2, 3}, 3, 0, 1)};
  return {sample(op, in), sample(pixels, in)};
}
HONE_DEFINE_OP(GenerateProposals)

Types ExperimentalDetectronGenerateProposalsSingleImage::infer(InferCtx& ctx) const {
  ctx.check(pre_nms_count > 0 && post_nms_count > 0, "a count is not positive");
  ctx.check(ctx.shape(1).compatible(PartialShape{Dimension(), Dimension(4)}),
            "anchors " + to_string(ctx.shape(1)) + " are not [K, 4]");
  ctx.check(!ctx.shape(2).rank_known() || ctx.shape(2).rank() == 3,
            "offsets " + to_string(ctx.shape(2)) + " are not [4 x A, H, W]");
  ctx.check(!ctx.shape(3).rank_known() || ctx.shape(3).rank() == 3,
            "scores " + to_string(ctx.shape(3)) + " are not [A, H, W]");
  return {Type(ctx.element(3), PartialShape{post_nms_count, 4}), Type(ctx.element(3), PartialShape{post_nms_count})};
}
void ExperimentalDetectronGenerateProposalsSingleImage::eval(EvalCtx& ctx) const {
  const Tensor size = ctx.input(0).converted(ElementType::f32), anchors = ctx.input(1).converted(ElementType::f32),
               offsets = ctx.input(2).converted(ElementType::f32), scores = ctx.input(3).converted(ElementType::f32);
  const Shape &s = scores.shape(), &o = offsets.shape();
  const bool fits = size.size() >= 3 && s.size() == 3 && o == Shape{4 * s[0], s[1], s[2]} &&
                    anchors.shape() == Shape{s[0] * s[1] * s[2], 4};
  if (!fits)
    ctx.fail("anchors " + to_string(anchors.shape()) + ", offsets " + to_string(o) + " and scores " + to_string(s) +
             " do not fit");
  const auto least = static_cast<float>(min_size);
  const auto kept =
      suppressed(refined(anchors.data<float>(), offsets.data<float>(), scores.data<float>(), {s[0], s[1], s[2]},
                         size.data<float>()[0], size.data<float>()[1], least, least, 1, pre_nms_count),
                 post_nms_count, static_cast<float>(nms_threshold), 1);
  Tensor boxes = ctx.output(0, ElementType::f32, {post_nms_count, 4}),
         kept_scores = ctx.output(1, ElementType::f32, {post_nms_count});
  for (size_t i = 0; i < kept.size(); ++i) {
    std::copy_n(&kept[i].x1, 4, boxes.data<float>() + i * 4);
    kept_scores.data<float>()[i] = kept[i].score;
  }
}
Samples ExperimentalDetectronGenerateProposalsSingleImage::samples() {
  ExperimentalDetectronGenerateProposalsSingleImage op{1, 0.7, 14, 6};
  return {sample(op, {Tensor::of<float>({3}, {24, 32, 1}), random_tensor({24, 4}, 1, 0, 24),
                      random_tensor({16, 2, 3}, 2, -0.5, 0.5), random_tensor({4, 2, 3}, 3, 0, 1)})};
}
HONE_DEFINE_OP(ExperimentalDetectronGenerateProposalsSingleImage)

Types ExperimentalDetectronDetectionOutput::infer(InferCtx& ctx) const {
  ctx.check(num_classes > 0 && post_nms_count > 0 && max_detections_per_image > 0, "a count is not positive");
  ctx.check(deltas_weights.size() == 4, "deltas_weights are not 4 numbers");
  ctx.check(std::none_of(deltas_weights.begin(), deltas_weights.end(), [](double w) { return w == 0; }),
            "deltas_weights hold a zero");
  const auto matrix = [&](size_t i, int64_t columns, const char* what) {
    ctx.check(ctx.shape(i).compatible(PartialShape{Dimension(), Dimension(columns)}),
              std::string(what) + " " + to_string(ctx.shape(i)) + " are not [K, " + std::to_string(columns) + "]");
  };
  matrix(0, 4, "regions");
  matrix(1, 4 * num_classes, "offsets");
  matrix(2, num_classes, "scores");
  const Dimension rows(max_detections_per_image);
  return {Type(ctx.element(0), PartialShape{rows, 4}), Type(ElementType::i32, PartialShape{rows}),
          Type(ctx.element(0), PartialShape{rows})};
}
void ExperimentalDetectronDetectionOutput::eval(EvalCtx& ctx) const {
  const Tensor regions = ctx.input(0).converted(ElementType::f32), offsets = ctx.input(1).converted(ElementType::f32),
               scores = ctx.input(2).converted(ElementType::f32), size = ctx.input(3).converted(ElementType::f32);
  const int64_t count = regions.rank() == 2 ? regions.shape()[0] : 0;
  const bool fits = regions.shape() == Shape{count, 4} && offsets.shape() == Shape{count, 4 * num_classes} &&
                    scores.shape() == Shape{count, num_classes} && size.size() >= 2;
  if (!fits)
    ctx.fail("regions " + to_string(regions.shape()) + ", offsets " + to_string(offsets.shape()) + " and scores " +
             to_string(scores.shape()) + " do not fit");
  const float height = size.data<float>()[0], width = size.data<float>()[1];
  const auto growth = static_cast<float>(max_delta_log_wh), least = static_cast<float>(score_threshold);
  const auto weight = [&](size_t i) { return static_cast<float>(deltas_weights[i]); };
  struct Found {
    Box box;
    int64_t label;
  };
  std::vector<Found> found;
  for (int64_t label = 1; label < num_classes; ++label) {
    std::vector<Box> boxes;
    for (int64_t i = 0; i < count; ++i) {
      const float* r = regions.data<float>() + i * 4;
      const float* d = offsets.data<float>() + (i * num_classes + label) * 4;
      const float score = scores.data<float>()[i * num_classes + label];
      // A region without an extent takes no part.
      if (!(score > least) || r[2] - r[0] <= 0 || r[3] - r[1] <= 0) continue;
      Box b = moved({r[0], r[1], r[2], r[3], 0}, d[0] / weight(0), d[1] / weight(1), std::min(d[2] / weight(2), growth),
                    std::min(d[3] / weight(3), growth), 1, 1);
      clip(b, width, height, 1);
      b.score = score;
      boxes.push_back(b);
    }
    boxes = best(std::move(boxes), count);
    for (const Box& b : suppressed(boxes, post_nms_count, static_cast<float>(nms_threshold), 1))
      found.push_back({b, label});
  }
  const auto most = static_cast<size_t>(max_detections_per_image);
  if (found.size() > most) {
    std::stable_sort(found.begin(), found.end(),
                     [](const Found& a, const Found& b) { return a.box.score > b.box.score; });
    found.resize(most);
  }
  Tensor boxes = ctx.output(0, ElementType::f32, {max_detections_per_image, 4}),
         labels = ctx.output(1, ElementType::i32, {max_detections_per_image}),
         kept_scores = ctx.output(2, ElementType::f32, {max_detections_per_image});
  for (size_t i = 0; i < found.size(); ++i) {
    std::copy_n(&found[i].box.x1, 4, boxes.data<float>() + i * 4);
    labels.data<int32_t>()[i] = static_cast<int32_t>(found[i].label);
    kept_scores.data<float>()[i] = found[i].box.score;
  }
}
Samples ExperimentalDetectronDetectionOutput::samples() {
  ExperimentalDetectronDetectionOutput op{0.1, 0.4, 3, 6, 20, false, 4, {10, 10, 5, 5}};
  ExperimentalDetectronDetectionOutput few = op;
  few.max_detections_per_image = 5;
  Tensor regions(ElementType::f32, {8, 4});
  for (int i = 0; i < 8; ++i) {
    const auto x = static_cast<float>(i % 4) * 5, y = static_cast<float>(i / 4) * 7;
    const float r[4] = {x, y, x + 6 + static_cast<float>(i), i == 5 ? y : y + 9};
    std::copy_n(r, 4, regions.data<float>() + i * 4);
  }
  const std::vector<Datum> in{regions, random_tensor({8, 12}, 2), random_tensor({8, 3}, 3, 0, 1),
                              Tensor::of<float>({1, 3}, {24, 32, 1})};
  return {sample(op, in), sample(few, in)};
}
HONE_DEFINE_OP(ExperimentalDetectronDetectionOutput)

}  // namespace hone
