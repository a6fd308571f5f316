// Pictures as files, decoded inside of a model.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

enum class PixelFormat { rgb, bgr, grayscale };
HONE_ENUM_NAMES(PixelFormat, "RGB", "BGR", "Grayscale")
/// Input: the bytes of a file [N] (u8): JPEG, PNG, BMP, WebP, TIFF or PNM. Output: [height, width, 3], or 1 for
/// grayscale (u8); alpha is dropped, and colours become grey by ITU-R 601 as Pillow rounds it. The EXIF orientation
/// counts in TIFF files alone. Damaged bytes give an empty picture [0, 0, C], as the standard wants it; what is a
/// picture that Hone cannot read (JPEG 2000, GIF...) or one over the limits of `data::DecodeLimits` is an error.
struct ImageDecoder {
  PixelFormat pixel_format = PixelFormat::rgb;
  static void fields(auto& o, auto&& f) { f("pixel_format", o.pixel_format); }
  static constexpr bool raw_types = true;
  HONE_OP("ImageDecoder") HONE_NO_GRAD("pictures as bytes")
};

}  // namespace hone
