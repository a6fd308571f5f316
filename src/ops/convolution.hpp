// Convolutions and their gradients.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class AutoPad { explicit_, same_upper, same_lower, valid };
HONE_ENUM_NAMES(AutoPad, "explicit", "same_upper", "same_lower", "valid")

// Convolutions of 1, 2 or 3 spatial dimensions: x [N, C, spatial...]. Weights: Convolution [O, I, k...],
// GroupConvolution [G, O/G, I/G, k...], ConvolutionBackpropData [I, O, k...] where I are the channels of x, its grouped
// form [G, I/G, O/G, k...]. The forward ones may carry an epilogue region. Empty lists mean 1 (strides, dilations) and
// 0 (pads).
struct Convolution {
  std::vector<int64_t> strides{};
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  std::vector<int64_t> dilations{};
  AutoPad auto_pad = AutoPad::explicit_;
  static void fields(auto& o, auto&& f) {
    f("strides", o.strides);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
    f("dilations", o.dilations);
    f("auto_pad", o.auto_pad);
  }
  HONE_OP("Convolution") HONE_GRAD
};
struct GroupConvolution {
  std::vector<int64_t> strides{};
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  std::vector<int64_t> dilations{};
  AutoPad auto_pad = AutoPad::explicit_;
  static void fields(auto& o, auto&& f) {
    f("strides", o.strides);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
    f("dilations", o.dilations);
    f("auto_pad", o.auto_pad);
  }
  HONE_OP("GroupConvolution") HONE_GRAD
};
/// Transposed convolution, the gradient of Convolution to its data. Inputs: x, weights, output spatial shape
/// (optional).
struct ConvolutionBackpropData {
  std::vector<int64_t> strides{};
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  std::vector<int64_t> dilations{};
  AutoPad auto_pad = AutoPad::explicit_;
  std::vector<int64_t> output_padding{};
  static void fields(auto& o, auto&& f) {
    f("strides", o.strides);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
    f("dilations", o.dilations);
    f("auto_pad", o.auto_pad);
    f("output_padding", o.output_padding);
  }
  HONE_OP("ConvolutionBackpropData") HONE_GRAD
};
/// Inputs: x, weights, output spatial shape (optional).
struct GroupConvolutionBackpropData {
  std::vector<int64_t> strides{};
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  std::vector<int64_t> dilations{};
  AutoPad auto_pad = AutoPad::explicit_;
  std::vector<int64_t> output_padding{};
  static void fields(auto& o, auto&& f) {
    f("strides", o.strides);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
    f("dilations", o.dilations);
    f("auto_pad", o.auto_pad);
    f("output_padding", o.output_padding);
  }
  HONE_OP("GroupConvolutionBackpropData") HONE_GRAD
};
/// Gradient of a convolution to its weights. Inputs: x [N, C, spatial], dy [N, O, out spatial]; output [O, C/groups,
/// kernel...], or [groups, O/groups, C/groups, kernel...] with `grouped_weights`. `pads_end` may be trimmed; positions
/// beyond x count as zero.
struct ConvolutionBackpropWeights {
  std::vector<int64_t> strides{};
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  std::vector<int64_t> dilations{};
  std::vector<int64_t> kernel{};
  int64_t groups = 1;
  bool grouped_weights = false;
  static void fields(auto& o, auto&& f) {
    f("strides", o.strides);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
    f("dilations", o.dilations);
    f("kernel", o.kernel);
    f("groups", o.groups);
    f("grouped_weights", o.grouped_weights);
  }
  HONE_OP("ConvolutionBackpropWeights") HONE_GRAD
};
/// Convolution that reads each tap at an offset of its own. Inputs: x [N, C, H, W], offsets [N, deformable_group * kH *
/// kW * 2, out H, out W] (y before x), weights [O, C / group, kH, kW], mask [N, deformable_group * kH * kW, out H, out
/// W] (optional factors). With `bilinear_interpolation_pad` neighbours outside of x count as zero; else positions
/// outside of x are zero as a whole.
struct DeformableConvolution {
  std::vector<int64_t> strides{};
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  std::vector<int64_t> dilations{};
  AutoPad auto_pad = AutoPad::explicit_;
  int64_t group = 1;
  int64_t deformable_group = 1;
  bool bilinear_interpolation_pad = false;
  static void fields(auto& o, auto&& f) {
    f("strides", o.strides);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
    f("dilations", o.dilations);
    f("auto_pad", o.auto_pad);
    f("group", o.group);
    f("deformable_group", o.deformable_group);
    f("bilinear_interpolation_pad", o.bilinear_interpolation_pad);
  }
  HONE_OP("DeformableConvolution") HONE_NO_GRAD("not offered yet")
};

}  // namespace hone
