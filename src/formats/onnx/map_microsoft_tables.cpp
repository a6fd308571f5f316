// The domain com.microsoft: quantized embeddings, tokens, and operators from before they were standard.
#include "formats/onnx/mapping.hpp"
#include "formats/onnx/microsoft_attention.hpp"
#include "ops/arrays.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/inverse.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/quantize.hpp"
#include "ops/reduce.hpp"
#include "ops/tokenize.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

Values gather_nd(NodeContext& n) {
  return microsoft::standard(n, "GatherND", 12);
}
Values grid_sample(NodeContext& n) {
  return microsoft::standard(n, "GridSample", 16);
}
Values pad(NodeContext& n) {
  return microsoft::standard(n, "Pad", 11);
}
Values trilu(NodeContext& n) {
  return microsoft::standard(n, "Trilu", 14);
}
Values inverse(NodeContext& n) {
  return {n(Inverse{}, n.in(0))};
}
Values expand_dims(NodeContext& n) {
  return {n(Unsqueeze{}, n.in(0), n.reshape(n.cast(n.in(1), ElementType::i64), {-1}))};
}
Values range(NodeContext& n) {
  const auto scalar = [&](size_t i) { return n.reshape(n.in(i), {}); };
  const Value step = n.has(2) ? scalar(2) : n.like(n.in(0), 1);
  return {n(Range{n.in(0).element_type()}, scalar(0), scalar(1), step)};
}
// Outputs: values as they first occur, the place of each element among them, how often each occurs.
Values unique(NodeContext& n) {
  const Values out = n.all(Unique{false, ElementType::i64, ElementType::i64}, {n.in(0)});
  return {out.at(0), out.at(2), out.at(3)};
}
Values reduce_sum_integer(NodeContext& n) {
  std::vector<int64_t> axes = n.ints("axes");
  for (size_t k = 0; axes.empty() && k < n.rank(n.in(0)); ++k) axes.push_back(static_cast<int64_t>(k));
  return {n(ReduceSum{n.i("keepdims", 1) != 0}, n.cast(n.in(0), ElementType::i32), n.ints_constant(axes))};
}
// Distances of the rows of two matrices.
Values distances(NodeContext& n) {
  const std::string metric = n.s("metric", "sqeuclidean");
  if (metric != "euclidean" && metric != "sqeuclidean") n.refuse("of metric '" + metric + "' is not offered");
  const Value d = n(Subtract{}, n.unsqueeze(n.in(0), {1}), n.unsqueeze(n.in(1), {0}));
  const Value square = n(ReduceSum{false}, n(Multiply{}, d, d), n.ints_constant({2}));
  return {metric == "euclidean" ? n(Sqrt{}, square) : square};
}

// Elements of `bits` bits in bytes, low ones first, along the last axis: i32.
Value unpacked(NodeContext& n, Value bytes, int64_t bits) {
  Value x = n.cast(bytes, ElementType::i32);
  if (bits == 8) return x;
  const auto last = static_cast<int64_t>(n.rank(bytes));
  if (last < 1) n.fail("has no axis of packed elements");
  Values parts;
  for (int64_t at = 0; at < 8; at += bits) {
    const Value next = n(Divide{}, x, n.like(x, static_cast<double>(1 << bits)));
    parts.push_back(
        n.unsqueeze(n(Subtract{}, x, n(Multiply{}, next, n.like(x, static_cast<double>(1 << bits)))), {last}));
    x = next;
  }
  std::vector<int64_t> joined(static_cast<size_t>(last), 0);
  joined.back() = -1;
  return n.reshape(n.concat(parts, last), joined, true);
}

// Rows of a table whose elements have a scale, and perhaps a zero point, for each block along an axis.
Values gather_block_quantized(NodeContext& n) {
  const Value data = n.in(0), indices = n.in(1);
  const int64_t bits = n.i("bits", 4), block = n.i("block_size", 128);
  const int64_t axis = n.axis(n.i("gather_axis", 0), data), blocked = n.axis(n.i("quantize_axis", 1), data);
  if (is_float(data.element_type())) n.refuse("of floating-point elements is not offered");
  if (axis == blocked) n.refuse("along the axis of its blocks is not offered");
  if (block < 1) n.fail("block_size is out of range");
  const bool bytes = data.element_type() == ElementType::u8;
  if (bytes && bits != 2 && bits != 4 && bits != 8) n.refuse("of " + std::to_string(bits) + " bits is not offered");
  const auto picked = [&](size_t i) {
    const Value v = n.gather(n.in(i), indices, axis);
    return i != 2 && bytes ? unpacked(n, v, bits) : v;
  };
  Value x = n.cast(picked(0), ElementType::f32);
  const ElementType type = n.in(2).element_type();
  const int64_t at = blocked > axis ? blocked + static_cast<int64_t>(n.rank(indices)) - 1 : blocked;
  const auto rank = static_cast<int64_t>(n.rank(x));
  const Value length = n.dims(x, at, at + 1);
  // Each number of a block for all of its elements.
  const auto spread = [&](Value v) {
    v = n.cast(v, ElementType::f32);
    const Value dims = n.shape_of(v);
    std::vector<int64_t> times(static_cast<size_t>(rank) + 1, 1);
    times[static_cast<size_t>(at) + 1] = block;
    const Value wide = n(Tile{}, n.unsqueeze(v, {at + 1}), n.ints_constant(times));
    Values shape;
    if (at > 0) shape.push_back(n.slice(dims, 0, 0, at));
    shape.push_back(n.ints_constant({-1}));
    if (at + 1 < rank) shape.push_back(n.slice(dims, 0, at + 1, rank));
    const Value all = n(Reshape{}, wide, n.concat(shape, 0));
    return n(Slice{}, all, n.ints_constant({0}), length, n.ints_constant({1}), n.ints_constant({at}));
  };
  if (n.has(3)) {
    Value zero = picked(3);
    // Packed zero points may have a place more than there are blocks.
    if (bytes && bits < 8)
      zero = n(Slice{}, zero, n.ints_constant({0}), n.dims(n.gather(n.in(2), indices, axis), at, at + 1),
               n.ints_constant({1}), n.ints_constant({at}));
    x = n(Subtract{}, x, spread(zero));
  } else if (bytes) {
    x = n(Subtract{}, x, n.like(x, static_cast<double>(int64_t{1} << (bits - 1))));
  }
  return {n.cast(n(Multiply{}, x, spread(picked(2))), type)};
}

// ids, segments, tables of words, places and segments, gamma, beta, mask; their scales and zero points.
Values quantized_embed_layer_norm(NodeContext& n) {
  const auto real = [&](Value v, size_t i) {
    const Dequantize d{0, ElementType::f32};
    const Value scale = n.reshape(n.in(i), {});
    return n.has(i + 5) ? n(d, v, scale, n.reshape(n.in(i + 5), {})) : n(d, v, scale);
  };
  const Value ids = n.in(0), places = n.range(n.dim(ids, 1));
  Value sum = n(Add{}, real(n.gather(n.in(2), ids, 0), 8), real(n.gather(n.in(3), places, 0), 9));
  if (n.has(1) && n.has(4)) sum = n(Add{}, sum, real(n.gather(n.in(4), n.in(1), 0), 10));
  const Value y = n(LayerNorm{n.f("epsilon", 1e-12), -1}, sum, real(n.in(5), 11), real(n.in(6), 12));
  if (!n.wants(1)) return {y};
  return {y, n.has(7) ? n(ReduceSum{}, n.cast(n.in(7), ElementType::i32), n.ints_constant({1}))
                      : n(Broadcast{}, n.b.scalar<int32_t>(0), n.dims(ids, 0, 1))};
}

// One empty separator cuts into characters, and so does a dot.
Values tokenizer(NodeContext& n) {
  Tokenize op;
  op.expression = n.s("tokenexp");
  op.separators = n.strings("separators");
  op.pad = n.s("pad_value");
  op.mark = n.i("mark", 0) != 0;
  op.least = n.i("mincharnum", 1);
  const bool characters = op.expression == "." || (op.separators.size() == 1 && op.separators[0].empty());
  if (characters) {
    if (op.least > 1) n.fail("tokens of one character are shorter than mincharnum");
    op.separators.clear();
    op.expression.clear();
  }
  if (!characters && op.expression.empty() == op.separators.empty())
    n.fail("wants either separators or an expression of tokens");
  return {n(op, n.in(0))};
}

constexpr OperatorRow rows[] = {
    {"CDist", 1, distances},
    {"ExpandDims", 1, expand_dims},
    {"GatherBlockQuantized", 1, gather_block_quantized},
    {"GatherND", 1, gather_nd},
    {"GridSample", 1, grid_sample},
    {"Inverse", 1, inverse},
    {"Pad", 1, pad},
    {"QEmbedLayerNormalization", 1, quantized_embed_layer_norm},
    {"Range", 1, range},
    {"ReduceSumInteger", 1, reduce_sum_integer},
    {"Tokenizer", 1, tokenizer},
    {"Trilu", 1, trilu},
    {"Unique", 1, unique},
};

}  // namespace

std::span<const OperatorRow> microsoft_table_rows() {
  return rows;
}

}  // namespace hone::onnx
