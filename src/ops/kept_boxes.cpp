#include "ops/kept_boxes.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace hone {
namespace {

// Few boxes are compared faster than they are looked up.
constexpr size_t few = 16;
// Beyond this a cell is not known to the last bit.
constexpr float far = 1e12f;

bool is_near(const UprightBox& b) {
  return std::fabs(b.x1) < far && std::fabs(b.x2) < far;  // false for what is not a number
}

}  // namespace

KeptBoxes::KeptBoxes(float threshold, size_t expected)
    : threshold_(threshold), mask_(std::bit_ceil(std::max<size_t>(expected, 16)) - 1) {}

size_t KeptBoxes::slot(int level, int64_t cell) const {
  const uint64_t key = static_cast<uint64_t>(cell) * 64 + static_cast<uint64_t>(level - lowest);
  return static_cast<size_t>((key * 0x9E3779B97F4A7C15u) >> 20) & mask_;
}

bool KeptBoxes::any_of_list(const std::vector<uint32_t>& list, const UprightBox& box) const {
  return std::any_of(list.begin(), list.end(), [&](uint32_t i) { return overlap(box, boxes_[i]) > threshold_; });
}

void KeptBoxes::add(const UprightBox& box) {
  const auto index = static_cast<uint32_t>(boxes_.size());
  boxes_.push_back(box);
  next_.push_back(none);
  const float width = box.x2 - box.x1;
  const int level = is_near(box) && width > 0 ? std::ilogb(width) : highest;
  if (level < lowest || level >= highest) {
    anywhere_.push_back(index);
    return;
  }
  if (slots_.empty()) slots_.assign(mask_ + 1, none);
  // A cell is as wide as the widest box of its level.
  const auto cell = static_cast<int64_t>(std::floor(std::ldexp(box.x1, -(level + 1))));
  uint32_t& head = slots_[slot(level, cell)];
  next_[index] = head;
  head = index;
  ++levels_[level - lowest];
}

bool KeptBoxes::suppress(const UprightBox& box) const {
  const auto hit = [&](const UprightBox& other) { return overlap(box, other) > threshold_; };
  if (boxes_.size() <= few || !is_near(box)) return std::any_of(boxes_.rbegin(), boxes_.rend(), hit);
  const float width = box.x2 - box.x1;
  if (!(width > 0)) return false;
  if (any_of_list(anywhere_, box)) return true;
  // Boxes overlap by no more than the narrower one's share of the wider one's width; a little more for rounding.
  const float share = threshold_ * 0.999f;
  for (int level = lowest; level < highest; ++level) {
    const size_t there = levels_[level - lowest];
    if (there == 0 || std::ldexp(share, level) > width || std::ldexp(1.0f, level + 1) < width * share) continue;
    const float size = std::ldexp(1.0f, level + 1);
    const auto first = static_cast<int64_t>(std::floor(box.x1 / size)) - 1,
               last = static_cast<int64_t>(std::floor(box.x2 / size));
    if (static_cast<uint64_t>(last - first) >= boxes_.size()) return std::any_of(boxes_.rbegin(), boxes_.rend(), hit);
    for (int64_t cell = first; cell <= last; ++cell) {
      for (uint32_t i = slots_[slot(level, cell)]; i != none; i = next_[i]) {
        if (hit(boxes_[i])) return true;
      }
    }
  }
  return false;
}

}  // namespace hone
