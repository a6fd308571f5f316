// Joining tensors and taking them apart.
#include <algorithm>

#include "formats/pytorch/mapping.hpp"
#include "ops/basic.hpp"
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
  if (d.is_dynamic()) return n.all(Split{static_cast<int64_t>(parts)}, {x, n.int_constant(axis)});
  const int64_t each = (d.get_length() - 1) / std::max<int64_t>(1, n.i("chunks")) + 1;
  std::vector<int64_t> lengths(parts, each);
  lengths.back() = -1;
  return split_lengths(n, x, axis, lengths);
}
Values tensor_split(NodeContext& n) {
  const Value x = n.in("self");
  const int64_t axis = n.axis(n.i("dim", 0), x);
  const size_t parts = listed_outputs(n);
  if (n.has("indices")) {
    const auto at = n.ints("indices");
    std::vector<int64_t> lengths;
    for (size_t k = 0; k < at.size(); ++k) lengths.push_back(at[k] - (k ? at[k - 1] : 0));
    lengths.push_back(-1);
    return split_lengths(n, x, axis, lengths);
  }
  const int64_t length = x.shape()[static_cast<size_t>(axis)].get_length(), count = static_cast<int64_t>(parts);
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

constexpr OperatorRow rows[] = {
    {"cat", cat},
    {"chunk", chunk},
    {"concat", cat},
    {"concatenate", cat},
    {"hstack", stack_along<true>},
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
    {"vstack", stack_along<false>},
};

}  // namespace

std::span<const OperatorRow> joining_rows() {
  return rows;
}

}  // namespace hone::pytorch
