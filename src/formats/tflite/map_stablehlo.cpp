// StableHLO operators that converters leave in files. Their shapes are those that the file states.
#include <numeric>

#include "formats/tflite/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/unary.hpp"

namespace hone::tflite {
namespace {

template <class Op>
Values binary(NodeContext& n) {
  return {n(Op{}, n.in(0), n.in(1))};
}
template <class Op>
Values unary(NodeContext& n) {
  return {n(Op{}, n.in(0))};
}
// On booleans the logical operator, on integers that of the bits.
template <class Logical, class Bits>
Values logical(NodeContext& n) {
  const Value x = n.in(0);
  return {x.element_type() == ElementType::boolean ? n(Logical{}, x, n.in(1)) : n(Bits{}, x, n.in(1))};
}

std::vector<int64_t> stated_shape(NodeContext& n) {
  const auto& s = n.info_out(0).shape;
  return {s.begin(), s.end()};
}

Values divide(NodeContext& n) {
  Divide d;
  d.m_pythondiv = false;
  return {n(d, n.in(0), n.in(1))};
}
Values rsqrt(NodeContext& n) {
  return {n(Divide{}, n.like(n.in(0), 1), n(Sqrt{}, n.in(0)))};
}
Values clamp(NodeContext& n) {
  return {n(Minimum{}, n(Maximum{}, n.in(1), n.in(0)), n.in(2))};
}
Values select(NodeContext& n) {
  return {n(Select{}, n.in(0), n.in(1), n.in(2))};
}
Values convert(NodeContext& n) {
  return {n.in(0)};
}
Values reshape(NodeContext& n) {
  return {n.reshape(n.in(0), stated_shape(n))};
}
Values transpose(NodeContext& n) {
  return {n.transpose(n.in(0), n.longs(0))};
}
Values concatenate(NodeContext& n) {
  const Values v = n.all_in();
  if (v.empty()) n.fail("has no inputs");
  return {n.concat(v, n.axis(n.op().options2.get<int64_t>(0), v[0]))};
}

Values compare(NodeContext& n) {
  const Value a = n.in(0), b = n.in(1);
  switch (n.op().options2.get<uint32_t>(0)) {
    case 0:
      return {n(Equal{}, a, b)};
    case 1:
      return {n(NotEqual{}, a, b)};
    case 2:
      return {n(GreaterEqual{}, a, b)};
    case 3:
      return {n(Greater{}, a, b)};
    case 4:
      return {n(LessEqual{}, a, b)};
    case 5:
      return {n(Less{}, a, b)};
    default:
      n.fail("the direction does not exist");
  }
}

// Axis k of the operand becomes axis dims[k] of the result.
Values broadcast_in_dim(NodeContext& n) {
  const auto dims = n.longs(0), target = stated_shape(n);
  const Value x = n.in(0);
  if (dims.size() != n.rank(x)) n.fail("wants a place for each axis");
  if (!x.shape().is_static()) n.refuse("needs an operand of known shape");
  const Shape from = x.shape().to_shape();
  std::vector<int64_t> spread(target.size(), 1);
  for (size_t k = 0; k < dims.size(); ++k) {
    if (dims[k] < 0 || dims[k] >= static_cast<int64_t>(target.size()) || (k > 0 && dims[k] <= dims[k - 1]))
      n.refuse("axes out of order");
    spread[static_cast<size_t>(dims[k])] = from[k];
  }
  return {n(Broadcast{BroadcastMode::numpy}, n.reshape(x, spread), n.ints_constant(target))};
}

std::vector<int64_t> counted(size_t count) {
  std::vector<int64_t> v(count);
  std::iota(v.begin(), v.end(), int64_t{0});
  return v;
}

Values slice(NodeContext& n) {
  const Value x = n.in(0);
  const auto start = n.longs(0), limit = n.longs(1), step = n.longs(2);
  if (start.size() != n.rank(x) || limit.size() != start.size() || step.size() != start.size())
    n.fail("wants a range for each axis");
  return {n(Slice{}, x, n.ints_constant(start), n.ints_constant(limit), n.ints_constant(step),
            n.ints_constant(counted(start.size())))};
}

// Starts are scalars, one an axis, moved so that the part fits.
Value starts(NodeContext& n, size_t first, size_t rank, Value room) {
  Values list;
  for (size_t k = 0; k < rank; ++k) list.push_back(n.index_vector(first + k));
  return n(Maximum{}, n(Minimum{}, n.concat(list, 0), room), n.int_constant(0));
}
Values dynamic_slice(NodeContext& n) {
  const Value x = n.in(0);
  const auto sizes = n.longs(0);
  if (sizes.size() != n.rank(x) || sizes.empty()) n.fail("wants a size for each axis");
  const Value size = n.ints_constant(sizes), start = starts(n, 1, sizes.size(), n(Subtract{}, n.shape_of(x), size));
  const Value part = n(Slice{}, x, start, n(Add{}, start, size), n.ints_constant(std::vector<int64_t>(sizes.size(), 1)),
                       n.ints_constant(counted(sizes.size())));
  return {n.reshape(part, sizes)};
}
Values dynamic_update_slice(NodeContext& n) {
  const Value x = n.in(0), update = n.in(1);
  const size_t rank = n.rank(x);
  if (rank == 0) return {update};
  const Value shape = n.shape_of(x), room = n(Subtract{}, shape, n.shape_of(update)), start = starts(n, 2, rank, room),
              after = n(Subtract{}, room, start);
  const Value ones = n(Broadcast{BroadcastMode::numpy}, n.b.scalar<int32_t>(1), n.shape_of(update));
  const Value inside = n(Reshape{}, n(Pad{}, ones, start, after, n.b.scalar<int32_t>(0)), shape);
  const Value moved = n(Reshape{}, n(Pad{}, update, start, after, n.like(update, 0)), shape);
  return {n(Select{}, n(Equal{}, inside, n.b.scalar<int32_t>(1)), moved, x)};
}

Values pad(NodeContext& n) {
  const auto low = n.longs(0), high = n.longs(1);
  for (int64_t between : n.longs(2)) {
    if (between != 0) n.refuse("padding between elements");
  }
  const Value x = n.in(0);
  if (low.size() != n.rank(x) || high.size() != low.size()) n.fail("wants a pad for each axis");
  return {n(Pad{}, x, n.ints_constant(low), n.ints_constant(high), n.reshape(n.in(1), {}))};
}

Values iota(NodeContext& n) {
  const auto shape = stated_shape(n);
  const auto axis = n.op().options2.get<int64_t>(0);
  if (axis < 0 || axis >= static_cast<int64_t>(shape.size()))
    n.fail("axis " + std::to_string(axis) + " is out of range");
  std::vector<int64_t> line(shape.size(), 1);
  line[static_cast<size_t>(axis)] = shape[static_cast<size_t>(axis)];
  const Value v = n(Range{ElementType::i64}, n.int_constant(0), n.int_constant(shape[static_cast<size_t>(axis)]),
                    n.int_constant(1));
  return {n(Broadcast{BroadcastMode::numpy}, n.reshape(v, line), n.ints_constant(shape))};
}

// Products over chosen axes: each side is brought to [batch, free, contracted].
Values dot_general(NodeContext& n) {
  Value sides[2];
  for (size_t s = 0; s < 2; ++s) {
    const Value x = n.in(s);
    if (!x.shape().is_static()) n.refuse("needs operands of known shape");
    const Shape shape = x.shape().to_shape();
    const auto batch = n.longs(static_cast<unsigned>(s)), contracted = n.longs(static_cast<unsigned>(2 + s));
    std::vector<int64_t> order = batch, merged{1, 1, 1};
    std::vector<bool> used(shape.size(), false);
    const auto take = [&](const std::vector<int64_t>& axes, size_t part) {
      for (int64_t a : axes) {
        if (a < 0 || a >= static_cast<int64_t>(shape.size()) || used[static_cast<size_t>(a)])
          n.fail("an axis is out of range");
        used[static_cast<size_t>(a)] = true;
        merged[part] *= shape[static_cast<size_t>(a)];
      }
    };
    take(batch, 0);
    take(contracted, 2);
    for (size_t k = 0; k < shape.size(); ++k) {
      if (used[k]) continue;
      order.push_back(static_cast<int64_t>(k));
      merged[1] *= shape[k];
    }
    order.insert(order.end(), contracted.begin(), contracted.end());
    sides[s] = n.reshape(n.transpose(x, order), merged);
  }
  return {n.reshape(n(MatMul{false, true}, sides[0], sides[1]), stated_shape(n))};
}

constexpr OperatorRow rows[] = {
    {162, "STABLEHLO_LOGISTIC", unary<Sigmoid>},
    {163, "STABLEHLO_ADD", binary<Add>},
    {164, "STABLEHLO_DIVIDE", divide},
    {165, "STABLEHLO_MULTIPLY", binary<Multiply>},
    {166, "STABLEHLO_MAXIMUM", binary<Maximum>},
    {167, "STABLEHLO_RESHAPE", reshape, Numbers::moved},
    {168, "STABLEHLO_CLAMP", clamp},
    {169, "STABLEHLO_CONCATENATE", concatenate, Numbers::moved},
    {170, "STABLEHLO_BROADCAST_IN_DIM", broadcast_in_dim, Numbers::moved},
    {172, "STABLEHLO_SLICE", slice, Numbers::moved},
    {175, "STABLEHLO_ABS", unary<Abs>},
    {176, "STABLEHLO_AND", logical<LogicalAnd, BitwiseAnd>},
    {177, "STABLEHLO_COSINE", unary<Cos>},
    {178, "STABLEHLO_EXPONENTIAL", unary<Exp>},
    {179, "STABLEHLO_FLOOR", unary<Floor>},
    {180, "STABLEHLO_LOG", unary<Log>},
    {181, "STABLEHLO_MINIMUM", binary<Minimum>},
    {182, "STABLEHLO_NEGATE", unary<Negative>},
    {183, "STABLEHLO_OR", logical<LogicalOr, BitwiseOr>},
    {184, "STABLEHLO_POWER", binary<Power>},
    {185, "STABLEHLO_REMAINDER", binary<Mod>},
    {186, "STABLEHLO_RSQRT", rsqrt},
    {187, "STABLEHLO_SELECT", select},
    {188, "STABLEHLO_SUBTRACT", binary<Subtract>},
    {189, "STABLEHLO_TANH", unary<Tanh>},
    {191, "STABLEHLO_COMPARE", compare},
    {192, "STABLEHLO_CONVERT", convert},
    {193, "STABLEHLO_DYNAMIC_SLICE", dynamic_slice, Numbers::moved},
    {194, "STABLEHLO_DYNAMIC_UPDATE_SLICE", dynamic_update_slice, Numbers::moved},
    {195, "STABLEHLO_PAD", pad, Numbers::moved},
    {196, "STABLEHLO_IOTA", iota},
    {197, "STABLEHLO_DOT_GENERAL", dot_general},
    {202, "STABLEHLO_TRANSPOSE", transpose, Numbers::moved},
};

}  // namespace

std::span<const OperatorRow> stablehlo_rows() {
  return rows;
}

}  // namespace hone::tflite
