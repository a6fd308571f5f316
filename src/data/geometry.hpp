// Cutting, padding, turning and drawing on pictures. All functions are pure and thread-safe; results own their memory.
#pragma once
#include <array>

#include "image/image.hpp"

namespace hone::data {

/// One sample for each channel; pictures with fewer channels use the first ones (grey: the first).
using Color = std::array<uint8_t, 4>;

/// The rectangle of `width` x `height` whose top left pixel is (x, y). It must lie inside. Throws `Error` (usage).
Image crop(const ImageView& image, int x, int y, int width, int height);
/// The middle of the picture; odd rests go to the right and bottom.
Image center_crop(const ImageView& image, int width, int height);
/// Adds borders (each >= 0) of one colour.
Image pad(const ImageView& image, int left, int top, int right, int bottom, const Color& fill);

Image flip_horizontal(const ImageView& image);
Image flip_vertical(const ImageView& image);
/// Turned counter-clockwise by `quarters` x 90 degrees (any integer), exactly.
Image rotate_quarters(const ImageView& image, int quarters);
/// Turned counter-clockwise by `degrees` about the centre; same size, bilinear, uncovered corners take `fill`.
Image rotate(const ImageView& image, double degrees, const Color& fill);

/// 1, 3 or 4 channels. To grey: ITU-R 601 luma as Pillow rounds it; from grey: replicated; alpha: dropped or 255.
Image with_channels(const ImageView& image, int channels);
/// An RGBA picture laid over one colour: 3 channels. Pictures without alpha come back unchanged.
Image blend_over(const ImageView& image, const Color& background);

/// Outlines the rectangle with corners (x0, y0) and (x1, y1) inclusive, `thickness` pixels inwards; clipped to the
/// picture.
void draw_rectangle(Image& image, int x0, int y0, int x1, int y1, const Color& color, int thickness = 1);
/// Fills it.
void fill_rectangle(Image& image, int x0, int y0, int x1, int y1, const Color& color);
/// Copies `from` so that its top left pixel comes to (x, y); clipped; channel counts are matched.
void paste(Image& image, const ImageView& from, int x, int y);

}  // namespace hone::data
