// Shapes, joining and splitting, padding, rearrangement.
#include <algorithm>

#include "formats/tensorflow/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/blocks.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/random.hpp"
#include "ops/reduce.hpp"

namespace hone::tensorflow {
namespace {

// A result with the complex mark of input `i`.
Items like_input(NodeContext& n, Value v, size_t i = 0) {
  Item y(v);
  y.complex = n.item(i).complex;
  return {y};
}

Items reshape(NodeContext& n) {
  Value shape = n.vector(n.in(1));
  if (const Tensor t = NodeContext::folded(shape)) shape = n.ints_constant(t.to_ints());
  if (n.item(0).complex) shape = n.concat({shape, n.ints_constant({2})}, 0);
  return like_input(n, n(Reshape{}, n.item(0).value ? n.item(0).value : n.in(0), shape));
}

Value shape_as(NodeContext& n, size_t i) {
  const Item& x = n.item(i);
  Value s = n(ShapeOf{n.type("out_type", ElementType::i32)}, x.value ? x.value : n.in(i));
  return x.complex ? n.slice(s, 0, 0, -1) : s;
}
Items shape(NodeContext& n) {
  return {shape_as(n, 0)};
}
Items shape_n(NodeContext& n) {
  Items out;
  for (size_t k = 0; k < n.num_inputs(); ++k) out.push_back(shape_as(n, k));
  return out;
}
Items size(NodeContext& n) {
  return {
      n.cast(n(ReduceProd{false}, n.shape_of(n.in(0)), n.ints_constant({0})), n.type("out_type", ElementType::i32))};
}
Items rank(NodeContext& n) {
  return {n.b.scalar<int32_t>(static_cast<int32_t>(n.rank(n.in(0))))};
}

Items expand_dims(NodeContext& n) {
  const Item& x = n.item(0);
  int64_t axis = n.constant_ints(1, "the axis").at(0);
  if (x.complex && axis < 0) --axis;
  return like_input(n, n.unsqueeze(x.value ? x.value : n.in(0), {axis}));
}

Items squeeze(NodeContext& n) {
  const Item& x = n.item(0);
  if (!x.value) n.in(0);
  auto axes = n.ints("squeeze_dims", n.ints("axis"));
  if (x.complex) {
    const auto r = static_cast<int64_t>(n.rank(x.value)) - 1;
    for (int64_t& a : axes) a = a < 0 ? a + r : a;
    for (int64_t k = 0; axes.empty() && k < r; ++k) {
      if (x.value.shape()[static_cast<size_t>(k)].is_static() &&
          x.value.shape()[static_cast<size_t>(k)].get_length() == 1)
        axes.push_back(k);
    }
    return like_input(n, axes.empty() ? x.value : n.squeeze(x.value, axes));
  }
  return {axes.empty() ? n(Squeeze{}, x.value) : n.squeeze(x.value, axes)};
}

Items transpose(NodeContext& n) {
  const Item& x = n.item(0);
  if (const Tensor t = NodeContext::folded(n.in(1))) {
    auto order = t.to_ints();
    if (x.complex) order.push_back(static_cast<int64_t>(order.size()));
    const auto r = static_cast<int64_t>(order.size());
    for (int64_t& k : order) {
      if (k < 0) k += r;
      if (k < 0 || k >= r) n.fail("the order is out of range");
    }
    return like_input(n, n.transpose(x.value ? x.value : n.in(0), order));
  }
  return {n(Transpose{}, n.in(0), n.vector(n.in(1)))};
}

Items concatenated(NodeContext& n, int64_t axis, size_t first, size_t count) {
  Values in;
  bool complex = false;
  for (size_t k = 0; k < count; ++k) {
    const Item& x = n.item(first + k);
    complex = complex || x.complex;
    in.push_back(x.value ? x.value : n.in(first + k));
  }
  if (in.empty()) n.fail("has nothing to join");
  if (complex && axis < 0) --axis;
  Item y(in.size() == 1 ? in[0] : n.concat(in, axis));
  y.complex = complex;
  return {y};
}
Items concat(NodeContext& n) {
  return concatenated(n, n.constant_ints(0, "the axis").at(0), 1, n.num_inputs() - 1);
}
Items concat_v2(NodeContext& n) {
  if (n.num_inputs() < 2) n.fail("has nothing to join");
  return concatenated(n, n.constant_ints(n.num_inputs() - 1, "the axis").at(0), 0, n.num_inputs() - 1);
}
Items concat_offset(NodeContext& n) {
  const int64_t axis = n.constant_ints(0, "the axis").at(0);
  Items out;
  Value at = n.like(n.in(1), 0);
  const auto r = n.in(1).shape().is_static() ? element_count(n.in(1).shape().to_shape()) : 0;
  for (size_t k = 1; k < n.num_inputs(); ++k) {
    std::vector<int64_t> mask(static_cast<size_t>(r), 0);
    if (axis < 0 || axis >= r) n.fail("the axis is out of range");
    mask[static_cast<size_t>(axis)] = 1;
    out.push_back(n(Multiply{}, n.cast(n.ints_constant(mask), n.in(1).element_type()), at));
    at = n(Add{}, at, n.gather(n.in(k), n.int_constant(axis), 0));
  }
  return out;
}

Items split(NodeContext& n) {
  const int64_t count = n.i("num_split");
  if (count < 1 || count > 65536) n.fail("num_split is out of range");
  if (count == 1) return {n.in(1)};
  return items(n.all(Split{count}, {n.in(1), n.scalar(n.in(0))}));
}
Items split_v(NodeContext& n) {
  const Value axis = n.scalar(n.in(2));
  if (n.i("num_split") == 1) return {n.in(0)};
  Value lengths = n.vector(n.in(1));
  if (const Tensor t = NodeContext::folded(lengths)) lengths = n.ints_constant(t.to_ints());
  return items(n.all(VariadicSplit{}, {n.in(0), axis, lengths}));
}

Items pack(NodeContext& n) {
  const int64_t axis = n.i("axis", 0);
  Values rows;
  for (size_t k = 0; k < n.num_inputs(); ++k) rows.push_back(n.unsqueeze(n.in(k), {axis}));
  if (rows.empty()) n.fail("has nothing to stack");
  return {rows.size() == 1 ? rows[0] : n.concat(rows, axis)};
}
Items unpack(NodeContext& n) {
  const Value x = n.in(0);
  const int64_t axis = n.axis(n.i("axis", 0), x), count = n.i("num");
  if (count < 0 || count > 65536) n.fail("num is out of range");
  Items out;
  if (count == 1) return {n.squeeze(x, {axis})};
  for (const Value& v : count == 0 ? Values() : n.all(Split{count}, {x, n.int_constant(axis)}))
    out.push_back(n.squeeze(v, {axis}));
  return out;
}

Items tile(NodeContext& n) {
  return {n(Tile{}, n.in(0), n.vector(n.in(1)))};
}
Items fill(NodeContext& n) {
  return {n(Broadcast{}, n.reshape(n.in(1), {}), n.vector(n.in(0)))};
}
Items broadcast_to(NodeContext& n) {
  return {n(Broadcast{}, n.in(0), n.vector(n.in(1)))};
}
// The shape that two shapes broadcast to.
Items broadcast_args(NodeContext& n) {
  const ElementType type = n.in(0).element_type();
  const Value x = n(Broadcast{}, n.b.scalar<float>(0), n.vector(n.in(0))),
              y = n(Broadcast{}, n.b.scalar<float>(0), n.vector(n.in(1)));
  return {n(ShapeOf{type}, n(Add{}, x, y))};
}
Items empty(NodeContext& n) {
  return {n(Broadcast{}, n.cast(n.b.scalar<float>(0), n.type("dtype", ElementType::f32)), n.vector(n.in(0)))};
}

// Paddings [rank, 2]: one column each side.
std::pair<Value, Value> paddings(NodeContext& n, size_t i) {
  if (const Tensor t = NodeContext::folded(n.in(i))) {
    std::vector<int64_t> before, after;
    for (size_t k = 0; k + 1 < t.size(); k += 2) {
      before.push_back(get_integer(t, k));
      after.push_back(get_integer(t, k + 1));
    }
    return {n.ints_constant(before), n.ints_constant(after)};
  }
  const Value p = n.cast(n.in(i), ElementType::i64);
  return {n.gather(p, n.int_constant(0), 1), n.gather(p, n.int_constant(1), 1)};
}
Items pad(NodeContext& n) {
  const auto [before, after] = paddings(n, 1);
  if (const Item& x = n.item(0); x.complex && !n.has(2)) {
    const Value none = n.ints_constant({0});
    Item y(n(Pad{}, x.value, n.concat({before, none}, 0), n.concat({after, none}, 0), n.like(x.value, 0)));
    y.complex = true;
    return {y};
  }
  const Value x = n.in(0);
  return {n(Pad{}, x, before, after, n.has(2) ? n.in(2) : n.like(x, 0))};
}
Items mirror_pad(NodeContext& n) {
  const auto [before, after] = paddings(n, 1);
  return {n(Pad{n.s("mode") == "SYMMETRIC" ? PadMode::symmetric : PadMode::reflect}, n.in(0), before, after)};
}

Items reverse_axes(NodeContext& n) {
  std::vector<int64_t> axes;
  const Value x = n.in(0);
  const Tensor t = n.constant(1, "the axes");
  for (size_t k = 0; k < t.size(); ++k) {
    if (t.element_type() != ElementType::boolean)
      axes.push_back(n.axis(get_integer(t, k), x));
    else if (get_integer(t, k))
      axes.push_back(static_cast<int64_t>(k));  // the first Reverse has a flag an axis
  }
  return {axes.empty() ? x : n(Reverse{axes}, x)};
}
Items reverse_sequence(NodeContext& n) {
  ReverseSequence op;
  op.batch_axis = n.i("batch_dim", 0);
  op.seq_axis = n.i("seq_dim");
  return {n(op, n.in(0), n.in(1))};
}
Items roll(NodeContext& n) {
  return {n(Roll{}, n.in(0), n.vector(n.in(1)), n.vector(n.in(2)))};
}

// Spatial operators are defined with the channels first.
template <class Op>
Items depth(NodeContext& n) {
  const bool last = n.s("data_format", "NHWC") == "NHWC";
  if (n.s("data_format", "NHWC") == "NCHW_VECT_C") n.refuse("of data_format NCHW_VECT_C is not offered");
  Op op;
  op.mode = DepthMode::blocks_first;
  op.block_size = n.i("block_size");
  const Value x = last ? n.transpose(n.in(0), {0, 3, 1, 2}) : n.in(0);
  const Value y = n(op, x);
  return {last ? n.transpose(y, {0, 2, 3, 1}) : y};
}

// Block sizes [M] and paddings [M, 2] as one number an axis of data.
template <class Op>
Items blocks(NodeContext& n) {
  const Value x = n.in(0);
  const auto r = static_cast<int64_t>(n.rank(x));
  Value block, before, after;
  if (n.op() == "SpaceToBatch" || n.op() == "BatchToSpace") {
    const int64_t size = n.i("block_size");
    block = n.ints_constant({size, size});
    std::tie(before, after) = paddings(n, 1);
  } else {
    block = n.vector(n.in(1));
    if (const Tensor t = NodeContext::folded(block)) block = n.ints_constant(t.to_ints());
    std::tie(before, after) = paddings(n, 2);
  }
  if (!block.shape().is_static()) n.refuse("needs to know the number of block sizes");
  const int64_t m = element_count(block.shape().to_shape());
  if (m >= r) n.fail("has more block sizes than axes");
  const auto around = [&](Value v, int64_t fill) {
    const std::vector<int64_t> rest(static_cast<size_t>(r - m - 1), fill);
    if (const Tensor t = v.constant()) {
      std::vector<int64_t> all{fill};
      for (size_t k = 0; k < t.size(); ++k) all.push_back(get_integer(t, k));
      all.insert(all.end(), rest.begin(), rest.end());
      return n.ints_constant(all);
    }
    Values all{n.ints_constant({fill}), v};
    if (!rest.empty()) all.push_back(n.ints_constant(rest));
    return n.concat(all, 0);
  };
  return {n(Op{}, x, around(block, 1), around(before, 0), around(after, 0))};
}

Items invert_permutation(NodeContext& n) {
  const Value p = n.in(0);
  if (const Tensor t = NodeContext::folded(p)) {
    Tensor y(t.element_type(), t.shape());
    for (size_t k = 0; k < t.size(); ++k) {
      const int64_t at = get_integer(t, k);
      if (at < 0 || at >= static_cast<int64_t>(t.size())) n.fail("is given no permutation");
      set_integer(y, static_cast<size_t>(at), static_cast<int64_t>(k));
    }
    return {n.b.constant(y)};
  }
  TopK sort;
  sort.axis = 0;
  sort.mode = TopKMode::min;
  sort.index_element_type = ElementType::i64;
  return {n.cast(n.all(sort, {p, n.dim(p, 0)})[1], p.element_type())};
}

Items range(NodeContext& n) {
  const Value start = n.in(0);
  return {n(Range{start.element_type()}, n.reshape(start, {}), n.reshape(n.in(1), {}), n.reshape(n.in(2), {}))};
}
Items lin_space(NodeContext& n) {
  const Value start = n.reshape(n.in(0), {}), stop = n.reshape(n.in(1), {}), count = n.scalar(n.in(2));
  const ElementType type = start.element_type();
  const Value at = n.cast(n.range(count), type),
              gaps = n.cast(n(Maximum{}, n(Subtract{}, count, n.int_constant(1)), n.int_constant(1)), type);
  const Value step = n(Divide{}, n(Subtract{}, stop, start), gaps);
  // The last one is exact.
  const Value y = n(Add{}, start, n(Multiply{}, at, step));
  return {n(Select{}, n(LogicalAnd{}, n(Equal{}, at, gaps), n(Greater{}, count, n.int_constant(1))), stop, y)};
}

constexpr OperatorRow rows[] = {
    {"BatchToSpace", blocks<BatchToSpace>},
    {"BatchToSpaceND", blocks<BatchToSpace>},
    {"BroadcastArgs", broadcast_args},
    {"BroadcastTo", broadcast_to},
    {"Concat", concat},
    {"ConcatOffset", concat_offset},
    {"ConcatV2", concat_v2},
    {"DepthToSpace", depth<DepthToSpace>},
    {"Empty", empty},
    {"ExpandDims", expand_dims},
    {"Fill", fill},
    {"InvertPermutation", invert_permutation},
    {"LinSpace", lin_space},
    {"MirrorPad", mirror_pad},
    {"Pack", pack},
    {"Pad", pad},
    {"PadV2", pad},
    {"Range", range},
    {"Rank", rank},
    {"Reshape", reshape},
    {"Reverse", reverse_axes},
    {"ReverseSequence", reverse_sequence},
    {"ReverseV2", reverse_axes},
    {"Roll", roll},
    {"Shape", shape},
    {"ShapeN", shape_n},
    {"Size", size},
    {"SpaceToBatch", blocks<SpaceToBatch>},
    {"SpaceToBatchND", blocks<SpaceToBatch>},
    {"SpaceToDepth", depth<SpaceToDepth>},
    {"Split", split},
    {"SplitV", split_v},
    {"Squeeze", squeeze},
    {"Tile", tile},
    {"Transpose", transpose},
    {"Unpack", unpack},
};

}  // namespace

std::span<const OperatorRow> shape_rows() {
  return rows;
}

}  // namespace hone::tensorflow
