// WebP through libwebp. Container: "WebP Container Specification", RIFF chunks of a four-letter name and a 32-bit size.
#include <webp/decode.h>

#include <cstring>

#include "image/codecs.hpp"

namespace hone::data::codec {
namespace {

WebPBitstreamFeatures features(const Input& in) {
  WebPBitstreamFeatures f;
  switch (WebPGetFeatures(in.bytes.data(), in.bytes.size(), &f)) {
    case VP8_STATUS_OK:
      break;
    case VP8_STATUS_NOT_ENOUGH_DATA:
      corrupt(in, ImageFormat::webp, "truncated");
    default:
      corrupt(in, ImageFormat::webp, "bad header");
  }
  if (f.has_animation) unsupported(in, "animated WebP is not supported", "extract one frame");
  // The lossy format spends at least a few bits on a macroblock of 256 pixels; the lossless one can store a plain
  // picture of any size in a few bytes, so there is no bound for it.
  const uint64_t at_least = f.format == 1 ? uint64_t(f.width) * uint64_t(f.height) / 65536 : 0;
  check_size(in, ImageFormat::webp, f.width, f.height, at_least);
  return f;
}

int orientation_of(const Input& in) {
  const auto b = in.bytes;
  for (size_t at = 12; at + 8 <= b.size();) {
    const size_t n = size_t(b[at + 4]) | size_t(b[at + 5]) << 8 | size_t(b[at + 6]) << 16 | size_t(b[at + 7]) << 24;
    if (n > b.size() - at - 8) return 1;
    if (std::memcmp(b.data() + at, "EXIF", 4) == 0) return exif_orientation(b.subspan(at + 8, n));
    at += 8 + n + n % 2;
  }
  return 1;
}

}  // namespace

ImageInfo probe_webp(const Input& in) {
  const auto f = features(in);
  return {ImageFormat::webp, f.width, f.height, f.has_alpha ? 4 : 3, orientation_of(in)};
}

int decode_webp(const Input& in, Image& out) {
  const auto f = features(in);
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config))
    throw Error(ErrorCode::failed, "[image] libwebp has another version than its headers");
  out.reset(f.width, f.height, f.has_alpha ? 4 : 3);
  config.output.colorspace = f.has_alpha ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = out.data();
  config.output.u.RGBA.stride = int(out.row_bytes());
  config.output.u.RGBA.size = out.byte_size();
  const VP8StatusCode status = WebPDecode(in.bytes.data(), in.bytes.size(), &config);
  WebPFreeDecBuffer(&config.output);
  switch (status) {
    case VP8_STATUS_OK:
      return orientation_of(in);
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
      corrupt(in, ImageFormat::webp, "truncated");
    case VP8_STATUS_OUT_OF_MEMORY:
      throw Error(ErrorCode::failed, "[image] out of memory", std::string(in.name));
    default:
      corrupt(in, ImageFormat::webp, "bad bitstream");
  }
}

}  // namespace hone::data::codec
