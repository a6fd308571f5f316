// Inputs for samples: seeded, the same on every machine.
#pragma once
#include "hone/tensor.hpp"

namespace hone {

/// Uniform in [low, high).
inline Tensor random_tensor(Shape shape, uint64_t seed, double low = -1, double high = 1,
                            ElementType type = ElementType::f32) {
  Tensor t(type, std::move(shape));
  for (size_t i = 0; i < t.size(); ++i) {
    uint64_t z = (seed += 0x9e3779b97f4a7c15ull);  // splitmix64
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    set_element(t, i, low + (high - low) * (static_cast<double>(z >> 11) / 9007199254740992.0));
  }
  return t;
}

/// i64 constant of rank 1 and scalar.
inline Tensor int_tensor(std::vector<int64_t> v) {
  const auto n = static_cast<int64_t>(v.size());
  return Tensor::of<int64_t>({n}, std::span<const int64_t>(v));
}
inline Tensor int_scalar(int64_t v) {
  return Tensor::scalar<int64_t>(v);
}
inline Tensor float_scalar(float v) {
  return Tensor::scalar<float>(v);
}

}  // namespace hone
