// Windows bitmaps: header versions of 12, 40, 52, 56, 108 and 124 bytes; 1, 4, 8, 16, 24 and 32 bits a pixel; plain,
// RLE8, RLE4 and bit fields; bottom-up and top-down. Source: Microsoft, "Bitmap Storage" and "BITMAPV5HEADER".
#include <algorithm>
#include <array>
#include <bit>

#include "image/codecs.hpp"

namespace hone::data::codec {
namespace {

enum BmpCompression : uint32_t { plain = 0, rle8 = 1, rle4 = 2, bit_fields = 3, alpha_bit_fields = 6 };

struct BmpHeader {
  int64_t width = 0, height = 0;
  bool top_down = false;
  uint32_t bits = 0, compression = plain, pixels_at = 0;
  std::array<uint32_t, 4> masks{};  // red, green, blue, alpha
  std::vector<std::array<uint8_t, 3>> palette;
  int channels() const { return masks[3] != 0 ? 4 : grey() ? 1 : 3; }
  bool grey() const {
    return !palette.empty() &&
           std::all_of(palette.begin(), palette.end(), [](const auto& p) { return p[0] == p[1] && p[1] == p[2]; });
  }
};

uint32_t u16(const Input& in, size_t at) {
  return uint32_t(in.bytes[at] | in.bytes[at + 1] << 8);
}
uint32_t u32(const Input& in, size_t at) {
  return u16(in, at) | u16(in, at + 2) << 16;
}

[[noreturn]] void damaged(const Input& in, const char* what) {
  corrupt(in, ImageFormat::bmp, what);
}

BmpHeader read_header(const Input& in) {
  if (in.bytes.size() < 26) damaged(in, "truncated");
  BmpHeader h;
  h.pixels_at = u32(in, 10);
  const uint32_t size = u32(in, 14);
  if (size != 12 && size != 40 && size != 52 && size != 56 && size != 108 && size != 124) damaged(in, "unknown header");
  if (in.bytes.size() < 14 + size_t(size)) damaged(in, "truncated");
  uint32_t colors = 0;
  if (size == 12) {
    h.width = u16(in, 18);
    h.height = u16(in, 20);
    h.bits = u16(in, 24);
  } else {
    h.width = int32_t(u32(in, 18));
    h.height = int32_t(u32(in, 22));
    h.bits = u16(in, 28);
    h.compression = u32(in, 30);
    colors = u32(in, 46);
    if (h.height < 0) {
      h.top_down = true;
      h.height = -h.height;
    }
  }
  size_t after = 14 + size_t(size);
  const bool fields = h.compression == bit_fields || h.compression == alpha_bit_fields;
  const bool known = (h.compression == plain &&
                      (h.bits == 1 || h.bits == 4 || h.bits == 8 || h.bits == 16 || h.bits == 24 || h.bits == 32)) ||
                     (h.compression == rle8 && h.bits == 8) || (h.compression == rle4 && h.bits == 4) ||
                     (fields && (h.bits == 16 || h.bits == 32));
  if (!known) {
    unsupported(in,
                "BMP with " + std::to_string(h.bits) + " bits a pixel and compression " + std::to_string(h.compression),
                "convert it to PNG");
  }
  if (h.compression != plain && !fields && h.top_down) damaged(in, "a run-length picture cannot be top-down");
  const bool run_length = h.compression == rle8 || h.compression == rle4;
  // A run of 255 pixels takes two bytes, and an end-of-bitmap code may leave the rest out: no bound for those.
  const uint64_t row = (uint64_t(std::max<int64_t>(h.width, 0)) * h.bits + 31) / 32 * 4;
  const bool sane = h.width <= in.limits.max_side && h.height <= in.limits.max_side;
  check_size(in, ImageFormat::bmp, h.width, h.height,
             sane && !run_length ? uint64_t(h.pixels_at) + row * uint64_t(std::max<int64_t>(h.height, 0)) : 0);

  if (fields) {
    const int masks = size >= 56 || h.compression == alpha_bit_fields ? 4 : 3;
    if (size == 40) after += size_t(masks) * 4;
    if (in.bytes.size() < 54 + size_t(masks) * 4) damaged(in, "truncated");
    for (int i = 0; i < masks; ++i) h.masks[size_t(i)] = u32(in, 54 + 4 * size_t(i));
  } else if (h.bits == 16) {
    h.masks = {0x7c00, 0x03e0, 0x001f, 0};
  }
  if (h.bits <= 8) {
    const uint32_t most = 1u << h.bits;
    if (colors == 0 || colors > most) colors = most;
    const size_t entry = size == 12 ? 3 : 4;
    // Some writers store fewer entries than they announce; the pixels then start inside the announced palette.
    if (h.pixels_at > after) colors = std::min(colors, uint32_t((h.pixels_at - after) / entry));
    if (after + colors * entry > in.bytes.size()) damaged(in, "truncated palette");
    h.palette.resize(most);
    for (size_t i = 0; i < colors; ++i) {
      const uint8_t* p = in.bytes.data() + after + i * entry;
      h.palette[i] = {p[2], p[1], p[0]};
    }
  }
  if (h.pixels_at < after || h.pixels_at > in.bytes.size()) damaged(in, "the pixels lie outside of the file");
  return h;
}

/// A masked field scaled to 8 bits.
uint8_t field(uint32_t pixel, uint32_t mask) {
  if (mask == 0) return 0;
  const uint64_t v = (pixel & mask) >> std::countr_zero(mask);
  const uint64_t most = mask >> std::countr_zero(mask);
  return uint8_t((v * 255 + most / 2) / most);
}

void put_index(const BmpHeader& h, uint8_t* to, uint32_t index, int channels) {
  const auto& p = h.palette[index];
  to[0] = p[0];
  if (channels == 3) {
    to[1] = p[1];
    to[2] = p[2];
  }
}

void read_rows(const Input& in, const BmpHeader& h, Image& out) {
  const size_t row = (size_t(h.width) * h.bits + 31) / 32 * 4;
  const int channels = out.channels();
  for (int64_t y = 0; y < h.height; ++y) {
    const uint8_t* from = in.bytes.data() + h.pixels_at + row * size_t(y);
    uint8_t* to = out.row(int(h.top_down ? y : h.height - 1 - y));
    for (int64_t x = 0; x < h.width; ++x, to += channels) {
      if (h.bits <= 8) {
        const uint32_t per_byte = 8 / h.bits;
        const uint32_t shift = 8 - h.bits * (uint32_t(x) % per_byte + 1);
        put_index(h, to, (from[uint32_t(x) / per_byte] >> shift) & ((1u << h.bits) - 1), channels);
      } else if (h.bits == 24 || (h.bits == 32 && h.masks[0] == 0 && h.masks[1] == 0 && h.masks[2] == 0)) {
        const uint8_t* p = from + size_t(x) * (h.bits / 8);
        to[0] = p[2];
        to[1] = p[1];
        to[2] = p[0];
        if (channels == 4) to[3] = p[3];
      } else {
        const uint8_t* p = from + size_t(x) * (h.bits / 8);
        const uint32_t v = h.bits == 16
                               ? uint32_t(p[0] | p[1] << 8)
                               : uint32_t(p[0]) | uint32_t(p[1]) << 8 | uint32_t(p[2]) << 16 | uint32_t(p[3]) << 24;
        for (int c = 0; c < channels; ++c) to[c] = field(v, h.masks[size_t(c)]);
      }
    }
  }
}

void read_runs(const Input& in, const BmpHeader& h, Image& out) {
  const int channels = out.channels();
  for (int y = 0; y < out.height(); ++y) {
    for (int x = 0; x < out.width(); ++x) put_index(h, out.pixel(x, y), 0, channels);
  }
  const auto b = in.bytes;
  size_t at = h.pixels_at;
  int64_t x = 0, y = 0;
  const auto put = [&](uint32_t index) {
    if (x >= h.width || y >= h.height) damaged(in, "a run leaves the picture");
    put_index(h, out.pixel(int(x), int(h.height - 1 - y)), index, channels);
    ++x;
  };
  const auto need = [&](size_t n) {
    if (b.size() - at < n) damaged(in, "truncated");
  };
  for (;;) {
    need(2);
    const uint32_t count = b[at], value = b[at + 1];
    at += 2;
    if (count > 0) {
      for (uint32_t i = 0; i < count; ++i) put(h.bits == 8 ? value : i % 2 == 0 ? value >> 4 : value & 15);
    } else if (value == 0) {
      x = 0;
      ++y;
    } else if (value == 1) {
      return;
    } else if (value == 2) {
      need(2);
      x += b[at];
      y += b[at + 1];
      at += 2;
    } else {
      const size_t bytes = h.bits == 8 ? value : (value + 1) / 2;
      need(bytes + bytes % 2);
      for (uint32_t i = 0; i < value; ++i) {
        const uint32_t v = h.bits == 8 ? b[at + i] : i % 2 == 0 ? b[at + i / 2] >> 4 : b[at + i / 2] & 15u;
        put(v);
      }
      at += bytes + bytes % 2;
    }
  }
}

}  // namespace

ImageInfo probe_bmp(const Input& in) {
  const BmpHeader h = read_header(in);
  return {ImageFormat::bmp, int(h.width), int(h.height), h.channels(), 1};
}

int decode_bmp(const Input& in, Image& out) {
  const BmpHeader h = read_header(in);
  out.reset(int(h.width), int(h.height), h.channels());
  if (h.compression == rle8 || h.compression == rle4) {
    read_runs(in, h, out);
  } else {
    read_rows(in, h, out);
  }
  return 1;
}

}  // namespace hone::data::codec
