#include "data/geometry.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "hone/error.hpp"

namespace hone::data {

Image crop(const ImageView& image, int x, int y, int width, int height) {
  if (x < 0 || y < 0 || width < 1 || height < 1 || x > image.width - width || y > image.height - height) {
    throw Error(ErrorCode::usage, "[crop] the rectangle is empty or lies outside of the picture");
  }
  Image out(width, height, image.channels);
  for (int j = 0; j < height; ++j) {
    std::memcpy(out.row(j), image.row(y + j) + size_t(x) * size_t(image.channels), out.row_bytes());
  }
  return out;
}

Image center_crop(const ImageView& image, int width, int height) {
  return crop(image, (image.width - width) / 2, (image.height - height) / 2, width, height);
}

Image pad(const ImageView& image, int left, int top, int right, int bottom, const Color& fill) {
  if (left < 0 || top < 0 || right < 0 || bottom < 0)
    throw Error(ErrorCode::usage, "[pad] borders must not be negative");
  constexpr int most = 1 << 24;
  if (std::max({left, top, right, bottom, image.width, image.height}) > most) {
    throw Error(ErrorCode::unsafe, "[pad] the result is too large");
  }
  Image out(image.width + left + right, image.height + top + bottom, image.channels);
  fill_rectangle(out, 0, 0, out.width() - 1, out.height() - 1, fill);
  paste(out, image, left, top);
  return out;
}

Image flip_horizontal(const ImageView& image) {
  Image out(image.width, image.height, image.channels);
  const auto c = size_t(image.channels);
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* from = image.row(y);
    uint8_t* to = out.row(y) + image.row_bytes();
    for (int x = 0; x < image.width; ++x, from += c) {
      to -= c;
      std::memcpy(to, from, c);
    }
  }
  return out;
}

Image flip_vertical(const ImageView& image) {
  Image out(image.width, image.height, image.channels);
  for (int y = 0; y < image.height; ++y) std::memcpy(out.row(y), image.row(image.height - 1 - y), image.row_bytes());
  return out;
}

Image rotate_quarters(const ImageView& image, int quarters) {
  // Counter-clockwise by 90 degrees is EXIF 8, by 180 is 3, by 270 is 6.
  constexpr int orientation[] = {1, 8, 3, 6};
  return apply_exif_orientation(Image(image), orientation[(quarters % 4 + 4) % 4]);
}

Image rotate(const ImageView& image, double degrees, const Color& fill) {
  const double angle = degrees * std::numbers::pi / 180;
  const double cs = std::cos(angle), sn = std::sin(angle);
  const double cx = image.width * 0.5, cy = image.height * 0.5;
  const int channels = image.channels;
  Image out(image.width, image.height, channels);
  for (int y = 0; y < image.height; ++y) {
    uint8_t* to = out.row(y);
    for (int x = 0; x < image.width; ++x, to += channels) {
      // Where the centre of this pixel came from, in coordinates of pixel centres.
      const double dx = x + 0.5 - cx, dy = y + 0.5 - cy;
      const double u = cs * dx - sn * dy + cx - 0.5, v = sn * dx + cs * dy + cy - 0.5;
      if (u < -0.5 || v < -0.5 || u >= image.width - 0.5 || v >= image.height - 0.5) {
        for (int c = 0; c < channels; ++c) to[c] = fill[size_t(c)];
        continue;
      }
      const double fu = std::floor(u), fv = std::floor(v);
      const double a = u - fu, b = v - fv;
      const int x0 = std::max(int(fu), 0), x1 = std::min(int(fu) + 1, image.width - 1);
      const int y0 = std::max(int(fv), 0), y1 = std::min(int(fv) + 1, image.height - 1);
      const uint8_t *r0 = image.row(y0), *r1 = image.row(y1);
      for (int c = 0; c < channels; ++c) {
        const double upper = r0[x0 * channels + c] * (1 - a) + r0[x1 * channels + c] * a;
        const double lower = r1[x0 * channels + c] * (1 - a) + r1[x1 * channels + c] * a;
        // Never negative, and many times faster than lround.
        to[c] = uint8_t(upper * (1 - b) + lower * b + 0.5);  // NOLINT(bugprone-incorrect-roundings)
      }
    }
  }
  return out;
}

Image with_channels(const ImageView& image, int channels) {
  if (channels == image.channels) return Image(image);
  Image out(image.width, image.height, channels);
  const size_t n = size_t(image.width) * size_t(image.height);
  const uint8_t* p = image.pixels;
  uint8_t* q = out.data();
  for (size_t i = 0; i < n; ++i, p += image.channels, q += channels) {
    if (channels == 1) {
      q[0] = uint8_t((p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16);
      continue;
    }
    for (int c = 0; c < 3; ++c) q[c] = p[image.channels == 1 ? 0 : c];
    if (channels == 4) q[3] = 255;
  }
  return out;
}

Image blend_over(const ImageView& image, const Color& background) {
  if (image.channels != 4) return Image(image);
  Image out(image.width, image.height, 3);
  const size_t n = size_t(image.width) * size_t(image.height);
  for (size_t i = 0; i < n; ++i) {
    const uint8_t* p = image.pixels + 4 * i;
    for (size_t c = 0; c < 3; ++c) {
      out.data()[3 * i + c] = uint8_t((p[c] * p[3] + background[c] * (255 - p[3]) + 127) / 255);
    }
  }
  return out;
}

void fill_rectangle(Image& image, int x0, int y0, int x1, int y1, const Color& color) {
  x0 = std::max(x0, 0);
  y0 = std::max(y0, 0);
  x1 = std::min(x1, image.width() - 1);
  y1 = std::min(y1, image.height() - 1);
  const auto c = size_t(image.channels());
  for (int y = y0; y <= y1; ++y) {
    for (int x = x0; x <= x1; ++x) std::memcpy(image.pixel(x, y), color.data(), c);
  }
}

void draw_rectangle(Image& image, int x0, int y0, int x1, int y1, const Color& color, int thickness) {
  if (x1 < x0 || y1 < y0 || thickness < 1) return;
  const int t = thickness - 1;
  fill_rectangle(image, x0, y0, x1, std::min(y0 + t, y1), color);
  fill_rectangle(image, x0, std::max(y1 - t, y0), x1, y1, color);
  fill_rectangle(image, x0, y0, std::min(x0 + t, x1), y1, color);
  fill_rectangle(image, std::max(x1 - t, x0), y0, x1, y1, color);
}

void paste(Image& image, const ImageView& from, int x, int y) {
  if (from.channels != image.channels()) {
    paste(image, with_channels(from, image.channels()), x, y);
    return;
  }
  const int left = std::max(x, 0), right = std::min(x + from.width, image.width());
  const int top = std::max(y, 0), bottom = std::min(y + from.height, image.height());
  if (left >= right) return;
  const auto c = size_t(from.channels);
  for (int j = top; j < bottom; ++j) {
    std::memcpy(image.pixel(left, j), from.row(j - y) + size_t(left - x) * c, size_t(right - left) * c);
  }
}

}  // namespace hone::data
