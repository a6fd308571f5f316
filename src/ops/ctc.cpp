#include "ops/ctc.hpp"

#include <algorithm>
#include <cmath>

#include "ops/family.hpp"

namespace hone {
namespace {

size_t best(const float* p, size_t n) {
  return static_cast<size_t>(std::max_element(p, p + n) - p);
}

double log_sum(double a, double b) {
  if (a < b) std::swap(a, b);
  return std::isinf(b) ? a : a + std::log1p(std::exp(b - a));
}

// Lengths of an input, each at most `most`.
std::vector<int64_t> lengths_of(EvalCtx& ctx, size_t input, int64_t count, int64_t most) {
  const auto v = ctx.input(input).to_ints();
  if (static_cast<int64_t>(v.size()) != count)
    ctx.fail("lengths " + to_string(ctx.input(input).shape()) + " for " + std::to_string(count) + " sequences");
  for (int64_t n : v) {
    if (n < 0 || n > most) ctx.fail("a length of " + std::to_string(n) + " for " + std::to_string(most) + " steps");
  }
  return v;
}

int64_t blank_of(EvalCtx& ctx, size_t input, int64_t classes) {
  if (!ctx.has(input)) return classes - 1;
  if (ctx.input(input).size() != 1) ctx.fail("the number of the blank is not one number");
  return get_integer(ctx.input(input), 0);
}

void check_index(const InferCtx& ctx, ElementType t) {
  ctx.check(t == ElementType::i64 || t == ElementType::i32, std::string("indices of type ") + name_of(t));
}

}  // namespace

Types CTCGreedyDecoder::infer(InferCtx& ctx) const {
  const PartialShape &x = ctx.shape(0), &mask = ctx.shape(1);
  ctx.check(!x.rank_known() || x.rank() == 3, "scores " + to_string(x) + " are not [T, N, C]");
  ctx.check(!mask.rank_known() || mask.rank() == 2, "mask " + to_string(mask) + " is not [T, N]");
  if (x.rank_known() && mask.rank_known())
    ctx.check(x[0].compatible(mask[0]) && x[1].compatible(mask[1]),
              "scores " + to_string(x) + " and mask " + to_string(mask) + " do not fit");
  return {Type(ctx.element(0), x.rank_known() ? PartialShape{x[1], x[0], 1, 1} : PartialShape::dynamic(4))};
}
void CTCGreedyDecoder::eval(EvalCtx& ctx) const {
  const Tensor x = ctx.input(0).converted(ElementType::f32);
  const Tensor& mask = ctx.input(1);
  const Shape& s = x.shape();
  if (s.size() != 3 || s[2] < 1 || mask.shape() != Shape{s[0], s[1]})
    ctx.fail("scores " + to_string(s) + " and mask " + to_string(mask.shape()) + " do not fit");
  Tensor y = ctx.output(0, ElementType::f32, {s[1], s[0], 1, 1});
  std::fill_n(y.data<float>(), y.size(), -1.0f);
  const auto classes = static_cast<size_t>(s[2]);
  for (int64_t n = 0; n < s[1]; ++n) {
    float* to = y.data<float>() + n * s[0];
    size_t before = classes;
    for (int64_t t = 0; t < s[0] && get_element(mask, static_cast<size_t>(t * s[1] + n)) != 0; ++t) {
      const size_t c = best(x.data<float>() + (t * s[1] + n) * s[2], classes);
      if (c + 1 < classes && !(ctc_merge_repeated && c == before)) *to++ = static_cast<float>(c);
      before = c;
    }
  }
}
Samples CTCGreedyDecoder::samples() {
  const Tensor x = Tensor::of<float>({4, 1, 3},
                                     {0.1f, 0.8f, 0.1f, 0.1f, 0.8f, 0.1f, 0.1f, 0.1f, 0.8f, 0.6f, 0.3f, 0.1f}),
               mask = Tensor::of<float>({4, 1}, {1, 1, 1, 1});
  return {sample(CTCGreedyDecoder{}, {x, mask}, {Tensor::of<float>({1, 4, 1, 1}, {1, 0, -1, -1})}),
          sample(CTCGreedyDecoder{false}, {x, mask}, {Tensor::of<float>({1, 4, 1, 1}, {1, 1, 0, -1})}),
          sample(CTCGreedyDecoder{},
                 {random_tensor({5, 2, 3}, 1), Tensor::of<float>({5, 2}, {1, 1, 1, 1, 1, 1, 1, 0, 1, 0})})};
}
HONE_DEFINE_OP(CTCGreedyDecoder)

Types CTCGreedyDecoderSeqLen::infer(InferCtx& ctx) const {
  const PartialShape &x = ctx.shape(0), &lengths = ctx.shape(1);
  check_index(ctx, classes_index_type);
  check_index(ctx, sequence_length_type);
  ctx.check(!x.rank_known() || x.rank() == 3, "scores " + to_string(x) + " are not [N, T, C]");
  ctx.check(lengths.compatible(PartialShape{x.rank_known() ? x[0] : Dimension()}),
            "lengths " + to_string(lengths) + " for scores " + to_string(x));
  const PartialShape classes = x.rank_known() ? PartialShape{x[0], x[1]} : PartialShape::dynamic(2);
  return {Type(classes_index_type, classes),
          Type(sequence_length_type, PartialShape{x.rank_known() ? x[0] : Dimension()})};
}
void CTCGreedyDecoderSeqLen::eval(EvalCtx& ctx) const {
  const Tensor x = ctx.input(0).converted(ElementType::f32);
  const Shape& s = x.shape();
  if (s.size() != 3 || s[2] < 1) ctx.fail("scores " + to_string(s) + " are not [N, T, C]");
  const auto lengths = lengths_of(ctx, 1, s[0], s[1]);
  const int64_t blank = blank_of(ctx, 2, s[2]);
  Tensor y = ctx.output(0, classes_index_type, {s[0], s[1]}), counts = ctx.output(1, sequence_length_type, {s[0]});
  for (size_t i = 0; i < y.size(); ++i) set_integer(y, i, -1);
  for (int64_t n = 0; n < s[0]; ++n) {
    int64_t count = 0, before = -1;
    for (int64_t t = 0; t < lengths[static_cast<size_t>(n)]; ++t) {
      const auto c = static_cast<int64_t>(best(x.data<float>() + (n * s[1] + t) * s[2], static_cast<size_t>(s[2])));
      if (c != blank && !(merge_repeated && c == before)) set_integer(y, static_cast<size_t>(n * s[1] + count++), c);
      before = c;
    }
    set_integer(counts, static_cast<size_t>(n), count);
  }
}
Samples CTCGreedyDecoderSeqLen::samples() {
  const Tensor x =
      Tensor::of<float>({1, 4, 3}, {0.1f, 0.8f, 0.1f, 0.1f, 0.8f, 0.1f, 0.1f, 0.1f, 0.8f, 0.6f, 0.3f, 0.1f});
  const auto ints = [](Shape s, std::initializer_list<int32_t> v) { return Tensor::of<int32_t>(std::move(s), v); };
  return {sample(CTCGreedyDecoderSeqLen{}, {x, ints({1}, {4})}, {ints({1, 4}, {1, 0, -1, -1}), ints({1}, {2})}),
          sample(CTCGreedyDecoderSeqLen{false, ElementType::i64, ElementType::i64}, {x, ints({1}, {3}), ints({1}, {0})},
                 {Tensor::of<int64_t>({1, 4}, {1, 1, 2, -1}), int_tensor({3})})};
}
HONE_DEFINE_OP(CTCGreedyDecoderSeqLen)

Types CTCLoss::infer(InferCtx& ctx) const {
  const PartialShape &x = ctx.shape(0), &labels = ctx.shape(2);
  ctx.check(!x.rank_known() || x.rank() == 3, "logits " + to_string(x) + " are not [N, T, C]");
  ctx.check(!labels.rank_known() || labels.rank() == 2, "labels " + to_string(labels) + " are not [N, T]");
  const Dimension n = x.rank_known() ? x[0] : Dimension();
  for (size_t i : {1, 3})
    ctx.check(ctx.shape(i).compatible(PartialShape{n}),
              "lengths " + to_string(ctx.shape(i)) + " for logits " + to_string(x));
  return {Type(ctx.element(0), PartialShape{n})};
}
void CTCLoss::eval(EvalCtx& ctx) const {
  const Tensor x = ctx.input(0).converted(ElementType::f64);
  const Shape &s = x.shape(), &l = ctx.input(2).shape();
  if (s.size() != 3 || s[2] < 1 || l.size() != 2 || l[0] != s[0])
    ctx.fail("logits " + to_string(s) + " and labels " + to_string(l) + " do not fit");
  const auto steps = lengths_of(ctx, 1, s[0], s[1]), label_counts = lengths_of(ctx, 3, s[0], l[1]);
  const auto labels = ctx.input(2).to_ints();
  const int64_t blank = blank_of(ctx, 4, s[2]);
  if (blank < 0 || blank >= s[2])
    ctx.fail("blank " + std::to_string(blank) + " of " + std::to_string(s[2]) + " classes");
  Tensor y = ctx.output(0, ElementType::f64, {s[0]});
  for (int64_t n = 0; n < s[0]; ++n) {
    // The labels with a blank before, between and behind them.
    std::vector<int64_t> target;
    for (int64_t i = 0; i < label_counts[static_cast<size_t>(n)]; ++i) {
      const int64_t c = labels[static_cast<size_t>(n * l[1] + i)];
      if (c < 0 || c >= s[2]) ctx.fail("label " + std::to_string(c) + " of " + std::to_string(s[2]) + " classes");
      if (unique && std::find(target.begin(), target.end(), c) != target.end()) continue;
      if (preprocess_collapse_repeated && !target.empty() && target.back() == c) continue;
      target.push_back(c);
    }
    std::vector<int64_t> states{blank};
    for (int64_t c : target) states.insert(states.end(), {c, blank});
    // alpha[i]: log of the probability of all ways to be in state i after the steps so far.
    std::vector<double> alpha(states.size(), -INFINITY), next;
    for (int64_t t = 0; t < steps[static_cast<size_t>(n)]; ++t) {
      const double* p = x.data<double>() + (n * s[1] + t) * s[2];
      const double top = *std::max_element(p, p + s[2]);
      double sum = 0;
      for (int64_t c = 0; c < s[2]; ++c) sum += std::exp(p[c] - top);
      const double norm = top + std::log(sum);
      next.assign(states.size(), -INFINITY);
      for (size_t i = 0; i < states.size(); ++i) {
        const bool is_blank = i % 2 == 0;
        double a = -INFINITY;
        if (t == 0) {
          if (i < 2) a = 0;
        } else {
          // A label stays the same label only where repeats are merged; labels may follow each other without a blank
          // where they can be told apart.
          if (is_blank || ctc_merge_repeated) a = alpha[i];
          if (i >= 1) a = log_sum(a, alpha[i - 1]);
          if (!is_blank && i >= 3 && (!ctc_merge_repeated || states[i] != states[i - 2])) a = log_sum(a, alpha[i - 2]);
        }
        next[i] = a + p[states[i]] - norm;
      }
      alpha.swap(next);
    }
    double total = alpha.back();
    if (states.size() > 1) total = log_sum(total, alpha[states.size() - 2]);
    if (steps[static_cast<size_t>(n)] == 0) total = target.empty() ? 0 : -INFINITY;
    y.data<double>()[n] = -total;
  }
}
Samples CTCLoss::samples() {
  const auto ints = [](Shape s, std::initializer_list<int32_t> v) { return Tensor::of<int32_t>(std::move(s), v); };
  // Two steps, three classes of equal probability 1/3: label 0 comes of 00, 0-, -0 (merged) or 0-, -0 alone.
  const Tensor even = Tensor(ElementType::f32, {1, 2, 3});
  const Tensor x = random_tensor({2, 4, 3}, 1, -2, 2), labels = ints({2, 4}, {0, 1, 0, 0, 1, 1, 0, 0});
  const std::vector<Datum> in{x, ints({2}, {4, 3}), labels, ints({2}, {2, 2}), ints({}, {2})};
  return {sample(CTCLoss{}, {even, ints({1}, {2}), ints({1, 2}, {0, 0}), ints({1}, {1})},
                 {Tensor::of<float>({1}, {1.0986123f})}),
          sample(CTCLoss{false, false}, {even, ints({1}, {2}), ints({1, 2}, {0, 0}), ints({1}, {1})},
                 {Tensor::of<float>({1}, {1.5040774f})}),
          sample(CTCLoss{}, in), sample(CTCLoss{true, true}, in), sample(CTCLoss{false, true, true}, in)};
}
HONE_DEFINE_OP(CTCLoss)

}  // namespace hone
