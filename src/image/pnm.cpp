// Portable bitmaps, graymaps and pixmaps, P1 to P6: as text or as bytes, up to 16 bits a sample. Of a file with several
// pictures the first is read. Source: Netpbm, "pbm", "pgm", "ppm".
#include "image/codecs.hpp"

namespace hone::data::codec {
namespace {

struct PnmHeader {
  int64_t width = 0, height = 0;
  uint32_t most = 1;  ///< the sample that stands for white; of a bitmap 1, which stands for black
  bool bitmap = false, text = false;
  int channels = 1;
  size_t pixels_at = 0;
};

bool is_blank(uint8_t c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

[[noreturn]] void damaged_pnm(const Input& in, const char* what) {
  corrupt(in, ImageFormat::pnm, what);
}

/// Passes over white space and comments, which reach from # to the end of their line.
void skip_blanks(const Input& in, size_t& at) {
  for (bool comment = false; at < in.bytes.size(); ++at) {
    const uint8_t c = in.bytes[at];
    if (comment) {
      comment = c != '\n' && c != '\r';
    } else if (c == '#') {
      comment = true;
    } else if (!is_blank(c)) {
      return;
    }
  }
}

uint32_t pnm_number(const Input& in, size_t& at) {
  skip_blanks(in, at);
  uint32_t v = 0;
  const size_t first = at;
  for (; at < in.bytes.size() && in.bytes[at] >= '0' && in.bytes[at] <= '9'; ++at) {
    if (v > 99'999'999) damaged_pnm(in, "a number of more than nine digits");
    v = v * 10 + uint32_t(in.bytes[at] - '0');
  }
  if (at == first) damaged_pnm(in, at == in.bytes.size() ? "truncated" : "no number where one must stand");
  return v;
}

PnmHeader read_pnm_header(const Input& in) {
  PnmHeader h;
  if (in.bytes.size() < 3) damaged_pnm(in, "truncated");
  const int kind = in.bytes[1] - '0';
  h.bitmap = kind == 1 || kind == 4;
  h.text = kind <= 3;
  h.channels = kind == 3 || kind == 6 ? 3 : 1;
  size_t at = 2;
  h.width = pnm_number(in, at);
  h.height = pnm_number(in, at);
  if (!h.bitmap) {
    h.most = pnm_number(in, at);
    if (h.most < 1 || h.most > 65535) damaged_pnm(in, "the largest sample must lie in 1..65535");
  }
  if (!h.text) {
    if (at == in.bytes.size() || !is_blank(in.bytes[at])) damaged_pnm(in, "truncated");
    ++at;
  }
  h.pixels_at = at;
  const bool sane = h.width <= in.limits.max_side && h.height <= in.limits.max_side;
  const auto w = uint64_t(h.width), rows = uint64_t(h.height);
  // A sample as text takes a digit, and those of graymaps and pixmaps a blank in front.
  const uint64_t row = h.text     ? w * (h.bitmap ? 1 : 2 * uint64_t(h.channels))
                       : h.bitmap ? (w + 7) / 8
                                  : w * uint64_t(h.channels) * (h.most > 255 ? 2 : 1);
  check_size(in, ImageFormat::pnm, h.width, h.height, sane ? at + row * rows : 0);
  return h;
}

}  // namespace

ImageInfo probe_pnm(const Input& in) {
  const PnmHeader h = read_pnm_header(in);
  return {ImageFormat::pnm, int(h.width), int(h.height), h.channels, 1};
}

int decode_pnm(const Input& in, Image& out) {
  const PnmHeader h = read_pnm_header(in);
  out.reset(int(h.width), int(h.height), h.channels);
  size_t at = h.pixels_at;
  const auto sample = [&]() -> uint32_t {
    if (h.bitmap) {  // digits need no blanks between them
      skip_blanks(in, at);
      if (at == in.bytes.size()) damaged_pnm(in, "truncated");
      const uint8_t c = in.bytes[at++];
      if (c != '0' && c != '1') damaged_pnm(in, "a pixel that is neither 0 nor 1");
      return uint32_t(c - '0');
    }
    if (h.text) return pnm_number(in, at);
    if (h.most <= 255) return in.bytes[at++];
    at += 2;
    return uint32_t(in.bytes[at - 2] << 8 | in.bytes[at - 1]);
  };
  for (int y = 0; y < out.height(); ++y) {
    uint8_t* to = out.row(y);
    if (h.bitmap && !h.text) {
      for (int x = 0; x < out.width(); ++x) to[x] = (in.bytes[at + size_t(x) / 8] >> (7 - x % 8)) & 1 ? 0 : 255;
      at += (size_t(h.width) + 7) / 8;
      continue;
    }
    for (size_t i = 0; i < out.row_bytes(); ++i) {
      const uint32_t v = sample();
      if (h.bitmap) {
        to[i] = v != 0 ? 0 : 255;
      } else {
        if (v > h.most) damaged_pnm(in, "a sample above the largest");
        to[i] = uint8_t((v * 255 + h.most / 2) / h.most);
      }
    }
  }
  return 1;
}

}  // namespace hone::data::codec
