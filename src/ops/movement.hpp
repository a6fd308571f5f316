// Shapes and movement of data.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: data, shape. -1 is inferred; 0 copies a dimension with `special_zero`.
struct Reshape {
  bool special_zero = false;
  static void fields(auto& o, auto&& f) { f("special_zero", o.special_zero); }
  HONE_OP("Reshape") HONE_GRAD
};
/// Inputs: data, order (empty: reversed).
struct Transpose {
  HONE_OP("Transpose") HONE_GRAD
};
/// Inputs: data, axes (optional: all dimensions of size 1).
struct Squeeze {
  HONE_OP("Squeeze") HONE_GRAD
};
/// Inputs: data, axes.
struct Unsqueeze {
  HONE_OP("Unsqueeze") HONE_GRAD
};
struct Concat {
  int64_t axis = 0;
  static void fields(auto& o, auto&& f) { f("axis", o.axis); }
  HONE_OP("Concat") HONE_GRAD
};
/// Inputs: data, axis.
struct Split {
  int64_t num_splits = 1;
  static void fields(auto& o, auto&& f) { f("num_splits", o.num_splits); }
  HONE_OP("Split") HONE_GRAD
};
/// Inputs: data, axis, lengths (one may be -1).
struct VariadicSplit {
  HONE_OP("VariadicSplit") HONE_GRAD
};
/// Inputs: data, start, stop, step, axes (optional).
struct Slice {
  HONE_OP("Slice") HONE_GRAD
};
/// Inputs: data, begin, end, strides (optional).
struct StridedSlice {
  std::vector<int64_t> begin_mask{};
  std::vector<int64_t> end_mask{};
  std::vector<int64_t> new_axis_mask{};
  std::vector<int64_t> shrink_axis_mask{};
  std::vector<int64_t> ellipsis_mask{};
  static void fields(auto& o, auto&& f) {
    f("begin_mask", o.begin_mask);
    f("end_mask", o.end_mask);
    f("new_axis_mask", o.new_axis_mask);
    f("shrink_axis_mask", o.shrink_axis_mask);
    f("ellipsis_mask", o.ellipsis_mask);
  }
  HONE_OP("StridedSlice") HONE_GRAD
};
enum class PadMode { constant, edge, reflect, symmetric };
HONE_ENUM_NAMES(PadMode, "constant", "edge", "reflect", "symmetric")
/// Inputs: data, pads begin, pads end, value (optional). Negative pads crop.
struct Pad {
  PadMode pad_mode = PadMode::constant;
  static void fields(auto& o, auto&& f) { f("pad_mode", o.pad_mode); }
  HONE_OP("Pad") HONE_GRAD
};
/// Inputs: data, repeats.
struct Tile {
  HONE_OP("Tile") HONE_GRAD
};
enum class BroadcastMode { numpy, explicit_, bidirectional };
HONE_ENUM_NAMES(BroadcastMode, "numpy", "explicit", "bidirectional")
/// Inputs: data, target shape, axes mapping (explicit mode).
struct Broadcast {
  BroadcastMode mode = BroadcastMode::numpy;
  static void fields(auto& o, auto&& f) { f("mode", o.mode); }
  HONE_OP("Broadcast") HONE_GRAD
};
struct ShapeOf {
  ElementType output_type = ElementType::i64;
  static void fields(auto& o, auto&& f) { f("output_type", o.output_type); }
  HONE_OP("ShapeOf") HONE_NO_GRAD("shape arithmetic")
};
/// Inputs: start, stop, step (scalars).
struct Range {
  ElementType output_type = ElementType::f32;
  static void fields(auto& o, auto&& f) { f("output_type", o.output_type); }
  HONE_OP("Range") HONE_NO_GRAD("integer source")
};
enum class DepthMode { blocks_first, depth_first };
HONE_ENUM_NAMES(DepthMode, "blocks_first", "depth_first")
struct DepthToSpace {
  DepthMode mode = DepthMode::blocks_first;
  int64_t block_size = 1;
  static void fields(auto& o, auto&& f) {
    f("mode", o.mode);
    f("block_size", o.block_size);
  }
  HONE_OP("DepthToSpace") HONE_EXPAND
};
struct SpaceToDepth {
  DepthMode mode = DepthMode::blocks_first;
  int64_t block_size = 1;
  static void fields(auto& o, auto&& f) {
    f("mode", o.mode);
    f("block_size", o.block_size);
  }
  HONE_OP("SpaceToDepth") HONE_EXPAND
};
struct ShuffleChannels {
  int64_t axis = 1;
  int64_t group = 1;
  static void fields(auto& o, auto&& f) {
    f("axis", o.axis);
    f("group", o.group);
  }
  HONE_OP("ShuffleChannels") HONE_EXPAND
};
/// Reverses the order along axes.
struct Reverse {
  std::vector<int64_t> axes{};
  static void fields(auto& o, auto&& f) { f("axes", o.axes); }
  HONE_OP("Reverse") HONE_GRAD
};
/// Sums the axes that broadcasting to the input would have expanded. Inputs: data, target shape. The gradient of
/// Broadcast.
struct SumToShape {
  HONE_OP("SumToShape") HONE_GRAD
};

}  // namespace hone
