// Operators of torchvision, and the quantizers that an export writes.
#include <algorithm>
#include <limits>

#include "formats/pytorch/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/quantize.hpp"
#include "ops/sampling.hpp"

namespace hone::pytorch {
namespace {

// Indices of the boxes that stay, best first.
Values non_max_suppression(NodeContext& n) {
  const Value boxes = n.in("dets"), scores = n.in("scores");
  NonMaxSuppression op;
  const Value most = n.dim(boxes, 0);
  const Value rows = n.all(
      op, {n.unsqueeze(boxes, {0}), n.unsqueeze(scores, {0, 1}), most, n.number("iou_threshold", ElementType::f32),
           n.b.scalar<float>(std::numeric_limits<float>::lowest())})[0];
  return {n.gather(rows, n.int_constant(2), 1)};
}

Values roi_align(NodeContext& n) {
  const Value rois = n.in("rois");
  ROIAlign op;
  op.pooled_h = n.i("pooled_height");
  op.pooled_w = n.i("pooled_width");
  op.sampling_ratio = std::max<int64_t>(0, n.i("sampling_ratio", -1));
  op.spatial_scale = n.f("spatial_scale", 1);
  op.aligned_mode = n.flag("aligned", false) ? RoiAlignedMode::half_pixel_for_nn : RoiAlignedMode::asymmetric;
  const Value batch = n.cast(n.gather(rois, n.int_constant(0), 1), ElementType::i64);
  return {n(op, n.in("input"), n.slice(rois, 1, 1, 5), batch)};
}

Values deformable_convolution(NodeContext& n) {
  DeformableConvolution op;
  op.strides = {n.i("stride_h"), n.i("stride_w")};
  op.pads_begin = op.pads_end = {n.i("pad_h"), n.i("pad_w")};
  op.dilations = {n.i("dilation_h"), n.i("dilation_w")};
  op.group = n.i("groups", 1);
  op.deformable_group = n.i("offset_groups", 1);
  op.bilinear_interpolation_pad = true;
  const Value x = n.in("input"), offset = n.in("offset"), w = n.in("weight");
  const Value y = n.flag("use_mask", false) ? n(op, x, offset, w, n.in("mask")) : n(op, x, offset, w);
  return {n(Add{}, y, n.unsqueeze(n.in("bias"), {1, 2}))};
}

Values quantize(NodeContext& n) {
  const bool channel = n.op().find("per_channel") != std::string_view::npos;
  Quantize op;
  op.output_type = n.type("dtype").value_or(ElementType::i8);
  op.axis = channel ? n.i("axis", 0) : 0;
  op.low = n.i("quant_min", 0);
  op.high = n.i("quant_max", 0);
  const Value x = n.in("input");
  if (channel) return {n(op, x, n.cast(n.in("scales"), ElementType::f32), n.cast(n.in("zero_points"), op.output_type))};
  return {n(op, x, n.number("scale", ElementType::f32), n.number("zero_point", op.output_type))};
}
Values dequantize(NodeContext& n) {
  const bool channel = n.op().find("per_channel") != std::string_view::npos;
  Dequantize op;
  op.axis = channel ? n.i("axis", 0) : 0;
  const Value x = n.in("input");
  if (!channel) return {n(op, x, n.number("scale", ElementType::f32), n.number("zero_point", x.element_type()))};
  const Value scale = n.cast(n.in("scales"), ElementType::f32);
  return {n.has("zero_points") ? n(op, x, scale, n.cast(n.in("zero_points"), x.element_type())) : n(op, x, scale)};
}

// Fake quantizers of quantization-aware training: round to the grid and back.
Values fake_quantize(NodeContext& n) {
  const Value x = n.in("self");
  const bool channel = n.op().find("per_channel") != std::string_view::npos;
  const int64_t low = n.i("quant_min"), high = n.i("quant_max");
  Value scale = n.number("scale", x.element_type()), zero = n.number("zero_point", x.element_type());
  if (channel) {
    const auto shape = n.laid_along(n.axis(n.i("axis"), x), n.rank(x));
    scale = n.reshape(scale, shape);
    zero = n.reshape(zero, shape);
  }
  const Value from = n(Multiply{}, n(Subtract{}, n.like(x, static_cast<double>(low)), zero), scale);
  const Value to = n(Multiply{}, n(Subtract{}, n.like(x, static_cast<double>(high)), zero), scale);
  return {n(FakeQuantize{high - low + 1}, x, from, to, from, to)};
}

constexpr OperatorRow rows[] = {
    {"fake_quantize_per_channel_affine", fake_quantize},
    {"fake_quantize_per_tensor_affine", fake_quantize},
    {"quantized_decomposed.dequantize_per_channel", dequantize},
    {"quantized_decomposed.dequantize_per_tensor", dequantize},
    {"quantized_decomposed.quantize_per_channel", quantize},
    {"quantized_decomposed.quantize_per_tensor", quantize},
    {"torchvision.deform_conv2d", deformable_convolution},
    {"torchvision.nms", non_max_suppression},
    {"torchvision.roi_align", roi_align},
};

}  // namespace

std::span<const OperatorRow> vision_rows() {
  return rows;
}

}  // namespace hone::pytorch
