// GroupQueryAttention of the domain com.microsoft: the attention of language models, with its cache of keys and values.
#include <limits>

#include "formats/onnx/mapping.hpp"
#include "formats/onnx/microsoft_attention.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/cached_attention.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace microsoft {

Value split_heads(NodeContext& n, Value v, int64_t heads) {
  return n.transpose(n.reshape(v, {0, 0, heads, -1}, true), {0, 2, 1, 3});
}
Value join_heads(NodeContext& n, Value v) {
  return n.reshape(n.transpose(v, {0, 2, 1, 3}), {0, 0, -1}, true);
}

Value turned(NodeContext& n, Value x, Value place, Value cosines, Value sines, bool interleaved) {
  const PartialShape cache = cosines.shape();
  if (!cache.rank_known() || cache.rank() != 2 || cache[1].is_dynamic())
    n.refuse("needs to know the width of its cache");
  const int64_t half = cache[1].get_length(), rotary = 2 * half;
  const Value cosine = n.unsqueeze(n.gather(cosines, place, 0), {2}),
              sine = n.unsqueeze(n.gather(sines, place, 0), {2});
  const Value turning = n.slice(x, 3, 0, rotary);
  Value a, b;
  if (interleaved) {
    a = n.slice(turning, 3, 0, rotary, 2);
    b = n.slice(turning, 3, 1, rotary, 2);
  } else {
    a = n.slice(turning, 3, 0, half);
    b = n.slice(turning, 3, half, rotary);
  }
  const Value u = n(Subtract{}, n(Multiply{}, a, cosine), n(Multiply{}, b, sine)),
              w = n(Add{}, n(Multiply{}, a, sine), n(Multiply{}, b, cosine));
  const Value y = interleaved
                      ? n.reshape(n.concat({n.unsqueeze(u, {4}), n.unsqueeze(w, {4})}, 4), {0, 0, 0, rotary}, true)
                      : n.concat({u, w}, 3);
  const PartialShape shape = x.shape();
  const bool whole = shape.rank_known() && shape[3].is_static() && shape[3].get_length() == rotary;
  return whole ? y : n.concat({y, n.slice(x, 3, rotary, std::numeric_limits<int64_t>::max())}, 3);
}

Value repeat_heads(NodeContext& n, Value x, int64_t times, int64_t heads) {
  if (times == 1) return x;
  const Value wide = n(Tile{}, n.unsqueeze(x, {2}), n.ints_constant({1, 1, times, 1, 1}));
  return n(Reshape{}, wide, n.concat({n.dims(x, 0, 1), n.ints_constant({heads}), n.dims(x, 2, 4)}, 0));
}

}  // namespace microsoft

namespace {

using namespace microsoft;

constexpr int64_t far = std::numeric_limits<int64_t>::max();

// How a cache keeps numbers: as they are, or in 8 or 4 bits.
class Coding {
 public:
  Coding(NodeContext& n, const char* attribute, size_t past, size_t scale) : n_(n), real_(n.in(0).element_type()) {
    const std::string kind = n.s(attribute, "NONE");
    if (kind == "NONE") {
      if (n.has(scale)) n.fail(std::string("has a scale of its cache, and ") + attribute + " is NONE");
      return;
    }
    if (kind != "PER_TENSOR" && kind != "PER_CHANNEL") n.fail(std::string("unknown ") + attribute + " '" + kind + "'");
    const int64_t bits = n.i("kv_cache_bit_width", 8);
    if (!n.has(past)) n.refuse("with a quantized cache that is absent is not offered: give one that holds no keys");
    stored_ = n.in(past).element_type();
    half_ = bits == 4 && stored_ == ElementType::u8;
    if (!half_ && !(bits == 8 && (stored_ == ElementType::i8 || stored_ == ElementType::f8e4m3)))
      n.refuse(std::string("with a cache of ") + name_of(stored_) + " in " + std::to_string(bits) +
               " bits is not offered");
    // One number, or any form of [heads, size].
    scale_ = n.cast(n.in(scale), ElementType::f32);
    scale_ = n.reshape(scale_, {1, kind == "PER_TENSOR" ? 1 : n.i("kv_num_heads"), 1, -1});
  }

  Value stored(Value x) const {
    if (!scale_) return x;
    x = n_(Divide{}, n_.cast(x, ElementType::f32), scale_);
    if (stored_ == ElementType::f8e4m3) return n_.cast(n_(Clamp{-448, 448}, x), stored_);
    x = n_(Round{}, x);
    if (!half_) return n_.cast(n_(Clamp{-128, 127}, x), stored_);
    // Neighbours share a byte, the first one its low half; 8 stands for zero.
    x = n_(Clamp{-8, 7}, x);
    x = n_(Add{}, x, n_.like(x, 8));
    const Value low = n_.slice(x, 3, 0, far, 2), high = n_.slice(x, 3, 1, far, 2);
    return n_.cast(n_(Add{}, low, n_(Multiply{}, high, n_.like(high, 16))), stored_);
  }

  Value real(Value x) const {
    if (!scale_) return x;
    if (half_) {
      const Value both = n_.cast(x, ElementType::i32), sixteen = n_.like(both, 16), high = n_(Divide{}, both, sixteen),
                  low = n_(Subtract{}, both, n_(Multiply{}, high, sixteen));
      x = n_.reshape(n_.concat({n_.unsqueeze(low, {4}), n_.unsqueeze(high, {4})}, 4), {0, 0, 0, -1}, true);
      x = n_(Subtract{}, x, n_.like(x, 8));
    }
    return n_.cast(n_(Multiply{}, n_.cast(x, ElementType::f32), scale_), real_);
  }

  /// Is it one of bytes, whose scales a query or a result may carry instead?
  bool bytes() const { return scale_ && stored_ == ElementType::i8; }
  /// x [B, heads, L, size] times the scales.
  Value scaled(Value x, int64_t heads, int64_t kv_heads) const {
    const bool whole = scale_.shape()[1].is_static() && scale_.shape()[1].get_length() == 1;
    const Value wide = whole ? scale_ : repeat_heads(n_, scale_, heads / kv_heads, heads);
    return n_.cast(n_(Multiply{}, n_.cast(x, ElementType::f32), wide), real_);
  }

 private:
  NodeContext& n_;
  ElementType real_;
  ElementType stored_ = ElementType::dynamic;
  bool half_ = false;  // two in a byte
  Value scale_;
};

// New tokens: keys and values as the cache keeps them, their positions [B, L], the position of the first one and the
// number of keys behind the last one [B].
struct Fresh {
  Value key, value, own, begin, total;
};

struct Cache {
  Value key, value;                  // [B, kv_heads, keys, size], all that may be attended to
  Value present_key, present_value;  // what the next step gets
  Value place;                       // [B or 1, keys], position of each key in its sequence
  Value resident;                    // [B, keys]; null where each of them is a key
};

// All keys are kept: the cache grows to the longest sequence; new tokens stand where the old ones of their sequence
// end.
Cache whole_cache(NodeContext& n, const Fresh& t) {
  Cache c;
  const auto grown = [&](size_t past, Value fresh) {
    if (!n.has(past)) return fresh;
    const Value wanted = n.reshape(n.cast(n.in(6), ElementType::i64), {});
    const Value more = n(Maximum{}, n(Subtract{}, wanted, n.dim(n.in(past), 2)), n.int_constant(0));
    const Value shape = n.concat({n.dims(n.in(past), 0, 2), n.unsqueeze(more, {0}), n.dims(n.in(past), 3, 4)}, 0);
    const Value room = n.concat({n.in(past), n(Broadcast{}, n.like(fresh, 0), shape)}, 2);
    const Value at = n(Broadcast{}, n.unsqueeze(t.own, {1, 3}), n.shape_of(fresh));
    return n(ScatterElementsUpdate{}, room, at, fresh, n.int_constant(2));
  };
  c.key = c.present_key = grown(3, t.key);
  c.value = c.present_value = grown(4, t.value);
  c.place = n.unsqueeze(n.range(n.dim(c.key, 2)), {0});
  return c;
}

// The cache has room for C keys, at least a window of W: its rows are the last keys of the sequence in their order.
// Where T keys were seen and C of them are too few, the first G * ceil((T - C) / G) leave, with G = C - W + 1.
Cache window_cache(NodeContext& n, const Fresh& t, int64_t window) {
  if (!n.has(3)) n.refuse("with sliding_window_cache and without a cache is not offered");
  const PartialShape& past = n.in(3).shape();
  if (window < 1) n.fail("has sliding_window_cache and no local_window_size");
  if (past.rank_known() && past[2].is_static() && past[2].get_length() < window)
    n.fail("has a cache of " + std::to_string(past[2].get_length()) + " keys for a window of " +
           std::to_string(window));
  const Value capacity = n.dim(n.in(3), 2), group = n(Subtract{}, capacity, n.int_constant(window - 1));
  const auto first_of = [&](Value total) {  // [B, 1]
    const Value over = n(Maximum{}, n(Subtract{}, total, capacity), n.int_constant(0));
    const Value groups = n(Divide{}, n(Add{}, over, n(Subtract{}, group, n.int_constant(1))), group);
    return n.unsqueeze(n(Multiply{}, groups, group), {1});
  };
  const Value row = n.unsqueeze(n.range(capacity), {0}), old_first = first_of(t.begin),
              old_end = n.unsqueeze(t.begin, {1}), old_place = n(Add{}, row, old_first);
  Cache c;
  c.key = n.concat({n.in(3), t.key}, 2);
  c.value = n.concat({n.in(4), t.value}, 2);
  c.place = n.concat({old_place, t.own}, 1);
  c.resident = n.concat({n(Less{}, old_place, old_end), n(Equal{}, t.own, t.own)}, 1);
  // Each row comes from the cache as it was, or from the new tokens behind all of that.
  const Value now = n(Add{}, row, first_of(t.total));
  Value from = n(Select{}, n(Less{}, now, old_end), n(Subtract{}, now, old_first),
                 n(Add{}, n(Subtract{}, now, old_end), capacity));
  const Value last = n(Subtract{}, n.dim(c.key, 2), n.int_constant(1));
  from = n.unsqueeze(n(Minimum{}, from, last), {1, 3});  // rows that hold nothing are left to the implementation
  const auto kept = [&](Value all, Value like) {
    return n(GatherElements{2}, all, n(Broadcast{}, from, n.shape_of(like)));
  };
  c.present_key = kept(c.key, n.in(3));
  c.present_value = kept(c.value, n.in(4));
  return c;
}

// What is added to the scores [B or 1, heads or 1, L, keys]. Its columns are positions; those of keys that take no part
// do not matter.
Value bias_of(NodeContext& n, const Cache& c) {
  const Value bias = n.in(10);
  if (c.resident) {
    const Value columns = n.dim(bias, 3), place = n(Minimum{}, c.place, n(Subtract{}, columns, n.int_constant(1)));
    const Value batch = n.dims(c.place, 0, 1), inner = n.dims(bias, 1, 3);
    const Value wide = n(Broadcast{}, bias, n.concat({batch, inner, n.unsqueeze(columns, {0})}, 0));
    const Value at = n(Broadcast{}, n.unsqueeze(place, {1, 2}), n.concat({batch, inner, n.dims(c.place, 1, 2)}, 0));
    return n(GatherElements{3}, wide, at);
  }
  const Value keys = n.dim(c.key, 2), missing = n(Maximum{}, n(Subtract{}, keys, n.dim(bias, 3)), n.int_constant(0));
  return n.concat({bias, n(Broadcast{}, n.like(bias, 0), n.concat({n.dims(bias, 0, 3), n.unsqueeze(missing, {0})}, 0))},
                  3);
}

// query, key, value (or all three in the first), past_key, past_value [B, heads, P, size], seqlens_k [B] (one below the
// number of keys), total length, caches of rotary embedding, positions, bias, sinks, scales of quantized caches (2),
// norms of queries and keys. Outputs: result, caches, scores.
Values group_query_attention(NodeContext& n) {
  const int64_t heads = n.i("num_heads"), kv_heads = n.i("kv_num_heads");
  if (heads < 1 || kv_heads < 1 || heads % kv_heads != 0) n.fail("num_heads is no multiple of kv_num_heads");
  if (n.has(3) != n.has(4)) n.fail("has a past key or a past value alone");
  const bool causal = n.i("causal", 1) != 0, sliding = n.i("sliding_window_cache", 0) != 0;
  const int64_t window = n.i("local_window_size", -1), shown = n.i("qk_output", 0);
  if (shown < 0 || shown > 2) n.fail("unknown qk_output " + std::to_string(shown));
  if (shown && sliding) n.refuse("with sliding_window_cache and its scores as an output is not offered");
  const Coding key_coding(n, "k_quant_type", 3, 12), value_coding(n, "v_quant_type", 4, 13);
  Value q = n.in(0), k, v;
  if (n.has(1) && n.has(2)) {
    k = n.reshape(n.in(1), {0, 0, kv_heads, -1}, true);
    v = n.reshape(n.in(2), {0, 0, kv_heads, -1}, true);
    q = n.reshape(q, {0, 0, heads, -1}, true);
  } else {
    q = n.reshape(q, {0, 0, heads + 2 * kv_heads, -1}, true);
    k = n.slice(q, 2, heads, heads + kv_heads);
    v = n.slice(q, 2, heads + kv_heads, heads + 2 * kv_heads);
    q = n.slice(q, 2, 0, heads);
  }
  if (n.has(14)) q = n(RMSNorm{n.f("qk_norm_epsilon", 1e-6), -1}, q, n.in(14));
  if (n.has(15)) k = n(RMSNorm{n.f("qk_norm_epsilon", 1e-6), -1}, k, n.in(15));
  Fresh t;
  const Value length = n.dim(q, 1);
  t.total = n.reshape(n(Add{}, n.cast(n.in(5), ElementType::i64), n.int_constant(1)), {-1});
  t.begin = n(Maximum{}, n(Subtract{}, t.total, length), n.int_constant(0));
  t.own = n(Add{}, n.unsqueeze(t.begin, {1}), n.unsqueeze(n.range(length), {0}));
  if (n.i("do_rotary", 0)) {
    const Value place = n.has(9) ? n.cast(n.in(9), ElementType::i64) : t.own;
    const bool interleaved = n.i("rotary_interleaved", 0) != 0;
    q = turned(n, q, place, n.in(7), n.in(8), interleaved);
    k = turned(n, k, place, n.in(7), n.in(8), interleaved);
  }
  q = n.transpose(q, {0, 2, 1, 3});
  t.key = key_coding.stored(n.transpose(k, {0, 2, 1, 3}));
  t.value = value_coding.stored(n.transpose(v, {0, 2, 1, 3}));
  const Cache c = sliding ? window_cache(n, t, window) : whole_cache(n, t);
  const double given = n.f("scale", 0), softcap = n.f("softcap", 0);
  const bool smooth = n.has(11) || n.i("smooth_softmax", 0) > 0;
  if (key_coding.bytes() && value_coding.bytes() && !sliding && window < 0 && softcap <= 0 && !smooth && !n.has(10) &&
      !shown) {
    // Keys and values stay bytes.
    q = key_coding.scaled(q, heads, kv_heads);
    const Value y = n(CachedAttention{given, causal}, q, c.key, Value{}, c.value, Value{}, t.total);
    return {join_heads(n, value_coding.scaled(y, heads, kv_heads)), c.present_key, c.present_value};
  }
  const Value all_k = repeat_heads(n, key_coding.real(c.key), heads / kv_heads, heads),
              all_v = repeat_heads(n, value_coding.real(c.value), heads / kv_heads, heads);
  const Value size = n.cast(n.dim(q, 3), q.element_type());
  Value scores = n(Multiply{}, n(MatMul{false, true}, q, all_k),
                   given != 0 ? n.like(q, given) : n(Divide{}, n.like(q, 1), n(Sqrt{}, size)));
  if (softcap > 0)
    scores = n(Multiply{}, n(Tanh{}, n(Divide{}, scores, n.like(scores, softcap))), n.like(scores, softcap));
  if (n.has(10)) scores = n(Add{}, scores, bias_of(n, c));
  const Value i = n.unsqueeze(t.own, {1, 3}), j = n.unsqueeze(c.place, {1, 2});
  Value allowed = causal ? n(LessEqual{}, j, i) : n(Less{}, j, n.reshape(t.total, {-1, 1, 1, 1}));
  if (window >= 0) allowed = n(LogicalAnd{}, allowed, n(Less{}, n(Subtract{}, i, j), n.int_constant(window)));
  if (c.resident) allowed = n(LogicalAnd{}, allowed, n.unsqueeze(c.resident, {1, 2}));
  const Value masked = n(Select{}, allowed, scores, n.like(scores, -std::numeric_limits<float>::infinity()));
  Value weights;
  if (smooth) {
    // One more score a head, which takes its part and gives nothing.
    Value sink = n.has(11) ? n.reshape(n.in(11), {1, -1, 1, 1}) : n.like(scores, 0);
    sink = n(Broadcast{}, sink, n.concat({n.dims(scores, 0, 3), n.ints_constant({1})}, 0));
    weights = n.slice(n(Softmax{3}, n.concat({masked, sink}, 3)), 3, 0, -1);
  } else {
    weights = n(Softmax{3}, masked);
  }
  Values out{join_heads(n, n(MatMul{}, weights, all_v)), c.present_key, c.present_value};
  if (shown) {
    const Value all = shown == 1 ? n(Select{}, allowed, scores, n.like(scores, 0)) : weights;
    // A cache may have room behind the longest sequence.
    const Value end = n.reshape(n.cast(n.in(6), ElementType::i64), {1});
    out.push_back(n(Slice{}, all, n.ints_constant({0}), end, n.ints_constant({1}), n.ints_constant({3})));
  }
  return out;
}

constexpr OperatorRow rows[] = {
    {"GroupQueryAttention", 1, group_query_attention},
};

}  // namespace

std::span<const OperatorRow> microsoft_group_query_rows() {
  return rows;
}

}  // namespace hone::onnx
