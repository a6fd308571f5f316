// Parts of tensors: slices, splits, pads, reversal.
#include "formats/tflite/mapping.hpp"
#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"

namespace hone::tflite {
namespace {

// Bit k of a mask speaks of entry k of the ranges. All masks have one number for each entry, as OpenVINO wants it.
std::vector<int64_t> mask(int32_t bits, size_t entries) {
  std::vector<int64_t> m;
  for (size_t k = 0; k < entries; ++k) m.push_back(k < 32 ? static_cast<uint32_t>(bits) >> k & 1u : 0u);
  return m;
}

Values strided_slice(NodeContext& n) {
  const Value x = n.in(0), begin = n.index_vector(1), stride = n.index_vector(3);
  Value end = n.index_vector(2);
  const PartialShape known = shape_of_rank(begin.shape());
  if (!known.rank_known()) n.refuse("needs ranges of known length");
  const size_t entries = known.rank();
  if (n.flag(5)) end = n(Add{}, begin, end);  // the end counts from the beginning
  StridedSlice op;
  op.begin_mask = mask(n.i(0), entries);
  op.end_mask = mask(n.i(1), entries);
  op.ellipsis_mask = mask(n.i(2), entries);
  op.new_axis_mask = mask(n.i(3), entries);
  op.shrink_axis_mask = mask(n.i(4), entries);
  return {n(op, x, begin, end, stride)};
}

// Inputs: data, begin, sizes; -1 takes all that is left.
Values slice(NodeContext& n) {
  const Value x = n.in(0), begin = n.index_vector(1), size = n.index_vector(2);
  Value end = n(Add{}, begin, size);
  if (const Tensor sizes = n.constant(2)) {
    bool rest = false;
    for (int64_t s : sizes.to_ints()) rest |= s < 0;
    if (rest) end = n(Select{}, n(Less{}, size, n.int_constant(0)), n.shape_of(x), end);
  } else {
    end = n(Select{}, n(Less{}, size, n.int_constant(0)), n.shape_of(x), end);
  }
  std::vector<int64_t> ones(n.rank(x), 1), axes;
  for (size_t k = 0; k < ones.size(); ++k) axes.push_back(static_cast<int64_t>(k));
  return {n(Slice{}, x, begin, end, n.ints_constant(ones), n.ints_constant(axes))};
}

// Inputs: axis, data.
Values split(NodeContext& n) {
  const auto axis = n.ints(0, "the axis");
  if (axis.size() != 1 || n.num_outputs() < 1) n.fail("wants one axis and some outputs");
  const Value x = n.in(1);
  return n.all(Split{static_cast<int64_t>(n.num_outputs())}, {x, n.int_constant(n.axis(axis[0], x))});
}
// Inputs: data, lengths, axis.
Values split_v(NodeContext& n) {
  const auto axis = n.ints(2, "the axis");
  if (axis.size() != 1) n.fail("wants one axis");
  const Value x = n.in(0);
  return n.all(VariadicSplit{}, {x, n.int_constant(n.axis(axis[0], x)), n.index_vector(1)});
}

// Pads are pairs, one an axis. Where the data are quantized the padding stands for zero.
Value padded(NodeContext& n, PadMode mode, Value with) {
  const Value x = n.in(0), pads = n.cast(n.any(1), ElementType::i64);
  if (n.rank(pads) != 2) n.fail("pads must be pairs");
  const auto column = [&](int64_t k) {
    if (const Tensor t = NodeContext::known(pads); t && t.size() % 2 == 0) {
      std::vector<int64_t> v;
      const auto all = t.to_ints();
      for (size_t i = static_cast<size_t>(k); i < all.size(); i += 2) v.push_back(all[i]);
      return n.ints_constant(v);
    }
    return n.gather(pads, n.int_constant(k), 1);
  };
  return with ? n(Pad{mode}, x, column(0), column(1), with) : n(Pad{mode}, x, column(0), column(1));
}
Values pad(NodeContext& n) {
  return {padded(n, PadMode::constant, n.like(n.in(0), 0))};
}
Values pad_v2(NodeContext& n) {
  const Value with = n.in(2);
  return {padded(n, PadMode::constant, n.rank(with) == 0 ? with : n.reshape(with, {}))};
}
Values mirror_pad(NodeContext& n) {
  return {padded(n, n.code(0) == 0 ? PadMode::reflect : PadMode::symmetric, {})};
}

Values reverse(NodeContext& n) {
  const Value x = n.in(0);
  Reverse op;
  for (int64_t a : n.ints(1, "the axes")) op.axes.push_back(n.axis(a, x));
  return {n(op, x)};
}
Values reverse_sequence(NodeContext& n) {
  const Value x = n.in(0);
  return {n(ReverseSequence{n.axis(n.i(1), x), n.axis(n.i(0), x)}, x, n.cast(n.any(1), ElementType::i64))};
}

// Writes the update over the operand at a place that is known when the model runs, moved so that it fits.
Values dynamic_update_slice(NodeContext& n) {
  const Value x = n.in(0), update = n.in(1);
  const size_t rank = n.rank(x);
  const Value shape = n.shape_of(x), room = n(Subtract{}, shape, n.shape_of(update));
  const Value zero = n.int_constant(0);
  const Value start = n(Maximum{}, n(Minimum{}, n.index_vector(2), room), zero);
  if (rank == 0) return {update};
  const Value after = n(Subtract{}, room, start);
  const Value inside =
      n(Pad{}, n(Broadcast{}, n.b.scalar<int32_t>(1), n.shape_of(update)), start, after, n.b.scalar<int32_t>(0));
  const Value moved = n(Pad{}, update, start, after, n.like(update, 0));
  return {n(Select{}, n(Equal{}, n(Reshape{}, inside, shape), n.b.scalar<int32_t>(1)), n(Reshape{}, moved, shape), x)};
}

// Zeros (or a given value) between the elements.
Values dilate(NodeContext& n) {
  Value x = n.in(0);
  const auto steps = n.ints(1, "the dilations");
  const size_t rank = n.rank(x);
  if (steps.size() != rank) n.fail("wants a dilation for each axis");
  const Value with = n.has(2) ? n.reshape(n.in(2), {}) : n.like(x, 0);
  for (size_t k = 0; k < rank; ++k) {
    if (steps[k] < 1) n.fail("dilations must be positive");
    if (steps[k] == 1) continue;
    // [.., d, ..] -> [.., d, 1, ..] -> [.., d, s, ..] -> [.., d * s, ..], less the last s - 1.
    const auto axis = static_cast<int64_t>(k);
    std::vector<int64_t> before(rank + 1, 0), after(rank + 1, 0);
    after[k + 1] = steps[k] - 1;
    const Value wide = n(Pad{}, n.unsqueeze(x, {axis + 1}), n.ints_constant(before), n.ints_constant(after), with);
    Values target;
    const Value s = n.shape_of(x);
    if (k > 0) target.push_back(n.slice(s, 0, 0, axis));
    target.push_back(n.ints_constant({-1}));
    if (k + 1 < rank) target.push_back(n.slice(s, 0, axis + 1, static_cast<int64_t>(rank)));
    x = n.slice(n(Reshape{}, wide, n.concat(target, 0)), axis, 0, 1 - steps[k]);
  }
  return {x};
}

constexpr OperatorRow rows[] = {
    {34, "PAD", pad, Numbers::moved},
    {45, "STRIDED_SLICE", strided_slice, Numbers::moved},
    {49, "SPLIT", split, Numbers::moved},
    {60, "PADV2", pad_v2, Numbers::moved},
    {65, "SLICE", slice, Numbers::moved},
    {100, "MIRROR_PAD", mirror_pad, Numbers::moved},
    {102, "SPLIT_V", split_v, Numbers::moved},
    {105, "REVERSE_V2", reverse, Numbers::moved},
    {112, "REVERSE_SEQUENCE", reverse_sequence, Numbers::moved},
    {151, "DYNAMIC_UPDATE_SLICE", dynamic_update_slice, Numbers::moved},
    {203, "DILATE", dilate, Numbers::moved},
};

}  // namespace

std::span<const OperatorRow> slicing_rows() {
  return rows;
}

}  // namespace hone::tflite
