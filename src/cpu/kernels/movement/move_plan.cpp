#include "cpu/kernels/movement/move_plan.hpp"

#include <algorithm>

#include "ops/indexing.hpp"
#include "ops/movement.hpp"

namespace hone::cpu {

int64_t element_bytes(ElementType t) {
  const int bits = bit_width(t);
  return bits % 8 == 0 ? bits / 8 : 0;
}

bool known(const TensorDesc& d) {
  return d.constant && d.value;
}

namespace {

using Why = const char*;

// Strides of the logical dimensions, in elements.
std::vector<int64_t> logical_strides(const Shape& shape, Layout layout) {
  std::vector<size_t> order;
  for (size_t i = 0; i < shape.size(); ++i) order.push_back(i);
  if (layout == Layout::channels_last && shape.size() > 2)
    std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  std::vector<int64_t> s(shape.size());
  int64_t step = 1;
  for (size_t k = order.size(); k-- > 0;) {
    s[order[k]] = step;
    step *= shape[order[k]];
  }
  return s;
}

// A box of logical dimensions, walked in the memory order of the target.
StridedCopy box(ElementType type, Shape dims, std::vector<int64_t> from, std::vector<int64_t> to, int64_t from_offset,
                int64_t to_offset) {
  std::vector<size_t> order(dims.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return to[a] > to[b]; });
  StridedCopy c;
  c.element = element_bytes(type);
  c.from_offset = from_offset;
  c.to_offset = to_offset;
  for (size_t i : order) {
    c.dims.push_back(dims[i]);
    c.from_strides.push_back(from[i]);
    c.to_strides.push_back(to[i]);
  }
  c.simplify();
  return c;
}

Why plan_transpose(const KernelQuery& q, MovePlan& p) {
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  std::vector<int64_t> order;
  if (q.num_op_inputs > 1 && q.inputs[1].present) {
    if (!known(q.inputs[1])) return "the order is not constant";
    order = q.inputs[1].value.to_ints();
  }
  const size_t rank = x.shape.size();
  if (order.empty()) {
    for (size_t i = rank; i-- > 0;) order.push_back(int64_t(i));
  }
  if (order.size() != rank) return "the order has another length than the shape";
  const auto from = logical_strides(x.shape, x.layout);
  std::vector<int64_t> permuted;
  for (int64_t i : order) {
    if (i < 0 || i >= int64_t(rank)) return "the order is no permutation";
    permuted.push_back(from[size_t(i)]);
  }
  p.moves.push_back({0, 0, box(x.type, y.shape, permuted, logical_strides(y.shape, y.layout), 0, 0)});
  return nullptr;
}

Why plan_reorder(const KernelQuery& q, MovePlan& p) {
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  p.moves.push_back(
      {0, 0, box(x.type, y.shape, logical_strides(x.shape, x.layout), logical_strides(y.shape, y.layout), 0, 0)});
  return nullptr;
}

Why plan_reshape(const KernelQuery& q, MovePlan& p) {
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  const auto flat = [](const TensorDesc& d) {
    // Channels-last memory equals the plain one where at most one of channels and space is larger than 1.
    if (d.layout == Layout::plain || d.shape.size() < 3) return true;
    int64_t space = 1;
    for (size_t i = 2; i < d.shape.size(); ++i) space *= d.shape[i];
    return space == 1 || d.shape[1] == 1;
  };
  if (!flat(x) || !flat(y)) return "reshapes the plain layout only";
  p.moves.push_back({0, 0, box(x.type, {int64_t(x.size())}, {1}, {1}, 0, 0)});
  return nullptr;
}

Why plan_concat(const KernelQuery& q, MovePlan& p) {
  const TensorDesc& y = q.outputs[0];
  int64_t axis = q.attrs<Concat>().axis;
  if (axis < 0) axis += int64_t(y.shape.size());
  if (axis < 0 || axis >= int64_t(y.shape.size())) return "the axis lies outside of the shape";
  const auto to = logical_strides(y.shape, y.layout);
  int64_t at = 0;
  for (size_t i = 0; i < q.num_op_inputs; ++i) {
    const TensorDesc& x = q.inputs[i];
    p.moves.push_back({i, 0, box(x.type, x.shape, logical_strides(x.shape, x.layout), to, 0, at * to[size_t(axis)])});
    at += x.shape[size_t(axis)];
  }
  return nullptr;
}

Why plan_split(const KernelQuery& q, MovePlan& p) {
  const TensorDesc& x = q.inputs[0];
  if (!known(q.inputs[1])) return "the axis is not constant";
  int64_t axis = get_integer(q.inputs[1].value, 0);
  if (axis < 0) axis += int64_t(x.shape.size());
  if (axis < 0 || axis >= int64_t(x.shape.size())) return "the axis lies outside of the shape";
  const auto from = logical_strides(x.shape, x.layout);
  // Outputs that nobody reads have no shape: lengths come from the attributes.
  std::vector<int64_t> lengths(q.outputs.size(), x.shape[size_t(axis)] / int64_t(q.outputs.size()));
  if (q.op == "VariadicSplit") {
    if (!known(q.inputs[2])) return "the lengths are not constant";
    lengths = q.inputs[2].value.to_ints();
    if (lengths.size() != q.outputs.size()) return "there are more outputs than lengths, or fewer";
    int64_t rest = x.shape[size_t(axis)];
    for (int64_t n : lengths) rest -= n < 0 ? 0 : n;
    for (int64_t& n : lengths) n = n < 0 ? rest : n;
  }
  int64_t at = 0;
  for (size_t i = 0; i < q.outputs.size(); ++i) {
    const TensorDesc& y = q.outputs[i];
    if (y.present)
      p.moves.push_back(
          {0, i, box(x.type, y.shape, from, logical_strides(y.shape, y.layout), at * from[size_t(axis)], 0)});
    at += lengths[i];
  }
  return nullptr;
}

Why plan_slice(const KernelQuery& q, MovePlan& p) {
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  for (size_t i = 1; i < q.num_op_inputs; ++i) {
    if (q.inputs[i].present && !known(q.inputs[i])) return "start, step and axes are not constant";
  }
  const auto starts = q.inputs[1].value.to_ints(), steps = q.inputs[3].value.to_ints();
  std::vector<int64_t> axes;
  if (q.num_op_inputs > 4 && q.inputs[4].present) {
    axes = q.inputs[4].value.to_ints();
  } else {
    for (size_t i = 0; i < starts.size(); ++i) axes.push_back(int64_t(i));
  }
  auto from = logical_strides(x.shape, x.layout);
  int64_t offset = 0;
  for (size_t k = 0; k < axes.size(); ++k) {
    const int64_t a = axes[k] < 0 ? axes[k] + int64_t(x.shape.size()) : axes[k];
    if (a < 0 || a >= int64_t(x.shape.size())) return "an axis lies outside of the shape";
    const int64_t d = x.shape[size_t(a)], step = steps[k];
    int64_t start = starts[k] < 0 ? starts[k] + d : starts[k];
    start = step > 0 ? std::clamp<int64_t>(start, 0, d) : std::clamp<int64_t>(start, -1, d - 1);
    if (y.shape[size_t(a)] > 0 && start >= 0) offset += start * from[size_t(a)];
    from[size_t(a)] *= step;
  }
  if (y.size() == 0) return nullptr;
  p.moves.push_back({0, 0, box(x.type, y.shape, from, logical_strides(y.shape, y.layout), offset, 0)});
  return nullptr;
}

// Masks, ellipsis, new and dropped axes as the reference reads them.
Why plan_strided_slice(const KernelQuery& q, MovePlan& p) {
  const auto op = q.attrs<StridedSlice>();
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  if (x.layout != Layout::plain || y.layout != Layout::plain) return "takes the plain layout only";
  for (size_t i = 1; i < q.num_op_inputs; ++i) {
    if (q.inputs[i].present && !known(q.inputs[i])) return "begin, end and strides are not constant";
  }
  const auto begin = q.inputs[1].value.to_ints();
  std::vector<int64_t> step(begin.size(), 1);
  if (q.num_op_inputs > 3 && q.inputs[3].present) step = q.inputs[3].value.to_ints();
  if (step.size() != begin.size()) return "begin and strides differ in size";
  const auto set = [](const std::vector<int64_t>& mask, size_t i) { return i < mask.size() && mask[i] != 0; };
  size_t taken = 0;  // axes of x that entries other than the ellipsis stand for
  for (size_t i = 0; i < begin.size(); ++i) taken += !set(op.new_axis_mask, i) && !set(op.ellipsis_mask, i);
  const size_t rank = x.shape.size();
  if (taken > rank) return "there are more entries than dimensions";
  const auto own = logical_strides(x.shape, x.layout);
  std::vector<int64_t> from;
  int64_t offset = 0;
  size_t axis = 0;
  bool seen = false;
  for (size_t i = 0; i < begin.size(); ++i) {
    if (set(op.ellipsis_mask, i)) {
      if (seen) return "has two ellipses";
      seen = true;
      for (size_t k = 0; k < rank - taken; ++k) from.push_back(own[axis++]);
    } else if (set(op.new_axis_mask, i)) {
      from.push_back(0);
    } else {
      const int64_t d = x.shape[axis], s = step[i];
      if (s == 0 || std::abs(s) > (int64_t(1) << 31)) return "a stride is 0 or beyond 32 bits";
      int64_t at = begin[i] < 0 ? begin[i] + d : begin[i];
      if (set(op.shrink_axis_mask, i)) {
        if (set(op.begin_mask, i)) at = 0;
        if (at < 0 || at >= d) return "an index lies outside of the shape";
        offset += at * own[axis++];
        continue;
      }
      if (set(op.begin_mask, i)) at = s > 0 ? 0 : d - 1;
      at = s > 0 ? std::clamp<int64_t>(at, 0, d) : std::clamp<int64_t>(at, -1, d - 1);
      offset += at * own[axis];
      from.push_back(own[axis++] * s);
    }
  }
  while (axis < rank) from.push_back(own[axis++]);
  if (from.size() != y.shape.size()) return "the result has another rank";
  if (y.size() == 0) return nullptr;
  // Every element lies inside, whatever the end was.
  int64_t low = offset, high = offset;
  for (size_t i = 0; i < from.size(); ++i) (from[i] < 0 ? low : high) += (y.shape[i] - 1) * from[i];
  if (low < 0 || high >= int64_t(x.size())) return "the result is larger than the slice";
  p.moves.push_back({0, 0, box(x.type, y.shape, from, logical_strides(y.shape, y.layout), offset, 0)});
  return nullptr;
}

Why plan_reverse(const KernelQuery& q, MovePlan& p) {
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  auto from = logical_strides(x.shape, x.layout);
  const auto rank = int64_t(x.shape.size());
  std::vector<bool> turned(size_t(rank), false);
  for (int64_t a : q.attrs<Reverse>().axes) {
    if (a < 0) a += rank;
    if (a < 0 || a >= rank) return "an axis lies outside of the shape";
    turned[size_t(a)] = true;
  }
  int64_t offset = 0;
  for (size_t a = 0; a < size_t(rank); ++a) {
    if (!turned[a]) continue;
    offset += (x.shape[a] - 1) * from[a];
    from[a] = -from[a];
  }
  if (y.size() > 0)
    p.moves.push_back({0, 0, box(x.type, y.shape, from, logical_strides(y.shape, y.layout), offset, 0)});
  return nullptr;
}

// Channel `c * group + g` of the result is channel `g * (channels / group) + c`.
Why plan_shuffle(const KernelQuery& q, MovePlan& p) {
  const auto op = q.attrs<ShuffleChannels>();
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  const auto rank = int64_t(x.shape.size());
  const int64_t axis = op.axis < 0 ? op.axis + rank : op.axis;
  if (axis < 0 || axis >= rank) return "the axis lies outside of the shape";
  const int64_t group = op.group, size = x.shape[size_t(axis)];
  if (group < 1 || size % group != 0) return "the groups do not divide the axis";
  Shape dims;
  std::vector<int64_t> from, to;
  const auto own = logical_strides(x.shape, x.layout), out = logical_strides(y.shape, y.layout);
  for (size_t i = 0; i < x.shape.size(); ++i) {
    if (int64_t(i) == axis) {
      dims.insert(dims.end(), {size / group, group});
      from.insert(from.end(), {own[i], own[i] * (size / group)});
      to.insert(to.end(), {out[i] * group, out[i]});
    } else {
      dims.push_back(x.shape[i]);
      from.push_back(own[i]);
      to.push_back(out[i]);
    }
  }
  p.moves.push_back({0, 0, box(x.type, dims, from, to, 0, 0)});
  return nullptr;
}

// Channels of x to places inside of the blocks of y, or back.
Why plan_blocks(const KernelQuery& q, MovePlan& p, DepthMode mode, int64_t block, bool back) {
  const TensorDesc &x = back ? q.outputs[0] : q.inputs[0], &y = back ? q.inputs[0] : q.outputs[0];
  const size_t rank = x.shape.size();
  if (rank < 3 || y.shape.size() != rank || block < 1) return "has no space";
  const auto own = logical_strides(x.shape, x.layout), out = logical_strides(y.shape, y.layout);
  int64_t blocks = 1;
  for (size_t i = 2; i < rank; ++i) blocks *= block;
  const int64_t channels = y.shape[1];
  if (x.shape[1] != channels * blocks) return "the blocks do not divide the channels";
  // Pixels of a picture's colours are better written as planes, which the expansion comes to.
  if (channels < 8) return "has less than 8 channels";
  const bool first = mode == DepthMode::blocks_first;
  Shape dims{x.shape[0], channels};
  std::vector<int64_t> from{own[0], first ? own[1] : own[1] * blocks}, to{out[0], out[1]};
  int64_t step = first ? own[1] * channels * blocks : own[1] * blocks;
  for (size_t i = 2; i < rank; ++i) {
    step /= block;
    dims.insert(dims.end(), {x.shape[i], block});
    from.insert(from.end(), {own[i], step});
    to.insert(to.end(), {out[i] * block, out[i]});
  }
  p.moves.push_back({0, 0, back ? box(x.type, dims, to, from, 0, 0) : box(x.type, dims, from, to, 0, 0)});
  return nullptr;
}
Why plan_depth_to_space(const KernelQuery& q, MovePlan& p) {
  const auto op = q.attrs<DepthToSpace>();
  return plan_blocks(q, p, op.mode, op.block_size, false);
}
Why plan_space_to_depth(const KernelQuery& q, MovePlan& p) {
  const auto op = q.attrs<SpaceToDepth>();
  return plan_blocks(q, p, op.mode, op.block_size, true);
}

// Each dimension of the result is one of repeats and one of the input.
Why plan_tile(const KernelQuery& q, MovePlan& p) {
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  if (x.layout != Layout::plain || y.layout != Layout::plain) return "takes the plain layout only";
  if (x.shape.size() > y.shape.size()) return "the input has more dimensions than the output";
  const auto own = logical_strides(x.shape, x.layout), to = logical_strides(y.shape, y.layout);
  Shape dims;
  std::vector<int64_t> from_steps, to_steps;
  for (size_t i = 0; i < y.shape.size(); ++i) {
    const size_t lead = y.shape.size() - x.shape.size();
    const int64_t d = i < lead ? 1 : x.shape[i - lead];
    if (d == 0) return nullptr;
    if (y.shape[i] % d != 0) return "the result is no multiple of the input";
    dims.insert(dims.end(), {y.shape[i] / d, d});
    from_steps.insert(from_steps.end(), {0, i < lead ? 0 : own[i - lead]});
    to_steps.insert(to_steps.end(), {to[i] * d, to[i]});
  }
  p.moves.push_back({0, 0, box(x.type, dims, from_steps, to_steps, 0, 0)});
  return nullptr;
}

Why plan_pad(const KernelQuery& q, MovePlan& p) {
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  if (q.attrs<Pad>().pad_mode != PadMode::constant) return "pads with a constant only";
  if (!known(q.inputs[1])) return "the pads are not constant";
  const auto begins = q.inputs[1].value.to_ints();
  p.fill = 0;
  if (q.num_op_inputs > 3 && q.inputs[3].present) {
    if (!known(q.inputs[3])) return "the value is not constant";
    p.fill = get_element(q.inputs[3].value, 0);
  }
  if (x.quantization) *p.fill = *p.fill / double(x.quantization->scale(0)) + x.quantization->zero_point(0);
  const auto from = logical_strides(x.shape, x.layout), to = logical_strides(y.shape, y.layout);
  Shape dims = x.shape;
  int64_t from_offset = 0, to_offset = 0;
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t b = begins[i], first = std::max<int64_t>(0, -b), last = std::min(x.shape[i], y.shape[i] - b);
    dims[i] = std::max<int64_t>(0, last - first);
    from_offset += first * from[i];
    to_offset += std::max<int64_t>(0, b) * to[i];
  }
  if (element_count(dims) > 0) p.moves.push_back({0, 0, box(x.type, dims, from, to, from_offset, to_offset)});
  return nullptr;
}

Why plan_broadcast(const KernelQuery& q, MovePlan& p) {
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  if (q.attrs<Broadcast>().mode == BroadcastMode::explicit_) return "takes no axes mapping";
  if (x.shape.size() > y.shape.size()) return "the input has more dimensions than the output";
  const auto own = logical_strides(x.shape, x.layout);
  std::vector<int64_t> from(y.shape.size(), 0);
  for (size_t i = 0; i < x.shape.size(); ++i) {
    from[y.shape.size() - x.shape.size() + i] = x.shape[i] == 1 ? 0 : own[i];
  }
  p.moves.push_back({0, 0, box(x.type, y.shape, from, logical_strides(y.shape, y.layout), 0, 0)});
  return nullptr;
}

struct Operator {
  const char* name;
  Why (*plan)(const KernelQuery&, MovePlan&);
};
constexpr Operator operators[] = {{"Transpose", plan_transpose},
                                  {"Reorder", plan_reorder},
                                  {"Reshape", plan_reshape},
                                  {"Squeeze", plan_reshape},
                                  {"Unsqueeze", plan_reshape},
                                  {"Concat", plan_concat},
                                  {"Split", plan_split},
                                  {"VariadicSplit", plan_split},
                                  {"Slice", plan_slice},
                                  {"Pad", plan_pad},
                                  {"Broadcast", plan_broadcast},
                                  {"StridedSlice", plan_strided_slice},
                                  {"Tile", plan_tile},
                                  {"ShuffleChannels", plan_shuffle},
                                  {"Reverse", plan_reverse},
                                  {"DepthToSpace", plan_depth_to_space},
                                  {"SpaceToDepth", plan_space_to_depth}};

}  // namespace

std::vector<const char*> moved_operators() {
  std::vector<const char*> names;
  for (const Operator& o : operators) names.push_back(o.name);
  return names;
}

const char* plan_move(const KernelQuery& q, MovePlan& p) {
  for (const Operator& o : operators) {
    if (q.op == o.name) return o.plan(q, p);
  }
  return "is no movement";
}

}  // namespace hone::cpu
