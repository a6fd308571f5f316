#include <algorithm>
#include <cmath>

#include "ops/family.hpp"
#include "ops/indexing.hpp"
#include "ops/kept_boxes.hpp"
#include "ops/selected_boxes.hpp"

namespace hone {
namespace {

UprightBox box_at(const float* p, BoxEncoding encoding) {
  const float a = p[0], b = p[1], c = p[2], d = p[3];
  // Corners may be any diagonal; centres are x, y, width, height.
  if (encoding == BoxEncoding::corner) return {std::min(a, c), std::min(b, d), std::max(a, c), std::max(b, d)};
  return {b - d / 2, a - c / 2, b + d / 2, a + c / 2};
}

}  // namespace

Types NonMaxSuppression::infer(InferCtx& ctx) const {
  const PartialShape &boxes = ctx.shape(0), &scores = ctx.shape(1);
  ctx.check(!boxes.rank_known() || (boxes.rank() == 3 && boxes[2].compatible(Dimension(4))),
            "wants boxes [B, M, 4], got " + to_string(boxes));
  ctx.check(!scores.rank_known() || scores.rank() == 3, "wants scores [B, C, M], got " + to_string(scores));
  ctx.check(is_integer(output_type), std::string("indices of type ") + name_of(output_type));
  Dimension count;
  if (boxes.rank_known() && scores.rank_known()) {
    ctx.check(boxes[0].compatible(scores[0]) && boxes[1].compatible(scores[2]),
              "boxes " + to_string(boxes) + " and scores " + to_string(scores) + " do not fit");
    const Tensor limit = ctx.has(2) ? ctx.constant(2) : Tensor();
    const int64_t each = limit ? std::min(get_integer(limit, 0), boxes[1].max()) : ctx.has(2) ? boxes[1].max() : 0;
    count = Dimension(0, (scores[0] * scores[1] * Dimension(each)).max());
  }
  const ElementType score_type = ctx.element(1);
  return {Type(output_type, PartialShape{count, 3}), Type(score_type, PartialShape{count, 3}),
          Type(output_type, PartialShape{1})};
}

void NonMaxSuppression::eval(EvalCtx& ctx) const {
  const auto in_f32 = [&](size_t i) {
    return ctx.input(i).element_type() == ElementType::f32 ? ctx.input(i) : ctx.input(i).converted(ElementType::f32);
  };
  const Tensor boxes = in_f32(0), scores = in_f32(1);
  if (boxes.rank() != 3 || scores.rank() != 3 || boxes.shape()[2] != 4 || boxes.shape()[0] != scores.shape()[0] ||
      boxes.shape()[1] != scores.shape()[2]) {
    ctx.fail("boxes " + to_string(boxes.shape()) + " and scores " + to_string(scores.shape()) + " do not fit");
  }
  const auto number = [&](size_t i, double otherwise) {
    return ctx.has(i) && ctx.input(i).size() > 0 ? get_element(ctx.input(i), 0) : otherwise;
  };
  // "All of them" is written as the largest integer, which no double holds.
  const int64_t limit = ctx.has(2) && ctx.input(2).size() > 0 ? get_integer(ctx.input(2), 0) : 0;
  const auto iou_threshold = static_cast<float>(number(3, 0)), sigma = static_cast<float>(number(5, 0));
  const auto score_threshold = static_cast<float>(ctx.has(4) ? number(4, 0) : -std::numeric_limits<double>::infinity());
  const int64_t batches = scores.shape()[0], classes = scores.shape()[1], count = scores.shape()[2];
  // Bodla et al., Soft-NMS: a score falls by exp(-iou^2 / (2 sigma)).
  const float decay = sigma > 0 ? -0.5f / sigma : 0;
  struct Candidate {
    int64_t box;
    float score;
    size_t compared;  // how many of the selected ones it was measured against
  };
  std::vector<Candidate> queue;
  std::vector<SelectedBox> all;
  for (int64_t b = 0; b < batches; ++b) {
    std::vector<UprightBox> box;
    box.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) box.push_back(box_at(boxes.data<float>() + (b * count + i) * 4, box_encoding));
    for (int64_t c = 0; c < classes; ++c) {
      queue.clear();
      for (int64_t i = 0; i < count; ++i) {
        const float s = scores.data<float>()[(b * classes + c) * count + i];
        if (s > score_threshold) queue.push_back({i, s, 0});
      }
      const auto after = [](const Candidate& p, const Candidate& q) {
        return p.score != q.score ? p.score < q.score : p.box > q.box;
      };
      std::make_heap(queue.begin(), queue.end(), after);
      std::vector<SelectedBox> chosen;
      // A negative threshold suppresses even what lies apart.
      const bool by_place = sigma <= 0 && iou_threshold >= 0;
      KeptBoxes kept(iou_threshold, by_place ? queue.size() : 0);
      while (!queue.empty() && static_cast<int64_t>(chosen.size()) < limit) {
        std::pop_heap(queue.begin(), queue.end(), after);
        Candidate next = queue.back();
        queue.pop_back();
        const float before = next.score;
        bool suppressed = by_place && kept.suppress(box[static_cast<size_t>(next.box)]);
        for (size_t j = by_place ? 0 : chosen.size(); j-- > next.compared && !suppressed;) {
          const float iou = overlap(box[static_cast<size_t>(next.box)], box[static_cast<size_t>(chosen[j].box)]);
          suppressed = sigma <= 0 && iou > iou_threshold;
          if (sigma > 0 && !suppressed) {
            next.score *= std::exp(decay * iou * iou);
            if (next.score <= score_threshold) suppressed = true;
          }
        }
        if (suppressed) continue;
        next.compared = chosen.size();
        if (next.score == before) {
          chosen.push_back({b, c, next.box, next.score});
          if (by_place) kept.add(box[static_cast<size_t>(next.box)]);
        } else {  // it lost score: back into the queue
          queue.push_back(next);
          std::push_heap(queue.begin(), queue.end(), after);
        }
      }
      all.insert(all.end(), chosen.begin(), chosen.end());
    }
  }
  write_selected(ctx, std::move(all), sort_result_descending, output_type);
}

Samples NonMaxSuppression::samples() {
  const Tensor boxes = Tensor::of<float>(
      {1, 6, 4}, {0, 0, 1, 1, 0, 0.1f, 1, 1.1f, 0, -0.1f, 1, 0.9f, 0, 10, 1, 11, 0, 10.1f, 1, 11.1f, 0, 100, 1, 101});
  const Tensor flipped = Tensor::of<float>(
      {1, 6, 4}, {1, 1, 0, 0, 0, 0.1f, 1, 1.1f, 0, 0.9f, 1, -0.1f, 0, 10, 1, 11, 1, 10.1f, 0, 11.1f, 1, 101, 0, 100});
  const Tensor centers = Tensor::of<float>({1, 6, 4}, {0.5f,  0.5f, 1, 1, 0.6f,  0.5f, 1, 1, 0.4f,   0.5f, 1, 1,
                                                       10.5f, 0.5f, 1, 1, 10.6f, 0.5f, 1, 1, 100.5f, 0.5f, 1, 1});
  const Tensor scores = Tensor::of<float>({1, 1, 6}, {0.9f, 0.75f, 0.6f, 0.95f, 0.5f, 0.3f}),
               two = Tensor::of<float>({1, 2, 2}, {0.3f, 0.8f, 0.9f, 0.1f});
  const Tensor indices = Tensor::of<int64_t>({3, 3}, {0, 0, 3, 0, 0, 0, 0, 0, 5}),
               kept = Tensor::of<float>({3, 3}, {0, 0, 0.95f, 0, 0, 0.9f, 0, 0, 0.3f});
  const Datum n3 = int_tensor({3});
  const Tensor far = Tensor::of<float>({1, 2, 4}, {0, 0, 1, 1, 5, 5, 6, 6}), iou = float_scalar(0.5f),
               none = float_scalar(0);
  return {
      sample(NonMaxSuppression{}, {boxes, scores, int_scalar(3), iou, none}, {indices, kept, n3}),
      sample(NonMaxSuppression{}, {flipped, scores, int_scalar(3), iou, none}, {indices, kept, n3}),
      sample(NonMaxSuppression{BoxEncoding::center}, {centers, scores, int_scalar(3), iou, none}, {indices, kept, n3}),
      sample(NonMaxSuppression{}, {boxes, scores, int_scalar(3), iou, float_scalar(0.4f)},
             {Tensor::of<int64_t>({2, 3}, {0, 0, 3, 0, 0, 0})}),
      sample(NonMaxSuppression{}, {boxes, scores, int_scalar(2), iou, none},
             {Tensor::of<int64_t>({2, 3}, {0, 0, 3, 0, 0, 0}), Datum(), int_tensor({2})}),
      sample(NonMaxSuppression{}, {far, two, int_scalar(2), iou, none},
             {Tensor::of<int64_t>({4, 3}, {0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1})}),
      sample(NonMaxSuppression{BoxEncoding::corner, false, ElementType::i32}, {far, two, int_scalar(2), iou, none},
             {Tensor::of<int32_t>({4, 3}, {0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 1})}),
      sample(NonMaxSuppression{}, {boxes, scores, int_scalar(6), iou, none, float_scalar(0.5f)},
             {Tensor::of<int64_t>({6, 3}, {0, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 5, 0, 0, 4, 0, 0, 2}),
              Tensor::of<float>({6, 3}, {0, 0, 0.95f, 0, 0, 0.9f, 0, 0, 0.38400355f, 0, 0, 0.3f, 0, 0, 0.2560026f, 0, 0,
                                         0.19697246f})})};
}
HONE_DEFINE_OP(NonMaxSuppression)

}  // namespace hone
