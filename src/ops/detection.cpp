#include "ops/detection.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "ops/family.hpp"

namespace hone {
namespace {

struct Box {
  float x1, y1, x2, y2;
  float area() const { return (x2 - x1) * (y2 - y1); }
};

float overlap(const Box& a, const Box& b) {
  if (b.x1 > a.x2 || b.x2 < a.x1 || b.y1 > a.y2 || b.y2 < a.y1) return 0;
  const float w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1), h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (w <= 0 || h <= 0) return 0;
  return w * h / (a.area() + b.area() - w * h);
}

Box clipped(const Box& b) {
  return {std::clamp(b.x1, 0.0f, 1.0f), std::clamp(b.y1, 0.0f, 1.0f), std::clamp(b.x2, 0.0f, 1.0f),
          std::clamp(b.y2, 0.0f, 1.0f)};
}

struct Layout3 {
  int64_t images, priors, classes, location_classes, prior_size, prior_images;
};
template <class Ctx>
Layout3 layout_of(const Ctx& ctx, const DetectionOutput& op, const Shape& boxes, const Shape& scores,
                  const Shape& priors) {
  if (boxes.size() != 2 || scores.size() != 2 || priors.size() != 3)
    ctx.fail("wants offsets [N, ...], scores [N, ...] and priors [N, 1 or 2, ...]");
  Layout3 l{};
  l.prior_size = op.normalized ? 4 : 5;
  l.images = scores[0];
  l.prior_images = priors[0];
  l.priors = priors[2] / l.prior_size;
  if (l.priors < 1 || priors[2] % l.prior_size != 0 || scores[1] % l.priors != 0)
    ctx.fail("scores " + to_string(scores) + " for priors " + to_string(priors));
  l.classes = scores[1] / l.priors;
  l.location_classes = op.share_location ? 1 : l.classes;
  const bool fits = boxes[0] == l.images && boxes[1] == l.priors * l.location_classes * 4 &&
                    (l.prior_images == 1 || l.prior_images == l.images) &&
                    priors[1] == (op.variance_encoded_in_target ? 1 : 2);
  if (!fits)
    ctx.fail("offsets " + to_string(boxes) + " for scores " + to_string(scores) + " and priors " + to_string(priors));
  return l;
}

int64_t rows_of(const DetectionOutput& op, const Layout3& l) {
  if (!op.keep_top_k.empty() && op.keep_top_k[0] > 0) return l.images * op.keep_top_k[0];
  if (op.top_k > 0) return l.images * op.top_k * l.classes;
  return l.images * l.priors * l.classes;
}

struct Found {
  float score;
  int64_t label, prior;
};

}  // namespace

Types DetectionOutput::infer(InferCtx& ctx) const {
  ctx.check(ctx.num_inputs() == 3, "with additional predictions (five inputs) is not offered");
  const PartialShape &boxes = ctx.shape(0), &scores = ctx.shape(1), &priors = ctx.shape(2);
  Dimension rows;
  if (boxes.is_static() && scores.is_static() && priors.is_static()) {
    rows = Dimension(rows_of(*this, layout_of(ctx, *this, boxes.to_shape(), scores.to_shape(), priors.to_shape())));
  } else if (!keep_top_k.empty() && keep_top_k[0] > 0 && scores.rank_known() && scores.rank() == 2) {
    rows = scores[0] * Dimension(keep_top_k[0]);
  }
  return {Type(ctx.element(0), PartialShape{1, 1, rows, 7})};
}

void DetectionOutput::eval(EvalCtx& ctx) const {
  const Tensor offsets = ctx.input(0).converted(ElementType::f32),
               confidence = ctx.input(1).converted(ElementType::f32),
               anchors = ctx.input(2).converted(ElementType::f32);
  const Layout3 l = layout_of(ctx, *this, offsets.shape(), confidence.shape(), anchors.shape());
  Tensor y = ctx.output(0, ElementType::f32, {1, 1, rows_of(*this, l), 7});
  const auto limit = [](std::vector<Found>& v, int64_t n) {
    std::stable_sort(v.begin(), v.end(), [](const Found& a, const Found& b) { return a.score > b.score; });
    if (n > -1 && static_cast<int64_t>(v.size()) > n) v.resize(static_cast<size_t>(n));
  };
  const auto decoded = [&](int64_t image, int64_t prior, int64_t label) {
    const float* a = anchors.data<float>() +
                     (l.prior_images > 1 ? image : 0) * (variance_encoded_in_target ? 1 : 2) * l.priors * l.prior_size;
    const float* p = a + prior * l.prior_size + (normalized ? 0 : 1);
    const float* d =
        offsets.data<float>() + ((image * l.priors + prior) * l.location_classes + (share_location ? 0 : label)) * 4;
    float v[4] = {1, 1, 1, 1};
    if (!variance_encoded_in_target) std::copy_n(a + l.priors * l.prior_size + prior * 4, 4, v);
    Box b{p[0], p[1], p[2], p[3]};
    if (!normalized)
      b = {b.x1 / static_cast<float>(input_width), b.y1 / static_cast<float>(input_height),
           b.x2 / static_cast<float>(input_width), b.y2 / static_cast<float>(input_height)};
    if (code_type == BoxCode::corner) {
      b = {b.x1 + v[0] * d[0], b.y1 + v[1] * d[1], b.x2 + v[2] * d[2], b.y2 + v[3] * d[3]};
    } else {
      const float w = b.x2 - b.x1, h = b.y2 - b.y1, x = (b.x1 + b.x2) / 2 + v[0] * d[0] * w,
                  y0 = (b.y1 + b.y2) / 2 + v[1] * d[1] * h;
      const float half_w = std::exp(v[2] * d[2]) * w / 2, half_h = std::exp(v[3] * d[3]) * h / 2;
      b = {x - half_w, y0 - half_h, x + half_w, y0 + half_h};
    }
    return clip_before_nms ? clipped(b) : b;
  };
  int64_t row = 0;
  for (int64_t image = 0; image < l.images; ++image) {
    const auto score = [&](int64_t prior, int64_t label) {
      return confidence.data<float>()[(image * l.priors + prior) * l.classes + label];
    };
    std::map<int64_t, std::vector<Found>> kept;  // by label
    // Keeps what overlaps with nothing kept of its label before.
    const auto suppress = [&](const std::vector<Found>& candidates) {
      for (const Found& f : candidates) {
        const Box b = decoded(image, f.prior, f.label);
        auto& same = kept[f.label];
        const bool clear = std::all_of(same.begin(), same.end(), [&](const Found& k) {
          return overlap(b, decoded(image, k.prior, k.label)) <= static_cast<float>(nms_threshold);
        });
        if (clear) same.push_back(f);
      }
    };
    const auto threshold = static_cast<float>(confidence_threshold);
    if (decrease_label_id) {
      std::vector<Found> candidates;
      for (int64_t p = 0; p < l.priors; ++p) {
        Found best{-1, 0, p};
        for (int64_t c = 1; c < l.classes; ++c) {
          if (score(p, c) > best.score) best = {score(p, c), c, p};
        }
        if (best.label > 0 && best.score >= threshold) candidates.push_back(best);
      }
      limit(candidates, top_k);
      suppress(candidates);
    } else {
      for (int64_t c = 0; c < l.classes; ++c) {
        if (c == background_label_id) continue;
        std::vector<Found> candidates;
        for (int64_t p = 0; p < l.priors; ++p) {
          if (score(p, c) > threshold) candidates.push_back({score(p, c), c, p});
        }
        limit(candidates, top_k);
        suppress(candidates);
      }
    }
    std::vector<Found> all;
    for (const auto& [label, found] : kept) all.insert(all.end(), found.begin(), found.end());
    if (!keep_top_k.empty() && keep_top_k[0] > -1 && static_cast<int64_t>(all.size()) > keep_top_k[0]) {
      limit(all, keep_top_k[0]);
      std::stable_sort(all.begin(), all.end(), [](const Found& a, const Found& b) { return a.label < b.label; });
    }
    for (const Found& f : all) {
      if (row == y.shape()[2]) break;
      Box b = decoded(image, f.prior, f.label);
      if (clip_after_nms) b = clipped(b);
      const float values[7] = {static_cast<float>(image),
                               static_cast<float>(decrease_label_id ? f.label - 1 : f.label),
                               f.score,
                               b.x1,
                               b.y1,
                               b.x2,
                               b.y2};
      std::copy_n(values, 7, y.data<float>() + 7 * row++);
    }
  }
  if (row < y.shape()[2]) y.data<float>()[7 * row] = -1;
}
Samples DetectionOutput::samples() {
  // OpenVINO gives the same.
  return {
      sample(
          DetectionOutput{.keep_top_k = {4},
                          .code_type = BoxCode::center_size,
                          .share_location = true,
                          .nms_threshold = 0.4,
                          .confidence_threshold = 0.3,
                          .normalized = true},
          {Tensor::of<float>(
               {2, 20},
               {0.025f,       0.105f,        -0.105f,       0.0049999999f, 0.19499999f, 0.2f,          -0.185f,
                -0.145f,      -0.22499999f,  -0.029999999f, -0.235f,       -0.02f,      0.075000003f,  -0.11f,
                0.090000004f, 0.045000002f,  -0.23999999f,  0.029999999f,  -0.12f,      -0.039999999f, -0.11f,
                0.094999999f, -0.029999999f, -0.17f,        0.02f,         0.14f,       -0.094999999f, -0.14f,
                -0.055f,      0.22f,         0.23999999f,   0.085000001f,  0.2f,        0.175f,        -0.059999999f,
                -0.205f,      0.075000003f,  0.029999999f,  -0.07f,        -0.13500001f}),
           Tensor::of<float>({2, 15}, {0.41f,       0.47f,        0.27000001f,  0.28999999f, 0.46000001f, 0.86000001f,
                                       0.58999997f, 0.28f,        0.28f,        0.44999999f, 0.20999999f, 0.2f,
                                       0.50999999f, 0.090000004f, 0.47999999f,  0.36000001f, 0.70999998f, 0.75f,
                                       0.69f,       0.69f,        0.37f,        0.67000002f, 0.34f,       0.56999999f,
                                       0.33000001f, 0.44999999f,  0.059999999f, 0.23999999f, 0.97000003f, 0.23f}),
           Tensor::of<float>(
               {1, 2, 20}, {0.345f,      0.32499999f, 0.597f,       0.745f,       0.36000001f, 0.23999999f, 0.63599998f,
                            0.81999999f, 0.30000001f, 0.035f,       0.77200001f,  0.45100001f, 0.035f,      0.1f,
                            0.51899999f, 0.40400001f, 0.075000003f, 0.050000001f, 0.64700001f, 0.58600003f, 0.1f,
                            0.1f,        0.2f,        0.2f,         0.1f,         0.1f,        0.2f,        0.2f,
                            0.1f,        0.1f,        0.2f,         0.2f,         0.1f,        0.1f,        0.2f,
                            0.2f,        0.1f,        0.1f,         0.2f,         0.2f})},
          {Tensor::of<float>({1, 1, 8, 7}, {0,
                                            1,
                                            0.47f,
                                            0.34824842f,
                                            0.32919988f,
                                            0.59501159f,
                                            0.74962008f,
                                            0,
                                            2,
                                            0.86000001f,
                                            0.37039468f,
                                            0.25988922f,
                                            0.63636923f,
                                            0.82331073f,
                                            0,
                                            2,
                                            0.47999999f,
                                            0.068054289f,
                                            0.053743482f,
                                            0.62648976f,
                                            0.58547258f,
                                            1,
                                            1,
                                            0.97000003f,
                                            0.083266109f,
                                            0.058747202f,
                                            0.64731395f,
                                            0.58046889f,
                                            1,
                                            1,
                                            0.70999998f,
                                            0.34298176f,
                                            0.33600992f,
                                            0.59347427f,
                                            0.74197f,
                                            1,
                                            2,
                                            0.75f,
                                            0.34298176f,
                                            0.33600992f,
                                            0.59347427f,
                                            0.74197f,
                                            1,
                                            2,
                                            0.56999999f,
                                            0.28579974f,
                                            0.040585771f,
                                            0.78100824f,
                                            0.46371824f,
                                            -1,
                                            0,
                                            0,
                                            0,
                                            0,
                                            0,
                                            0})}),
      sample(
          DetectionOutput{.top_k = 3,
                          .variance_encoded_in_target = true,
                          .keep_top_k = {-1},
                          .code_type = BoxCode::corner,
                          .share_location = false,
                          .nms_threshold = 0.3,
                          .confidence_threshold = 0.2,
                          .clip_after_nms = true,
                          .normalized = true},
          {Tensor::of<float>({2, 60}, {0.115f,
                                       -0.0099999998f,
                                       0.17f,
                                       0.12f,
                                       0.079999998f,
                                       0.205f,
                                       0.064999998f,
                                       -0.064999998f,
                                       0.025f,
                                       -0.15000001f,
                                       -0.155f,
                                       0.115f,
                                       0.14f,
                                       0.235f,
                                       0.175f,
                                       0.02f,
                                       -0.205f,
                                       -0.0049999999f,
                                       0.215f,
                                       0.145f,
                                       -0.0049999999f,
                                       -0.02f,
                                       -0.14f,
                                       -0.16f,
                                       -0.215f,
                                       0.19499999f,
                                       0.07f,
                                       -0.18000001f,
                                       -0.045000002f,
                                       -0.22499999f,
                                       -0.145f,
                                       0.115f,
                                       0.075000003f,
                                       -0.0099999998f,
                                       -0.115f,
                                       0.075000003f,
                                       0.23f,
                                       -0.029999999f,
                                       -0.215f,
                                       -0.22f,
                                       -0.20999999f,
                                       0.23f,
                                       0.02f,
                                       0.17f,
                                       -0.16500001f,
                                       -0.12f,
                                       0.094999999f,
                                       0.2f,
                                       -0.079999998f,
                                       -0.22f,
                                       0.18000001f,
                                       -0.105f,
                                       0.12f,
                                       -0.17f,
                                       0.094999999f,
                                       0.17f,
                                       0.115f,
                                       -0.07f,
                                       0.115f,
                                       -0.18000001f,
                                       -0.094999999f,
                                       -0.039999999f,
                                       0.19f,
                                       -0.175f,
                                       0.19f,
                                       0.15000001f,
                                       0.235f,
                                       -0.064999998f,
                                       -0.15000001f,
                                       -0.13f,
                                       0.16500001f,
                                       0.235f,
                                       0.1f,
                                       -0.0099999998f,
                                       -0.105f,
                                       0.16500001f,
                                       0.185f,
                                       -0.205f,
                                       -0.14f,
                                       0.16500001f,
                                       0.175f,
                                       -0.094999999f,
                                       -0.11f,
                                       -0.035f,
                                       0.02f,
                                       -0.2f,
                                       0.17f,
                                       0.015f,
                                       0.13500001f,
                                       -0.13500001f,
                                       0.235f,
                                       0.125f,
                                       -0.079999998f,
                                       0.22499999f,
                                       0.1f,
                                       0.17f,
                                       -0.22499999f,
                                       -0.22f,
                                       0.12f,
                                       -0.1f,
                                       0.0099999998f,
                                       -0.17f,
                                       0.23999999f,
                                       0,
                                       0.16500001f,
                                       -0.215f,
                                       -0.0099999998f,
                                       -0.22f,
                                       0.19f,
                                       -0.025f,
                                       -0.215f,
                                       -0.20999999f,
                                       0.02f,
                                       -0.20999999f,
                                       -0.16f,
                                       -0.029999999f,
                                       0,
                                       0.039999999f,
                                       0.059999999f,
                                       -0.064999998f}),
           Tensor::of<float>({2, 15}, {0.62f,       0.16f,       0.28f,       0.80000001f,  0.15000001f, 0.22f,
                                       0.23999999f, 0.47999999f, 0,           0.029999999f, 0.46000001f, 0.16f,
                                       0.68000001f, 0.80000001f, 0.57999998f, 0.69f,        0.38999999f, 0.050000001f,
                                       0.44f,       0.37f,       0.60000002f, 0.13f,        0.23f,       0.81f,
                                       0.25999999f, 0.41f,       0.94f,       0.28f,        0.15000001f, 0.69999999f}),
           Tensor::of<float>(
               {1, 1, 20}, {0.285f,      0.30500001f, 0.87300003f, 0.69700003f, 0.02f,       0.20999999f, 0.51599997f,
                            0.662f,      0,           0.125f,      0.38800001f, 0.66900003f, 0.35499999f, 0.029999999f,
                            0.62300003f, 0.56199998f, 0.145f,      0.495f,      0.361f,      1.043f})},
          {Tensor::of<float>({1, 1, 18, 7}, {0,
                                             1,
                                             0.80000001f,
                                             0.26499999f,
                                             0.32499999f,
                                             0.456f,
                                             1,
                                             0,
                                             1,
                                             0.47999999f,
                                             0,
                                             0,
                                             0.24300002f,
                                             0.78400004f,
                                             0,
                                             1,
                                             0.46000001f,
                                             0.145f,
                                             0.25999999f,
                                             0.64300001f,
                                             0.73199999f,
                                             0,
                                             2,
                                             0.57999998f,
                                             0.25999999f,
                                             0.42500001f,
                                             0.47600001f,
                                             0.86299998f,
                                             0,
                                             2,
                                             0.28f,
                                             0.31f,
                                             0.155f,
                                             0.71800005f,
                                             0.81200004f,
                                             0,
                                             2,
                                             0.22f,
                                             0.015f,
                                             0.19f,
                                             0.37599999f,
                                             0.50199997f,
                                             1,
                                             1,
                                             0.41f,
                                             0.36499998f,
                                             0,
                                             0.86300004f,
                                             0.56199998f,
                                             1,
                                             1,
                                             0.38999999f,
                                             0.47499999f,
                                             0.45500001f,
                                             1,
                                             0.63200003f,
                                             1,
                                             1,
                                             0.37f,
                                             0.205f,
                                             0.0049999952f,
                                             0.37599999f,
                                             0.82700002f,
                                             1,
                                             2,
                                             0.94f,
                                             0.51999998f,
                                             0,
                                             0.61300004f,
                                             0.34199998f,
                                             1,
                                             2,
                                             0.81f,
                                             0,
                                             0.34999999f,
                                             0.48800001f,
                                             0.83900005f,
                                             1,
                                             2,
                                             0.69999999f,
                                             0.145f,
                                             0.53500003f,
                                             0.421f,
                                             0.97799999f,
                                             -1,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0})}),
      sample(
          DetectionOutput{.top_k = 10,
                          .keep_top_k = {6},
                          .code_type = BoxCode::center_size,
                          .share_location = true,
                          .nms_threshold = 0.5,
                          .confidence_threshold = 0.1,
                          .clip_before_nms = true,
                          .decrease_label_id = true,
                          .normalized = false,
                          .input_height = 20,
                          .input_width = 10},
          {Tensor::of<float>({2, 20}, {0.090000004f,
                                       -0.025f,
                                       0.085000001f,
                                       -0.02f,
                                       0.14f,
                                       -0.19499999f,
                                       0.0049999999f,
                                       0.185f,
                                       0.215f,
                                       -0.14f,
                                       -0.125f,
                                       0.2f,
                                       -0.075000003f,
                                       -0.22f,
                                       0.105f,
                                       -0.045000002f,
                                       0.12f,
                                       -0.0099999998f,
                                       0,
                                       -0.039999999f,
                                       -0.105f,
                                       0.2f,
                                       0.085000001f,
                                       0.145f,
                                       0.2f,
                                       -0.125f,
                                       0.20999999f,
                                       0.18000001f,
                                       0.0049999999f,
                                       0.035f,
                                       -0.19499999f,
                                       0.13f,
                                       -0.16500001f,
                                       0.015f,
                                       -0.185f,
                                       -0.215f,
                                       0.055f,
                                       -0.0049999999f,
                                       0.085000001f,
                                       0.145f}),
           Tensor::of<float>({2, 15}, {0.98000002f, 0.079999998f, 0.63f,       0.57999998f, 0.64999998f, 0.54000002f,
                                       0.56f,       0.87f,        0.44999999f, 0.52999997f, 0.69f,       0.090000004f,
                                       0.43000001f, 0.1f,         0.14f,       0,           0.20999999f, 0.22f,
                                       0.51999998f, 0.56999999f,  0.81999999f, 0.49000001f, 0.88999999f, 0.40000001f,
                                       0.74000001f, 0.55000001f,  0.62f,       0.27000001f, 0.94f,       0.76999998f}),
           Tensor::of<float>(
               {1, 2, 25}, {0,    0.75f,      5.4000001f, 4.9499998f, 16.92f, 0,    5,    0.5f, 8.3999996f, 9.0600004f,
                            0,    1.5f,       7.4000001f, 3.7f,       15.8f,  0,    0.2f, 7.5f, 3.8800001f, 19.34f,
                            0,    2.8499999f, 7.3000002f, 8.6499996f, 12.42f, 0.1f, 0.1f, 0.2f, 0.2f,       0.1f,
                            0.1f, 0.2f,       0.2f,       0.1f,       0.1f,   0.2f, 0.2f, 0.1f, 0.1f,       0.2f,
                            0.2f, 0.1f,       0.1f,       0.2f,       0.2f,   0,    0,    0,    0,          0})},
          {Tensor::of<float>({1, 1, 12, 7}, {0,
                                             0,
                                             0.87f,
                                             0.15744588f,
                                             0.35554975f,
                                             0.37201408f,
                                             0.79269034f,
                                             0,
                                             0,
                                             0.69f,
                                             0.013335168f,
                                             0.36462808f,
                                             0.38914487f,
                                             0.95132399f,
                                             0,
                                             0,
                                             0.64999998f,
                                             0.50458992f,
                                             0.0085876882f,
                                             0.84493005f,
                                             0.45272031f,
                                             0,
                                             1,
                                             0.63f,
                                             0.075179517f,
                                             0.26970977f,
                                             0.50238049f,
                                             0.84341031f,
                                             0,
                                             1,
                                             0.14f,
                                             0.29196f,
                                             0.3657639f,
                                             0.87195992f,
                                             0.61972409f,
                                             1,
                                             0,
                                             0.94f,
                                             0.28321788f,
                                             0.36110568f,
                                             0.87316203f,
                                             0.62463832f,
                                             1,
                                             0,
                                             0.88999999f,
                                             0.15431741f,
                                             0.36593845f,
                                             0.36590257f,
                                             0.79700172f,
                                             1,
                                             1,
                                             0.81999999f,
                                             0.4995079f,
                                             0.011805654f,
                                             0.854092f,
                                             0.45549437f,
                                             1,
                                             1,
                                             0.62f,
                                             0.020611599f,
                                             0.38834623f,
                                             0.37524444f,
                                             0.95542979f,
                                             1,
                                             1,
                                             0.22f,
                                             0.066989511f,
                                             0.27304581f,
                                             0.49419048f,
                                             0.86599433f,
                                             -1,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0})})};
}
HONE_DEFINE_OP(DetectionOutput)

}  // namespace hone
