// TIFF 6.0 as scanners, cameras and image libraries write it: strips or tiles of 1, 2, 4, 8 or 16 bits a sample, grey,
// RGB or a palette, with or without alpha; plain, PackBits, LZW or deflate, with or without differencing. Of a file
// with several pictures the first is read. Source: Adobe, "TIFF Revision 6.0" and "TIFF Technical Notes".
#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "image/codecs.hpp"

namespace hone::data::codec {
namespace {

enum TiffTag : uint32_t {
  image_width = 256,
  image_length = 257,
  bits_per_sample = 258,
  compression_tag = 259,
  photometric_tag = 262,
  fill_order = 266,
  strip_offsets = 273,
  samples_per_pixel = 277,
  rows_per_strip = 278,
  strip_byte_counts = 279,
  planar_configuration = 284,
  predictor_tag = 317,
  color_map = 320,
  tile_width = 322,
  tile_length = 323,
  tile_offsets = 324,
  tile_byte_counts = 325,
  extra_samples = 338,
  sample_format = 339,
};
enum TiffCompression : uint32_t {
  tiff_plain = 1,
  tiff_lzw = 5,
  tiff_deflate = 8,
  tiff_old_deflate = 32946,
  tiff_pack_bits = 32773
};
enum TiffPhotometric : uint32_t { white_is_zero = 0, black_is_zero = 1, tiff_rgb = 2, tiff_palette = 3 };
enum class TiffAlpha { none, premultiplied, straight };

/// Where the values of one tag lie.
struct TiffField {
  size_t at = 0;
  uint32_t count = 0, bytes = 0;  ///< values; bytes of one
};

struct TiffHeader {
  int64_t width = 0, height = 0;
  uint32_t bits = 1, samples = 1, compression = tiff_plain, photometric = black_is_zero, predictor = 1;
  TiffAlpha alpha = TiffAlpha::none;
  bool tiled = false;
  int64_t block_width = 0, block_height = 0;  ///< of a strip: the picture's width and the rows of a strip
  TiffField offsets, counts, colors;
  int channels() const {
    if (alpha != TiffAlpha::none) return 4;
    return photometric == tiff_rgb || photometric == tiff_palette ? 3 : 1;
  }
  uint64_t row_bytes() const { return (uint64_t(block_width) * samples * bits + 7) / 8; }
};

[[noreturn]] void damaged_tiff(const Input& in, const char* what) {
  corrupt(in, ImageFormat::tiff, what);
}
[[noreturn]] void rare_tiff(const Input& in, const std::string& what) {
  unsupported(in, "TIFF with " + what + " is not supported", "convert it to PNG");
}

/// Words in the order of the file.
struct TiffWords {
  const Input& in;
  bool little;
  uint32_t u16(size_t at) const {
    if (at + 2 > in.bytes.size()) damaged_tiff(in, "truncated");
    const auto* p = in.bytes.data() + at;
    return uint32_t(little ? p[0] | p[1] << 8 : p[0] << 8 | p[1]);
  }
  uint32_t u32(size_t at) const {
    const uint32_t a = u16(at), b = u16(at + 2);
    return little ? a | b << 16 : a << 16 | b;
  }
  uint32_t value(const TiffField& f, size_t i) const {
    if (i >= f.count) damaged_tiff(in, "a tag with too few values");
    const size_t at = f.at + i * f.bytes;
    return f.bytes == 1 ? in.bytes[at] : f.bytes == 2 ? u16(at) : u32(at);
  }
};

TiffWords words_of(const Input& in) {
  if (in.bytes.size() < 8) damaged_tiff(in, "truncated");
  return {in, in.bytes[0] == 'I'};
}

class TiffDirectory {
 public:
  explicit TiffDirectory(const TiffWords& w) : w_(w), at_(w.u32(4)), entries_(w.u16(at_)) {
    if (entries_ * 12 > w.in.bytes.size() - at_ - 2) damaged_tiff(w.in, "truncated");
  }
  /// The field of a tag whose values are whole numbers.
  std::optional<TiffField> find(uint32_t tag) const {
    for (size_t i = 0; i < entries_; ++i) {
      const size_t at = at_ + 2 + 12 * i;
      if (w_.u16(at) != tag) continue;
      const uint32_t type = w_.u16(at + 2);
      TiffField f{at + 8, w_.u32(at + 4), type == 1 ? 1u : type == 3 ? 2u : type == 4 ? 4u : 0u};
      if (f.bytes == 0) damaged_tiff(w_.in, "a tag of the wrong type");
      const uint64_t size = uint64_t(f.count) * f.bytes;
      if (size > 4) f.at = w_.u32(at + 8);
      if (f.at > w_.in.bytes.size() || size > w_.in.bytes.size() - f.at)
        damaged_tiff(w_.in, "a tag outside of the file");
      return f;
    }
    return std::nullopt;
  }
  uint32_t number(uint32_t tag, uint32_t otherwise) const {
    const auto f = find(tag);
    return f ? w_.value(*f, 0) : otherwise;
  }
  TiffField list(uint32_t tag, const char* missing) const {
    const auto f = find(tag);
    if (!f) damaged_tiff(w_.in, missing);
    return *f;
  }

 private:
  const TiffWords& w_;
  size_t at_, entries_;
};

/// How many bytes a byte of the file can at most become.
uint64_t largest_growth(uint32_t compression) {
  switch (compression) {
    case tiff_plain:
      return 1;
    case tiff_pack_bits:
      return 64;  // two bytes stand for up to 128
    case tiff_lzw:
      return 4096;  // a code of at least nine bits stands for less than 4096 bytes
    default:
      return 1032;
  }
}

TiffHeader read_tiff_header(const Input& in) {
  const TiffWords w = words_of(in);
  const TiffDirectory d(w);
  TiffHeader h;
  h.width = d.number(image_width, 0);
  h.height = d.number(image_length, 0);
  const bool sane = h.width <= in.limits.max_side && h.height <= in.limits.max_side;
  if (!sane || h.width == 0 || h.height == 0) check_size(in, ImageFormat::tiff, h.width, h.height, 0);

  h.samples = d.number(samples_per_pixel, 1);
  if (const auto bits = d.find(bits_per_sample)) {
    h.bits = w.value(*bits, 0);
    for (uint32_t i = 1; i < std::min(bits->count, h.samples); ++i) {
      if (w.value(*bits, i) != h.bits) rare_tiff(in, "samples of several widths");
    }
  }
  h.compression = d.number(compression_tag, tiff_plain);
  h.photometric = d.number(photometric_tag, black_is_zero);
  h.predictor = d.number(predictor_tag, 1);
  switch (h.compression) {
    case tiff_plain:
    case tiff_lzw:
    case tiff_deflate:
    case tiff_old_deflate:
    case tiff_pack_bits:
      break;
    default:
      rare_tiff(in, "compression " + std::to_string(h.compression));
  }
  if (h.photometric > tiff_palette) rare_tiff(in, "colours of kind " + std::to_string(h.photometric));
  if (h.bits != 1 && h.bits != 2 && h.bits != 4 && h.bits != 8 && h.bits != 16)
    rare_tiff(in, std::to_string(h.bits) + " bits a sample");
  const uint32_t colors = h.photometric == tiff_rgb ? 3 : 1;
  if (h.samples < colors || h.samples > colors + 1 || (h.photometric == tiff_palette && h.samples != 1))
    rare_tiff(in, std::to_string(h.samples) + " samples a pixel");
  if (colors + h.samples > 2 && h.bits < 8) rare_tiff(in, "pixels of several samples below 8 bits");
  if (h.photometric == tiff_palette && h.bits > 8) rare_tiff(in, "a palette of 16 bits");
  if (h.samples > 1 && d.number(planar_configuration, 1) != 1) rare_tiff(in, "a plane for each colour");
  if (d.number(fill_order, 1) != 1) rare_tiff(in, "bits in reversed order");
  if (d.number(sample_format, 1) != 1) rare_tiff(in, "samples that are no unsigned numbers");
  if (h.predictor > 2 || h.predictor < 1 || (h.predictor == 2 && h.bits < 8))
    rare_tiff(in, "predictor " + std::to_string(h.predictor) + " for " + std::to_string(h.bits) + " bits");
  if (h.samples == colors + 1) {
    const uint32_t kind = d.number(extra_samples, 0);
    h.alpha = kind == 1 ? TiffAlpha::premultiplied : kind == 2 ? TiffAlpha::straight : TiffAlpha::none;
  }
  if (h.photometric == tiff_palette) {
    h.colors = d.list(color_map, "no palette");
    if (h.colors.bytes != 2 || h.colors.count != 3u << h.bits) damaged_tiff(in, "a palette of the wrong size");
  }

  h.tiled = d.find(tile_offsets).has_value();
  h.block_width = h.tiled ? d.number(tile_width, 0) : h.width;
  h.block_height =
      h.tiled ? d.number(tile_length, 0) : std::min<int64_t>(d.number(rows_per_strip, uint32_t(h.height)), h.height);
  if (h.block_width <= 0 || h.block_height <= 0) damaged_tiff(in, "strips or tiles without pixels");
  // A tile may reach over the edge, but the picture bounds what has to be held at once.
  if (h.tiled && (h.block_width > in.limits.max_side || h.block_height > in.limits.max_side ||
                  uint64_t(h.block_width) * uint64_t(h.block_height) > in.limits.max_pixels)) {
    damaged_tiff(in, "tiles over the limit of pixels");
  }
  h.offsets = d.list(h.tiled ? tile_offsets : strip_offsets, "no strips");
  h.counts = d.list(h.tiled ? tile_byte_counts : strip_byte_counts, "strips of unknown size");
  const uint64_t blocks = uint64_t((h.width + h.block_width - 1) / h.block_width) *
                          uint64_t((h.height + h.block_height - 1) / h.block_height);
  if (h.offsets.count < blocks || h.counts.count < blocks) damaged_tiff(in, "fewer strips than the picture has");
  const uint64_t raw = (uint64_t(h.width) * h.samples * h.bits + 7) / 8 * uint64_t(h.height);
  check_size(in, ImageFormat::tiff, h.width, h.height, raw / largest_growth(h.compression));
  if (h.tiled && h.row_bytes() * uint64_t(h.block_height) / largest_growth(h.compression) > in.bytes.size())
    damaged_tiff(in, "truncated");
  return h;
}

using Bytes = std::span<const uint8_t>;

void unpack_bits(const Input& in, Bytes from, std::span<uint8_t> to) {
  size_t at = 0, out = 0;
  while (out < to.size()) {
    if (at == from.size()) damaged_tiff(in, "truncated");
    const auto n = int8_t(from[at++]);
    if (n == -128) continue;
    const size_t count = size_t(n >= 0 ? n + 1 : 1 - n), source = n >= 0 ? count : 1;
    if (from.size() - at < source) damaged_tiff(in, "truncated");
    if (to.size() - out < count) damaged_tiff(in, "a run leaves its strip");
    if (n >= 0) {
      std::copy_n(from.data() + at, count, to.data() + out);
    } else {
      std::fill_n(to.data() + out, count, from[at]);
    }
    at += source;
    out += count;
  }
}

/// Codes of 9 to 12 bits, the highest bit first; the width grows one code early, as TIFF has it.
void unpack_lzw(const Input& in, Bytes from, std::span<uint8_t> to) {
  constexpr uint32_t clear = 256, end = 257, first_free = 258, most = 4096, none = most;
  if (from.size() >= 2 && from[0] == 0 && (from[1] & 1) != 0) rare_tiff(in, "the LZW of before 1992");
  std::array<uint16_t, most> prefix{}, length{};
  std::array<uint8_t, most> last{}, first{};
  for (uint32_t i = 0; i < 256; ++i) {
    length[i] = 1;
    first[i] = last[i] = uint8_t(i);
  }
  uint32_t next = first_free, width = 9, previous = none, pool = 0, held = 0;
  size_t at = 0, out = 0;
  while (out < to.size()) {
    for (; held < width; held += 8) {
      if (at == from.size()) damaged_tiff(in, "truncated");
      pool = pool << 8 | from[at++];
    }
    held -= width;
    const uint32_t code = (pool >> held) & ((1u << width) - 1);
    if (code == end) damaged_tiff(in, "truncated");
    if (code == clear) {
      next = first_free;
      width = 9;
      previous = none;
      continue;
    }
    if (previous == none ? code >= 256 : code > next || (code == next && next == most) || code == clear)
      damaged_tiff(in, "an unknown code");
    if (previous != none && next < most) {
      prefix[next] = uint16_t(previous);
      length[next] = uint16_t(length[previous] + 1);
      first[next] = first[previous];
      last[next] = code == next ? first[previous] : first[code];
      ++next;
      if (next + 1 == 1u << width && width < 12) ++width;
    }
    const size_t n = length[code];
    if (n > to.size() - out) damaged_tiff(in, "a code leaves its strip");
    for (uint32_t c = code, k = 0; k < n; ++k, c = prefix[c]) to[out + n - 1 - k] = last[c];
    out += n;
    previous = code;
  }
}

void unpack_deflate(const Input& in, Bytes from, std::span<uint8_t> to) {
  auto size = uLongf(to.size());
  auto read = uLong(from.size());
  const int status = uncompress2(to.data(), &size, from.data(), &read);
  if (status == Z_MEM_ERROR) throw Error(ErrorCode::failed, "[image] out of memory", std::string(in.name));
  // A stream that goes on behind its last row leaves the picture whole.
  if (status != Z_OK && !(status == Z_BUF_ERROR && size == to.size())) damaged_tiff(in, "bad deflate stream");
  if (size != to.size()) damaged_tiff(in, "truncated");
}

void unpack(const Input& in, const TiffHeader& h, Bytes from, std::span<uint8_t> to) {
  switch (h.compression) {
    case tiff_plain:
      if (from.size() < to.size()) damaged_tiff(in, "truncated");
      std::copy_n(from.data(), to.size(), to.data());
      break;
    case tiff_pack_bits:
      unpack_bits(in, from, to);
      break;
    case tiff_lzw:
      unpack_lzw(in, from, to);
      break;
    default:
      unpack_deflate(in, from, to);
  }
}

/// Undoes differences between neighbours of a row, sample by sample.
void add_up(const TiffHeader& h, bool little, uint8_t* row) {
  const size_t values = size_t(h.block_width) * h.samples;
  if (h.bits == 8) {
    for (size_t i = h.samples; i < values; ++i) row[i] = uint8_t(row[i] + row[i - h.samples]);
    return;
  }
  const size_t low = little ? 0 : 1, high = 1 - low;
  const auto get = [&](size_t i) { return uint32_t(row[2 * i + high] << 8 | row[2 * i + low]); };
  for (size_t i = h.samples; i < values; ++i) {
    const uint32_t v = get(i) + get(i - h.samples);
    row[2 * i + low] = uint8_t(v);
    row[2 * i + high] = uint8_t(v >> 8);
  }
}

class TiffPixels {
 public:
  TiffPixels(const TiffHeader& h, const TiffWords& w) : h_(h), little_(w.little) {
    if (h.photometric != tiff_palette) return;
    const size_t n = size_t{1} << h.bits;
    for (size_t i = 0; i < 3 * n; ++i) palette_[i % n][i / n] = uint8_t(w.value(h.colors, i) >> 8);
  }
  void convert(const uint8_t* row, uint8_t* to, int64_t pixels) const {
    const uint32_t colors = h_.photometric == tiff_rgb ? 3 : 1;
    const int channels = h_.channels();
    for (int64_t x = 0; x < pixels; ++x, to += channels) {
      const size_t at = size_t(x) * h_.samples;
      if (h_.photometric == tiff_palette) {
        std::copy_n(palette_[raw(row, at)].data(), 3, to);
        continue;
      }
      for (uint32_t c = 0; c < colors; ++c)
        to[c] = h_.photometric == white_is_zero ? uint8_t(255 - sample(row, at + c)) : sample(row, at + c);
      if (h_.alpha == TiffAlpha::none) continue;
      if (colors == 1) to[1] = to[2] = to[0];
      const uint8_t a = to[3] = sample(row, at + colors);
      if (h_.alpha == TiffAlpha::straight || a == 0) continue;
      for (int c = 0; c < 3; ++c) to[c] = uint8_t(std::min(255, 255 * to[c] / a));
    }
  }

 private:
  uint32_t raw(const uint8_t* row, size_t i) const {
    const size_t bit = i * h_.bits;
    return (row[bit / 8] >> (8 - h_.bits - bit % 8)) & ((1u << h_.bits) - 1);
  }
  uint8_t sample(const uint8_t* row, size_t i) const {
    if (h_.bits == 8) return row[i];
    if (h_.bits < 8) return uint8_t(raw(row, i) * 255 / ((1u << h_.bits) - 1));
    const uint32_t v = uint32_t(little_ ? row[2 * i] | row[2 * i + 1] << 8 : row[2 * i] << 8 | row[2 * i + 1]);
    return uint8_t((v + 128) / 257);
  }
  const TiffHeader& h_;
  bool little_;
  std::array<std::array<uint8_t, 3>, 256> palette_{};
};

}  // namespace

ImageInfo probe_tiff(const Input& in) {
  const TiffHeader h = read_tiff_header(in);
  return {ImageFormat::tiff, int(h.width), int(h.height), h.channels(), exif_orientation(in.bytes)};
}

int decode_tiff(const Input& in, Image& out) {
  const TiffHeader h = read_tiff_header(in);
  const TiffWords w = words_of(in);
  out.reset(int(h.width), int(h.height), h.channels());
  const TiffPixels pixels(h, w);
  const size_t row_bytes = h.row_bytes();
  std::vector<uint8_t> block(row_bytes * size_t(h.block_height));
  size_t number = 0;
  for (int64_t top = 0; top < h.height; top += h.block_height) {
    const int64_t rows = std::min(h.block_height, h.height - top);
    for (int64_t left = 0; left < h.width; left += h.block_width, ++number) {
      const size_t at = w.value(h.offsets, number), size = w.value(h.counts, number);
      if (at > in.bytes.size() || size > in.bytes.size() - at) damaged_tiff(in, "a strip outside of the file");
      // The last strip ends with the picture; a tile is always whole.
      unpack(in, h, in.bytes.subspan(at, size), {block.data(), row_bytes * size_t(h.tiled ? h.block_height : rows)});
      for (int64_t y = 0; y < rows; ++y) {
        uint8_t* row = block.data() + row_bytes * size_t(y);
        if (h.predictor == 2) add_up(h, w.little, row);
        pixels.convert(row, out.pixel(int(left), int(top + y)), std::min(h.block_width, h.width - left));
      }
    }
  }
  return exif_orientation(in.bytes);
}

}  // namespace hone::data::codec
