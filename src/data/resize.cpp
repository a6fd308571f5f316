// Source of the arithmetic: Pillow, src/libImaging/Resample.c (coefficients, two passes in fixed point) and Geometry.c
// (nearest).
#include "data/resize.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "hone/error.hpp"

namespace hone::data {
namespace {

// 8 bits of result, 2 bits of headroom for filters with negative lobes, the rest is fraction.
constexpr int precision = 32 - 8 - 2;

double triangle(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

/// For each output position the first input position and the weights of those that follow.
struct Taps {
  int count = 0;  // weights a position, zero-padded
  std::vector<int> first, length;
  std::vector<int32_t> weights;
};

Taps make_taps(int in_size, double in0, double in1, int out_size, Filter filter) {
  const double support_of_filter = filter == Filter::bilinear ? 1.0 : 2.0;
  const double scale = (in1 - in0) / out_size;
  const double filter_scale = std::max(scale, 1.0);
  const double support = support_of_filter * filter_scale;
  Taps t;
  t.count = int(std::ceil(support)) * 2 + 1;
  t.first.resize(size_t(out_size));
  t.length.resize(size_t(out_size));
  t.weights.assign(size_t(out_size) * size_t(t.count), 0);
  std::vector<double> w(size_t(t.count), 0.0);
  for (int o = 0; o < out_size; ++o) {
    const double center = in0 + (o + 0.5) * scale;
    // Truncation of v + 0.5, not lround, is what Pillow does below zero.
    const int begin = std::max(int(center - support + 0.5), 0);            // NOLINT(bugprone-incorrect-roundings)
    const int n = std::min(int(center + support + 0.5), in_size) - begin;  // NOLINT(bugprone-incorrect-roundings)
    double sum = 0;
    for (int i = 0; i < n; ++i) {
      const double x = (i + begin - center + 0.5) * (1.0 / filter_scale);
      w[size_t(i)] = filter == Filter::bilinear ? triangle(x) : cubic(x);
      sum += w[size_t(i)];
    }
    int32_t* k = t.weights.data() + size_t(o) * size_t(t.count);
    for (int i = 0; i < n; ++i) {
      const double v = (sum != 0.0 ? w[size_t(i)] / sum : w[size_t(i)]) * (1 << precision);
      k[i] = int32_t(v < 0 ? v - 0.5 : v + 0.5);
    }
    t.first[size_t(o)] = begin;
    t.length[size_t(o)] = n;
  }
  return t;
}

uint8_t clip(int32_t v) {
  return uint8_t(std::clamp(v >> precision, 0, 255));
}

template <int C>
void horizontal_row(const uint8_t* in, uint8_t* out, const Taps& t, int out_size) {
  for (int o = 0; o < out_size; ++o) {
    const int32_t* k = t.weights.data() + size_t(o) * size_t(t.count);
    const uint8_t* p = in + size_t(t.first[size_t(o)]) * C;
    int32_t s[C];
    for (int c = 0; c < C; ++c) s[c] = 1 << (precision - 1);
    for (int i = 0; i < t.length[size_t(o)]; ++i) {
      for (int c = 0; c < C; ++c) s[c] += p[i * C + c] * k[i];
    }
    for (int c = 0; c < C; ++c) out[o * C + c] = clip(s[c]);
  }
}

void vertical_row(const uint8_t* in, size_t stride, uint8_t* out, size_t n, const int32_t* k, int taps, int32_t* sum) {
  std::fill(sum, sum + n, 1 << (precision - 1));
  for (int i = 0; i < taps; ++i) {
    const uint8_t* p = in + size_t(i) * stride;
    const int32_t w = k[i];
    for (size_t x = 0; x < n; ++x) sum[x] += p[x] * w;
  }
  for (size_t x = 0; x < n; ++x) out[x] = clip(sum[x]);
}

Image nearest(const ImageView& in, int width, int height, const Box& box) {
  Image out(width, height, in.channels);
  const double sx = (box.right - box.left) / width, sy = (box.bottom - box.top) / height;
  std::vector<int> columns(size_t(width), 0);
  double x = box.left + sx * 0.5;  // accumulated, as Pillow does: the last bit decides at exact halves
  for (int i = 0; i < width; ++i, x += sx) columns[size_t(i)] = std::clamp(int(x), 0, in.width - 1);
  double y = box.top + sy * 0.5;
  for (int j = 0; j < height; ++j, y += sy) {
    const uint8_t* from = in.row(std::clamp(int(y), 0, in.height - 1));
    uint8_t* to = out.row(j);
    for (int i = 0; i < width; ++i) {
      for (int c = 0; c < in.channels; ++c) to[i * in.channels + c] = from[columns[size_t(i)] * in.channels + c];
    }
  }
  return out;
}

uint8_t multiply_255(unsigned a, unsigned b) {
  const unsigned t = a * b + 128;
  return uint8_t(((t >> 8) + t) >> 8);
}

Image premultiplied(const ImageView& in) {
  Image out(in);
  for (size_t i = 0; i < out.byte_size(); i += 4) {
    uint8_t* p = out.data() + i;
    for (int c = 0; c < 3; ++c) p[c] = multiply_255(p[c], p[3]);
  }
  return out;
}

void undo_premultiplication(Image& image) {
  for (size_t i = 0; i < image.byte_size(); i += 4) {
    uint8_t* p = image.data() + i;
    if (p[3] == 0 || p[3] == 255) continue;
    for (int c = 0; c < 3; ++c) p[c] = uint8_t(std::min(255 * p[c] / p[3], 255));
  }
}

Image resample(const ImageView& in, int width, int height, Filter filter, const Box& box) {
  const bool horizontal = width != in.width || box.left != 0 || box.right != width;
  const bool vertical = height != in.height || box.top != 0 || box.bottom != height;
  if (!horizontal && !vertical) return Image(in);
  const Taps ty = make_taps(in.height, box.top, box.bottom, height, filter);
  const int first = ty.first.front(), last = ty.first.back() + ty.length.back();

  Image middle;
  ImageView source = in;
  int shift = 0;  // row of `source` that row 0 of the input became
  if (horizontal) {
    const Taps tx = make_taps(in.width, box.left, box.right, width, filter);
    const int begin = vertical ? first : 0, end = vertical ? last : in.height;
    middle.reset(width, end - begin, in.channels);
    for (int y = begin; y < end; ++y) {
      switch (in.channels) {
        case 1:
          horizontal_row<1>(in.row(y), middle.row(y - begin), tx, width);
          break;
        case 3:
          horizontal_row<3>(in.row(y), middle.row(y - begin), tx, width);
          break;
        default:
          horizontal_row<4>(in.row(y), middle.row(y - begin), tx, width);
          break;
      }
    }
    source = middle;
    shift = begin;
  }
  if (!vertical) return middle;
  Image out(width, height, in.channels);
  std::vector<int32_t> sum(source.row_bytes());
  for (int y = 0; y < height; ++y) {
    vertical_row(source.row(ty.first[size_t(y)] - shift), source.row_bytes(), out.row(y), source.row_bytes(),
                 ty.weights.data() + size_t(y) * size_t(ty.count), ty.length[size_t(y)], sum.data());
  }
  return out;
}

}  // namespace

Image resize(const ImageView& image, int width, int height, Filter filter) {
  return resize(image, width, height, filter, {0, 0, double(image.width), double(image.height)});
}

Image resize(const ImageView& image, int width, int height, Filter filter, const Box& box) {
  if (image.byte_size() == 0) throw Error(ErrorCode::usage, "[resize] the picture is empty");
  if (width < 1 || height < 1) throw Error(ErrorCode::usage, "[resize] width and height must be at least 1");
  const bool inside = box.left >= 0 && box.top >= 0 && box.right <= image.width && box.bottom <= image.height &&
                      box.left < box.right && box.top < box.bottom;
  if (!inside) throw Error(ErrorCode::usage, "[resize] the box is empty or lies outside of the picture");
  if (filter == Filter::nearest) return nearest(image, width, height, box);
  if (image.channels != 4) return resample(image, width, height, filter, box);
  Image out = resample(premultiplied(image), width, height, filter, box);
  undo_premultiplication(out);
  return out;
}

}  // namespace hone::data
