#include "ops/strided_attention.hpp"

#include <algorithm>
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/family.hpp"

namespace hone {
namespace {

int64_t count_of(const std::vector<int64_t>& dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

// A quantizer of `levels`, or nothing where there is none of that number.
class Rounding {
 public:
  Rounding(const std::vector<double>& levels, size_t number) {
    if (levels.size() < 3 * (number + 1)) return;
    step_ = levels[3 * number];
    low_ = levels[3 * number + 1];
    high_ = levels[3 * number + 2];
  }
  double operator()(double x) const {
    return step_ == 0 ? x : std::clamp(std::nearbyint(x / step_), low_, high_) * step_;
  }

 private:
  double step_ = 0, low_ = 0, high_ = 0;
};

}  // namespace

Types StridedAttention::infer(InferCtx& ctx) const {
  const ElementType e = ctx.element(0);
  ctx.check(is_float(e) || e == ElementType::dynamic, std::string("is not defined on ") + name_of(e));
  ctx.check(sizes.size() == 4, "sizes are not four");
  const std::vector<int64_t>* places[] = {&query, &key, &value};
  for (size_t i = 0; i < 3; ++i) {
    ctx.check(ctx.element(i) == e, "query, key and value differ in element type");
    const PartialShape& s = ctx.shape(i);
    if (!s.is_static()) continue;
    const int64_t rows = i == 0 ? sizes[0] : sizes[1], columns = i == 2 ? sizes[3] : sizes[2];
    ctx.check(attention_offsets(*this, *places[i], rows, columns, element_count(s.to_shape())).has_value(),
              "a matrix lies outside of input " + std::to_string(i) + " " + to_string(s));
  }
  for (int64_t d : shape) ctx.check(d >= 0, "the shape is negative");
  ctx.check(attention_offsets(*this, result, sizes[0], sizes[3], count_of(shape)).has_value() &&
                count_of(shape) == count_of(batch) * sizes[0] * sizes[3],
            "the result does not fit its shape");
  for (size_t i : {3, 4}) {
    if (!ctx.has(i) || !ctx.shape(i).is_static()) continue;
    Shape scores = batch;
    scores.insert(scores.end(), {sizes[0], sizes[1]});
    ctx.check(ctx.shape(i).rank() <= scores.size() &&
                  broadcast(PartialShape(scores), ctx.shape(i)).compatible(PartialShape(scores)),
              "the mask " + to_string(ctx.shape(i)) + " does not fit");
  }
  ctx.check(levels.empty() || levels.size() == 12 || levels.size() == 15, "the quantizers are not four or five");
  for (size_t i = 0; i < levels.size(); i += 3) {
    ctx.check(levels[i] > 0 && std::isfinite(levels[i]) && levels[i + 1] <= levels[i + 2], "a quantizer has no levels");
  }
  return {Type(e, PartialShape(shape))};
}

void StridedAttention::eval(EvalCtx& ctx) const {
  if (sizes.size() != 4) ctx.fail("sizes are not four");
  const int64_t rows = sizes[0], keys = sizes[1], features = sizes[2], width = sizes[3];
  const auto offsets = [&](const std::vector<int64_t>& place, int64_t n, int64_t columns, int64_t elements) {
    auto at = attention_offsets(*this, place, n, columns, elements);
    if (!at) ctx.fail("a matrix lies outside of its tensor");
    return *at;
  };
  const auto size = [&](size_t i) { return static_cast<int64_t>(ctx.input(i).size()); };
  const auto q_at = offsets(query, rows, features, size(0)), k_at = offsets(key, keys, features, size(1)),
             v_at = offsets(value, keys, width, size(2)), y_at = offsets(result, rows, width, count_of(shape));
  const auto rounded = [&](size_t input) {
    auto values = ctx.input(input).to_doubles();
    const Rounding round(levels, input);
    for (double& x : values) x = round(x);
    return values;
  };
  const auto q = rounded(0), k = rounded(1), v = rounded(2);
  const Rounding round_weight(levels, 3), round_score(levels, 4);
  Shape scores = batch;
  scores.insert(scores.end(), {rows, keys});
  std::vector<double> mask[2];
  std::vector<int64_t> strides[2];
  for (size_t i = 0; i < 2; ++i) {
    strides[i].assign(scores.size(), 0);
    if (!ctx.has(3 + i)) continue;
    const Tensor& m = ctx.input(3 + i);
    if (m.rank() > scores.size() || broadcast(scores, m.shape()) != scores) ctx.fail("the mask does not fit");
    strides[i] = broadcast_strides(m.shape(), scores);
    mask[i] = m.to_doubles();
  }
  Tensor y = ctx.output(0, ctx.input(0).element_type(), shape);
  std::vector<double> weights(static_cast<size_t>(keys));
  for (size_t m = 0; m < q_at.size(); ++m) {
    int64_t mask_at[2] = {0, 0}, rest = static_cast<int64_t>(m);
    for (size_t i = batch.size(); i-- > 0;) {
      for (size_t w = 0; w < 2; ++w) mask_at[w] += rest % batch[i] * strides[w][i];
      rest /= batch[i];
    }
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t seen = causal ? std::min(keys, i + 1) : keys;
      double top = -INFINITY, total = 0;
      for (int64_t j = 0; j < seen; ++j) {
        double s = 0;
        for (int64_t e = 0; e < features; ++e) {
          s += q[static_cast<size_t>(q_at[m] + i * query.back() + e)] *
               k[static_cast<size_t>(k_at[m] + j * key.back() + e)];
        }
        s *= scale;
        const auto masked = [&](size_t w) {
          const int64_t at = mask_at[w] + i * strides[w][batch.size()] + j * strides[w][batch.size() + 1];
          return mask[w].empty() ? 0 : mask[w][static_cast<size_t>(at)];
        };
        s = round_score(s + masked(0)) + masked(1);
        weights[static_cast<size_t>(j)] = s;
        top = std::isnan(s) ? s : std::max(top, s);
      }
      for (int64_t j = 0; j < seen; ++j)
        total += weights[static_cast<size_t>(j)] = std::exp(weights[static_cast<size_t>(j)] - top);
      for (int64_t j = 0; j < seen; ++j)
        weights[static_cast<size_t>(j)] = round_weight(weights[static_cast<size_t>(j)] / total);
      for (int64_t e = 0; e < width; ++e) {
        double sum = 0;
        for (int64_t j = 0; j < seen; ++j)
          sum += weights[static_cast<size_t>(j)] * v[static_cast<size_t>(v_at[m] + j * value.back() + e)];
        const bool empty = zero_empty_rows && !(total > 0);
        set_element(y, static_cast<size_t>(y_at[m] + i * result.back() + e), empty ? 0 : sum);
      }
    }
  }
}

Samples StridedAttention::samples() {
  // Two heads of three features side by side in rows of a joint tensor [L, Q K V].
  StridedAttention joint;
  joint.batch = {2};
  joint.sizes = {4, 4, 3, 3};
  joint.query = {0, 3, 18};
  joint.key = {6, 3, 18};
  joint.value = {12, 3, 18};
  joint.result = {0, 3, 6};
  joint.shape = {4, 2, 3};
  joint.scale = 0.5;
  const Tensor qkv = random_tensor({4, 18}, 1);
  StridedAttention causal = joint;
  causal.causal = true;
  StridedAttention empty = joint;
  empty.zero_empty_rows = true;
  StridedAttention rounded = joint;
  rounded.levels = {1.0 / 64, -128,      127, 1.0 / 64, -100,     155,  1.0 / 64, -128,
                    127,      1.0 / 255, 0,   255,      1.0 / 32, -128, 127};
  const float inf = INFINITY;
  return {sample(joint, {qkv, qkv, qkv}), sample(joint, {qkv, qkv, qkv, random_tensor({2, 1, 4}, 2)}),
          sample(causal, {qkv, qkv, qkv}),
          sample(rounded, {qkv, qkv, qkv, random_tensor({4, 4}, 3), random_tensor({2, 1, 4}, 2)}),
          sample(empty, {qkv, qkv, qkv, Tensor::of<float>({2, 1, 4}, {-inf, -inf, -inf, -inf, 0, -inf, 1, 2})})};
}
HONE_DEFINE_OP(StridedAttention)

}  // namespace hone
