// Shapes: reshape, transpose, join, repeat, fill.
#include "formats/tflite/mapping.hpp"
#include "hone/error.hpp"
#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"

namespace hone::tflite {
namespace {

Values reshape(NodeContext& n) {
  const Value x = n.in(0);
  const auto with_pairs = [&](Value shape) {
    return n.has_pairs() ? n.concat({shape, n.ints_constant({2})}, 0) : shape;
  };
  if (n.has(1)) return {n(Reshape{}, x, with_pairs(n.index_vector(1)))};
  const auto wanted = n.op().options.numbers<int32_t>(0);
  return {n(Reshape{}, x, with_pairs(n.ints_constant({wanted.begin(), wanted.end()})))};
}

Values squeeze(NodeContext& n) {
  const Value x = n.in(0);
  const auto axes = n.op().options.numbers<int32_t>(0);
  if (axes.empty()) return {n(Squeeze{}, x)};
  std::vector<int64_t> positive;
  for (int32_t a : axes) positive.push_back(n.axis(a, x));
  return {n.squeeze(x, positive)};
}

Values expand_dims(NodeContext& n) {
  const Value x = n.in(0);
  const auto axis = n.ints(1, "the axis");
  if (axis.size() != 1) n.fail("wants one axis");
  const int64_t rank = n.file_rank(x) + 1;
  const int64_t a = axis[0] < 0 ? axis[0] + rank : axis[0];
  if (a < 0 || a >= rank) n.fail("axis " + std::to_string(axis[0]) + " is out of range");
  return {n.unsqueeze(x, {a})};
}

Values transpose(NodeContext& n) {
  const Value x = n.in(0);
  Value order = n.index_vector(1);
  if (n.has_pairs()) order = n.concat({order, n.ints_constant({n.file_rank(x)})}, 0);
  return {n(Transpose{}, x, order)};
}

Values concatenation(NodeContext& n) {
  const Values v = n.all_in();
  if (v.empty()) n.fail("has no inputs");
  return {n.activated(n.concat(v, n.axis(n.i(0), v[0])), n.code(1))};
}

Values pack(NodeContext& n) {
  Values v = n.all_in();
  if (v.empty()) n.fail("has no inputs");
  const int64_t rank = n.file_rank(v[0]) + 1;
  const int64_t axis = n.i(1) < 0 ? n.i(1) + rank : n.i(1);
  if (axis < 0 || axis >= rank) n.fail("axis " + std::to_string(n.i(1)) + " is out of range");
  for (Value& x : v) x = n.unsqueeze(x, {axis});
  return {n.concat(v, axis)};
}
Values unpack(NodeContext& n) {
  const Value x = n.in(0);
  const int64_t axis = n.axis(n.i(1), x);
  const auto count = static_cast<int64_t>(n.num_outputs());
  if (count < 1) n.fail("has no outputs");
  Values parts = n.all(Split{count}, {x, n.int_constant(axis)});
  for (Value& p : parts) p = n.squeeze(p, {axis});
  return parts;
}

Values tile(NodeContext& n) {
  return {n(Tile{}, n.in(0), n.index_vector(1))};
}
Values broadcast_to(NodeContext& n) {
  return {n(Broadcast{BroadcastMode::numpy}, n.in(0), n.index_vector(1))};
}

Values fill(NodeContext& n) {
  return {n(Broadcast{BroadcastMode::numpy}, n.in(1), n.index_vector(0))};
}
Values zeros_like(NodeContext& n) {
  const Value x = n.in(0);
  return {n(Broadcast{BroadcastMode::numpy}, n.like(x, 0), n.shape_of(x))};
}
Values range(NodeContext& n) {
  const Value start = n.in(0), stop = n.in(1), step = n.in(2);
  const auto scalar = [&](Value v) { return v.shape().rank_known() && v.shape().rank() == 0 ? v : n.reshape(v, {}); };
  return {n(Range{start.element_type()}, scalar(start), scalar(stop), scalar(step))};
}

Values shape(NodeContext& n) {
  const ElementType type = element_type_of(n.info_out(0).type);
  return {n(ShapeOf{type == ElementType::i64 ? ElementType::i64 : ElementType::i32}, n.any(0))};
}
Values rank(NodeContext& n) {
  return {n.reshape(n(ShapeOf{ElementType::i64}, n.shape_of(n.any(0))), {})};
}

// The shape that two shapes broadcast to.
Values broadcast_args(NodeContext& n) {
  const auto first = n.constant(0), second = n.constant(1);
  if (first && second) {
    const auto a = first.to_ints(), c = second.to_ints();
    std::vector<int64_t> out(std::max(a.size(), c.size()), 1);
    for (size_t k = 0; k < out.size(); ++k) {
      const int64_t x = k < a.size() ? a[a.size() - 1 - k] : 1, y = k < c.size() ? c[c.size() - 1 - k] : 1;
      if (x != y && x != 1 && y != 1) n.fail("the shapes do not broadcast");
      out[out.size() - 1 - k] = x == 1 ? y : x;
    }
    return {n.ints_constant(out)};
  }
  // Shapes that are known when the model runs: ones in front of the shorter one, then the larger size, except that 1
  // gives way to 0.
  Value a = n.index_vector(0), c = n.index_vector(1);
  const PartialShape sa = shape_of_rank(a.shape()), sc = shape_of_rank(c.shape());
  if (!sa.rank_known() || !sc.rank_known()) n.refuse("needs shapes of known rank");
  const auto ra = static_cast<int64_t>(sa.rank()), rc = static_cast<int64_t>(sc.rank());
  const auto ones = [&](int64_t k) { return n.ints_constant(std::vector<int64_t>(static_cast<size_t>(k), 1)); };
  if (ra < rc) a = n.concat({ones(rc - ra), a}, 0);
  if (rc < ra) c = n.concat({ones(ra - rc), c}, 0);
  return {n(Select{}, n(Equal{}, a, n.int_constant(1)), c, a)};
}

constexpr OperatorRow rows[] = {
    {2, "CONCATENATION", concatenation, Numbers::moved},
    {22, "RESHAPE", reshape, Numbers::moved},
    {39, "TRANSPOSE", transpose, Numbers::moved},
    {43, "SQUEEZE", squeeze, Numbers::moved},
    {69, "TILE", tile, Numbers::moved},
    {70, "EXPAND_DIMS", expand_dims, Numbers::moved},
    {77, "SHAPE", shape},
    {83, "PACK", pack, Numbers::moved},
    {88, "UNPACK", unpack, Numbers::moved},
    {93, "ZEROS_LIKE", zeros_like},
    {94, "FILL", fill, Numbers::moved},
    {96, "RANGE", range},
    {110, "RANK", rank},
    {130, "BROADCAST_TO", broadcast_to, Numbers::moved},
    {145, "BROADCAST_ARGS", broadcast_args},
};

}  // namespace

std::span<const OperatorRow> shape_rows() {
  return rows;
}

}  // namespace hone::tflite
