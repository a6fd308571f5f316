#include "image/image.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.hpp"
#include "data/test_data_test.hpp"
#include "hone/error.hpp"
#include "image/image_samples_test.hpp"

namespace hone::data {
namespace {

using Bytes = std::vector<uint8_t>;

template <size_t N>
Bytes bytes_of(const unsigned char (&a)[N]) {
  return Bytes(a, a + N);
}

template <size_t N, size_t M>
void expect_decodes(const unsigned char (&file)[N], const unsigned char (&pixels)[M], int w, int h, int c) {
  const Image image = decode_image(file, "sample");
  ASSERT_EQ(image.width(), w);
  ASSERT_EQ(image.height(), h);
  ASSERT_EQ(image.channels(), c);
  ASSERT_EQ(image.byte_size(), M);
  EXPECT_TRUE(std::equal(pixels, pixels + M, image.data()));
  const ImageInfo info = probe_image(file, "sample");
  EXPECT_EQ(info.channels, c);
  const bool turned = info.orientation >= 5;
  EXPECT_EQ(info.width, turned ? h : w);
  EXPECT_EQ(info.height, turned ? w : h);
}

Image noise(int w, int h, int c, uint32_t seed = 1) {
  Image image(w, h, c);
  for (size_t i = 0; i < image.byte_size(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    image.data()[i] = uint8_t(seed >> 24);
  }
  return image;
}

Image smooth(int w, int h, int c) {
  Image image(w, h, c);
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      for (int k = 0; k < c; ++k) image.pixel(x, y)[k] = uint8_t((x * (k + 2) + y * 3) % 256);
    }
  }
  return image;
}

void put16(Bytes& b, size_t at, uint32_t v) {
  b[at] = uint8_t(v);
  b[at + 1] = uint8_t(v >> 8);
}
void put32(Bytes& b, size_t at, uint32_t v) {
  put16(b, at, v);
  put16(b, at + 2, v >> 16);
}

/// A bitmap with a header of 40 bytes, then `extra` (palette or masks), then `pixels`.
Bytes bmp(int w, int h, int bits, int compression, const Bytes& extra, const Bytes& pixels) {
  Bytes b(54);
  b[0] = 'B';
  b[1] = 'M';
  put32(b, 10, uint32_t(54 + extra.size()));
  put32(b, 14, 40);
  put32(b, 18, uint32_t(w));
  put32(b, 22, uint32_t(h));
  put16(b, 26, 1);
  put16(b, 28, uint32_t(bits));
  put32(b, 30, uint32_t(compression));
  b.insert(b.end(), extra.begin(), extra.end());
  b.insert(b.end(), pixels.begin(), pixels.end());
  return b;
}

const Bytes palette16 = [] {
  Bytes p;
  for (int i = 0; i < 16; ++i) p.insert(p.end(), {uint8_t(i), uint8_t(2 * i), uint8_t(3 * i), 0});
  return p;
}();

ErrorCode code_of(std::span<const uint8_t> file, const DecodeLimits& limits = {}) {
  try {
    decode_image(file, "dir/name.jpg", true, limits);
  } catch (const Error& e) {
    EXPECT_NE(e.where().find("dir/name.jpg"), std::string::npos) << e.what();
    EXPECT_EQ(e.message().rfind("[image]", 0), 0u) << e.what();
    return e.code();
  }
  return ErrorCode::interrupted;  // stands for "no error"
}

TEST(image, decodes_png_of_every_kind) {
  expect_decodes(samples::png_grey16, samples::png_grey16_pixels, 5, 4, 1);
  expect_decodes(samples::png_rgb16, samples::png_rgb16_pixels, 5, 4, 3);
  expect_decodes(samples::png_palette2, samples::png_palette2_pixels, 5, 4, 3);
  expect_decodes(samples::png_palette_alpha, samples::png_palette_alpha_pixels, 5, 4, 4);
  expect_decodes(samples::png_grey_alpha, samples::png_grey_alpha_pixels, 5, 4, 4);
  expect_decodes(samples::png_grey1, samples::png_grey1_pixels, 5, 4, 1);
  expect_decodes(samples::png_interlaced_turned, samples::png_interlaced_turned_pixels, 4, 5, 3);
}

TEST(image, decodes_jpeg_of_every_kind) {
  expect_decodes(samples::jpeg_turned, samples::jpeg_turned_pixels, 16, 24, 3);
  expect_decodes(samples::jpeg_progressive, samples::jpeg_progressive_pixels, 24, 16, 3);
  expect_decodes(samples::jpeg_cmyk, samples::jpeg_cmyk_pixels, 24, 16, 3);
  expect_decodes(samples::jpeg_grey, samples::jpeg_grey_pixels, 24, 16, 1);
}

TEST(image, decodes_webp_of_every_kind) {
  expect_decodes(samples::webp_lossy, samples::webp_lossy_pixels, 8, 6, 3);
  expect_decodes(samples::webp_lossless_alpha, samples::webp_lossless_alpha_pixels, 8, 6, 4);
}

TEST(image, decodes_tiff_of_every_kind) {
  expect_decodes(samples::tiff_rgb, samples::tiff_rgb_pixels, 7, 5, 3);
  expect_decodes(samples::tiff_lzw, samples::tiff_lzw_pixels, 7, 5, 3);
  expect_decodes(samples::tiff_pack_bits, samples::tiff_pack_bits_pixels, 7, 5, 1);
  expect_decodes(samples::tiff_deflate_alpha, samples::tiff_deflate_alpha_pixels, 7, 5, 4);
  expect_decodes(samples::tiff_palette_turned, samples::tiff_palette_turned_pixels, 5, 7, 3);
  expect_decodes(samples::tiff_bits, samples::tiff_bits_pixels, 7, 5, 1);
  expect_decodes(samples::tiff_grey16, samples::tiff_grey16_pixels, 7, 5, 1);
}

/// A tag of a TIFF file: number and values, 32 bits each.
using Tag = std::pair<uint32_t, std::vector<uint32_t>>;

/// A file of big-endian words: the tags, sorted, then what `pixels` holds at byte `tiff_pixels_at`.
constexpr uint32_t tiff_pixels_at = 400;
Bytes tiff(const std::vector<Tag>& tags, const Bytes& pixels) {
  Bytes b(tiff_pixels_at);
  const auto put = [&](size_t at, uint32_t v, int bytes) {
    for (int i = 0; i < bytes; ++i) b.at(at + size_t(i)) = uint8_t(v >> 8 * (bytes - 1 - i));
  };
  put(0, 0x4d4d002a, 4);
  put(4, 8, 4);
  put(8, uint32_t(tags.size()), 2);
  size_t at = 10, far = 10 + 12 * tags.size() + 4;
  for (const auto& [tag, values] : tags) {
    put(at, tag, 2);
    put(at + 2, 4, 2);
    put(at + 4, uint32_t(values.size()), 4);
    if (values.size() == 1)
      put(at + 8, values[0], 4);
    else
      put(at + 8, uint32_t(far), 4);
    for (size_t i = 0; values.size() > 1 && i < values.size(); ++i, far += 4) put(far, values[i], 4);
    at += 12;
  }
  b.insert(b.end(), pixels.begin(), pixels.end());
  return b;
}

TEST(image, reads_tiff_in_tiles_of_big_words) {
  // 3 x 3 pixels in tiles of 2 x 2; what reaches over the edge is left out
  const uint32_t p = tiff_pixels_at;
  const Bytes tiles{1, 2, 4, 5, 3, 99, 6, 99, 7, 8, 99, 99, 9, 99, 99, 99};
  const Bytes file = tiff({{256, {3}},
                           {257, {3}},
                           {258, {8}},
                           {259, {1}},
                           {262, {1}},
                           {322, {2}},
                           {323, {2}},
                           {324, {p, p + 4, p + 8, p + 12}},
                           {325, {4, 4, 4, 4}}},
                          tiles);
  const Image image = decode_image(file, "t");
  ASSERT_EQ(image.channels(), 1);
  EXPECT_EQ(Bytes(image.data(), image.data() + 9), (Bytes{1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(image, reads_tiff_of_every_grey) {
  const auto grey = [](uint32_t bits, uint32_t kind, const Bytes& pixels, uint32_t predictor = 1) {
    return decode_image(tiff({{256, {2}},
                              {257, {1}},
                              {258, {bits}},
                              {259, {1}},
                              {262, {kind}},
                              {273, {tiff_pixels_at}},
                              {279, {uint32_t(pixels.size())}},
                              {317, {predictor}}},
                             pixels),
                        "t");
  };
  const auto pixels = [](const Image& i) { return Bytes(i.data(), i.data() + i.byte_size()); };
  EXPECT_EQ(pixels(grey(1, 1, {0x40})), (Bytes{0, 255}));
  EXPECT_EQ(pixels(grey(2, 1, {0x60})), (Bytes{85, 170}));
  EXPECT_EQ(pixels(grey(4, 0, {0x3f})), (Bytes{204, 0}));
  EXPECT_EQ(pixels(grey(8, 0, {10, 255})), (Bytes{245, 0}));
  EXPECT_EQ(pixels(grey(8, 1, {10, 250}, 2)), (Bytes{10, 4}));
  EXPECT_EQ(pixels(grey(16, 1, {0x10, 0xff, 0x20, 0x02}, 2)), (Bytes{17, 49}));  // 0x10ff, 0x3101
}

TEST(image, reads_premultiplied_tiff_as_straight) {
  const Bytes file = tiff({{256, {2}},
                           {257, {1}},
                           {258, {8, 8, 8, 8}},
                           {259, {1}},
                           {262, {2}},
                           {273, {tiff_pixels_at}},
                           {277, {4}},
                           {279, {8}},
                           {338, {1}}},
                          {10, 20, 50, 100, 7, 8, 9, 0});
  const Image image = decode_image(file, "t");
  EXPECT_EQ(Bytes(image.data(), image.data() + 8), (Bytes{25, 51, 127, 100, 7, 8, 9, 0}));
}

TEST(image, refuses_tiff_that_lies) {
  const auto file = [](uint32_t width, uint32_t height, uint32_t compression, uint32_t at, uint32_t size,
                       const Bytes& pixels) {
    return tiff(
        {{256, {width}}, {257, {height}}, {258, {8}}, {259, {compression}}, {262, {1}}, {273, {at}}, {279, {size}}},
        pixels);
  };
  const uint32_t p = tiff_pixels_at;
  EXPECT_EQ(code_of(file(2, 2, 1, p, 4, {1, 2, 3, 4})), ErrorCode::interrupted);
  EXPECT_EQ(code_of(file(2, 2, 1, p, 4, {1, 2, 3})), ErrorCode::unreadable);
  EXPECT_EQ(code_of(file(2, 2, 1, 0xfffffff0, 4, {1, 2, 3, 4})), ErrorCode::unreadable);
  EXPECT_EQ(code_of(file(2, 2, 1, p, 0xffffffff, {1, 2, 3, 4})), ErrorCode::unreadable);
  EXPECT_EQ(code_of(file(0, 2, 1, p, 4, {1, 2, 3, 4})), ErrorCode::unreadable);
  EXPECT_EQ(code_of(file(0xffffffff, 0xffffffff, 5, p, 4, {1, 2, 3, 4})), ErrorCode::unsafe);
  EXPECT_EQ(code_of(file(10'000, 10'000, 5, p, 4, {1, 2, 3, 4})), ErrorCode::unreadable);  // LZW cannot grow so far
  EXPECT_EQ(code_of(file(2, 2, 32773, p, 2, {0xfd, 9})), ErrorCode::interrupted);
  EXPECT_EQ(code_of(file(2, 2, 32773, p, 2, {0xfc, 9})), ErrorCode::unreadable);  // a run of five
  EXPECT_EQ(code_of(file(2, 2, 5, p, 4, {0x80, 0x81, 0xff, 0xff})),
            ErrorCode::unreadable);                                               // clear, then code 7, then 511
  EXPECT_EQ(code_of(file(2, 2, 7, p, 4, {1, 2, 3, 4})), ErrorCode::unsupported);  // JPEG within TIFF
}

TEST(image, reads_portable_maps) {
  const auto read = [](std::string_view text) {
    return decode_image({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, "pnm");
  };
  const auto pixels = [](const Image& i) { return Bytes(i.data(), i.data() + i.byte_size()); };
  EXPECT_EQ(pixels(read("P1 3 2\n1 0 1 011")), (Bytes{0, 255, 0, 255, 0, 0}));
  EXPECT_EQ(pixels(read("P2\n# by hand\n2 1 # wide\n3\n0 2\n")), (Bytes{0, 170}));
  EXPECT_EQ(pixels(read("P3 1 1 255 1 2 3")), (Bytes{1, 2, 3}));
  EXPECT_EQ(pixels(read("P4 10 1\n\xa0\x40")), (Bytes{0, 255, 0, 255, 255, 255, 255, 255, 255, 0}));
  EXPECT_EQ(pixels(read("P5 2 1 255\nAz")), (Bytes{65, 122}));
  EXPECT_EQ(pixels(read("P5 2 1 65535\n\x80\x80\xff\xff")), (Bytes{128, 255}));
  const Image color = read("P6 1 2 127\n\x01\x40\x7f\x02\x03\x04 and another picture");
  ASSERT_EQ(color.channels(), 3);
  EXPECT_EQ(pixels(color), (Bytes{2, 129, 255, 4, 6, 8}));
  const auto code = [](std::string_view text) {
    return code_of({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  };
  EXPECT_EQ(code("P6 1 2 255\n\x01\x40\x7f\x02\x03"), ErrorCode::unreadable);
  EXPECT_EQ(code("P5 60000 60000 255\n"), ErrorCode::unsafe);
  EXPECT_EQ(code("P5 99999999999999 1 255\n"), ErrorCode::unreadable);
  EXPECT_EQ(code("P5 1 1 0\n1"), ErrorCode::unreadable);
  EXPECT_EQ(code("P5 1 1 100\nz"), ErrorCode::unreadable);  // 122
  EXPECT_EQ(code("P1 2 1 1 2"), ErrorCode::unreadable);
  EXPECT_EQ(code("Pilots wanted"), ErrorCode::unreadable);
}

TEST(image, leaves_the_orientation_alone_when_asked_to) {
  const Image raw = decode_image(samples::jpeg_turned, "sample", false);
  EXPECT_EQ(raw.width(), 24);
  EXPECT_EQ(raw.height(), 16);
  EXPECT_EQ(probe_image(samples::jpeg_turned, "sample").orientation, 8);
}

TEST(image, undoes_each_exif_orientation) {
  Image a(3, 2, 1);
  for (int i = 0; i < 6; ++i) a.data()[i] = uint8_t(i);
  const auto pixels = [&](int o) {
    const Image b = apply_exif_orientation(a, o);
    EXPECT_EQ(b.width(), o >= 5 ? 2 : 3);
    return Bytes(b.data(), b.data() + b.byte_size());
  };
  EXPECT_EQ(pixels(1), (Bytes{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(pixels(2), (Bytes{2, 1, 0, 5, 4, 3}));
  EXPECT_EQ(pixels(3), (Bytes{5, 4, 3, 2, 1, 0}));
  EXPECT_EQ(pixels(4), (Bytes{3, 4, 5, 0, 1, 2}));
  EXPECT_EQ(pixels(5), (Bytes{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(pixels(6), (Bytes{3, 0, 4, 1, 5, 2}));
  EXPECT_EQ(pixels(7), (Bytes{5, 2, 4, 1, 3, 0}));
  EXPECT_EQ(pixels(8), (Bytes{2, 5, 1, 4, 0, 3}));
}

TEST(image, reads_plain_bitmaps) {
  // 24 bits, bottom-up, rows padded to 4 bytes, samples in the order blue, green, red
  const Image rgb = decode_image(bmp(1, 2, 24, 0, {}, {3, 2, 1, 0, 6, 5, 4, 0}), "b");
  EXPECT_EQ(Bytes(rgb.data(), rgb.data() + 6), (Bytes{4, 5, 6, 1, 2, 3}));
  // the same top-down
  const Image down = decode_image(bmp(1, -2, 24, 0, {}, {3, 2, 1, 0, 6, 5, 4, 0}), "b");
  EXPECT_EQ(Bytes(down.data(), down.data() + 6), (Bytes{1, 2, 3, 4, 5, 6}));
  // 4 bits: entry i is (3i, 2i, i)
  const Image four = decode_image(bmp(3, 1, 4, 0, palette16, {0x12, 0x30, 0, 0}), "b");
  EXPECT_EQ(Bytes(four.data(), four.data() + 9), (Bytes{3, 2, 1, 6, 4, 2, 9, 6, 3}));
  // 1 bit with a black and white palette is grey
  const Image bit = decode_image(bmp(4, 1, 1, 0, {0, 0, 0, 0, 255, 255, 255, 0}, {0xA0, 0, 0, 0}), "b");
  ASSERT_EQ(bit.channels(), 1);
  EXPECT_EQ(Bytes(bit.data(), bit.data() + 4), (Bytes{255, 0, 255, 0}));
  // 16 bits are 5-5-5
  const Image five = decode_image(bmp(1, 1, 16, 0, {}, {0x1f, 0x7c, 0, 0}), "b");
  EXPECT_EQ(Bytes(five.data(), five.data() + 3), (Bytes{255, 0, 255}));
}

TEST(image, reads_bitmaps_with_fields_and_runs) {
  Bytes masks(12);
  put32(masks, 0, 0xf800);
  put32(masks, 4, 0x07e0);
  put32(masks, 8, 0x001f);
  const Image f565 = decode_image(bmp(1, 1, 16, 3, masks, {0xe0, 0xff, 0, 0}), "b");
  EXPECT_EQ(Bytes(f565.data(), f565.data() + 3), (Bytes{255, 255, 0}));
  Bytes palette(256 * 4);
  for (size_t i = 0; i < 256; ++i) palette[4 * i] = palette[4 * i + 1] = palette[4 * i + 2] = uint8_t(i);
  // bottom row: 3 of value 9, end of line; top row: two literal pixels, delta by (0,0), end
  const Image runs = decode_image(bmp(3, 2, 8, 1, palette, {3, 9, 0, 0, 2, 7, 1, 8, 0, 1}), "b");
  ASSERT_EQ(runs.channels(), 1);
  EXPECT_EQ(Bytes(runs.data(), runs.data() + 6), (Bytes{7, 7, 8, 9, 9, 9}));
  const Image four = decode_image(bmp(5, 1, 4, 2, palette16, {0, 5, 0x12, 0x34, 0x50, 0, 0, 1}), "b");
  EXPECT_EQ(four.pixel(4, 0)[2], 5);
  EXPECT_EQ(code_of(bmp(2, 1, 8, 1, palette, {3, 9, 0, 1})), ErrorCode::unreadable);
}

TEST(image, png_survives_a_round_trip) {
  for (int c : {1, 3, 4}) {
    const Image a = noise(37, 21, c);
    EXPECT_EQ(decode_image(encode_png(a), "png"), a) << c;
  }
}

TEST(image, jpeg_round_trip_is_close) {
  for (int c : {1, 3}) {
    const Image a = smooth(40, 30, c);
    const Image b = decode_image(encode_jpeg(a, 95), "jpeg");
    ASSERT_EQ(b.byte_size(), a.byte_size());
    double sum = 0;
    for (size_t i = 0; i < a.byte_size(); ++i) sum += std::abs(int(a.data()[i]) - int(b.data()[i]));
    EXPECT_LT(sum / double(a.byte_size()), 4.0) << c;  // quality 95 with halved chroma: a few grey levels
  }
}

TEST(image, refuses_what_is_not_a_picture) {
  EXPECT_EQ(code_of({}), ErrorCode::unreadable);
  EXPECT_EQ(code_of(Bytes{'h', 'e', 'l', 'l', 'o'}), ErrorCode::unreadable);
  EXPECT_EQ(code_of(samples::gif), ErrorCode::unsupported);
  EXPECT_EQ(code_of(samples::webp_animated), ErrorCode::unsupported);
  EXPECT_THROW(read_image("/nonexistent/picture.png"), Error);
}

TEST(image, refuses_sizes_over_the_limit_before_allocating) {
  const Bytes png = encode_png(Image(300, 200, 1));
  EXPECT_EQ(code_of(png, {.max_pixels = 59'999}), ErrorCode::unsafe);
  EXPECT_EQ(code_of(png, {.max_pixels = 60'000}), ErrorCode::interrupted);
  EXPECT_EQ(code_of(png, {.max_side = 299}), ErrorCode::unsafe);
  EXPECT_EQ(code_of(bmp(2'000'000'000, 2'000'000'000, 24, 0, {}, {})), ErrorCode::unsafe);
  // within the limits, but the bytes cannot be there
  EXPECT_EQ(code_of(bmp(10'000, 10'000, 24, 0, {}, {1, 2, 3})), ErrorCode::unreadable);
}

/// Every file here must be refused when any byte is missing at its end, except where nothing of the picture is lost.
void expect_refuses_truncation(const Bytes& file, const char* what, size_t slack = 0) {
  for (size_t n = 0; n + slack<file.size(); n += file.size()> 2000 ? 97 : 1) {
    const Bytes part(file.begin(), file.begin() + ptrdiff_t(n));
    EXPECT_EQ(code_of(part), ErrorCode::unreadable) << what << " cut at " << n << " of " << file.size();
  }
}

TEST(image, refuses_chunks_that_are_longer_than_their_file) {
  // in front of the pixels and behind them: libpng would take 128 MiB for either
  const Bytes file = encode_png(noise(5, 4, 3));
  const Bytes chunk{8, 0, 0, 26, 'e', 'X', 'I', 'f', 'M', 'M', 0, 42};
  for (const size_t at : {size_t{33}, file.size() - 12}) {
    Bytes bad = file;
    bad.insert(bad.begin() + ptrdiff_t(at), chunk.begin(), chunk.end());
    try {
      decode_image(bad, "x");
      ADD_FAILURE() << at;
    } catch (const Error& e) {
      EXPECT_NE(e.message().find("truncated"), std::string::npos) << e.what();
    }
  }
}

TEST(image, refuses_truncated_files) {
  expect_refuses_truncation(bytes_of(samples::png_grey16), "png");
  expect_refuses_truncation(bytes_of(samples::png_palette_alpha), "png palette");
  expect_refuses_truncation(bytes_of(samples::png_interlaced_turned), "png interlaced");
  expect_refuses_truncation(bytes_of(samples::jpeg_turned), "jpeg");
  expect_refuses_truncation(bytes_of(samples::jpeg_progressive), "jpeg progressive");
  expect_refuses_truncation(bytes_of(samples::jpeg_cmyk), "jpeg cmyk");
  expect_refuses_truncation(bytes_of(samples::webp_lossy), "webp lossy", 1);
  expect_refuses_truncation(bytes_of(samples::webp_lossless_alpha), "webp lossless", 1);
  expect_refuses_truncation(bytes_of(samples::tiff_lzw), "tiff lzw");
  expect_refuses_truncation(bytes_of(samples::tiff_deflate_alpha), "tiff deflate");
  expect_refuses_truncation(encode_jpeg(noise(200, 150, 3)), "large jpeg");
  expect_refuses_truncation(encode_png(noise(100, 80, 3)), "large png");
  expect_refuses_truncation(bmp(7, 5, 24, 0, {}, Bytes(24 * 5, 9)), "bmp");
  expect_refuses_truncation(bmp(5, 1, 4, 2, palette16, {0, 5, 0x12, 0x34, 0x50, 0, 0, 1}), "bmp runs");
}

/// Flipped bytes may leave a decodable file; what is asked for is: a picture or one `Error`, within the limits.
void flip_everywhere(const Bytes& file) {
  const DecodeLimits limits{.max_pixels = 1 << 20};
  for (size_t at = 0; at<file.size(); at += file.size()> 2000 ? 13 : 1) {
    for (uint8_t mask : {0x01, 0x80, 0xff}) {
      Bytes bad = file;
      bad[at] ^= mask;
      try {
        const Image image = decode_image(bad, "flipped", true, limits);
        EXPECT_LE(size_t(image.width()) * size_t(image.height()), size_t{1} << 20);
      } catch (const Error& e) {
        EXPECT_TRUE(e.code() == ErrorCode::unreadable || e.code() == ErrorCode::unsupported ||
                    e.code() == ErrorCode::unsafe)
            << e.what();
        EXPECT_NE(e.where().find("flipped"), std::string::npos);
      }
      try {
        probe_image(bad, "flipped", limits);
      } catch (const Error&) {
      }
    }
  }
}

TEST(image, survives_flipped_bytes) {
  flip_everywhere(bytes_of(samples::png_rgb16));
  flip_everywhere(bytes_of(samples::png_palette_alpha));
  flip_everywhere(bytes_of(samples::png_interlaced_turned));
  flip_everywhere(bytes_of(samples::jpeg_turned));
  flip_everywhere(bytes_of(samples::jpeg_progressive));
  flip_everywhere(bytes_of(samples::jpeg_cmyk));
  flip_everywhere(bytes_of(samples::webp_lossy));
  flip_everywhere(bytes_of(samples::webp_lossless_alpha));
  flip_everywhere(bytes_of(samples::tiff_lzw));
  flip_everywhere(bytes_of(samples::tiff_pack_bits));
  flip_everywhere(bytes_of(samples::tiff_deflate_alpha));
  flip_everywhere(bytes_of(samples::tiff_palette_turned));
  flip_everywhere(encode_jpeg(smooth(160, 120, 3)));
  flip_everywhere(bmp(5, 1, 4, 2, palette16, {0, 5, 0x12, 0x34, 0x50, 0, 0, 1}));
  flip_everywhere(bmp(7, 5, 24, 0, {}, Bytes(24 * 5, 9)));
}

TEST(image, png_damage_is_always_found) {
  // every critical chunk has a checksum
  const Bytes file = encode_png(noise(20, 10, 3));
  size_t refused = 0;
  for (size_t at = 8; at < file.size(); ++at) {
    Bytes bad = file;
    bad[at] ^= 0x10;
    refused += code_of(bad) != ErrorCode::interrupted;
  }
  EXPECT_EQ(refused, file.size() - 8);
}

TEST(image, writes_files_by_suffix) {
  const auto dir = std::filesystem::temp_directory_path() / "hone_image_test";
  std::filesystem::create_directories(dir);
  const Image a = smooth(16, 16, 3);
  write_image((dir / "a.png").string(), a);
  EXPECT_EQ(read_image((dir / "a.png").string()), a);
  write_image((dir / "a.JPG").string(), a);
  EXPECT_EQ(probe_image((dir / "a.JPG").string()).format, ImageFormat::jpeg);
  EXPECT_THROW(write_image((dir / "a.tif").string(), a), Error);
  std::filesystem::remove_all(dir);
}

TEST(image, decodes_the_sample_pictures) {
  const std::string dir = data_folder("datasets/images");
  if (dir.empty()) GTEST_SKIP() << "no sample pictures: set HONE_DATA";
  struct {
    const char* name;
    int width, height, channels;
  } const expected[] = {{"kitten_224.png", 224, 224, 4},
                        {"mnist_28.png", 28, 28, 1},
                        {"dog.jpg", 768, 576, 3},
                        {"grace_hopper.jpg", 517, 606, 3}};
  for (const auto& e : expected) {
    const Image image = read_image(dir + "/" + e.name);
    EXPECT_EQ(image.width(), e.width) << e.name;
    EXPECT_EQ(image.height(), e.height) << e.name;
    EXPECT_EQ(image.channels(), e.channels) << e.name;
  }
}

}  // namespace
}  // namespace hone::data
