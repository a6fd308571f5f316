// Transformer operators of the domain com.microsoft, as the optimizer of ONNX Runtime and its exporters emit them, and
// fused layers.
#include <limits>
#include <utility>

#include "formats/onnx/integer_products.hpp"
#include "formats/onnx/mapping.hpp"
#include "formats/onnx/microsoft_attention.hpp"
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
namespace microsoft {

Values standard(NodeContext& n, const char* op, int64_t version) {
  const int64_t own = std::exchange(n.version, version);
  const OperatorRow* row = find_row("", op);
  if (!row) n.refuse(std::string("needs ") + op);
  Values out = row->build(n);
  n.version = own;
  return out;
}

}  // namespace microsoft

namespace {

using namespace microsoft;

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
  const Value sums = n.cast(integer_matmul(n, q[0], q[2], n.in(1), n.opt(3)), ElementType::f32);
  const Value y = n(Multiply{}, sums, n(Multiply{}, q[1], n.in(2)));
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

struct Core {
  double scale = 0;  ///< 0: one over the root of the size of a head
  double filter = -10000;
  bool causal = false;
  Value bias;  ///< added to the scores
  Value mask;  ///< numbers that are 0 where a key takes no part: [B, keys]; [B, queries, keys]; or lengths [B], or
               ///< ends and then begins [2 * B]
};
struct Attended {
  Value y, scores;  // what softmax is taken of
};

// Attention on [B, heads, length, size].
Attended attend(NodeContext& n, Value q, Value k, Value v, const Core& c) {
  const Value size = n.cast(n.dim(q, 3), q.element_type());
  const Value scale = c.scale != 0 ? n.like(q, c.scale) : n(Divide{}, n.like(q, 1), n(Sqrt{}, size));
  Value scores = n(Multiply{}, n(MatMul{false, true}, q, k), scale);
  const auto masked = [&](Value allowed, double otherwise) {
    scores = n(Add{}, scores, n(Select{}, allowed, n.like(q, 0), n.like(q, otherwise)));
  };
  if (c.mask) {
    const Value keys = n.dim(k, 2);
    const size_t rank = n.rank(c.mask);
    if (rank == 1) {
      const Value at = n.reshape(n.range(keys), {1, 1, 1, -1}), places = n.cast(c.mask, ElementType::i64);
      const Dimension given = c.mask.shape()[0], batch = q.shape().rank_known() ? q.shape()[0] : Dimension();
      const bool known = given.is_static() && batch.is_static();
      if (known && given.get_length() == 2 * batch.get_length()) {
        const auto part = [&](int64_t from) {
          return n.reshape(n.slice(places, 0, from, from + batch.get_length()), {-1, 1, 1, 1});
        };
        masked(n(LogicalAnd{}, n(Less{}, at, part(0)), n(GreaterEqual{}, at, part(batch.get_length()))), c.filter);
      } else if (known && !(given == batch)) {
        n.refuse("with " + to_string(given) + " places of padding for " + to_string(batch) +
                 " sequences is not offered");
      } else {
        masked(n(Less{}, at, n.reshape(places, {-1, 1, 1, 1})), c.filter);
      }
    } else if (rank == 2)
      masked(n.unsqueeze(n.cast(c.mask, ElementType::boolean), {1, 2}), c.filter);
    else if (rank == 3)
      masked(n.unsqueeze(n.cast(c.mask, ElementType::boolean), {1}), c.filter);
    else
      n.refuse("with a mask of rank " + std::to_string(rank) + " is not offered");
  }
  if (c.bias) scores = n(Add{}, scores, c.bias);
  if (c.causal) {
    const Value queries = n.dim(q, 2), keys = n.dim(k, 2);
    const Value i = n(Add{}, n.unsqueeze(n.range(queries), {1}), n(Subtract{}, keys, queries));
    masked(n(LessEqual{}, n.unsqueeze(n.range(keys), {0}), i), -std::numeric_limits<float>::infinity());
  }
  return {n(MatMul{}, n(Softmax{3}, scores), v), scores};
}

Core core_of(NodeContext& n) {
  Core c;
  c.scale = n.f("scale", 0);
  c.filter = n.f("mask_filter_value", -10000);
  c.causal = n.i("unidirectional", 0) != 0;
  return c;
}

// [B, L, heads, parts, size] -> part `i` as [B, heads, L, size].
Value part_of(NodeContext& n, Value packed, int64_t i) {
  return n.transpose(n.gather(packed, n.int_constant(i), 3), {0, 2, 1, 3});
}

// query, key, value (or query, key and value [B, L, heads, 3, size], or key and value [B, S, heads, 2, size]), bias,
// key_padding_mask, attention_bias, past_key, past_value. Outputs: result, key, value, scores.
Values multi_head_attention(NodeContext& n) {
  const int64_t heads = n.i("num_heads");
  if (heads < 1) n.fail("num_heads is out of range");
  if (n.num_inputs() > 8 && (n.has(8) || n.has(9))) n.refuse("with shared past buffers is not offered");
  Value q = n.in(0), k, v;
  Value bias[3];
  if (n.has(3)) {
    // One vector holds the biases of all three; that of the values may be longer.
    const bool apart = n.rank(q) == 3;
    const Value width = apart ? n.dims(q, 2, 3) : n(Divide{}, n.dims(n.in(3), 0, 1), n.ints_constant({3})),
                wide = n.dims(n.in(3), 0, 1), twice = n(Add{}, width, width), zero = n.ints_constant({0}),
                one = n.ints_constant({1});
    const auto part = [&](Value from, Value to) {
      return n.reshape(n(Slice{}, n.in(3), from, to, one, zero), {heads, 1, -1});
    };
    bias[0] = part(zero, width);
    bias[1] = part(width, twice);
    bias[2] = part(twice, wide);
  }
  const auto with_bias = [&](Value x, size_t i) { return bias[i] ? n(Add{}, x, bias[i]) : x; };
  if (n.rank(q) == 5) {
    k = with_bias(part_of(n, q, 1), 1);
    v = with_bias(part_of(n, q, 2), 2);
    q = with_bias(part_of(n, q, 0), 0);
  } else {
    if (n.rank(q) != 3 || !n.has(1)) n.refuse("without keys is not offered");
    const bool packed = n.rank(n.in(1)) == 5;
    if (!packed && !n.has(2)) n.refuse("without values is not offered");
    q = with_bias(split_heads(n, q, heads), 0);
    const auto heads_of = [&](size_t i) {
      if (packed) return with_bias(part_of(n, n.in(1), static_cast<int64_t>(i) - 1), i);
      return n.rank(n.in(i)) == 3 ? with_bias(split_heads(n, n.in(i), heads), i) : n.in(i);
    };
    k = heads_of(1);
    v = heads_of(2);
  }
  if (n.has(6)) k = n.concat({n.in(6), k}, 2);
  if (n.has(7)) v = n.concat({n.in(7), v}, 2);
  Core c = core_of(n);
  c.mask = n.opt(4);
  c.bias = n.opt(5);
  const Attended a = attend(n, q, k, v, c);
  return {join_heads(n, a.y), k, v, a.scores};
}

// Attention of x [B, L, widths of query, key and value] on itself; past [2, B, heads, P, size].
Values self_attention(NodeContext& n, Value x, int64_t heads, const std::vector<int64_t>& widths, Value past,
                      const Core& c) {
  Value qkv[3];
  if (widths.empty()) {
    const Value all = n.transpose(n.reshape(x, {0, 0, 3, heads, -1}, true), {0, 1, 3, 2, 4});
    for (int64_t i = 0; i < 3; ++i) qkv[i] = part_of(n, all, i);
  } else {
    int64_t begin = 0;
    for (size_t i = 0; i < 3; ++i) {
      qkv[i] = split_heads(n, n.slice(x, 2, begin, begin + widths[i]), heads);
      begin += widths[i];
    }
  }
  if (past) {
    for (int64_t i : {1, 2}) qkv[i] = n.concat({n.gather(past, n.int_constant(i - 1), 0), qkv[i]}, 2);
  }
  return {join_heads(n, attend(n, qkv[0], qkv[1], qkv[2], c).y),
          n.wants(1) ? n.concat({n.unsqueeze(qkv[1], {0}), n.unsqueeze(qkv[2], {0})}, 0) : Value{}};
}

// input [B, L, hidden], weights [hidden, widths of query, key and value], bias, mask_index, past, attention_bias.
Values attention(NodeContext& n) {
  const int64_t heads = n.i("num_heads");
  if (heads < 1) n.fail("num_heads is out of range");
  if (n.i("do_rotary", 0) || n.has(6)) n.refuse("with rotary embedding or shared buffers is not offered");
  const std::vector<int64_t> widths = n.ints("qkv_hidden_sizes");
  for (int64_t w : widths) {
    if (widths.size() != 3 || w < 1 || w % heads != 0) n.fail("qkv_hidden_sizes are not 3 multiples of num_heads");
  }
  Value x = n(MatMul{}, n.in(0), n.in(1));
  if (n.has(2)) x = n(Add{}, x, n.in(2));
  Core c = core_of(n);
  c.mask = n.opt(3);
  c.bias = n.opt(5);
  return self_attention(n, x, heads, widths, n.opt(4), c);
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
  return self_attention(n, n(Add{}, x, n.in(2)), heads, {}, n.opt(8), c);
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
  const Value place =
      n.rank(positions) == 1 ? n.unsqueeze(n(Add{}, n.range(n.dim(x, 1)), n.reshape(positions, {})), {0}) : positions;
  const Value y = turned(n, x, place, n.in(2), n.in(3), n.i("interleaved", 0) != 0);
  return {flat ? n.reshape(y, {0, 0, -1}, true) : n.transpose(y, {0, 2, 1, 3})};
}

// Tokens of all sequences one behind the other, each of which sees those of its own. q, k, v [1, heads, tokens, size];
// `before` [B + 1], the tokens before each sequence; `bias` [B or 1, heads or 1, L, L] by places in a sequence.
Value packed_attention_of(NodeContext& n, Value q, Value k, Value v, Value before, Value bias) {
  before = n.cast(before, ElementType::i64);
  const Value token = n.range(n.dim(q, 2)),
              ends = n.unsqueeze(n.slice(before, 0, 1, std::numeric_limits<int64_t>::max()), {0});
  const Value sequence = n(ReduceSum{false}, n.cast(n(LessEqual{}, ends, n.unsqueeze(token, {1})), ElementType::i64),
                           n.ints_constant({1}));  // [tokens]
  const Value size = n.cast(n.dim(q, 3), q.element_type());
  const double given = n.f("scale", 0);
  Value scores = n(Multiply{}, n(MatMul{false, true}, q, k),
                   given != 0 ? n.like(q, given) : n(Divide{}, n.like(q, 1), n(Sqrt{}, size)));
  if (bias) {
    // Tokens of different sequences do not see each other: what is added there does not matter.
    const Value place = n(Subtract{}, token, n.gather(before, sequence, 0)), tokens = n.dim(q, 2);
    const Value square = n.concat({n.unsqueeze(tokens, {0}), n.unsqueeze(tokens, {0}), n.ints_constant({1})}, 0);
    const auto spread = [&](Value x, int64_t axis) { return n(Broadcast{}, n.unsqueeze(x, {axis, 2}), square); };
    const Value batch = n(Minimum{}, sequence, n(Subtract{}, n.dim(bias, 0), n.int_constant(1)));
    const Value at = n.concat({spread(batch, 1), spread(place, 1), spread(place, 0)}, 2);
    const Value picked = n(GatherND{}, n.transpose(bias, {0, 2, 3, 1}), at);  // [tokens, tokens, heads or 1]
    scores = n(Add{}, scores, n.unsqueeze(n.transpose(picked, {2, 0, 1}), {0}));
  }
  const Value same = n(Equal{}, n.unsqueeze(sequence, {0}), n.unsqueeze(sequence, {1}));
  const Value weights =
      n(Softmax{3}, n(Select{}, same, scores, n.like(scores, -std::numeric_limits<float>::infinity())));
  const Value y = n.transpose(n(Squeeze{}, n(MatMul{}, weights, v), n.ints_constant({0})), {1, 0, 2});
  return n.reshape(y, {0, -1}, true);
}

// query, key, value [tokens, width] (or [tokens, heads, 3, size] in the first), bias, offsets, tokens before each
// sequence, attention_bias.
Values packed_multi_head_attention(NodeContext& n) {
  const int64_t heads = n.i("num_heads");
  if (heads < 1) n.fail("num_heads is out of range");
  Value qkv[3] = {n.in(0), n.opt(1), n.opt(2)};
  const bool packed = !n.has(1);
  for (int64_t i = 0; i < 3; ++i) {  // [heads, tokens, size]
    qkv[i] = packed ? n.transpose(n.gather(n.in(0), n.int_constant(i), 2), {1, 0, 2})
                    : n.transpose(n.reshape(n.in(static_cast<size_t>(i)), {0, heads, -1}, true), {1, 0, 2});
  }
  if (n.has(3)) {
    const auto width = [&](Value x) { return n(Multiply{}, n.dims(x, 0, 1), n.dims(x, 2, 3)); };
    const Value zero = n.ints_constant({0}), one = n.ints_constant({1});
    Value begin = zero;
    for (Value& x : qkv) {
      const Value end = n(Add{}, begin, width(x));
      x = n(Add{}, x, n.reshape(n(Slice{}, n.in(3), begin, end, one, zero), {heads, 1, -1}));
      begin = end;
    }
  }
  for (Value& x : qkv) x = n.unsqueeze(x, {0});
  return {packed_attention_of(n, qkv[0], qkv[1], qkv[2], n.in(5), n.opt(6))};
}

// input [tokens, hidden], weights [hidden, widths of query, key and value], bias, offsets, tokens before each sequence,
// attention_bias.
Values packed_attention(NodeContext& n) {
  const int64_t heads = n.i("num_heads");
  if (heads < 1) n.fail("num_heads is out of range");
  const Value x = n(Add{}, n(MatMul{}, n.in(0), n.in(1)), n.in(2));
  std::vector<int64_t> widths = n.ints("qkv_hidden_sizes");
  if (widths.empty()) {
    const PartialShape& w = n.in(1).shape();
    if (!w.rank_known() || w.rank() != 2 || w[1].is_dynamic()) n.refuse("needs to know the shape of its weights");
    widths.assign(3, w[1].get_length() / 3);
  }
  if (widths.size() != 3) n.fail("qkv_hidden_sizes are not 3 numbers");
  for (int64_t w : widths) {
    if (w < 1 || w > 1 << 30) n.fail("qkv_hidden_sizes are out of range");
  }
  Value qkv[3];
  int64_t begin = 0;
  for (size_t i = 0; i < 3; ++i) {
    const Value part = n.reshape(n.slice(x, 1, begin, begin + widths[i]), {0, heads, -1}, true);
    qkv[i] = n.unsqueeze(n.transpose(part, {1, 0, 2}), {0});
    begin += widths[i];
  }
  return {packed_attention_of(n, qkv[0], qkv[1], qkv[2], n.in(4), n.opt(5))};
}

constexpr OperatorRow rows[] = {
    {"Attention", 1, attention},
    {"DynamicQuantizeMatMul", 1, dynamic_quantize_matmul},
    {"EmbedLayerNormalization", 1, embed_layer_norm},
    {"FusedConv", 1, fused_conv},
    {"FusedGemm", 1, fused_gemm},
    {"MultiHeadAttention", 1, multi_head_attention},
    {"PackedAttention", 1, packed_attention},
    {"PackedMultiHeadAttention", 1, packed_multi_head_attention},
    {"QAttention", 1, quantized_attention},
    {"RotaryEmbedding", 1, rotary_embedding},
};

}  // namespace

std::span<const OperatorRow> microsoft_attention_rows() {
  return rows;
}

}  // namespace hone::onnx
