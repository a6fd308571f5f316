// Joining tensors and taking them apart.
#include <algorithm>

#include "formats/pytorch/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"

namespace hone::pytorch {
namespace {

Values cat(NodeContext& n) {
  Values in = n.tensors("tensors");
  // An empty vector among the inputs counts for nothing.
  std::erase_if(
      in, [](Value v) { return v.shape().rank_known() && v.shape().rank() == 1 && v.shape()[0] == Dimension(0); });
  if (in.empty()) return {n.tensors("tensors").at(0)};
  for (Value& v : in) v = n.cast(v, n.out_type(0, v.element_type()));
  const int64_t axis = n.axis(n.i("dim", 0), in[0]);
  return {in.size() == 1 ? in[0] : n.concat(in, axis)};
}
Value stacked(NodeContext& n, Values in, int64_t axis) {
  for (Value& v : in) v = n.unsqueeze(n.cast(v, n.out_type(0, v.element_type())), {axis});
  return in.size() == 1 ? in[0] : n.concat(in, axis);
}
Values stack(NodeContext& n) {
  const Values in = n.tensors("tensors");
  if (in.empty()) n.fail("wants tensors");
  int64_t axis = n.i("dim", 0);
  if (axis < 0) axis += static_cast<int64_t>(n.rank(in[0])) + 1;
  return {stacked(n, in, axis)};
}
// hstack joins along axis 1, of vectors along axis 0; vstack along axis 0 with vectors as rows.
template <bool horizontal>
Values stack_along(NodeContext& n) {
  Values in = n.tensors("tensors");
  for (Value& v : in) {
    if (n.rank(v) == 0) v = n.reshape(v, {1});
    if (!horizontal && n.rank(v) == 1) v = n.unsqueeze(v, {0});
  }
  return {n.concat(in, horizontal && n.rank(in.at(0)) > 1 ? 1 : 0)};
}

Values split_lengths(NodeContext& n, Value x, int64_t axis, std::vector<int64_t> lengths) {
  if (lengths.size() == 1) return {x};
  return n.all(VariadicSplit{}, {x, n.int_constant(axis), n.ints_constant(std::move(lengths))});
}
// The last piece takes what the indices leave.
Values split_at_indices(NodeContext& n, Value x, int64_t axis) {
  const auto at = n.ints("indices");
  std::vector<int64_t> lengths;
  for (size_t k = 0; k < at.size(); ++k) lengths.push_back(at[k] - (k ? at[k - 1] : 0));
  lengths.push_back(-1);
  return split_lengths(n, x, axis, lengths);
}
// Outputs are one list in the file, so their number is known.
size_t listed_outputs(NodeContext& n) {
  return n.outputs().size() == 1 && n.outputs()[0].kind == Argument::Kind::list ? n.outputs()[0].list.size()
                                                                                : n.num_outputs();
}

Values split(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t axis = n.axis(n.i("dim", 0), x);
  const char* name = n.has("split_size") ? "split_size" : n.has("split_sizes") ? "split_sizes" : "indices_or_sections";
  if (n.argument(name) && n.argument(name)->kind == Argument::Kind::list) {
    const Value lengths = n.sizes(name);
    return n.argument(name)->list.size() == 1 ? Values{x} : n.all(VariadicSplit{}, {x, n.int_constant(axis), lengths});
  }
  const size_t parts = listed_outputs(n);
  if (parts <= 1) return {x};
  const int64_t each = n.i(name);
  std::vector<int64_t> lengths(parts, each);
  lengths.back() = -1;
  return split_lengths(n, x, axis, lengths);
}
Values chunk(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t axis = n.axis(n.i("dim", 0), x);
  const size_t parts = listed_outputs(n);
  if (parts <= 1) return {x};
  const Dimension d = x.shape()[static_cast<size_t>(axis)];
  if (d.is_dynamic()) {
    // All but the last are as long as the first, which rounds up.
    const Value length = n.dim(x, axis), count = n.int_constant(std::max<int64_t>(1, n.i("chunks")));
    const Value up = n(Subtract{}, n(Add{}, length, count), n.int_constant(1));
    const Value each = n.reshape(n(Divide{}, up, count), {1});
    Values lengths(parts - 1, each);
    lengths.push_back(n.ints_constant({-1}));
    return n.all(VariadicSplit{}, {x, n.int_constant(axis), n.concat(lengths, 0)});
  }
  const int64_t each = (d.get_length() - 1) / std::max<int64_t>(1, n.i("chunks")) + 1;
  std::vector<int64_t> lengths(parts, each);
  lengths.back() = -1;
  return split_lengths(n, x, axis, lengths);
}
Values tensor_split(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t axis = n.axis(n.i("dim", 0), x);
  const size_t parts = listed_outputs(n);
  if (n.has("tensor_indices_or_sections") && n.rank(n.in("tensor_indices_or_sections")) > 0) {
    Values out;
    const Value at = n.cast(n.in("tensor_indices_or_sections"), ElementType::i64), one = n.int_constant(1);
    Value begin = n.int_constant(0);
    for (size_t k = 0; k < parts; ++k) {
      const Value end = k + 1 < parts ? n.gather(at, n.int_constant(static_cast<int64_t>(k)), 0) : n.dim(x, axis);
      out.push_back(n.slice(x, axis, begin, end, one));
      begin = end;
    }
    return out;
  }
  if (n.has("indices")) return split_at_indices(n, x, axis);
  const auto count = static_cast<int64_t>(parts);
  if (count > 0 && x.shape()[static_cast<size_t>(axis)].is_dynamic()) {
    // The first ones are longer by one where the length is no multiple.
    const Value length = n.dim(x, axis), by = n.int_constant(count), at = n.range(by);
    const Value longer = n.cast(n(Less{}, at, n(FloorMod{}, length, by)), ElementType::i64);
    return n.all(VariadicSplit{}, {x, n.int_constant(axis), n(Add{}, longer, n(Divide{}, length, by))});
  }
  const int64_t length = x.shape()[static_cast<size_t>(axis)].get_length();
  std::vector<int64_t> lengths;
  for (int64_t k = 0; k < count; ++k) lengths.push_back(length / count + (k < length % count ? 1 : 0));
  return split_lengths(n, x, axis, lengths);
}
Values unbind(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t axis = n.axis(n.i("dim", 0), x);
  const auto parts = static_cast<int64_t>(listed_outputs(n));
  Values out = parts <= 1 ? Values{x} : n.all(Split{parts}, {x, n.int_constant(axis)});
  for (Value& v : out) v = n.squeeze(v, {axis});
  return out;
}

Values column_stack(NodeContext& n) {
  Values in = n.tensors("tensors");
  for (Value& v : in) {
    if (n.rank(v) == 0) v = n.reshape(v, {1});
    if (n.rank(v) == 1) v = n.unsqueeze(v, {1});
  }
  return {n.concat(in, 1)};
}
Values depth_stack(NodeContext& n) {
  Values in = n.tensors("tensors");
  for (Value& v : in) {
    if (n.rank(v) == 0) v = n.reshape(v, {1});
    if (n.rank(v) == 1) v = n.unsqueeze(v, {0});
    if (n.rank(v) == 2) v = n.unsqueeze(v, {2});
  }
  return {n.concat(in, 2)};
}
// A number of parts, or where to cut; of vectors along their one axis.
template <int64_t wanted>
Values split_along(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t axis = wanted == 1 && n.rank(x) == 1 ? 0 : n.axis(wanted, x);
  if (n.has("indices")) return split_at_indices(n, x, axis);
  return n.all(Split{n.i("sections")}, {x, n.int_constant(axis)});
}
// Every choice of one element of each vector, the last one changing fastest.
Values cartesian_product(NodeContext& n) {
  const Values in = n.tensors("tensors");
  if (in.size() == 1) return {in[0]};
  Values lengths;
  for (const Value& v : in) lengths.push_back(n.shape_of(v));
  const Value shape = n.concat(lengths, 0);
  Values columns;
  for (size_t k = 0; k < in.size(); ++k) {
    const Value v = n.reshape(in[k], n.laid_along(static_cast<int64_t>(k), in.size()));
    columns.push_back(n.reshape(n.broadcast(v, shape), {-1, 1}));
  }
  return {n.concat(columns, 1)};
}
Values combinations(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t length = x.shape()[0].get_length(), r = n.i("r", 2);
  const bool repeated = n.flag("with_replacement", false);
  if (r < 1 || r > 8 || length > 4096) n.refuse("of that size is not offered");
  std::vector<int64_t> at, now;
  const auto choose = [&](auto&& self, int64_t from) -> void {
    if (static_cast<int64_t>(now.size()) == r) {
      at.insert(at.end(), now.begin(), now.end());
      if (at.size() > 1 << 22) n.refuse("of that size is not offered");
      return;
    }
    for (int64_t k = from; k < length; ++k) {
      now.push_back(k);
      self(self, repeated ? k : k + 1);
      now.pop_back();
    }
  };
  choose(choose, 0);
  const int64_t rows = static_cast<int64_t>(at.size()) / r;
  return {n.gather(x, n.reshape(n.ints_constant(at), {rows, r}), 0)};
}
// Sequences of different lengths as rows, padded behind or, with padding_side "left", in front.
Values pad_sequence(NodeContext& n) {
  Values in = n.tensors("sequences");
  if (in.empty()) n.fail("wants tensors");
  Value longest = n.dim(in[0], 0);
  for (const Value& v : in) longest = n(Maximum{}, longest, n.dim(v, 0));
  const bool left = n.s("padding_side", "right") == "left";
  const int64_t axis = n.flag("batch_first", false) ? 0 : 1;
  for (Value& v : in) {
    const Value more = n.reshape(n(Subtract{}, longest, n.dim(v, 0)), {1});
    const Value none = n.ints_constant(std::vector<int64_t>(n.rank(v), 0));
    Values parts{more};
    if (n.rank(v) > 1) parts.push_back(n.ints_constant(std::vector<int64_t>(n.rank(v) - 1, 0)));
    const Value pads = parts.size() == 1 ? parts[0] : n.concat(parts, 0);
    v = n.unsqueeze(
        n(Pad{PadMode::constant}, v, left ? pads : none, left ? none : pads, n.like(v, n.f("padding_value", 0))),
        {axis});
  }
  return {in.size() == 1 ? in[0] : n.concat(in, axis)};
}

constexpr OperatorRow rows[] = {
    {"cartesian_prod", cartesian_product},
    {"cat", cat},
    {"chunk", chunk},
    {"column_stack", column_stack},
    {"combinations", combinations},
    {"concat", cat},
    {"concatenate", cat},
    {"dsplit", split_along<2>},
    {"dstack", depth_stack},
    {"hsplit", split_along<1>},
    {"hstack", stack_along<true>},
    {"pad_sequence", pad_sequence},
    {"row_stack", stack_along<false>},
    {"split", split},
    {"split_copy", split},
    {"split_with_sizes", split},
    {"split_with_sizes_copy", split},
    {"stack", stack},
    {"tensor_split", tensor_split},
    {"unbind", unbind},
    {"unbind_copy", unbind},
    {"unsafe_chunk", chunk},
    {"unsafe_split", split},
    {"unsafe_split_with_sizes", split},
    {"vsplit", split_along<0>},
    {"vstack", stack_along<false>},
};

}  // namespace

std::span<const OperatorRow> joining_rows() {
  return rows;
}

}  // namespace hone::pytorch
