// Quantization in the graph.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: x, input low, input high, output low, output high. x <= min(il, ih) gives ol, x > max(il, ih) gives oh, else
/// round((x - il) / (ih - il) * (levels - 1)) / (levels - 1) * (oh - ol) + ol, rounding half to even. Straight-through
/// gradient.
struct FakeQuantize {
  int64_t levels = 256;
  AutoBroadcast auto_broadcast = AutoBroadcast::numpy;
  static void fields(auto& o, auto&& f) {
    f("levels", o.levels);
    f("auto_broadcast", o.auto_broadcast);
  }
  HONE_OP("FakeQuantize") HONE_EXPAND HONE_GRAD
};
/// clamp(round(x / scale) + zero point) to the range of the type, or to [low, high] where low < high. Inputs: x, scale,
/// zero point (optional); per tensor, or per index of `axis`.
struct Quantize {
  ElementType output_type = ElementType::i8;
  int64_t axis = 1;
  int64_t low = 0;
  int64_t high = 0;
  static void fields(auto& o, auto&& f) {
    f("output_type", o.output_type);
    f("axis", o.axis);
    f("low", o.low);
    f("high", o.high);
  }
  static constexpr bool raw_types = true;
  HONE_OP("Quantize") HONE_GRAD
};
/// (x - zero point) * scale. Inputs: x, scale, zero point (optional).
struct Dequantize {
  int64_t axis = 1;
  ElementType output_type = ElementType::f32;
  static void fields(auto& o, auto&& f) {
    f("axis", o.axis);
    f("output_type", o.output_type);
  }
  static constexpr bool raw_types = true;
  HONE_OP("Dequantize") HONE_GRAD
};

}  // namespace hone
