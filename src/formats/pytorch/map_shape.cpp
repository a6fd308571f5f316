// Shapes and movement of data.
#include <algorithm>
#include <cstdlib>
#include <limits>

#include "base/checked.hpp"
#include "formats/pytorch/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/blocks.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/search.hpp"

namespace hone::pytorch {
namespace {

constexpr int64_t most_numbers = 1 << 24;  // of tables that reading makes

Values reshape(NodeContext& n) {
  return {n.reshape_to(n.in("self"), n.sizes(n.has("size") ? "size" : "shape"))};
}
Values reshape_like(NodeContext& n) {
  return {n.reshape_to(n.in("self"), n.shape_of(n.in("other")))};
}

Values flatten(NodeContext& n) {
  const Value x = n.in("self");
  const auto rank = static_cast<int64_t>(n.rank(x));
  if (rank == 0) return {n.reshape(x, {1})};
  const int64_t begin = n.axis(n.i("start_dim", 0), x), end = n.axis(n.i("end_dim", -1), x);
  if (begin > end) n.fail("start_dim comes after end_dim");
  if (begin == end) return {x};
  Values parts;
  if (begin > 0) parts.push_back(n.dims(x, 0, begin));
  parts.push_back(n.ints_constant({-1}));
  if (end + 1 < rank) parts.push_back(n.dims(x, end + 1, rank));
  return {n.reshape_to(x, parts.size() == 1 ? parts[0] : n.concat(parts, 0))};
}
Values unflatten(NodeContext& n) {
  const Value x = n.in("self");
  const auto rank = static_cast<int64_t>(n.rank(x));
  const int64_t axis = n.axis(n.i("dim"), x);
  Values parts;
  if (axis > 0) parts.push_back(n.dims(x, 0, axis));
  parts.push_back(n.sizes("sizes"));
  if (axis + 1 < rank) parts.push_back(n.dims(x, axis + 1, rank));
  return {n.reshape_to(x, parts.size() == 1 ? parts[0] : n.concat(parts, 0))};
}

Values squeeze(NodeContext& n) {
  const Value x = n.in("self");
  std::vector<int64_t> axes;
  if (n.has("dim")) {
    for (int64_t a : n.axes(n.ints("dim"), x)) {
      // Axes of another size stay; PyTorch assumes dynamic ones to be larger than 1.
      if (n.rank(x) > 0 && x.shape()[static_cast<size_t>(a)] == Dimension(1)) axes.push_back(a);
    }
  } else {
    for (size_t k = 0; k < n.rank(x); ++k) {
      if (x.shape()[k] == Dimension(1)) axes.push_back(static_cast<int64_t>(k));
    }
  }
  return {axes.empty() ? x : n.squeeze(x, axes)};
}
Values unsqueeze(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t rank = static_cast<int64_t>(n.rank(x)) + 1;
  int64_t axis = n.i("dim");
  if (axis < -rank || axis >= rank) n.fail("axis " + std::to_string(axis) + " is out of range");
  if (axis < 0) axis += rank;
  return {n.unsqueeze(x, {axis})};
}

Values permute(NodeContext& n) {
  const Value x = n.in("self");
  if (n.rank(x) == 0) return {x};
  return {n.transpose(x, n.axes(n.ints("dims"), x))};
}
Value swapped(NodeContext& n, Value x, int64_t a, int64_t b) {
  std::vector<int64_t> order;
  for (size_t k = 0; k < n.rank(x); ++k) order.push_back(static_cast<int64_t>(k));
  if (order.empty() || a == b) return x;
  std::swap(order[static_cast<size_t>(a)], order[static_cast<size_t>(b)]);
  return n.transpose(x, order);
}
Values transpose(NodeContext& n) {
  const Value x = n.in("self");
  const bool old = n.has("dim0");
  return {swapped(n, x, n.axis(n.i(old ? "dim0" : "axis0"), x), n.axis(n.i(old ? "dim1" : "axis1"), x))};
}
Values matrix_transpose(NodeContext& n) {
  const Value x = n.in("self");
  const auto rank = static_cast<int64_t>(n.rank(x));
  return {rank < 2 ? x : swapped(n, x, rank - 2, rank - 1)};
}
Values move_axes(NodeContext& n) {
  const Value x = n.in("self");
  const auto from = n.axes(n.ints("source"), x), to = n.axes(n.ints("destination"), x);
  if (from.size() != to.size()) n.fail("source and destination differ in number");
  if (n.rank(x) == 0) return {x};
  std::vector<int64_t> order(n.rank(x), -1), rest;
  for (size_t k = 0; k < from.size(); ++k) order[static_cast<size_t>(to[k])] = from[k];
  for (int64_t k = 0; k < std::ssize(order); ++k) {
    if (std::find(from.begin(), from.end(), k) == from.end()) rest.push_back(k);
  }
  size_t next = 0;
  for (int64_t& o : order) {
    if (o < 0) o = rest.at(next++);
  }
  return {n.transpose(x, order)};
}

Values expand(NodeContext& n) {
  const Value x = n.in("self");
  if (n.has("other")) return {n.broadcast(x, n.shape_of(n.in("other")))};
  // -1 keeps the size, which broadcasting both ways does for 1.
  std::vector<Argument> list = n.argument("size")->list;
  for (Argument& a : list) {
    if (a.kind == Argument::Kind::integer && a.integer == -1) a.integer = 1;
  }
  return {n(Broadcast{BroadcastMode::bidirectional}, x, n.sizes(list))};
}
Values repeat(NodeContext& n) {
  Value x = n.in("self");
  const char* name = n.has("repeats") ? "repeats" : "dims";
  const auto more =
      static_cast<int64_t>(n.argument(name) ? n.argument(name)->list.size() : 0) - static_cast<int64_t>(n.rank(x));
  std::vector<int64_t> axes;
  for (int64_t k = 0; k < more; ++k) axes.push_back(k);
  if (!axes.empty()) x = n.unsqueeze(x, axes);
  return {n.rank(x) == 0 ? x : n(Tile{}, x, n.sizes(name))};
}
Values repeat_interleave(NodeContext& n) {
  Value x = n.in(n.has("self") ? "self" : "repeats");
  if (n.is_tensor("repeats")) {
    // The element that a position of the result comes from: how many elements end at or before it.
    const bool with_data = n.has("self") && n.has("repeats") && n.is_tensor("self");
    const Value counts = n.cast(n.in("repeats"), ElementType::i64);
    const bool whole = !with_data || !n.has("dim");
    const Value data = whole && with_data ? n.reshape(x, {-1}) : x;
    const int64_t along = whole ? 0 : n.axis(n.i("dim"), x);
    const Value length = with_data ? n.dim(data, along) : n.dim(counts, 0);
    const Value each = n(Broadcast{BroadcastMode::bidirectional}, n.reshape(counts, {-1}), n.reshape(length, {1}));
    const Value ends = n(CumSum{}, each, n.int_constant(0)), total = n(ReduceSum{}, each, n.ints_constant({0}));
    const Value from = n(SearchSorted{ElementType::i64, true}, ends, n.range(total));
    return {with_data ? n.gather(data, from, along) : from};
  }
  const bool all = !n.has("dim");
  if (all) x = n.reshape(x, {-1});
  const int64_t axis = all ? 0 : n.axis(n.i("dim"), x), rank = static_cast<int64_t>(n.rank(x));
  std::vector<int64_t> counts(static_cast<size_t>(rank) + 1, 1);
  Values parts;
  if (axis > 0) parts.push_back(n.dims(x, 0, axis));
  parts.push_back(n.ints_constant({-1}));
  if (axis + 1 < rank) parts.push_back(n.dims(x, axis + 1, rank));
  counts[static_cast<size_t>(axis) + 1] = n.i("repeats");
  const Value y = n(Tile{}, n.unsqueeze(x, {axis + 1}), n.ints_constant(counts));
  return {n.reshape_to(y, parts.size() == 1 ? parts[0] : n.concat(parts, 0))};
}
Values flip(NodeContext& n) {
  const Value x = n.in("self");
  return {n(Reverse{n.axes(n.ints("dims"), x)}, x)};
}
Values roll(NodeContext& n) {
  const Value x = n.in("self");
  if (n.has("dims") && !n.argument("dims")->list.empty())
    return {n(Roll{}, x, n.sizes("shifts"), n.ints_constant(n.axes(n.ints("dims"), x)))};
  const Value flat = n.reshape(x, {-1});
  return {n.reshape_to(n(Roll{}, flat, n.sizes("shifts"), n.ints_constant({0})), n.shape_of(x))};
}

Values select(NodeContext& n) {
  const Value x = n.in("self");
  return {n.gather(x, n.size("index"), n.axis(n.i("dim"), x))};
}
constexpr int64_t to_the_end = std::numeric_limits<int64_t>::max();
Values slice(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t axis = n.axis(n.i("dim", 0), x);
  const Value begin = n.has("start") ? n.size("start") : n.int_constant(0),
              end = n.has("end") ? n.size("end") : n.int_constant(to_the_end);
  const Value step = n.has("step") ? n.size("step") : n.int_constant(1);
  if (const Tensor a = n.known(begin), b = n.known(end), c = n.known(step);
      a && b && c && get_integer(a, 0) == 0 && get_integer(c, 0) == 1) {
    const Dimension d = x.shape()[static_cast<size_t>(axis)];
    if (get_integer(b, 0) == to_the_end || (d.is_static() && get_integer(b, 0) >= d.get_length())) return {x};
  }
  return {n.slice(x, axis, begin, end, step)};
}
Values narrow(NodeContext& n) {
  const Value x = n.in("self"), begin = n.size("start");
  return {n.slice(x, n.axis(n.i("dim"), x), begin, n(Add{}, begin, n.size("length")), n.int_constant(1))};
}
Values unfold(NodeContext& n) {
  Value x = n.in("self");
  const bool scalar = n.rank(x) == 0;
  if (scalar) x = n.unsqueeze(x, {0});
  const int64_t axis = n.axis(n.i("dimension"), x), size = n.i("size"), step = n.i("step");
  if (size < 0 || step < 1 || size > most_numbers) n.fail("size or step is out of range");
  const Value by = n.int_constant(step);
  const Value windows =
      n(Add{}, n(Divide{}, n(Subtract{}, n.dim(x, axis), n.int_constant(size)), by), n.int_constant(1));
  const Value at =
      n(Add{}, n.unsqueeze(n(Multiply{}, n.range(windows), by), {1}), n.unsqueeze(n.range(n.int_constant(size)), {0}));
  const Value y = n.gather(x, at, axis);  // the window's own axis comes last
  std::vector<int64_t> order;
  for (int64_t k = 0; k < static_cast<int64_t>(n.rank(y)); ++k) {
    if (k != axis + 1) order.push_back(k);
  }
  order.push_back(axis + 1);
  return {scalar ? n.squeeze(y, {0}) : n.transpose(y, order)};
}

Values pixel_shuffle(NodeContext& n) {
  return {n(DepthToSpace{DepthMode::depth_first, n.i("upscale_factor")}, n.in("self"))};
}
Values pixel_unshuffle(NodeContext& n) {
  return {n(SpaceToDepth{DepthMode::depth_first, n.i("downscale_factor")}, n.in("self"))};
}
Values channel_shuffle(NodeContext& n) {
  return {n(ShuffleChannels{1, n.i("groups")}, n.in("self"))};
}

Values diagonal(NodeContext& n) {
  // The form of linalg has the last two axes.
  const bool last = n.op() == "linalg_diagonal";
  const Value x = n.in(last ? "A" : "self");
  const int64_t a = n.axis(n.i("dim1", last ? -2 : 0), x), c = n.axis(n.i("dim2", last ? -1 : 1), x),
                offset = n.i("offset", 0), rank = static_cast<int64_t>(n.rank(x));
  if (a == c) n.fail("has wrong axes");
  if (x.shape()[static_cast<size_t>(a)].is_dynamic() || x.shape()[static_cast<size_t>(c)].is_dynamic()) {
    // The elements of all rows, one behind the other, in steps of a row and a column.
    std::vector<int64_t> order;
    for (int64_t k = 0; k < rank; ++k) {
      if (k != a && k != c) order.push_back(k);
    }
    order.insert(order.end(), {a, c});
    const Value t = n.transpose(x, order), columns = n.dim(x, c);
    const Value row = n.int_constant(std::max<int64_t>(0, -offset)),
                column = n.int_constant(std::max<int64_t>(0, offset));
    const Value length =
        n(Maximum{}, n(Minimum{}, n(Subtract{}, n.dim(x, a), row), n(Subtract{}, columns, column)), n.int_constant(0));
    const Value at = n.range(length);
    const Value places = n(Add{}, n(Multiply{}, n(Add{}, at, row), columns), n(Add{}, at, column));
    Values shape{n.reshape(n(Multiply{}, n.dim(x, a), columns), {1})};
    if (rank > 2) shape.insert(shape.begin(), n.dims(t, 0, rank - 2));
    return {n.gather(n.reshape_to(t, shape.size() == 1 ? shape[0] : n.concat(shape, 0)), places, rank - 2)};
  }
  const int64_t rows = x.shape()[static_cast<size_t>(a)].get_length(),
                columns = x.shape()[static_cast<size_t>(c)].get_length();
  if (rows > most_numbers || columns > most_numbers || std::abs(offset) > most_numbers)
    n.refuse("of that size is not offered");
  std::vector<int64_t> order;
  for (int64_t k = 0; k < rank; ++k) {
    if (k != a && k != c) order.push_back(k);
  }
  order.insert(order.end(), {a, c});
  std::vector<int64_t> at;
  for (int64_t r = 0; r < rows; ++r) {
    if (r + offset >= 0 && r + offset < columns) at.push_back(r * columns + r + offset);
  }
  const Value t = n.transpose(x, order);
  Values shape{n.ints_constant({-1})};
  if (rank > 2) shape.insert(shape.begin(), n.dims(t, 0, rank - 2));
  const Value flat = n.reshape_to(t, shape.size() == 1 ? shape[0] : n.concat(shape, 0));
  return {n.gather(flat, n.ints_constant(at), rank - 2)};
}
// Any strided view of a tensor whose sizes are known is a gather of its elements.
Values as_strided(NodeContext& n) {
  const Value x = n.in("self");
  const auto sizes = n.ints("size"), strides = n.ints("stride");
  const int64_t offset = n.i("storage_offset", 0);
  const int64_t count = element_count(sizes);
  if (strides.size() != sizes.size()) n.fail("size and stride differ in number");
  if (!x.shape().is_static() || count > most_numbers) n.refuse("needs static sizes");
  const int64_t available = element_count(x.shape().to_shape());
  for (int64_t stride : strides) {
    if (stride < 0 || stride > available || offset < 0 || offset > available) n.refuse("reaches outside of its tensor");
  }
  Tensor at(ElementType::i64, sizes);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, from = offset;
    for (size_t k = sizes.size(); k-- > 0;) {
      from = checked_add(from, checked_mul(rest % sizes[k], strides[k]));
      rest /= sizes[k];
    }
    if (from >= available) n.refuse("reaches outside of its tensor");
    at.data<int64_t>()[i] = from;
  }
  return {n.gather(n.reshape(x, {-1}), n.b.constant(at), 0)};
}
Values meshgrid(NodeContext& n) {
  const Values in = n.tensors("tensors");
  Values sizes;
  for (const Value& v : in) sizes.push_back(n.reshape_to(n.shape_of(n.reshape(v, {-1})), n.ints_constant({1})));
  const Value shape = sizes.size() == 1 ? sizes[0] : n.concat(sizes, 0);
  const bool xy = n.s("indexing", "ij") == "xy" && in.size() > 1;
  Values out;
  for (size_t k = 0; k < in.size(); ++k) {
    std::vector<int64_t> own(in.size(), 1);
    own[k] = -1;
    Value v = n.broadcast(n.reshape(in[k], own), shape);
    out.push_back(xy ? swapped(n, v, 0, 1) : v);
  }
  return out;
}
Values broadcast_all(NodeContext& n) {
  const Values in = n.tensors("tensors");
  Values out;
  for (const Value& v : in) {
    Value y = v;
    for (const Value& w : in) y = n(Broadcast{BroadcastMode::bidirectional}, y, n.shape_of(w));
    out.push_back(y);
  }
  return out;
}
template <int rank>
Values at_least(NodeContext& n) {
  Value x = n.in("self");
  if (n.rank(x) == 0) x = n.reshape(x, {1});
  if (rank > 1 && n.rank(x) == 1) x = n.unsqueeze(x, {0});
  if (rank > 2 && n.rank(x) == 2) x = n.unsqueeze(x, {2});
  return {x};
}
Values rot90(NodeContext& n) {
  const Value x = n.in("self");
  const auto axes = n.axes(n.ints("dims", {0, 1}), x);
  const int64_t k = ((n.i("k", 1) % 4) + 4) % 4;
  if (k == 0) return {x};
  if (k == 2) return {n(Reverse{axes}, x)};
  if (k == 1) return {swapped(n, n(Reverse{{axes.at(1)}}, x), axes.at(0), axes.at(1))};
  return {n(Reverse{{axes.at(1)}}, swapped(n, x, axes.at(0), axes.at(1)))};
}

template <int64_t axis>
Values flip_sides(NodeContext& n) {
  return {n(Reverse{{n.axis(axis, n.in("self"))}}, n.in("self"))};
}
Values sum_to_size(NodeContext& n) {
  return {n(SumToShape{}, n.in("self"), n.sizes("size"))};
}

constexpr OperatorRow rows[] = {
    {"_reshape_alias", reshape},
    {"_unsafe_view", reshape},
    {"adjoint", matrix_transpose},
    {"as_strided", as_strided},
    {"as_strided_copy", as_strided},
    {"atleast_1d", at_least<1>},
    {"atleast_2d", at_least<2>},
    {"atleast_3d", at_least<3>},
    {"broadcast_tensors", broadcast_all},
    {"broadcast_to", expand},
    {"channel_shuffle", channel_shuffle},
    {"diagonal", diagonal},
    {"diagonal_copy", diagonal},
    {"expand", expand},
    {"expand_as", expand},
    {"expand_copy", expand},
    {"flatten", flatten},
    {"flip", flip},
    {"fliplr", flip_sides<1>},
    {"flipud", flip_sides<0>},
    {"linalg_diagonal", diagonal},
    {"mH", matrix_transpose},
    {"mT", matrix_transpose},
    {"matrix_H", matrix_transpose},
    {"meshgrid", meshgrid},
    {"moveaxis", move_axes},
    {"movedim", move_axes},
    {"narrow", narrow},
    {"narrow_copy", narrow},
    {"native_channel_shuffle", channel_shuffle},
    {"numpy_T", matrix_transpose},
    {"permute", permute},
    {"permute_copy", permute},
    {"pixel_shuffle", pixel_shuffle},
    {"pixel_unshuffle", pixel_unshuffle},
    {"ravel", flatten},
    {"repeat", repeat},
    {"repeat_interleave", repeat_interleave},
    {"reshape", reshape},
    {"reshape_as", reshape_like},
    {"roll", roll},
    {"rot90", rot90},
    {"select", select},
    {"select_copy", select},
    {"slice", slice},
    {"slice_copy", slice},
    {"squeeze", squeeze},
    {"squeeze_copy", squeeze},
    {"sum_to_size", sum_to_size},
    {"swapaxes", transpose},
    {"swapdims", transpose},
    {"t", matrix_transpose},
    {"t_copy", matrix_transpose},
    {"tile", repeat},
    {"transpose", transpose},
    {"transpose_copy", transpose},
    {"unflatten", unflatten},
    {"unfold", unfold},
    {"unfold_copy", unfold},
    {"unsqueeze", unsqueeze},
    {"unsqueeze_copy", unsqueeze},
    {"view", reshape},
    {"view_as", reshape_like},
    {"view_copy", reshape},
};

}  // namespace

std::span<const OperatorRow> shape_rows() {
  return rows;
}

}  // namespace hone::pytorch
