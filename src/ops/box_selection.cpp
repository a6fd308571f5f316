#include "ops/box_selection.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/family.hpp"

namespace hone {
namespace {

struct Box {
  float x1, y1, x2, y2;
};

float area(const Box& b, float last) {
  if (b.x2 < b.x1 || b.y2 < b.y1) return 0;
  return (b.x2 - b.x1 + last) * (b.y2 - b.y1 + last);
}

float overlap(const Box& a, const Box& b, bool normalized) {
  if (b.x1 > a.x2 || b.x2 < a.x1 || b.y1 > a.y2 || b.y2 < a.y1) return 0;
  const float last = normalized ? 0.0f : 1.0f;
  const float w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1) + last,
              h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1) + last;
  const float both = w * h;
  return both / (area(a, last) + area(b, last) - both);
}

// A row of the result: the box, and where it came from.
struct Selected {
  Box box;
  float score;
  int64_t image, label, number, place;
};

bool by_score(const Selected& a, const Selected& b) {
  if (a.score != b.score) return a.score > b.score;
  if (a.label != b.label) return a.label < b.label;
  return a.number < b.number;
}

// Boxes and scores of all images, whichever of the two forms the inputs have.
class Candidates {
 public:
  Candidates(EvalCtx& ctx)
      : boxes_(ctx.input(0).converted(ElementType::f32)), scores_(ctx.input(1).converted(ElementType::f32)) {
    const Shape &b = boxes_.shape(), &s = scores_.shape();
    if (ctx.has(2)) {
      if (b.size() != 3 || s.size() != 2 || b[2] != 4 || b[0] != s[0] || b[1] != s[1])
        ctx.fail("boxes " + to_string(b) + " and scores " + to_string(s) + " are not [C, M, 4] and [C, M]");
      shared_ = false;
      classes_ = s[0];
      total_ = s[1];
      int64_t at = 0;
      for (int64_t n : ctx.input(2).to_ints()) {
        if (n < 0 || n > total_ - at)
          ctx.fail("the numbers of boxes exceed the " + std::to_string(total_) + " boxes there are");
        images_.push_back({at, n});
        at += n;
      }
    } else {
      if (b.size() != 3 || s.size() != 3 || b[2] != 4 || b[0] != s[0] || b[1] != s[2])
        ctx.fail("boxes " + to_string(b) + " and scores " + to_string(s) + " are not [N, M, 4] and [N, C, M]");
      classes_ = s[1];
      total_ = s[2];
      images_.assign(static_cast<size_t>(s[0]), {0, total_});
    }
  }
  int64_t images() const { return static_cast<int64_t>(images_.size()); }
  int64_t classes() const { return classes_; }
  int64_t count(int64_t image) const { return images_[static_cast<size_t>(image)].second; }
  Selected at(int64_t image, int64_t label, int64_t number) const {
    const int64_t first = images_[static_cast<size_t>(image)].first;
    const int64_t box = shared_ ? image * total_ + number : label * total_ + first + number;
    const int64_t score = shared_ ? (image * classes_ + label) * total_ + number : box;
    const float* p = boxes_.data<float>() + box * 4;
    // Boxes that each class has for itself count with the class last.
    return {{p[0], p[1], p[2], p[3]},
            scores_.data<float>()[score],
            image,
            label,
            number,
            shared_ ? box : (first + number) * classes_ + label};
  }

 private:
  Tensor boxes_, scores_;
  bool shared_ = true;
  int64_t classes_ = 0, total_ = 0;
  std::vector<std::pair<int64_t, int64_t>> images_;  // first box, number of boxes
};

void shorten(std::vector<Selected>& v, int64_t n) {
  if (n >= 0 && static_cast<int64_t>(v.size()) > n) v.resize(static_cast<size_t>(n));
}

template <class Op, class Select>
void eval_selection(EvalCtx& ctx, const Op& op, Select&& select) {
  const Candidates candidates(ctx);
  std::vector<Selected> all;
  Tensor numbers = ctx.output(2, op.output_type, {candidates.images()});
  for (int64_t image = 0; image < candidates.images(); ++image) {
    std::vector<Selected> kept;
    for (int64_t label = 0; label < candidates.classes(); ++label) {
      if (label == op.background_class) continue;
      const std::vector<Selected> some = select(candidates, image, label);
      kept.insert(kept.end(), some.begin(), some.end());
    }
    if (op.keep_top_k >= 0 && static_cast<int64_t>(kept.size()) > op.keep_top_k) {
      std::stable_sort(kept.begin(), kept.end(), by_score);
      shorten(kept, op.keep_top_k);
    }
    // OpenVINO's plugins leave an image's boxes by score where nothing is asked for, and of MatrixNms whatever is asked
    // for.
    if (op.sort_result_type != BoxOrder::class_id || std::is_same_v<Op, MatrixNms>) {
      std::stable_sort(kept.begin(), kept.end(), by_score);
    } else {
      std::stable_sort(kept.begin(), kept.end(), [](const Selected& a, const Selected& b) {
        return a.label != b.label ? a.label < b.label : by_score(a, b);
      });
    }
    set_integer(numbers, static_cast<size_t>(image), static_cast<int64_t>(kept.size()));
    all.insert(all.end(), kept.begin(), kept.end());
  }
  if (op.sort_result_across_batch) {
    if (op.sort_result_type == BoxOrder::score) {
      std::stable_sort(all.begin(), all.end(), [](const Selected& a, const Selected& b) {
        if (a.score != b.score) return a.score > b.score;
        if (a.image != b.image) return a.image < b.image;
        return by_score(a, b);
      });
    } else if (op.sort_result_type == BoxOrder::class_id) {
      std::stable_sort(all.begin(), all.end(), [](const Selected& a, const Selected& b) {
        if (a.label != b.label) return a.label < b.label;
        if (a.image != b.image) return a.image < b.image;
        return by_score(a, b);
      });
    }
  }
  const auto n = static_cast<int64_t>(all.size());
  Tensor rows = ctx.output(0, ElementType::f32, {n, 6}), places = ctx.output(1, op.output_type, {n, 1});
  for (size_t i = 0; i < all.size(); ++i) {
    const Selected& s = all[i];
    const float row[6] = {static_cast<float>(s.label), s.score, s.box.x1, s.box.y1, s.box.x2, s.box.y2};
    std::copy_n(row, 6, rows.data<float>() + i * 6);
    set_integer(places, i, s.place);
  }
}

// The candidates of a class by falling score, `top` of them.
template <class Above>
std::vector<Selected> ranked(const Candidates& c, int64_t image, int64_t label, int64_t top, Above&& above) {
  std::vector<Selected> v;
  for (int64_t i = 0; i < c.count(image); ++i) {
    const Selected s = c.at(image, label, i);
    if (above(s.score)) v.push_back(s);
  }
  std::stable_sort(v.begin(), v.end(), by_score);
  shorten(v, top);
  return v;
}

template <class Op>
Types infer_selection(const InferCtx& ctx, const Op& op, bool per_class) {
  const PartialShape &boxes = ctx.shape(0), &scores = ctx.shape(1);
  ctx.check(op.output_type == ElementType::i64 || op.output_type == ElementType::i32,
            std::string("indices of type ") + name_of(op.output_type));
  ctx.check(!boxes.rank_known() || (boxes.rank() == 3 && boxes[2].compatible(Dimension(4))),
            "boxes " + to_string(boxes) + " are not [N, M, 4]");
  const size_t rank = per_class ? 2 : 3;
  ctx.check(!scores.rank_known() || scores.rank() == rank,
            "scores " + to_string(scores) + " do not fit boxes " + to_string(boxes));
  Dimension images, most(0, Dimension::unbounded);
  if (per_class) {
    ctx.check(ctx.shape(2).compatible(PartialShape{Dimension()}),
              "numbers of boxes " + to_string(ctx.shape(2)) + " are not [N]");
    if (ctx.shape(2).rank_known()) images = ctx.shape(2)[0];
  } else if (scores.rank_known()) {
    images = scores[0];
  }
  if (boxes.rank_known() && scores.rank_known()) {
    const bool fits = boxes[0].compatible(scores[0]) && boxes[1].compatible(scores[rank - 1]);
    ctx.check(fits, "boxes " + to_string(boxes) + " and scores " + to_string(scores) + " do not fit");
    // A box may be selected once for each class.
    Dimension count = per_class ? scores[0] * scores[1] : scores[0] * scores[1] * scores[2];
    if (op.keep_top_k >= 0 && (images * Dimension(op.keep_top_k)).max() < count.max())
      count = images * Dimension(op.keep_top_k);
    most = Dimension(0, count.max());
  }
  return {Type(ctx.element(0), PartialShape{most, 6}), Type(op.output_type, PartialShape{most, 1}),
          Type(op.output_type, PartialShape{images})};
}

}  // namespace

Types MulticlassNms::infer(InferCtx& ctx) const {
  return infer_selection(ctx, *this, ctx.has(2));
}
void MulticlassNms::eval(EvalCtx& ctx) const {
  eval_selection(ctx, *this, [&](const Candidates& c, int64_t image, int64_t label) {
    std::vector<Selected> kept;
    auto threshold = static_cast<float>(iou_threshold);
    for (const Selected& s : ranked(c, image, label, nms_top_k,
                                    [&](float score) { return score >= static_cast<float>(score_threshold); })) {
      const bool hidden = std::any_of(
          kept.begin(), kept.end(), [&](const Selected& k) { return overlap(s.box, k.box, normalized) >= threshold; });
      if (hidden) continue;
      if (nms_eta < 1 && threshold > 0.5f) threshold *= static_cast<float>(nms_eta);
      kept.push_back(s);
    }
    return kept;
  });
}
Samples MulticlassNms::samples() {
  const Tensor boxes = Tensor::of<float>(
      {1, 6, 4}, {0, 0, 1, 1, 0, 0.1f, 1, 1.1f, 0, -0.1f, 1, 0.9f, 0, 10, 1, 11, 0, 10.1f, 1, 11.1f, 0, 100, 1, 101});
  const Tensor scores =
      Tensor::of<float>({1, 2, 6}, {0.9f, 0.75f, 0.6f, 0.95f, 0.5f, 0.3f, 0.95f, 0.75f, 0.6f, 0.8f, 0.5f, 0.3f});
  MulticlassNms op;
  op.sort_result_type = BoxOrder::score;
  op.iou_threshold = 0.5;
  op.nms_top_k = 3;
  MulticlassNms eta = op;
  eta.iou_threshold = 0.9;
  eta.nms_eta = 0.8;
  eta.background_class = 0;
  MulticlassNms pixels = op;
  pixels.normalized = false;
  pixels.sort_result_across_batch = true;
  pixels.keep_top_k = 2;
  const Tensor own = random_tensor({2, 5, 4}, 3, 0, 1);
  return {sample(op, {boxes, scores},
                 {Tensor::of<float>({4, 6}, {0, 0.95f, 0, 10, 1, 11, 1, 0.95f, 0, 0,  1, 1,
                                             0, 0.9f,  0, 0,  1, 1,  1, 0.8f,  0, 10, 1, 11}),
                  int_tensor({3, 0, 0, 3}).reshaped({4, 1}), int_tensor({4})}),
          sample(eta, {boxes, scores}),
          sample(pixels, {random_tensor({2, 5, 4}, 1, 0, 9), random_tensor({2, 3, 5}, 2, 0, 1)}),
          sample(op, {own, random_tensor({2, 5}, 4, 0, 1), int_tensor({3, 2})})};
}
HONE_DEFINE_OP(MulticlassNms)

Types MatrixNms::infer(InferCtx& ctx) const {
  return infer_selection(ctx, *this, false);
}
void MatrixNms::eval(EvalCtx& ctx) const {
  eval_selection(ctx, *this, [&](const Candidates& c, int64_t image, int64_t label) {
    const auto after = static_cast<float>(post_threshold), sigma = static_cast<float>(gaussian_sigma);
    const std::vector<Selected> v =
        ranked(c, image, label, nms_top_k, [&](float score) { return score > static_cast<float>(score_threshold); });
    std::vector<Selected> kept;
    std::vector<float> covered;  // how much of each candidate those before it cover
    for (size_t i = 0; i < v.size(); ++i) {
      float most = 0, decay = 1;
      for (size_t j = 0; j < i; ++j) {
        const float iou = overlap(v[i].box, v[j].box, normalized), by = covered[j];
        most = std::max(most, iou);
        const float d = decay_function == ScoreDecay::gaussian ? std::exp((by * by - iou * iou) * sigma)
                                                               : (1 - iou) / (1 - by + 1e-10f);
        decay = std::min(decay, d);
      }
      covered.push_back(most);
      Selected s = v[i];
      s.score *= decay;
      if (s.score > after) kept.push_back(s);
    }
    return kept;
  });
}
Samples MatrixNms::samples() {
  const Tensor boxes = Tensor::of<float>(
      {1, 6, 4}, {0, 0, 1, 1, 0, 0.1f, 1, 1.1f, 0, -0.1f, 1, 0.9f, 0, 10, 1, 11, 0, 10.1f, 1, 11.1f, 0, 100, 1, 101});
  const Tensor scores =
      Tensor::of<float>({1, 2, 6}, {0.9f, 0.75f, 0.6f, 0.95f, 0.5f, 0.3f, 0.95f, 0.75f, 0.6f, 0.8f, 0.5f, 0.3f});
  MatrixNms op;
  op.sort_result_type = BoxOrder::score;
  op.nms_top_k = 3;
  op.background_class = 0;
  MatrixNms gaussian = op;
  gaussian.decay_function = ScoreDecay::gaussian;
  gaussian.post_threshold = 0.2;
  gaussian.keep_top_k = 4;
  gaussian.background_class = -1;
  return {sample(op, {boxes, scores},
                 {Tensor::of<float>({3, 6},
                                    {1, 0.95f, 0, 0, 1, 1, 1, 0.8f, 0, 10, 1, 11, 1, 0.13636364f, 0, 0.1f, 1, 1.1f}),
                  int_tensor({0, 3, 1}).reshaped({3, 1}), int_tensor({3})}),
          sample(gaussian, {random_tensor({2, 5, 4}, 1, 0, 9), random_tensor({2, 3, 5}, 2, 0, 1)})};
}
HONE_DEFINE_OP(MatrixNms)

}  // namespace hone
