#include "data/augment.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "hone/error.hpp"

namespace hone::data {
namespace {

enum Stream : uint64_t { flips = 1, crops, boxes, rotation, colors, holes, mixing };

void check(bool good, const char* what) {
  if (!good) throw Error(ErrorCode::usage, std::string("[augment] ") + what);
}

bool share(double v) {
  return v >= 0 && v <= 1;
}

/// Row-major 3x4: the last column is added.
using Affine = std::array<float, 12>;

/// The turn about the grey axis of the RGB cube: grey stays grey, the sum of the three samples is kept.
void hue_matrix(double turn, double m[3][3]) {
  const double angle = 2 * std::numbers::pi * turn, c = std::cos(angle), s = std::sin(angle);
  const double third = (1 - c) / 3, root = s / std::sqrt(3.0);
  for (int i = 0; i < 3; ++i) {
    m[i][i] = c + third;
    m[i][(i + 1) % 3] = third - root;
    m[i][(i + 2) % 3] = third + root;
  }
}

constexpr double luma[3] = {0.299, 0.587, 0.114};

double mean_luma(const Image& image) {
  const size_t n = size_t(image.width()) * size_t(image.height()), c = size_t(image.channels());
  uint64_t sum[3] = {};
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < std::min<size_t>(c, 3); ++k) sum[k] += image.data()[i * c + k];
  }
  if (c == 1) return double(sum[0]) / double(n);
  return (luma[0] * double(sum[0]) + luma[1] * double(sum[1]) + luma[2] * double(sum[2])) / double(n);
}

uint8_t to_sample(float v) {
  return uint8_t(std::clamp(v + 0.5f, 0.0f, 255.0f));
}

}  // namespace

void Augmentation::validate() const {
  check(area_min > 0 && area_min <= 1, "area_min must lie in (0, 1]");
  check(aspect_max >= 1 && aspect_max <= 100, "aspect_max must lie in [1, 100]");
  check(share(flip_horizontal) && share(flip_vertical) && share(cutout), "probabilities must lie in [0, 1]");
  check(crop_padding >= 0 && crop_padding <= 4096, "crop_padding must lie in 0..4096");
  check(rotate >= 0 && rotate <= 180, "rotate must lie in [0, 180] degrees");
  check(share(brightness) && share(contrast) && share(saturation), "colour changes must lie in [0, 1]");
  check(hue >= 0 && hue <= 0.5, "hue must lie in [0, 0.5]");
  check(cutout_size > 0 && cutout_size <= 1, "cutout_size must lie in (0, 1]");
  check(mixup >= 0 && mixup <= 100, "mixup must lie in [0, 100]");
  check(fill.size() == 1 || fill.size() == 3, "fill takes one value or three");
  for (int64_t v : fill) check(v >= 0 && v <= 255, "fill must lie in 0..255");
}

Color Augmentation::fill_color() const {
  Color c{};
  for (size_t i = 0; i < 3; ++i) c[i] = uint8_t(fill.size() == 3 ? fill[i] : fill[0]);
  c[3] = 255;
  return c;
}

Placement SampleDraws::placement() const {
  Placement p;
  if (a_.flip_horizontal > 0 || a_.flip_vertical > 0) {
    Random r = stream(flips);
    p.flip_x = r.chance(a_.flip_horizontal);
    p.flip_y = r.chance(a_.flip_vertical);
  }
  if (a_.crop_padding > 0) {
    Random r = stream(crops);
    const auto span = uint64_t(2 * a_.crop_padding + 1);
    p.dx = int(r.below(span)) - int(a_.crop_padding);
    p.dy = int(r.below(span)) - int(a_.crop_padding);
  }
  return p;
}

void SampleDraws::box(int width, int height, double& left, double& top, double& right, double& bottom) const {
  Random r = stream(boxes);
  const double area = r.uniform(a_.area_min, 1) * width * height;
  const double aspect = std::exp(r.uniform(-1, 1) * std::log(a_.aspect_max));
  const double w = std::clamp(std::sqrt(area * aspect), 1.0, double(width)),
               h = std::clamp(std::sqrt(area / aspect), 1.0, double(height));
  left = r.uniform(0, width - w);
  top = r.uniform(0, height - h);
  right = std::min(left + w, double(width));
  bottom = std::min(top + h, double(height));
}

double SampleDraws::mixup_weight() const {
  const double w = stream(mixing).beta(a_.mixup, a_.mixup);
  return std::max(w, 1 - w);
}

void SampleDraws::repaint(Image& image, Image& spare) const {
  if (a_.rotate > 0) {
    spare = rotate(image, stream(rotation).uniform(-a_.rotate, a_.rotate), a_.fill_color());
    std::swap(image, spare);
  }
  if (a_.brightness > 0 || a_.contrast > 0 || a_.saturation > 0 || a_.hue > 0) {
    Random r = stream(colors);
    const double b = 1 + r.uniform(-1, 1) * a_.brightness, c = 1 + r.uniform(-1, 1) * a_.contrast;
    const double s = 1 + r.uniform(-1, 1) * a_.saturation, h = r.uniform(-1, 1) * a_.hue;
    adjust_colors(image, b, c, s, h);
  }
  if (a_.cutout > 0) {
    Random r = stream(holes);
    if (r.chance(a_.cutout)) {
      const int side = std::max(1, int(std::lround(a_.cutout_size * std::min(image.width(), image.height()))));
      const int x = int(r.below(uint64_t(image.width()))) - side / 2,
                y = int(r.below(uint64_t(image.height()))) - side / 2;
      fill_rectangle(image, x, y, x + side - 1, y + side - 1, a_.fill_color());
    }
  }
}

void placed_row(const ImageView& v, const Placement& p, int y, const Color& fill, uint8_t* row) {
  const int w = v.width;
  const auto c = size_t(v.channels);
  const int from_y = (p.flip_y ? v.height - 1 - y : y) + p.dy;
  // Output columns [begin, end) of the unflipped row come from the picture.
  const bool outside = from_y < 0 || from_y >= v.height;
  const int begin = outside ? w : std::clamp(-p.dx, 0, w), end = outside ? w : std::clamp(w - p.dx, begin, w);
  const auto fill_pixels = [&](int x0, int x1) {
    if (c == 1) {
      if (x1 > x0) std::memset(row + x0, fill[0], size_t(x1 - x0));
    } else {
      for (int x = x0; x < x1; ++x) std::memcpy(row + size_t(x) * c, fill.data(), c);
    }
  };
  fill_pixels(0, begin);
  if (end > begin) {
    std::memcpy(row + size_t(begin) * c, v.row(from_y) + size_t(begin + p.dx) * c, size_t(end - begin) * c);
  }
  fill_pixels(end, w);
  if (!p.flip_x) return;
  if (c == 1) {
    std::reverse(row, row + w);
    return;
  }
  for (uint8_t *a = row, *b = row + size_t(w - 1) * c; a < b; a += c, b -= c) std::swap_ranges(a, a + c, b);
}

void place(const ImageView& image, const Placement& p, const Color& fill, Image& out) {
  out.reset(image.width, image.height, image.channels);
  for (int y = 0; y < image.height; ++y) placed_row(image, p, y, fill, out.row(y));
}

void adjust_colors(Image& image, double brightness, double contrast, double saturation, double hue) {
  if (image.empty()) return;
  // x -> brightness x, then about the mean luma of the brightened picture.
  const double offset = (1 - contrast) * mean_luma(image) * brightness, gain = brightness * contrast;
  const size_t n = size_t(image.width()) * size_t(image.height()), c = size_t(image.channels());
  if (c == 1) {
    for (size_t i = 0; i < n; ++i) image.data()[i] = to_sample(float(gain * image.data()[i] + offset));
    return;
  }
  double turn[3][3], m[3][3];
  hue_matrix(hue, turn);
  Affine a{};
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) m[i][j] = (1 - saturation) * luma[j] + (i == j ? saturation : 0);
  }
  for (int i = 0; i < 3; ++i) {
    double added = 0;
    for (int j = 0; j < 3; ++j) {
      double v = 0;
      for (int k = 0; k < 3; ++k) v += turn[i][k] * m[k][j];
      a[size_t(4 * i + j)] = float(gain * v);
      added += v * offset;
    }
    a[size_t(4 * i + 3)] = float(added);
  }
  for (size_t i = 0; i < n; ++i) {
    uint8_t* p = image.data() + i * c;
    const float r = p[0], g = p[1], b = p[2];
    for (size_t k = 0; k < 3; ++k) p[k] = to_sample(a[4 * k] * r + a[4 * k + 1] * g + a[4 * k + 2] * b + a[4 * k + 3]);
  }
}

Image augmented(const ImageView& image, const Augmentation& a, uint64_t seed, int64_t epoch, uint64_t sample) {
  a.validate();
  const SampleDraws draws(a, seed, epoch, sample);
  Image out, spare;
  place(image, draws.placement(), a.fill_color(), out);
  draws.repaint(out, spare);
  return out;
}

}  // namespace hone::data
