// Small pictures for tests.
#pragma once
#include <algorithm>
#include <vector>

#include "image/image.hpp"

namespace hone::data {

/// A picture of one colour.
inline Image filled(int w, int h, std::vector<uint8_t> color) {
  Image image(w, h, int(color.size()));
  for (int i = 0; i < w * h; ++i) std::copy(color.begin(), color.end(), image.data() + size_t(i) * color.size());
  return image;
}
/// A grey picture of these values, row by row.
inline Image grey(int w, int h, std::vector<uint8_t> v) {
  Image image(w, h, 1);
  std::copy(v.begin(), v.end(), image.data());
  return image;
}

}  // namespace hone::data
