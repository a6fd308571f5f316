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

// input [B, L, hidden], weights [hidden, 3 * width], bias, mask_index, past [2, B, heads, P, size], attention_bias.
Values attention(NodeContext& n) {
  const int64_t heads = n.i("num_heads");
  if (heads < 1) n.fail("num_heads is out of range");
  if (n.i("do_rotary", 0) || n.has_attribute("qkv_hidden_sizes") || n.has(6))
    n.refuse("with rotary embedding, hidden sizes of their own or shared buffers is not offered");
  Value x = n(MatMul{}, n.in(0), n.in(1));
  if (n.has(2)) x = n(Add{}, x, n.in(2));
  const Value all = n.reshape(x, {0, 0, 3, heads, -1}, true);
  const auto part = [&](int64_t i) { return n.transpose(n.gather(all, n.int_constant(i), 2), {0, 2, 1, 3}); };
  const Value q = part(0);
  Value k = part(1), v = part(2);
  if (n.has(4)) {
    k = n.concat({n.gather(n.in(4), n.int_constant(0), 0), k}, 2);
    v = n.concat({n.gather(n.in(4), n.int_constant(1), 0), v}, 2);
  }
  Core c = core_of(n);
  c.mask = n.opt(3);
  c.bias = n.opt(5);
  return {join_heads(n, attend(n, q, k, v, c)),
          n.wants(1) ? n.concat({n.unsqueeze(k, {0}), n.unsqueeze(v, {0})}, 0) : Value{}};
}

// input [B, L, width] or [B, heads, L, size], position_ids [1] or [B, L], caches [positions, rotary / 2].
Values rotary_embedding(NodeContext& n) {
  const Value in = n.in(0), positions = n.cast(n.in(1), ElementType::i64);
  const bool flat = n.rank(in) == 3, interleaved = n.i("interleaved", 0) != 0;
  if (n.i("is_packed_batching", 0)) n.refuse("with packed batches is not offered");
  const PartialShape cache = n.in(2).shape();
  if (!cache.rank_known() || cache.rank() != 2 || cache[1].is_dynamic())
    n.refuse("needs to know the width of its cache");
  const int64_t half = cache[1].get_length(), rotary = 2 * half, heads = n.i("num_heads", 0);
  if (flat && heads == 0 && n.i("rotary_embedding_dim", 0) > 0) n.fail("num_heads is missing");
  // [B, L, heads, size]
  const Value x = !flat       ? n.transpose(in, {0, 2, 1, 3})
                  : heads > 0 ? n.reshape(in, {0, 0, heads, -1}, true)
                              : n.reshape(in, {0, 0, -1, rotary}, true);
  const Value length = length_of(n, x, 1);
  // One number is where the sequence begins.
  const Value place =
      n.rank(positions) == 1 ? n.unsqueeze(n(Add{}, count(n, length), n.reshape(positions, {})), {0}) : positions;
  const Value cosine = n.unsqueeze(n.gather(n.in(2), place, 0), {2}),
              sine = n.unsqueeze(n.gather(n.in(3), place, 0), {2});
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
  Value y = interleaved ? n.reshape(n.concat({n.unsqueeze(u, {4}), n.unsqueeze(w, {4})}, 4), {0, 0, 0, rotary}, true)
                        : n.concat({u, w}, 3);
  const PartialShape shape = x.shape();
  if (!shape.rank_known() || shape[3].is_dynamic() || shape[3].get_length() != rotary)
    y = n.concat({y, n.slice(x, 3, rotary, std::numeric_limits<int64_t>::max())}, 3);
  return {flat ? n.reshape(y, {0, 0, -1}, true) : n.transpose(y, {0, 2, 1, 3})};
}

constexpr OperatorRow rows[] = {
    {"Attention", 1, attention},
    {"DynamicQuantizeMatMul", 1, dynamic_quantize_matmul},
    {"EmbedLayerNormalization", 1, embed_layer_norm},
    {"FusedConv", 1, fused_conv},
    {"FusedGemm", 1, fused_gemm},
    {"MultiHeadAttention", 1, multi_head_attention},
    {"RotaryEmbedding", 1, rotary_embedding},
};

}  // namespace

std::span<const OperatorRow> microsoft_attention_rows() {
  return rows;
}

}  // namespace hone::onnx
