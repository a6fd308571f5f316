#include "passes/transposed_convolutions.hpp"

#include <algorithm>
#include <limits>

#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/window.hpp"
#include "passes/facts.hpp"
#include "rewrite/traits.hpp"

namespace hone {
namespace {

// One axis: `blocks` blocks of `stride` results, of which those from `crop` on are wanted, by a window of `taps`.
struct BlockAxis {
  int64_t in = 0, out = 0, kernel = 1, dilation = 1, stride = 1, taps = 1, blocks = 0, crop = 0;
  int64_t pad_begin = 0, pad_end = 0;
};

std::optional<BlockAxis> block_axis(const WindowAxis& a) {
  if (a.pad_begin < 0 || a.in < 1 || a.out < 1 || a.kernel < 1) return std::nullopt;
  BlockAxis b{.in = a.in, .out = a.out, .kernel = a.kernel, .dilation = a.dilation, .stride = a.stride};
  b.taps = (a.extent() + a.stride - 1) / a.stride;
  // Result p lies at p + pad_begin of all that the windows give; block j sees the pixels j - taps + 1 to j.
  const int64_t first = a.pad_begin / a.stride, last = (a.pad_begin + a.out - 1) / a.stride;
  b.blocks = last - first + 1;
  b.crop = a.pad_begin - first * a.stride;
  b.pad_begin = b.taps - 1 - first;
  b.pad_end = b.blocks - a.in - b.pad_begin + b.taps - 1;
  return b.pad_begin >= 0 && b.pad_end >= 0 ? std::optional(b) : std::nullopt;
}

struct Problem {
  int64_t images, groups, inputs, outputs;  ///< channels of one group
  std::vector<BlockAxis> axes;
  int64_t block() const {
    int64_t n = 1;
    for (const BlockAxis& a : axes) n *= a.stride;
    return n;
  }
};

// Weights under training would be rearranged in every step. Stored integers become numbers in a few steps.
bool is_constant(Value v, int steps = 4) {
  const Node n = v.node();
  if (n.is<Constant>()) return true;
  if (steps == 0 || !(n.is<FakeQuantize>() || n.is<Convert>() || n.is<Subtract>() || n.is<Multiply>())) return false;
  const Values in = n.inputs();
  return std::all_of(in.begin(), in.end(), [&](const Value& i) { return i && is_constant(i, steps - 1); });
}

template <class Op>
std::optional<Problem> problem_of(Node n, bool grouped) {
  const PartialShape &xs = n.input(0).shape(), &ws = n.input(1).shape(), &ys = n.output().shape();
  if (!xs.is_static() || !ws.is_static() || !ys.is_static() || !is_constant(n.input(1))) return std::nullopt;
  const size_t lead = grouped ? 3 : 2, rank = xs.rank() - 2;
  if (rank < 1 || rank > 3 || ws.rank() != lead + rank) return std::nullopt;
  const Shape x = xs.to_shape(), w = ws.to_shape(), y = ys.to_shape();
  const Op& op = *n.as<Op>();
  const WindowAttributes window = window::attributes_of(op, rank);
  Problem p{x[0], grouped ? w[0] : 1, w[lead - 2], w[lead - 1], {}};
  bool side_by_side = true;
  for (size_t i = 0; i < rank; ++i) {
    const bool given = n.num_inputs() > 2 && n.input(2);
    const WindowAxis a = window::resolve_transposed(
        window, i, x[2 + i], w[lead + i], op.output_padding.empty() ? 0 : op.output_padding[i], given ? y[2 + i] : -1);
    const auto axis = a.out == y[2 + i] ? block_axis(a) : std::nullopt;
    if (!axis) return std::nullopt;
    side_by_side &= axis->dilation == 1 && axis->kernel == axis->stride && axis->crop == 0 && axis->blocks == axis->in;
    p.axes.push_back(*axis);
  }
  return side_by_side && rank == 2 && !grouped ? std::nullopt : std::optional(p);
}

// Weights [G, I, O, k...] as those of the convolution: [G, block * O, I, taps...], taps in the order of the pixels.
Value block_weights(Builder& b, Value w, const Problem& p) {
  const size_t rank = p.axes.size();
  std::vector<int64_t> pads(3, 0), split{p.groups, p.inputs, p.outputs}, order{0}, taps, flipped, out;
  for (size_t i = 0; i < rank; ++i) {
    const BlockAxis& a = p.axes[i];
    pads.push_back(a.taps * a.stride - a.kernel * a.dilation);
    split.insert(split.end(), {a.taps, a.stride});
    order.push_back(static_cast<int64_t>(4 + 2 * i));
    taps.push_back(static_cast<int64_t>(3 + 2 * i));
    out.push_back(a.taps);
    flipped.push_back(taps.back());
  }
  order.insert(order.end(), {2, 1});
  order.insert(order.end(), taps.begin(), taps.end());
  Shape full{p.groups, p.inputs, p.outputs};
  for (const BlockAxis& a : p.axes) full.push_back(a.kernel);
  w = b(Reshape{}, w, b.ints(full));
  if (std::any_of(p.axes.begin(), p.axes.end(), [](const BlockAxis& a) { return a.dilation > 1; })) {
    // Zeros between the taps.
    std::vector<int64_t> apart{p.groups, p.inputs, p.outputs}, zeros(3, 0), joined = apart;
    for (const BlockAxis& a : p.axes) {
      apart.insert(apart.end(), {a.kernel, 1});
      zeros.insert(zeros.end(), {0, a.dilation - 1});
      joined.push_back(a.kernel * a.dilation);
    }
    w = b(Reshape{}, w, b.ints(apart));
    w = b(Pad{}, Values{w, b.ints(std::vector<int64_t>(zeros.size(), 0)), b.ints(zeros), b.like(w, 0)});
    w = b(Reshape{}, w, b.ints(joined));
  }
  w = b(Pad{}, Values{w, b.ints(std::vector<int64_t>(3 + rank, 0)), b.ints(pads), b.like(w, 0)});
  w = b(Reshape{}, w, b.ints(split));
  const std::vector<int64_t> last(rank, -1), before(rank, std::numeric_limits<int64_t>::min());
  w = b(Slice{}, Values{w, b.ints(last), b.ints(before), b.ints(last), b.ints(flipped)});
  std::vector<int64_t> shape{p.block() * p.outputs, p.inputs};
  if (p.groups > 1) shape.insert(shape.begin(), p.groups);
  shape.insert(shape.end(), out.begin(), out.end());
  return b(Reshape{}, b(Transpose{}, w, b.ints(order)), b.ints(shape));
}

// One number a channel, for the channels of the blocks.
Value block_operand(Builder& b, Value v, const Problem& p) {
  const size_t rank = p.axes.size() + 2;
  if (element_count(v.shape().to_shape()) == 1) return on_axis(b, v, rank, rank);
  v = b(Reshape{}, v, b.ints({p.groups, 1, p.outputs}));
  v = b(Tile{}, v, b.ints({1, p.block(), 1}));
  Shape shape(rank, 1);
  shape[1] = p.groups * p.block() * p.outputs;
  return b(Reshape{}, v, b.ints(shape));
}

// From [N, G * block * O, blocks...] to [N, G * O, out...].
Value side_by_side(Builder& b, Value y, const Problem& p) {
  const size_t rank = p.axes.size();
  const auto axis = [](size_t i) { return static_cast<int64_t>(i); };
  std::vector<int64_t> last{0}, split{p.images}, order{0}, joined{p.images}, begin, end, spatial, step, first{0};
  for (size_t i = 0; i < rank; ++i) {
    last.push_back(axis(2 + i));
    split.push_back(p.axes[i].blocks);
  }
  last.push_back(1);
  split.push_back(p.groups);
  for (size_t i = 0; i < rank; ++i) {
    const BlockAxis& a = p.axes[i];
    split.push_back(a.stride);
    order.insert(order.end(), {axis(1 + i), axis(2 + rank + i)});
    joined.push_back(a.blocks * a.stride);
    begin.push_back(a.crop);
    end.push_back(a.crop + a.out);
    step.push_back(1);
    spatial.push_back(axis(1 + i));
  }
  split.push_back(p.outputs);
  order.insert(order.end(), {axis(1 + rank), axis(2 + 2 * rank)});
  joined.push_back(p.groups * p.outputs);
  first.push_back(axis(1 + rank));
  first.insert(first.end(), spatial.begin(), spatial.end());

  y = b(Reshape{}, b(Transpose{}, y, b.ints(last)), b.ints(split));
  y = b(Reshape{}, b(Transpose{}, y, b.ints(order)), b.ints(joined));
  bool crops = false;
  for (const BlockAxis& a : p.axes) crops |= a.crop > 0 || a.out < a.blocks * a.stride;
  if (crops) y = b(Slice{}, Values{y, b.ints(begin), b.ints(end), b.ints(step), b.ints(spatial)});
  return b(Transpose{}, y, b.ints(first));
}

// Can `n` run on the blocks as well: an activation, arithmetic with one number (a channel), a per-tensor quantizer?
bool runs_on_blocks(Node n, Value data) {
  if (n.num_outputs() != 1 || !same_shape(n.output().shape(), data.shape()) || !n.graph->node(n.id).regions.empty())
    return false;
  if (is_unary_elementwise(n.op())) return n.input(0) == data;
  if (!is_elementwise(n.op()) && !n.is<FakeQuantize>()) return false;
  for (const Value& v : n.inputs()) {
    if (!v) return false;
    if (v == data) continue;
    if (!is_parameter_like(v) || !v.shape().is_static()) return false;
    const bool one = element_count(v.shape().to_shape()) == 1;
    if (!one && (n.is<FakeQuantize>() || !spreads_along(v, data.shape(), 1))) return false;
  }
  return true;
}

template <class Op>
bool convolve(Graph& g, Node n, bool grouped) {
  const auto p = problem_of<Op>(n, grouped);
  if (!p) return false;
  Builder b(g);
  b.set_name(g.node(n.id).name);
  std::vector<int64_t> begin, end;
  for (const BlockAxis& a : p->axes) {
    begin.push_back(a.pad_begin);
    end.push_back(a.pad_end);
  }
  const Value x = n.input(0), weights = block_weights(b, n.input(1), *p);
  Value y = p->groups > 1 ? b(GroupConvolution{.pads_begin = begin, .pads_end = end}, x, weights)
                          : b(Convolution{.pads_begin = begin, .pads_end = end}, x, weights);
  Value last = n.output();
  while (last.uses().size() == 1) {
    const Node user{&g, last.uses()[0].node};
    if (!runs_on_blocks(user, last)) break;
    Values in;
    for (const Value& v : user.inputs()) in.push_back(v == last ? y : block_operand(b, v, *p));
    b.set_name(g.node(user.id).name);
    y = b.add(user.op(), g.node(user.id).attributes, in).output(0);
    last = user.output();
  }
  g.replace_uses(last.id, side_by_side(b, y, *p).id);
  return true;
}

}  // namespace

size_t convolve_blocks(Graph& g) {
  size_t changed = 0;
  for (const NodeId id : g.topological_order()) {
    if (!g.alive(id) || g.node(id).epilogue) continue;
    const Node n = g.handle(id);
    if (n.is<ConvolutionBackpropData>()) {
      changed += convolve<ConvolutionBackpropData>(g, n, false);
    } else if (n.is<GroupConvolutionBackpropData>()) {
      changed += convolve<GroupConvolutionBackpropData>(g, n, true);
    }
  }
  return changed;
}

Pass transposed_convolutions_pass() {
  Pass pass;
  pass.name = "transposed_convolutions";
  pass.run = [](Graph& g, PassContext&) { return convolve_blocks(g); };
  return pass;
}

}  // namespace hone
