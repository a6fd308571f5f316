#include "ops/resize_table.hpp"

#include <algorithm>
#include <cmath>

namespace hone {
namespace {

float original_coordinate(CoordinateMode mode, int64_t position, const AxisSize& s) {
  const auto x = static_cast<float>(position), in = static_cast<float>(s.in), out = static_cast<float>(s.out);
  switch (mode) {
    case CoordinateMode::half_pixel:
      return (x + 0.5f) / s.scale - 0.5f;
    case CoordinateMode::pytorch_half_pixel:
      return s.out > 1 ? (x + 0.5f) / s.scale - 0.5f : 0;
    case CoordinateMode::asymmetric:
      return x / s.scale;
    case CoordinateMode::tf_half_pixel_for_nn:
      return (x + 0.5f) / s.scale;
    case CoordinateMode::align_corners:
      return s.out == 1 ? 0 : x * (in - 1) / (out - 1);
    case CoordinateMode::align_corners_unrounded:
      return s.scale * in == 1 ? 0 : x * (in - 1) / (s.scale * in - 1);
    case CoordinateMode::half_pixel_symmetric: {
      // The centres of both images meet, also where in * scale was rounded.
      const float adjustment = out / (s.scale * in);
      return in / 2 * (1 - adjustment) + (x + 0.5f) / s.scale - 0.5f;
    }
    case CoordinateMode::tf_crop_and_resize: {
      const float width = s.roi_end - s.roi_begin;
      return s.roi_begin * (in - 1) + (s.out == 1 ? width * (in - 1) / 2 : x * width * (in - 1) / (out - 1));
    }
  }
  return 0;
}

int64_t nearest(NearestMode mode, float x, bool shrinks) {
  switch (mode) {
    case NearestMode::round_prefer_floor:
      return static_cast<int64_t>(std::ceil(x - 0.5f));
    case NearestMode::round_prefer_ceil:
      return static_cast<int64_t>(std::floor(x + 0.5f));
    case NearestMode::floor:
      return static_cast<int64_t>(std::floor(x));
    case NearestMode::ceil:
      return static_cast<int64_t>(std::ceil(x));
    case NearestMode::simple:
      return static_cast<int64_t>(shrinks ? std::ceil(x) : std::trunc(x));
  }
  return 0;
}

double triangle(double x) {
  return std::max(0.0, 1 - std::fabs(x));
}
// Keys' cubic convolution kernel.
double cubic(double x, double a) {
  x = std::fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

void normalize(std::vector<Tap>& taps) {
  double sum = 0;
  for (const Tap& t : taps) sum += t.weight;
  if (sum != 0) {
    for (Tap& t : taps) t.weight /= sum;
  }
}

// Filter taps around `x`, stretched by 1 / shrink where the image shrinks.
std::vector<Tap> filter_taps(const Interpolate& op, double x, int64_t n, double shrink) {
  const bool is_cubic = op.mode == InterpolateMode::cubic;
  const bool drop_outside = op.exclude_outside || (op.antialias && op.mode == InterpolateMode::linear);
  const double reach = (is_cubic ? 2 : 1) / shrink;
  const auto base = static_cast<int64_t>(std::ceil(x)) - 1;  // the element on the left; the distance to it is in (0, 1]
  const auto first = base + static_cast<int64_t>(std::floor(-reach)) + 1,
             last = base - static_cast<int64_t>(std::floor(-reach));
  std::vector<Tap> taps;
  for (int64_t i = first; i <= last; ++i) {
    const double distance = (static_cast<double>(i) - x) * shrink;
    const double weight = is_cubic ? cubic(distance, op.cube_coeff) : triangle(distance);
    const bool outside = i < 0 || i >= n;
    if (weight == 0 || (outside && drop_outside)) continue;
    taps.push_back({std::clamp<int64_t>(i, 0, n - 1), weight});
  }
  if (taps.empty()) taps.push_back({std::clamp<int64_t>(base, 0, n - 1), 1});
  if (shrink < 1 || drop_outside) normalize(taps);
  return taps;
}

// The resampling of Pillow: https://pillow.readthedocs.io, Resample.c (precompute_coeffs).
std::vector<Tap> pillow_taps(const Interpolate& op, int64_t position, const AxisSize& s) {
  const bool is_cubic = op.mode == InterpolateMode::bicubic_pillow;
  const double scale = static_cast<double>(s.in) / static_cast<double>(s.out), stretch = std::max(scale, 1.0);
  const double support = (is_cubic ? 2.0 : 1.0) * stretch, center = (static_cast<double>(position) + 0.5) * scale;
  const auto first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0),
             last = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), s.in);
  std::vector<Tap> taps;
  for (int64_t i = first; i < last; ++i) {
    const double distance = (static_cast<double>(i) - center + 0.5) / stretch;
    taps.push_back({i, is_cubic ? cubic(distance, op.cube_coeff) : triangle(distance)});
  }
  normalize(taps);
  return taps;
}

bool is_pillow(InterpolateMode m) {
  return m == InterpolateMode::bilinear_pillow || m == InterpolateMode::bicubic_pillow;
}

}  // namespace

AxisTable table_of(const Interpolate& op, const AxisSize& s) {
  AxisTable table{s.axis, {}};
  for (int64_t p = 0; p < s.out; ++p) {
    if (is_pillow(op.mode)) {
      table.taps.push_back(pillow_taps(op, p, s));
      continue;
    }
    const float x = original_coordinate(op.coordinate_transformation_mode, p, s);
    if (op.coordinate_transformation_mode == CoordinateMode::tf_crop_and_resize &&
        (x < 0 || x > static_cast<float>(s.in - 1))) {
      table.taps.emplace_back();
    } else if (op.mode == InterpolateMode::nearest) {
      table.taps.push_back({{std::clamp<int64_t>(nearest(op.nearest_mode, x, s.scale < 1), 0, s.in - 1), 1}});
    } else {
      table.taps.push_back(filter_taps(op, static_cast<double>(x), s.in,
                                       op.antialias ? std::min(1.0, static_cast<double>(s.scale)) : 1.0));
    }
  }
  return table;
}

}  // namespace hone
