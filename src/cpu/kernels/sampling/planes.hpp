// What rows of sampling over planes share: the elements that a piece of positions reads, with their weights.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "device/kernel.hpp"

namespace hone::cpu {

/// Positions at a time.
constexpr int64_t piece = 128;
using Four = float __attribute__((vector_size(16)));
using FourBits = int32_t __attribute__((vector_size(16)));

// What positions read from a plane; a mask of 0 stands for an element outside, which is not read.
struct Taps {
  int count = 4;
  int32_t offset[16][piece];
  float weight[16][piece];
  int32_t mask[16][piece];

  void set(int k, int64_t p, int64_t at, double w, bool inside) {
    offset[k][p] = inside ? int32_t(at) : 0;
    weight[k][p] = float(w);
    mask[k][p] = inside ? -1 : 0;
  }
  /// Fills the last four up with what reads nothing.
  void close(int64_t n) {
    for (; n % 4 != 0; ++n) {
      for (int k = 0; k < count; ++k) set(k, n, 0, 0, false);
    }
  }
  Four part(const float* plane, int k, int64_t p) const {
    const int32_t* at = offset[k] + p;
    const Four v = {plane[at[0]], plane[at[1]], plane[at[2]], plane[at[3]]};
    Four w;
    FourBits m;
    std::memcpy(&w, weight[k] + p, sizeof w);
    std::memcpy(&m, mask[k] + p, sizeof m);
    return Four(FourBits(v) & m) * w;
  }
  /// The sums of the parts, or the largest ones.
  void read(const float* plane, int64_t n, bool largest, float* out) const {
    for (int64_t p = 0; p < n; p += 4) {
      Four v = part(plane, 0, p);
      if (largest) {
        for (int k = 1; k < count; ++k) {
          const Four u = part(plane, k, p);
          v = v < u ? u : v;
        }
      } else if (count == 4) {
        v = (v + part(plane, 1, p)) + (part(plane, 2, p) + part(plane, 3, p));
      } else {
        for (int k = 1; k < count; ++k) v += part(plane, k, p);
      }
      if (n - p >= 4)
        std::memcpy(out + p, &v, sizeof v);
      else
        std::memcpy(out + p, &v, size_t(n - p) * 4);
    }
  }
};

inline int64_t floor_of(double v) {
  const auto i = int64_t(v);
  return i - (v < double(i));
}

/// Elements along one axis and their weights.
struct Line {
  int count;
  int64_t at[4];
  double weight[4];
};

/// The first `real_inputs` inputs and the result: f32 in the plain layout, over planes.
inline Support supports_planes(const KernelQuery& q, size_t real_inputs) {
  if (!q.epilogue.empty()) return Support::no("takes no epilogue");
  const auto real = [](const TensorDesc& d) {
    return d.type == ElementType::f32 && d.layout == Layout::plain && !d.quantization;
  };
  for (size_t i = 0; i < real_inputs; ++i) {
    if (!real(q.inputs[i])) return Support::no("takes f32 in the plain layout only");
  }
  if (!real(q.outputs[0])) return Support::no("gives f32 in the plain layout only");
  const Shape& x = q.inputs[0].shape;
  if (x.size() != 4) return Support::no("takes two spatial dimensions");
  if (x[2] < 1 || x[3] < 1 || x[2] * x[3] > 0x7fffffff) return Support::no("the planes are empty or too large");
  return Support::yes();
}

}  // namespace hone::cpu
