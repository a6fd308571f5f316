// What image.cpp and the decoders share: one function pair a format. Internal to src/image.
#pragma once
#include <span>
#include <string_view>

#include "hone/error.hpp"
#include "image/image.hpp"

namespace hone::data::codec {

struct Input {
  std::span<const uint8_t> bytes;
  std::string_view name;
  const DecodeLimits& limits;
};

[[noreturn]] void corrupt(const Input& in, ImageFormat f, const std::string& what);
[[noreturn]] void unsupported(const Input& in, const std::string& what, const std::string& hint);
/// Throws where the announced size breaks the limits, or where `bytes_needed_at_least` exceeds the bytes that are
/// there.
void check_size(const Input& in, ImageFormat f, int64_t width, int64_t height, uint64_t bytes_needed_at_least);

ImageInfo probe_jpeg(const Input& in);
ImageInfo probe_png(const Input& in);
ImageInfo probe_bmp(const Input& in);
ImageInfo probe_webp(const Input& in);
ImageInfo probe_tiff(const Input& in);
ImageInfo probe_pnm(const Input& in);
/// Decode into `out`; return the EXIF orientation.
int decode_jpeg(const Input& in, Image& out);
int decode_png(const Input& in, Image& out);
int decode_bmp(const Input& in, Image& out);
int decode_webp(const Input& in, Image& out);
int decode_tiff(const Input& in, Image& out);
int decode_pnm(const Input& in, Image& out);

/// The orientation tag of a TIFF block as EXIF has it (`Exif\0\0` in front is skipped); 1 where there is none or it is
/// damaged.
int exif_orientation(std::span<const uint8_t> exif);

}  // namespace hone::data::codec
