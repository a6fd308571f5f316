#include "image/image.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/file.hpp"
#include "hone/error.hpp"
#include "image/codecs.hpp"

namespace hone::data {

Image::Image(const ImageView& v) {
  reset(v.width, v.height, v.channels);
  std::memcpy(pixels_.data(), v.pixels, v.byte_size());
}

void Image::reset(int width, int height, int channels) {
  if (width < 0 || height < 0 || (channels != 1 && channels != 3 && channels != 4)) {
    throw Error(ErrorCode::unsafe, "[image] cannot make a picture of " + std::to_string(width) + "x" +
                                       std::to_string(height) + " with " + std::to_string(channels) + " channels");
  }
  // Three factors below 2^31, 2^31 and 4 fit 64 bits.
  const uint64_t bytes = uint64_t(width) * uint64_t(height) * uint64_t(channels);
  if (bytes > (uint64_t{1} << 32)) throw Error(ErrorCode::unsafe, "[image] a picture of more than 4 GiB");
  width_ = width;
  height_ = height;
  channels_ = channels;
  pixels_.resize(size_t(bytes));
}

ImageFormat sniff(std::span<const uint8_t> b) {
  const auto is = [&](size_t at, std::string_view magic) {
    return b.size() >= at + magic.size() && std::memcmp(b.data() + at, magic.data(), magic.size()) == 0;
  };
  if (is(0, "\xff\xd8\xff")) return ImageFormat::jpeg;
  if (is(0, "\x89PNG\r\n\x1a\n")) return ImageFormat::png;
  if (is(0, "RIFF") && is(8, "WEBP")) return ImageFormat::webp;
  if (is(0, "BM")) return ImageFormat::bmp;
  if (is(0, "GIF87a") || is(0, "GIF89a")) return ImageFormat::gif;
  if (is(0, std::string_view("II*\0", 4)) || is(0, std::string_view("MM\0*", 4))) return ImageFormat::tiff;
  if (is(4, "ftypavif") || is(4, "ftypavis")) return ImageFormat::avif;
  if (is(4, "ftyphei") || is(4, "ftyphev") || is(4, "ftypmif1")) return ImageFormat::heif;
  if (is(4, "jP  \r\n") || is(0, "\xff\x4f\xff\x51")) return ImageFormat::jpeg2000;
  // "P6", white space, then a number or a comment: two letters alone would make pictures of many notes.
  if (b.size() >= 4 && b[0] == 'P' && b[1] >= '1' && b[1] <= '6' &&
      (b[2] == '\n' || b[2] == '\r' || b[2] == ' ' || b[2] == '\t') && (b[3] == '#' || (b[3] >= '0' && b[3] <= '9'))) {
    return ImageFormat::pnm;
  }
  return ImageFormat::unknown;
}

const char* format_name(ImageFormat f) {
  static constexpr std::array names = {"unknown", "JPEG", "PNG",  "BMP",       "WebP", "GIF",
                                       "TIFF",    "HEIF", "AVIF", "JPEG 2000", "PNM"};
  return names[size_t(f)];
}

bool is_decodable(ImageFormat f) {
  switch (f) {
    case ImageFormat::jpeg:
    case ImageFormat::png:
    case ImageFormat::bmp:
    case ImageFormat::webp:
    case ImageFormat::tiff:
    case ImageFormat::pnm:
      return true;
    default:
      return false;
  }
}

namespace codec {

void corrupt(const Input& in, ImageFormat f, const std::string& what) {
  throw Error(ErrorCode::unreadable, "[image] damaged " + std::string(format_name(f)) + " file (" + what + ")",
              std::string(in.name), "replace or remove the file");
}

void unsupported(const Input& in, const std::string& what, const std::string& hint) {
  throw Error(ErrorCode::unsupported, "[image] " + what, std::string(in.name), hint);
}

void check_size(const Input& in, ImageFormat f, int64_t width, int64_t height, uint64_t bytes_needed_at_least) {
  if (width <= 0 || height <= 0) corrupt(in, f, "width or height is 0");
  const auto size = [&] { return std::to_string(width) + "x" + std::to_string(height); };
  if (width > in.limits.max_side || height > in.limits.max_side ||
      uint64_t(width) * uint64_t(height) > in.limits.max_pixels) {
    throw Error(ErrorCode::unsafe,
                "[image] a picture of " + size() + " pixels is over the limit of " +
                    std::to_string(in.limits.max_pixels) + " pixels and " + std::to_string(in.limits.max_side) +
                    " a side",
                std::string(in.name), "scale the picture down");
  }
  if (bytes_needed_at_least > in.bytes.size()) {
    corrupt(in, f, "truncated: " + std::to_string(in.bytes.size()) + " bytes cannot hold " + size() + " pixels");
  }
}

namespace {

ImageFormat decodable_format(const Input& in) {
  if (in.bytes.empty()) {
    throw Error(ErrorCode::unreadable, "[image] the file is empty", std::string(in.name), "replace or remove the file");
  }
  const ImageFormat f = sniff(in.bytes);
  if (f == ImageFormat::unknown) {
    throw Error(ErrorCode::unreadable, "[image] not a picture that Hone reads", std::string(in.name),
                "use JPEG, PNG, BMP, WebP, TIFF or PNM");
  }
  if (!is_decodable(f)) {
    unsupported(in, std::string(format_name(f)) + " pictures are not supported", "convert it to JPEG or PNG");
  }
  return f;
}

}  // namespace
}  // namespace codec

void decode_image_into(std::span<const uint8_t> bytes, std::string_view name, Image& into, bool apply_orientation,
                       const DecodeLimits& limits) {
  const codec::Input in{bytes, name, limits};
  int orientation = 1;
  switch (codec::decodable_format(in)) {
    case ImageFormat::jpeg:
      orientation = codec::decode_jpeg(in, into);
      break;
    case ImageFormat::png:
      orientation = codec::decode_png(in, into);
      break;
    case ImageFormat::bmp:
      orientation = codec::decode_bmp(in, into);
      break;
    case ImageFormat::tiff:
      orientation = codec::decode_tiff(in, into);
      break;
    case ImageFormat::pnm:
      orientation = codec::decode_pnm(in, into);
      break;
    default:
      orientation = codec::decode_webp(in, into);
      break;
  }
  if (apply_orientation && orientation != 1) into = apply_exif_orientation(std::move(into), orientation);
}

Image decode_image(std::span<const uint8_t> bytes, std::string_view name, bool apply_orientation,
                   const DecodeLimits& limits) {
  Image image;
  decode_image_into(bytes, name, image, apply_orientation, limits);
  return image;
}

Image read_image(const std::string& path, bool apply_orientation, const DecodeLimits& limits) {
  const auto file = MappedFile::open(path);
  return decode_image(file->bytes(), path, apply_orientation, limits);
}

ImageInfo probe_image(std::span<const uint8_t> bytes, std::string_view name, const DecodeLimits& limits) {
  const codec::Input in{bytes, name, limits};
  switch (codec::decodable_format(in)) {
    case ImageFormat::jpeg:
      return codec::probe_jpeg(in);
    case ImageFormat::png:
      return codec::probe_png(in);
    case ImageFormat::bmp:
      return codec::probe_bmp(in);
    case ImageFormat::tiff:
      return codec::probe_tiff(in);
    case ImageFormat::pnm:
      return codec::probe_pnm(in);
    default:
      return codec::probe_webp(in);
  }
}

ImageInfo probe_image(const std::string& path, const DecodeLimits& limits) {
  const auto file = MappedFile::open(path);
  return probe_image(file->bytes(), path, limits);
}

Image apply_exif_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool swap = orientation >= 5;
  const int w = image.width(), h = image.height();
  Image out(swap ? h : w, swap ? w : h, image.channels());
  const auto c = size_t(image.channels());
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      int u = x, v = y;
      switch (orientation) {
        case 2:
          u = w - 1 - x;
          break;
        case 3:
          u = w - 1 - x;
          v = h - 1 - y;
          break;
        case 4:
          v = h - 1 - y;
          break;
        case 5:
          u = y;
          v = x;
          break;
        case 6:
          u = h - 1 - y;
          v = x;
          break;
        case 7:
          u = h - 1 - y;
          v = w - 1 - x;
          break;
        default:
          u = y;
          v = w - 1 - x;
          break;
      }
      std::memcpy(out.pixel(u, v), image.pixel(x, y), c);
    }
  }
  return out;
}

void write_image(const std::string& path, const ImageView& image) {
  std::string suffix = path.substr(std::min(path.size(), path.find_last_of('.')));
  std::transform(suffix.begin(), suffix.end(), suffix.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  std::vector<uint8_t> bytes;
  if (suffix == ".png") {
    bytes = encode_png(image);
  } else if (suffix == ".jpg" || suffix == ".jpeg") {
    bytes = encode_jpeg(image);
  } else {
    throw Error(ErrorCode::usage, "[image] cannot write a picture with the suffix '" + suffix + "'", path,
                "use .png or .jpg");
  }
  write_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace hone::data
