#include "ops/cached_attention.hpp"

#include <cmath>
#include <limits>
#include <numeric>

#include "ops/activation.hpp"
#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/family.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"

namespace hone {
namespace {

bool is_index(ElementType t) {
  return t == ElementType::i32 || t == ElementType::i64 || t == ElementType::dynamic;
}

// Checks keys or values (input `i`) with their scales (the next one) beside [B, heads, S].
void check_cache(InferCtx& ctx, size_t i) {
  const ElementType e = ctx.element(i);
  ctx.check(e == ElementType::i8 || e == ElementType::dynamic, std::string("has a cache of ") + name_of(e));
  const bool scaled = ctx.has(i + 1);
  const ElementType s = scaled ? ctx.element(i + 1) : ElementType::f32;
  ctx.check(s == ElementType::f32 || s == ElementType::dynamic, std::string("has scales of ") + name_of(s));
  const PartialShape &cache = ctx.shape(i), scales = scaled ? ctx.shape(i + 1) : PartialShape::dynamic();
  ctx.check(!cache.rank_known() || cache.rank() == 4,
            "the cache " + to_string(cache) + " is not [batch, heads, tokens, features]");
  if (!cache.rank_known() || !scales.rank_known()) return;
  bool fits = scales.rank() == 3;
  for (size_t d = 0; d < 3 && fits; ++d) fits = scales[d].compatible(cache[d]);
  ctx.check(fits, "scales " + to_string(scales) + " do not fit the cache " + to_string(cache));
}

void check_count(InferCtx& ctx, size_t i, const PartialShape& x) {
  ctx.check(is_index(ctx.element(i)), std::string("counts tokens in ") + name_of(ctx.element(i)));
  const PartialShape& n = ctx.shape(i);
  const bool one = !n.is_static() || element_count(n.to_shape()) == 1;
  ctx.check(one || !x.rank_known() || (n.rank() == 1 && n[0].compatible(x[0])),
            "the number of tokens " + to_string(n) + " is neither one nor one for each sequence");
}

// The number for sequence b.
int64_t count_at(const Tensor& t, int64_t b) {
  return get_integer(t, t.size() == 1 ? 0 : static_cast<size_t>(b));
}

// Does a static 4-d shape of input i stand in a sensible relation to others? Only the rank is asked here.
const Shape& rank_4(EvalCtx& ctx, size_t i) {
  const Shape& s = ctx.input(i).shape();
  if (s.size() != 4) ctx.fail("input " + std::to_string(i) + " " + to_string(s) + " has no four dimensions");
  return s;
}

}  // namespace

Types CacheUpdate::infer(InferCtx& ctx) const {
  check_cache(ctx, 0);
  const PartialShape &cache = ctx.shape(0), &tokens = ctx.shape(2);
  const ElementType e = ctx.element(2);
  ctx.check(is_float(e) || e == ElementType::dynamic, std::string("takes no tokens of ") + name_of(e));
  if (cache.rank_known() && tokens.rank_known()) {
    bool fits = tokens.rank() == 4;
    for (size_t d : {0, 1, 3}) fits = fits && tokens[d].compatible(cache[d]);
    ctx.check(fits, "tokens " + to_string(tokens) + " do not fit the cache " + to_string(cache));
  }
  check_count(ctx, 3, tokens);
  return {Type(ElementType::i8, cache), Type(ElementType::f32, ctx.shape(1))};
}

void CacheUpdate::eval(EvalCtx& ctx) const {
  const Shape &c = rank_4(ctx, 0), &t = rank_4(ctx, 2);
  const int64_t batch = c[0], heads = c[1], room = c[2], features = c[3], length = t[2];
  if (t[0] != batch || t[1] != heads || t[3] != features || ctx.input(1).shape() != Shape{batch, heads, room})
    ctx.fail("cache " + to_string(c) + ", scales " + to_string(ctx.input(1).shape()) + " and tokens " + to_string(t) +
             " do not fit");
  const Tensor tokens = ctx.input(2).converted(ElementType::f32), cache = ctx.input(0).clone(),
               scales = ctx.input(1).clone();
  auto* to = const_cast<int8_t*>(cache.data<int8_t>());
  auto* scale = const_cast<float*>(scales.data<float>());
  const float* from = tokens.data<float>();
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t first = count_at(ctx.input(3), b);
    if (first < 0 || first > room - length)
      ctx.fail("puts tokens " + std::to_string(first) + " to " + std::to_string(first + length) + " into a cache of " +
               std::to_string(room));
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < length; ++i, from += features) {
        float most = 0;
        for (int64_t k = 0; k < features; ++k) most = std::max(most, std::fabs(from[k]));
        const float inverse = most > 0 ? 127.0f / most : 0.0f;
        const int64_t row = (b * heads + h) * room + first + i;
        scale[row] = most / 127.0f;
        for (int64_t k = 0; k < features; ++k)
          to[row * features + k] = static_cast<int8_t>(std::nearbyint(from[k] * inverse));
      }
    }
  }
  ctx.set_output(0, cache);
  ctx.set_output(1, scales);
}

Samples CacheUpdate::samples() {
  const Tensor cache = random_tensor({2, 1, 4, 3}, 1, -100, 100, ElementType::i8),
               scales = random_tensor({2, 1, 4}, 2, 0.01, 0.1);
  const Tensor tokens = Tensor::of<float>({2, 1, 1, 3}, {0.5f, -2.0f, 1.0f, 0, 0, 0});
  const auto i8 = [](std::initializer_list<int> v) {
    Tensor t(ElementType::i8, {1, 1, 2, 2});
    size_t i = 0;
    for (int x : v) set_integer(t, i++, x);
    return t;
  };
  return {sample(CacheUpdate{}, {cache, scales, tokens, int_tensor({1, 3})}),
          sample(CacheUpdate{}, {cache, scales, random_tensor({2, 1, 3, 3}, 3), int_scalar(1)}),
          // 127 / 2 of each number: 31.75, -127, 63.5 (to the even one)
          sample(CacheUpdate{},
                 {i8({1, 2, 3, 4}), Tensor::of<float>({1, 1, 2}, {0.5f, 0.25f}),
                  Tensor::of<float>({1, 1, 1, 2}, {-2.0f, 1.0f}), int_tensor({1})},
                 {i8({1, 2, -127, 64}), Tensor::of<float>({1, 1, 2}, {0.5f, 2.0f / 127})})};
}
HONE_DEFINE_OP(CacheUpdate)

Types CachedAttention::infer(InferCtx& ctx) const {
  const ElementType e = ctx.element(0);
  ctx.check(is_float(e) || e == ElementType::dynamic, std::string("is not defined on ") + name_of(e));
  check_cache(ctx, 1);
  check_cache(ctx, 3);
  const PartialShape &q = ctx.shape(0), &k = ctx.shape(1), &v = ctx.shape(3);
  ctx.check(!q.rank_known() || q.rank() == 4, "the query " + to_string(q) + " is not [batch, heads, length, features]");
  check_count(ctx, 5, q);
  if (!q.rank_known() || !k.rank_known() || !v.rank_known()) return {Type(e, PartialShape::dynamic())};
  bool fits = q[0].compatible(k[0]) && q[3].compatible(k[3]);
  for (size_t d = 0; d < 3; ++d) fits = fits && k[d].compatible(v[d]);
  if (q[1].is_static() && k[1].is_static())
    fits = fits && k[1].get_length() > 0 && q[1].get_length() % k[1].get_length() == 0;
  ctx.check(fits, "query " + to_string(q) + ", keys " + to_string(k) + " and values " + to_string(v) + " do not fit");
  return {Type(e, PartialShape({q[0], q[1], q[2], v[3]}))};
}

void CachedAttention::eval(EvalCtx& ctx) const {
  const Shape &sq = rank_4(ctx, 0), &sk = rank_4(ctx, 1), &sv = rank_4(ctx, 3);
  const int64_t batch = sq[0], heads = sq[1], length = sq[2], features = sq[3], groups = sk[1], room = sk[2],
                width = sv[3];
  const Shape scales{batch, groups, room};
  if (sk[0] != batch || sk[3] != features || sv[0] != batch || sv[1] != groups || sv[2] != room || groups == 0 ||
      heads % groups != 0 || (ctx.has(2) && ctx.input(2).shape() != scales) ||
      (ctx.has(4) && ctx.input(4).shape() != scales))
    ctx.fail("query " + to_string(sq) + ", keys " + to_string(sk) + " and values " + to_string(sv) + " do not fit");
  const double factor = scale != 0 ? scale : 1 / std::sqrt(static_cast<double>(features));
  const auto q = ctx.input(0).to_doubles();
  const auto *k = ctx.input(1).data<int8_t>(), *v = ctx.input(3).data<int8_t>();
  const auto scale_at = [&](size_t input, int64_t row) {
    return ctx.has(input) ? static_cast<double>(ctx.input(input).data<float>()[row]) : 1.0;
  };
  Tensor y = ctx.output(0, ctx.input(0).element_type(), {batch, heads, length, width});
  std::vector<double> weights(static_cast<size_t>(room));
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t tokens = count_at(ctx.input(5), b);
    const int64_t first = std::max<int64_t>(tokens - length, 0);
    if (tokens < 1 || std::max(tokens, causal ? length : 0) > room)
      ctx.fail("attends to " + std::to_string(tokens) + " tokens in a cache of " + std::to_string(room));
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t row0 = (b * groups + h / (heads / groups)) * room;
      for (int64_t i = 0; i < length; ++i) {
        const int64_t seen = causal ? first + i + 1 : tokens, at = (b * heads + h) * length + i;
        double top = -INFINITY, total = 0;
        for (int64_t j = 0; j < seen; ++j) {
          double s = 0;
          for (int64_t e = 0; e < features; ++e)
            s += q[static_cast<size_t>(at * features + e)] * k[(row0 + j) * features + e];
          weights[static_cast<size_t>(j)] = s *= factor * scale_at(2, row0 + j);
          top = std::max(top, s);
        }
        for (int64_t j = 0; j < seen; ++j)
          total += weights[static_cast<size_t>(j)] = std::exp(weights[static_cast<size_t>(j)] - top);
        for (int64_t e = 0; e < width; ++e) {
          double sum = 0;
          for (int64_t j = 0; j < seen; ++j)
            sum += weights[static_cast<size_t>(j)] * scale_at(4, row0 + j) * v[(row0 + j) * width + e];
          set_element(y, static_cast<size_t>(at * width + e), sum / total);
        }
      }
    }
  }
}

Values CachedAttention::expand(Builder& b, const Values& in) const {
  const auto known = [&](size_t i, size_t axis) {
    const PartialShape& s = in[i].shape();
    if (!s.rank_known() || s[axis].is_dynamic())
      throw Error(ErrorCode::failed, "[CachedAttention] needs to know numbers of heads and features");
    return s[axis].get_length();
  };
  const int64_t heads = known(0, 1), features = known(0, 3), groups = known(1, 1), width = known(3, 3);
  const auto real = [&](Value x, Value s) {
    x = b(Convert{ElementType::f32}, x);
    return s ? b(Multiply{}, x, b(Unsqueeze{}, s, b.ints({3}))) : x;
  };
  const auto is_known = [](Value x, size_t axis) { return x.shape()[axis].is_static(); };
  // Sizes from `lead` on, the last one that of a dimension of x; 0 copies what is there.
  const auto reshape = [&](Value x, std::vector<int64_t> lead, Value of, size_t axis) {
    if (is_known(of, axis)) {
      lead.push_back(of.shape()[axis].get_length());
      return b(Reshape{true}, x, b.ints(std::move(lead)));
    }
    return b(Reshape{true}, x, b(Concat{0}, b.ints(std::move(lead)), dimension_value(b, of, axis)));
  };
  const auto steps = [&](Value x, size_t axis) {
    if (is_known(x, axis)) {
      std::vector<int64_t> n(static_cast<size_t>(x.shape()[axis].get_length()));
      std::iota(n.begin(), n.end(), int64_t{0});
      return b.ints(std::move(n));
    }
    const Value n = b(Squeeze{}, dimension_value(b, x, axis), b.ints({0}));
    return b(Range{ElementType::i64}, b.scalar<int64_t>(0), n, b.scalar<int64_t>(1));
  };
  const Value query = in[0];
  Value q = query.element_type() == ElementType::f32 ? query : b(Convert{ElementType::f32}, query);
  q = b(Multiply{}, q, b.like(q, scale != 0 ? scale : 1 / std::sqrt(static_cast<double>(features))));
  // Heads that share keys lie beside each other: their rows are one matrix.
  q = b(Reshape{true}, q, b.ints({0, groups, -1, features}));
  const Value matrix = b(MatMul{false, true}, q, real(in[1], in[2]));
  const Value scores = reshape(matrix, {0, 0, heads / groups, -1}, in[1], 2);
  const Value tokens = b(Reshape{}, b(Convert{ElementType::i64}, in[5]), b.ints({-1, 1, 1, 1, 1}));
  Value end = tokens;  // of what a row sees
  if (causal) {
    const Value length = dimension_value(b, query, 2),
                first = b(Maximum{}, b(Subtract{}, tokens, length), b.scalar<int64_t>(0));
    const Value own = b(Add{}, steps(query, 2), b.scalar<int64_t>(1));
    end = b(Add{}, first, b(Unsqueeze{}, own, b.ints({1})));
  }
  const Value seen =
      b(Select{}, b(Less{}, steps(in[1], 2), end), scores, b.like(scores, -std::numeric_limits<float>::infinity()));
  const Value weights = reshape(b(Softmax{-1}, seen), {0, 0, -1}, in[1], 2);
  const Value y = b(Reshape{true}, b(MatMul{}, weights, real(in[3], in[4])), b.ints({0, heads, -1, width}));
  return {query.element_type() == ElementType::f32 ? y : b(Convert{query.element_type()}, y)};
}

Samples CachedAttention::samples() {
  const auto cache = [](Shape s, uint64_t seed) {
    return random_tensor(std::move(s), seed, -127, 127, ElementType::i8);
  };
  const auto scales = [](Shape s, uint64_t seed) { return random_tensor(std::move(s), seed, 0.002, 0.02); };
  const auto all = [&](int64_t heads, int64_t length, Tensor tokens) {
    return std::vector<Datum>{random_tensor({2, heads, length, 4}, 1),
                              cache({2, 2, 7, 4}, 2),
                              scales({2, 2, 7}, 3),
                              cache({2, 2, 7, 3}, 4),
                              scales({2, 2, 7}, 5),
                              tokens};
  };
  CachedAttention both_ways;
  both_ways.causal = false;
  both_ways.scale = 0.3;
  auto bare = all(4, 3, int_tensor({2, 7}));
  bare[2] = bare[4] = Datum();
  Tensor keys(ElementType::i8, {1, 1, 3, 1}), values(ElementType::i8, {1, 1, 3, 1});
  for (size_t i = 0; i < 3; ++i) set_integer(values, i, static_cast<int64_t>(10 * (i + 1)));
  return {sample(CachedAttention{}, all(2, 1, int_tensor({5, 7}))), sample(CachedAttention{}, all(4, 3, int_scalar(6))),
          sample(both_ways, all(6, 2, int_tensor({1, 4}))), sample(CachedAttention{0.002}, bare),
          // Equal scores: the mean of two values, 10 * 0.1 and 20 * 0.2; the third one is not there yet.
          sample(CachedAttention{},
                 {Tensor::of<float>({1, 1, 1, 1}, {3.0f}), keys, Tensor::of<float>({1, 1, 3}, {1, 1, 1}), values,
                  Tensor::of<float>({1, 1, 3}, {0.1f, 0.2f, 0.3f}), int_tensor({2})},
                 {Tensor::of<float>({1, 1, 1, 1}, {2.5f})})};
}
HONE_DEFINE_OP(CachedAttention)

}  // namespace hone
