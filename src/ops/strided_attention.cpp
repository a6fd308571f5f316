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
  if (ctx.has(3) && ctx.shape(3).is_static()) {
    Shape scores = batch;
    scores.insert(scores.end(), {sizes[0], sizes[1]});
    ctx.check(ctx.shape(3).rank() <= scores.size() &&
                  broadcast(PartialShape(scores), ctx.shape(3)).compatible(PartialShape(scores)),
              "the mask " + to_string(ctx.shape(3)) + " does not fit");
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
  const auto q = ctx.input(0).to_doubles(), k = ctx.input(1).to_doubles(), v = ctx.input(2).to_doubles();
  Shape scores = batch;
  scores.insert(scores.end(), {rows, keys});
  std::vector<double> mask;
  std::vector<int64_t> strides(scores.size(), 0);
  if (ctx.has(3)) {
    const Tensor& m = ctx.input(3);
    if (m.rank() > scores.size() || broadcast(scores, m.shape()) != scores) ctx.fail("the mask does not fit");
    strides = broadcast_strides(m.shape(), scores);
    mask = m.to_doubles();
  }
  Tensor y = ctx.output(0, ctx.input(0).element_type(), shape);
  std::vector<double> weights(static_cast<size_t>(keys));
  for (size_t m = 0; m < q_at.size(); ++m) {
    int64_t mask_at = 0, rest = static_cast<int64_t>(m);
    for (size_t i = batch.size(); i-- > 0;) {
      mask_at += rest % batch[i] * strides[i];
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
        if (!mask.empty())
          s += mask[static_cast<size_t>(mask_at + i * strides[batch.size()] + j * strides[batch.size() + 1])];
        weights[static_cast<size_t>(j)] = s;
        top = std::isnan(s) ? s : std::max(top, s);
      }
      for (int64_t j = 0; j < seen; ++j)
        total += weights[static_cast<size_t>(j)] = std::exp(weights[static_cast<size_t>(j)] - top);
      for (int64_t e = 0; e < width; ++e) {
        double sum = 0;
        for (int64_t j = 0; j < seen; ++j)
          sum += weights[static_cast<size_t>(j)] * v[static_cast<size_t>(v_at[m] + j * value.back() + e)];
        const bool empty = zero_empty_rows && !(total > 0);
        set_element(y, static_cast<size_t>(y_at[m] + i * result.back() + e), empty ? 0 : sum / total);
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
  const float inf = INFINITY;
  return {sample(joint, {qkv, qkv, qkv}), sample(joint, {qkv, qkv, qkv, random_tensor({2, 1, 4}, 2)}),
          sample(causal, {qkv, qkv, qkv}),
          sample(empty, {qkv, qkv, qkv, Tensor::of<float>({2, 1, 4}, {-inf, -inf, -inf, -inf, 0, -inf, 1, 2})})};
}
HONE_DEFINE_OP(StridedAttention)

}  // namespace hone
