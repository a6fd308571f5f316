// How the elements of a tensor lie in memory, and how integers stand for real numbers.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace hone {

/// The order in memory. The shape of a value is always the logical one (N, C, spatial...); a layout never changes axis
/// numbers.
enum class Layout : uint8_t {
  plain,          ///< row-major in the order of the shape
  channels_last,  ///< N, spatial..., C: axis 1 moves to the end (rank 3, 4 and 5)
};
const char* name_of(Layout layout);

/// real = (integer - zero_point) * scale. One entry, or one per index of `axis`.
struct Quantization {
  std::vector<float> scales;
  std::vector<int32_t> zero_points;  ///< empty means all zero
  int64_t axis = -1;                 ///< -1: per tensor
  int32_t zero_point(size_t i) const { return zero_points.empty() ? 0 : zero_points[zero_points.size() == 1 ? 0 : i]; }
  float scale(size_t i) const { return scales[scales.size() == 1 ? 0 : i]; }
  bool operator==(const Quantization&) const = default;
};
using QuantizationPtr = std::shared_ptr<const Quantization>;

}  // namespace hone
