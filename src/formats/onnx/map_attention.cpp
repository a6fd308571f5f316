// Attention and what stands around it in transformers.
#include <cmath>
#include <limits>

#include "formats/onnx/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/attention.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/control.hpp"
#include "ops/convolution.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// [B, L, heads * size] -> [B, heads, L, size].
Value split_heads(NodeContext& n, Value x, int64_t heads) {
  if (heads < 1) n.fail("needs the number of heads for inputs of rank 3");
  return n.transpose(n.reshape(x, {0, 0, heads, -1}, true), {0, 2, 1, 3});
}
Value join_heads(NodeContext& n, Value x) {
  return n.reshape(n.transpose(x, {0, 2, 1, 3}), {0, 0, -1}, true);
}

// Each head of [B, H, S, E] `times` times in a row.
Value repeat_heads(NodeContext& n, Value x, int64_t times) {
  if (times == 1) return x;
  const Value s = n.shape_of(x);
  const Value wide = n(Tile{}, n.unsqueeze(x, {2}), n.ints_constant({1, 1, times, 1, 1}));
  return n(Reshape{}, wide, n.concat({n.slice(s, 0, 0, 1), n.ints_constant({-1}), n.slice(s, 0, 2, 4)}, 0));
}

int64_t heads_of(NodeContext& n, Value x, const char* attribute) {
  const int64_t given = n.i(attribute, 0);
  if (n.rank(x) == 3) return given;
  if (n.rank(x) != 4 || x.shape()[1].is_dynamic()) n.refuse("needs to know the number of heads");
  return x.shape()[1].get_length();
}

Value dimension(NodeContext& n, Value x, int64_t axis) {
  return n.gather(n.shape_of(x), n.int_constant(axis), 0);
}
Value count(NodeContext& n, Value to) {
  return n(Range{ElementType::i64}, n.int_constant(0), to, n.int_constant(1));
}

// Softmax over the last axis that gives zeros, not NaN, where everything is masked.
Value masked_softmax(NodeContext& n, Value x, Value bias) {
  if (!bias) return n(Softmax{-1}, x);
  const Value last = n.ints_constant({-1});
  const Value top = n(ReduceMax{true}, x, last),
              safe = n(Select{}, n(Equal{}, top, n.like(top, -infinity)), n.like(top, 0), top);
  const Value e = n(Exp{}, n(Subtract{}, x, safe)), sum = n(ReduceSum{true}, e, last);
  const Value y = n(Divide{}, e, n(Select{}, n(Equal{}, sum, n.like(sum, 0)), n.like(sum, 1), sum));
  const Value empty = n(Equal{}, n(ReduceMax{true}, bias, last), n.like(bias, -infinity));
  return n(Select{}, empty, n.like(y, 0), y);
}

Values attention(NodeContext& n) {
  const Value q_in = n.in(0), k_in = n.in(1), v_in = n.in(2);
  const bool flat = n.rank(q_in) == 3;
  const int64_t q_heads = heads_of(n, q_in, "q_num_heads"), kv_heads = heads_of(n, k_in, "kv_num_heads");
  Value q = flat ? split_heads(n, q_in, q_heads) : q_in, k = flat ? split_heads(n, k_in, kv_heads) : k_in,
        v = flat ? split_heads(n, v_in, kv_heads) : v_in;
  const Value past_key = n.opt(4), past_value = n.opt(5), nonpad = n.opt(6);
  if (past_key) k = n.concat({past_key, k}, 2);
  if (past_value) v = n.concat({past_value, v}, 2);
  const Value present_key = k, present_value = v;
  if (kv_heads < 1 || q_heads % kv_heads != 0) n.fail("the number of query heads is no multiple of that of the keys");
  k = repeat_heads(n, k, q_heads / kv_heads);
  v = repeat_heads(n, v, q_heads / kv_heads);
  const bool causal = n.i("is_causal", 0) != 0;
  const double softcap = n.f("softcap", 0);
  const int64_t left = n.i("left_window_size", -1), right = n.i("right_window_size", -1);
  const Value size = n.cast(dimension(n, q, 3), q.element_type());
  const Value scale =
      n.has_attribute("scale") ? n.like(q, n.f("scale", 1)) : n(Divide{}, n.like(q, 1), n(Sqrt{}, size));
  Value mask = n.opt(3);
  if (!mask && !past_key && !nonpad && softcap == 0 && left < 0 && right < 0 && !n.wants(3)) {
    const Value y = n(ScaledDotProductAttention{causal}, q, k, v, Value{}, scale);
    return {flat ? join_heads(n, y) : y, present_key, present_value};
  }
  const Value length = dimension(n, q, 2), keys = dimension(n, k, 2);
  Value bias;
  auto add = [&](Value b) { bias = bias ? n(Add{}, bias, b) : b; };
  auto masked = [&](Value allowed) { return n(Select{}, allowed, n.like(q, 0), n.like(q, -infinity)); };
  if (mask) {
    if (mask.element_type() == ElementType::boolean) mask = masked(mask);
    const PartialShape &m = mask.shape(), &ks = k.shape();
    const bool fits = m.rank_known() && ks.rank_known() && m[m.rank() - 1].same(ks[2]);
    if (!fits) {  // keys beyond the mask take no part
      const auto rank = n.rank(mask);
      Values end(rank, n.ints_constant({0}));
      end.back() = n.unsqueeze(n(Maximum{}, n(Subtract{}, keys, dimension(n, mask, -1)), n.int_constant(0)), {0});
      mask = n(Pad{PadMode::constant}, mask, n.ints_constant(std::vector<int64_t>(rank, 0)), n.concat(end, 0),
               n.like(mask, -infinity));
    }
    add(mask);
  }
  const Value j = n.unsqueeze(count(n, keys), {0});
  if (causal || left >= 0 || right >= 0) {
    Value i = n.unsqueeze(count(n, length), {1});
    if (nonpad && !past_key)
      i = n(Add{}, i, n.reshape(n(Subtract{}, n.cast(nonpad, ElementType::i64), length), {-1, 1, 1, 1}));
    else if (past_key)
      i = n(Add{}, i, dimension(n, past_key, 2));
    if (causal) add(masked(n(LessEqual{}, j, i)));
    if (left >= 0) add(masked(n(LessEqual{}, n(Subtract{}, i, j), n.int_constant(left))));
    if (right >= 0) add(masked(n(LessEqual{}, n(Subtract{}, j, i), n.int_constant(right))));
  }
  if (nonpad) add(masked(n(Less{}, j, n.reshape(n.cast(nonpad, ElementType::i64), {-1, 1, 1, 1}))));
  const Value root = n(Sqrt{}, scale);
  Value scores = n(MatMul{false, true}, n(Multiply{}, q, root), n(Multiply{}, k, root));
  if (softcap > 0)
    scores = n(Multiply{}, n(Tanh{}, n(Divide{}, scores, n.like(scores, softcap))), n.like(scores, softcap));
  Value shown = scores;
  const int64_t mode = n.i("qk_matmul_output_mode", 0);
  Value biased = bias ? n(Add{}, scores, bias) : scores;
  if (mode == 2) shown = biased;
  if (n.i("softmax_precision", 0)) biased = n.cast(biased, element_type_of_onnx(n.i("softmax_precision")));
  const Value weights =
      n.cast(masked_softmax(n, biased, bias ? n.cast(bias, biased.element_type()) : Value{}), q.element_type());
  if (mode == 3) shown = weights;
  const Value y = n(MatMul{}, weights, v);
  return {flat ? join_heads(n, y) : y, present_key, present_value, shown};
}

Values rotary_embedding(NodeContext& n) {
  const Value in = n.in(0);
  Value cosine = n.in(1), sine = n.in(2);
  const bool flat = n.rank(in) == 3;
  // [B, L, heads, size]
  const Value x = flat ? n.reshape(in, {0, 0, n.i("num_heads"), -1}, true) : n.transpose(in, {0, 2, 1, 3});
  int64_t dims = n.i("rotary_embedding_dim", 0);
  if (dims == 0) {
    if (x.shape()[3].is_dynamic()) n.refuse("needs to know the size of a head");
    dims = x.shape()[3].get_length();
  }
  if (n.has(3)) {
    cosine = n.gather(cosine, n.in(3), 0);
    sine = n.gather(sine, n.in(3), 0);
  }
  cosine = n.unsqueeze(cosine, {2});
  sine = n.unsqueeze(sine, {2});
  constexpr int64_t far = std::numeric_limits<int32_t>::max();
  const Value turned = n.slice(x, 3, 0, dims), rest = n.slice(x, 3, dims, far);
  const bool interleaved = n.i("interleaved", 0) != 0;
  const Value a = interleaved ? n.slice(turned, 3, 0, far, 2) : n.slice(turned, 3, 0, dims / 2);
  const Value b = interleaved ? n.slice(turned, 3, 1, far, 2) : n.slice(turned, 3, dims / 2, dims);
  const Value real = n(Subtract{}, n(Multiply{}, cosine, a), n(Multiply{}, sine, b));
  const Value imaginary = n(Add{}, n(Multiply{}, sine, a), n(Multiply{}, cosine, b));
  const Value joined =
      interleaved ? n(Reshape{}, n.concat({n.unsqueeze(real, {4}), n.unsqueeze(imaginary, {4})}, 4), n.shape_of(turned))
                  : n.concat({real, imaginary}, 3);
  const Value y = n.concat({joined, rest}, 3);
  return {flat ? n(Reshape{}, y, n.shape_of(in)) : n.transpose(y, {0, 2, 1, 3})};
}

// state = state * exp(decay) + k (x) v', with v' = beta * (v - state k) for the delta rules; y = scale * q state. Step
// by step in f32.
Values linear_attention(NodeContext& n) {
  const std::string rule = n.s("update_rule", "gated_delta");
  const bool gated = rule == "gated" || rule == "gated_delta", delta = rule == "delta" || rule == "gated_delta";
  if (!gated && !delta && rule != "linear") n.fail("unknown update_rule '" + rule + "'");
  const int64_t q_heads = n.i("q_num_heads"), kv_heads = n.i("kv_num_heads");
  if (kv_heads < 1 || q_heads % kv_heads != 0) n.fail("q_num_heads is no multiple of kv_num_heads");
  auto unpacked = [&](Value x, int64_t heads) {
    return n.cast(split_heads(n, x, heads), ElementType::f32);
  };  // [B, H, T, D]
  const Value q = unpacked(n.in(0), q_heads), k = unpacked(n.in(1), kv_heads), v = unpacked(n.in(2), kv_heads);
  Value decay, beta;
  if (gated) decay = unpacked(n.in(4), kv_heads);
  if (delta) {
    const PartialShape& s = n.in(5).shape();
    if (n.rank(n.in(5)) != 3 || s[2].is_dynamic()) n.refuse("needs to know the last size of beta");
    beta = unpacked(n.in(5), s[2].get_length());
  }
  const ElementType state_type = n.has(3) ? n.in(3).element_type() : n.in(0).element_type();
  Value state;
  if (n.has(3)) {
    state = n.cast(n.in(3), ElementType::f32);
  } else {
    const Value ks = n.shape_of(k);
    state = n(Broadcast{}, n.b.scalar<float>(0),
              n.concat({n.slice(ks, 0, 0, 2), n.slice(ks, 0, 3, 4), n.dims(v, 3, 4)}, 0));
  }
  auto region = std::make_shared<Graph>();
  Builder b(*region);
  auto op = [&](auto o, const Values& in) {
    const OpDef* def = find_op(decltype(o)::name);
    if (!def) n.refuse(std::string("needs operator ") + decltype(o)::name + ", which this build lacks");
    return b.add(*def, std::make_shared<decltype(o)>(o), in).output(0);
  };
  const Value step = b.parameter(Type(ElementType::i64, PartialShape(Shape{})));
  b.parameter(Type(ElementType::boolean, PartialShape(Shape{})));
  Value s = b.parameter(state.type());
  Values outer{dimension(n, q, 2), n.b.scalar<bool>(true), state};
  auto now = [&](Value whole) {  // [B, H, D] of this step
    if (!whole) return whole;
    outer.push_back(whole);
    return op(Gather{}, {b.parameter(whole.type()), step, b.scalar<int64_t>(2)});
  };
  const Value qt = now(q), kt = now(k);
  Value vt = now(v);
  const Value gt = now(decay), bt = now(beta);
  if (gt) s = op(Multiply{}, {s, op(Unsqueeze{}, {op(Exp{}, {gt}), b.ints({3})})});
  if (bt) {
    const Value seen = op(Squeeze{}, {op(MatMul{}, {op(Unsqueeze{}, {kt, b.ints({2})}), s}), b.ints({2})});
    vt = op(Multiply{}, {bt, op(Subtract{}, {vt, seen})});
  }
  s = op(Add{}, {s, op(Multiply{}, {op(Unsqueeze{}, {kt, b.ints({3})}), op(Unsqueeze{}, {vt, b.ints({2})})})});
  Value read = s;
  if (q_heads != kv_heads) {
    const Value wide = op(Tile{}, {op(Unsqueeze{}, {s, b.ints({2})}), b.ints({1, 1, q_heads / kv_heads, 1, 1})});
    const Value shape = op(ShapeOf{}, {s});
    auto part = [&](int64_t from, int64_t to) {
      return op(Slice{}, {shape, b.ints({from}), b.ints({to}), b.ints({1}), b.ints({0})});
    };
    read = op(Reshape{}, {wide, op(Concat{0}, {part(0, 1), b.ints({q_heads}), part(2, 4)})});
  }
  const Value y = op(Squeeze{}, {op(MatMul{}, {op(Unsqueeze{}, {qt, b.ints({2})}), read}), b.ints({2})});
  b.result(b.scalar<bool>(true));
  b.result(s);
  b.result(y);
  Loop loop;
  loop.num_carried = 1;
  loop.scan_outputs = {-1};
  const Values out = n.all(loop, outer, {region});
  // [T, B, H, D] -> [B, T, H * D]
  const double given = n.f("scale", 0);
  const Value scale = given != 0
                          ? n.b.scalar<float>(static_cast<float>(given))
                          : n(Divide{}, n.b.scalar<float>(1), n(Sqrt{}, n.cast(dimension(n, q, 3), ElementType::f32)));
  const Value joined = n.reshape(n.transpose(n(Multiply{}, out[1], scale), {1, 0, 2, 3}), {0, 0, -1}, true);
  return {n.cast(joined, n.in(0).element_type()), n.cast(out[0], state_type)};
}

// A depthwise convolution that sees the past: kept from call to call, or zeros.
Values causal_conv(NodeContext& n) {
  const Value x = n.in(0), w = n.in(1);
  if (n.rank(w) != 3 || w.shape()[2].is_dynamic()) n.refuse("needs to know the width of its window");
  const int64_t k = w.shape()[2].get_length();
  Value past = n.opt(3);
  if (!past) past = n(Broadcast{}, n.like(x, 0), n.concat({n.dims(x, 0, 2), n.ints_constant({k - 1})}, 0));
  const Value whole = n.concat({past, x}, 2);
  GroupConvolution op;
  op.strides = op.dilations = {1};
  op.pads_begin = op.pads_end = {0};
  Value y = n(op, whole, n.unsqueeze(w, {1}));
  if (n.has(2)) y = n(Add{}, y, n.unsqueeze(n.in(2), {1}));
  const std::string activation = n.s("activation", "none");
  if (activation == "silu" || activation == "swish")
    y = n(Swish{}, y);
  else if (activation != "none")
    n.fail("unknown activation '" + activation + "'");
  const Value length = n.dims(whole, 2, 3);
  const Value state = n(Slice{}, whole, n(Subtract{}, length, n.ints_constant({k - 1})), length, n.ints_constant({1}),
                        n.ints_constant({2}));
  return {y, state};
}

Values swiglu(NodeContext& n) {
  const Value a = n.in(0);
  const double alpha = n.f("alpha", 1);
  return {n(Multiply{}, alpha == 1 ? n(Swish{}, a) : n(Swish{}, a, n.like(a, alpha)), n.in(1))};
}

// Writes `update` into the cache from position write_indices[b] on along `axis`.
Values tensor_scatter(NodeContext& n) {
  const Value cache = n.in(0), update = n.in(1);
  const int64_t axis = n.axis(n.i("axis", -2), cache);
  const auto rank = static_cast<int64_t>(n.rank(cache));
  Value at = count(n, dimension(n, update, axis));
  std::vector<int64_t> spread(static_cast<size_t>(rank), 1);
  spread[static_cast<size_t>(axis)] = -1;
  at = n.reshape(at, spread);
  if (n.has(2)) {
    std::vector<int64_t> batch(static_cast<size_t>(rank), 1);
    batch[0] = -1;
    at = n(Add{}, at, n.reshape(n.cast(n.in(2), ElementType::i64), batch));
  }
  if (n.s("mode", "linear") == "circular") at = n(FloorMod{}, at, dimension(n, cache, axis));
  at = n(Broadcast{}, at, n.shape_of(update));
  return {n(ScatterElementsUpdate{}, cache, at, update, n.int_constant(axis))};
}

constexpr OperatorRow rows[] = {
    {"Attention", 23, attention},
    {"CausalConvWithState", 26, causal_conv},
    {"LinearAttention", 26, linear_attention},
    {"RotaryEmbedding", 23, rotary_embedding},
    {"SwiGLU", 26, swiglu},
    {"TensorScatter", 24, tensor_scatter},
};

}  // namespace

std::span<const OperatorRow> attention_rows() {
  return rows;
}

}  // namespace hone::onnx
