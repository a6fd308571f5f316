// A convolution of signs.
#pragma once
#include "ops/convolution.hpp"

namespace hone {

enum class BinaryMode { xnor_popcount };
HONE_ENUM_NAMES(BinaryMode, "xnor-popcount")

/// Inputs: x [N, C, H, W], of which x > 0 counts as 1 and all else as -1; weights [O, C, h, w] of u1, 1 for 1 and 0 for
/// -1. The result, of the type of x, is the sum of products over the window: twice the number of equal bits less their
/// number. `pad_value` is what padding counts as: -1, 0 or 1. The weights' bits lie in their bytes lowest first, as
/// OpenVINO's CPU plugin reads them and its tools write them (u1 elsewhere: highest first).
struct BinaryConvolution {
  std::vector<int64_t> strides{};
  std::vector<int64_t> pads_begin{};
  std::vector<int64_t> pads_end{};
  std::vector<int64_t> dilations{};
  AutoPad auto_pad = AutoPad::explicit_;
  BinaryMode mode = BinaryMode::xnor_popcount;
  double pad_value = 0;
  static void fields(auto& o, auto&& f) {
    f("strides", o.strides);
    f("pads_begin", o.pads_begin);
    f("pads_end", o.pads_end);
    f("dilations", o.dilations);
    f("auto_pad", o.auto_pad);
    f("mode", o.mode);
    f("pad_value", o.pad_value);
  }
  static constexpr bool raw_types = true;
  HONE_OP("BinaryConvolution")
  HONE_NO_GRAD("a sign has no slope; train with FakeQuantize of 2 levels")
};

/// Bit `i` of such weights.
inline bool binary_weight(const uint8_t* bytes, size_t i) {
  return (bytes[i / 8] >> (i % 8)) & 1;
}

}  // namespace hone
