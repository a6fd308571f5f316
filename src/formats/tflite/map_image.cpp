// Pooling, resizing, and space against depth and batch.
#include "formats/tflite/mapping.hpp"
#include "ops/binary.hpp"
#include "ops/blocks.hpp"
#include "ops/movement.hpp"
#include "ops/pooling.hpp"
#include "ops/resize.hpp"
#include "ops/unary.hpp"

namespace hone::tflite {
namespace {

template <class Op>
Op pool(NodeContext& n) {
  Op op;
  const int8_t padding = n.code(0);
  if (padding != 0 && padding != 1) n.fail("padding " + std::to_string(padding) + " does not exist");
  op.auto_pad = padding == 0 ? AutoPad::same_upper : AutoPad::valid;
  op.strides = {n.i(2), n.i(1)};
  op.kernel = {n.i(4), n.i(3)};
  for (int64_t v : {op.strides[0], op.strides[1], op.kernel[0], op.kernel[1]}) {
    if (v < 1) n.fail("strides and windows must be positive");
  }
  return op;
}

Values average_pool(NodeContext& n) {
  return {n.channels_last(n.activated(n(pool<AvgPool>(n), n.channels_first(n.in(0))), n.code(5)))};
}
Values max_pool(NodeContext& n) {
  return {n.channels_last(n.activated(n(pool<MaxPool>(n), n.channels_first(n.in(0))), n.code(5)))};
}
Values l2_pool(NodeContext& n) {
  const Value x = n.channels_first(n.in(0));
  return {n.channels_last(n.activated(n(Sqrt{}, n(pool<AvgPool>(n), n(Multiply{}, x, x))), n.code(5)))};
}

Value resized(NodeContext& n, Interpolate op) {
  return n.channels_last(n(op, n.channels_first(n.in(0)), n.index_vector(1), n.ints_constant({2, 3})));
}
Values resize_bilinear(NodeContext& n) {
  Interpolate op;
  op.mode = InterpolateMode::linear_onnx;
  op.coordinate_transformation_mode = n.flag(2)   ? CoordinateMode::align_corners
                                      : n.flag(3) ? CoordinateMode::half_pixel
                                                  : CoordinateMode::asymmetric;
  return {resized(n, op)};
}
Values resize_nearest(NodeContext& n) {
  Interpolate op;
  op.mode = InterpolateMode::nearest;
  op.coordinate_transformation_mode = n.flag(0)   ? CoordinateMode::align_corners
                                      : n.flag(1) ? CoordinateMode::tf_half_pixel_for_nn
                                                  : CoordinateMode::asymmetric;
  op.nearest_mode = n.flag(0) ? NearestMode::round_prefer_ceil : NearestMode::floor;
  return {resized(n, op)};
}

Values depth_to_space(NodeContext& n) {
  if (n.i(0) < 1) n.fail("the block size must be positive");
  return {n.channels_last(n(DepthToSpace{DepthMode::blocks_first, n.i(0)}, n.channels_first(n.in(0))))};
}
Values space_to_depth(NodeContext& n) {
  if (n.i(0) < 1) n.fail("the block size must be positive");
  return {n.channels_last(n(SpaceToDepth{DepthMode::blocks_first, n.i(0)}, n.channels_first(n.in(0))))};
}

// The blocks lie along the axes behind the batch. Each parameter gets the numbers that leave the other axes as they
// are.
Value along_all_axes(NodeContext& n, Value v, size_t rank, int64_t neutral) {
  if (v.shape()[0].is_dynamic()) n.refuse("needs a block shape of known length");
  const auto m = static_cast<size_t>(v.shape()[0].get_length());
  if (m + 1 > rank) n.fail("has more blocks than axes");
  return n.concat({n.ints_constant({neutral}), v, n.ints_constant(std::vector<int64_t>(rank - 1 - m, neutral))}, 0);
}
template <class Op>
Values blocks(NodeContext& n) {
  const Value x = n.in(0);
  const size_t rank = n.rank(x);
  const Value block = n.index_vector(1), pads = n.cast(n.any(2), ElementType::i64);
  if (n.rank(pads) != 2) n.fail("pads must be pairs");
  const auto column = [&](int64_t k) { return n.gather(pads, n.int_constant(k), 1); };
  return {n(Op{}, x, along_all_axes(n, block, rank, 1), along_all_axes(n, column(0), rank, 0),
            along_all_axes(n, column(1), rank, 0))};
}

constexpr OperatorRow rows[] = {
    {1, "AVERAGE_POOL_2D", average_pool},
    {5, "DEPTH_TO_SPACE", depth_to_space, Numbers::moved},
    {12, "L2_POOL_2D", l2_pool},
    {17, "MAX_POOL_2D", max_pool, Numbers::moved},
    {23, "RESIZE_BILINEAR", resize_bilinear},
    {26, "SPACE_TO_DEPTH", space_to_depth, Numbers::moved},
    {37, "BATCH_TO_SPACE_ND", blocks<BatchToSpace>, Numbers::moved},
    {38, "SPACE_TO_BATCH_ND", blocks<SpaceToBatch>, Numbers::moved},
    {97, "RESIZE_NEAREST_NEIGHBOR", resize_nearest, Numbers::moved},
};

}  // namespace

std::span<const OperatorRow> image_rows() {
  return rows;
}

}  // namespace hone::tflite
