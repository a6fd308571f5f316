// Shared by pooling.cpp and adaptive_pooling.cpp: the elements under a window and what becomes of them.
#pragma once
#include <cmath>
#include <limits>
#include <string>

#include "ops/family.hpp"

namespace hone::pooling {

inline constexpr size_t max_rank = 8;  // spatial axes that the window walk holds

inline Shape space(const Shape& s) {
  return Shape(s.begin() + 2, s.end());
}
inline void check_rank(const auto& ctx, size_t rank, const std::string& shape) {
  if (rank < 3 || rank - 2 > max_rank) ctx.fail("data " + shape + " is not [N, C, spatial...]");
}

/// A box inside one plane: [begin, end) with a step, along each axis.
struct Box {
  int64_t begin[max_rank], end[max_rank], step[max_rank];
};

/// Calls `f(offset)` for each element of the box, in order.
template <class F>
void for_each_element(const Box& box, const int64_t* size, size_t rank, F&& f) {
  int64_t at[max_rank];
  for (size_t k = 0; k < rank; ++k) {
    if (box.begin[k] >= box.end[k]) return;
    at[k] = box.begin[k];
  }
  for (;;) {
    int64_t offset = 0;
    for (size_t k = 0; k + 1 < rank; ++k) offset = (offset + at[k]) * size[k + 1];
    for (int64_t i = box.begin[rank - 1]; i < box.end[rank - 1]; i += box.step[rank - 1]) f(offset + i);
    size_t k = rank - 1;
    for (; k-- > 0;) {
      at[k] += box.step[k];
      if (at[k] < box.end[k]) break;
      at[k] = box.begin[k];
    }
    if (k == static_cast<size_t>(-1)) return;
  }
}

template <class T>
T average(double sum, int64_t n) {
  if (n == 0) return 0;
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(std::nearbyint(sum / static_cast<double>(n)));
  else
    return static_cast<T>(sum / static_cast<double>(n));
}

template <class T>
struct Best {
  T value = std::numeric_limits<T>::lowest();
  int64_t offset = 0;
  bool any = false;
  void offer(T v, int64_t at) {
    if (any && !(v > value)) return;
    value = v;
    offset = at;
    any = true;
  }
};

}  // namespace hone::pooling
