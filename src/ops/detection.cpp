#include "ops/detection.hpp"

#include <algorithm>
#include <array>
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

// [1, 1, rows, 7] that begins with what was found; the rest is 0.
static Tensor detections(int64_t rows, const std::vector<std::array<float, 7>>& found) {
  return Tensor::of<float>({1, 1, rows, 7}, std::span(found[0].data(), found.size() * 7));
}
Samples DetectionOutput::samples() {
  // OpenVINO gives the same.
  return {sample(DetectionOutput{.keep_top_k = {4},
                                 .code_type = BoxCode::center_size,
                                 .share_location = true,
                                 .nms_threshold = 0.4,
                                 .confidence_threshold = 0.3,
                                 .normalized = true},
                 {Tensor::of<float>(
                      {2, 20}, {0.025f,  0.105f, -0.105f, 0.005f, 0.195f, 0.2f,    -0.185f, -0.145f, -0.225f, -0.03f,
                                -0.235f, -0.02f, 0.075f,  -0.11f, 0.09f,  0.045f,  -0.24f,  0.03f,   -0.12f,  -0.04f,
                                -0.11f,  0.095f, -0.03f,  -0.17f, 0.02f,  0.14f,   -0.095f, -0.14f,  -0.055f, 0.22f,
                                0.24f,   0.085f, 0.2f,    0.175f, -0.06f, -0.205f, 0.075f,  0.03f,   -0.07f,  -0.135f}),
                  Tensor::of<float>({2, 15}, {0.41f, 0.47f, 0.27f, 0.29f, 0.46f, 0.86f, 0.59f, 0.28f, 0.28f, 0.45f,
                                              0.21f, 0.2f,  0.51f, 0.09f, 0.48f, 0.36f, 0.71f, 0.75f, 0.69f, 0.69f,
                                              0.37f, 0.67f, 0.34f, 0.57f, 0.33f, 0.45f, 0.06f, 0.24f, 0.97f, 0.23f}),
                  Tensor::of<float>({1, 2, 20},
                                    {0.345f, 0.325f, 0.597f, 0.745f, 0.36f,  0.24f,  0.636f, 0.82f, 0.3f,   0.035f,
                                     0.772f, 0.451f, 0.035f, 0.1f,   0.519f, 0.404f, 0.075f, 0.05f, 0.647f, 0.586f,
                                     0.1f,   0.1f,   0.2f,   0.2f,   0.1f,   0.1f,   0.2f,   0.2f,  0.1f,   0.1f,
                                     0.2f,   0.2f,   0.1f,   0.1f,   0.2f,   0.2f,   0.1f,   0.1f,  0.2f,   0.2f})},
                 {detections(8, {{0, 1, 0.47f, 0.34824842f, 0.32919988f, 0.5950116f, 0.7496201f},
                                 {0, 2, 0.86f, 0.37039468f, 0.25988922f, 0.6363692f, 0.82331073f},
                                 {0, 2, 0.48f, 0.06805429f, 0.05374348f, 0.62648976f, 0.5854726f},
                                 {1, 1, 0.97f, 0.08326611f, 0.058747202f, 0.64731395f, 0.5804689f},
                                 {1, 1, 0.71f, 0.34298176f, 0.33600992f, 0.59347427f, 0.74197f},
                                 {1, 2, 0.75f, 0.34298176f, 0.33600992f, 0.59347427f, 0.74197f},
                                 {1, 2, 0.57f, 0.28579974f, 0.04058577f, 0.78100824f, 0.46371824f},
                                 {-1}})}),
          sample(DetectionOutput{.top_k = 3,
                                 .variance_encoded_in_target = true,
                                 .keep_top_k = {-1},
                                 .code_type = BoxCode::corner,
                                 .share_location = false,
                                 .nms_threshold = 0.3,
                                 .confidence_threshold = 0.2,
                                 .clip_after_nms = true,
                                 .normalized = true},
                 {Tensor::of<float>(
                      {2, 60},
                      {0.115f,  -0.01f,  0.17f,   0.12f,  0.08f,   0.205f,  0.065f,  -0.065f, 0.025f,  -0.15f,  -0.155f,
                       0.115f,  0.14f,   0.235f,  0.175f, 0.02f,   -0.205f, -0.005f, 0.215f,  0.145f,  -0.005f, -0.02f,
                       -0.14f,  -0.16f,  -0.215f, 0.195f, 0.07f,   -0.18f,  -0.045f, -0.225f, -0.145f, 0.115f,  0.075f,
                       -0.01f,  -0.115f, 0.075f,  0.23f,  -0.03f,  -0.215f, -0.22f,  -0.21f,  0.23f,   0.02f,   0.17f,
                       -0.165f, -0.12f,  0.095f,  0.2f,   -0.08f,  -0.22f,  0.18f,   -0.105f, 0.12f,   -0.17f,  0.095f,
                       0.17f,   0.115f,  -0.07f,  0.115f, -0.18f,  -0.095f, -0.04f,  0.19f,   -0.175f, 0.19f,   0.15f,
                       0.235f,  -0.065f, -0.15f,  -0.13f, 0.165f,  0.235f,  0.1f,    -0.01f,  -0.105f, 0.165f,  0.185f,
                       -0.205f, -0.14f,  0.165f,  0.175f, -0.095f, -0.11f,  -0.035f, 0.02f,   -0.2f,   0.17f,   0.015f,
                       0.135f,  -0.135f, 0.235f,  0.125f, -0.08f,  0.225f,  0.1f,    0.17f,   -0.225f, -0.22f,  0.12f,
                       -0.1f,   0.01f,   -0.17f,  0.24f,  0,       0.165f,  -0.215f, -0.01f,  -0.22f,  0.19f,   -0.025f,
                       -0.215f, -0.21f,  0.02f,   -0.21f, -0.16f,  -0.03f,  0,       0.04f,   0.06f,   -0.065f}),
                  Tensor::of<float>({2, 15}, {0.62f, 0.16f, 0.28f, 0.8f,  0.15f, 0.22f, 0.24f, 0.48f, 0,     0.03f,
                                              0.46f, 0.16f, 0.68f, 0.8f,  0.58f, 0.69f, 0.39f, 0.05f, 0.44f, 0.37f,
                                              0.6f,  0.13f, 0.23f, 0.81f, 0.26f, 0.41f, 0.94f, 0.28f, 0.15f, 0.7f}),
                  Tensor::of<float>({1, 1, 20},
                                    {0.285f, 0.305f, 0.873f, 0.697f, 0.02f,  0.21f,  0.516f, 0.662f, 0,      0.125f,
                                     0.388f, 0.669f, 0.355f, 0.03f,  0.623f, 0.562f, 0.145f, 0.495f, 0.361f, 1.043f})},
                 {detections(18, {{0, 1, 0.8f, 0.265f, 0.325f, 0.456f, 1},
                                  {0, 1, 0.48f, 0, 0, 0.24300002f, 0.78400004f},
                                  {0, 1, 0.46f, 0.145f, 0.26f, 0.643f, 0.732f},
                                  {0, 2, 0.58f, 0.26f, 0.425f, 0.476f, 0.863f},
                                  {0, 2, 0.28f, 0.31f, 0.155f, 0.71800005f, 0.81200004f},
                                  {0, 2, 0.22f, 0.015f, 0.19f, 0.376f, 0.502f},
                                  {1, 1, 0.41f, 0.36499998f, 0, 0.86300004f, 0.562f},
                                  {1, 1, 0.39f, 0.475f, 0.455f, 1, 0.632f},
                                  {1, 1, 0.37f, 0.205f, 0.004999995f, 0.376f, 0.827f},
                                  {1, 2, 0.94f, 0.52f, 0, 0.61300004f, 0.34199998f},
                                  {1, 2, 0.81f, 0, 0.35f, 0.488f, 0.83900005f},
                                  {1, 2, 0.7f, 0.145f, 0.535f, 0.421f, 0.978f},
                                  {-1}})}),
          sample(DetectionOutput{.top_k = 10,
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
                 {Tensor::of<float>(
                      {2, 20}, {0.09f,   -0.025f, 0.085f,  -0.02f, 0.14f,   -0.195f, 0.005f, 0.185f,  0.215f, -0.14f,
                                -0.125f, 0.2f,    -0.075f, -0.22f, 0.105f,  -0.045f, 0.12f,  -0.01f,  0,      -0.04f,
                                -0.105f, 0.2f,    0.085f,  0.145f, 0.2f,    -0.125f, 0.21f,  0.18f,   0.005f, 0.035f,
                                -0.195f, 0.13f,   -0.165f, 0.015f, -0.185f, -0.215f, 0.055f, -0.005f, 0.085f, 0.145f}),
                  Tensor::of<float>({2, 15}, {0.98f, 0.08f, 0.63f, 0.58f, 0.65f, 0.54f, 0.56f, 0.87f, 0.45f, 0.53f,
                                              0.69f, 0.09f, 0.43f, 0.1f,  0.14f, 0,     0.21f, 0.22f, 0.52f, 0.57f,
                                              0.82f, 0.49f, 0.89f, 0.4f,  0.74f, 0.55f, 0.62f, 0.27f, 0.94f, 0.77f}),
                  Tensor::of<float>({1, 2, 25}, {0,    0.75f, 5.4f, 4.95f, 16.92f, 0,    5,    0.5f, 8.4f,  9.06f,
                                                 0,    1.5f,  7.4f, 3.7f,  15.8f,  0,    0.2f, 7.5f, 3.88f, 19.34f,
                                                 0,    2.85f, 7.3f, 8.65f, 12.42f, 0.1f, 0.1f, 0.2f, 0.2f,  0.1f,
                                                 0.1f, 0.2f,  0.2f, 0.1f,  0.1f,   0.2f, 0.2f, 0.1f, 0.1f,  0.2f,
                                                 0.2f, 0.1f,  0.1f, 0.2f,  0.2f,   0,    0,    0,    0,     0})},
                 {detections(12, {{0, 0, 0.87f, 0.15744588f, 0.35554975f, 0.37201408f, 0.79269034f},
                                  {0, 0, 0.69f, 0.013335168f, 0.36462808f, 0.38914487f, 0.951324f},
                                  {0, 0, 0.65f, 0.5045899f, 0.008587688f, 0.84493005f, 0.4527203f},
                                  {0, 1, 0.63f, 0.07517952f, 0.26970977f, 0.5023805f, 0.8434103f},
                                  {0, 1, 0.14f, 0.29196f, 0.3657639f, 0.8719599f, 0.6197241f},
                                  {1, 0, 0.94f, 0.28321788f, 0.36110568f, 0.87316203f, 0.6246383f},
                                  {1, 0, 0.89f, 0.15431741f, 0.36593845f, 0.36590257f, 0.7970017f},
                                  {1, 1, 0.82f, 0.4995079f, 0.011805654f, 0.854092f, 0.45549437f},
                                  {1, 1, 0.62f, 0.0206116f, 0.38834623f, 0.37524444f, 0.9554298f},
                                  {1, 1, 0.22f, 0.06698951f, 0.2730458f, 0.49419048f, 0.86599433f},
                                  {-1}})})};
}
HONE_DEFINE_OP(DetectionOutput)

}  // namespace hone
