// Every decoder of pictures; the bytes choose which.
#include <string_view>

#include "budget.hpp"
#include "driver.hpp"
#include "hone/error.hpp"
#include "image/image.hpp"
#include "image/image_samples_test.hpp"

using namespace hone::data;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const InputBudget budget(size);
  const DecodeLimits limits{.max_pixels = 1 << 22};
  try {
    const ImageInfo info = probe_image({data, size}, "input", limits);
    const Image image = decode_image({data, size}, "input", false, limits);
    if (image.width() != info.width || image.height() != info.height || image.channels() != info.channels) std::abort();
  } catch (const hone::Error& e) {
    if (e.where() != "input") throw;  // an error must name its file
  }
  return 0;
}

std::vector<std::vector<uint8_t>> fuzz_samples() {
  std::vector<std::vector<uint8_t>> out;
  const auto add = [&](const auto& sample) { out.emplace_back(std::begin(sample), std::end(sample)); };
  add(samples::png_grey16);
  add(samples::png_rgb16);
  add(samples::png_palette2);
  add(samples::png_palette_alpha);
  add(samples::png_grey_alpha);
  add(samples::png_interlaced_turned);
  add(samples::jpeg_turned);
  add(samples::jpeg_progressive);
  add(samples::jpeg_cmyk);
  add(samples::jpeg_grey);
  add(samples::webp_lossy);
  add(samples::webp_lossless_alpha);
  add(samples::webp_animated);
  add(samples::tiff_lzw);
  add(samples::tiff_pack_bits);
  add(samples::tiff_deflate_alpha);
  add(samples::tiff_palette_turned);
  add(std::string_view("P3 2 1 255 10 20 30 255 0 7"));
  add(std::string_view("P4 10 1\n\xa0\x40"));
  add(std::string_view("P5 2 1 65535\n\x80\x80\xff\xff"));
  // Bitmaps of 3x2: 24 bits, and runs of 8 bits with a palette of 256.
  const auto bitmap = [](uint8_t bits, uint8_t compression, size_t palette, std::vector<uint8_t> pixels) {
    std::vector<uint8_t> b(54 + palette);
    b[0] = 'B';
    b[1] = 'M';
    b[10] = uint8_t(b.size());
    b[11] = uint8_t(b.size() >> 8);
    b[14] = 40;
    b[18] = 3;
    b[22] = 2;
    b[26] = 1;
    b[28] = bits;
    b[30] = compression;
    for (size_t i = 54; i < b.size(); ++i) b[i] = uint8_t(i * 5);
    b.insert(b.end(), pixels.begin(), pixels.end());
    return b;
  };
  out.push_back(bitmap(24, 0, 0, std::vector<uint8_t>(24, 77)));
  out.push_back(bitmap(8, 1, 1024, {3, 9, 0, 0, 2, 7, 1, 8, 0, 1}));
  out.push_back(bitmap(4, 2, 64, {0, 3, 0x12, 0x30, 0, 0, 3, 0x45, 0, 1}));
  return out;
}
