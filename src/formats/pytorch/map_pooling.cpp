// Pooling, and patches as columns.
#include "formats/pytorch/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/blocks.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/pooling.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

// How many spatial axes an operator has: the digit before the final 'd'.
size_t spatial_of(NodeContext& n) {
  const size_t at = n.op().find("d", n.op().find("pool"));
  if (at == std::string_view::npos || at == 0) n.fail("has no known number of axes");
  return static_cast<size_t>(n.op()[at - 1] - '0');
}
std::vector<int64_t> per_axis(NodeContext& n, const char* name, size_t spatial, std::vector<int64_t> otherwise) {
  auto v = n.ints(name);
  if (v.empty()) v = std::move(otherwise);
  if (v.size() == 1) v.resize(spatial, v[0]);
  if (v.size() != spatial) n.fail(std::string(name) + " must have one number for each spatial axis");
  return v;
}
template <class F>
Values batched(NodeContext& n, size_t spatial, F&& f) {
  const Value x = n.in("self");
  if (n.rank(x) == spatial + 2) return f(x);
  Values out = f(n.unsqueeze(x, {0}));
  for (Value& v : out) v = n.squeeze(v, {0});
  return out;
}

Values max_pool(NodeContext& n) {
  const size_t spatial = spatial_of(n);
  MaxPool op;
  op.kernel = per_axis(n, "kernel_size", spatial, {});
  op.strides = per_axis(n, "stride", spatial, op.kernel);
  op.pads_begin = op.pads_end = per_axis(n, "padding", spatial, {0});
  op.dilations = per_axis(n, "dilation", spatial, {1});
  op.rounding_type = n.flag("ceil_mode", false) ? RoundingType::ceil_torch : RoundingType::floor;
  op.axis = 2;
  const bool indices = n.op().find("with_indices") != std::string_view::npos;
  return batched(n, spatial, [&](Value x) {
    Values out = n.all(op, {x});
    out.resize(indices ? 2 : 1);
    return out;
  });
}
// Sums of windows over a divisor of their own. Pads become zeros of the picture, so that every window is whole.
Value sum_pool(NodeContext& n, Value x, AvgPool op) {
  const size_t spatial = op.kernel.size();
  std::vector<int64_t> begin(spatial + 2, 0), end(spatial + 2, 0);
  double elements = 1;
  for (size_t k = 0; k < spatial; ++k) {
    begin[k + 2] = end[k + 2] = op.pads_begin[k];
    elements *= static_cast<double>(op.kernel[k]);
    if (op.rounding_type == RoundingType::floor) continue;
    const Dimension d = x.shape()[k + 2];
    if (d.is_dynamic()) n.refuse("with divisor_override and ceil_mode needs static sizes");
    if (op.strides[k] < 1) n.fail("has a wrong stride");
    const int64_t length = d.get_length() + 2 * op.pads_begin[k], room = length - op.kernel[k];
    int64_t windows = (room + op.strides[k] - 1) / op.strides[k] + 1;
    // The last window begins inside of the picture or its left pad.
    if ((windows - 1) * op.strides[k] >= d.get_length() + op.pads_begin[k]) --windows;
    end[k + 2] += std::max<int64_t>(0, (windows - 1) * op.strides[k] + op.kernel[k] - length);
  }
  x = n(Pad{PadMode::constant}, x, n.ints_constant(begin), n.ints_constant(end), n.like(x, 0));
  op.rounding_type = RoundingType::floor;
  op.exclude_pad = false;
  op.pads_begin = op.pads_end = std::vector<int64_t>(spatial, 0);
  const Value y = n(op, x);
  return n(Multiply{}, y, n.like(y, elements / static_cast<double>(n.i("divisor_override"))));
}
Values average_pool(NodeContext& n) {
  const size_t spatial = spatial_of(n);
  AvgPool op;
  op.kernel = per_axis(n, "kernel_size", spatial, {});
  op.strides = per_axis(n, "stride", spatial, op.kernel);
  op.pads_begin = op.pads_end = per_axis(n, "padding", spatial, {0});
  op.exclude_pad = !n.flag("count_include_pad", true);
  op.rounding_type = n.flag("ceil_mode", false) ? RoundingType::ceil_torch : RoundingType::floor;
  if (n.has("divisor_override")) return batched(n, spatial, [&](Value x) -> Values { return {sum_pool(n, x, op)}; });
  return batched(n, spatial, [&](Value x) -> Values { return {n(op, x)}; });
}

template <bool largest>
Values adaptive_pool(NodeContext& n) {
  const size_t spatial = spatial_of(n);
  const Argument* size = n.argument("output_size");
  if (!size || size->list.size() != spatial) n.fail("output_size must have one number for each spatial axis");
  bool ones = true;
  for (const Argument& a : size->list) ones &= a.kind == Argument::Kind::integer && a.integer == 1;
  return batched(n, spatial, [&](Value x) -> Values {
    if constexpr (largest) return n.all(AdaptiveMaxPool{}, {x, n.sizes("output_size")});
    if (!ones) return {n(AdaptiveAvgPool{}, x, n.sizes("output_size"))};
    std::vector<int64_t> axes;
    for (size_t k = 0; k < spatial; ++k) axes.push_back(static_cast<int64_t>(k) + 2);
    return {n(ReduceMean{true}, x, n.ints_constant(axes))};
  });
}

// Columns of patches [N, C * kernel, positions] and back.
Values fold(NodeContext& n) {
  Col2Im op;
  op.strides = per_axis(n, "stride", 2, {1});
  op.dilations = per_axis(n, "dilation", 2, {1});
  op.pads_begin = op.pads_end = per_axis(n, "padding", 2, {0});
  const auto kernel = per_axis(n, "kernel_size", 2, {});
  const Value x = n.in("self");
  if (n.rank(x) == 3) return {n(op, x, n.sizes("output_size"), n.ints_constant(kernel))};
  return {n.squeeze(n(op, n.unsqueeze(x, {0}), n.sizes("output_size"), n.ints_constant(kernel)), {0})};
}
Values unfold(NodeContext& n) {
  const Value x = n.in("self");
  if (n.rank(x) != 4) n.refuse("wants a batch of pictures");
  const auto kernel = per_axis(n, "kernel_size", 2, {}), stride = per_axis(n, "stride", 2, {1}),
             dilation = per_axis(n, "dilation", 2, {1}), pad = per_axis(n, "padding", 2, {0});
  const Value padded = n(Pad{PadMode::constant}, x, n.ints_constant({0, 0, pad[0], pad[1]}),
                         n.ints_constant({0, 0, pad[0], pad[1]}), n.scalar_of(x.element_type(), 0));
  // Positions of each kernel element along an axis: [kernel, windows].
  Value y = padded, count;
  for (int64_t k = 0; k < 2; ++k) {
    const auto u = static_cast<size_t>(k);
    if (stride[u] < 1 || dilation[u] < 1 || kernel[u] < 1 || kernel[u] > 4096 || dilation[u] > 4096)
      n.fail("has a wrong window");
    const Value by = n.int_constant(stride[u]), reach = n.int_constant(dilation[u] * (kernel[u] - 1) + 1);
    const Value windows = n(Add{}, n(Divide{}, n(Subtract{}, n.dim(padded, 2 + k), reach), by), n.int_constant(1));
    count = count ? n(Multiply{}, count, windows) : windows;
    const Value taps = n(Multiply{}, n.range(n.int_constant(kernel[u])), n.int_constant(dilation[u]));
    const Value at = n(Add{}, n.unsqueeze(taps, {1}), n.unsqueeze(n(Multiply{}, n.range(windows), by), {0}));
    y = n.gather(y, at, k == 0 ? 2 : 4);
  }
  // [N, C, kh, windows, kw, windows] -> [N, C * kh * kw, windows * windows]
  y = n.transpose(y, {0, 1, 2, 4, 3, 5});
  const Value shape =
      n.concat({n.dims(x, 0, 1), n(Multiply{}, n.dims(x, 1, 2), n.ints_constant({kernel[0] * kernel[1]})),
                n.reshape(count, {1})},
               0);
  return {n.reshape_to(y, shape)};
}

// Elements at the places, among the spatial axes of the output, where pooling found them.
Values max_unpool(NodeContext& n) {
  const size_t spatial = n.op().ends_with("3d") ? 3 : 2;
  Value x = n.in("self"), at = n.cast(n.in("indices"), ElementType::i64);
  const bool single = n.rank(x) == spatial + 1;
  if (single) {
    x = n.unsqueeze(x, {0});
    at = n.unsqueeze(at, {0});
  }
  const Value size = n.sizes("output_size"), lead = n.dims(x, 0, 2);
  const Value flat = n.concat({lead, n(ReduceProd{true}, size, n.ints_constant({0}))}, 0);
  const Value columns = n.concat({lead, n.ints_constant({-1})}, 0);
  const Value y = n(ScatterElementsUpdate{}, n.filled(flat, n.like(x, 0)), n.reshape_to(at, columns),
                    n.reshape_to(x, columns), n.int_constant(2));
  const Value shaped = n.reshape_to(y, n.concat({lead, size}, 0));
  return {single ? n.squeeze(shaped, {0}) : shaped};
}

constexpr OperatorRow rows[] = {
    {"_adaptive_avg_pool2d", adaptive_pool<false>},
    {"_adaptive_avg_pool3d", adaptive_pool<false>},
    {"adaptive_avg_pool1d", adaptive_pool<false>},
    {"adaptive_avg_pool2d", adaptive_pool<false>},
    {"adaptive_avg_pool3d", adaptive_pool<false>},
    {"adaptive_max_pool1d", adaptive_pool<true>},
    {"adaptive_max_pool2d", adaptive_pool<true>},
    {"adaptive_max_pool3d", adaptive_pool<true>},
    {"avg_pool1d", average_pool},
    {"avg_pool2d", average_pool},
    {"avg_pool3d", average_pool},
    {"col2im", fold},
    {"im2col", unfold},
    {"max_pool1d", max_pool},
    {"max_pool1d_with_indices", max_pool},
    {"max_pool2d", max_pool},
    {"max_pool2d_with_indices", max_pool},
    {"max_pool3d", max_pool},
    {"max_pool3d_with_indices", max_pool},
    {"max_unpool2d", max_unpool},
    {"max_unpool3d", max_unpool},
};

}  // namespace

std::span<const OperatorRow> pooling_rows() {
  return rows;
}

}  // namespace hone::pytorch
