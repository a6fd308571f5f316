// Resizing with the arithmetic of Pillow, bit for bit: a model trained elsewhere on Pillow's pictures sees the same
// here.
#pragma once
#include <array>
#include <span>
#include <string_view>

#include "image/image.hpp"

namespace hone::data {

enum class Filter { nearest, bilinear, bicubic };
inline std::span<const std::string_view> enum_names(Filter) {
  static constexpr std::string_view names[] = {"nearest", "bilinear", "bicubic"};
  return names;
}

/// A part of a picture in pixels; edges may lie between pixels. Left and top are inside, right and bottom are not.
struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
};

/// `image` (or its part `box`) scaled to `width` x `height`, both >= 1. Bilinear and bicubic widen their filter when
/// they shrink (antialias) and round to 8 bits between the horizontal and the vertical pass, as Pillow's `resize` does;
/// bicubic has a = -0.5. Pictures with alpha are filtered with premultiplied colours, so that transparent pixels do not
/// bleed. Throws `Error` (usage) for an empty picture, sizes below 1 or a box outside of the picture. Thread-safe.
Image resize(const ImageView& image, int width, int height, Filter filter = Filter::bilinear);
Image resize(const ImageView& image, int width, int height, Filter filter, const Box& box);

}  // namespace hone::data
