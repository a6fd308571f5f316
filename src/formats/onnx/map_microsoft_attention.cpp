// Transformer operators of the domain com.microsoft, as the optimizer of ONNX Runtime and its exporters emit them, and
// fused layers.
#include <limits>
#include <utility>

#include "formats/onnx/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/quantize.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

// The mapping of a standard operator, in the newest meaning that its old attributes fit.
Values standard(NodeContext& n, const char* op, int64_t version) {
  const int64_t own = std::exchange(n.version, version);
  const OperatorRow* row = find_row("", op);
  if (!row) n.refuse(std::string("needs ") + op);
  Values out = row->build(n);
  n.version = own;
  return out;
}

Value activated(NodeContext& n, Value y, const std::string& name, const std::vector<float>& p) {
  const auto at = [&](size_t i, double otherwise) { return i < p.size() ? static_cast<double>(p[i]) : otherwise; };
  if (name.empty()) return y;
  if (name == "Relu") return n(Relu{}, y);
  if (name == "Sigmoid") return n(Sigmoid{}, y);
  if (name == "Tanh") return n(Tanh{}, y);
  if (name == "LeakyRelu") return n(PRelu{}, y, n.like(y, at(0, 0.01)));
  if (name == "Clip") return n(Clamp{at(0, -3.4028234663852886e38), at(1, 3.4028234663852886e38)}, y);
  if (name == "HardSigmoid") return n(HardSigmoid{}, y, n.like(y, at(0, 0.2)), n.like(y, at(1, 0.5)));
  n.refuse("with activation '" + name + "' is not offered");
}

// Inputs: x, weights, bias, a residual that is added before the activation.
Values fused_conv(NodeContext& n) {
  Value y = standard(n, "Conv", 11)[0];
  if (n.has(3)) y = n(Add{}, y, n.in(3));
  return {activated(n, y, n.s("activation"), n.floats("activation_params"))};
}
Values fused_gemm(NodeContext& n) {
  std::vector<float> p;
  for (const char* name : {"activation_alpha", "activation_beta"}) {
    if (n.has_attribute(name)) p.push_back(static_cast<float>(n.f(name, 0)));
  }
  return {activated(n, standard(n, "Gemm", 13)[0], n.s("activation"), p)};
}

// The activations are quantized to u8 by their own range, as DynamicQuantizeLinear does.
Values dynamic_quantize_matmul(NodeContext& n) {
  const Values q = standard(n, "DynamicQuantizeLinear", 11);
  const auto centred = [&](Value v, Value zero) {
    v = n.cast(v, ElementType::f32);
    return zero ? n(Subtract{}, v, n.cast(zero, ElementType::f32)) : v;
  };
  const Value a = n(Multiply{}, centred(q[0], q[2]), q[1]), b = n(Multiply{}, centred(n.in(1), n.opt(3)), n.in(2));
  const Value y = n(MatMul{}, a, b);
  return {n.has(4) ? n(Add{}, y, n.in(4)) : y};
}

// Outputs: normalized sum of the embeddings, number of unmasked tokens, the sum itself.
Values embed_layer_norm(NodeContext& n) {
  const Value ids = n.in(0);
  Value sum = n.gather(n.in(2), ids, 0);
  const Value places = n.has(8) ? n.in(8)
                                : n(Range{ElementType::i64}, n.int_constant(0),
                                    n.gather(n.shape_of(ids), n.int_constant(1), 0), n.int_constant(1));
  sum = n(Add{}, sum, n.gather(n.in(3), places, 0));
  if (n.has(1) && n.has(4)) sum = n(Add{}, sum, n.gather(n.in(4), n.in(1), 0));
  const Value y = n(LayerNorm{n.f("epsilon", 1e-12), -1}, sum, n.in(5), n.in(6));
  Value tokens;
  if (n.wants(1)) {
    tokens = n.has(7) ? n(ReduceSum{}, n.cast(n.in(7), ElementType::i32), n.ints_constant({1}))
                      : n(Broadcast{}, n.b.scalar<int32_t>(0), n.dims(ids, 0, 1));
  }
  return {y, tokens, sum};
}

// [B, L, heads * size] -> [B, heads, L, size] and back.
Value split_heads(NodeContext& n, Value v, int64_t heads) {
  return n.transpose(n.reshape(v, {0, 0, heads, -1}, true), {0, 2, 1, 3});
}
Value join_heads(NodeContext& n, Value v) {
  return n.reshape(n.transpose(v, {0, 2, 1, 3}), {0, 0, -1}, true);
}

Value length_of(NodeContext& n, Value v, int64_t axis) {
  return n.gather(n.shape_of(v), n.int_constant(axis), 0);
}
Value count(NodeContext& n, Value end) {
  return n(Range{ElementType::i64}, n.int_constant(0), end, n.int_constant(1));
}

struct Core {
  double scale = 0;  ///< 0: one over the root of the size of a head
  double filter = -10000;
  bool causal = false;
  Value bias;  ///< added to the scores
  Value mask;  ///< numbers that are 0 where a key takes no part: [B], lengths; [B, keys]; [B, queries, keys]
};

// Attention on [B, heads, length, size].
Value attend(NodeContext& n, Value q, Value k, Value v, const Core& c) {
  const Value size = n.cast(length_of(n, q, 3), q.element_type());
  const Value scale = c.scale != 0 ? n.like(q, c.scale) : n(Divide{}, n.like(q, 1), n(Sqrt{}, size));
  Value scores = n(Multiply{}, n(MatMul{false, true}, q, k), scale);
  const auto masked = [&](Value allowed, double otherwise) {
    scores = n(Add{}, scores, n(Select{}, allowed, n.like(q, 0), n.like(q, otherwise)));
  };
  if (c.mask) {
    const Value keys = length_of(n, k, 2);
    const size_t rank = n.rank(c.mask);
    if (rank == 1)
      masked(n(Less{}, n.reshape(count(n, keys), {1, 1, 1, -1}),
               n.reshape(n.cast(c.mask, ElementType::i64), {-1, 1, 1, 1})),
             c.filter);
    else if (rank == 2)
      masked(n.unsqueeze(n.cast(c.mask, ElementType::boolean), {1, 2}), c.filter);
    else if (rank == 3)
      masked(n.unsqueeze(n.cast(c.mask, ElementType::boolean), {1}), c.filter);
    else
      n.refuse("with a mask of rank " + std::to_string(rank) + " is not offered");
  }
  if (c.bias) scores = n(Add{}, scores, c.bias);
  if (c.causal) {
    const Value queries = length_of(n, q, 2), keys = length_of(n, k, 2);
    const Value i = n(Add{}, n.unsqueeze(count(n, queries), {1}), n(Subtract{}, keys, queries));
    masked(n(LessEqual{}, n.unsqueeze(count(n, keys), {0}), i), -std::numeric_limits<float>::infinity());
  }
  return n(MatMul{}, n(Softmax{3}, scores), v);
}

Core core_of(NodeContext& n) {
  Core c;
  c.scale = n.f("scale", 0);
  c.filter = n.f("mask_filter_value", -10000);
  c.causal = n.i("unidirectional", 0) != 0;
  return c;
}

// query, key, value, bias, key_padding_mask, attention_bias, past_key, past_value.
Values multi_head_attention(NodeContext& n) {
  const int64_t heads = n.i("num_heads");
  if (heads < 1) n.fail("num_heads is out of range");
  if (n.num_inputs() > 8 && (n.has(8) || n.has(9))) n.refuse("with shared past buffers is not offered");
  if (!n.has(1) || !n.has(2) || n.rank(n.in(0)) != 3) n.refuse("with packed query, key and value is not offered");
  Value q = n.in(0), k = n.in(1), v = n.in(2);
  if (n.has(3)) {
    // One vector holds the biases of all three.
    const Value width = n.dims(q, 2, 3), wide = n.dims(n.in(3), 0, 1), twice = n(Add{}, width, width),
                zero = n.ints_constant({0}), one = n.ints_constant({1});
    const auto part = [&](Value from, Value to) { return n(Slice{}, n.in(3), from, to, one, n.ints_constant({0})); };
    q = n(Add{}, q, part(zero, width));
    if (n.rank(k) == 3) k = n(Add{}, k, part(width, twice));
    if (n.rank(v) == 3) v = n(Add{}, v, part(twice, wide));
  }
  q = split_heads(n, q, heads);
  if (n.rank(k) == 3) k = split_heads(n, k, heads);
  if (n.rank(v) == 3) v = split_heads(n, v, heads);
  if (n.has(6)) k = n.concat({n.in(6), k}, 2);
  if (n.has(7)) v = n.concat({n.in(7), v}, 2);
  Core c = core_of(n);
  c.mask = n.opt(4);
  c.bias = n.opt(5);
  return {join_heads(n, attend(n, q, k, v, c)), k, v};
}

// Attention of x [B, L, 3 * width] on itself; past [2, B, heads, P, size].
Values self_attention(NodeContext& n, Value x, int64_t heads, Value past, const Core& c) {
  const Value all = n.reshape(x, {0, 0, 3, heads, -1}, true);
  const auto part = [&](int64_t i) { return n.transpose(n.gather(all, n.int_constant(i), 2), {0, 2, 1, 3}); };
  const Value q = part(0);
  Value k = part(1), v = part(2);
  if (past) {
    k = n.concat({n.gather(past, n.int_constant(0), 0), k}, 2);
    v = n.concat({n.gather(past, n.int_constant(1), 0), v}, 2);
  }
  return {join_heads(n, attend(n, q, k, v, c)),
          n.wants(1) ? n.concat({n.unsqueeze(k, {0}), n.unsqueeze(v, {0})}, 0) : Value{}};
}

// input [B, L, hidden], weights [hidden, 3 * width], bias, mask_index, past, attention_bias.
Values attention(NodeContext& n) {
  const int64_t heads = n.i("num_heads");
  if (heads < 1) n.fail("num_heads is out of range");
  if (n.i("do_rotary", 0) || n.has_attribute("qkv_hidden_sizes") || n.has(6))
    n.refuse("with rotary embedding, hidden sizes of their own or shared buffers is not offered");
  Value x = n(MatMul{}, n.in(0), n.in(1));
  if (n.has(2)) x = n(Add{}, x, n.in(2));
  Core c = core_of(n);
  c.mask = n.opt(3);
  c.bias = n.opt(5);
  return self_attention(n, x, heads, n.opt(4), c);
}

// The same on integers: input, weights, bias, scales of both, mask_index, zero points of both, past.
Values quantized_attention(NodeContext& n) {
  const int64_t heads = n.i("num_heads");
  if (heads < 1) n.fail("num_heads is out of range");
  if (n.i("do_rotary", 0) || n.i("past_present_share_buffer", 0))
    n.refuse("with rotary embedding or shared buffers is not offered");
  const auto real = [&](size_t i, Value scale, Value zero, int64_t axis) {
    const bool vector = scale.shape().rank_known() && scale.shape().rank() == 1 && !(scale.shape()[0] == Dimension(1));
    const auto plain = [&](Value v) { return !v || vector ? v : n.reshape(v, {}); };
    const Dequantize d{vector ? axis : 0, ElementType::f32};
    return zero ? n(d, n.in(i), plain(scale), plain(zero)) : n(d, n.in(i), plain(scale));
  };
  const Value x = n(MatMul{}, real(0, n.in(3), n.opt(6), 2), real(1, n.in(4), n.opt(7), 1));
  Core c = core_of(n);
  c.mask = n.opt(5);
  return self_attention(n, n(Add{}, x, n.in(2)), heads, n.opt(8), c);
}

// Pairs of x [B, L, heads, size] turned by the angles of their positions [B or 1, L]; caches [positions, rotary / 2].
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

// input [B, L, width] or [B, heads, L, size], position_ids [1] or [B, L], caches.
Values rotary_embedding(NodeContext& n) {
  const Value in = n.in(0), positions = n.cast(n.in(1), ElementType::i64);
  const bool flat = n.rank(in) == 3;
  if (n.i("is_packed_batching", 0)) n.refuse("with packed batches is not offered");
  const PartialShape cache = n.in(2).shape();
  if (!cache.rank_known() || cache.rank() != 2 || cache[1].is_dynamic())
    n.refuse("needs to know the width of its cache");
  const int64_t rotary = 2 * cache[1].get_length(), heads = n.i("num_heads", 0);
  if (flat && heads == 0 && n.i("rotary_embedding_dim", 0) > 0) n.fail("num_heads is missing");
  // [B, L, heads, size]
  const Value x = !flat       ? n.transpose(in, {0, 2, 1, 3})
                  : heads > 0 ? n.reshape(in, {0, 0, heads, -1}, true)
                              : n.reshape(in, {0, 0, -1, rotary}, true);
  // One number is where the sequence begins.
  const Value place = n.rank(positions) == 1
                          ? n.unsqueeze(n(Add{}, count(n, length_of(n, x, 1)), n.reshape(positions, {})), {0})
                          : positions;
  const Value y = turned(n, x, place, n.in(2), n.in(3), n.i("interleaved", 0) != 0);
  return {flat ? n.reshape(y, {0, 0, -1}, true) : n.transpose(y, {0, 2, 1, 3})};
}

// Each head of [B, heads, L, size] `times` times in a row.
Value repeat_heads(NodeContext& n, Value x, int64_t times, int64_t heads) {
  if (times == 1) return x;
  const Value wide = n(Tile{}, n.unsqueeze(x, {2}), n.ints_constant({1, 1, times, 1, 1}));
  return n(Reshape{}, wide, n.concat({n.dims(x, 0, 1), n.ints_constant({heads}), n.dims(x, 2, 4)}, 0));
}

// query, key, value (or all three in the first), past_key, past_value [B, heads, P, size], seqlens_k [B] (one below the
// number of keys), total length, caches of rotary embedding, positions, bias, sinks, scales of quantized caches (2),
// norms of queries and keys.
Values group_query_attention(NodeContext& n) {
  const int64_t heads = n.i("num_heads"), kv_heads = n.i("kv_num_heads");
  if (heads < 1 || kv_heads < 1 || heads % kv_heads != 0) n.fail("num_heads is no multiple of kv_num_heads");
  if (n.has(12) || n.has(13) || n.s("k_quant_type", "NONE") != "NONE" || n.s("v_quant_type", "NONE") != "NONE")
    n.refuse("with a quantized cache is not offered");
  if (n.i("sliding_window_cache", 0)) n.refuse("with a cache of the window alone is not offered");
  if (n.i("qk_output", 0) || n.wants(3)) n.refuse("with its scores as an output is not offered");
  if (n.has(3) != n.has(4)) n.fail("has a past key or a past value alone");
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
  // Where the new tokens of each sequence begin: behind those that its cache holds.
  const Value length = length_of(n, q, 1),
              total = n.reshape(n(Add{}, n.cast(n.in(5), ElementType::i64), n.int_constant(1)), {-1});
  const Value begin = n(Maximum{}, n(Subtract{}, total, length), n.int_constant(0));        // [B]
  const Value own = n(Add{}, n.unsqueeze(begin, {1}), n.unsqueeze(count(n, length), {0}));  // [B, L]
  if (n.i("do_rotary", 0)) {
    const Value place = n.has(9) ? n.cast(n.in(9), ElementType::i64) : own;
    const bool interleaved = n.i("rotary_interleaved", 0) != 0;
    q = turned(n, q, place, n.in(7), n.in(8), interleaved);
    k = turned(n, k, place, n.in(7), n.in(8), interleaved);
  }
  q = n.transpose(q, {0, 2, 1, 3});
  k = n.transpose(k, {0, 2, 1, 3});
  v = n.transpose(v, {0, 2, 1, 3});
  if (n.has(3)) {
    // The cache grows to the longest sequence; new tokens stand where the old ones of their sequence end.
    const Value wanted = n.reshape(n.cast(n.in(6), ElementType::i64), {});
    const auto grown = [&](Value past, Value fresh) {
      const Value more = n(Maximum{}, n(Subtract{}, wanted, length_of(n, past, 2)), n.int_constant(0));
      const Value shape = n.concat({n.dims(past, 0, 2), n.unsqueeze(more, {0}), n.dims(past, 3, 4)}, 0);
      const Value room = n.concat({past, n(Broadcast{}, n.like(past, 0), shape)}, 2);
      const Value at = n(Broadcast{}, n.unsqueeze(own, {1, 3}), n.shape_of(fresh));
      return n(ScatterElementsUpdate{}, room, at, fresh, n.int_constant(2));
    };
    k = grown(n.in(3), k);
    v = grown(n.in(4), v);
  }
  const Value all_k = repeat_heads(n, k, heads / kv_heads, heads), all_v = repeat_heads(n, v, heads / kv_heads, heads);
  const double given = n.f("scale", 0), softcap = n.f("softcap", 0);
  const Value size = n.cast(length_of(n, q, 3), q.element_type());
  Value scores = n(Multiply{}, n(MatMul{false, true}, q, all_k),
                   given != 0 ? n.like(q, given) : n(Divide{}, n.like(q, 1), n(Sqrt{}, size)));
  if (softcap > 0)
    scores = n(Multiply{}, n(Tanh{}, n(Divide{}, scores, n.like(scores, softcap))), n.like(scores, softcap));
  if (n.has(10)) {
    // Keys behind those that the bias has take no part; nor does it matter what is added to them.
    Value bias = n.in(10);
    const Value keys = length_of(n, k, 2),
                missing = n(Maximum{}, n(Subtract{}, keys, length_of(n, bias, 3)), n.int_constant(0));
    bias = n.concat(
        {bias, n(Broadcast{}, n.like(bias, 0), n.concat({n.dims(bias, 0, 3), n.unsqueeze(missing, {0})}, 0))}, 3);
    scores = n(Add{}, scores, bias);
  }
  const Value i = n.unsqueeze(own, {1, 3}), j = n.reshape(count(n, length_of(n, k, 2)), {1, 1, 1, -1});
  Value allowed = n.i("causal", 1) ? n(LessEqual{}, j, i) : n(Less{}, j, n.reshape(total, {-1, 1, 1, 1}));
  const int64_t window = n.i("local_window_size", -1);
  if (window >= 0) allowed = n(LogicalAnd{}, allowed, n(Less{}, n(Subtract{}, i, j), n.int_constant(window)));
  scores = n(Select{}, allowed, scores, n.like(scores, -std::numeric_limits<float>::infinity()));
  Value weights;
  if (n.has(11) || n.i("smooth_softmax", 0) > 0) {
    // One more score a head, which takes its part and gives nothing.
    Value sink = n.has(11) ? n.reshape(n.in(11), {1, -1, 1, 1}) : n.like(scores, 0);
    sink = n(Broadcast{}, sink, n.concat({n.dims(scores, 0, 3), n.ints_constant({1})}, 0));
    weights = n.slice(n(Softmax{3}, n.concat({scores, sink}, 3)), 3, 0, -1);
  } else {
    weights = n(Softmax{3}, scores);
  }
  return {join_heads(n, n(MatMul{}, weights, all_v)), k, v};
}

// Tokens of all sequences one behind the other: query, key, value [tokens, width] (or [tokens, heads, 3, size] in the
// first), bias, offsets, the tokens before each sequence [B + 1]. Each token sees those of its sequence.
Values packed_multi_head_attention(NodeContext& n) {
  const int64_t heads = n.i("num_heads");
  if (heads < 1) n.fail("num_heads is out of range");
  if (n.has(6)) n.refuse("with an attention bias is not offered");
  Value q = n.in(0), k = n.opt(1), v = n.opt(2);
  const auto heads_first = [&](Value x) {
    return n.unsqueeze(n.transpose(n.reshape(x, {0, heads, -1}, true), {1, 0, 2}), {0});
  };
  if (!k) {
    if (n.has(3)) n.refuse("with packed query, key and value and a bias is not offered");
    const auto part = [&](int64_t at) {
      return n.unsqueeze(n.transpose(n.gather(n.in(0), n.int_constant(at), 2), {1, 0, 2}), {0});
    };
    q = part(0);
    k = part(1);
    v = part(2);
  } else {
    if (n.has(3)) {
      const Value width = n.dims(q, 1, 2), wide = n.dims(n.in(3), 0, 1), twice = n(Add{}, width, width),
                  zero = n.ints_constant({0}), one = n.ints_constant({1});
      const auto part = [&](Value from, Value to) { return n(Slice{}, n.in(3), from, to, one, zero); };
      q = n(Add{}, q, part(zero, width));
      k = n(Add{}, k, part(width, twice));
      v = n(Add{}, v, part(twice, wide));
    }
    q = heads_first(q);
    k = heads_first(k);
    v = heads_first(v);
  }
  const Value token = n.unsqueeze(count(n, length_of(n, q, 2)), {1}),
              ends = n.unsqueeze(n.slice(n.cast(n.in(5), ElementType::i64), 0, 1, std::numeric_limits<int64_t>::max()),
                                 {0});
  const Value sequence =
      n(ReduceSum{false}, n.cast(n(LessEqual{}, ends, token), ElementType::i64), n.ints_constant({1}));  // [tokens]
  const Value size = n.cast(length_of(n, q, 3), q.element_type());
  const double given = n.f("scale", 0);
  const Value scores = n(Multiply{}, n(MatMul{false, true}, q, k),
                         given != 0 ? n.like(q, given) : n(Divide{}, n.like(q, 1), n(Sqrt{}, size)));
  const Value same = n(Equal{}, n.unsqueeze(sequence, {0}), n.unsqueeze(sequence, {1}));
  const Value weights =
      n(Softmax{3}, n(Select{}, same, scores, n.like(scores, -std::numeric_limits<float>::infinity())));
  return {
      n.reshape(n.transpose(n(Squeeze{}, n(MatMul{}, weights, v), n.ints_constant({0})), {1, 0, 2}), {0, -1}, true)};
}

constexpr OperatorRow rows[] = {
    {"Attention", 1, attention},
    {"DynamicQuantizeMatMul", 1, dynamic_quantize_matmul},
    {"EmbedLayerNormalization", 1, embed_layer_norm},
    {"FusedConv", 1, fused_conv},
    {"FusedGemm", 1, fused_gemm},
    {"GroupQueryAttention", 1, group_query_attention},
    {"MultiHeadAttention", 1, multi_head_attention},
    {"PackedMultiHeadAttention", 1, packed_multi_head_attention},
    {"QAttention", 1, quantized_attention},
    {"RotaryEmbedding", 1, rotary_embedding},
};

}  // namespace

std::span<const OperatorRow> microsoft_attention_rows() {
  return rows;
}

}  // namespace hone::onnx
