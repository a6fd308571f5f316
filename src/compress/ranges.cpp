#include "compress/ranges.hpp"

#include <algorithm>
#include <cmath>

namespace hone {
namespace {

constexpr float smallest_range = 8e-5f;

}  // namespace

QuantizerRange symmetric_weights(const std::vector<float>& abs_max) {
  const float largest = abs_max.empty() ? 0 : *std::max_element(abs_max.begin(), abs_max.end());
  QuantizerRange r;
  r.levels = 255;
  for (float m : abs_max) {
    const float high = std::max(m, std::max(0.01f * largest, smallest_range));
    r.high.push_back(high);
    r.low.push_back(-high);
  }
  return r;
}

QuantizerRange symmetric_activations(float low, float high) {
  const float m = std::max(std::max(std::fabs(low), std::fabs(high)), smallest_range);
  return {{low < 0 ? -m * 128.0f / 127.0f : 0.0f}, {m}, 256};
}

QuantizerRange asymmetric_activations(float low, float high) {
  if (high - low <= 8e-4f) {
    low -= 8e-4f;
    high += 8e-4f;
  }
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  // Move one end outward so that zero falls on a level: of the two ways, the wider range.
  const float q = std::nearbyint(-low * 255 / (high - low));
  const float ra = q == 255 ? low : q / (q - 255) * high;
  const float rb = q == 0 ? high : (q - 255) / q * low;
  if (high - ra > rb - low) return {{ra}, {high}, 256};
  return {{low}, {rb}, 256};
}

std::vector<float> abs_max_per_channel(const Tensor& t, int64_t axis) {
  const size_t channels = axis < 0 ? 1 : static_cast<size_t>(t.shape()[static_cast<size_t>(axis)]);
  size_t inner = 1;
  for (size_t k = static_cast<size_t>(axis + 1); k < t.rank() && axis >= 0; ++k)
    inner *= static_cast<size_t>(t.shape()[k]);
  std::vector<float> m(channels, 0);
  for (size_t i = 0; i < t.size(); ++i) {
    float& c = m[axis < 0 ? 0 : i / inner % channels];
    c = std::max(c, std::fabs(static_cast<float>(get_element(t, i))));
  }
  return m;
}

}  // namespace hone
