// Rows of the operators that move elements without computing: any element type of whole bytes.
#include "ops/movement.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>

#include "cpu/kernels/elementwise/program.hpp"
#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/movement/strided_copy.hpp"
#include "ops/indexing.hpp"

namespace hone::cpu {
namespace {

struct Move {
  size_t input, output;
  StridedCopy copy;
};
struct MovePlan {
  std::vector<Move> moves;
  std::optional<double> fill;  ///< Pad: what the output is filled with first
};

int64_t element_bytes(ElementType t) {
  const int bits = bit_width(t);
  return bits % 8 == 0 ? bits / 8 : 0;
}

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

bool known(const TensorDesc& d) {
  return d.constant && d.value;
}

using Why = const char*;

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

Why plan_move(const KernelQuery& q, MovePlan& p) {
  for (const Operator& o : operators) {
    if (q.op == o.name) return o.plan(q, p);
  }
  return "is no movement";
}

bool same_quantization(const TensorDesc& a, const TensorDesc& b) {
  if (!a.quantization || !b.quantization) return !a.quantization && !b.quantization;
  return *a.quantization == *b.quantization;
}

class MoveKernel : public PreparedKernel {
 public:
  MoveKernel(MovePlan plan, const TensorDesc& out)
      : plan_(std::move(plan)), bytes_(out.bytes()), element_(element_bytes(out.type)) {
    if (plan_.fill) {
      Tensor t(out.type, {1});
      set_element(t, 0, *plan_.fill);
      std::memcpy(pattern_, t.raw(), size_t(element_));
    }
  }
  void run(const KernelArgs& args) noexcept override {
    if (plan_.fill) {
      auto* to = static_cast<uint8_t*>(args.outputs[0]);
      args.pool.parallel_for(int64_t(bytes_) / element_, 64 << 10, [&](int64_t begin, int64_t end, int) {
        bool zero = true;
        for (int64_t i = 0; i < element_; ++i) zero = zero && pattern_[i] == pattern_[0];
        if (zero) {
          std::memset(to + begin * element_, pattern_[0], size_t((end - begin) * element_));
        } else {
          for (int64_t i = begin; i < end; ++i) std::memcpy(to + i * element_, pattern_, size_t(element_));
        }
      });
    }
    for (const Move& m : plan_.moves) m.copy.run(args.inputs[m.input], args.outputs[m.output], args.pool);
  }

 private:
  MovePlan plan_;
  size_t bytes_;
  int64_t element_;
  uint8_t pattern_[8] = {};
};

struct MoveRow {
  static Support supports(const KernelQuery& q) {
    if (!q.epilogue.empty()) return Support::no("takes no epilogue");
    const TensorDesc& y = q.outputs[0];
    const int64_t bytes = element_bytes(y.type);
    if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
      return Support::no(std::string("moves no ") + name_of(y.type));
    const size_t data_inputs = q.op == "Concat" ? q.num_op_inputs : 1;
    for (size_t i = 0; i < data_inputs; ++i) {
      if (q.inputs[i].type != y.type) return Support::no("input and output have different element types");
      if (!same_quantization(q.inputs[i], y)) return Support::no("input and output have different scales");
      if (q.inputs[i].quantization && q.inputs[i].quantization->scales.size() != 1)
        return Support::no("an input is quantized per channel");
    }
    MovePlan p;
    if (Why why = plan_move(q, p)) return Support::no(why);
    for (const Move& m : p.moves) {
      if (m.copy.dims.size() > StridedCopy::max_rank) return Support::no("has too many dimensions");
    }
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    MovePlan m;
    plan_move(q, m);
    for (const TensorDesc& y : q.outputs) p.cost += double(y.bytes()) * 1e-4;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    MovePlan p;
    plan_move(q, p);
    return std::make_unique<MoveKernel>(std::move(p), q.outputs[0]);
  }
};

// Gather: outer x indices x inner, whole rows at a time.
struct GatherRow {
  struct Sizes {
    int64_t outer = 1, axis = 1, count = 1, row_bytes = 1;
  };
  static std::optional<Sizes> sizes(const KernelQuery& q) {
    const TensorDesc& x = q.inputs[0];
    if (!known(q.inputs[2]) || q.attrs<Gather>().batch_dims != 0) return std::nullopt;
    int64_t axis = get_integer(q.inputs[2].value, 0);
    if (axis < 0) axis += int64_t(x.shape.size());
    if (axis < 0 || axis >= int64_t(x.shape.size())) return std::nullopt;
    Sizes s;
    s.row_bytes = element_bytes(x.type);
    for (int64_t i = 0; i < int64_t(x.shape.size()); ++i) {
      (i < axis ? s.outer : i == axis ? s.axis : s.row_bytes) *= i == axis ? 1 : x.shape[size_t(i)];
    }
    s.axis = x.shape[size_t(axis)];
    s.count = int64_t(q.inputs[1].size());
    return s;
  }
  class Prepared : public PreparedKernel {
   public:
    Prepared(Sizes s, bool wide) : s_(s), wide_(wide) {}
    void run(const KernelArgs& args) noexcept override {
      const auto* x = static_cast<const uint8_t*>(args.inputs[0]);
      auto* y = static_cast<uint8_t*>(args.outputs[0]);
      std::atomic<bool> bad{false};
      args.pool.parallel_for(
          s_.outer * s_.count, std::max<int64_t>(1, (32 << 10) / s_.row_bytes), [&](int64_t begin, int64_t end, int) {
            for (int64_t i = begin; i < end; ++i) {
              const int64_t k = i % s_.count, o = i / s_.count;
              int64_t index = wide_ ? static_cast<const int64_t*>(args.inputs[1])[k]
                                    : static_cast<const int32_t*>(args.inputs[1])[k];
              if (index < 0) index += s_.axis;
              if (index < 0 || index >= s_.axis) {
                std::memset(y + i * s_.row_bytes, 0, size_t(s_.row_bytes));
                bad.store(true, std::memory_order_relaxed);
                continue;
              }
              std::memcpy(y + i * s_.row_bytes, x + (o * s_.axis + index) * s_.row_bytes, size_t(s_.row_bytes));
            }
          });
      if (bad.load() && args.error) args.error->set("[Gather] an index lies outside of the axis");
    }

   private:
    Sizes s_;
    bool wide_;
  };
  static Support supports(const KernelQuery& q) {
    if (!q.epilogue.empty()) return Support::no("takes no epilogue");
    const TensorDesc& x = q.inputs[0];
    if (element_bytes(x.type) == 0 || x.type != q.outputs[0].type)
      return Support::no("moves elements of whole bytes only");
    if (!same_quantization(x, q.outputs[0]) || (x.quantization && x.quantization->scales.size() != 1)) {
      return Support::no("input and output have different scales");
    }
    if (x.layout != Layout::plain || q.outputs[0].layout != Layout::plain)
      return Support::no("takes the plain layout only");
    const ElementType t = q.inputs[1].type;
    if (t != ElementType::i32 && t != ElementType::i64) return Support::no("indices must be i32 or i64");
    if (!sizes(q)) return Support::no("takes a constant axis and no batch dimensions");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = 1 + double(q.outputs[0].bytes()) * 1e-4;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    return std::make_unique<Prepared>(*sizes(q), q.inputs[1].type == ElementType::i64);
  }
};

RowList make_rows() {
  RowList rows;
  for (const Operator& o : operators) rows.add<MoveRow>(row_prefix(o.name) + "_strided__any", o.name);
  rows.add<GatherRow>("gather_rows__any", "Gather");
  return rows;
}

}  // namespace

KernelList movement_kernels() {
  static const RowList rows = make_rows();
  return rows.list();
}

}  // namespace hone::cpu
