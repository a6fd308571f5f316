// Pooling and its gradients. x is [N, C, spatial...].
#pragma once
#include "ops/convolution.hpp"

namespace hone {

enum class RoundingType { floor, ceil, ceil_torch };
HONE_ENUM_NAMES(RoundingType, "floor", "ceil", "ceil_torch")

/// Outputs: values, indices of the maxima (flattened from `axis` on).
struct MaxPool {
  std::vector<int64_t> strides{};
  std::vector<int64_t> dilations{};
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  std::vector<int64_t> kernel{};
  RoundingType rounding_type = RoundingType::floor;
  AutoPad auto_pad = AutoPad::explicit_;
  ElementType index_element_type = ElementType::i64;
  int64_t axis = 0;
  static void fields(auto& o, auto&& f) {
    f("strides", o.strides);
    f("dilations", o.dilations);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
    f("kernel", o.kernel);
    f("rounding_type", o.rounding_type);
    f("auto_pad", o.auto_pad);
    f("index_element_type", o.index_element_type);
    f("axis", o.axis);
  }
  HONE_OP("MaxPool") HONE_GRAD
};
struct AvgPool {
  std::vector<int64_t> strides{};
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  std::vector<int64_t> kernel{};
  bool exclude_pad = true;
  RoundingType rounding_type = RoundingType::floor;
  AutoPad auto_pad = AutoPad::explicit_;
  std::vector<int64_t> dilations{};
  static void fields(auto& o, auto&& f) {
    f("strides", o.strides);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
    f("kernel", o.kernel);
    f("exclude_pad", o.exclude_pad);
    f("rounding_type", o.rounding_type);
    f("auto_pad", o.auto_pad);
    f("dilations", o.dilations);
  }
  HONE_OP("AvgPool") HONE_GRAD
};
/// Inputs: x, output spatial shape.
struct AdaptiveAvgPool {
  HONE_OP("AdaptiveAvgPool") HONE_GRAD
};
/// Inputs: x, output spatial shape. Outputs: values, indices.
struct AdaptiveMaxPool {
  ElementType index_element_type = ElementType::i64;
  static void fields(auto& o, auto&& f) { f("index_element_type", o.index_element_type); }
  HONE_OP("AdaptiveMaxPool") HONE_GRAD
};
/// Inputs: x, dy. Output: dx, where each dy goes to the first maximum of its window.
struct MaxPoolGrad {
  std::vector<int64_t> strides{};
  std::vector<int64_t> dilations{};
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  std::vector<int64_t> kernel{};
  RoundingType rounding_type = RoundingType::floor;
  AutoPad auto_pad = AutoPad::explicit_;
  static void fields(auto& o, auto&& f) {
    f("strides", o.strides);
    f("dilations", o.dilations);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
    f("kernel", o.kernel);
    f("rounding_type", o.rounding_type);
    f("auto_pad", o.auto_pad);
  }
  HONE_OP("MaxPoolGrad") HONE_NO_GRAD("gradient of a selection")
};
/// Inputs: dy, shape of x (i64). Output: dx.
struct AvgPoolGrad {
  std::vector<int64_t> strides{};
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  std::vector<int64_t> kernel{};
  bool exclude_pad = true;
  RoundingType rounding_type = RoundingType::floor;
  AutoPad auto_pad = AutoPad::explicit_;
  std::vector<int64_t> dilations{};
  static void fields(auto& o, auto&& f) {
    f("strides", o.strides);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
    f("kernel", o.kernel);
    f("exclude_pad", o.exclude_pad);
    f("rounding_type", o.rounding_type);
    f("auto_pad", o.auto_pad);
    f("dilations", o.dilations);
  }
  HONE_OP("AvgPoolGrad") HONE_GRAD
};

}  // namespace hone
