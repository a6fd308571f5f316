// PNG through libpng.
//
// libpng leaves by longjmp, as libjpeg does: the guarded functions hold no object with a destructor.
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "image/codecs.hpp"

namespace hone::data {
namespace {

using codec::Input;

struct PngFailure {
  char text[160] = {};
};

struct PngSource {
  const uint8_t* next;
  size_t left;
};

extern "C" {

static void hone_png_error(png_structp png, png_const_charp text) {
  auto* f = static_cast<PngFailure*>(png_get_error_ptr(png));
  std::snprintf(f->text, sizeof f->text, "%s", text);
  png_longjmp(png, 1);
}

static void hone_png_warning(png_structp, png_const_charp) {}

static void hone_png_read(png_structp png, png_bytep to, size_t n) {
  auto* s = static_cast<PngSource*>(png_get_io_ptr(png));
  if (n > s->left) png_error(png, "truncated");
  std::memcpy(to, s->next, n);
  s->next += n;
  s->left -= n;
}

static void hone_png_write(png_structp png, png_bytep from, size_t n) {
  auto* out = static_cast<std::vector<uint8_t>*>(png_get_io_ptr(png));
  bool grown = true;
  try {
    out->insert(out->end(), from, from + n);
  } catch (...) {
    grown = false;  // no exception may cross libpng's frames
  }
  if (!grown) png_error(png, "out of memory");
}

static void hone_png_flush(png_structp) {}

}  // extern "C"

struct PngDecoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  PngFailure failure;
  PngSource source{};
  std::vector<png_bytep> rows;

  PngDecoder() = default;
  ~PngDecoder() { png_destroy_read_struct(&png, &info, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;
};

bool read_header(PngDecoder& d, const Input& in) {
  d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d.failure, hone_png_error, hone_png_warning);
  if (!d.png) return false;
  if (setjmp(png_jmpbuf(d.png))) return false;
  d.info = png_create_info_struct(d.png);
  if (!d.info) return false;
  d.source = {in.bytes.data(), in.bytes.size()};
  png_set_read_fn(d.png, &d.source, hone_png_read);
  png_set_user_limits(d.png, 0x7fffffff, 0x7fffffff);  // check_size speaks first, with the name of the file
  png_set_chunk_malloc_max(d.png, 8u << 20);
  png_set_chunk_cache_max(d.png, 64);
  png_read_info(d.png, d.info);
  return true;
}

/// Asks for 8-bit grey, RGB or RGBA.
void set_transforms(PngDecoder& d) {
  const int color = png_get_color_type(d.png, d.info);
  const bool transparent = png_get_valid(d.png, d.info, PNG_INFO_tRNS) != 0;
  const bool alpha = (color & PNG_COLOR_MASK_ALPHA) != 0 || transparent;
  png_set_scale_16(d.png);
  png_set_expand(d.png);  // palette to RGB, grey below 8 bits to 8, tRNS to alpha
  if (alpha && (color & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(d.png);
  if (png_get_interlace_type(d.png, d.info) != PNG_INTERLACE_NONE) png_set_interlace_handling(d.png);
}

int channels_of(PngDecoder& d) {
  const int color = png_get_color_type(d.png, d.info);
  if ((color & PNG_COLOR_MASK_ALPHA) != 0 || png_get_valid(d.png, d.info, PNG_INFO_tRNS) != 0) return 4;
  return (color & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1;
}

bool prepare(PngDecoder& d) {
  if (setjmp(png_jmpbuf(d.png))) return false;
  set_transforms(d);
  png_read_update_info(d.png, d.info);
  return true;
}

bool read_pixels(PngDecoder& d) {
  if (setjmp(png_jmpbuf(d.png))) return false;
  png_read_image(d.png, d.rows.data());
  png_read_end(d.png, d.info);
  return true;
}

int orientation_of(PngDecoder& d) {
#ifdef PNG_eXIf_SUPPORTED
  png_uint_32 n = 0;
  png_bytep exif = nullptr;
  if (png_get_eXIf_1(d.png, d.info, &n, &exif) != 0) return codec::exif_orientation({exif, n});
#endif
  return 1;
}

/// libpng takes memory for what a chunk announces before it looks whether the bytes are there, so that is looked at
/// first: of the chunks in front of the pixels, or of all.
void check_chunks(const Input& in, bool all) {
  const auto b = in.bytes;
  for (size_t at = 8; b.size() - at >= 8;) {
    const size_t n = size_t(b[at]) << 24 | size_t(b[at + 1]) << 16 | size_t(b[at + 2]) << 8 | size_t(b[at + 3]);
    const std::string_view name(reinterpret_cast<const char*>(b.data() + at + 4), 4);
    if (name == "IEND" || (name == "IDAT" && !all)) return;
    if (n > b.size() - at - 8 || b.size() - at - 8 - n < 4) codec::corrupt(in, ImageFormat::png, "truncated");
    at += n + 12;
  }
}

void header_or_throw(PngDecoder& d, const Input& in, bool all_chunks) {
  if (in.bytes.size() >= 8) check_chunks(in, all_chunks);
  if (!read_header(d, in)) codec::corrupt(in, ImageFormat::png, d.failure.text[0] ? d.failure.text : "out of memory");
  const auto w = int64_t(png_get_image_width(d.png, d.info)), h = int64_t(png_get_image_height(d.png, d.info));
  const int bits = png_get_bit_depth(d.png, d.info) * png_get_channels(d.png, d.info);
  // Deflate expands at most 1032 times.
  const uint64_t raw = (uint64_t(w) * uint64_t(bits) + 7) / 8;
  codec::check_size(in, ImageFormat::png, w, h,
                    w <= in.limits.max_side && h <= in.limits.max_side ? raw * uint64_t(h) / 1032 : 0);
}

}  // namespace

namespace codec {

ImageInfo probe_png(const Input& in) {
  PngDecoder d;
  header_or_throw(d, in, false);
  return {ImageFormat::png, int(png_get_image_width(d.png, d.info)), int(png_get_image_height(d.png, d.info)),
          channels_of(d), orientation_of(d)};
}

int decode_png(const Input& in, Image& out) {
  PngDecoder d;
  header_or_throw(d, in, true);
  const int channels = channels_of(d);
  if (!prepare(d)) corrupt(in, ImageFormat::png, d.failure.text);
  const int w = int(png_get_image_width(d.png, d.info)), h = int(png_get_image_height(d.png, d.info));
  out.reset(w, h, channels);
  if (png_get_rowbytes(d.png, d.info) != out.row_bytes() || png_get_channels(d.png, d.info) != channels) {
    corrupt(in, ImageFormat::png, "inconsistent colour information");
  }
  d.rows.resize(size_t(h));
  for (int y = 0; y < h; ++y) d.rows[size_t(y)] = out.row(y);
  if (!read_pixels(d)) corrupt(in, ImageFormat::png, d.failure.text);
  return orientation_of(d);
}

}  // namespace codec

namespace {

struct PngEncoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  PngFailure failure;
  std::vector<uint8_t> bytes;

  PngEncoder() = default;
  ~PngEncoder() { png_destroy_write_struct(&png, &info); }
  PngEncoder(const PngEncoder&) = delete;
  PngEncoder& operator=(const PngEncoder&) = delete;
};

bool compress(PngEncoder& e, const ImageView& image, int level) {
  e.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &e.failure, hone_png_error, hone_png_warning);
  if (!e.png) return false;
  if (setjmp(png_jmpbuf(e.png))) return false;
  e.info = png_create_info_struct(e.png);
  if (!e.info) return false;
  png_set_write_fn(e.png, &e.bytes, hone_png_write, hone_png_flush);
  png_set_compression_level(e.png, level);
  const int color = image.channels == 1   ? PNG_COLOR_TYPE_GRAY
                    : image.channels == 3 ? PNG_COLOR_TYPE_RGB
                                          : PNG_COLOR_TYPE_RGB_ALPHA;
  png_set_IHDR(e.png, e.info, png_uint_32(image.width), png_uint_32(image.height), 8, color, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(e.png, e.info);
  for (int y = 0; y < image.height; ++y) png_write_row(e.png, image.row(y));
  png_write_end(e.png, e.info);
  return true;
}

}  // namespace

std::vector<uint8_t> encode_png(const ImageView& image, int level) {
  if (image.byte_size() == 0) throw Error(ErrorCode::failed, "[image] cannot encode an empty picture");
  if (level < 0 || level > 9) throw Error(ErrorCode::usage, "[image] PNG compression level must lie in 0..9");
  PngEncoder e;
  if (!compress(e, image, level)) {
    throw Error(ErrorCode::failed, "[image] cannot encode a PNG (" + std::string(e.failure.text) + ")");
  }
  return std::move(e.bytes);
}

}  // namespace hone::data
