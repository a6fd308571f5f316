// Image patches as channels.
#pragma once
#include "ops/convolution.hpp"

namespace hone {

/// Patches of [N, C, H, W] as channels: output [N, sizes * C, out H, out W], the position in the patch before the
/// channel. Padded with zeros for same_upper and same_lower.
struct ExtractImagePatches {
  std::vector<int64_t> sizes{};
  std::vector<int64_t> strides{};
  std::vector<int64_t> rates{};
  AutoPad auto_pad = AutoPad::valid;
  static void fields(auto& o, auto&& f) {
    f("sizes", o.sizes);
    f("strides", o.strides);
    f("rates", o.rates);
    f("auto_pad", o.auto_pad);
  }
  HONE_OP("ExtractImagePatches") HONE_NO_GRAD("not offered yet")
};
/// The rearrangement of YOLO v2: [N, C, H, W] to [N, C * stride^2, H / stride, W / stride] in the order of Darknet.
struct ReorgYolo {
  std::vector<int64_t> stride{};
  static void fields(auto& o, auto&& f) { f("stride", o.stride); }
  HONE_OP("ReorgYolo") HONE_NO_GRAD("not offered yet")
};

}  // namespace hone
