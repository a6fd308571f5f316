#include "ops/attention.hpp"

#include <cmath>

#include "ops/activation.hpp"
#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/unary.hpp"

namespace hone {
namespace {

template <class S>
S batch_of(const S& dims) {
  return S(dims.begin(), dims.end() - 2);
}

}  // namespace

Types ScaledDotProductAttention::infer(InferCtx& ctx) const {
  const ElementType e = ctx.element(0);
  ctx.check(is_float(e) || e == ElementType::dynamic, std::string("is not defined on ") + name_of(e));
  PartialShape batch{};
  const PartialShape* in[3];
  for (size_t i = 0; i < 3; ++i) {
    in[i] = &ctx.shape(i);
    const ElementType other = ctx.element(i);
    ctx.check(other == e || other == ElementType::dynamic || e == ElementType::dynamic,
              "query, key and value differ in element type");
    ctx.check(!in[i]->rank_known() || in[i]->rank() >= 2,
              "input " + std::to_string(i) + " " + to_string(*in[i]) + " is not [..., length, features]");
  }
  const PartialShape &q = *in[0], &k = *in[1], &v = *in[2];
  if (!q.rank_known() || !k.rank_known() || !v.rank_known()) return {Type(e, PartialShape::dynamic())};
  ctx.check(q[q.rank() - 1].compatible(k[k.rank() - 1]),
            "query " + to_string(q) + " and key " + to_string(k) + " differ in features");
  ctx.check(k[k.rank() - 2].compatible(v[v.rank() - 2]),
            "key " + to_string(k) + " and value " + to_string(v) + " differ in length");
  try {
    batch = PartialShape(batch_of(q.dims()));
    for (size_t i = 1; i < 3; ++i) batch = broadcast(batch, PartialShape(batch_of(in[i]->dims())));
    auto scores = batch.dims();
    scores.push_back(q[q.rank() - 2]);
    scores.push_back(k[k.rank() - 2]);
    if (ctx.has(3) && !causal && ctx.shape(3).rank_known()) broadcast(PartialShape(scores), ctx.shape(3));
  } catch (const Error&) {
    ctx.fail("query " + to_string(q) + ", key " + to_string(k) + ", value " + to_string(v) +
             " and mask cannot be broadcast");
  }
  auto out = batch.dims();
  out.push_back(q[q.rank() - 2]);
  out.push_back(v[v.rank() - 1]);
  return {Type(e, PartialShape(std::move(out)))};
}

void ScaledDotProductAttention::eval(EvalCtx& ctx) const {
  const Tensor &q = ctx.input(0), &k = ctx.input(1), &v = ctx.input(2);
  for (size_t i = 0; i < 3; ++i) {
    if (ctx.input(i).rank() < 2 || ctx.input(i).element_type() != q.element_type())
      ctx.fail("query, key and value do not fit");
  }
  const auto length = q.shape()[q.rank() - 2], features = q.shape().back(), keys = k.shape()[k.rank() - 2],
             width = v.shape().back();
  if (k.shape().back() != features || v.shape()[v.rank() - 2] != keys) {
    ctx.fail("query " + to_string(q.shape()) + ", key " + to_string(k.shape()) + " and value " + to_string(v.shape()) +
             " do not fit");
  }
  const Shape batch_q = batch_of(q.shape()), batch_k = batch_of(k.shape()), batch_v = batch_of(v.shape());
  const Shape batch = broadcast(broadcast(batch_q, batch_k), batch_v);
  Shape scores_shape = batch, y_shape = batch;
  scores_shape.insert(scores_shape.end(), {length, keys});
  y_shape.insert(y_shape.end(), {length, width});
  const bool masked = ctx.has(3) && !causal;
  std::vector<int64_t> mask_strides(scores_shape.size(), 0);
  std::vector<double> mask;
  if (masked) {
    const Tensor& m = ctx.input(3);
    if (broadcast(scores_shape, m.shape()) != scores_shape)
      ctx.fail("mask " + to_string(m.shape()) + " does not fit " + to_string(scores_shape));
    mask_strides = broadcast_strides(m.shape(), scores_shape);
    mask = m.to_doubles();
    if (m.element_type() == ElementType::boolean) {
      for (double& x : mask) x = x != 0 ? 0 : -INFINITY;
    }
  }
  double scale = 1 / std::sqrt(static_cast<double>(features));
  if (ctx.has(4)) {
    if (ctx.input(4).size() != 1) ctx.fail("the scale is not one number");
    scale = get_element(ctx.input(4), 0);
  }
  Tensor y = ctx.output(0, q.element_type(), y_shape);
  if (y.size() == 0) return;
  // One row of the walk per combination of batch indices.
  Shape rows = batch;
  rows.push_back(1);
  std::vector<int64_t> strides[4] = {broadcast_strides(batch_q, batch), broadcast_strides(batch_k, batch),
                                     broadcast_strides(batch_v, batch),
                                     std::vector<int64_t>(mask_strides.begin(), mask_strides.end() - 2)};
  for (auto& s : strides) s.push_back(0);
  const int64_t mask_row = mask_strides[mask_strides.size() - 2], mask_column = mask_strides.back();
  with_float_type(ctx, q.element_type(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<double> weights(static_cast<size_t>(keys)), sums(static_cast<size_t>(width));
    for_each_row(rows, strides, [&](size_t r, const int64_t* offset) {
      const T *pq = q.data<T>() + offset[0] * length * features, *pk = k.data<T>() + offset[1] * keys * features,
              *pv = v.data<T>() + offset[2] * keys * width;
      T* py = y.data<T>() + static_cast<int64_t>(r) * length * width;
      for (int64_t i = 0; i < length; ++i) {
        const int64_t seen = causal ? std::min(keys, i + 1) : keys;
        double top = -INFINITY, total = 0;
        for (int64_t j = 0; j < seen; ++j) {
          double s = 0;
          for (int64_t e = 0; e < features; ++e)
            s += static_cast<double>(pq[i * features + e]) * static_cast<double>(pk[j * features + e]);
          s *= scale;
          if (masked) s += mask[static_cast<size_t>(offset[3] + i * mask_row + j * mask_column)];
          weights[static_cast<size_t>(j)] = s;
          top = std::max(top, s);
        }
        for (int64_t j = 0; j < seen; ++j)
          total += weights[static_cast<size_t>(j)] = std::exp(weights[static_cast<size_t>(j)] - top);
        std::fill(sums.begin(), sums.end(), 0);
        for (int64_t j = 0; j < seen; ++j) {
          for (int64_t e = 0; e < width; ++e)
            sums[static_cast<size_t>(e)] += weights[static_cast<size_t>(j)] * static_cast<double>(pv[j * width + e]);
        }
        for (int64_t e = 0; e < width; ++e) py[i * width + e] = static_cast<T>(sums[static_cast<size_t>(e)] / total);
      }
    });
  });
}

Values ScaledDotProductAttention::expand(Builder& b, const Values& in) const {
  const Value q = in[0], k = in[1], v = in[2], mask = in.size() > 3 ? in[3] : Value{};
  if (!q.shape().rank_known() || !k.shape().rank_known())
    throw Error(ErrorCode::failed, "[ScaledDotProductAttention] needs inputs of known rank");
  const size_t rq = q.shape().rank(), rk = k.shape().rank();
  Value scale = in.size() > 4 ? in[4] : Value{};
  if (!scale) {
    const Dimension features = q.shape()[rq - 1];
    if (features.is_static())
      scale = b.like(q, 1 / std::sqrt(static_cast<double>(features.get_length())));
    else
      scale = b(Divide{}, b.like(q, 1), b(Sqrt{}, b(Convert{q.element_type()}, dimension_value(b, q, rq - 1))));
  }
  Value scores = b(MatMul{false, true}, b(Multiply{}, q, scale), k);
  const auto keep = [&](Value condition) { return b(Select{}, condition, scores, b.like(scores, -INFINITY)); };
  if (causal) {
    const auto positions = [&](Value x, size_t axis) {
      const Value n = b(Squeeze{}, dimension_value(b, x, axis), b.ints({0}));
      return b(Range{ElementType::i64}, b.scalar<int64_t>(0), n, b.scalar<int64_t>(1));
    };
    scores = keep(b(LessEqual{}, positions(k, rk - 2), b(Unsqueeze{}, positions(q, rq - 2), b.ints({1}))));
  } else if (mask) {
    scores = mask.element_type() == ElementType::boolean ? keep(mask) : b(Add{}, scores, mask);
  }
  return {b(MatMul{}, b(Softmax{-1}, scores), v)};
}

Samples ScaledDotProductAttention::samples() {
  const std::vector<Datum> qkv{random_tensor({2, 3, 4}, 1), random_tensor({2, 5, 4}, 2), random_tensor({2, 5, 3}, 3)};
  const auto with = [&](Datum mask, Datum scale = {}) {
    auto in = qkv;
    in.push_back(std::move(mask));
    if (!scale.is_none()) in.push_back(std::move(scale));
    return in;
  };
  // Expected values from OpenVINO 2026.4.
  return {sample(ScaledDotProductAttention{}, qkv,
                 {Tensor::of<float>(
                     {2, 3, 3}, {-0.26078936f, 0.16407688f, 0.27756849f, -0.30955189f, 0.15713361f, 0.26857424f,
                                 -0.40467229f, 0.16850448f, 0.24441391f, 0.062500238f, 0.22321585f, -0.13395792f,
                                 0.010064729f, 0.24542136f, -0.056646168f, 0.10174531f, 0.24484298f, -0.15969841f})}),
          sample(ScaledDotProductAttention{true}, qkv,
                 {Tensor::of<float>(
                     {2, 3, 3}, {-0.7730993f, 0.40058702f, 0.22594936f, -0.8119989f, -0.063188992f, 0.24823232f,
                                 -0.78028429f, 0.26217204f, 0.1478364f, 0.59778053f, -0.38789165f, -0.79218918f,
                                 -0.22775926f, -0.016003394f, 0.15160845f, 0.54658949f, 0.0047651529f, -0.52192545f})}),
          sample(ScaledDotProductAttention{}, with(random_tensor({3, 5}, 4), float_scalar(0.7f))),
          sample(ScaledDotProductAttention{}, with(random_tensor({2, 1, 5}, 4))),
          sample(ScaledDotProductAttention{}, with(Tensor::of<bool>({1, 5}, {true, false, true, true, false}))),
          sample(ScaledDotProductAttention{},
                 {random_tensor({2, 3, 2, 4}, 1), random_tensor({2, 1, 5, 4}, 2), random_tensor({1, 3, 5, 2}, 3)})};
}
HONE_DEFINE_OP(ScaledDotProductAttention)

}  // namespace hone
