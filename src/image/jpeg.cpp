// JPEG through libjpeg-turbo.
//
// libjpeg reports fatal errors by a callback that must not return. It is left by longjmp, so between setjmp and the end
// of each guarded function there are only objects without destructors; everything that owns memory lives in the caller.
// jpeglib.h uses names of stdio.h, and jerror.h needs jpeglib.h before it
// clang-format off
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "image/codecs.hpp"

namespace hone::data {
namespace {

using codec::Input;

// A progressive file may ask for any number of passes over the whole picture; real encoders use about ten.
constexpr int max_scans = 200;

struct JpegFailure : jpeg_error_mgr {
  std::jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
  bool failed;
};

extern "C" {

static void hone_jpeg_error(j_common_ptr info) {
  auto* f = static_cast<JpegFailure*>(info->err);
  f->format_message(info, f->text);
  f->failed = true;
  std::longjmp(f->jump, 1);
}

// Damage that makes libjpeg invent pixels is an error here. Oddities that leave the picture whole (stray bytes between
// markers, unknown Adobe transform numbers) are not: many cameras and web tools write them.
static void hone_jpeg_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      hone_jpeg_error(info);
    default:
      return;
  }
}

static void hone_jpeg_output(j_common_ptr) {}

static void hone_jpeg_progress(j_common_ptr info) {
  auto* d = reinterpret_cast<j_decompress_ptr>(info);
  if (d->input_scan_number <= max_scans) return;
  auto* f = static_cast<JpegFailure*>(info->err);
  std::snprintf(f->text, sizeof f->text, "more than %d scans", max_scans);
  f->failed = true;
  std::longjmp(f->jump, 1);
}

}  // extern "C"

void install(JpegFailure& f) {
  jpeg_std_error(&f);
  f.error_exit = hone_jpeg_error;
  f.emit_message = hone_jpeg_message;
  f.output_message = hone_jpeg_output;
  f.failed = false;
  f.text[0] = 0;
}

// Owns the decompressor. The guarded steps are static functions that touch plain data only.
struct JpegDecoder {
  jpeg_decompress_struct info{};
  JpegFailure failure{};
  jpeg_progress_mgr progress{};

  JpegDecoder() { install(failure); }
  ~JpegDecoder() { jpeg_destroy_decompress(&info); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
};

bool read_header(JpegDecoder& d, const uint8_t* bytes, size_t size) {
  d.info.err = &d.failure;
  if (setjmp(d.failure.jump)) return false;
  jpeg_create_decompress(&d.info);
  d.progress.progress_monitor = hone_jpeg_progress;
  d.info.progress = &d.progress;
  jpeg_mem_src(&d.info, bytes, static_cast<unsigned long>(size));
  jpeg_save_markers(&d.info, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&d.info, TRUE);
  return true;
}

bool read_pixels(JpegDecoder& d, uint8_t* pixels, size_t row_bytes) {
  if (setjmp(d.failure.jump)) return false;
  jpeg_start_decompress(&d.info);
  while (d.info.output_scanline < d.info.output_height) {
    JSAMPROW rows[4];
    const JDIMENSION left = d.info.output_height - d.info.output_scanline;
    const JDIMENSION n = left < 4 ? left : 4;
    for (JDIMENSION i = 0; i < n; ++i) rows[i] = pixels + (size_t(d.info.output_scanline) + i) * row_bytes;
    jpeg_read_scanlines(&d.info, rows, n);
  }
  jpeg_finish_decompress(&d.info);
  return true;
}

int orientation_of(const JpegDecoder& d) {
  for (auto* m = d.info.marker_list; m; m = m->next) {
    if (m->marker == JPEG_APP0 + 1 && m->data_length >= 6 && m->data[0] == 'E' && m->data[1] == 'x') {
      return codec::exif_orientation({m->data, m->data_length});
    }
  }
  return 1;
}

void header_or_throw(JpegDecoder& d, const Input& in) {
  if (!read_header(d, in.bytes.data(), in.bytes.size())) {
    const int code = d.failure.msg_code;
    if (code == JERR_BAD_PRECISION || code == JERR_SOF_UNSUPPORTED) {
      codec::unsupported(in, "JPEG of a rare kind (" + std::string(d.failure.text) + ")",
                         "convert it to an 8-bit JPEG");
    }
    codec::corrupt(in, ImageFormat::jpeg, d.failure.text);
  }
  const auto w = int64_t(d.info.image_width), h = int64_t(d.info.image_height);
  // A block of 8x8 samples takes at least one bit of Huffman code, so a byte holds at most 512 pixels. 2048 leaves
  // room.
  const uint64_t at_least = d.info.arith_code ? 0 : uint64_t(w) * uint64_t(h) / 2048;
  codec::check_size(in, ImageFormat::jpeg, w, h, at_least);
}

// Ink to light, as Pillow converts: CMYK files are written inverted, so a sample is 255 - ink.
void cmyk_to_rgb(const uint8_t* in, uint8_t* out, size_t pixels) {
  for (size_t i = 0; i < pixels; ++i, in += 4, out += 3) {
    const unsigned white = in[3];
    for (int c = 0; c < 3; ++c) {
      const unsigned t = (255u - in[c]) * white + 128;
      const unsigned ink = ((t >> 8) + t) >> 8;
      out[c] = uint8_t(white > ink ? white - ink : 0);
    }
  }
}

}  // namespace

namespace codec {

ImageInfo probe_jpeg(const Input& in) {
  JpegDecoder d;
  header_or_throw(d, in);
  return {ImageFormat::jpeg, int(d.info.image_width), int(d.info.image_height),
          d.info.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3, orientation_of(d)};
}

int decode_jpeg(const Input& in, Image& out) {
  JpegDecoder d;
  header_or_throw(d, in);
  const int w = int(d.info.image_width), h = int(d.info.image_height);
  switch (d.info.jpeg_color_space) {
    case JCS_GRAYSCALE:
      d.info.out_color_space = JCS_GRAYSCALE;
      break;
    case JCS_CMYK:
    case JCS_YCCK:
      d.info.out_color_space = JCS_CMYK;
      break;
    case JCS_RGB:
    case JCS_YCbCr:
      d.info.out_color_space = JCS_RGB;
      break;
    default:
      unsupported(in, "JPEG with " + std::to_string(d.info.num_components) + " components of unknown meaning",
                  "convert it to RGB");
  }
  const int orientation = orientation_of(d);
  if (d.info.out_color_space == JCS_CMYK) {
    Image inks(w, h, 4);
    if (!read_pixels(d, inks.data(), inks.row_bytes())) corrupt(in, ImageFormat::jpeg, d.failure.text);
    out.reset(w, h, 3);
    cmyk_to_rgb(inks.data(), out.data(), size_t(w) * size_t(h));
  } else {
    out.reset(w, h, d.info.out_color_space == JCS_RGB ? 3 : 1);
    if (!read_pixels(d, out.data(), out.row_bytes())) corrupt(in, ImageFormat::jpeg, d.failure.text);
  }
  return orientation;
}

}  // namespace codec

namespace {

struct JpegEncoder {
  jpeg_compress_struct info{};
  JpegFailure failure{};
  unsigned char* bytes = nullptr;
  unsigned long size = 0;

  JpegEncoder() { install(failure); }
  ~JpegEncoder() {
    jpeg_destroy_compress(&info);
    std::free(bytes);
  }
  JpegEncoder(const JpegEncoder&) = delete;
  JpegEncoder& operator=(const JpegEncoder&) = delete;
};

bool compress(JpegEncoder& e, const uint8_t* pixels, int width, int height, int channels, int quality) {
  e.info.err = &e.failure;
  if (setjmp(e.failure.jump)) return false;
  jpeg_create_compress(&e.info);
  jpeg_mem_dest(&e.info, &e.bytes, &e.size);
  e.info.image_width = JDIMENSION(width);
  e.info.image_height = JDIMENSION(height);
  e.info.input_components = channels;
  e.info.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_EXT_RGBX;
  jpeg_set_defaults(&e.info);
  jpeg_set_quality(&e.info, quality, TRUE);
  jpeg_start_compress(&e.info, TRUE);
  while (e.info.next_scanline < e.info.image_height) {
    JSAMPROW row = const_cast<uint8_t*>(pixels) + size_t(e.info.next_scanline) * size_t(width) * size_t(channels);
    jpeg_write_scanlines(&e.info, &row, 1);
  }
  jpeg_finish_compress(&e.info);
  return true;
}

}  // namespace

std::vector<uint8_t> encode_jpeg(const ImageView& image, int quality) {
  if (image.byte_size() == 0) throw Error(ErrorCode::failed, "[image] cannot encode an empty picture");
  if (quality < 1 || quality > 100) throw Error(ErrorCode::usage, "[image] JPEG quality must lie in 1..100");
  JpegEncoder e;
  if (!compress(e, image.pixels, image.width, image.height, image.channels, quality)) {
    throw Error(ErrorCode::failed, "[image] cannot encode a JPEG (" + std::string(e.failure.text) + ")");
  }
  return {e.bytes, e.bytes + e.size};
}

}  // namespace hone::data
