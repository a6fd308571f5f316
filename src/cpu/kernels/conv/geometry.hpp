// Windows over two spatial dimensions, as convolutions and poolings describe them; one-dimensional ones get a height
// of 1.
#pragma once
#include <algorithm>
#include <optional>

#include "device/kernel.hpp"
#include "ops/convolution.hpp"

namespace hone::cpu {

struct Window {
  int64_t images, channels, in_h, in_w, out_h, out_w;
  int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int64_t pad_top, pad_left;
};

/// From shapes [N, C, (H,) W] and lists of one or two entries (empty: `fallback`). Nothing for other ranks.
inline std::optional<Window> window_of(const Shape& in, const Shape& out, const std::vector<int64_t>& kernel,
                                       const std::vector<int64_t>& strides, const std::vector<int64_t>& dilations,
                                       const std::vector<int64_t>& pads_begin, AutoPad auto_pad) {
  const size_t rank = in.size();
  if ((rank != 3 && rank != 4) || out.size() != rank || kernel.size() != rank - 2) return std::nullopt;
  const size_t w = rank - 3;  // index of the width among the spatial dimensions
  auto at = [&](const std::vector<int64_t>& v, bool height, int64_t fallback) {
    if (height && rank == 3) return fallback;
    const size_t i = height ? 0 : w;
    return i < v.size() ? v[i] : fallback;
  };
  Window o{};
  o.images = in[0];
  o.channels = in[1];
  o.in_w = in[rank - 1];
  o.out_w = out[rank - 1];
  o.in_h = rank == 4 ? in[2] : 1;
  o.out_h = rank == 4 ? out[2] : 1;
  o.kernel_h = at(kernel, true, 1);
  o.kernel_w = at(kernel, false, 1);
  o.stride_h = at(strides, true, 1);
  o.stride_w = at(strides, false, 1);
  o.dilation_h = at(dilations, true, 1);
  o.dilation_w = at(dilations, false, 1);
  if (auto_pad == AutoPad::explicit_) {
    o.pad_top = at(pads_begin, true, 0);
    o.pad_left = at(pads_begin, false, 0);
  } else if (auto_pad != AutoPad::valid) {
    const int64_t h = std::max<int64_t>(0, (o.out_h - 1) * o.stride_h + (o.kernel_h - 1) * o.dilation_h + 1 - o.in_h);
    const int64_t v = std::max<int64_t>(0, (o.out_w - 1) * o.stride_w + (o.kernel_w - 1) * o.dilation_w + 1 - o.in_w);
    o.pad_top = auto_pad == AutoPad::same_upper ? h / 2 : (h + 1) / 2;
    o.pad_left = auto_pad == AutoPad::same_upper ? v / 2 : (v + 1) / 2;
  }
  return o;
}

/// Whether products of bytes take these: x with one scale, constant i8 weights with one scale, or one for each of
/// `channels` outputs, and no zero points.
inline Support supports_bytes(const TensorDesc& x, const TensorDesc& w, int64_t channels) {
  if (x.type != ElementType::u8 && x.type != ElementType::i8)
    return Support::no(std::string("activations are ") + name_of(x.type) + ", not 8-bit integers");
  if (!x.quantization || x.quantization->scales.size() != 1)
    return Support::no("activations need one scale for the tensor");
  if (w.type != ElementType::i8) return Support::no(std::string("weights are ") + name_of(w.type) + ", not i8");
  if (!w.constant) return Support::no("integer weights must be constant");
  if (!w.quantization) return Support::no("weights have no scales");
  for (int32_t z : w.quantization->zero_points) {
    if (z != 0) return Support::no("weights have zero points");
  }
  const size_t scales = w.quantization->scales.size();
  if (scales != 1 && int64_t(scales) != channels)
    return Support::no("weights need one scale, or one for each output channel");
  return Support::yes();
}

}  // namespace hone::cpu
