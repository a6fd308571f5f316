// Pictures as 8-bit samples, and the files they come from.
//
// The format of a file is told by its content, never by its suffix. Every decoder checks the announced size against
// `DecodeLimits` and against what so few bytes can possibly hold before it allocates, and turns everything that is
// wrong with a file into one `Error` (unreadable, unsupported or unsafe) whose `where` is the name the caller gave. All
// functions are thread-safe; an `Image` itself follows the rules of std::vector.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hone::data {

/// A view of pixels that somebody else owns: row-major, `channels` interleaved, rows dense.
struct ImageView {
  const uint8_t* pixels = nullptr;
  int width = 0, height = 0, channels = 0;
  size_t row_bytes() const { return size_t(width) * size_t(channels); }
  size_t byte_size() const { return row_bytes() * size_t(height); }
  const uint8_t* row(int y) const { return pixels + size_t(y) * row_bytes(); }
};

/// Height x width x channels samples of 8 bits. Channels: 1 = grey, 3 = RGB, 4 = RGB + straight (not premultiplied)
/// alpha.
class Image {
 public:
  Image() = default;
  /// Black pixels. Throws `Error` (unsafe) for negative sizes, other channel counts or more than 2^32 bytes.
  Image(int width, int height, int channels) { reset(width, height, channels); }
  explicit Image(const ImageView& v);

  /// Changes the size and keeps the memory where it suffices; what the pixels hold is not specified unless it grew from
  /// empty.
  void reset(int width, int height, int channels);

  int width() const { return width_; }
  int height() const { return height_; }
  int channels() const { return channels_; }
  bool empty() const { return pixels_.empty(); }
  size_t row_bytes() const { return size_t(width_) * size_t(channels_); }
  size_t byte_size() const { return pixels_.size(); }
  uint8_t* data() { return pixels_.data(); }
  const uint8_t* data() const { return pixels_.data(); }
  uint8_t* row(int y) { return pixels_.data() + size_t(y) * row_bytes(); }
  const uint8_t* row(int y) const { return pixels_.data() + size_t(y) * row_bytes(); }
  uint8_t* pixel(int x, int y) { return row(y) + size_t(x) * size_t(channels_); }
  const uint8_t* pixel(int x, int y) const { return row(y) + size_t(x) * size_t(channels_); }
  ImageView view() const { return {pixels_.data(), width_, height_, channels_}; }
  operator ImageView() const { return view(); }
  bool operator==(const Image&) const = default;

 private:
  int width_ = 0, height_ = 0, channels_ = 0;
  std::vector<uint8_t> pixels_;
};

enum class ImageFormat { unknown, jpeg, png, bmp, webp, gif, tiff, heif, avif, jpeg2000, pnm };

/// The format by the first bytes; 16 bytes are enough.
ImageFormat sniff(std::span<const uint8_t> bytes);
const char* format_name(ImageFormat f);
/// Is there a decoder for it (JPEG, PNG, BMP, WebP, TIFF, PNM)?
bool is_decodable(ImageFormat f);

struct DecodeLimits {
  /// Width x height above which a file is refused as unsafe. The default is that of Pillow's decompression bomb error.
  uint64_t max_pixels = 178'956'970;
  /// Longest side.
  int max_side = 65'535;
};

/// What the header says, before anything is decoded.
struct ImageInfo {
  ImageFormat format = ImageFormat::unknown;
  int width = 0, height = 0;  ///< as stored, before the EXIF orientation
  int channels = 0;           ///< what `decode_image` will give: 1, 3 or 4
  int orientation = 1;        ///< EXIF orientation 1..8, 1 where the file has none
};

/// Decodes a whole file in memory. `name` appears in errors. 16-bit samples are scaled to 8 bits, palettes are
/// expanded, transparency gives 4 channels (grey + alpha becomes RGBA), CMYK and YCCK JPEG become RGB (Adobe's inverted
/// ink values are assumed, as Pillow does). With `apply_orientation` the EXIF orientation is undone. Errors: unreadable
/// (truncated or corrupt), unsupported (GIF, JPEG 2000, animated WebP...), unsafe (size).
Image decode_image(std::span<const uint8_t> bytes, std::string_view name, bool apply_orientation = true,
                   const DecodeLimits& limits = {});
/// The same into an image whose memory is reused.
void decode_image_into(std::span<const uint8_t> bytes, std::string_view name, Image& into,
                       bool apply_orientation = true, const DecodeLimits& limits = {});
/// Decodes a file.
Image read_image(const std::string& path, bool apply_orientation = true, const DecodeLimits& limits = {});

/// Reads the header only. Errors as `decode_image`.
ImageInfo probe_image(std::span<const uint8_t> bytes, std::string_view name, const DecodeLimits& limits = {});
ImageInfo probe_image(const std::string& path, const DecodeLimits& limits = {});

/// Encodes 1, 3 or 4 channels as PNG. `level` is zlib's, 0..9.
std::vector<uint8_t> encode_png(const ImageView& image, int level = 6);
/// Encodes as JPEG, 4:2:0, `quality` 1..100; an alpha channel is dropped.
std::vector<uint8_t> encode_jpeg(const ImageView& image, int quality = 90);
/// Writes `.png`, `.jpg` or `.jpeg`, chosen by the suffix; the file appears whole or not at all. Throws `Error`.
void write_image(const std::string& path, const ImageView& image);

/// Undoes an EXIF orientation (1..8): the result is upright.
Image apply_exif_orientation(Image image, int orientation);

}  // namespace hone::data
