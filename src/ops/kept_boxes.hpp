// The boxes that greedy non-maximum suppression kept, found again by where they are: with thousands of boxes nearly all
// comparisons are of boxes that lie apart.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hone {

struct UprightBox {
  float y1, x1, y2, x2, area;
  UprightBox(float top, float left, float bottom, float right)
      : y1(top), x1(left), y2(bottom), x2(right), area((y2 - y1) * (x2 - x1)) {}
};

/// Intersection over union; 0 where a box is empty.
inline float overlap(const UprightBox& a, const UprightBox& b) {
  const float h = std::max(0.0f, std::min(a.y2, b.y2) - std::max(a.y1, b.y1)),
              w = std::max(0.0f, std::min(a.x2, b.x2) - std::max(a.x1, b.x1));
  const float both = h * w;
  if (a.area <= 0 || b.area <= 0) return 0;
  return both / (a.area + b.area - both);
}

/// Gives the same answers as a comparison with each box: what it leaves out cannot overlap by more than the threshold.
class KeptBoxes {
 public:
  /// `threshold` is not negative; `expected`: how many boxes may come at most.
  KeptBoxes(float threshold, size_t expected);
  /// Does one of the boxes overlap `box` by more than the threshold?
  bool suppress(const UprightBox& box) const;
  void add(const UprightBox& box);

 private:
  static constexpr uint32_t none = UINT32_MAX;
  static constexpr int lowest = -20, highest = 40;  // powers of two of widths

  bool any_of_list(const std::vector<uint32_t>& list, const UprightBox& box) const;
  size_t slot(int level, int64_t cell) const;

  float threshold_;
  size_t mask_;
  std::vector<UprightBox> boxes_;
  std::vector<uint32_t> next_;            ///< within a slot, one a box
  std::vector<uint32_t> slots_;           ///< by level of width and place of the left edge
  std::vector<uint32_t> anywhere_;        ///< boxes that no level takes
  size_t levels_[highest - lowest] = {};  ///< boxes of each level
};

}  // namespace hone
